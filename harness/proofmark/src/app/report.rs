//! Reads a run's evidence back, and makes its report.

use super::error::OpenError;
use proofmark_evidence::record::{ReadError, Run, find, read};
use proofmark_evidence::report::{Report, fold};
use proofmark_model::Exit;
use proofmark_model::diag::Diag;
use std::path::Path;

/// Opens a run: `name` is its folder, or its id below `evidence`. Default: the newest below `evidence`.
///
/// # Errors
/// A run that does not exist, is damaged, or was written by a newer program.
pub fn open(name: Option<&str>, evidence: &Path) -> Result<Run, OpenError> {
    find(name, evidence).and_then(|folder| read(&folder)).map_err(|error| {
        let (exit, help) = match &error {
            ReadError::Missing(_) | ReadError::Empty(_) => {
                (Exit::Usage, "name a run's folder, or its id below `--evidence DIR`")
            }
            ReadError::Newer(..) => {
                (Exit::Usage, "a run is read by the version that wrote it, or a newer one")
            }
            ReadError::Io { .. } | ReadError::Damaged { .. } => {
                (Exit::Evidence, "`proofmark verify` shows what else is not as it was")
            }
        };
        OpenError { exit, diagnostic: Diag::new("no-run", error.to_string()).help(help) }
    })
}

/// Makes the report of a run from its evidence alone.
pub fn report_of(run: &Run) -> Report {
    let folded = fold(run.info.as_ref(), &run.lines, run.manifest.is_some());
    Report { evidence: Some(run.folder.display().to_string()), ..folded }
}

/// Opens a run as [`open`] does, and makes its report.
///
/// # Errors
/// As [`open`].
pub fn report(name: Option<&str>, evidence: &Path) -> Result<Report, OpenError> {
    open(name, evidence).map(|run| report_of(&run))
}
