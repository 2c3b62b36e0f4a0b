//! How the generator speaks: the cheapest honest clients of both protocols.
//! Invariant: an answer is read whole before the next request goes out on a connection (HTTP) or stream (gRPC).
//! Not here: what is said (`scenario`) and when (`driver`).

pub(crate) mod grpc;
pub(crate) mod http;
