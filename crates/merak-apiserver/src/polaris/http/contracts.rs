//! Service contracts for consoles: lists, and what operators describe.
//!
//! Invariant: what operators write replaces nothing that a service said of itself (`domain::contract`).
//! Not here: reports of services, which come over gRPC; checks and messages ([`crate::polaris::contracts`]).

use super::PolarisHttp;
use super::batch;
use super::call::Call;
use super::query::Query;
use super::reply::{Refusal, response};
use super::route::{Answered, Route, routes};
use crate::common::mapping;
use crate::polaris::contracts::{self, Refused};
use merak_app::access::Permission::{ConsoleRead, ConsoleWrite};
use merak_app::access::{Resource, ResourceKind};
use merak_app::contracts::ContractQuery;
use merak_app::naming::{Naming, Pattern};
use merak_domain::contract::{Contract, ContractId, ContractKey, ContractWrite, Source};
use merak_domain::naming::service_id;
use merak_wire::polaris::codes;
use merak_wire::polaris::v1::{BatchQueryResponse, Response, ServiceContract};
use prost::Message as _;
use prost_types::Any;
use std::collections::{BTreeMap, BTreeSet};

/// Its routes.
pub(super) fn routes() -> Vec<Route> {
    routes! { "/naming/v1/service":
        POST "/contracts", ConsoleWrite, "CreateServiceContracts", Batch, create;
        GET "/contracts", ConsoleRead, "DescribeServiceContracts", Page, list;
        POST "/contracts/delete", ConsoleWrite, "DeleteServiceContracts", Batch, delete;
        GET "/contract/versions", ConsoleRead, "DescribeServiceContractVersions", Page, versions;
        POST "/contract/methods", ConsoleWrite, "CreateServiceContractInterfaces", One, replace_methods;
        PUT "/contract/methods/append", ConsoleWrite, "AppendServiceContractInterfaces", One, append_methods;
        POST "/contract/methods/delete", ConsoleWrite, "DeleteServiceContractInterfaces", One, delete_methods;
    }
}

/// POST `/contracts`: makes them, or changes what they say.
async fn create(http: &PolarisHttp, call: &Call) -> Answered {
    let said: Vec<ServiceContract> = call.list()?;
    let check =
        |said: &ServiceContract| contracts::described(said, Source::Operator).err().map(Refused::response);
    if let Some(refusal) = batch::refused(&said, check) {
        return Ok(refusal);
    }
    for said in &said {
        authorize(http, call, &contracts::key(said))?;
    }
    let mut responses = Vec::with_capacity(said.len());
    for said in &said {
        responses.push(write(http, call, contracts::described(said, Source::Operator)).await);
    }
    Ok(batch::folded(responses))
}

/// POST `/contracts/delete`. One that is not there is gone already.
async fn delete(http: &PolarisHttp, call: &Call) -> Answered {
    let said: Vec<ServiceContract> = call.list()?;
    let check = |said: &ServiceContract| contracts::id(said).err().filter(|refused| !refused.is_absence());
    if let Some(refusal) = batch::refused(&said, |said| check(said).map(Refused::response)) {
        return Ok(refusal);
    }
    for said in &said {
        authorize_kept(http, call, said)?;
    }
    let mut responses = Vec::with_capacity(said.len());
    for said in &said {
        let done = write(http, call, contracts::id(said).map(ContractWrite::Delete)).await;
        let is_gone = matches!(done.code, Some(codes::NO_NEED_UPDATE | codes::NOT_FOUND_RESOURCE));
        responses.push(if is_gone { response(codes::EXECUTE_SUCCESS) } else { done });
    }
    Ok(batch::folded(responses))
}

/// POST `/contract/methods`: all interfaces that operators know of.
async fn replace_methods(http: &PolarisHttp, call: &Call) -> Answered {
    let said: ServiceContract = call.message()?;
    authorize_kept(http, call, &said)?;
    let asked =
        contracts::id(&said).and_then(|id| Ok(ContractWrite::replace(id, contracts::interfaces(&said)?)));
    Ok(write(http, call, asked).await.into())
}

/// PUT `/contract/methods/append`: more of them.
async fn append_methods(http: &PolarisHttp, call: &Call) -> Answered {
    let said: ServiceContract = call.message()?;
    authorize_kept(http, call, &said)?;
    let asked =
        contracts::id(&said).and_then(|id| Ok(ContractWrite::append(id, contracts::interfaces(&said)?)));
    Ok(write(http, call, asked).await.into())
}

/// POST `/contract/methods/delete`: fewer of them.
async fn delete_methods(http: &PolarisHttp, call: &Call) -> Answered {
    let said: ServiceContract = call.message()?;
    authorize_kept(http, call, &said)?;
    let asked = contracts::id(&said)
        .and_then(|id| Ok(ContractWrite::Remove(id, contracts::named_interfaces(id, &said)?)));
    Ok(write(http, call, asked).await.into())
}

async fn write(http: &PolarisHttp, call: &Call, asked: Result<ContractWrite, Refused>) -> Response {
    let done = match asked {
        Ok(write) => http.contracts.by(call.origin()).write(write).await.map_err(Refused::from),
        Err(refused) => Err(refused),
    };
    match done {
        Ok(true) => response(codes::EXECUTE_SUCCESS),
        Ok(false) => response(codes::NO_NEED_UPDATE),
        Err(refused) => refused.response(),
    }
}

/// GET `/contracts`.
async fn list(http: &PolarisHttp, call: &Call) -> Answered {
    let page = call.query.page()?;
    let is_brief = call.query.truth("brief")?.unwrap_or(false);
    let found = http.contracts.find(&asked(&call.query), sees(http, call), page.offset, page.limit);
    let mut versions = LiveVersions::default();
    let rows = found.rows.iter().map(|contract| {
        let mut shown = if is_brief { contracts::brief(contract) } else { contracts::message(contract) };
        let status = if versions.has(&http.naming, contract) { "Online" } else { "Offline" };
        status.clone_into(&mut shown.status);
        shown
    });
    Ok(answer(found.total, rows.collect()).into())
}

/// GET `/contract/versions`: the contracts of one service, without what they say.
async fn versions(http: &PolarisHttp, call: &Call) -> Answered {
    for needed in ["namespace", "service"] {
        if call.query.get(needed).unwrap_or("").is_empty() {
            return Err(Refusal::because(codes::INVALID_PARAMETER, &format!("{needed} is empty")));
        }
    }
    let query = ContractQuery {
        namespace: call.query.get("namespace").map(Pattern::parse),
        service: call.query.get("service").map(Pattern::parse),
        ..ContractQuery::default()
    };
    let page = call.query.page()?;
    let found = http.contracts.find(&query, sees(http, call), page.offset, page.limit);
    let rows = found.rows.iter().map(|contract| contracts::brief(contract));
    Ok(answer(found.total, rows.collect()).into())
}

/// Whether the caller may do that with a contract's service.
fn authorize(http: &PolarisHttp, call: &Call, key: &ContractKey) -> Result<(), Refusal> {
    http.authorize(call, &[resource(&service_id(&key.namespace, &key.service), key)])
}

/// The same for a contract that a message names, perhaps by its id alone.
fn authorize_kept(http: &PolarisHttp, call: &Call, said: &ServiceContract) -> Result<(), Refusal> {
    let kept = ContractId::parse(&said.id).and_then(|id| http.contracts.get(id));
    authorize(http, call, &kept.map_or_else(|| contracts::key(said), |kept| kept.key.clone()))
}

/// Which contracts the caller may see: those of services it may see.
fn sees(http: &PolarisHttp, call: &Call) -> impl Fn(&Contract) -> bool {
    move |contract: &Contract| {
        let key = &contract.key;
        let id = service_id(&key.namespace, &key.service);
        http.access.sees(call.pass(), call.function, resource(&id, key))
    }
}

fn resource<'a>(id: &'a str, key: &'a ContractKey) -> Resource<'a> {
    Resource { kind: ResourceKind::Service, id, namespace: Some(&key.namespace), labels: None }
}

/// Parameters without a value ask for nothing, as do those that are not known.
fn asked(query: &Query) -> ContractQuery {
    let given = |key| query.get(key).filter(|text| !text.is_empty());
    let pattern = |key| given(key).map(Pattern::parse);
    ContractQuery {
        id: given("id").map(Box::from),
        namespace: pattern("namespace"),
        service: pattern("service"),
        name: pattern("name"),
        protocol: pattern("protocol"),
        version: pattern("version"),
    }
}

fn answer(total: usize, rows: Vec<ServiceContract>) -> BatchQueryResponse {
    let code = codes::EXECUTE_SUCCESS;
    BatchQueryResponse {
        code: Some(code),
        info: Some(codes::info(code).to_owned()),
        amount: u32::try_from(total).ok(),
        size: u32::try_from(rows.len()).ok(),
        data: rows.iter().map(any).collect(),
        ..BatchQueryResponse::default()
    }
}

fn any(contract: &ServiceContract) -> Any {
    Any { type_url: "type.googleapis.com/v1.ServiceContract".to_owned(), value: contract.encode_to_vec() }
}

/// The versions of which healthy instances are there, each service looked at once.
#[derive(Default)]
struct LiveVersions(BTreeMap<(Box<str>, Box<str>), BTreeSet<Box<str>>>);

impl LiveVersions {
    fn has(&mut self, naming: &Naming, contract: &Contract) -> bool {
        let key = &contract.key;
        let of_service = self.0.entry((key.namespace.clone(), key.service.clone())).or_insert_with(|| {
            let service = mapping::service_from_polaris(&key.namespace, &key.service);
            let Some(view) = naming.resolve(service) else { return BTreeSet::new() };
            let healthy = view.instances.iter().filter(|instance| instance.healthy);
            healthy.filter_map(|instance| instance.details.as_ref()?.version.clone()).collect()
        });
        of_service.contains(&key.version)
    }
}
