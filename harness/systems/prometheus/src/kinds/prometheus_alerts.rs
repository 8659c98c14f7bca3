//! `prometheus-alerts`: what is pending or firing in Prometheus, before any Alertmanager heard of it.

use crate::client::{self as prometheus, Alert};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use proofmark_model::expect::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Looks at the alerts of Prometheus that are pending or firing.
///
/// An alert that has resolved is gone at once, and one whose rule is misspelt or broken never comes: that there is none
/// counts only with a `control`. Their labels lack the `external_labels` that Alertmanager adds. With `keep_firing_for` an
/// alert fires on although its expression no longer holds: `kept-firing-since` says so.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusAlerts {
    /// Only alerts of exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only alerts with exactly these labels, among others. An empty value stands for a label that is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Only alerts in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// The state of an alert that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its expression holds, not yet for as long as its rule asks.
    Pending,
    /// It is sent to Alertmanager.
    Firing,
}

/// The alerts that were asked for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seen {
    /// Sorted by labels.
    pub alerts: Vec<Alert>,
    /// How many alerts there were in all.
    pub all: u64,
}

impl Kind for PrometheusAlerts {
    const NAME: &'static str = "prometheus-alerts";
    const EXAMPLE: &'static str = "prometheus-alerts: { name: MinIOCapacityLow, state: firing }";
    const JUDGES: &'static str = "At least one alert.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = Seen;

    fn judge(&self, seen: &Seen, _at: Timestamp) -> Vec<Finding> {
        let help = format!(
            "{} alerts are pending or firing in all; is its rule loaded, healthy and evaluated (`prometheus-rules`), and has its `for` passed? Give the step a `within`",
            seen.all
        );
        vec![Count::AT_LEAST_ONE.judge("at least one alert", Some(seen.alerts.len())).with_help(help)]
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.alerts")
    }
}

impl Check for PrometheusAlerts {
    async fn observe(&self, cx: &Cx) -> Result<Seen, StepError> {
        let mut alerts = prometheus::alerts(cx.wire("prometheus")?).await?;
        let all = alerts.len() as u64;
        alerts.retain(|alert| self.wants(alert));
        Ok(Seen { alerts, all })
    }
}

impl PrometheusAlerts {
    fn wants(&self, alert: &Alert) -> bool {
        let state = match self.state {
            None => true,
            Some(State::Pending) => alert.state == "pending",
            Some(State::Firing) => alert.state == "firing",
        };
        let has =
            |(key, value): (&String, &String)| alert.labels.get(key).map_or("", String::as_str) == value;
        state && self.name.as_ref().is_none_or(|name| alert.name == *name) && self.labels.iter().all(has)
    }
}
