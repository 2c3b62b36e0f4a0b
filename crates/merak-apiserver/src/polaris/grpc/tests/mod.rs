//! The whole service as a client meets it: framed messages in, framed messages and a status out, on a registry in
//! memory. Only sockets are missing.
//! Start reading at [`World`].

mod admission;
mod aliases;
mod discovery;
mod naming;
mod reports;

use super::{PolarisGrpc, PolarisParts};
use crate::common::mapping;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use merak_app::access::{Access, Accounts, Mode, Registrar, Tokens, User};
use merak_app::commit::{self, Shelves};
use merak_app::contracts::{Book, Contracts};
use merak_app::dashboards::{DashboardParts, Dashboards};
use merak_app::metrics::Metrics;
use merak_app::naming::{Naming, Settings};
use merak_app::ports::Clock;
use merak_app::registry::Registry;
use merak_app::reports::{Reports, TTL};
use merak_app::task::{Supervisor, TaskKind};
use merak_app::testing::memory_store::MemoryStore;
use merak_domain::Moment;
use merak_wire::polaris::methods;
use merak_wire::polaris::v1::{DiscoverRequest, DiscoverResponse, Instance, Response};
use prost::Message;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Code;

const KEY: [u8; 32] = [7; 32];

/// Wall clock when a world begins: 2023-11-14 22:13:20.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A service with everything behind it.
struct World {
    polaris: Arc<PolarisGrpc>,
    naming: Naming,
    reports: Arc<Reports>,
    metrics: Arc<Metrics>,
    store: MemoryStore,
    clock: Arc<ManualClock>,
    stop: CancellationToken,
    _committer: Supervisor,
}

/// A clock that stands until it is moved.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("short");
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> u64 {
        BEGIN_MS + self.0.load(Ordering::Relaxed)
    }
}

impl World {
    fn open() -> World {
        World::new(Mode::Open, Settings { auto_create_service: true, auto_create_namespace: true })
    }

    fn new(mode: Mode, settings: Settings) -> World {
        let clock: Arc<ManualClock> = Arc::default();
        let metrics = Metrics::new();
        let store = MemoryStore::default();
        let registry =
            Registry::new(clock.clone(), Arc::clone(&metrics), 1 << 20, mapping::service_to_polaris);
        let accounts = Arc::new(Accounts::new(&[1; 32], clock.clone()));
        // Who may do everything: what policies make of others is tested where they are.
        accounts.put(Arc::new(User::bare("app", "none", true)));
        let book: Arc<Book> = Arc::default();
        let how = commit::Settings {
            mode: commit::Mode::Batch,
            batch_max: 64,
            queue_max: 64,
            linger: Duration::ZERO,
            task_life: Duration::from_secs(30),
        };
        let (commits, committer) = commit::channel(
            how,
            Arc::clone(&registry),
            Shelves::default().with(accounts.clone()).with(book.clone()),
            Arc::new(store.clone()),
            clock.clone(),
            Arc::clone(&metrics),
        );
        let supervisor = Supervisor::default();
        supervisor.spawn(TaskKind::Committer, |stop| async move {
            committer.run(stop).await;
            Ok::<(), Infallible>(())
        });
        let registrar =
            Registrar::new(accounts.clone(), commits.clone(), clock.clone(), Arc::new(|_: &str| ()));
        let contracts = Contracts::new(book, Arc::clone(&registry), commits.clone());
        let reports = Arc::new(Reports::new(clock.clone(), Arc::clone(&metrics), TTL));
        let dashboards = Dashboards::new(DashboardParts {
            server: "127.0.0.1".into(),
            registry: Arc::clone(&registry),
            reports: Arc::clone(&reports),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            connections: Box::new(|| (0, 0)),
        });
        let naming = Naming::new(registry, commits, Arc::clone(&metrics), settings);
        let access = Arc::new(Access::new(mode, accounts, Tokens::new(&KEY), clock.clone()));
        let stop = CancellationToken::new();
        let polaris = PolarisGrpc::new(PolarisParts {
            naming: naming.clone(),
            contracts,
            reports: Arc::clone(&reports),
            access,
            registrar,
            metrics: Arc::clone(&metrics),
            dashboards: Arc::new(dashboards),
            clock: clock.clone(),
            stop: stop.clone(),
        });
        World { polaris, naming, reports, metrics, store, clock, stop, _committer: supervisor }
    }

    /// Sends a body of framed messages; the answers and the status of the call.
    async fn raw(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> (Vec<Bytes>, Code) {
        let mut request = http::Request::post(path).header("content-type", "application/grpc");
        for (key, value) in headers {
            request = request.header(*key, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let response = self.polaris.answer(request, peer()).await;
        assert_eq!(response.status(), 200, "{path}");
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.expect("a body of ours does not break");
        let status = collected
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status"))
            .or_else(|| parts.headers.get("grpc-status"))
            .expect("every call has a status");
        let code = Code::from_bytes(status.as_bytes());
        (unframed(collected.to_bytes()), code)
    }

    /// Sends messages; the answers, or the status of a call that failed.
    async fn call<Q: Message, A: Message + Default>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        messages: &[Q],
    ) -> Result<Vec<A>, Code> {
        let (answers, code) = self.raw(path, headers, framed(messages)).await;
        if code != Code::Ok {
            return Err(code);
        }
        Ok(answers.into_iter().map(|answer| A::decode(answer).expect("a message")).collect())
    }

    async fn instance(&self, path: &str, said: &Instance) -> Response {
        let mut answers = self.call(path, &[], std::slice::from_ref(said)).await.expect("the call succeeds");
        answers.pop().expect("an answer")
    }

    async fn register(&self, said: &Instance) -> Response {
        self.instance(methods::REGISTER_INSTANCE, said).await
    }

    async fn deregister(&self, said: &Instance) -> Response {
        self.instance(methods::DEREGISTER_INSTANCE, said).await
    }

    async fn heartbeat(&self, said: &Instance) -> u32 {
        let answer = self.instance(methods::HEARTBEAT, said).await;
        assert_eq!(answer.instance.as_ref(), Some(said), "a heartbeat is answered with what was sent");
        answer.code.expect("a code")
    }

    /// Asks on one stream.
    async fn discover(&self, questions: &[DiscoverRequest]) -> Vec<DiscoverResponse> {
        let answers = self.call(methods::DISCOVER, &[], questions).await.expect("the stream ends well");
        assert_eq!(answers.len(), questions.len(), "an answer to each question");
        answers
    }

    async fn ask(&self, question: DiscoverRequest) -> DiscoverResponse {
        self.discover(&[question]).await.pop().expect("an answer")
    }
}

fn peer() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

fn framed<Q: Message>(messages: &[Q]) -> Bytes {
    let mut bytes = BytesMut::new();
    for message in messages {
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.encoded_len()).expect("short"));
        message.encode(&mut bytes).expect("the buffer grows");
    }
    bytes.freeze()
}

fn unframed(mut bytes: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes.get_u8(), 0, "not compressed");
        let length = bytes.get_u32() as usize;
        messages.push(bytes.split_to(length));
    }
    messages
}

/// An instance of service `orders` in namespace `rec`.
fn orders(port: u32) -> Instance {
    Instance {
        service: Some("orders".into()),
        namespace: Some("rec".into()),
        host: Some("127.0.0.1".into()),
        port: Some(port),
        ..Instance::default()
    }
}

fn by_id(id: &str) -> Instance {
    Instance { id: Some(id.into()), ..Instance::default() }
}
