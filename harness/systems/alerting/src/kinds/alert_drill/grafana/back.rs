//! Restores the rule after a drill, one move a round. A rule that was changed gets back only the values that the drill
//! changed. A clone is made false, observed to resolve, and only then deleted.

use super::super::back::RESOLVES;
use super::super::edit::MARK;
use super::super::{AlertDrillUndo, DrillMemory};
use super::fire::digest;
use super::{Original, UID, Way};
use crate::client::alertmanager::Alert;
use crate::client::grafana::{self, Provenance, Rule};
use jiff::Timestamp;
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::RevertPermit;
use proofmark_model::{ErrorCode, Finding};
use serde::{Deserialize, Serialize};

/// What a change of provenance does to a rule, and how to fix it.
const LOCKED: &str = "people cannot edit in Grafana's pages what has one, and it cannot be taken away";
const UNLOCK: &str = "delete the rule and make it anew by the API, with the same uid and the header `X-Disable-Provenance: true` (the promise in `journal.jsonl` holds the rule)";

/// The rule of a drill, after it was restored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Back {
    /// The SHA-256 of the rule, in hex, without the time at which it was written; `null` if the rule does not exist.
    sha256: Option<String>,
    /// The keys of the rule that differ from before the drill.
    differs: Vec<String>,
    /// The values that the drill changed and that are not restored.
    left: Vec<String>,
}

pub(crate) async fn revert(
    (owed, way): (&AlertDrillUndo, &Way),
    cx: &Cx,
    by: &RevertPermit,
    memory: &mut DrillMemory,
) -> Result<(), StepError> {
    let uid = &way.drilled.uid;
    let Some(now) = grafana::rule(cx.wire("grafana")?, uid).await? else { return Ok(()) };
    match &owed.mark {
        Some(mark) if now.0.get("labels").is_some_and(|labels| labels[MARK] == **mark) => {
            clone((owed, way), now, (cx, by), memory).await
        }
        Some(mark) => {
            let message = format!(
                "expected the rule `{uid}` to have the label `{MARK}: {mark}`, but someone else has changed that"
            );
            let help = "delete the rule by hand if it is the drill's, then run `proofmark recover` again";
            Err(StepError::new(ErrorCode::Conflict, message).help(help))
        }
        None => itself(way, now, cx, by).await,
    }
}

/// Removes from the rule what the drill put into it. Changes that someone else made meanwhile are kept.
async fn itself(way: &Way, now: Rule, cx: &Cx, by: &RevertPermit) -> Result<(), StepError> {
    let places = &way.drilled.places;
    let by_hand = |why: &str| {
        let left: Vec<String> =
            places.iter().filter(|place| !place.is_before(&now)).map(super::Place::shown).collect();
        let message = format!("the rule `{}` {why}", way.drilled.uid);
        StepError::new(ErrorCode::Conflict, message)
            .help(format!("put it back by hand ({}), then run `proofmark recover` again", left.join("; ")))
    };
    if places.iter().all(|place| place.is_before(&now)) {
        return not_locked(way, &now);
    }
    if !places.iter().all(|place| place.is_before(&now) || place.is_drilled(&now)) {
        return Err(by_hand("was changed by someone else in the same place while the drill was on"));
    }
    if now.provenance() == Provenance::Other {
        return Err(by_hand("is provisioned by something else now, and Grafana lets nobody else change it"));
    }
    let mut back = now.clone();
    for place in places {
        place.put_back(&mut back);
    }
    Ok(grafana::replace(cx.wire("grafana")?, &back, by).await?)
}

/// Fails if this API became the rule's provenance through the drill: Grafana's pages then lock the rule, and that
/// cannot be reverted.
fn not_locked(way: &Way, now: &Rule) -> Result<(), StepError> {
    let before =
        way.original.as_ref().map_or_else(|| now.provenance(), |original| original.rule.provenance());
    if before == now.provenance() {
        return Ok(());
    }
    let message = format!(
        "what the drill changed in the rule `{}` is back, but its `provenance` is another than before (`{}`): {LOCKED}",
        way.drilled.uid,
        now.text("provenance")
    );
    let help = format!("{UNLOCK}; then run `proofmark recover` again");
    Err(StepError::new(ErrorCode::Conflict, message).help(help))
}

/// Makes the clone false, and deletes it once none of its alerts is left or it has taken too long.
async fn clone(
    (owed, way): (&AlertDrillUndo, &Way),
    now: Rule,
    (cx, by): (&Cx, &RevertPermit),
    memory: &mut DrillMemory,
) -> Result<(), StepError> {
    let (wire, drilled) = (cx.wire("grafana")?, &way.drilled);
    if !drilled.places.iter().all(|place| place.is_before(&now)) && !memory.falsified {
        let mut never = now;
        for place in &drilled.places {
            place.put_back(&mut never);
        }
        grafana::replace(wire, &never, by).await?;
        memory.falsified = true;
        return Ok(());
    }
    let (active, held, at) = left(way, cx).await?;
    let since = now.updated().map(|updated| at.duration_since(updated));
    let long = since.and_then(|age| std::time::Duration::try_from(age).ok());
    if active + held == 0 || long.is_some_and(|age| age > owed.interval.0 * 2 + RESOLVES) {
        grafana::delete(wire, &drilled.uid, by).await?;
    }
    Ok(())
}

/// Returns how many alerts of the drill Grafana and its Alertmanager have, and when that was.
async fn left(way: &Way, cx: &Cx) -> Result<(usize, usize, Timestamp), StepError> {
    let (wire, drilled) = (cx.wire("grafana")?, &way.drilled);
    // Alerts for missing data have other names and do not belong to the drill.
    let ours = |alert: &Alert| alert.labels.get(UID) == Some(&drilled.uid) && alert.name == drilled.title;
    let held = grafana::alerts(wire, ours).await?.len();
    let states = grafana::states(wire, |state| drilled.is(state)).await?;
    let active = |state: &str| state == "Pending" || state.starts_with("Alerting");
    let instances = states.rules.iter().flat_map(|state| &state.instances);
    let active = instances.filter(|instance| active(&instance.state)).count();
    Ok((active, held, states.server_time.unwrap_or_else(|| cx.clock.now())))
}

/// Returns the current rule, and how many alerts of the drill Grafana and its Alertmanager have.
pub(crate) async fn look(way: &Way, cx: &Cx) -> Result<(Back, usize, usize), StepError> {
    let now = grafana::rule(cx.wire("grafana")?, &way.drilled.uid).await?;
    let (active, held, _) = left(way, cx).await?;
    let left = |rule: &Rule| {
        let places = way.drilled.places.iter();
        places.filter(|place| !place.is_before(rule)).map(super::Place::shown).collect()
    };
    let back = Back {
        sha256: now.as_ref().map(digest),
        differs: way.original.iter().zip(&now).flat_map(|(was, now)| differing(&was.rule, now)).collect(),
        left: now.as_ref().map(left).unwrap_or_default(),
    };
    Ok((back, active, held))
}

/// Returns the keys in which two rules differ, apart from when they were written.
fn differing(one: &Rule, other: &Rule) -> Vec<String> {
    let (one, other) = (one.clone().timeless().0, other.clone().timeless().0);
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    keys.into_iter().filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

/// Judges the restored rule. `counts` is the number of alerts of the drill in Grafana and in its Alertmanager.
pub(crate) fn judge(owed: &AlertDrillUndo, way: &Way, back: &Back, counts: (usize, usize)) -> Vec<Finding> {
    let none = |what: &str, count: usize| Finding::judged(what, 0, count, count == 0);
    let ghost =
        format!("Grafana's Alertmanager keeps an alert that was not resolved for up to {}", owed.ghost);
    let uid = &way.drilled.uid;
    let gone = || {
        let said = back.sha256.as_ref().map_or("no rule", |_| uid);
        Finding::judged("nothing of the drill is in Grafana", "no rule", said, back.sha256.is_none())
    };
    let rule = way.original.as_ref().map_or_else(gone, |original| as_it_was(uid, original, back));
    vec![
        rule,
        none("alerts of the drill in Grafana", counts.0),
        none("alerts of the drill in Grafana's Alertmanager", counts.1).with_help(ghost),
    ]
}

fn as_it_was(uid: &str, original: &Original, back: &Back) -> Finding {
    let what = format!("the rule {uid} is as it was (SHA-256 without `updated`)");
    let expected = original.sha256.clone();
    let help = "the promise in `journal.jsonl` holds the rule as it was";
    let failed = |said: String, help: &str| {
        Finding::judged(what.clone(), expected.clone(), said, false).with_help(help)
    };
    let Some(now) = &back.sha256 else {
        let help = "is this the Grafana, and the organisation, that it was changed in? Else someone has deleted it; the promise in `journal.jsonl` holds it as it was";
        return failed("there is no such rule".into(), help);
    };
    if !back.left.is_empty() {
        return failed(format!("{now}: not as it was: {}", back.left.join("; ")), help);
    }
    if back.differs.iter().any(|key| key == "provenance") {
        return failed(
            format!("{now}: its `provenance` is another than before"),
            &format!("{LOCKED}; {UNLOCK}"),
        );
    }
    let said = match &back.differs[..] {
        [] => now.clone(),
        keys => {
            format!("{now}: someone else has changed {}, and nothing of the drill is in it", keys.join(", "))
        }
    };
    Finding::judged(what, expected, said, true)
}
