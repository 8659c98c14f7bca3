//! What a kind concludes of the emptiest observations, and of what is none.

use super::empty::empty_observations;
use super::{Held, ensure, examples};
use crate::testing::lines;
use crate::{ErasedKind, KindInfo, Registry};
use jiff::Timestamp;
use proofmark_model::{Finding, Verdict};
use serde_json::{Value, json};
use std::sync::Arc;

/// When everything here is judged: 2026-02-16T12:00:00Z.
const AT: i64 = 1_771_243_200;

fn at() -> Result<Timestamp, String> {
    Timestamp::from_second(AT).map_err(|error| error.to_string())
}

/// The fold of findings, as a run makes it.
fn verdict(findings: &[Finding]) -> Verdict {
    Verdict::fold(findings.iter().map(|finding| finding.verdict))
}

fn example(registry: &Registry, kind: &KindInfo) -> Result<Arc<dyn ErasedKind>, String> {
    examples::settings(registry, kind, kind.example)
}

/// The finding of the engine itself on what cannot be read.
fn is_unreadable(findings: &[Finding]) -> bool {
    matches!(findings, [one] if one.what == "the observation can be read")
}

/// Of a system that has nothing, a kind never says that it passes; and it does read what its schema describes.
pub(super) fn empty_never_passes(registry: &Registry, kind: &KindInfo) -> Held {
    let (example, at) = (example(registry, kind)?, at()?);
    let mut unread = vec![];
    let observations = empty_observations(&(kind.seen)().to_value())?;
    for seen in &observations {
        let findings = example.judge(seen, at);
        let told = format!("{seen}\n{}", lines(&findings).join("\n"));
        ensure(verdict(&findings) != Verdict::Passed, || format!("an empty observation passes: {told}"))?;
        if is_unreadable(&findings) {
            unread.push(told);
        }
    }
    ensure(unread.len() < observations.len(), || {
        format!("its schema describes nothing that it can read:\n{}", unread.join("\n"))
    })
}

/// No observation at all never passes.
pub(super) fn nothing_never_passes(registry: &Registry, kind: &KindInfo) -> Held {
    let (example, at) = (example(registry, kind)?, at()?);
    for seen in [Value::Null, json!({}), json!([])] {
        let findings = example.judge(&seen, at);
        ensure(verdict(&findings) != Verdict::Passed, || format!("{seen} passes: {:?}", lines(&findings)))?;
    }
    Ok(())
}

/// What has not the documented shape is undecided: neither passed nor failed.
pub(super) fn unreadable_is_undecided(registry: &Registry, kind: &KindInfo) -> Held {
    let (example, at) = (example(registry, kind)?, at()?);
    let mut unknown = empty_observations(&(kind.seen)().to_value())?.remove(0);
    if let Value::Object(map) = &mut unknown {
        map.insert("a-field-that-no-kind-has".to_owned(), json!(true));
    }
    for seen in [json!("text"), json!(7), unknown] {
        let findings = example.judge(&seen, at);
        ensure(verdict(&findings) == Verdict::Unverified, || format!("{seen}: {:?}", lines(&findings)))?;
    }
    Ok(())
}

/// Judged twice, with settings and observation as they are read back from their text, it comes to the same.
pub(super) fn same_again(registry: &Registry, kind: &KindInfo) -> Held {
    let (example, at) = (example(registry, kind)?, at()?);
    for seen in empty_observations(&(kind.seen)().to_value())? {
        twice((registry, kind), &example.settings(), &seen, at)?;
    }
    Ok(())
}

/// Judges these settings on this observation twice, as they are and as they are read back, and hands the findings back.
pub(super) fn twice(
    (registry, kind): (&Registry, &KindInfo),
    settings: &Value,
    seen: &Value,
    at: Timestamp,
) -> Result<Vec<Finding>, String> {
    let step = examples::of_json(registry, kind, settings)?;
    let first = step.judge(seen, at);
    let text = |value: &Value| serde_json::from_str::<Value>(&value.to_string());
    let (settings, again) =
        text(&step.settings()).and_then(|settings| Ok((settings, text(seen)?))).map_err(|e| e.to_string())?;
    let other = examples::of_json(registry, kind, &settings)?;
    for (what, findings) in [("again", step.judge(seen, at)), ("as it is kept", other.judge(&again, at))] {
        ensure(findings == first, || {
            format!("judged {what}, {seen} gives {:?}, not {:?}", lines(&findings), lines(&first))
        })?;
    }
    Ok(first)
}
