//! `recover`: puts back what runs that are dead still owe, from the evidence folder alone.

use super::arguments::RunArgs;
use super::output::say;
use super::terminal::{Terminal, show_run};
use crate::app;
use crate::app::recover::RecoverRequest;
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use std::path::PathBuf;

/// Which runs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RecoverCommandArgs {
    /// A run's folder, or its id in `--evidence`; without it the newest run that owes something
    #[arg(conflicts_with = "all")]
    run: Option<String>,
    /// Every run in `--evidence` that owes something
    #[arg(long)]
    all: bool,
    /// Environment file: where the systems are and how to log in
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    #[command(flatten)]
    kept: RunArgs,
}

/// Puts back what is owed.
pub(super) async fn recover(options: &RecoverCommandArgs, clock: &Clock) -> Exit {
    let request = RecoverRequest {
        run: options.run.clone(),
        all: options.all,
        environment: options.env.clone(),
        options: options.kept.options(),
    };
    let ended = app::recover::recover(&request, &Terminal::new(&options.kept, clock), clock).await;
    let Some(ended) = ended.transpose() else {
        say("nothing is owed; nothing was done\n");
        return Exit::Passed;
    };
    show_run(&options.kept, &ended)
}
