//! `run`: plan, run, read back, report.

use super::arguments::{RunArgs, SelectionArgs};
use super::terminal::{Terminal, show_run};
use crate::app;
use crate::app::run::RunRequest;
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, Exit};

/// What to run, and where to leave what was seen.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RunCommandArgs {
    #[command(flatten)]
    chosen: SelectionArgs,
    #[command(flatten)]
    kept: RunArgs,
    /// How many scenarios run side by side
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: usize,
    /// Stop when the whole run takes longer than this; what is left is unverified
    #[arg(long, value_name = "DURATION")]
    deadline: Option<Duration>,
}

/// Runs what was chosen.
pub(super) async fn run(options: &RunCommandArgs, clock: &Clock) -> Exit {
    let request = RunRequest {
        selection: options.chosen.selection(),
        environment: options.chosen.env.clone(),
        options: options.kept.options(),
        jobs: options.jobs,
        deadline: options.deadline,
    };
    show_run(&options.kept, &app::run::run(&request, &Terminal::new(&options.kept, clock), clock).await)
}
