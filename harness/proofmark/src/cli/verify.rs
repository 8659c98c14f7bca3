//! `verify`: makes every hash and every judgement of a run again.

use super::output::say;
use super::terminal::show_unread;
use crate::app;
use crate::app::verify::VerifiedRun;
use proofmark_evidence::report::many;
use proofmark_model::Exit;
use std::path::PathBuf;

/// Which run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct VerifyCommandArgs {
    /// A run's folder, or its id in `--evidence`; without it the newest
    run: Option<String>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    evidence: PathBuf,
}

/// Verifies a run and says what is not as it was kept.
pub(super) fn verify(options: &VerifyCommandArgs) -> Exit {
    let VerifiedRun { folder, exit, verified } =
        match app::verify::verify(options.run.as_deref(), &options.evidence) {
            Ok(verified) => verified,
            Err(error) => return show_unread(&error),
        };
    let headline = match exit {
        Exit::Passed => "the same",
        Exit::Unverified => "could not be verified whole",
        _ => "DIFFERENT",
    };
    say(&format!("{}: {headline}\n", folder.display()));
    for line in &verified.different {
        say(&format!("  ✗ {line}\n"));
    }
    for line in &verified.open {
        say(&format!("  ? {line}\n"));
    }
    let (files, steps) = (many(verified.files, "file"), many(verified.steps, "judgement"));
    say(&format!("  {files} with the hash of then, {steps} made again\n"));
    exit
}
