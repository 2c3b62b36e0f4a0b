//! How the generator speaks: the cheapest honest clients of each protocol.
//! Invariant: an answer is read whole before the next request goes out on a connection (HTTP) or stream (gRPC).
//! Not here: what is said (`scenario`) and when (`driver`).

pub(crate) mod frames;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod nacos;
pub(crate) mod payload;
