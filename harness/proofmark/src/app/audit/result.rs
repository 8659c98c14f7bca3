//! What an audit found, read from the evidence of its run.

use proofmark_evidence::record::Run;
use proofmark_model::{Finding, StepRecord, Verdict};
use serde_json::Value;

/// An alert, and whether it could fire.
#[derive(Debug, Clone)]
pub struct AuditedAlert {
    /// `never`, `undecided` or `living`.
    pub class: String,
    /// The alert's name.
    pub name: String,
    /// The group of its rule.
    pub group: String,
    /// Why it has this class.
    pub why: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The verdict of the finding.
    pub verdict: Verdict,
}

/// What was found, step by step; `None` where a step was not run.
#[derive(Debug, Clone)]
pub struct Audited {
    /// The alerts, worst first.
    pub alerts: Vec<AuditedAlert>,
    /// Whether the last reload succeeded.
    pub status: Option<StepRecord>,
    /// The targets.
    pub targets: Option<StepRecord>,
    /// The rules.
    pub rules: Option<StepRecord>,
    /// The routes of the alerts.
    pub routes: Option<StepRecord>,
}

/// Worst first.
const CLASSES: [&str; 3] = ["never", "undecided", "living"];

impl AuditedAlert {
    /// Reads the finding on an alert, which says its class.
    fn read(finding: &Finding) -> Option<Self> {
        let text = |key: &str| finding.seen[key].as_str().map(str::to_owned);
        let (class, name, group, why) = (text("class")?, text("alert")?, text("group")?, text("why")?);
        Some(Self { class, name, group, why, help: finding.help.clone(), verdict: finding.verdict })
    }
}

impl Audited {
    /// Reads the steps of these two scenarios.
    pub(super) fn read(run: &Run, prometheus: &str, alertmanager: &str) -> Self {
        let (rules, routes) = (run.step(prometheus, "rules"), run.step(alertmanager, "routes"));
        let findings = rules.iter().flat_map(|record| &record.findings);
        let mut alerts: Vec<AuditedAlert> = findings.filter_map(AuditedAlert::read).collect();
        let rank = |alert: &AuditedAlert| CLASSES.iter().position(|class| *class == alert.class);
        alerts.sort_by_cached_key(|alert| {
            (rank(alert), alert.verdict != Verdict::Failed, alert.name.clone(), alert.group.clone())
        });
        let (status, targets) = (run.step(prometheus, "status"), run.step(prometheus, "targets"));
        Self { alerts, status, targets, rules, routes }
    }

    /// How many alerts have a class.
    pub fn number(&self, class: &str) -> usize {
        self.alerts.iter().filter(|alert| alert.class == class).count()
    }
}

/// Whether a route leads an alert of the observation `routes` to a receiver that notifies, for some labels.
pub fn may_notify(routes: &Value, alert: &Value) -> bool {
    items(&alert["receivers"])
        .filter_map(|lead| lead["receiver"].as_str())
        .any(|receiver| notifies(routes, receiver))
}

/// Whether the routes lead an alert to a receiver that notifies whatever its labels are.
pub fn surely_notifies(routes: &Value, alert: &Value) -> bool {
    let notifying = |lead: &Value| notifies(routes, lead["receiver"].as_str().unwrap_or_default());
    let leads = alert["receivers"].as_array().map(Vec::as_slice).unwrap_or_default();
    leads.iter().any(|lead| lead["certain"] == true && notifying(lead)) || leads.iter().all(notifying)
}

/// Whether a receiver has an integration.
fn notifies(routes: &Value, receiver: &str) -> bool {
    let named = items(&routes["receivers"]).filter(|one| one["name"] == receiver);
    named.flat_map(|one| items(&one["integrations"])).next().is_some()
}

/// The elements of a JSON list; none where it is no list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
