//! The verdict, the findings from which it is folded, and the exit code that it leads to.

use super::ErrorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The conclusion of anything from one finding up to a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Checked, and as expected.
    Passed,
    /// Checked, and not as expected.
    Failed,
    /// Not decided: nothing was observed, or the observation does not answer the question.
    Unverified,
    /// Deliberately not checked, with a reason.
    Skipped,
}

impl Verdict {
    /// Folds verdicts, from findings up to the run: one failure fails the whole, else one undecided part makes it
    /// undecided. An empty list is `Unverified`; the whole is `Skipped` only when everything was skipped.
    pub fn fold(parts: impl IntoIterator<Item = Verdict>) -> Verdict {
        let mut whole = None;
        for part in parts {
            whole = Some(match (whole, part) {
                (_, Verdict::Failed) | (Some(Verdict::Failed), _) => Verdict::Failed,
                (_, Verdict::Unverified) | (Some(Verdict::Unverified), _) => Verdict::Unverified,
                (_, Verdict::Passed) | (Some(Verdict::Passed), _) => Verdict::Passed,
                (_, Verdict::Skipped) => Verdict::Skipped,
            });
        }
        whole.unwrap_or(Verdict::Unverified)
    }

    /// The word as it is written in files and shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Unverified => "unverified",
            Verdict::Skipped => "skipped",
        }
    }
}

/// One judgement on an observation. `expected` and `seen` are kept also when it passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Finding {
    /// What was judged, in words: `at least one sample`, `$.samples count`.
    pub what: String,
    /// What it should be.
    pub expected: Value,
    /// What it was.
    pub seen: Value,
    /// `passed`, `failed` or `unverified`.
    pub verdict: Verdict,
    /// What to do about it, when it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The code of the error that prevented a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

impl Finding {
    /// A finding that passes exactly when `ok`.
    pub fn judged(
        what: impl Into<String>,
        expected: impl Into<Value>,
        seen: impl Into<Value>,
        ok: bool,
    ) -> Self {
        let verdict = if ok { Verdict::Passed } else { Verdict::Failed };
        Self {
            what: what.into(),
            expected: expected.into(),
            seen: seen.into(),
            verdict,
            help: None,
            code: None,
        }
    }

    /// A question that could not be decided; `seen` gives the reason.
    pub fn undecided(what: impl Into<String>, expected: impl Into<Value>, seen: impl Into<Value>) -> Self {
        let (expected, seen) = (expected.into(), seen.into());
        Self { what: what.into(), expected, seen, verdict: Verdict::Unverified, help: None, code: None }
    }

    /// The same finding with the error code of the recorded attempt, if it has one.
    #[must_use]
    pub fn with_code(self, code: Option<ErrorCode>) -> Self {
        Self { code, ..self }
    }

    /// The same finding with advice, which is kept only if the finding did not pass.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        if self.verdict != Verdict::Passed {
            self.help = Some(help.into());
        }
        self
    }
}

/// How a run ends, as the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "u8", try_from = "u8")]
pub enum Exit {
    /// 0: everything selected passed.
    Passed,
    /// 1: at least one finding failed.
    Failed,
    /// 2: wrong usage, scenario or environment; nothing was touched.
    Usage,
    /// 3: nothing failed, something is unverified.
    Unverified,
    /// 4: a change could not be put back.
    Owed,
    /// 5: evidence could not be written, or does not verify.
    Evidence,
    /// 130: interrupted; promises were kept first.
    Interrupted,
}

impl Exit {
    /// Every exit code with its meaning and whether it is safe to run again; the docs and `--help` print this.
    pub const TABLE: [(Exit, &'static str, &'static str); 7] = [
        (Exit::Passed, "everything selected passed", "yes"),
        (Exit::Failed, "at least one finding failed", "yes"),
        (Exit::Usage, "wrong usage, scenario or environment; nothing was touched", "after a mend"),
        (Exit::Unverified, "nothing failed, something is unverified", "yes"),
        (
            Exit::Owed,
            "a change could not be put back; `proofmark recover` says what is owed",
            "recover first",
        ),
        (Exit::Evidence, "evidence could not be written, or does not verify", "look first"),
        (Exit::Interrupted, "interrupted (Ctrl-C or SIGTERM); promises were kept first", "yes"),
    ];

    /// Returns the exit of a run: the first that applies of 4, 130, 1, 3, 0. The writer of the evidence decides on 5.
    pub fn of(verdict: Verdict, owed: bool, interrupted: bool) -> Exit {
        match verdict {
            _ if owed => Exit::Owed,
            _ if interrupted => Exit::Interrupted,
            Verdict::Failed => Exit::Failed,
            Verdict::Unverified | Verdict::Skipped => Exit::Unverified,
            Verdict::Passed => Exit::Passed,
        }
    }

    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self.into()
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        match exit {
            Exit::Passed => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unverified => 3,
            Exit::Owed => 4,
            Exit::Evidence => 5,
            Exit::Interrupted => 130,
        }
    }
}

impl TryFrom<u8> for Exit {
    type Error = String;
    fn try_from(code: u8) -> Result<Exit, String> {
        let known = Exit::TABLE.iter().map(|row| row.0).find(|exit| exit.code() == code);
        known.ok_or_else(|| format!("{code} is no exit code of proofmark"))
    }
}

/// What a run may do besides reading. No permission implies another, and none is on by default.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Run a program that a scenario or an environment names.
    Exec,
    /// Change a system.
    Change,
    /// Truncate, drop, prune.
    Destroy,
}

impl Permission {
    /// The word that follows `--allow`.
    pub fn word(self) -> &'static str {
        match self {
            Permission::Exec => "exec",
            Permission::Change => "change",
            Permission::Destroy => "destroy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop::sample::select(vec![Verdict::Passed, Verdict::Failed, Verdict::Unverified, Verdict::Skipped])
    }

    #[test]
    fn nothing_is_unverified_and_only_skipped_is_skipped() {
        assert_eq!(Verdict::fold([]), Verdict::Unverified);
        assert_eq!(Verdict::fold([Verdict::Skipped, Verdict::Skipped]), Verdict::Skipped);
        assert_eq!(Verdict::fold([Verdict::Skipped, Verdict::Passed]), Verdict::Passed);
        assert_eq!(Verdict::fold([Verdict::Passed, Verdict::Skipped]), Verdict::Passed);
    }

    proptest! {
        #[test]
        fn one_failure_fails_and_no_order_matters(mut parts in prop::collection::vec(any_verdict(), 0..8)) {
            let whole = Verdict::fold(parts.clone());
            prop_assert_eq!(whole == Verdict::Failed, parts.contains(&Verdict::Failed));
            let pass = parts.contains(&Verdict::Passed)
                && !parts.iter().any(|v| matches!(v, Verdict::Failed | Verdict::Unverified));
            prop_assert_eq!(whole == Verdict::Passed, pass);
            parts.reverse();
            prop_assert_eq!(whole, Verdict::fold(parts));
        }
    }

    #[test]
    fn exit_order_is_owed_interrupted_failed_unverified_passed() {
        assert_eq!(Exit::of(Verdict::Failed, true, true), Exit::Owed);
        assert_eq!(Exit::of(Verdict::Failed, false, true), Exit::Interrupted);
        assert_eq!(Exit::of(Verdict::Failed, false, false), Exit::Failed);
        assert_eq!(Exit::of(Verdict::Skipped, false, false), Exit::Unverified);
        assert_eq!(Exit::of(Verdict::Unverified, false, false), Exit::Unverified);
        assert_eq!(Exit::of(Verdict::Passed, false, false), Exit::Passed);
        let codes: Vec<u8> = Exit::TABLE.iter().map(|row| row.0.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130]);
        assert!(Exit::try_from(7).is_err());
    }
}
