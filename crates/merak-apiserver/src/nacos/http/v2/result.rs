//! The wrapper of v2 and v3: `{"code":0,"message":"success","data":…}`, and the table from what went wrong to its code.
//!
//! Invariant: a fault of the caller is a 4xx with a code of [`Code`], or a bare text where the parameter check of
//! Nacos answers before anything else (nacos-http §0.6b).
//! Not here: the statuses and sentences of failures (`nacos::errors`), refusals of the gate (`http::reply`).
//! Start reading at [`Refused`].

use super::super::reply;
use crate::common::body::Body;
use crate::nacos::errors::Failure;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use merak_app::naming::NamingError;
use merak_domain::naming::Refusal;
use merak_domain::naming::instance::preserved;
use merak_wire::nacos::json::{push_integer, push_text};

/// What a handler of v2 or v3 answers.
pub(in crate::nacos::http) type Answer = Result<Response<Body>, Refused>;

/// The codes we answer with (nacos-http §0.A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nacos::http) enum Code {
    /// Done.
    Success,
    /// What is asked for is not done here.
    NotAllowed,
    /// A parameter is missing or blank.
    Missing,
    /// The caller may not do that.
    Denied,
    /// The disk does not take or give it.
    Data,
    /// A parameter is not what it must be.
    Unfit,
    /// What is asked for is not there.
    NotFound,
    /// Something else is in the way.
    Conflict,
    /// A weight is none.
    Weight,
    /// No such instance.
    NoInstance,
    /// An instance contradicts itself, or its service is not there.
    Instance,
    /// A selector is none.
    Selector,
    /// A service of this name is there.
    ServiceExists,
    /// No such service.
    NoService,
    /// A service is not empty.
    ServiceBusy,
    /// A namespace is named as none may be.
    IllegalNamespace,
    /// No such namespace.
    NoNamespace,
    /// A namespace of this id is there.
    NamespaceExists,
    /// There is no such state of a member.
    IllegalState,
    /// All else.
    Server,
}

impl Code {
    /// The number and the words that go with it.
    fn wire(self) -> (u32, &'static str) {
        match self {
            Code::Success => (0, "success"),
            Code::NotAllowed => (405, "members cannot be removed this way"),
            Code::Missing => (10_000, "parameter missing"),
            Code::Denied => (10_001, "access denied"),
            Code::Data => (10_002, "data access error"),
            Code::Unfit => (20_002, "parameter validate error"),
            Code::NotFound => (20_004, "resource not found"),
            Code::Conflict => (20_005, "resource conflict"),
            Code::Weight => (21_001, "weight error"),
            Code::NoInstance => (21_003, "instance not found"),
            Code::Instance => (21_004, "instance error"),
            Code::Selector => (21_006, "selector error"),
            Code::ServiceExists => (21_007, "service already exist"),
            Code::NoService => (21_008, "service not exist"),
            Code::ServiceBusy => (21_009, "service delete failure"),
            Code::IllegalNamespace => (22_000, "illegal namespace"),
            Code::NoNamespace => (22_001, "namespace not exist"),
            Code::NamespaceExists => (22_002, "namespace already exist"),
            Code::IllegalState => (23_000, "illegal state"),
            Code::Server => (30_000, "server error"),
        }
    }
}

/// Why a request of v2 or v3 was not carried out.
#[derive(Debug)]
pub(in crate::nacos::http) enum Refused {
    /// By the parameter check, or before the parameters were read: said as v1 says it.
    Check(Failure),
    /// By what it asks for.
    Coded {
        /// The status.
        status: StatusCode,
        /// The code.
        code: Code,
        /// A sentence for people.
        detail: String,
    },
}

impl Refused {
    /// A refusal with this code.
    pub(in crate::nacos::http) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Refused {
        Refused::Coded { status, code, detail: detail.into() }
    }

    /// A parameter whose type does not fit. Nacos has 500 and 30000 here; what a caller got wrong is no fault of ours.
    pub(in crate::nacos::http) fn unfit(detail: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, Code::Unfit, detail)
    }

    /// The same, with another code where it has this one: some routes call the same thing by another number.
    pub(in crate::nacos::http) fn instead(self, of: Code, status: StatusCode, code: Code) -> Refused {
        match self {
            Refused::Coded { code: was, detail, .. } if was == of => Refused::Coded { status, code, detail },
            other => other,
        }
    }

    /// The answer.
    pub(in crate::nacos::http) fn response(&self) -> Response<Body> {
        match self {
            Refused::Check(failure) => reply::failure(failure),
            Refused::Coded { status, code, detail } => {
                let mut data = Vec::with_capacity(detail.len() + 2);
                push_text(&mut data, detail);
                let mut response = reply::json_bytes(wrap(*code, &data));
                *response.status_mut() = *status;
                response
            }
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        let Some(code) = code_of(&failure) else { return Refused::Check(failure) };
        let status = match code {
            Code::NoNamespace => StatusCode::NOT_FOUND,
            Code::Conflict => StatusCode::CONFLICT,
            _ => failure.status(),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            reply::log(&failure);
        }
        Refused::Coded { status, code, detail: failure.to_string() }
    }
}

impl From<NamingError> for Refused {
    fn from(error: NamingError) -> Refused {
        Failure::from(error).into()
    }
}

/// `None`: the parameter check refuses it.
fn code_of(failure: &Failure) -> Option<Code> {
    Some(match failure {
        Failure::Illegal { .. }
        | Failure::Unfit { name: "port", .. }
        | Failure::Encoding
        | Failure::TooManyParameters(_)
        | Failure::Body(_) => return None,
        Failure::Missing(_) => Code::Missing,
        Failure::Unfit { name: "weight", .. } => Code::Weight,
        Failure::Unfit { name: "selector", .. } => Code::Selector,
        Failure::Unfit { name: preserved::ID_GENERATOR, .. } | Failure::BeatTimes => Code::Instance,
        Failure::NoSuchInstance | Failure::NoSuchUser => Code::NotFound,
        Failure::NoSuchService => Code::NoService,
        Failure::Naming(NamingError::Refused(refusal)) => code_of_refusal(refusal),
        Failure::Naming(NamingError::Store(_)) => Code::Data,
        Failure::Account(_) => Code::Denied,
        other if other.status() == StatusCode::BAD_REQUEST => Code::Unfit,
        other if other.status() == StatusCode::NOT_FOUND => Code::NotFound,
        _ => Code::Server,
    })
}

fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NoSuchNamespace => Code::NoNamespace,
        Refusal::NamespaceExists => Code::NamespaceExists,
        Refusal::NamespaceNotEmpty => Code::Conflict,
        Refusal::NoSuchService => Code::NoService,
        Refusal::ServiceExists | Refusal::ServiceIsAlias => Code::ServiceExists,
        Refusal::ServiceNotEmpty | Refusal::ServiceHasAliases => Code::ServiceBusy,
        Refusal::NoSuchAlias | Refusal::NoSuchInstance => Code::NotFound,
        Refusal::UnfitCluster(_) | Refusal::TooManyClusters | Refusal::SourceIsAlias => Code::Unfit,
        // The kind of a service, and a health that is checked: Nacos has no code of their own for these.
        _ => Code::Server,
    }
}

/// An answer with this JSON in it.
pub(in crate::nacos::http) fn data(json: &[u8]) -> Answer {
    Ok(reply::json_bytes(wrap(Code::Success, json)))
}

/// A write was carried out.
pub(in crate::nacos::http) fn ok() -> Answer {
    data(b"\"ok\"")
}

/// A write was carried out, said as the routes on namespaces say it.
pub(in crate::nacos::http) fn yes() -> Answer {
    data(b"true")
}

/// Nothing was done, and that is no failure: status 200 with a code.
pub(in crate::nacos::http) fn soft(code: Code) -> Answer {
    Ok(reply::json_bytes(wrap(code, b"null")))
}

/// The answer of a handler of v1 in the wrapper: its JSON as it is, its text as a text.
pub(in crate::nacos::http) async fn wrapped(answer: Response<Body>) -> Answer {
    let is_json = reply::is_json(&answer);
    let Ok(body) = answer.into_body().collect().await;
    let body = body.to_bytes();
    if is_json {
        return data(&body);
    }
    let mut text = Vec::with_capacity(body.len() + 2);
    push_text(&mut text, &String::from_utf8_lossy(&body));
    data(&text)
}

/// `{"code":…,"message":…,"data":…}`.
pub(in crate::nacos::http) fn wrap(code: Code, data: &[u8]) -> Bytes {
    let (number, message) = code.wire();
    let mut json = Vec::with_capacity(48 + message.len() + data.len());
    json.extend_from_slice(b"{\"code\":");
    push_integer(&mut json, number);
    json.extend_from_slice(b",\"message\":");
    push_text(&mut json, message);
    json.extend_from_slice(b",\"data\":");
    json.extend_from_slice(data);
    json.push(b'}');
    Bytes::from(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::body::BodyError;
    use merak_app::access::AccountError;
    use merak_app::ports::StoreError;
    use merak_domain::naming::rules::Fault;

    /// Every kind of failure: its status, and its code or the bare text of the parameter check.
    #[test]
    fn the_whole_table() {
        let refused = |refusal: Refusal| Failure::Naming(refusal.into());
        let store = |error| Failure::Naming(NamingError::Store(error));
        let unfit = |name| Failure::Unfit { name, expected: "else" };
        #[rustfmt::skip]
        let table = [
            (400, Some(10_000), Failure::Missing("p")),
            (400, None,         Failure::Illegal { name: "p", fault: Fault::Character }),
            (400, None,         unfit("port")),
            (400, None,         Failure::Encoding),
            (400, None,         Failure::TooManyParameters(1)),
            (413, None,         Failure::Body(BodyError::TooLong { max: 1 })),
            (408, None,         Failure::Body(BodyError::Slow)),
            (400, Some(21_001), unfit("weight")),
            (400, Some(21_006), unfit("selector")),
            (400, Some(21_004), unfit(preserved::ID_GENERATOR)),
            (400, Some(20_002), unfit("value")),
            (400, Some(21_004), Failure::BeatTimes),
            (404, Some(20_004), Failure::NoSuchInstance),
            (400, Some(21_008), Failure::NoSuchService),
            (404, Some(20_004), Failure::NotInCatalog("service")),
            (503, Some(30_000), Failure::NotReady),
            (403, Some(10_001), Failure::Account(AccountError::WrongPassword)),
            (404, Some(22_001), refused(Refusal::NoSuchNamespace)),
            (400, Some(22_002), refused(Refusal::NamespaceExists)),
            (409, Some(20_005), refused(Refusal::NamespaceNotEmpty)),
            (400, Some(21_008), refused(Refusal::NoSuchService)),
            (400, Some(21_007), refused(Refusal::ServiceExists)),
            (400, Some(21_009), refused(Refusal::ServiceNotEmpty)),
            (404, Some(20_004), refused(Refusal::NoSuchInstance)),
            (400, Some(20_004), refused(Refusal::NoSuchAlias)),
            (400, Some(21_007), refused(Refusal::ServiceIsAlias)),
            (400, Some(21_009), refused(Refusal::ServiceHasAliases)),
            (400, Some(20_002), refused(Refusal::SourceIsAlias)),
            (400, Some(30_000), refused(Refusal::OtherKind { ephemeral: true })),
            (400, Some(30_000), refused(Refusal::HealthIsChecked)),
            (400, Some(20_002), refused(Refusal::UnfitCluster("x"))),
            (400, Some(20_002), refused(Refusal::TooManyClusters)),
            (503, Some(30_000), Failure::Naming(NamingError::QueueFull)),
            (503, Some(10_002), store(StoreError::Full("secret".into()))),
            (500, Some(10_002), store(StoreError::Unreadable("secret".into()))),
        ];
        for (status, code, failure) in table {
            let name = format!("{failure:?}");
            let refused = Refused::from(failure);
            assert_eq!(refused.response().status().as_u16(), status, "{name}");
            let coded = match refused {
                Refused::Check(_) => None,
                Refused::Coded { code, detail, .. } => {
                    assert!(!detail.contains("secret"), "{name} says {detail}");
                    Some(code.wire().0)
                }
            };
            assert_eq!(coded, code, "{name}");
        }
    }

    #[tokio::test]
    async fn wrapping() {
        let text = async |answer: Answer| {
            let Ok(body) = answer.expect("an answer").into_body().collect().await;
            String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8")
        };
        let ok = r#"{"code":0,"message":"success","data":"ok"}"#;
        assert_eq!(text(super::ok()).await, ok);
        assert_eq!(text(wrapped(reply::ok().expect("ok")).await).await, ok, "a text of v1");
        let json = reply::json(r#"{"a":1}"#).expect("ok");
        assert_eq!(text(wrapped(json).await).await, r#"{"code":0,"message":"success","data":{"a":1}}"#);
        let unknown = r#"{"code":21003,"message":"instance not found","data":null}"#;
        assert_eq!(text(soft(Code::NoInstance)).await, unknown);
        let quoted = Refused::unfit("a \"b\"").response();
        assert_eq!(quoted.status(), StatusCode::BAD_REQUEST);
        assert!(text(Ok(quoted)).await.ends_with(r#""data":"a \"b\""}"#));
    }
}
