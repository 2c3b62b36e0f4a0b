//! How bytes look on the network: generated protobuf and hand-written DTOs, codecs only.
//! Invariant: no decoder panics, whatever the bytes; encoding a message twice gives the same bytes.
//! Not here: what a message means (`merak-domain`), when it is sent (`merak-apiserver`).
//! Start at the folder of the protocol in question.

pub mod nacos;
pub mod polaris;
