//! Polaris: what its SDKs say and how they are answered.
//!
//! Invariant: what fails for a reason of ours or of the client is a code inside an answer; the call itself
//! succeeds, because SDKs take a failed call for a lost server.
//! Not here: messages and the table of codes (`merak-wire`), names and weights as both protocols see them
//! ([`crate::common::mapping`]).
//! Start reading at [`PolarisGrpc`]. Beside it: [`check`] refuses what cannot be taken, [`convert`] translates
//! what can (and [`describe`] all but instances), `errors` says what a use case refused, [`admission`] who may
//! not go on.

mod admission;
mod check;
mod clients;
mod contracts;
mod convert;
mod describe;
mod errors;
mod grpc;
mod http;
mod system;
mod time;

pub use self::http::{Machine, PolarisHttp, PolarisHttpParts};
pub use grpc::{PolarisGrpc, PolarisParts};
pub use system::{SYSTEM_NAMESPACE, ensure_system};
