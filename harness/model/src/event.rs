//! The events of a run, in order: the lines of `events.jsonl` and the files that go with them.

use super::step::EXCHANGE;
use super::{ErrorCode, Exchange, Exit, Finding, Verdict};
use crate::redact::{Frame, Framed};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Position in the file, from 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The run began; `run.json` holds what was requested.
    RunStarted {
        /// Run id, also the folder's name.
        run: String,
        /// Scenarios and steps that will run, in order.
        scenarios: Vec<ScenarioInfo>,
    },
    /// A scenario began.
    ScenarioStarted {
        /// Scenario id.
        scenario: String,
    },
    /// A step began.
    StepStarted {
        /// Scenario id.
        scenario: String,
        /// Step id.
        step: String,
        /// The kind's name.
        kind: String,
    },
    /// An attempt ended and another follows.
    Attempted {
        /// Scenario id.
        scenario: String,
        /// Step id.
        step: String,
        /// The round of polling, from 1.
        round: u32,
        /// The verdict of this attempt.
        verdict: Verdict,
        /// The first finding that did not pass, or the error.
        why: String,
        /// The code of that error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
    },
    /// A step ended; its file is closed.
    StepEnded {
        /// Scenario id.
        scenario: String,
        /// Step id.
        step: String,
        /// The kind's name.
        kind: String,
        /// The step's verdict.
        verdict: Verdict,
        /// Why it was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Seconds it took.
        seconds: f64,
        /// How many rounds it took.
        rounds: u32,
        /// The step's file, relative to the run's folder.
        file: String,
        /// SHA-256 of that file.
        sha256: String,
        /// The conclusions.
        findings: Vec<Finding>,
    },
    /// A promise was due; the file that records whether the change was undone is closed.
    Reverted {
        /// Scenario id.
        scenario: String,
        /// The step that changed something.
        step: String,
        /// The kind's name.
        kind: String,
        /// The run that made the promise.
        of: String,
        /// The promise's number in that run.
        promise: u32,
        /// Whether the original state is restored.
        verdict: Verdict,
        /// Seconds it took.
        seconds: f64,
        /// How many rounds it took.
        rounds: u32,
        /// The file, relative to the run's folder.
        file: String,
        /// SHA-256 of that file.
        sha256: String,
        /// The conclusions.
        findings: Vec<Finding>,
    },
    /// A scenario ended.
    ScenarioEnded {
        /// Scenario id.
        scenario: String,
        /// The fold of the verdicts of its steps.
        verdict: Verdict,
        /// Why it was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Seconds it took.
        seconds: f64,
    },
    /// SIGINT, SIGTERM or the deadline: steps that change something finish, the rest are skipped.
    Interrupted {
        /// `SIGINT`, `SIGTERM`, or `deadline`.
        by: String,
    },
    /// The run ended; only the manifest follows.
    RunEnded {
        /// The fold of the verdicts of its scenarios.
        verdict: Verdict,
        /// The process's exit code.
        exit: Exit,
        /// `scenario#step` of every step that failed.
        failed: Vec<String>,
        /// `scenario#step` of every step that is unverified.
        unverified: Vec<String>,
        /// Seconds it took.
        seconds: f64,
    },
}

/// A scenario as the plan lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioInfo {
    /// Scenario id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it claims.
    pub claim: String,
    /// What it does not prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does_not_prove: Option<String>,
    /// The file it was read from, as given.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// Step ids with titles, in order.
    pub steps: Vec<(String, Option<String>)>,
    /// The line of each of these steps in the file, from 1; 0 where it is unknown. Empty in older evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<u64>,
}

/// `run.json`: what was requested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunInfo {
    /// Format version.
    pub proofmark: String,
    /// Version of the program.
    pub version: String,
    /// Run id.
    pub run: String,
    /// When it began.
    pub started: Timestamp,
    /// The subcommand.
    pub command: String,
    /// Environment file, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<FileHash>,
    /// Connections by name, secrets masked.
    pub connections: BTreeMap<String, Value>,
    /// Scenario files with their hashes.
    pub scenarios: Vec<FileHash>,
    /// `vars` after `--var`, by scenario.
    pub vars: BTreeMap<String, Value>,
    /// Permissions given.
    pub allow: Vec<String>,
    /// Commit of the scenarios' checkout, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Programs that ran before the first step, in order: those for secrets of connections, and `git` for `commit`. The
    /// output of a program for a secret is itself secret, so neither its length nor its hash is kept: `bytes` is 0.
    /// Empty in older evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Exchange>,
    /// Name of this machine.
    pub host: String,
    /// Who ran it.
    pub operator: String,
}

const SCENARIO: Frame = Frame { own: &["id", "sha256", "lines"], named: &["steps"], parts: &[] };

impl Framed for Line {
    const FRAME: &'static Frame = &Frame {
        own: &[
            "seq",
            "at",
            "event",
            "run",
            "scenario",
            "step",
            "kind",
            "round",
            "verdict",
            "code",
            "seconds",
            "rounds",
            "file",
            "sha256",
            "findings",
            "by",
            "exit",
            "failed",
            "unverified",
            "of",
            "promise",
        ],
        named: &[],
        parts: &[("scenarios", &SCENARIO)],
    };
}

impl Framed for RunInfo {
    const FRAME: &'static Frame = &Frame {
        own: &["proofmark", "version", "run", "started", "command", "allow"],
        named: &[],
        parts: &[("scenarios", &SCENARIO), ("environment", &SCENARIO), ("programs", &EXCHANGE)],
    };
}

/// A file and the hash of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileHash {
    /// Path.
    pub path: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// `manifest.json`, written last: a run without it is incomplete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub proofmark: String,
    /// Run id.
    pub run: String,
    /// The run's verdict.
    pub verdict: Verdict,
    /// The run's exit code.
    pub exit: Exit,
    /// SHA-256 of every file but this one, by path relative to the run's folder.
    pub files: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests;
