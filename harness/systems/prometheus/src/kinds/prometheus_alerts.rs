//! `prometheus-alerts`: the alerts that are pending or firing in Prometheus, before they reach an Alertmanager.

use crate::client::{self as prometheus, Alert};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use proofmark_model::expect::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lists the alerts that are pending or firing in Prometheus.
///
/// A resolved alert disappears at once, and an alert whose rule is misspelt or broken never appears, so an empty list
/// proves something only with a `control`. The labels lack the `external_labels` that Prometheus adds for Alertmanager.
/// With `keep_firing_for` an alert keeps firing although its expression no longer holds; `kept-firing-since` reports
/// this.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusAlerts {
    /// Only alerts of exactly this name. Default: all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only alerts that have exactly these labels, among others. An empty value means that the label is absent.
    /// Default: no condition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Only alerts in this state. Default: both states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// The state of an active alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The expression holds, but not yet for as long as the rule requires.
    Pending,
    /// The alert is sent to Alertmanager.
    Firing,
}

/// The alerts that match the settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusAlertsObservation {
    /// The alerts, sorted by labels.
    pub alerts: Vec<Alert>,
    /// The number of all active alerts, matching or not.
    pub all: u64,
}

impl Kind for PrometheusAlerts {
    const NAME: &'static str = "prometheus-alerts";
    const EXAMPLE: &'static str = "prometheus-alerts: { name: MinIOCapacityLow, state: firing }";
    const JUDGES: &'static str = "At least one alert.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusAlertsObservation;

    fn judge(&self, seen: &PrometheusAlertsObservation, _at: Timestamp) -> Vec<Finding> {
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
    async fn observe(&self, cx: &Cx) -> Result<PrometheusAlertsObservation, StepError> {
        let mut alerts = prometheus::alerts(cx.wire("prometheus")?).await?;
        let all = alerts.len() as u64;
        alerts.retain(|alert| self.wants(alert));
        Ok(PrometheusAlertsObservation { alerts, all })
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
