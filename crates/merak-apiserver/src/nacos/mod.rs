//! Nacos: HTTP v1 naming as Nacos 2.x answers it.
//!
//! Invariant: whatever a client sends is either carried out or answered with an error of [`errors`]; no request
//! is half done.
//! Not here: texts and JSON pieces (`wire::nacos`), names that Polaris shares ([`crate::common::mapping`]).
//! Start reading at [`http::NacosHttp`], then `http::routes`.

mod admission;
mod encode;
mod errors;
mod grpc;
pub mod http;
mod push;
mod select;
mod switches;

pub use grpc::{NacosGrpc, NacosGrpcParts};
pub use http::{NacosHttp, NacosParts};
pub use push::{Trust, UdpParts, UdpPush};
