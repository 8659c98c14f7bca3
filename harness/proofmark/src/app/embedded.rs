//! Commands that are scenarios: the file is part of the program, a request becomes its `vars`, and from there on it is a
//! run like any other, with evidence and reports.

use super::commit::CheckoutCommit;
use super::environment;
use super::error::RunError;
use super::execution::Execution;
use super::observer::RunObserver;
use super::options::RunOptions;
use super::outcome::RunOutcome;
use super::plan::both;
use crate::kinds::registry;
use proofmark_engine::scenario::{embedded, embedded_id};
use proofmark_environment::Environment;
use proofmark_evidence::record::Run;
use proofmark_evidence::report::text::sentence;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::{Event, Verdict};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Where the systems are, and how to run.
#[derive(Debug, Clone, Default)]
pub struct CommandOptions {
    /// The environment file. Default: what the request or environment variables name.
    pub environment: Option<PathBuf>,
    /// Permissions and folders.
    pub run: RunOptions,
}

impl CommandOptions {
    /// The environment of the file, or of the variables that name systems for these roles.
    pub(super) fn environment(&self, roles: &[&str]) -> Result<Environment, Vec<Diag>> {
        self.environment.as_deref().map_or_else(|| environment::of_variables(roles), environment::load)
    }
}

/// A run of an embedded scenario, and what its step saw.
#[derive(Debug)]
pub struct StepOutcome {
    /// The run.
    pub outcome: RunOutcome,
    /// What the step saw, in the shape that its kind documents; `null` where it saw nothing.
    pub seen: Value,
    /// The first finding that did not pass, as a sentence.
    pub why: Option<String>,
}

/// A command and its scenario of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct EmbeddedCommand {
    /// As it is typed: `backup create`.
    pub(super) command: &'static str,
    /// Path and text of the scenario.
    pub(super) file: (&'static str, &'static str),
    /// The step whose observation is the command's result.
    pub(super) step: &'static str,
}

impl EmbeddedCommand {
    /// The id of its scenario.
    pub(super) fn scenario(&self) -> &'static str {
        embedded_id(self.file.0)
    }

    /// Runs it with these values of its `vars`.
    pub(super) async fn run(
        &self,
        options: &RunOptions,
        vars: &Map<String, Value>,
        environment: Result<Environment, Vec<Diag>>,
        (observer, clock): (&dyn RunObserver, &Clock),
    ) -> Result<StepOutcome, RunError> {
        let load =
            |scope: &Map<String, Value>| both(embedded(self.file, vars, scope, registry()), environment);
        let inside = Some(self.file.0);
        let execution = Execution { command: self.command, options, jobs: 1, deadline: None, inside };
        let outcome = execution.perform(load, CheckoutCommit::default, (observer, clock)).await?;
        let seen = outcome.run.observation(self.scenario(), self.step).unwrap_or_default();
        let why = first_not_passed(&outcome.run);
        Ok(StepOutcome { outcome, seen, why })
    }
}

/// The first finding that did not pass.
fn first_not_passed(run: &Run) -> Option<String> {
    let findings = run.lines.iter().filter_map(|line| match &line.event {
        Event::StepEnded { findings, .. } | Event::Reverted { findings, .. } => Some(findings),
        _ => None,
    });
    findings.flatten().find(|finding| finding.verdict != Verdict::Passed).map(sentence)
}

/// The entries of a JSON object.
pub(super) fn vars(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The setting `events` of a step: into a file, and into one of this operation alone beside it; `null` without a file.
pub(super) fn events_setting(log: Option<&Path>) -> Value {
    let Some(log) = log.filter(|log| !log.as_os_str().is_empty()) else { return Value::Null };
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    json!({ "folder": folder, "log": log })
}
