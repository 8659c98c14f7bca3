//! Commands that are scenarios: the file stands in the program, flags become its `vars`, and from there on it is a run like
//! any other, with evidence and reports.

use super::both;
use super::run::{Confirm, Kept, Order, Told, conclude, teller};
use crate::clock::Clock;
use crate::diag::Diag;
use crate::environment::Environment;
use crate::kinds::registry;
use crate::model::{Event, Exit, Verdict};
use crate::record::Run;
use crate::report::text::sentence;
use crate::scenario::{embedded, embedded_id};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Where the systems are, and where what is seen is kept.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Environment file: where the systems are and how to log in; without it environment variables say so
    #[arg(long, value_name = "FILE")]
    pub(super) env: Option<PathBuf>,
    /// Print what was seen as JSON, in the place of the report
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) kept: Kept,
}

/// How it ended.
pub(super) struct Ran {
    pub(super) exit: Exit,
    /// What the step saw; `null` where it saw nothing.
    pub(super) seen: Value,
    /// Why it did not pass, in one sentence.
    pub(super) why: Option<String>,
}

/// A command and its scenario of one step.
pub(super) struct Builtin {
    /// As it is typed: `backup create`.
    pub(super) command: &'static str,
    /// Path and text of the scenario.
    pub(super) file: (&'static str, &'static str),
    /// The step that sees what the command tells.
    pub(super) step: &'static str,
    /// Is asked before anything is touched.
    pub(super) confirm: Option<Confirm>,
}

impl Builtin {
    /// Its scenario's id.
    pub(super) fn scenario(&self) -> &'static str {
        embedded_id(self.file.0)
    }

    /// Runs it; `tell` makes of what was seen, and of the run, what people read before the report.
    pub(super) async fn run(
        &self,
        (common, clock): (&Common, &Clock),
        vars: Map<String, Value>,
        environment: Result<Environment, Vec<Diag>>,
        tell: impl FnOnce(&Value, &Run) -> String,
    ) -> Ran {
        let load =
            |scope: &Map<String, Value>| both(embedded(self.file, &vars, scope, registry()), environment);
        let (command, kept) = (self.command, &common.kept);
        let order = Order {
            command,
            kept,
            jobs: 1,
            deadline: None,
            inside: Some(self.file.0),
            confirm: self.confirm,
        };
        let (ended, exports) =
            match order.perform(load, || None, (clock, || teller(kept.format, clock))).await {
                Ok(ended) => ended,
                Err(stopped) => return Ran { exit: stopped.exit, seen: Value::Null, why: Some(stopped.why) },
            };
        let (mut seen, mut why) = (Value::Null, None);
        let exit = conclude(&common.kept, &exports, &ended, |run| {
            why = bad(run);
            seen = run.observation(self.scenario(), self.step).unwrap_or_default();
            if common.json {
                return Told::Alone(seen.clone());
            }
            Told::Before(if seen.is_null() { String::new() } else { tell(&seen, run) })
        });
        Ran { exit, seen, why }
    }
}

/// The first finding that did not pass.
fn bad(run: &Run) -> Option<String> {
    let findings = run.lines.iter().filter_map(|line| match &line.event {
        Event::StepEnded { findings, .. } | Event::Reverted { findings, .. } => Some(findings),
        _ => None,
    });
    let bad = findings.flatten().find(|finding| finding.verdict != Verdict::Passed);
    bad.map(sentence)
}
