//! Observations in, findings out: what kinds conclude, without a system to ask.

#![expect(clippy::needless_pass_by_value, reason = "settings are written where they are judged by")]

use crate::{Registry, System};
use jiff::Timestamp;
use proofmark_model::{Finding, Verdict};
use serde_json::Value;

/// The kinds of one system, and the time at which they judge.
#[derive(Debug)]
pub struct Judge {
    registry: Registry,
    at: Timestamp,
}

impl Judge {
    /// Of this system, at a time such as `2026-02-16T12:00:00Z`.
    pub fn new(system: &System, at: &str) -> Self {
        Self { registry: Registry::new([system], &[]), at: at.parse().unwrap() }
    }

    /// What a check, `{name: settings}`, concludes of this.
    pub fn check(&self, kind: Value, seen: &Value) -> Vec<Finding> {
        let check = self.registry.check_of_json(&kind).unwrap();
        assert_eq!(check.mistake(), None);
        check.judge(seen, self.at)
    }

    /// What an act, `{name: settings}`, concludes of this.
    pub fn act(&self, kind: Value, seen: &Value) -> Vec<Finding> {
        let act = self.registry.act_of_json(&kind).unwrap();
        assert_eq!(act.mistake(), None);
        act.judge(seen, self.at)
    }

    /// What is concluded once a change should be back.
    pub fn back(&self, kind: &str, undo: &Value, seen: &Value) -> Vec<String> {
        lines(&self.registry.judge_reverted(kind, undo, seen, self.at))
    }

    /// A mistake in the settings of a check or an act.
    pub fn mistake(&self, kind: Value) -> Option<String> {
        let mistake = match self.registry.check_of_json(&kind) {
            Ok(check) => check.mistake(),
            Err(_) => self.registry.act_of_json(&kind).unwrap().mistake(),
        };
        mistake.map(|mistake| mistake.to_string())
    }

    /// The list that a check without settings counts by itself.
    pub fn counted(&self, check: &str) -> Option<&'static str> {
        self.registry.check_of(check, &serde_json::json!({})).unwrap().counted()
    }

    /// The kinds.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// A finding as one line: `failed | how many there are | at most 1 | 2`.
fn line(finding: &Finding) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let verdict = finding.verdict.word();
    format!("{verdict} | {} | {} | {}", finding.what, text(&finding.expected), text(&finding.seen))
}

/// Each finding as one line.
pub fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(line).collect()
}

/// The lines that did not pass.
pub fn open(findings: &[Finding]) -> Vec<String> {
    findings.iter().filter(|finding| finding.verdict != Verdict::Passed).map(line).collect()
}

/// The same observation with other values at these JSON pointers.
pub fn but(seen: &Value, changes: &[(&str, Value)]) -> Value {
    let mut seen = seen.clone();
    for (pointer, value) in changes {
        *seen.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone();
    }
    seen
}
