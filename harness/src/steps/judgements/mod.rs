//! Observations in, findings out: what the kinds about backups, stores and routes conclude, without a system to ask.

#![expect(clippy::needless_pass_by_value, reason = "settings are written where they are judged by")]

mod backups;
mod drills;
mod prunings;
mod routes;
mod stores;

use super::{ALERTING, BACKUP, OBJECTS, Permission, Registry};
use crate::model::{Finding, Verdict};
use serde_json::{Value, json};

/// When it is judged.
const AT: &str = "2026-02-16T12:00:00Z";

/// A finding as one line: `failed | how many there are | at most 1 | 2`.
fn line(finding: &Finding) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let verdict = match finding.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Unverified => "unverified",
        Verdict::Skipped => "skipped",
    };
    format!("{verdict} | {} | {} | {}", finding.what, text(&finding.expected), text(&finding.seen))
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(line).collect()
}

fn registry() -> Registry {
    Registry::new([&ALERTING, &BACKUP, &OBJECTS])
}

/// What a check with these settings concludes.
fn check(kind: Value, seen: &Value) -> Vec<Finding> {
    let check = registry().check_of_json(&kind).unwrap();
    assert_eq!(check.mistake(), None);
    check.judge(seen, AT.parse().unwrap())
}

/// What an act with these settings concludes.
fn act(kind: Value, seen: &Value) -> Vec<Finding> {
    let act = registry().act_of_json(&kind).unwrap();
    assert_eq!(act.mistake(), None);
    act.judge(seen, AT.parse().unwrap())
}

/// What is concluded once a change should be back.
fn back(kind: &str, undo: &Value, seen: &Value) -> Vec<String> {
    lines(&registry().judge_reverted(kind, undo, seen, AT.parse().unwrap()))
}

/// The same observation, where this is otherwise.
fn but(seen: &Value, changes: &[(&str, Value)]) -> Value {
    let mut seen = seen.clone();
    for (pointer, value) in changes {
        *seen.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone();
    }
    seen
}

/// The lines that did not pass.
fn open(findings: &[Finding]) -> Vec<String> {
    findings.iter().filter(|finding| finding.verdict != Verdict::Passed).map(line).collect()
}

/// A mistake in the settings of a check or an act.
fn mistake(kind: Value) -> Option<String> {
    match registry().check_of_json(&kind) {
        Ok(check) => check.mistake(),
        Err(_) => registry().act_of_json(&kind).unwrap().mistake(),
    }
    .map(|mistake| mistake.to_string())
}

#[test]
fn the_list_that_a_kind_counts_itself_is_named() {
    for (kind, list) in [
        ("alertmanager-routes", Some("$.alerts")),
        ("backup-catalogue", Some("$.backups")),
        ("s3-objects", Some("$.objects")),
        ("s3-bucket", None),
        ("backup-verify", None),
    ] {
        let check = registry().check_of_json(&json!({ kind: {} })).unwrap();
        assert_eq!(check.counted(), list, "{kind}");
    }
}

/// What cannot be put back is only done by whom `destroy` was given.
#[test]
fn acts_say_what_they_need_and_whom_they_talk_to() {
    let (server, store) = ("postgres", "store");
    for (kind, needs, roles) in [
        (json!({"restore-drill": {}}), Some(Permission::Change), vec![server, store]),
        (json!({"restore-drill": {"live": "p"}}), Some(Permission::Change), vec![server, store, "live"]),
        (
            json!({"restore-drill": {"into": "in-place", "truncate": ["t"]}}),
            Some(Permission::Destroy),
            vec![server, store],
        ),
        (json!({"restore-drill": {"into": "recreate"}}), Some(Permission::Destroy), vec![server, store]),
        (json!({"backup-prune": {"keep-last": 1}}), Some(Permission::Destroy), vec![store]),
        (json!({"backup-prune": {"keep-last": 1, "dry-run": true}}), None, vec![store]),
    ] {
        let act = registry().act_of_json(&kind).unwrap();
        assert_eq!(act.needs().to_vec(), needs.into_iter().collect::<Vec<_>>(), "{kind}");
        assert_eq!(act.used().roles.to_vec(), roles, "{kind}");
    }
    let roles_back = |undo: Value| registry().roles_back("backup-prune", Some(&undo)).to_vec();
    assert_eq!(roles_back(json!({"folder": null, "prefix": "", "halves": []})), [store]);
    assert_eq!(roles_back(json!({"folder": "/copies", "prefix": "", "halves": []})), [""; 0]);
}
