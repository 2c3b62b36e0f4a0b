//! Who wants to know which services there are: services by pattern, appearing with their first instance and gone with
//! their last.
//!
//! Invariant: what happens to one service is told in its order. Writers only put a name in line; matching is the
//! pusher's work. A line that is full is cut, and everybody is told that something was missed.
//! Not here: what is sent (`apiserver`), what is there when somebody begins to watch (they look themselves).

use super::{Hub, Token};
use hashbrown::HashMap;
use merak_domain::naming::ServiceKey;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Services in line. They are told of within milliseconds; at 24 bytes this is a megabyte and a half.
const LINE_MAX: usize = 65_536;

/// Part of a pattern: a text, with `*` for anything at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    text: Box<str>,
    open_front: bool,
    open_end: bool,
}

impl Glob {
    fn new(text: &str) -> Glob {
        if text == "*" {
            return Glob { text: "".into(), open_front: true, open_end: true };
        }
        let (text, open_front) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        let (text, open_end) = text.strip_suffix('*').map_or((text, false), |rest| (rest, true));
        Glob { text: text.into(), open_front, open_end }
    }

    fn matches(&self, name: &str) -> bool {
        match (self.open_front, self.open_end) {
            (false, false) => *self.text == *name,
            (false, true) => name.starts_with(&*self.text),
            (true, false) => name.ends_with(&*self.text),
            (true, true) => name.contains(&*self.text),
        }
    }
}

/// Services of one namespace, by group and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    namespace: Box<str>,
    group: Glob,
    name: Glob,
}

impl Pattern {
    /// The pattern of a namespace of ours, and of a group and a name with `*` at either end.
    pub fn new(namespace: &str, group: &str, name: &str) -> Pattern {
        Pattern { namespace: namespace.into(), group: Glob::new(group), name: Glob::new(name) }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether a service is meant.
    pub fn matches(&self, service: &ServiceKey) -> bool {
        *self.namespace == *service.namespace()
            && self.group.matches(service.group())
            && self.name.matches(service.name())
    }
}

/// Somebody who watches services by pattern.
pub trait Counter: Send + Sync + 'static {
    /// A service that the pattern of this token means has got its first instance, or lost its last. Must return at
    /// once.
    fn listed(&self, token: Token, service: &Arc<ServiceKey>, is_there: bool);

    /// So much happened that some of it was not kept: what the watcher knows may be wrong.
    fn missed(&self, token: Token);
}

/// What has happened, in its order.
#[derive(Default)]
struct Line {
    services: Vec<(Arc<ServiceKey>, bool)>,
    is_cut: bool,
}

/// Everybody who watches by pattern.
type Watchers = HashMap<u64, (Pattern, Arc<dyn Counter>, Token)>;

/// The part of the hub that knows them.
#[derive(Default)]
pub(super) struct Census {
    count: AtomicUsize,
    watchers: Mutex<Watchers>,
    line: Mutex<Line>,
}

impl std::fmt::Debug for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Census").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Somebody watching by pattern; dropping it ends that.
#[derive(Debug)]
pub struct PatternSubscription {
    hub: Arc<Hub>,
    number: u64,
}

impl Drop for PatternSubscription {
    fn drop(&mut self) {
        let census = &self.hub.census;
        census.watchers.lock().remove(&self.number);
        census.count.fetch_sub(1, Ordering::Release);
    }
}

impl Hub {
    /// Watches services by pattern, from now on, until the subscription is dropped.
    pub fn subscribe_pattern(
        self: &Arc<Hub>,
        pattern: Pattern,
        watcher: Arc<dyn Counter>,
        token: Token,
    ) -> PatternSubscription {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.census.watchers.lock().insert(number, (pattern, watcher, token));
        self.census.count.fetch_add(1, Ordering::Release);
        PatternSubscription { hub: Arc::clone(self), number }
    }

    /// Whether anybody watches by pattern.
    pub(crate) fn counts_services(&self) -> bool {
        self.census.count.load(Ordering::Acquire) > 0
    }

    /// Notes that a service has got its first instance, or lost its last.
    pub fn listed(&self, service: &Arc<ServiceKey>, is_there: bool) {
        if !self.counts_services() {
            return;
        }
        let mut line = self.census.line.lock();
        if line.services.len() == LINE_MAX {
            line.services.clear();
            line.is_cut = true;
        }
        line.services.push((Arc::clone(service), is_there));
        drop(line);
        self.has_changed.notify_one();
    }

    /// Tells those who watch by pattern what has happened.
    pub(super) fn tell_census(&self) {
        let Line { services, is_cut } = std::mem::take(&mut *self.census.line.lock());
        if services.is_empty() {
            return;
        }
        let watchers: Vec<_> = self.census.watchers.lock().values().cloned().collect();
        for (pattern, watcher, token) in watchers {
            if is_cut {
                watcher.missed(token);
                continue;
            }
            for (service, is_there) in services.iter().filter(|(service, _)| pattern.matches(service)) {
                watcher.listed(token, service, *is_there);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_domain::naming::ServiceRef;

    #[test]
    fn patterns() {
        // group pattern, name pattern, group, name, whether it is meant
        for (group, name, of, called, expected) in [
            ("*", "*", "g", "a", true),
            ("g", "a", "g", "a", true),
            ("g", "a", "g", "ab", false),
            ("g", "a*", "g", "ab", true),
            ("g", "*b", "g", "ab", true),
            ("g", "*a*", "g", "bab", true),
            ("g*", "*", "h", "a", false),
            ("g", "**", "g", "a", true),
        ] {
            let service = ServiceRef { namespace: "default", group: of, name: called }.to_key();
            let pattern = Pattern::new("default", group, name);
            assert_eq!(pattern.matches(&service), expected, "{group} {name} {of} {called}");
            assert!(!Pattern::new("other", group, name).matches(&service));
        }
    }
}
