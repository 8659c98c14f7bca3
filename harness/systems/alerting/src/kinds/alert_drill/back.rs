//! Restores the rules after a drill, one move a round. The clone is made false, observed to resolve, and only then
//! removed, so that Alertmanager is informed and does not keep a stale alert. If Prometheus cannot be queried, the file
//! is restored at once.

use super::edit::NEVER;
use super::file::{RuleFile, State, text};
use super::{AlertDrillUndo, DrillMemory, Mark, alerts, grafana, has, is_meant, run};
use crate::client::alertmanager;
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::RevertPermit;
use proofmark_model::{Duration, ErrorCode, Finding, sha256};
use proofmark_net::files;
use proofmark_prometheus::client::{self as prometheus, Reloaded, Rule};
use proofmark_prometheus::promql::threshold::same_expression;
use serde::{Deserialize, Serialize};
use std::time::Duration as Std;

/// How long a false clone may take to resolve, in addition to two evaluations. After that it is removed anyway.
pub(super) const RESOLVES: Std = Std::from_secs(10);

/// How long to wait for an unreachable Prometheus once the file is restored.
const ANSWERS: Std = Std::from_secs(20);

/// How long to keep trying, in addition to the time for evaluations and a stale alert.
const PATIENCE: Std = Std::from_secs(20);

/// How long a change that a program reverts may take to reach Prometheus. An operator needs some minutes for it.
const PIPELINE: Std = Std::from_secs(300);

/// How the rules are restored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Way {
    /// In the rule file.
    RuleFile(RuleFile),
    /// By the user's program, in this folder.
    Command { revert: Vec<String>, cwd: Option<String> },
    /// In Grafana.
    Grafana(grafana::Way),
}

/// What is observed after the rules were restored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertDrillReverted {
    /// The rule file, if the drill changed one.
    file: Option<FileSeen>,
    /// The rules of the drill that Prometheus still has.
    rules: Vec<String>,
    /// The expression of the rule itself; `null` if the rule is not loaded.
    query: Option<String>,
    /// The alerts of the drill in Prometheus, or in Grafana.
    alerts: usize,
    /// The alerts of the drill in Alertmanager, or in Grafana's own.
    held: usize,
    /// The rule in Grafana, for a drill through Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grafana: Option<grafana::Back>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileSeen {
    /// The SHA-256 of the file, in hex.
    sha256: String,
    /// Whether the file contains anything of the drill.
    ours: bool,
}

impl AlertDrillUndo {
    fn mark(&self) -> Mark<'_> {
        Mark::of(self.mark.as_deref(), matches!(self.way, Way::Command { .. }))
    }
}

pub(super) fn patience(owed: &AlertDrillUndo) -> Duration {
    let pipeline = if matches!(owed.way, Way::Command { .. }) { PIPELINE } else { Std::ZERO };
    Duration(owed.ghost.0 + owed.interval.0 * 4 + RESOLVES + PATIENCE + pipeline)
}

pub(super) async fn revert(
    owed: &AlertDrillUndo,
    cx: &Cx,
    by: &RevertPermit,
    memory: &mut DrillMemory,
) -> Result<(), StepError> {
    match &owed.way {
        Way::RuleFile(file) => rule_file(owed, file, cx, by).await,
        Way::Command { .. } if memory.commanded => Ok(()),
        Way::Command { revert, cwd } => {
            run(revert, cwd.as_deref(), cx, by).await?;
            memory.commanded = true;
            Ok(())
        }
        Way::Grafana(way) => grafana::revert((owed, way), cx, by, memory).await,
    }
}

async fn rule_file(
    owed: &AlertDrillUndo,
    file: &RuleFile,
    cx: &Cx,
    by: &RevertPermit,
) -> Result<(), StepError> {
    let mark = owed.mark.as_deref();
    files::clear(&file.beside, by)?;
    let loaded = loaded(owed, cx).await;
    let drilled = loaded.as_ref().ok().and_then(|rules| rules.0.as_ref());
    let mut says_never = false;
    let text = match (file.state()?, &file.disarmed) {
        (State::Original, _) => None,
        (State::Armed, Some(disarmed)) if drilled.is_some() => {
            says_never = true;
            Some(disarmed.of(&file.original))
        }
        (State::Disarmed, _) if waits(owed, file, cx, drilled).await => {
            says_never = true;
            None
        }
        (State::Armed | State::Disarmed, _) => Some(file.original.clone()),
        (State::Foreign(now), _) if !file.holds_ours(&now, mark) => None,
        (State::Foreign(now), _) => Some(file.rest(&now, mark)?),
    };
    if let Some(text) = text {
        file.write(&text, by)?;
    }
    // The file is restored, which is all that can be done without Prometheus, so the wait for Prometheus is short.
    let gone = |error: StepError| StepError { transient: error.transient && file.age(cx) < ANSWERS, ..error };
    let (drilled, own) = loaded.map_err(gone)?;
    let runs = match (drilled, mark) {
        (Some(rule), Some(_)) => says_never && rule.query.contains(NEVER),
        (None, Some(_)) => !says_never,
        (_, None) => own.is_some_and(|rule| same_expression(&rule.query, &owed.query)),
    };
    if runs {
        return Ok(());
    }
    match prometheus::reload(cx.wire("prometheus")?, by).await? {
        Reloaded::Taken(_) => Ok(()),
        Reloaded::Refused(why) => {
            let message = format!(
                "expected Prometheus to take the rules as they were before, but the reload failed: {why}"
            );
            Err(StepError::new(ErrorCode::Rejected, message).help("its log says more").transient())
        }
    }
}

/// Returns the drill's own rule, if it added one, and the rule that was there before.
async fn loaded(owed: &AlertDrillUndo, cx: &Cx) -> Result<(Option<Rule>, Option<Rule>), StepError> {
    let rules = prometheus::rules(cx.wire("prometheus")?).await?.rules;
    let find = |mark: Mark<'_>, which: &dyn Fn(&Rule) -> bool| {
        let is_it = |rule: &&Rule| is_meant(rule, &owed.alert, &owed.labels, mark) && which(rule);
        rules.iter().find(is_it).cloned()
    };
    let as_before = |rule: &Rule| same_expression(&rule.query, &owed.query);
    Ok(match owed.mark() {
        Mark::Is(mark) => (find(Mark::Is(mark), &|_| true), find(Mark::None, &|_| true)),
        Mark::None => (None, find(Mark::None, &|_| true)),
        Mark::Any => (find(Mark::Any, &|rule| !as_before(rule)), find(Mark::Any, &as_before)),
    })
}

/// Returns whether the clone, which is false by now, has yet to resolve. If that is unknown it waits, but only for a
/// limited time.
async fn waits(owed: &AlertDrillUndo, file: &RuleFile, cx: &Cx, drilled: Option<&Rule>) -> bool {
    if file.age(cx) > owed.interval.0 * 2 + RESOLVES {
        return false;
    }
    match drilled {
        None => false,
        Some(rule) if !rule.query.contains(NEVER) => true,
        Some(_) => left(owed, cx).await.map_or(true, |(alerts, held)| alerts + held > 0),
    }
}

/// Returns how many alerts of the drill Prometheus and Alertmanager have.
async fn left(owed: &AlertDrillUndo, cx: &Cx) -> Result<(usize, usize), StepError> {
    let active = alerts(cx, (&owed.alert, &owed.labels), owed.mark()).await?.len();
    let ours = |alert: &alertmanager::Alert| {
        alert.name == owed.alert && has(&alert.labels, &owed.labels, owed.mark())
    };
    let held = alertmanager::alerts(cx.wire("alertmanager")?, ours).await?.len();
    Ok((active, held))
}

pub(super) async fn look(owed: &AlertDrillUndo, cx: &Cx) -> Result<AlertDrillReverted, StepError> {
    let file = match &owed.way {
        Way::Grafana(way) => {
            let (back, alerts, held) = grafana::look_back(way, cx).await?;
            return Ok(AlertDrillReverted {
                file: None,
                rules: vec![],
                query: None,
                alerts,
                held,
                grafana: Some(back),
            });
        }
        Way::RuleFile(file) => {
            let now = text(&file.path)?;
            let ours = file.holds_ours(&now, owed.mark.as_deref()) || file.beside.exists();
            Some(FileSeen { sha256: sha256(&now), ours })
        }
        Way::Command { .. } => None,
    };
    let (drilled, own) = loaded(owed, cx).await?;
    let (alerts, held) = left(owed, cx).await?;
    Ok(AlertDrillReverted {
        file,
        rules: drilled.into_iter().map(|rule| format!("{}, group {}", rule.name, rule.group)).collect(),
        query: own.map(|rule| rule.query),
        alerts,
        held,
        grafana: None,
    })
}

pub(super) fn judge(owed: &AlertDrillUndo, seen: &AlertDrillReverted) -> Vec<Finding> {
    if let (Way::Grafana(way), Some(back)) = (&owed.way, &seen.grafana) {
        return grafana::judge_back(owed, way, back, (seen.alerts, seen.held));
    }
    let mut findings = vec![];
    let mut foreign = false;
    if let (Way::RuleFile(file), Some(now)) = (&owed.way, &seen.file) {
        foreign = now.sha256 != file.sha256;
        let said = match (foreign, now.ours) {
            (false, false) => now.sha256.clone(),
            (true, false) => {
                format!("{}: someone else has changed it, and nothing of the drill is in it", now.sha256)
            }
            (_, true) => format!("{}: something of the drill is left in it or beside it", now.sha256),
        };
        let what = format!("{} is as it was (SHA-256)", file.path.display());
        let help = "the promise in `journal.jsonl` holds the file as it was";
        findings.push(Finding::judged(what, file.sha256.clone(), said, !now.ours).with_help(help));
    }
    let ghost = format!("Alertmanager keeps an alert that was not resolved for up to {}", owed.ghost);
    let back = seen.query.as_ref().is_some_and(|query| same_expression(query, &owed.query));
    let query = seen.query.clone().unwrap_or_else(|| "not loaded".into());
    let none = |what: &str, count: usize| Finding::judged(what, 0, count, count == 0);
    let rules = if seen.rules.is_empty() { "no rule".to_owned() } else { seen.rules.join("; ") };
    findings.extend([
        Finding::judged("nothing of the drill is loaded", "no rule", rules, seen.rules.is_empty()),
        // If someone else changed the file, they may have changed the rule too.
        Finding::judged("the rule itself is as it was", owed.query.clone(), query, back || foreign),
        none("alerts of the drill in Prometheus", seen.alerts),
        none("alerts of the drill in Alertmanager", seen.held).with_help(ghost),
    ]);
    findings
}
