//! How much callers may ask of the server: by address, by method, and by instance.
//!
//! Invariant: with nothing limited a check is one load and one branch. A request takes from each bucket it belongs to
//! until one is empty; what it took before that is not given back.
//! Not here: codes (`apiserver`), where the rules are written (`merak-store`), how often they are read ([`crate::reload`]).
//! Start reading at [`Limiter::check`].

mod bucket;

pub use bucket::Rate;

use crate::metrics::Metrics;
use crate::ports::Clock;
use arc_swap::ArcSwapOption;
use bucket::{Bucket, Buckets};
use hashbrown::HashMap;
use merak_domain::naming::InstanceId;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is limited, and how much. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Each address that requests come from.
    pub ip: Option<Each>,
    /// Addresses that are not limited.
    pub white: HashSet<IpAddr>,
    /// Each instance that is registered, removed or changed, by its id.
    pub instance: Option<Each>,
    /// Methods that are limited, all callers together, by `METHOD:/path` or the full name of a gRPC method.
    pub apis: HashMap<Box<str>, Rate>,
}

/// How much each of many may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Each {
    /// How much.
    pub rate: Rate,
    /// How many are told apart; of more, those who asked last. Each takes about 100 bytes.
    pub kept: NonZeroUsize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Api<'a> {
    /// An HTTP method and path.
    Http {
        /// `GET` and the like.
        method: &'a str,
        /// The path, without the query.
        path: &'a str,
    },
    /// The full name of a gRPC method, `/package.Service/Method`.
    Grpc(&'a str),
}

/// Of what there was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// Requests from this address.
    #[error("too many requests from this address")]
    Ip,
    /// Requests for this method.
    #[error("too many requests of this kind")]
    Api,
    /// Requests about this instance.
    #[error("too many requests about this instance")]
    Instance,
}

impl Limited {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Limited::Ip => "ip",
            Limited::Api => "api",
            Limited::Instance => "instance",
        }
    }
}

/// Counts what is asked for and says when it is too much.
pub struct Limiter {
    is_on: AtomicBool,
    gauges: ArcSwapOption<Gauges>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// Rules with what is left of each.
struct Gauges {
    ip: Option<Buckets<IpAddr>>,
    white: HashSet<IpAddr>,
    instance: Option<Buckets<InstanceId>>,
    apis: HashMap<Box<str>, (Rate, Mutex<Bucket>)>,
}

impl Limiter {
    /// Nothing is limited until [`Limiter::replace`].
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Arc<Limiter> {
        Arc::new(Limiter { is_on: AtomicBool::new(false), gauges: ArcSwapOption::empty(), clock, metrics })
    }

    /// From now on these rules hold; every bucket is full.
    pub fn replace(&self, rules: Rules) {
        let now = self.clock.now();
        let Rules { ip, white, instance, apis } = rules;
        let is_on = ip.is_some() || instance.is_some() || !apis.is_empty();
        let gauges = Gauges {
            ip: ip.map(|each| Buckets::new(each.rate, each.kept)),
            white,
            instance: instance.map(|each| Buckets::new(each.rate, each.kept)),
            apis: apis
                .into_iter()
                .map(|(api, rate)| (api, (rate, Mutex::new(Bucket::full(rate, now)))))
                .collect(),
        };
        self.gauges.store(is_on.then(|| Arc::new(gauges)));
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Takes one request from this address for this method in.
    pub fn check(&self, ip: IpAddr, api: Api<'_>) -> Result<(), Limited> {
        if !self.is_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.count(|gauges| {
            let ip = ip.to_canonical();
            let now = self.clock.now();
            if let Some(buckets) = gauges.ip.as_ref().filter(|_| !gauges.white.contains(&ip))
                && !buckets.take(&ip, now)
            {
                return Err(Limited::Ip);
            }
            match gauges.api(api) {
                Some((rate, bucket)) if !bucket.lock().take(*rate, now) => Err(Limited::Api),
                _ => Ok(()),
            }
        })
    }

    /// Takes one request about an instance in. Its id is asked for only if that matters.
    pub fn instance(&self, id: impl FnOnce() -> InstanceId) -> Result<(), Limited> {
        if !self.is_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.count(|gauges| match &gauges.instance {
            Some(buckets) if !buckets.take(&id(), self.clock.now()) => Err(Limited::Instance),
            _ => Ok(()),
        })
    }

    fn count(&self, check: impl FnOnce(&Gauges) -> Result<(), Limited>) -> Result<(), Limited> {
        let Some(gauges) = &*self.gauges.load() else { return Ok(()) };
        check(gauges).inspect_err(|limited| {
            self.metrics.rate_limited.get_or_create(&[("what", limited.as_str())]).inc();
        })
    }
}

impl Gauges {
    fn api(&self, api: Api<'_>) -> Option<&(Rate, Mutex<Bucket>)> {
        if self.apis.is_empty() {
            return None;
        }
        match api {
            Api::Grpc(name) => self.apis.get(name),
            Api::Http { method, path } => self.apis.get(format!("{method}:{path}").as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
