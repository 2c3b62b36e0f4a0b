//! Charts as SVG: latency by percentile as curves, and amounts as bars.
//! Invariant: text stays text (no font is needed to draw it), and one server has one colour in all charts.
//! Not here: which numbers are shown (`main` for one run, `compare` for many).

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Latency;
use crate::report::text::number;

const WIDTH: u32 = 900;
const CURVES_HEIGHT: u32 = 480;

/// Colours that people with the common kinds of colour blindness can tell apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(80, 80, 80),
];

/// Servers that appear in charts, so that each keeps its colour.
const KNOWN: [&str; 6] = ["merak", "r-nacos", "floor", "nacos", "polaris-server", "merak, two cores"];

/// Latency against percentile, one curve a server. Both axes are logarithmic, so that the tail can be read.
pub(crate) fn latency_curves(path: &Path, title: &str, curves: &[(&str, &Latency)]) -> Result<()> {
    draw_latency_curves(path, title, curves)
        .map_err(|error| anyhow!("failed to draw {}: {error}", path.display()))
}

/// A bar with its name and value.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// What the bar is about, to its left.
    pub(crate) name: String,
    /// Its length.
    pub(crate) value: f64,
    /// A mark on it, for instance the least that is wanted.
    pub(crate) mark: Option<f64>,
}

/// Horizontal bars from zero. `unit` stands behind each value.
pub(crate) fn bars(path: &Path, title: &str, unit: &str, bars: &[Bar]) -> Result<()> {
    draw_bars(path, title, unit, bars).map_err(|error| anyhow!("failed to draw {}: {error}", path.display()))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw_latency_curves(path: &Path, title: &str, curves: &[(&str, &Latency)]) -> Drawn {
    let points: Vec<(usize, Vec<(f64, f64)>)> = curves
        .iter()
        .enumerate()
        .map(|(place, (name, latency))| (colour_of(name, place), nines(&latency.curve)))
        .collect();
    let all = || points.iter().flat_map(|(_, points)| points);
    let right = all().map(|point| point.0).fold(1.0, f64::max);
    let top = all().map(|point| point.1).fold(1.0, f64::max).ceil();
    let bottom = all().map(|point| point.1).fold(top, f64::min).floor();

    let root = SVGBackend::new(path, (WIDTH, CURVES_HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(15)
        .margin_right(30)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(0.0..right, bottom..top)?;
    chart
        .configure_mesh()
        .x_desc("share of the requests that were answered within")
        .y_desc("latency")
        .x_labels(7)
        .y_labels(7)
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|nines| percent(*nines))
        .y_label_formatter(&|log| duration(10_f64.powf(*log)))
        .label_style(("sans-serif", 14))
        .draw()?;
    for ((name, _), (colour, points)) in curves.iter().zip(&points) {
        let colour = COLOURS[*colour];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(3)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}

const BAR: i32 = 26;
const BAR_GAP: i32 = 12;
const BARS_TOP: i32 = 75;
const BARS_LEFT: i32 = 290;
const BARS_RIGHT: i32 = 110;

fn draw_bars(path: &Path, title: &str, unit: &str, bars: &[Bar]) -> Drawn {
    let count = i32::try_from(bars.len())?;
    let height = u32::try_from(BARS_TOP + count * (BAR + BAR_GAP) + 20)?;
    let room = f64::from(i32::try_from(WIDTH)? - BARS_LEFT - BARS_RIGHT);
    let longest =
        bars.iter().flat_map(|bar| [bar.value, bar.mark.unwrap_or(0.0)]).fold(0.0, f64::max).max(1e-9);
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let at =
        |size: i32, h: HPos| TextStyle::from(("sans-serif", size).into_font()).pos(Pos::new(h, VPos::Center));
    root.draw(&Text::new(title, (i32::try_from(WIDTH)? / 2, 28), at(20, HPos::Center)))?;
    if bars.iter().any(|bar| bar.mark.is_some()) {
        let middle = i32::try_from(WIDTH)? / 2;
        root.draw(&Text::new("upright lines: at least this is wanted", (middle, 52), at(14, HPos::Center)))?;
    }
    for (place, bar) in (0..).zip(bars) {
        let top = BARS_TOP + place * (BAR + BAR_GAP);
        let x = |value: f64| BARS_LEFT + whole(value / longest * room);
        let middle = top + BAR / 2;
        root.draw(&Text::new(bar.name.as_str(), (BARS_LEFT - 10, middle), at(14, HPos::Right)))?;
        root.draw(&Rectangle::new([(BARS_LEFT, top), (x(bar.value), top + BAR)], COLOURS[0].filled()))?;
        if let Some(mark) = bar.mark {
            let line = [(x(mark), top - 4), (x(mark), top + BAR + 4)];
            root.draw(&PathElement::new(line, COLOURS[1].stroke_width(3)))?;
        }
        let right = x(bar.value.max(bar.mark.unwrap_or(0.0)));
        let text = format!("{} {unit}", number(bar.value));
        root.draw(&Text::new(text, (right + 10, middle), at(14, HPos::Left)))?;
    }
    root.present()?;
    Ok(())
}

/// Percentiles below 100 as their number of nines, latencies as powers of ten.
fn nines(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    curve
        .iter()
        .filter(|(percentile, micros)| *percentile < 100.0 && *micros > 0.0)
        .map(|(percentile, micros)| (-(1.0 - percentile / 100.0).log10(), micros.log10()))
        .collect()
}

/// The percentile with so many nines, without zeros that say nothing.
fn percent(nines: f64) -> String {
    let text = format!("{:.3}", 100.0 - 100.0 * 10_f64.powf(-nines));
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn duration(micros: f64) -> String {
    if micros >= 1e6 {
        format!("{} s", short(micros / 1e6))
    } else if micros >= 1e3 {
        format!("{} ms", short(micros / 1e3))
    } else {
        format!("{} µs", short(micros))
    }
}

fn short(value: f64) -> String {
    if value < 9.95 && (value - value.round()).abs() > 0.05 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// The colour of a server; another one by its place in the chart.
fn colour_of(name: &str, place: usize) -> usize {
    KNOWN.iter().position(|known| *known == name).unwrap_or(place % COLOURS.len())
}

#[expect(clippy::cast_possible_truncation, reason = "a length within a picture of 900 pixels")]
fn whole(pixels: f64) -> i32 {
    pixels.round().clamp(0.0, 10_000.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(scale: f64) -> Latency {
        let curve = [(0.0, 10.0), (50.0, 20.0), (99.0, 90.0), (99.99, 900.0), (100.0, 5000.0)];
        Latency {
            curve: curve.map(|(percentile, micros)| (percentile, micros * scale)).to_vec(),
            ..Latency::default()
        }
    }

    #[test]
    fn curves_are_drawn_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        let (ours, theirs) = (latency(1.0), latency(30.0));
        latency_curves(&path, "Beats at 10 000 a second", &[("merak", &ours), ("r-nacos", &theirs)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in ["<svg", "Beats at 10 000 a second", "merak", "r-nacos", "99 %", "latency", "</svg>"] {
            assert!(svg.contains(text), "{text} is missing in\n{svg}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.svg");
        let bar = |name: &str, value, mark| Bar { name: name.to_owned(), value, mark };
        bars(&path, "Merak beside r-nacos", "×", &[bar("beat", 4.0, Some(2.0)), bar("list", 2.0, None)])
            .unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in
            ["Merak beside r-nacos", "upright lines", "beat", "4.00 ×", "width=\"500\"", "width=\"250\""]
        {
            assert!(svg.contains(text), "{text} is missing in\n{svg}");
        }
    }

    #[test]
    fn axes_are_labelled_for_people() {
        for (nines, expected) in
            [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")]
        {
            assert_eq!(percent(nines), expected);
        }
        for (micros, expected) in
            [(1.0, "1 µs"), (31.6, "32 µs"), (1000.0, "1 ms"), (3162.0, "3.2 ms"), (1e7, "10 s")]
        {
            assert_eq!(duration(micros), expected);
        }
    }
}
