//! Weight: one number with two faces, 1.0 to Nacos and 100 to Polaris.
//!
//! Invariant: a weight is finite and not negative, and reads back to each side exactly as that side wrote it.
//! Not here: which weights each protocol refuses ([`super::rules`]).

/// The share of calls an instance wants, relative to its siblings.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Weight(f64);

impl Weight {
    /// What an instance has when nobody says otherwise: 1.0 = 100.
    pub const DEFAULT: Weight = Weight(1.0);
    /// The largest weight either side takes from the other: Nacos 10 000.0.
    pub const NACOS_MAX: f64 = 10_000.0;

    /// From a Nacos weight; `None` for anything outside 0..=10000 and for what is not a number.
    pub fn from_nacos(weight: f64) -> Option<Weight> {
        (0.0..=Self::NACOS_MAX).contains(&weight).then_some(Weight(weight))
    }

    /// From a Polaris weight: 100 is 1.0.
    pub fn from_polaris(weight: u16) -> Weight {
        Weight(f64::from(weight) / 100.0)
    }

    /// As Nacos clients see it.
    pub fn as_nacos(self) -> f64 {
        self.0
    }

    /// As Polaris clients see it: rounded, at least 1 for anything above zero, at most 65535.
    pub fn as_polaris(self) -> u16 {
        if self.0 <= 0.0 {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to u16 before")]
        let rounded = (self.0 * 100.0).round().clamp(1.0, f64::from(u16::MAX)) as u16;
        rounded
    }
}

impl Default for Weight {
    fn default() -> Self {
        Weight::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nacos_weights_map_to_polaris() {
        for (nacos, polaris) in [(1.0, 100), (0.0, 0), (0.001, 1), (2.5, 250), (0.07, 7), (10_000.0, 65_535)]
        {
            let weight = Weight::from_nacos(nacos).expect("in range");
            assert_eq!(weight.as_polaris(), polaris, "{nacos}");
            assert_eq!(weight.as_nacos(), nacos);
        }
        for nacos in [f64::NAN, -0.1, 10_000.1, f64::INFINITY] {
            assert_eq!(Weight::from_nacos(nacos), None, "{nacos}");
        }
    }

    #[test]
    fn every_polaris_weight_reads_back() {
        for weight in 0..=u16::MAX {
            assert_eq!(Weight::from_polaris(weight).as_polaris(), weight);
        }
    }
}
