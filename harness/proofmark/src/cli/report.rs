//! `report`: tells a run again from its evidence, and exits as the run did.

use super::output::{give, tell};
use super::terminal::show_unread;
use crate::app;
use proofmark_evidence::report::{self, Format};
use proofmark_model::Exit;
use proofmark_model::diag::Diag;
use std::io::IsTerminal;
use std::path::PathBuf;

/// What to tell, and how.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReportCommandArgs {
    /// A run's folder, or its id in `--evidence`; without it the newest
    run: Option<String>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    evidence: PathBuf,
    /// Also write the HTML, JUnit and JSON reports into this folder
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,
    /// How to tell it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Tells a run.
pub(super) fn report(options: &ReportCommandArgs) -> Exit {
    let report = match app::report::report(options.run.as_deref(), &options.evidence) {
        Ok(report) => report,
        Err(error) => return show_unread(&error),
    };
    match report::render(&report, options.format, std::io::stdout().is_terminal()) {
        Ok(text) => give(&text),
        Err(error) => {
            tell(&Diag::from(error).render(false));
            return Exit::Evidence;
        }
    }
    match options.reports.as_deref().map(|folder| report::write(&report, folder)) {
        Some(Err(error)) => {
            tell(&Diag::new("no-report", format!("the reports could not be written: {error}")).render(false));
            Exit::Evidence
        }
        _ => report.exit,
    }
}
