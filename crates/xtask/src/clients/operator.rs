//! An operator at the console API of Polaris (8090): what is done to instances that clients hold.
//! Invariant: a call that returns was carried out: `code` 200000.
//! Not here: what clients make of it (`super::checks`).
//! Start at `Operator::login`.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http;
use super::kinds::Protocol;

/// What the API says of something that was done.
const DONE: u64 = 200_000;

pub(super) struct Operator {
    address: String,
    token: String,
}

impl Operator {
    pub(super) fn login(address: &str, user: &str, password: &str) -> Result<Self> {
        let mut operator = Self { address: address.to_owned(), token: String::new() };
        let answer =
            operator.send("POST /core/v1/user/login", &json!({"name": user, "password": password}))?;
        let token = answer["loginResponse"]["token"].as_str().context("a login without a token")?;
        token.clone_into(&mut operator.token);
        Ok(operator)
    }

    /// Isolates what there is of the service at the host of this address, or takes it back.
    pub(super) fn isolate(&self, service: &str, address: &str, isolate: bool) -> Result<()> {
        let mut hosts = of(service, address)?;
        hosts["isolate"] = isolate.into();
        self.send("PUT /naming/v1/instances/isolate/host", &json!([hosts])).map(drop)
    }

    /// Gives an instance another weight.
    pub(super) fn weigh(&self, service: &str, address: &str, weight: u32) -> Result<()> {
        let mut instance = of(service, address)?;
        instance["weight"] = weight.into();
        self.send("PUT /naming/v1/instances", &json!([instance])).map(drop)
    }

    /// Deletes an instance, as if the server had forgotten it.
    pub(super) fn forget(&self, service: &str, address: &str) -> Result<()> {
        self.send("POST /naming/v1/instances/delete", &json!([of(service, address)?])).map(drop)
    }

    /// When an instance was registered, if it is there: a second life has another time.
    pub(super) fn registered(&self, service: &str, address: &str) -> Result<Option<String>> {
        let instance = of(service, address)?;
        let path = format!(
            "/naming/v1/instances?service={service}&namespace={}&host={}&port={}",
            Protocol::Polaris.namespace(),
            instance["host"].as_str().context("no host")?,
            instance["port"],
        );
        let answer = http::get(&self.address, &path, &self.headers())?;
        Ok(answer.pointer("/instances/0/ctime").and_then(Value::as_str).map(str::to_owned))
    }

    /// Gives a service another name.
    pub(super) fn name_also(&self, service: &str, alias: &str) -> Result<()> {
        let namespace = Protocol::Polaris.namespace();
        let alias = json!({
            "service": service, "namespace": namespace, "alias": alias, "alias_namespace": namespace,
        });
        self.send("POST /naming/v1/service/alias", &alias).map(drop)
    }

    fn send(&self, line: &str, body: &Value) -> Result<Value> {
        let answer = http::send(&self.address, line, &self.headers(), body)?;
        if answer["code"] != DONE {
            bail!("{line}: {answer}");
        }
        Ok(answer)
    }

    fn headers(&self) -> [String; 1] {
        [format!("X-Polaris-Token: {}", self.token)]
    }
}

/// The instance of a service at an address.
fn of(service: &str, address: &str) -> Result<Value> {
    let (host, port) = address.rsplit_once(':').context("no address")?;
    let port: u16 = port.parse().context("no port")?;
    let namespace = Protocol::Polaris.namespace();
    Ok(json!({"service": service, "namespace": namespace, "host": host, "port": port}))
}
