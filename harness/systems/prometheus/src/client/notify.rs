//! Reads where the server sends its alerts, and how it changes their labels before sending.

use super::{data, shape};
use proofmark_environment::document;
use proofmark_net::http::{Call, Endpoint, fetch};
use proofmark_net::{ClientError, anchored};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The labels that are added to every alert, and those that are removed.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The `external_labels`, which are added to every alert that does not have a label of the same name.
    pub external: BTreeMap<String, String>,
    /// The patterns of the labels that `alert_relabel_configs` drop.
    pub dropped: Vec<Regex>,
    /// Whether labels are changed in any other way before sending, or alerts may be dropped.
    pub relabelled: bool,
}

#[derive(Deserialize)]
struct Config {
    yaml: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alertmanagers {
    active_alertmanagers: Vec<Active>,
}

#[derive(Deserialize)]
struct Active {
    url: String,
}

/// Returns the Alertmanagers that alerts are sent to, sorted by URL. Being listed does not mean that an Alertmanager
/// accepts them.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn notified(wire: Endpoint<'_>) -> Result<Vec<String>, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get("/api/v1/alertmanagers") }).await?;
    let known: Alertmanagers = data(&answer)?;
    let mut urls: Vec<String> = known.active_alertmanagers.into_iter().map(|one| one.url).collect();
    urls.sort();
    Ok(urls)
}

/// Returns what happens to an alert's labels before it is sent.
///
/// # Errors
/// The server cannot be reached or refuses the request, or its configuration cannot be parsed.
pub async fn outgoing(wire: Endpoint<'_>) -> Result<Outgoing, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get("/api/v1/status/config") }).await?;
    let config: Config = data(&answer)?;
    Outgoing::of(&config.yaml)
        .map_err(|why| shape(&answer, &format!("its configuration cannot be read: {why}")))
}

impl Outgoing {
    fn of(text: &str) -> Result<Self, String> {
        let values = document::values(text)?;
        let config = values.first().unwrap_or(&Value::Null);
        let mut out = Self::default();
        for (name, value) in config["global"]["external_labels"].as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out.external.insert(name.clone(), value);
        }
        for relabel in config["alerting"]["alert_relabel_configs"].as_array().into_iter().flatten() {
            let pattern = relabel["regex"].as_str().map(anchored);
            match (relabel["action"].as_str(), pattern) {
                (Some("labeldrop"), Some(Ok(pattern))) => out.dropped.push(pattern),
                _ => out.relabelled = true,
            }
        }
        Ok(out)
    }

    /// Returns the labels of an alert as they arrive, given the labels that its rule sets.
    pub fn labels(&self, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut labels = self.external.clone();
        labels.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        labels.retain(|name, _| !self.dropped.iter().any(|pattern| pattern.is_match(name)));
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_and_dropped() {
        let config = "
global: { external_labels: { cluster: lab, replica: '1', team: none } }
alerting:
  alert_relabel_configs:
  - { regex: 'rep.*', action: labeldrop, separator: ; }
";
        let outgoing = Outgoing::of(config).unwrap();
        let own = [("team".to_owned(), "shop".to_owned()), ("grep".to_owned(), "x".to_owned())].into();
        let told: Vec<_> = outgoing.labels(&own).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(told, ["cluster=lab", "grep=x", "team=shop"]);
        assert!(!outgoing.relabelled);
        for other in ["{ action: drop, regex: a }", "{ regex: a }", "{ action: labeldrop, regex: '(' }"] {
            let config = format!("alerting: {{ alert_relabel_configs: [{other}] }}");
            assert!(Outgoing::of(&config).unwrap().relabelled, "{other}");
        }
    }
}
