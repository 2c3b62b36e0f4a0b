//! When subscribers are told, on paused time.

use super::*;
use crate::ports::Clock;
use merak_domain::Moment;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Counts what it is told.
#[derive(Default)]
struct Counting(AtomicU32);

impl Watcher for Counting {
    fn changed(&self, _: Token) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn describe(&self, _: Token) -> Option<Subscriber> {
        None
    }
}

/// Tokio's clock, which tests may pause.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.0.elapsed().as_millis()).expect("small"))
    }

    fn wall_ms(&self) -> u64 {
        0
    }
}

#[expect(clippy::disallowed_methods, reason = "tokio's clock, which this test pauses")]
fn start() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

fn service(name: &str) -> Arc<ServiceKey> {
    Arc::new(ServiceRef { namespace: "default", group: "DEFAULT_GROUP", name }.to_key())
}

/// A thousand changes in a row are two rounds: the first at once, and one for all the others after the window.
#[tokio::test(start_paused = true)]
async fn first_at_once_then_gathered() {
    let hub = Hub::new(Hasher::default());
    let clock = Arc::new(Paused(start()));
    let stop = CancellationToken::new();
    let settings = Settings { window: Duration::from_millis(20) };
    let told = Arc::new(Counting::default());
    let subscription = hub.subscribe(&service("a"), told.clone(), Token(1));
    let changes = async {
        hub.publish(&service("a"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(told.0.load(Ordering::Relaxed), 1, "at once");
        for _ in 0..1000 {
            hub.publish(&service("a"));
        }
        hub.publish(&service("b"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(told.0.load(Ordering::Relaxed), 1, "within the window");
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert_eq!(told.0.load(Ordering::Relaxed), 2, "after it");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(told.0.load(Ordering::Relaxed), 2, "and no more");
        drop(subscription);
        hub.publish(&service("a"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(told.0.load(Ordering::Relaxed), 2, "nobody watches");
        stop.cancel();
    };
    tokio::join!(push(hub.clone(), clock, settings, stop.clone()), changes);
    assert_eq!((hub.subscriptions(), hub.watched().len()), (0, 0));
}

#[test]
fn a_topic_lives_as_long_as_its_last_subscriber() {
    let hub = Hub::new(Hasher::default());
    let told = Arc::new(Counting::default());
    let first = hub.subscribe(&service("a"), told.clone(), Token(1));
    let second = hub.subscribe(&service("a"), told, Token(2));
    drop(first);
    assert_eq!((hub.subscriptions(), hub.watched().len()), (1, 1));
    drop(second);
    assert_eq!((hub.subscriptions(), hub.watched().len()), (0, 0));
    hub.publish(&service("a"));
    assert!(hub.changed.lock().is_empty());
}
