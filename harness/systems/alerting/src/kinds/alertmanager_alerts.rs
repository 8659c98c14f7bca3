//! `alertmanager-alerts`: checks which alerts reached Alertmanager, and whether they would notify.

use crate::client::alertmanager::{self, Alert};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use proofmark_model::expect::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lists the alerts that Alertmanager holds.
///
/// A listed alert has arrived. `notifying: true` requires more: at least one alert that is `active` and not silenced,
/// inhibited or muted. Even that does not prove that a message was delivered, and a route may end at a receiver that
/// does not notify: `receivers` shows the receivers of each alert. A resolved alert disappears at once; an alert whose
/// rule was removed stays for up to 4 minutes. With several Alertmanagers, each must be checked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerAlerts {
    /// Only alerts of exactly this name. Default: all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only alerts that have exactly these labels, among others. An empty value means that the label is absent.
    /// Default: no condition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether at least one of them must notify. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notifying: bool,
}

/// The alerts that match the settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerAlertsObservation {
    /// The alerts, sorted by labels.
    pub alerts: Vec<Alert>,
}

/// Whether an alert would notify.
#[derive(PartialEq, Eq)]
enum Notifies {
    Yes,
    No(String),
    Unknown(String),
}

impl Kind for AlertmanagerAlerts {
    const NAME: &'static str = "alertmanager-alerts";
    const EXAMPLE: &'static str = "alertmanager-alerts: { name: MinIOCapacityLow, notifying: true }";
    const JUDGES: &'static str = "At least one alert; with `notifying`, at least one that is active and neither silenced, inhibited nor muted. Where the server does not tell what is muted, that is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["alertmanager"];
    type Seen = AlertmanagerAlertsObservation;

    fn judge(&self, seen: &AlertmanagerAlertsObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "does it fire in Prometheus (`prometheus-alerts`), does Prometheus know this Alertmanager, and are the labels those that Alertmanager sees (with `external_labels`)?";
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one alert", Some(seen.alerts.len())).with_help(help)];
        if self.notifying {
            findings.push(judge_notifying(&seen.alerts));
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.alerts")
    }
}

impl Check for AlertmanagerAlerts {
    async fn observe(&self, cx: &Cx) -> Result<AlertmanagerAlertsObservation, StepError> {
        let alerts = alertmanager::alerts(cx.wire("alertmanager")?, |alert| self.wants(alert)).await?;
        Ok(AlertmanagerAlertsObservation { alerts })
    }
}

impl AlertmanagerAlerts {
    fn wants(&self, alert: &Alert) -> bool {
        let has =
            |(key, value): (&String, &String)| alert.labels.get(key).map_or("", String::as_str) == value;
        self.name.as_ref().is_none_or(|name| alert.name == *name) && self.labels.iter().all(has)
    }
}

fn judge_notifying(alerts: &[Alert]) -> Finding {
    let (what, expected) = ("an alert notifies", "at least one active one, not silenced, inhibited or muted");
    let all: Vec<Notifies> = alerts.iter().map(notifies).collect();
    let yes = all.iter().filter(|it| **it == Notifies::Yes).count();
    if yes > 0 {
        return Finding::judged(what, expected, format!("{yes} of {}", all.len()), true);
    }
    let unknown: Vec<&str> = all.iter().filter_map(Notifies::unknown).collect();
    if !unknown.is_empty() {
        return Finding::undecided(what, expected, unknown.join("; "))
            .with_help("an alert is processed within seconds: give the step a `within`");
    }
    let reasons: Vec<&str> = all.iter().filter_map(Notifies::no).collect();
    let seen = if reasons.is_empty() { "no alert".to_owned() } else { reasons.join("; ") };
    Finding::judged(what, expected, seen, false)
        .with_help("a silence, an inhibiting alert or a mute interval keeps it from being sent")
}

fn notifies(alert: &Alert) -> Notifies {
    let name = &alert.name;
    if !alert.silenced_by.is_empty() {
        return Notifies::No(format!("{name} is silenced by {}", alert.silenced_by.join(", ")));
    }
    if !alert.inhibited_by.is_empty() {
        return Notifies::No(format!("{name} is inhibited by {}", alert.inhibited_by.join(", ")));
    }
    match (&alert.muted_by, alert.state.as_str()) {
        (Some(muted), _) if !muted.is_empty() => {
            Notifies::No(format!("{name} is muted by {}", muted.join(", ")))
        }
        (_, "suppressed") => Notifies::No(format!("{name} is suppressed")),
        (Some(_), "active") => Notifies::Yes,
        (None, "active") => Notifies::Unknown(format!(
            "{name} may be muted: this version does not say so, and its configuration has mute intervals or cannot be read"
        )),
        (_, state) => Notifies::Unknown(format!("{name} is {state}")),
    }
}

impl Notifies {
    fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }

    fn no(&self) -> Option<&str> {
        match self {
            Self::No(why) => Some(why),
            _ => None,
        }
    }
}
