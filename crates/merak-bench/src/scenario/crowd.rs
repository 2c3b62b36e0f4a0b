//! Many clients at once, a task for each: 20 000 connections that wait, or 1000 that register.
//! Invariant: a member that ends early is counted with its reason, never forgotten; all end with their crowd.
//! Not here: what a member does (the scenarios) and says (`nacos_grpc`). Start at `Crowd::start`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::nacos_grpc;
use crate::client::nacos::{Deaf, Session, Target};
use crate::clock;
use crate::driver::Failure;
use crate::host;
use crate::population::Population;
use crate::progress;

/// Members that connect at the same time: few enough for any server's queue of new connections.
const CONNECTING_MAX: usize = 64;

/// Members that end before others get their turn: about a millisecond's work.
const CLOSING_AT_ONCE: usize = 16;

/// Running members.
pub(crate) struct Crowd {
    members: JoinSet<Failure>,
    ends: Vec<AbortHandle>,
    ready: mpsc::Receiver<()>,
    size: usize,
    lost: BTreeMap<String, u64>,
}

/// What a member is given: its turn to connect, and a way to say that it is ready.
pub(crate) struct Turn {
    connecting: Arc<Semaphore>,
    ready: mpsc::Sender<()>,
}

impl Turn {
    /// Waits until few enough others are connecting. The turn ends when the permit is dropped.
    pub(crate) async fn connect(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.connecting).acquire_owned().await.map_err(|_| Failure::text("the crowd has ended"))
    }

    /// Says that this member has done what the others wait for.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.ready.send(()).await.map_err(|_| Failure::text("the crowd has ended"))
    }
}

impl Crowd {
    /// Starts members `0..size`. Each runs until something goes wrong.
    pub(crate) fn start<M>(size: usize, member: impl Fn(usize, Turn) -> M) -> Self
    where
        M: Future<Output = Failure> + Send + 'static,
    {
        let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
        let (say, ready) = mpsc::channel(size.max(1));
        let mut members = JoinSet::new();
        let turn = || Turn { connecting: Arc::clone(&connecting), ready: say.clone() };
        let ends = (0..size).map(|number| members.spawn(member(number, turn()))).collect();
        Self { members, ends, ready, size, lost: BTreeMap::new() }
    }

    /// Waits until every member has said that it is ready, once. Ends early when one is lost.
    pub(crate) async fn ready(&mut self, what: &str, within: Duration) -> Result<()> {
        let ready = self.count_ready(self.size, what, within).await?;
        if ready < self.size {
            self.count_lost();
            let reason = self.lost.keys().next().map_or("time is up", String::as_str);
            bail!("{what}: only {ready} of {} are ready: {reason}", self.size);
        }
        Ok(())
    }

    /// Waits until so many are ready, time is up or one is lost, and says how many are.
    pub(crate) async fn count_ready(&mut self, wanted: usize, what: &str, within: Duration) -> Result<usize> {
        let begun = clock::now();
        let mut said = begun;
        let mut ready = 0;
        while ready < wanted {
            let left = within.saturating_sub(begun.elapsed()).min(Duration::from_secs(1));
            tokio::select! {
                biased;
                one = self.ready.recv() => {
                    one.context("all members of a crowd have ended")?;
                    ready += 1;
                }
                Some(ended) = self.members.join_next() => {
                    self.note(ended)?;
                    break;
                }
                () = tokio::time::sleep(left) => {}
            }
            if begun.elapsed() >= within {
                break;
            }
            if said.elapsed() > Duration::from_secs(1) {
                said = clock::now();
                progress::note(&format!("{what}: {ready} of {} are ready", self.size));
            }
        }
        Ok(ready)
    }

    /// Members that have ended so far, by reason.
    pub(crate) fn lost(&mut self) -> &BTreeMap<String, u64> {
        self.count_lost();
        &self.lost
    }

    /// Ends all members at once; their connections close. Others of this thread get their turn meanwhile, so that what
    /// they measure is not the closing.
    pub(crate) async fn close(mut self) {
        for some in self.ends.chunks(CLOSING_AT_ONCE) {
            some.iter().for_each(AbortHandle::abort);
            tokio::task::yield_now().await;
        }
        self.members.shutdown().await;
    }

    fn count_lost(&mut self) {
        while let Some(ended) = self.members.try_join_next() {
            if let Err(error) = self.note(ended) {
                progress::note(&format!("{error:#}"));
            }
        }
    }

    fn note(&mut self, ended: Result<Failure, tokio::task::JoinError>) -> Result<()> {
        let failure = ended.context("a member of a crowd has failed")?;
        *self.lost.entry(failure.to_string()).or_default() += 1;
        Ok(())
    }
}

/// Connections that register the whole population, instance `n` on connection `n % connections`, and keep it.
/// There must be at least as many as hosts of a service, since a connection has one instance in each.
pub(crate) fn registrars(target: &Target, population: &Population, size: u64, connections: usize) -> Crowd {
    let registrar = |number: usize, turn: Turn| {
        let (target, population) = (target.clone(), population.clone());
        async move {
            let registered = register(&target, &population, size, connections, number, &turn).await;
            match registered {
                Ok(mut session) => session.listen(&mut Deaf).await,
                Err(failure) => failure,
            }
        }
    };
    Crowd::start(connections, registrar)
}

async fn register(
    target: &Target,
    population: &Population,
    size: u64,
    connections: usize,
    number: usize,
    turn: &Turn,
) -> Result<Session, Failure> {
    let permit = turn.connect().await?;
    let mut session = Session::open(target, host::source_address(number)).await?;
    drop(permit);
    let first = u64::try_from(number).unwrap_or_default();
    for index in (first..size).step_by(connections) {
        let service = population.instance(index).service;
        nacos_grpc::register(&mut session, population, service, index, &mut Deaf).await?;
    }
    turn.ready().await?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_waits_for_all_and_tells_why_one_is_missing() {
        let member = |number: usize, turn: Turn| async move {
            if number == 3 {
                return Failure::text("stumbled");
            }
            if let Err(failure) = turn.ready().await {
                return failure;
            }
            std::future::pending().await
        };
        for (size, good) in [(3, true), (5, false)] {
            let mut crowd = Crowd::start(size, member);
            let ready = crowd.ready("a test", Duration::from_secs(60)).await;
            assert_eq!(ready.is_ok(), good, "{size} members");
            if let Err(error) = ready {
                assert!(error.to_string().contains("stumbled"), "{error}");
                assert_eq!(*crowd.lost(), BTreeMap::from([("stumbled".to_owned(), 1)]));
            }
            crowd.close().await;
        }
    }
}
