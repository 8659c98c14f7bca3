//! What the judgement must not let pass.

#![expect(clippy::needless_pass_by_value, reason = "tables of literals read better without references")]

use super::*;
use proofmark_model::Verdict::{Failed, Passed, Skipped, Unverified};
use proptest::prelude::*;

fn attempt(round: u32, candidate: Option<usize>, at: &str, seen: Option<Value>) -> Value {
    let mut attempt = json!({ "round": round, "at": at, "seconds": 0.1, "verdict": "unverified" });
    match seen {
        Some(seen) => attempt["observation"] = seen,
        None => attempt["error"] = json!("connection refused"),
    }
    if let Some(candidate) = candidate {
        attempt["candidate"] = json!(candidate);
    }
    attempt
}

fn samples(values: &[f64]) -> Value {
    let sample = |value: &f64| json!({ "labels": {}, "value": value, "at": "2026-02-16T02:00:00Z" });
    json!({ "samples": values.iter().map(sample).collect::<Vec<_>>(), "warnings": [] })
}

const AT: &str = "2026-02-16T02:00:00Z";

fn record(attempts: &[Value], more: &Value) -> StepRecord {
    let mut record = json!({
        "proofmark": "v1", "scenario": "s", "step": "a", "kind": "sample-query", "rules": { "sample-query": 1 },
        "settings": { "query": "up" }, "started": AT, "ended": AT, "observation": null, "findings": [],
        "verdict": "unverified", "attempts": attempts,
    });
    let (into, from) = (record.as_object_mut().unwrap(), more.as_object().unwrap());
    into.extend(from.clone());
    serde_json::from_value(record).unwrap()
}

fn concluded(record: &StepRecord) -> Judged {
    judge_record(record, &crate::testing::registry())
}

fn verdict(attempts: &[Value], more: Value) -> Verdict {
    concluded(&record(attempts, &more)).verdict()
}

fn one(seen: Value) -> Vec<Value> {
    vec![attempt(1, None, AT, Some(seen))]
}

#[test]
fn nothing_seen_is_unverified_and_an_empty_answer_fails() {
    assert_eq!(verdict(&[], json!({})), Unverified);
    assert_eq!(verdict(&[attempt(1, None, AT, None)], json!({})), Unverified);
    assert_eq!(verdict(&one(samples(&[])), json!({})), Failed);
    assert_eq!(verdict(&one(samples(&[1.0])), json!({})), Passed);
    assert_eq!(verdict(&one(json!({ "something": "else" })), json!({})), Unverified);
    assert_eq!(verdict(&one(samples(&[1.0])), json!({ "kind": "no-such-kind" })), Unverified);
    assert_eq!(verdict(&one(samples(&[1.0])), json!({ "settings": { "query": 7 } })), Unverified);
    assert_eq!(verdict(&one(samples(&[1.0])), json!({ "expect": [{ "at": "$", "typo": 1 }] })), Unverified);
}

/// Older evidence has no codes and leads to the same findings as before.
#[test]
fn a_finding_has_the_code_that_its_attempt_was_kept_with() {
    let mut error = attempt(1, None, AT, None);
    let judged = |error: &Value, more: Value| concluded(&record(std::slice::from_ref(error), &more)).findings;
    let old = judged(&error, json!({}));
    assert_eq!(old[0].code, None);
    assert!(!json!(old).to_string().contains("code"));
    let owed = json!({ "owed": { "run": "r", "promise": 0, "undo": null } });
    assert_eq!(judged(&error, owed.clone())[0].code, None);
    let unfilled = json!({ "settings": null });
    assert_eq!(judged(&error, unfilled.clone())[0].code, None);
    error["code"] = json!("connection-refused");
    let new = judged(&error, json!({}));
    assert_eq!(new, [old[0].clone().with_code(Some(ErrorCode::ConnectionRefused))]);
    assert_eq!(judged(&error, owed)[0].code, Some(ErrorCode::ConnectionRefused));
    assert_eq!(judged(&error, unfilled)[0].code, Some(ErrorCode::ConnectionRefused));
    // An observation is judged as it is, whatever else the attempt contains.
    assert_eq!(judged(&one(samples(&[1.0]))[0], json!({}))[0].code, None);
}

#[test]
fn zero_counts_only_with_a_passed_control() {
    let zero = json!([{ "at": "$.samples", "count": { "equals": 0 } }]);
    let none = one(samples(&[]));
    assert_eq!(verdict(&none, json!({ "expect": zero })), Unverified);
    for (control, wanted) in
        [(Passed, Passed), (Failed, Unverified), (Unverified, Unverified), (Skipped, Unverified)]
    {
        assert_eq!(
            verdict(&none, json!({ "expect": zero, "control": ["c", control] })),
            wanted,
            "{control:?}"
        );
    }
    assert_eq!(verdict(&one(samples(&[1.0])), json!({ "expect": zero, "control": ["c", "passed"] })), Failed);
    // A count of something else does not replace the kind's own "at least one".
    let other = json!([{ "at": "$.warnings", "count": { "max": 3 } }]);
    assert_eq!(verdict(&none, json!({ "expect": other, "control": ["c", "passed"] })), Failed);
    let nodes = json!([{ "at": "$.samples[*]", "count": { "max": 3 } }]);
    assert_eq!(verdict(&none, json!({ "expect": nodes, "control": ["c", "passed"] })), Passed);
}

#[test]
fn first_of_takes_the_first_that_passes_and_stops_at_what_it_could_not_decide() {
    let two = json!([{ "sample-query": { "query": "a" } }, { "sample-query": { "query": "b" } }]);
    let more =
        json!({ "kind": "first-of", "settings": two, "expect": [{ "at": "$.samples[0].value", "min": 2 }] });
    let (empty, good) = (Some(samples(&[])), Some(samples(&[2.0])));
    let second = [attempt(1, Some(0), AT, empty.clone()), attempt(1, Some(1), AT, good.clone())];
    let judged = concluded(&record(&second, &more));
    assert_eq!((judged.verdict(), judged.chosen), (Passed, Some(1)));
    let stopped = [attempt(1, Some(0), AT, None), attempt(1, Some(1), AT, good)];
    assert_eq!(verdict(&stopped, more.clone()), Unverified);
    let neither = [attempt(1, Some(0), AT, empty.clone()), attempt(1, Some(1), AT, empty)];
    let judged = concluded(&record(&neither, &more));
    assert_eq!((judged.verdict(), judged.findings.len(), judged.chosen), (Failed, 2, None));
}

#[test]
fn what_has_to_hold_must_span_the_time() {
    let good = || Some(samples(&[1.0]));
    let looks = |second: Option<Value>, end: &str| {
        [
            attempt(1, None, "2026-02-16T02:00:00Z", good()),
            attempt(2, None, "2026-02-16T02:00:05Z", second),
            attempt(3, None, end, good()),
        ]
    };
    let hold = json!({ "hold": "10s" });
    assert_eq!(verdict(&looks(good(), "2026-02-16T02:00:10Z"), hold.clone()), Passed);
    assert_eq!(verdict(&looks(good(), "2026-02-16T02:00:09Z"), hold.clone()), Failed);
    assert_eq!(verdict(&looks(Some(samples(&[])), "2026-02-16T02:00:10Z"), hold.clone()), Failed);
    assert_eq!(verdict(&looks(None, "2026-02-16T02:00:10Z"), hold), Failed);
}

#[test]
fn captures_are_one_value_and_never_a_mask() {
    let capture =
        |path: &str, seen: Value| concluded(&record(&one(seen), &json!({ "capture": { "c": path } })));
    let judged = capture("$.samples[0].value", samples(&[7.0]));
    assert_eq!((judged.verdict(), judged.captures), (Passed, vec![("c".to_owned(), json!(7.0))]));
    for path in ["$.samples[*].value", "$.nothing"] {
        let judged = capture(path, samples(&[7.0, 8.0]));
        assert_eq!((judged.verdict(), judged.captures), (Unverified, vec![]), "{path}");
    }
    let mut masked = samples(&[7.0]);
    masked["samples"][0]["labels"] = json!({ "token": "[masked]" });
    let judged = capture("$.samples[0].labels.token", masked);
    assert_eq!((judged.verdict(), judged.captures), (Unverified, vec![]));
    assert_eq!(concluded(&record(&one(samples(&[])), &json!({ "capture": { "c": "$" } }))).captures, vec![]);
}

proptest! {
    #[test]
    fn no_observation_without_samples_ever_passes(count in 0_usize..4, errors in any::<bool>()) {
        let seen = (!errors).then(|| samples(&vec![1.0; count]));
        let passed = verdict(&[attempt(1, None, AT, seen)], json!({})) == Passed;
        prop_assert_eq!(passed, !errors && count > 0);
    }
}
