//! What the commands share that are scenarios of one step: their arguments, and how what the step saw is shown.

use super::arguments::RunArgs;
use super::terminal::{Shown, show_error, show_outcome};
use crate::app::embedded::{CommandOptions, StepOutcome};
use crate::app::error::RunError;
use clap::Args;
use proofmark_model::Exit;
use serde_json::Value;
use std::path::PathBuf;

/// Where the systems are, and where what is seen is kept.
#[derive(Debug, Clone, Args)]
pub(super) struct CommandArgs {
    /// Environment file: where the systems are and how to log in; without it environment variables say so
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Print what was seen as JSON, in the place of the report
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) kept: RunArgs,
}

impl CommandArgs {
    pub(super) fn options(&self) -> CommandOptions {
        CommandOptions { environment: self.env.clone(), run: self.kept.options() }
    }
}

/// The same of a command with one step: what it saw as JSON, or what `tell` makes of it, before the report.
pub(super) fn show_step(
    (args, json): (&RunArgs, bool),
    ended: &Result<StepOutcome, RunError>,
    tell: impl FnOnce(&StepOutcome) -> String,
) -> Exit {
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return show_error(error),
    };
    show_outcome(args, &ended.outcome, || match &ended.seen {
        seen if json => Shown::Alone(seen.clone()),
        Value::Null => Shown::Before(String::new()),
        _ => Shown::Before(tell(ended)),
    })
}
