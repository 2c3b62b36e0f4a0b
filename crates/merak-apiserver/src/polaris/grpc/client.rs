//! ReportClient: a client says that it is there and asks where it stands.
//!
//! Not here: keeping clients. They are answered as upstream answers, and forgotten; where a client stands comes
//! from a CMDB, and there is none.

use super::response;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{Client, Response};

/// Answers a report: the host for a client without id, all of it for one with an id. Nothing is checked.
pub(super) fn report(said: Client) -> Response {
    let client = match said.id.as_deref() {
        None | Some("") => Client { host: said.host, ..Client::default() },
        Some(_) => said,
    };
    Response { client: Some(Box::new(client)), ..response(codes::EXECUTE_SUCCESS) }
}
