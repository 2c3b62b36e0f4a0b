//! The subscriptions of one connection, and what each was sent and has acknowledged.
//!
//! Invariant: a subscription is in line at most once; an acknowledgement counts for the push it names, and a push that
//! a newer one has overtaken twice is not waited for any more.
//! Not here: locking, waking and sending ([`super::connection`]).

use bytes::Bytes;
use hashbrown::HashMap;
use merak_app::watch::{Delivery, Subscription, Token};
use merak_domain::naming::{ServiceKey, ServiceRef};
use std::collections::VecDeque;
use std::sync::Arc;

/// Subscriptions of one connection, about 300 bytes each. Gateways have some thousands.
const SUBSCRIPTIONS_MAX: usize = 200_000;

/// Ended subscriptions that may stand in line beside as many as there are subscriptions, 8 bytes each.
const LINE_SLACK: usize = 64;

/// How long an acknowledgement may take, in milliseconds: 5 s, and a second until the push is sent again
/// (nacos-grpc §3.7).
const UNANSWERED_MS: u64 = 6_000;

/// Until a push that its client could not take is sent again, in milliseconds.
const REFUSED_MS: u64 = 1_000;

/// Times a push is sent without any acknowledgement; after that the subscriber hears of the next change.
const TRIES_MAX: u8 = 10;

/// A push ready to be sent.
pub(super) struct Push {
    /// By which its acknowledgement names it.
    pub(super) number: u64,
    /// The `lastRefTime` of its list.
    pub(super) revision: u64,
    /// What it shows: equal for two lists of one service that show the same.
    pub(super) content: u64,
    /// Framed.
    pub(super) message: Bytes,
}

/// All subscriptions of one connection.
#[derive(Default)]
pub(super) struct Subscriptions {
    by_token: HashMap<u64, Subscribed>,
    tokens: HashMap<Arc<ServiceKey>, u64>,
    /// Those whose service changed, in the order in which they did.
    line: VecDeque<u64>,
    /// Pushes whose acknowledgement is awaited: token and revision by number.
    awaited: HashMap<u64, (u64, u64)>,
    next: u64,
}

struct Subscribed {
    service: Arc<ServiceKey>,
    clusters: Box<str>,
    is_in_line: bool,
    /// The numbers of the newest two pushes that are not acknowledged.
    awaited: [Option<u64>; 2],
    sent: Option<Delivery>,
    /// What the newest list it was sent shows.
    shown: Option<u64>,
    acknowledged: Option<Delivery>,
    /// When it is sent again unless acknowledged, on the monotonic clock.
    again_ms: u64,
    tries: u8,
    /// Ends when this is dropped.
    _subscription: Subscription,
}

impl Subscriptions {
    /// Subscribes, and puts the new subscription in line; one that is there gets these clusters. `false`: there are
    /// too many.
    pub(super) fn enter(
        &mut self,
        service: &Arc<ServiceKey>,
        clusters: &str,
        subscribe: impl FnOnce(Token) -> Subscription,
    ) -> bool {
        if let Some(token) = self.tokens.get(service) {
            if let Some(known) = self.by_token.get_mut(token)
                && *known.clusters != *clusters
            {
                known.clusters = clusters.into();
                known.shown = None;
            }
            return true;
        }
        if self.tokens.len() >= SUBSCRIPTIONS_MAX {
            return false;
        }
        self.next += 1;
        let token = self.next;
        let subscribed = Subscribed {
            service: Arc::clone(service),
            clusters: clusters.into(),
            is_in_line: true,
            awaited: [None; 2],
            sent: None,
            shown: None,
            acknowledged: None,
            again_ms: 0,
            tries: 0,
            _subscription: subscribe(Token(token)),
        };
        self.tokens.insert(Arc::clone(service), token);
        self.by_token.insert(token, subscribed);
        self.line.push_back(token);
        true
    }

    /// Takes a subscription out; dropping what comes back ends it.
    pub(super) fn remove(&mut self, service: ServiceRef<'_>) -> Option<impl Drop + use<>> {
        let token = self.tokens.remove(&service)?;
        let gone = self.by_token.remove(&token)?;
        for number in gone.awaited.iter().flatten() {
            self.awaited.remove(number);
        }
        // Whoever takes the next in line passes over those that have ended; where nobody does, they must not pile up.
        if self.line.len() > 2 * self.by_token.len() + LINE_SLACK {
            self.line.retain(|token| self.by_token.contains_key(token));
        }
        Some(gone._subscription)
    }

    /// Puts a subscription in line; `false` where it is already, or is no more.
    pub(super) fn mark(&mut self, token: Token) -> bool {
        match self.by_token.get_mut(&token.0) {
            Some(subscribed) if !subscribed.is_in_line => {
                subscribed.is_in_line = true;
                subscribed.tries = 0;
                self.line.push_back(token.0);
                true
            }
            _ => false,
        }
    }

    /// Takes the first out of line: its service, its clusters, its token.
    pub(super) fn next(&mut self) -> Option<(Arc<ServiceKey>, Box<str>, u64)> {
        loop {
            let token = self.line.pop_front()?;
            if let Some(subscribed) = self.by_token.get_mut(&token) {
                subscribed.is_in_line = false;
                return Some((Arc::clone(&subscribed.service), subscribed.clusters.clone(), token));
            }
        }
    }

    /// A push goes out; `false` where its subscription has ended meanwhile, or its client has acknowledged a list that
    /// shows the same.
    pub(super) fn sent(&mut self, token: u64, push: &Push, now: u64, wall_ms: u64) -> bool {
        let Push { number, revision, content, .. } = *push;
        let Some(subscribed) = self.by_token.get_mut(&token) else { return false };
        if subscribed.shown == Some(content) && subscribed.awaited == [None; 2] {
            return false;
        }
        subscribed.shown = Some(content);
        subscribed.sent = Some(Delivery { revision, at_ms: wall_ms });
        subscribed.again_ms = now + UNANSWERED_MS;
        subscribed.tries = subscribed.tries.saturating_add(1);
        if !subscribed.awaited.contains(&Some(number)) {
            let [newer, older] = subscribed.awaited;
            if let Some(overtaken) = older {
                self.awaited.remove(&overtaken);
            }
            subscribed.awaited = [Some(number), newer];
            self.awaited.insert(number, (token, revision));
        }
        true
    }

    /// A client has answered a push, well or not; `false` where nothing of that number is awaited.
    pub(super) fn acknowledge(&mut self, number: u64, is_taken: bool, now: u64, wall_ms: u64) -> bool {
        let Some((token, revision)) = self.awaited.get(&number).copied() else { return false };
        let Some(subscribed) = self.by_token.get_mut(&token) else { return false };
        if !is_taken {
            subscribed.again_ms = now + REFUSED_MS;
            return false;
        }
        self.awaited.remove(&number);
        for awaited in &mut subscribed.awaited {
            if *awaited == Some(number) {
                *awaited = None;
            }
        }
        subscribed.tries = 0;
        if subscribed.acknowledged.is_none_or(|newest| newest.revision < revision) {
            subscribed.acknowledged = Some(Delivery { revision, at_ms: wall_ms });
        }
        true
    }

    /// Puts those in line whose newest push was not acknowledged in time; says how many.
    pub(super) fn mark_unanswered(&mut self, now: u64) -> u64 {
        let mut again = 0;
        for (token, _) in self.awaited.values() {
            let Some(subscribed) = self.by_token.get_mut(token) else { continue };
            let is_due = now >= subscribed.again_ms && subscribed.tries < TRIES_MAX;
            if is_due && subscribed.awaited[0].is_some() && !subscribed.is_in_line {
                subscribed.is_in_line = true;
                self.line.push_back(*token);
                again += 1;
            }
        }
        again
    }

    /// Every service with its clusters, in no order.
    pub(super) fn all(&self) -> Vec<(Arc<ServiceKey>, Box<str>)> {
        self.by_token.values().map(|one| (Arc::clone(&one.service), one.clusters.clone())).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_token.len()
    }

    /// The clusters of a subscription, the newest list it was sent, the newest it acknowledged.
    pub(super) fn describe(&self, token: Token) -> Option<(Box<str>, Option<Delivery>, Option<Delivery>)> {
        let subscribed = self.by_token.get(&token.0)?;
        Some((subscribed.clusters.clone(), subscribed.sent, subscribed.acknowledged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merak_app::watch::{Hub, Subscriber, Watcher};
    use merak_domain::naming::Hasher;

    struct Nobody;

    impl Watcher for Nobody {
        fn changed(&self, _: Token) {}
        fn describe(&self, _: Token) -> Option<Subscriber> {
            None
        }
    }

    fn service(name: &str) -> Arc<ServiceKey> {
        Arc::new(ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name }.to_key())
    }

    /// A client that comes and goes from services while its stream cannot be written to piles nothing up, and those it
    /// stays with are still served, once each, in their order.
    #[test]
    fn ended_subscriptions_do_not_pile_up() {
        let hub = Hub::new(Hasher::default());
        let mut all = Subscriptions::default();
        let enter = |all: &mut Subscriptions, service: &Arc<ServiceKey>| {
            all.enter(service, "", |token| hub.subscribe(service, Arc::new(Nobody), token))
        };
        let (first, last) = (service("first"), service("last"));
        assert!(enter(&mut all, &first));
        for round in 0..10_000 {
            let passing = service(&format!("passing-{round}"));
            assert!(enter(&mut all, &passing));
            drop(all.remove(ServiceKey::as_ref(&passing)));
            let most = 2 * all.len() + LINE_SLACK;
            assert!(all.line.len() <= most + 1, "{} in line after {round}", all.line.len());
        }
        assert!(enter(&mut all, &last));
        let next = std::iter::from_fn(|| all.next()).map(|(service, ..)| service);
        assert_eq!(next.collect::<Vec<_>>(), [first, last]);
        assert_eq!(hub.watched().len(), 2, "and the hub knows of no other");
    }
}
