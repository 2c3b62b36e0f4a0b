//! What callers may ask for, in a file in the form of polaris-server's `rule.yaml`.
//!
//! Invariant: a file with anything unknown or unfit in it is not used at all; the error says what. What is not `open` is
//! not limited, and its numbers are not looked at.
//! Not here: what the rules do (`merak_app::ratelimit`), how often the file is looked at (`merak_app::reload`).
//! Start reading at [`parse`].

use crate::touched::Touched;
use async_trait::async_trait;
use merak_app::ports::{ReloadError, Reloaded};
use merak_app::ratelimit::{Each, Rate, Rules};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file.
const FILE_BYTES: u64 = 1024 * 1024;
/// Addresses or instances told apart unless told, as upstream.
const KEPT_USUAL: usize = 1_024;
/// And at most: 100 MB.
const KEPT_MAX: usize = 1_000_000;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    ip_limit: EachWritten,
    instance_limit: EachWritten,
    api_limit: ApisWritten,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct EachWritten {
    open: bool,
    global: LimitWritten,
    resource_cache_amount: Option<usize>,
    white_list: HashSet<IpAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitWritten {
    /// Of one method's rule. Elsewhere it is there and means nothing.
    open: bool,
    bucket: u32,
    rate: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ApisWritten {
    open: bool,
    rules: Vec<RuleWritten>,
    apis: Vec<ApiWritten>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleWritten {
    name: String,
    limit: LimitWritten,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiWritten {
    name: String,
    rule: String,
}

/// Rules in a file.
#[derive(Debug)]
pub struct FileRules(Arc<Touched>);

impl FileRules {
    /// The rules in this file. Reads nothing yet.
    pub fn new(path: &Path) -> FileRules {
        FileRules(Arc::new(Touched::new(path, FILE_BYTES)))
    }
}

#[async_trait]
impl Reloaded<Rules> for FileRules {
    async fn changed(&self) -> Result<Option<Rules>, ReloadError> {
        let file = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || file.read(parse)).await;
        read.unwrap_or_else(|error| Err(ReloadError(format!("its thread ended early: {error}"))))
    }
}

fn parse(text: &str) -> Result<Rules, String> {
    // An empty file is one without rules.
    let written: Option<Written> = serde_norway::from_str(text).map_err(|error| error.to_string())?;
    let Written { ip_limit, instance_limit, api_limit } = written.unwrap_or_default();
    if !instance_limit.white_list.is_empty() {
        return Err("instance-limit: only ip-limit has a white-list".to_owned());
    }
    let ip = each("ip-limit", &ip_limit)?;
    let white = ip_limit.white_list.into_iter().map(|ip| ip.to_canonical()).collect();
    let instance = each("instance-limit", &instance_limit)?;
    let mut rules = Rules { ip, white, instance, ..Rules::default() };
    if api_limit.open {
        let limits: BTreeMap<&str, &LimitWritten> =
            api_limit.rules.iter().map(|rule| (rule.name.as_str(), &rule.limit)).collect();
        for ApiWritten { name, rule } in &api_limit.apis {
            let Some(limit) = limits.get(rule.as_str()) else {
                return Err(format!("api-limit: `{name}` names the rule `{rule}`, which is not there"));
            };
            let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
            let is_api = match name.split_once('/') {
                // A request of Nacos over gRPC, such as InstanceRequest.
                None => is_word(name),
                Some(("", _)) => true,
                Some((method, _)) => method.strip_suffix(':').is_some_and(is_word),
            };
            if !is_api {
                return Err(format!(
                    "api-limit: `{name}` is neither METHOD:/path nor /package.Service/Method nor SomeRequest"
                ));
            }
            if limit.open {
                rules.apis.insert(name.as_str().into(), rate(&format!("api-limit: rule `{rule}`"), limit)?);
            }
        }
    }
    Ok(rules)
}

fn each(what: &str, written: &EachWritten) -> Result<Option<Each>, String> {
    if !written.open {
        return Ok(None);
    }
    let kept = written.resource_cache_amount.unwrap_or(KEPT_USUAL);
    let kept = NonZeroUsize::new(kept).filter(|kept| kept.get() <= KEPT_MAX);
    let kept = kept.ok_or_else(|| format!("{what}: resource-cache-amount is not from 1 to {KEPT_MAX}"))?;
    Ok(Some(Each { rate: rate(what, &written.global)?, kept }))
}

fn rate(what: &str, written: &LimitWritten) -> Result<Rate, String> {
    let bucket = NonZeroU32::new(written.bucket).ok_or_else(|| format!("{what}: bucket is missing or 0"))?;
    let per_second = NonZeroU32::new(written.rate).ok_or_else(|| format!("{what}: rate is missing or 0"))?;
    Ok(Rate { bucket, per_second })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bucket: u32, rate: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        Rate { bucket: number(bucket), per_second: number(rate) }
    }

    #[test]
    fn the_form_of_polaris_server() {
        let text = "\
ip-limit:
  open: true
  global: { open: false, bucket: 300, rate: 200 }
  resource-cache-amount: 2048
  white-list: [127.0.0.1, \"::ffff:127.0.0.2\"]
instance-limit:
  open: true
  global: { bucket: 200, rate: 100 }
api-limit:
  open: true
  rules:
    - { name: write, limit: { open: true, bucket: 1000, rate: 500 } }
    - { name: free, limit: { open: false, bucket: 1, rate: 1 } }
  apis:
    - { name: \"POST:/naming/v1/services\", rule: write }
    - { name: \"/v1.PolarisGRPC/RegisterInstance\", rule: write }
    - { name: \"GET:/naming/v1/services\", rule: free }
";
        let rules = parse(text).expect("good rules");
        let kept = |n| NonZeroUsize::new(n).expect("not zero");
        assert_eq!(rules.ip, Some(Each { rate: rate(300, 200), kept: kept(2_048) }));
        assert_eq!(rules.instance, Some(Each { rate: rate(200, 100), kept: kept(1_024) }));
        let white = ["127.0.0.1", "127.0.0.2"].map(|ip| ip.parse().expect("an address"));
        assert_eq!(rules.white, white.into());
        let mut apis: Vec<(&str, Rate)> = rules.apis.iter().map(|(name, rate)| (&**name, *rate)).collect();
        apis.sort_unstable_by_key(|(name, _)| *name);
        let both = ["/v1.PolarisGRPC/RegisterInstance", "POST:/naming/v1/services"];
        assert_eq!(apis, both.map(|name| (name, rate(1_000, 500))));
    }

    #[test]
    fn nothing_is_limited() {
        for text in [
            "",
            "# nothing",
            "ip-limit:\n  open: false\n  global: { open: false, bucket: 0, rate: 0 }",
            "api-limit: { open: false, apis: [{ name: x, rule: y }] }",
            "api-limit: { open: true }",
        ] {
            assert_eq!(parse(text), Ok(Rules::default()), "{text}");
        }
    }

    #[test]
    fn unfit_files() {
        for (text, expected) in [
            ("ip-limit: { open: true }", "ip-limit: bucket is missing or 0"),
            ("ip-limit: { open: true, global: { bucket: 1 } }", "ip-limit: rate is missing or 0"),
            (
                "instance-limit: { open: true, global: { bucket: 1, rate: 1 }, resource-cache-amount: 0 }",
                "resource-cache-amount is not from 1",
            ),
            ("instance-limit: { white-list: [127.0.0.1] }", "only ip-limit has a white-list"),
            ("ip-limit: { white-list: [home] }", "IP address"),
            ("ip-limits: {}", "unknown field"),
            ("ip-limit: { open: true, global: { bucket: -1, rate: 1 } }", "-1"),
            (
                "api-limit: { open: true, apis: [{ name: \"GET:/\", rule: x }] }",
                "the rule `x`, which is not there",
            ),
            (
                "api-limit: { open: true, rules: [{ name: x, limit: {} }], apis: [{ name: \"GET:x\", rule: x }] }",
                "`GET:x` is neither",
            ),
            (
                "api-limit: { open: true, rules: [{ name: x, limit: { open: true, rate: 1 } }], apis: [{ name: \"GET:/\", rule: x }] }",
                "rule `x`: bucket",
            ),
            ("- a", "invalid type"),
            (": :", ""),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
