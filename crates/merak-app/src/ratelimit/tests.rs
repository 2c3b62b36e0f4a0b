//! Who is counted as whom, who is let through, and what a change of the rules does.

use super::*;
use merak_domain::Moment;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;

#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn wall_ms(&self) -> u64 {
        0
    }
}

const READ: Api<'static> = Api::Http { method: "GET", path: "/naming/v1/services" };
const WRITE: Api<'static> = Api::Http { method: "POST", path: "/naming/v1/services" };
const REGISTER: Api<'static> = Api::Grpc("/v1.PolarisGRPC/RegisterInstance");

fn rate(bucket: u32) -> Rate {
    let one = NonZeroU32::MIN;
    Rate { bucket: NonZeroU32::new(bucket).expect("not zero"), per_second: one }
}

fn each(bucket: u32) -> Option<Each> {
    Some(Each { rate: rate(bucket), kept: NonZeroUsize::new(1_024).expect("not zero") })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn id(text: &'static str) -> impl FnOnce() -> InstanceId {
    || InstanceId::parse(text)
}

fn limiter() -> (Arc<Limiter>, Arc<HandClock>, Arc<Metrics>) {
    let (clock, metrics) = (Arc::new(HandClock::default()), Metrics::new());
    (Limiter::new(clock.clone(), Arc::clone(&metrics)), clock, metrics)
}

/// name, rules, what is asked in turn with what is answered.
#[test]
fn who_is_counted_as_whom() {
    let apis = |names: &[&str]| names.iter().map(|name| ((*name).into(), rate(1))).collect();
    let (one, other) = (ip("127.0.0.1"), ip("127.0.0.2"));
    let mapped = ip("::ffff:127.0.0.1");
    #[rustfmt::skip]
    let cases = [
        ("nothing limited", Rules::default(), vec![(one, READ, None), (one, READ, None)]),
        ("each address by itself", Rules { ip: each(1), ..Rules::default() },
            vec![(one, READ, None), (other, READ, None), (one, WRITE, Some(Limited::Ip)), (mapped, READ, Some(Limited::Ip))]),
        ("not those of the list", Rules { ip: each(1), white: [one].into(), ..Rules::default() },
            vec![(one, READ, None), (one, READ, None), (mapped, READ, None), (other, READ, None), (other, READ, Some(Limited::Ip))]),
        ("a method, all together", Rules { apis: apis(&["POST:/naming/v1/services"]), ..Rules::default() },
            vec![(one, WRITE, None), (other, WRITE, Some(Limited::Api)), (one, READ, None), (one, REGISTER, None)]),
        ("a gRPC method", Rules { apis: apis(&["/v1.PolarisGRPC/RegisterInstance"]), ..Rules::default() },
            vec![(one, REGISTER, None), (one, REGISTER, Some(Limited::Api)), (one, WRITE, None)]),
        ("the list is about addresses only", Rules { white: [one].into(), apis: apis(&["POST:/naming/v1/services"]), ..Rules::default() },
            vec![(one, WRITE, None), (one, WRITE, Some(Limited::Api))]),
        ("the address comes first", Rules { ip: each(1), apis: apis(&["POST:/naming/v1/services"]), ..Rules::default() },
            vec![(one, WRITE, None), (one, WRITE, Some(Limited::Ip)), (other, WRITE, Some(Limited::Api))]),
    ];
    for (name, rules, asked) in cases {
        let (limiter, _, _) = limiter();
        limiter.replace(rules);
        for (at, (ip, api, expected)) in asked.into_iter().enumerate() {
            assert_eq!(limiter.check(ip, api).err(), expected, "{name}, request {at}");
            assert_eq!(limiter.instance(id("i")).err(), None, "{name}: no instance is limited");
        }
    }
}

#[test]
fn instances_and_a_change_of_the_rules() {
    let (limiter, clock, metrics) = limiter();
    assert_eq!(limiter.instance(id("a")), Ok(()), "off");
    limiter.replace(Rules { instance: each(1), ..Rules::default() });
    assert_eq!((limiter.instance(id("a")), limiter.instance(id("b"))), (Ok(()), Ok(())));
    assert_eq!(limiter.instance(id("a")), Err(Limited::Instance));
    assert_eq!(limiter.check(ip("127.0.0.1"), READ), Ok(()), "that is about no instance");
    clock.0.store(1_000, Ordering::Relaxed);
    assert_eq!(limiter.instance(id("a")), Ok(()), "a second later");
    assert_eq!(limiter.instance(id("a")), Err(Limited::Instance));
    limiter.replace(Rules { instance: each(2), ..Rules::default() });
    assert_eq!(
        (limiter.instance(id("a")), limiter.instance(id("a"))),
        (Ok(()), Ok(())),
        "new rules, full buckets"
    );
    limiter.replace(Rules::default());
    assert_eq!(limiter.instance(id("a")), Ok(()), "off again");
    assert_eq!(metrics.rate_limited.get_or_create(&[("what", "instance")]).get(), 2);
}

/// As many pass as the bucket holds, however many ask at once.
#[test]
fn none_too_many_at_once() {
    let (limiter, _, _) = limiter();
    limiter.replace(Rules { ip: each(10_000), instance: each(5_000), ..Rules::default() });
    let count = |ask: &(dyn Fn() -> bool + Sync)| -> usize {
        std::thread::scope(|scope| {
            let asks: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..5_000).filter(|_| ask()).count())).collect();
            asks.into_iter().map(|asked| asked.join().expect("ends")).sum()
        })
    };
    assert_eq!(count(&|| limiter.check(ip("127.0.0.1"), READ).is_ok()), 10_000);
    assert_eq!(count(&|| limiter.instance(id("a")).is_ok()), 5_000);
}
