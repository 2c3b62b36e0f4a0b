//! What is asked of a server and how its answer is checked: a file for each question.
//! Invariant: an operation counts only when its answer says what it should; everything else is a failure
//! with a reason.
//! Not here: when operations start (`driver`) and how results look (`report`).

pub(crate) mod memory;
pub(crate) mod nacos_http;
pub(crate) mod one_service;
pub(crate) mod polaris_grpc;
pub(crate) mod visibility;
