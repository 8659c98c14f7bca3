//! The only judgement: the bytes of a step's file → findings. `run` applies it to what it keeps, `verify` to what it
//! finds.
//!
//! It is a pure function of the settings, the observations and the recorded times.

use super::step::{FIRST_OF, StepOperation};
use crate::{ErasedKind, KindInfo, Registry};
use jiff::Timestamp;
use proofmark_model::expect::{Count, Expect, JsonPath};
use proofmark_model::redact::is_masked;
use proofmark_model::{Attempt, ErrorCode, Finding, OwedChange, StepRecord, Verdict};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::ops::Range;

/// The conclusions from a step's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The candidate of `first-of` that decided.
    pub chosen: Option<usize>,
    /// The index of the attempt that decided.
    pub deciding: Option<usize>,
    /// The values of the captures, if everything passed.
    pub captures: Vec<(String, Value)>,
}

impl Judged {
    /// The fold of the findings.
    pub fn verdict(&self) -> Verdict {
        Verdict::fold(self.findings.iter().map(|finding| finding.verdict))
    }
}

/// Judges the bytes of a step's file.
///
/// # Errors
/// Bytes that are not a step's file.
pub fn judge(bytes: &[u8], registry: &Registry) -> Result<Judged, serde_json::Error> {
    serde_json::from_slice::<StepRecord>(bytes).map(|record| judge_record(&record, registry))
}

/// Judges a step's record that was read back.
pub fn judge_record(record: &StepRecord, registry: &Registry) -> Judged {
    if record.reason.is_some() {
        return Judged { findings: vec![], chosen: None, deciding: None, captures: vec![] };
    }
    if let Some(owed) = &record.owed {
        return put_back(record, owed, registry);
    }
    if let ([Attempt { error: Some(why), code, .. }], Value::Null) =
        (record.attempts.as_slice(), &record.settings)
    {
        return undecided("the step can be filled in", "settings of the kind, after templates", why, *code);
    }
    let doing = match doing(record, registry) {
        Ok(doing) => doing,
        Err(why) => return undecided("the settings can be read", "settings of the kind", &why, None),
    };
    let expect = match record.expect.iter().map(typed::<Expect>).collect::<Result<Vec<_>, _>>() {
        Ok(expect) => expect,
        Err(why) => return undecided("the expectations can be read", "entries of `expect`", &why, None),
    };
    let mut judged = judge_round(record, last_round(&record.attempts), &doing, &expect);
    if let Some(hold) = record.hold
        && judged.verdict() == Verdict::Passed
    {
        judged.findings.push(held(record, &doing, &expect, hold));
    }
    capture(record, &mut judged);
    judged
}

/// Judges whether the change is undone. It is undecided if the last attempt observed nothing.
fn put_back(record: &StepRecord, owed: &OwedChange, registry: &Registry) -> Judged {
    let deciding = record.attempts.len().checked_sub(1);
    let last = deciding.map(|index| &record.attempts[index]);
    let Some((attempt, seen)) = last.and_then(|attempt| Some((attempt, seen(record, attempt)?))) else {
        let why = last.and_then(|attempt| attempt.error.as_deref()).unwrap_or("nobody looked");
        let code = last.and_then(|attempt| attempt.code);
        return undecided("the change was put back", "the world as it was before", why, code);
    };
    let mut findings = registry.judge_reverted(&record.kind, &owed.undo, seen, attempt.at);
    if findings.is_empty() {
        findings = vec![Finding::undecided("the change was put back", "at least one finding", "none")];
    }
    Judged { findings, chosen: None, deciding, captures: vec![] }
}

fn undecided(what: &str, expected: &str, seen: &str, code: Option<ErrorCode>) -> Judged {
    Judged {
        findings: vec![Finding::undecided(what, expected, seen).with_code(code)],
        chosen: None,
        deciding: None,
        captures: vec![],
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

/// Returns whether the step of this record is an act.
pub fn acts(record: &StepRecord, registry: &Registry) -> bool {
    let known = |acts| registry.kind(&record.kind, acts).is_some();
    // Older evidence has no `acts`: a check and an act could not share a name then, so the name alone decides.
    record.acts || record.owed.is_some() || known(true) && !known(false)
}

fn doing(record: &StepRecord, registry: &Registry) -> Result<StepOperation, String> {
    let (kind, settings) = (record.kind.as_str(), &record.settings);
    let doing = if kind == FIRST_OF {
        let candidates: Vec<Value> = typed(settings)?;
        candidates
            .iter()
            .map(|one| registry.check_of_json(one))
            .collect::<Result<_, _>>()
            .map(StepOperation::Check)
    } else if acts(record, registry) {
        registry.act_of(kind, settings).map(StepOperation::Act)
    } else {
        registry.check_of(kind, settings).map(|check| StepOperation::Check(vec![check]))
    };
    doing.map_err(|error| error.to_string())
}

impl StepOperation {
    /// The kind that judges a candidate.
    fn candidate(&self, index: usize) -> Option<&dyn ErasedKind> {
        match self {
            StepOperation::Act(act) => Some(&**act),
            StepOperation::Check(checks) => checks.get(index).map(|check| &**check as &dyn ErasedKind),
        }
    }

    fn judge(&self, candidate: usize, seen: &Value, at: Timestamp) -> Vec<Finding> {
        self.candidate(candidate).map(|kind| kind.judge(seen, at)).unwrap_or_default()
    }

    fn counted(&self, candidate: usize) -> Option<&'static str> {
        self.candidate(candidate).and_then(ErasedKind::counted)
    }

    fn info(&self, candidate: usize) -> Option<KindInfo> {
        self.candidate(candidate).map(ErasedKind::info)
    }
}

/// The observation of an attempt, wherever the record keeps it.
fn seen<'a>(record: &'a StepRecord, attempt: &'a Attempt) -> Option<&'a Value> {
    match (&attempt.observation, attempt.same_as) {
        (Some(observation), _) => Some(observation),
        (None, Some(-1)) => Some(&record.observation),
        (None, Some(index)) => record.attempts.get(usize::try_from(index).ok()?)?.observation.as_ref(),
        (None, None) => None,
    }
}

/// The attempts of the last round; several if there are candidates.
fn last_round(attempts: &[Attempt]) -> Range<usize> {
    let last = attempts.last().map(|attempt| attempt.round);
    let other = attempts.iter().rposition(|attempt| Some(attempt.round) != last);
    other.map_or(0, |index| index + 1)..attempts.len()
}

/// Judges the candidates of a round: the first whose own findings pass decides; `unverified` ends the search.
fn judge_round(record: &StepRecord, round: Range<usize>, doing: &StepOperation, expect: &[Expect]) -> Judged {
    let mut all = vec![];
    let mut deciding = None;
    for (index, attempt) in round.clone().zip(&record.attempts[round]) {
        let candidate = attempt.candidate.unwrap_or_default();
        deciding = Some(index);
        let Some(observation) = seen(record, attempt) else {
            let why = attempt.error.as_deref().unwrap_or("nothing was seen");
            let finding = Finding::undecided("the system answered", "an answer that can be judged", why);
            all.push(finding.with_code(attempt.code));
            return Judged { findings: all, chosen: attempt.candidate, deciding, captures: vec![] };
        };
        let own = doing.judge(candidate, observation, attempt.at);
        let verdict = Verdict::fold(own.iter().map(|finding| finding.verdict));
        if record.kind != FIRST_OF || verdict != Verdict::Failed {
            let own =
                if own.is_empty() && expect.is_empty() { nothing_judged(doing.info(candidate)) } else { own };
            let findings = together(record, own, doing.counted(candidate), expect, observation, attempt.at);
            return Judged { findings, chosen: attempt.candidate, deciding, captures: vec![] };
        }
        all.extend(own);
    }
    Judged { findings: all, chosen: None, deciding, captures: vec![] }
}

fn nothing_judged(kind: Option<KindInfo>) -> Vec<Finding> {
    let name = kind.map_or("the kind", |kind| kind.name);
    vec![Finding::undecided("something was judged", "at least one finding", format!("{name} judged nothing"))]
}

/// The kind's own findings and those of `expect`. A finding that nothing was seen is undecided without a passed
/// control.
fn together(
    record: &StepRecord,
    mut own: Vec<Finding>,
    counted: Option<&str>,
    expect: &[Expect],
    seen: &Value,
    at: Timestamp,
) -> Vec<Finding> {
    if counted.is_some_and(|list| expect.iter().any(|expect| expect.counts(list))) {
        own.retain(|finding| !Count::is_at_least_one(finding));
    }
    own.extend(expect.iter().map(|expect| expect.judge(seen, at)));
    for finding in own.iter_mut().filter(|finding| Count::is_absence(finding)) {
        let why = match &record.control {
            Some((_, Verdict::Passed)) => continue,
            Some((step, verdict)) => format!("its control `{step}` is {}, so seeing nothing shows nothing", verdict.word()),
            None => "seeing nothing shows something only if it could be seen: name an earlier step that sees such a thing with \
                     `control: STEP`"
                .into(),
        };
        finding.verdict = Verdict::Unverified;
        finding.help = Some(why);
    }
    own
}

/// Judges whether the result stayed true for this long: the final streak of passing observations has to span it.
fn held(
    record: &StepRecord,
    doing: &StepOperation,
    expect: &[Expect],
    hold: proofmark_model::Duration,
) -> Finding {
    let (mut rest, mut span) = (record.attempts.as_slice(), None);
    while let Some(last) = rest.last() {
        let round = last_round(rest);
        rest = &rest[..round.start];
        // A round that was not recorded may have failed.
        let is_next = rest.last().map_or(0, |before| before.round) + 1 == last.round;
        let first = record.attempts[round.start].at;
        if judge_round(record, round, doing, expect).verdict() != Verdict::Passed {
            break;
        }
        span = Some(first);
        if !is_next {
            break;
        }
    }
    let end = record.attempts.last().map(|attempt| attempt.at);
    let millis = span.zip(end).map_or(0, |(from, to)| to.as_millisecond() - from.as_millisecond());
    let long = i128::from(millis) >= i128::try_from(hold.0.as_millis()).unwrap_or(i128::MAX);
    Finding::judged("it stayed true", json!(hold), json!(format!("{millis}ms")), long)
}

/// Takes the captures. A path that selects nothing, several values or a masked value leaves the step undecided.
fn capture(record: &StepRecord, judged: &mut Judged) {
    if judged.verdict() != Verdict::Passed || record.capture.is_empty() {
        return;
    }
    let deciding = judged.deciding.and_then(|index| record.attempts.get(index));
    let Some(observation) = deciding.and_then(|attempt| seen(record, attempt)) else { return };
    for (name, path) in &record.capture {
        let what = format!("capture {name}");
        let expected = json!(format!("one value at {path}"));
        let finding = match JsonPath::parse(path).map(|path| path.select(observation)).as_deref() {
            Ok([value]) if is_masked(value) => Finding::undecided(what, expected, "a masked value")
                .with_help("a secret is never captured; if it is none, name its key: `not-secret: [KEY]`"),
            Ok([value]) => {
                judged.captures.push((name.clone(), (*value).clone()));
                Finding::judged(what, expected, (*value).clone(), true)
            }
            Ok(nodes) => Finding::undecided(what, expected, format!("{} values", nodes.len())),
            Err(why) => Finding::undecided(what, expected, why.to_string()),
        };
        judged.findings.push(finding);
    }
}

#[cfg(test)]
mod tests;
