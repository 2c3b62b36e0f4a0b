//! temporary
use crate::config::Config;
use crate::first_start::{self, InitialAdmin};
use crate::listeners::Listeners;
pub(crate) struct Server(Listeners);
pub(crate) async fn start(
    config: &Config,
    listeners: Listeners,
) -> anyhow::Result<(Server, Option<InitialAdmin>)> {
    let _key = first_start::signing_key(&config.data_dir)?;
    let _p = first_start::process_key()?;
    Ok((Server(listeners), Some(first_start::initial_admin(&config.data_dir)?)))
}
impl Server {
    pub(crate) async fn failed(&self) -> anyhow::Error {
        std::future::pending().await
    }
    pub(crate) async fn stop(self) {
        drop(self.0)
    }
}
