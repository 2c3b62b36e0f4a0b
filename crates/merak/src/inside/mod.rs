//! Looking into a running server from the command line: the words of the inside view, asked for and shown to people.
//!
//! Invariant: it only looks, and prints nothing secret; what other programs chose to call themselves cannot move the
//! terminal's cursor.
//! Not here: what there is to see (`merak_apiserver::ops`), which server is asked and as whom ([`server`]).
//! Start reading at [`subscribers`].

mod http;
mod server;
mod show;
mod table;
mod time;

use std::str::FromStr;

use merak_apiserver::ops::answers;

use crate::cli::Failure;
pub(crate) use server::Ask;
use server::Server;

/// Which service.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceName {
    /// The service: NAME, or GROUP@@NAME
    #[arg(value_name = "SERVICE")]
    name: String,
    /// Its namespace
    #[arg(long, value_name = "NAME", default_value = "public")]
    namespace: String,
    /// Its group
    #[arg(long, value_name = "NAME", default_value = "DEFAULT_GROUP")]
    group: String,
}

/// Which changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Changes {
    /// Only of this kind of thing: Namespace, Service, Instance, ServiceContract, User, UserGroup, AuthStrategy, Role
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only of things with this in their name
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only in this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only by this user, or from this address
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    limit: u16,
}

impl Changes {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("kind", &self.kind),
            ("resource", &self.resource),
            ("namespace", &self.namespace),
            ("operator", &self.operator),
        ];
        let given = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
        given.chain([("limit", self.limit.to_string())]).collect()
    }
}

/// Which instance.
#[derive(Debug, Clone)]
pub(crate) struct InstanceName {
    ip: String,
    port: u16,
}

impl FromStr for InstanceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<InstanceName, &'static str> {
        let (ip, port) = text.rsplit_once(':').filter(|(ip, _)| !ip.is_empty()).ok_or("write IP:PORT")?;
        let port = port.parse().map_err(|_| "what is after the colon is no port")?;
        Ok(InstanceName { ip: ip.to_owned(), port })
    }
}

impl ServiceName {
    fn query(&self) -> Vec<(&'static str, String)> {
        vec![
            ("namespace", self.namespace.clone()),
            ("group", self.group.clone()),
            ("service", self.name.clone()),
        ]
    }
}

/// Who subscribes to a service.
pub(crate) fn subscribers(server: &Server, service: &ServiceName) -> Result<(), Failure> {
    let mut pages = server.pages("/v1/subscribers", service.query(), |page: &answers::Subscribers| {
        (page.subscribers.len(), page.total)
    })?;
    let mut whole = pages.remove(0);
    whole.subscribers.extend(pages.into_iter().flat_map(|page| page.subscribers));
    server.print(&whole, show::subscribers)
}

/// What happened to the instances of a service, or to one.
pub(crate) fn timeline(
    server: &Server,
    service: &ServiceName,
    instance: Option<&InstanceName>,
) -> Result<(), Failure> {
    let mut query = service.query();
    if let Some(InstanceName { ip, port }) = instance {
        query.extend([("ip", ip.clone()), ("port", port.to_string())]);
    }
    let told: answers::Timeline = server.ask("/v1/timeline", &query)?;
    server.print(&told, |told| show::timeline(told, instance.is_some()))
}

/// Who changed what.
pub(crate) fn history(server: &Server, which: &Changes) -> Result<(), Failure> {
    let told: answers::History = server.ask("/v1/history", &which.query())?;
    server.print(&told, show::history)
}

/// Who is connected.
pub(crate) fn clients(server: &Server) -> Result<(), Failure> {
    let mut pages = server
        .pages("/v1/clients", Vec::new(), |page: &answers::Clients| (page.clients.len(), page.total))?;
    let mut whole = pages.remove(0);
    whole.clients.extend(pages.into_iter().flat_map(|page| page.clients));
    server.print(&whole, show::clients)
}

/// Which services somebody subscribes to.
pub(crate) fn watched(server: &Server) -> Result<(), Failure> {
    let mut pages = server.pages("/v1/watched", Vec::new(), |page: &answers::WatchedServices| {
        (page.services.len(), page.total)
    })?;
    let mut whole = pages.remove(0);
    whole.services.extend(pages.into_iter().flat_map(|page| page.services));
    server.print(&whole, show::watched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances() {
        for (text, expected) in [
            ("127.0.0.1:80", Ok(("127.0.0.1", 80))),
            ("::1:80", Ok(("::1", 80))),
            ("127.0.0.1", Err("write IP:PORT")),
            (":80", Err("write IP:PORT")),
            ("host:http", Err("what is after the colon is no port")),
        ] {
            let found = text.parse::<InstanceName>();
            assert_eq!(
                found.as_ref().map(|found| (found.ip.as_str(), found.port)).map_err(|e| *e),
                expected,
                "{text}"
            );
        }
    }
}
