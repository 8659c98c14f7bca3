//! `alertmanager-routes`: checks where each loaded alert would be routed. An alert can fire and be routed without
//! notifying, if its route ends at a receiver without integrations.

use crate::client::alertmanager::{self, Lead, Receiver, Routing};
use jiff::{SignedDuration, Timestamp};
use proofmark_engine::settings::without_reason;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Finding, SettingMistake};
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use proofmark_prometheus::client::{self as prometheus, Outgoing, Query, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Discovery settles within five seconds, and the times are reported in whole seconds.
const SETTLES: SignedDuration = SignedDuration::from_secs(15);

/// Checks where the routes of Alertmanager lead the alerts that Prometheus has loaded, whether they fire or not.
///
/// A receiver without an integration (`email_configs`, `webhook_configs`, …) accepts alerts and does not notify. Known
/// of an alert's labels are its name, what its rule adds, the `external_labels` of Prometheus, and that it has no label
/// that no series carries now. If another label from its series decides whether it notifies, the alert is undecided. It
/// is also undecided if Prometheus changes labels or drops alerts before sending (`alert_relabel_configs` with more
/// than `labeldrop`).
///
/// This does not prove that a notification arrives, nor that nothing is silenced, inhibited or muted now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerRoutes {
    /// The names of the alerts to check. Default: all alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Alerts that need not notify, by name, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub except: BTreeMap<String, String>,
}

/// Where alerts would be routed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerRoutesObservation {
    /// The alerts, sorted by name; alerts of one name with the same routes are listed once.
    pub alerts: Vec<Led>,
    /// The receivers, sorted by name.
    pub receivers: Vec<Receiver>,
    /// The labels that routes test, and whether any series (except `ALERTS`) carries the label now; `null` if the
    /// server does not report it.
    pub labels: BTreeMap<String, Option<bool>>,
    /// The Alertmanagers that Prometheus sends alerts to; `null` if Prometheus does not report them, or loaded its
    /// configuration only seconds ago and has not discovered any yet.
    pub sent_to: Option<Vec<String>>,
    /// Whether Prometheus changes labels, other than by `labeldrop`, or drops alerts; `null` if it does not report
    /// this.
    pub relabelled: Option<bool>,
}

/// One alert and its receivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Led {
    /// The name of the alert.
    pub name: String,
    /// The receivers that the alert may be routed to, sorted by name.
    pub receivers: Vec<Lead>,
}

impl Kind for AlertmanagerRoutes {
    const NAME: &'static str = "alertmanager-routes";
    const EXAMPLE: &'static str =
        "alertmanager-routes: { except: { Watchdog: a dead man's switch takes it elsewhere } }";
    const JUDGES: &'static str = "Prometheus sends alerts to an Alertmanager; at least one alert is loaded, and every one of `names`; every alert is led to at least one receiver with an integration, or is excepted. What labels of the series decide is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus", "alertmanager"];
    type Seen = AlertmanagerRoutesObservation;

    fn judge(&self, seen: &AlertmanagerRoutesObservation, _at: Timestamp) -> Vec<Finding> {
        let mut findings = vec![Count::AT_LEAST_ONE.judge("at least one alert", Some(seen.alerts.len()))];
        for name in self.names.iter().flatten() {
            let there = seen.alerts.iter().any(|alert| alert.name == *name);
            let word = if there { "loaded" } else { "not loaded" };
            findings.push(Finding::judged(format!("alert {name} is loaded"), "loaded", word, there));
        }
        findings.push(judge_sending(seen));
        findings.extend(judge_labels(seen));
        let telling: BTreeSet<&str> = seen
            .receivers
            .iter()
            .filter(|receiver| !receiver.integrations.is_empty())
            .map(|receiver| receiver.name.as_str())
            .collect();
        let asked = |alert: &&Led| !self.except.contains_key(&alert.name);
        let bad: Vec<Finding> =
            seen.alerts.iter().filter(asked).filter_map(|alert| alert.judge(&telling)).collect();
        let looked = seen.alerts.iter().filter(asked).count();
        if bad.is_empty() && looked > 0 {
            let good = format!("{looked} of {looked}");
            findings.push(Finding::judged(
                "every alert is led to somebody",
                good.as_str(),
                good.as_str(),
                true,
            ));
        }
        findings.extend(bad);
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.alerts")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        without_reason(&self.except, "reach nobody")
    }
}

impl Check for AlertmanagerRoutes {
    async fn observe(&self, cx: &Cx) -> Result<AlertmanagerRoutesObservation, StepError> {
        let (prometheus, started) = (cx.wire("prometheus")?, cx.clock.elapsed());
        let mut rules = prometheus::rules(prometheus).await?.rules;
        rules.retain(|rule| rule.kind == "alerting" && self.wants(&rule.name));
        let routing = alertmanager::routing(cx.wire("alertmanager")?.since(started)).await?;
        let sent_to = sent_to(prometheus.since(started)).await?;
        let outgoing = told(prometheus::outgoing(prometheus.since(started)).await)?;
        let mut labels = BTreeMap::new();
        for label in routing.labels().into_iter().filter(|label| *label != "alertname") {
            labels.insert(label.to_owned(), carried(prometheus.since(started), label).await?);
        }
        let led = |rule| led(rule, &routing, outgoing.as_ref(), &labels);
        let mut alerts: Vec<Led> = rules.iter().map(led).collect();
        alerts.sort();
        alerts.dedup();
        let relabelled = outgoing.as_ref().map(|outgoing| outgoing.relabelled);
        Ok(AlertmanagerRoutesObservation {
            alerts,
            receivers: routing.receivers,
            labels,
            sent_to,
            relabelled,
        })
    }
}

impl AlertmanagerRoutes {
    fn wants(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

/// Returns the Alertmanagers that Prometheus has discovered. After a start or reload the discovery takes some seconds.
async fn sent_to(wire: Endpoint<'_>) -> Result<Option<Vec<String>>, StepError> {
    let started = wire.clock.elapsed();
    let known = told(prometheus::notified(wire).await)?;
    if known.as_ref().is_none_or(|urls| !urls.is_empty()) {
        return Ok(known);
    }
    let runtime = told(prometheus::runtime(wire.since(started)).await)?;
    let loaded = runtime.as_ref().and_then(|it| it.server_time.zip(it.reloaded_at));
    let settled = loaded.is_none_or(|(now, loaded)| now.duration_since(loaded) > SETTLES);
    Ok(known.filter(|_| settled))
}

/// Returns `None` for an error that another attempt would not fix, such as a forbidden query, so that the rest is
/// checked nevertheless.
fn told<T>(answer: Result<T, ClientError>) -> Result<Option<T>, StepError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Returns whether any series has this label. Series of alerts are excluded, because they have what rules add. If
/// nothing has been scraped yet, this is unknown.
async fn carried(wire: Endpoint<'_>, label: &str) -> Result<Option<bool>, StepError> {
    let text = format!("count({{{label}!=\"\",__name__!~\"ALERTS|ALERTS_FOR_STATE\"}}) or 0 * count(up)");
    let asked = prometheus::query(wire, &Query { query: &text, at: None, range: None, aside: true }).await;
    let samples = told(asked)?.map(|answer| answer.samples).unwrap_or_default();
    Ok(samples.first().map(|sample| sample.value.0 != 0))
}

fn led(
    rule: &Rule,
    routing: &Routing,
    outgoing: Option<&Outgoing>,
    carried: &BTreeMap<String, Option<bool>>,
) -> Led {
    let mut own = rule.labels.clone();
    own.insert("alertname".into(), rule.name.clone());
    let labels = outgoing.map_or_else(|| own.clone(), |outgoing| outgoing.labels(&own));
    // The value of a template is known only when the alert fires.
    let known = |value: String| (!value.contains("{{")).then_some(value);
    let makes_labels = ["label_replace", "label_join"].iter().any(|call| rule.query.contains(call));
    let without = carried.iter().filter(|(_, carried)| **carried == Some(false) && !makes_labels);
    // A missing label is the same as an empty one.
    let mut all: BTreeMap<_, _> = without.map(|(name, _)| (name.clone(), Some(String::new()))).collect();
    all.extend(labels.into_iter().map(|(name, value)| (name, known(value))));
    let labels = all;
    Led { name: rule.name.clone(), receivers: routing.leads(&labels) }
}

impl Led {
    /// Returns the finding if the alert does not surely notify.
    fn judge(&self, telling: &BTreeSet<&str>) -> Option<Finding> {
        let (good, bad): (Vec<&Lead>, Vec<&Lead>) =
            self.receivers.iter().partition(|lead| telling.contains(lead.receiver.as_str()));
        let named = |leads: &[&Lead]| {
            leads.iter().map(|lead| format!("`{}`", lead.receiver)).collect::<Vec<_>>().join(", ")
        };
        let (what, expected) =
            (format!("alert {} is led to somebody", self.name), "a receiver that tells somebody");
        if good.is_empty() {
            let seen = format!("only {}, which tells nobody", named(&bad));
            let help = "give the receiver an integration, or the alert a route (`amtool config routes test`); where nobody is to hear of it, say why in `except`";
            return Some(Finding::judged(what, expected, seen, false).with_help(help));
        }
        if bad.is_empty() || good.iter().any(|lead| lead.certain) {
            return None;
        }
        let by: BTreeSet<&str> =
            self.receivers.iter().flat_map(|lead| &lead.by).map(String::as_str).collect();
        let by = by.into_iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let seen = format!(
            "{by} of its series decides between {} and {}, which tells nobody",
            named(&good),
            named(&bad)
        );
        Some(Finding::undecided(what, expected, seen).with_help("fire it once and look: `alert-drill`"))
    }
}

fn judge_sending(seen: &AlertmanagerRoutesObservation) -> Finding {
    let (what, expected) = ("Prometheus sends alerts to an Alertmanager", "at least one Alertmanager");
    match &seen.sent_to {
        None => Finding::undecided(what, expected, "it does not tell to whom it sends, or not yet"),
        Some(urls) => Finding::judged(what, expected, urls.join(", "), !urls.is_empty())
            .with_help("add it below `alerting: { alertmanagers: … }` in the configuration of Prometheus"),
    }
}

fn judge_labels(seen: &AlertmanagerRoutesObservation) -> Option<Finding> {
    let why = match seen.relabelled {
        Some(false) => return None,
        Some(true) => "`alert_relabel_configs` change labels or drop alerts",
        None => "its configuration cannot be read, which says which labels it adds",
    };
    let what = "alerts leave Prometheus with the labels that they have there";
    Some(Finding::undecided(what, "no change but `external_labels` and `labeldrop`", why))
}

#[cfg(test)]
mod tests;
