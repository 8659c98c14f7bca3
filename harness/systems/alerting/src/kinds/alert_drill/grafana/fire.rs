//! Makes the change in Grafana: checks the preconditions, records the promise, writes the rule.

use super::super::back::Way as WayBack;
use super::super::{AlertDrill, AlertDrillUndo, Delivered, Done, How, Refused};
use super::{Drilled, Original, Refused as Why, Way, edit};
use crate::client::grafana::{self, Provenance, Rule, RuleState};
use crate::client::receiver;
use jiff::Timestamp;
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::Promises;
use proofmark_model::{Duration, ErrorCode, sha256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration as Std;

/// Grafana sends its Alertmanager an end time for each alert: this factor times the longer of the evaluation interval
/// and the resend delay.
const LASTS: u32 = 4;

/// How often Grafana resends an alert that keeps firing.
const RESEND: Std = Std::from_secs(30);

/// What was found before the change.
struct Before {
    rule: Rule,
    interval: Duration,
    at: Timestamp,
}

pub(crate) async fn fire(
    drill: &AlertDrill,
    uid: &str,
    cx: &Cx,
    promises: &Promises<'_, AlertDrillUndo>,
) -> Result<Done, StepError> {
    let before = match before(drill, uid, cx).await? {
        Ok(before) => before,
        Err(refused) => return Ok(Done::refused(refused)),
    };
    // The receiver must listen before there is anything to deliver.
    if drill.delivered == Delivered::Receiver {
        receiver::open(cx.wire("receiver")?).await?;
    }
    let (mark, rule) = (promises.mark(), before.rule);
    let (armed, drilled) = edit::planned(drill, &rule, (&mark, &promises.mark_of_step())).map_err(|why| {
        let message = format!("the rule `{uid}` cannot be drilled: {why}; nothing was changed");
        StepError::new(ErrorCode::Unsupported, message)
    })?;
    let clones = drill.how == How::TemporaryRule;
    let sha256 = digest(&rule);
    let way = Way { drilled: drilled.clone(), original: (!clones).then_some(Original { sha256, rule }) };
    let undo = AlertDrillUndo {
        alert: drill.alert.clone(),
        labels: drill.labels.clone(),
        mark: clones.then_some(mark),
        query: String::new(),
        interval: before.interval,
        ghost: Duration(before.interval.0.max(RESEND) * LASTS),
        way: WayBack::Grafana(way),
    };
    let promise = promises.promise(&undo)?;
    let wire = cx.wire("grafana")?;
    match drill.how {
        How::TemporaryRule => grafana::create(wire, &armed, &promise).await?,
        How::ChangeThreshold => grafana::replace(wire, &armed, &promise).await?,
    }
    Ok(Done {
        refused: None,
        mark: undo.mark,
        not_taken: None,
        loaded: None,
        changed: Some(before.at),
        interval: before.interval,
        counters: BTreeMap::new(),
        other_than: None,
        grafana: Some(drilled),
    })
}

/// Returns the SHA-256 of a rule without the time at which it was last written. Its keys are sorted.
pub(super) fn digest(rule: &Rule) -> String {
    sha256(Value::Object(rule.clone().timeless().0).to_string())
}

/// Checks the preconditions; returns why nothing is changed if one does not hold. A failed query is an error, and
/// nothing is changed then either.
async fn before(drill: &AlertDrill, uid: &str, cx: &Cx) -> Result<Result<Before, Refused>, StepError> {
    let wire = cx.wire("grafana")?;
    let refused = |why: Why| Ok(Err(Refused::InGrafana(why)));
    let Some(rule) = grafana::rule(wire, uid).await? else { return refused(Why::NoRule(uid.to_owned())) };
    if let Some(why) = not_meant(drill, &rule) {
        return refused(why);
    }
    changeable(drill, &rule)?;
    let itself = Drilled {
        uid: uid.to_owned(),
        title: rule.title().to_owned(),
        group: rule.group().to_owned(),
        places: vec![],
    };
    let states = grafana::states(wire, |state| itself.is(state)).await?;
    let state = match &states.rules[..] {
        [state] if state.last_evaluation.is_some() => state,
        [_] => return refused(Why::Asleep("it was never evaluated".into())),
        [] => {
            return refused(Why::Asleep("Grafana does not evaluate it, or not for this login to see".into()));
        }
        several => return Err(unclear(&rule, several)),
    };
    if state.health == "error" {
        return Ok(Err(Refused::RuleBroken(state.last_error.clone())));
    }
    if let Some(active) = active(state, drill.how) {
        return Ok(Err(Refused::ActiveBefore(active)));
    }
    // Nothing is changed if Grafana's Alertmanager cannot be reached, because it could not notify.
    grafana::alerts(wire, |_| false).await?;
    // The rule is written as a whole, so a concurrent change by someone else would be lost.
    if grafana::rule(wire, uid).await?.is_none_or(|now| !now.same_as(&rule)) {
        let message =
            format!("the rule `{uid}` was changed by someone else just now; nothing was changed here");
        return Err(StepError::new(ErrorCode::Conflict, message));
    }
    let interval = Duration(Std::try_from_secs_f64(state.interval).unwrap_or_default());
    let at = states.server_time.unwrap_or_else(|| cx.clock.now());
    Ok(Ok(Before { rule, interval, at }))
}

/// Returns why this is not the rule that the drill asks for.
fn not_meant(drill: &AlertDrill, rule: &Rule) -> Option<Why> {
    let has =
        |(key, value): (&String, &String)| rule.0.get("labels").is_some_and(|labels| labels[key] == **value);
    if rule.title() != drill.alert || !drill.labels.iter().all(has) {
        let labels = rule.0.get("labels").filter(|labels| labels.is_object());
        let labels = labels.map_or_else(|| "no labels".to_owned(), |labels| format!("labels {labels}"));
        return Some(Why::OtherRule(format!("{} with {labels}", rule.title())));
    }
    if rule.0.get("record").is_some_and(|record| !record.is_null()) {
        return Some(Why::Asleep("it records a metric and is no alert".into()));
    }
    (rule.0.get("isPaused") == Some(&Value::Bool(true))).then(|| Why::Asleep("it is paused".into()))
}

/// Refuses a rule that was provisioned from a file, because such a rule cannot be changed.
fn changeable(drill: &AlertDrill, rule: &Rule) -> Result<(), StepError> {
    if drill.how == How::TemporaryRule || rule.provenance() != Provenance::Other {
        return Ok(());
    }
    let (uid, by) = (rule.uid(), rule.text("provenance"));
    let message = format!(
        "expected a rule that this API may change, but `{uid}` was provisioned by `{by}` and Grafana lets nobody else change it; nothing was changed"
    );
    let help = "write `how: temporary-rule`, which drills a clone of it";
    Err(StepError::new(ErrorCode::Unsupported, message).help(help))
}

fn unclear(rule: &Rule, states: &[RuleState]) -> StepError {
    let folders: Vec<&str> = states.iter().map(|state| state.folder.as_str()).collect();
    let message = format!(
        "expected one rule `{}` in a group `{}`, but there is one in each of the folders {}, and this version of Grafana does not tell which of them is `{}`; nothing was changed",
        rule.title(),
        rule.group(),
        folders.join(", "),
        rule.uid()
    );
    StepError::new(ErrorCode::Ambiguous, message)
}

/// Returns the state of an alert that is already active. Pending alerts count only if the rule itself is changed,
/// because a clone's own alerts can be distinguished from them.
fn active(state: &RuleState, how: How) -> Option<String> {
    let counts = |word: &str| {
        let first = word.split(" (").next().unwrap_or_default();
        matches!(first, "Alerting" | "Recovering") || first == "Pending" && how == How::ChangeThreshold
    };
    state.instances.iter().map(|instance| instance.state.clone()).find(|word| counts(word))
}
