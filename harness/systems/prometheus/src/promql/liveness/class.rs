//! Defines the classes that alerts fall into, the reasons, and the advice for each.

use proofmark_model::{Finding, Verdict};
use serde_json::json;

/// Whether an alert can fire.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Class {
    Never(Reason),
    Undecided(Reason),
    Living(Reason),
}

/// Why an alert is in its class: a word for programs, a sentence for people, and advice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reason {
    pub word: &'static str,
    pub why: String,
    pub help: &'static str,
    /// Whether this was observed, and not only concluded from the expression.
    pub seen: bool,
}

impl Reason {
    /// A defect that was observed.
    pub(super) fn seen(word: &'static str, why: impl Into<String>, help: &'static str) -> Self {
        Self { word, why: why.into(), help, seen: true }
    }

    /// A defect that follows from the expression itself.
    pub(super) fn concluded(word: &'static str, why: impl Into<String>, help: &'static str) -> Self {
        Self { word, why: why.into(), help, seen: false }
    }

    /// Why an alert is living, which needs no advice.
    pub(super) fn good(word: &'static str, why: impl Into<String>) -> Self {
        Self { word, why: why.into(), help: "", seen: true }
    }
}

impl Class {
    /// Returns the class as findings write it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Never(_) => "never",
            Self::Undecided(_) => "undecided",
            Self::Living(_) => "living",
        }
    }

    pub(super) fn reason(&self) -> &Reason {
        match self {
            Self::Never(reason) | Self::Undecided(reason) | Self::Living(reason) => reason,
        }
    }

    /// Returns the finding for an alert of this class. `excepted` is the reason why the alert may be dead.
    pub(super) fn finding(&self, alert: &str, group: &str, excepted: Option<&str>) -> Finding {
        let reason = self.reason();
        let what = format!("alert {alert} of group {group} could fire");
        let seen = json!({ "alert": alert, "group": group, "class": self.word(), "reason": reason.word, "why": reason.why });
        let verdict = match (self, excepted) {
            (_, Some(_)) | (Self::Living(_), _) => Verdict::Passed,
            (Self::Never(reason), _) if reason.seen => Verdict::Failed,
            _ => Verdict::Unverified,
        };
        let expected = match excepted {
            Some(reason) => json!({ "may be dead": reason }),
            None => json!("that it could"),
        };
        let finding = Finding { what, expected, seen, verdict, help: None, code: None };
        if reason.help.is_empty() { finding } else { finding.with_help(reason.help) }
    }
}
