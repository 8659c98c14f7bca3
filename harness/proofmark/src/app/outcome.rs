//! How a run ended, read back from its own evidence.

use super::error::RunError;
use super::options::RunOptions;
use super::report::{open, report_of};
use proofmark_engine::run::Ended;
use proofmark_evidence::record::{Export, Run, export};
use proofmark_evidence::report::{Report, write};
use proofmark_model::Exit;
use proofmark_model::diag::Diag;
use std::path::PathBuf;

/// A run that ended, as its evidence says.
#[derive(Debug)]
pub struct RunOutcome {
    /// The run's folder of evidence.
    pub folder: PathBuf,
    /// The exit code: that of the run, or 5 where a report or an export could not be written.
    pub exit: Exit,
    /// The evidence as it was read back.
    pub run: Run,
    /// The report of it.
    pub report: Report,
    /// The reports that were written: HTML, JUnit, JSON. Empty where none was asked for, or they could not be written.
    pub reports: Vec<PathBuf>,
    /// What could not be written besides the evidence.
    pub diagnostics: Vec<Diag>,
}

/// Reads the run's own evidence back, writes its reports, and copies what is to be exported.
pub(super) fn conclude(
    options: &RunOptions,
    exports: &[Export],
    ended: Ended,
) -> Result<RunOutcome, RunError> {
    let Ended { folder, mut exit } = ended;
    let run = open(folder.to_str(), &options.evidence)?;
    let report = report_of(&run);
    let mut diagnostics = vec![];
    let written = options.reports.as_ref().map_or_else(|| Ok(vec![]), |reports| write(&report, reports));
    let reports = written.unwrap_or_else(|error| {
        diagnostics.push(Diag::new("no-report", format!("the reports could not be written: {error}")));
        vec![]
    });
    if let Some(Err(error)) = options.export.as_ref().map(|to| export(&folder, to, exports)) {
        diagnostics.push(Diag::new("no-export", error.to_string()));
    }
    if !diagnostics.is_empty() {
        exit = Exit::Evidence;
    }
    Ok(RunOutcome { folder, exit, run, report, reports, diagnostics })
}
