//! Plays Polaris over both of its protocols: what names an `rpc` is a call of gRPC, all else a request of HTTP.
//! Not here: either alone ([`super::polaris`], [`super::polaris_http`]).

use anyhow::Result;
use serde_json::Value;

use super::Player;
use super::polaris::GrpcPlayer;
use super::polaris_http::PolarisHttpPlayer;
use crate::Server;

/// A player with a connection to each.
#[derive(Debug)]
pub struct PolarisPlayer {
    grpc: GrpcPlayer,
    http: PolarisHttpPlayer,
}

impl PolarisPlayer {
    /// Plays against a server, over HTTP with the administrator's account where the data says so.
    pub fn new(server: &Server) -> Result<Self> {
        let http = PolarisHttpPlayer::new(&server.addresses().polaris_http, server.admin()?)?;
        Ok(Self { grpc: GrpcPlayer::connect(server.addresses().polaris_grpc)?, http })
    }
}

impl Player for PolarisPlayer {
    fn send(&mut self, request: &Value) -> Result<Value> {
        match request.get("rpc") {
            Some(_) => self.grpc.send(&self.http.as_admin(request)),
            None => self.http.send(request),
        }
    }
}
