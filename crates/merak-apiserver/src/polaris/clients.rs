//! ReportClient: a client says that it is there and asks where it stands.
//!
//! Not here: how long a report is kept (`app::reports`), where the location of a host comes from (`app::cmdb`).

use super::check::given;
use merak_app::naming::Naming;
use merak_app::reports::{ClientKind, Report, Reports, Stat};
use merak_domain::naming::Location;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::client::ClientType;
use merak_wire::polaris::v1::{self, Client, Response};

/// Answers a report: host and location for a client without id, all of it for one with an id. Nothing is checked; the
/// answer to one that there is no room for is the same.
pub(super) fn report(naming: &Naming, reports: &Reports, mut said: Client) -> Response {
    if said.location.is_none() {
        let host = said.host.as_deref().unwrap_or("");
        said.location = naming.cmdb().locate(host).map(|location| message(&location));
    }
    let client = match given(said.id.as_deref()) {
        None => Client { host: said.host, location: said.location, ..Client::default() },
        Some(id) => {
            reports.hear(kept(id, &said));
            said
        }
    };
    let code = codes::EXECUTE_SUCCESS;
    let info = Some(codes::info(code).to_owned());
    Response { code: Some(code), info, client: Some(Box::new(client)), ..Response::default() }
}

fn kept(id: &str, said: &Client) -> Report {
    let text = |text: &Option<String>| Box::from(text.as_deref().unwrap_or(""));
    let kind = match ClientType::try_from(said.r#type) {
        Ok(ClientType::Sdk) => ClientKind::Sdk,
        Ok(ClientType::Agent) => ClientKind::Agent,
        Ok(ClientType::Unknown) | Err(_) => ClientKind::Unknown,
    };
    let location = said.location.as_ref().map(|location| Location {
        region: text(&location.region),
        zone: text(&location.zone),
        campus: text(&location.campus),
    });
    let stats = said.stat.iter().map(|stat| Stat {
        target: text(&stat.target),
        port: stat.port.unwrap_or(0),
        path: text(&stat.path),
        protocol: text(&stat.protocol),
    });
    Report {
        id: id.into(),
        host: text(&said.host),
        kind,
        version: text(&said.version),
        location,
        stats: stats.collect(),
    }
}

fn message(location: &Location) -> v1::Location {
    v1::Location {
        region: Some(location.region.to_string()),
        zone: Some(location.zone.to_string()),
        campus: Some(location.campus.to_string()),
    }
}
