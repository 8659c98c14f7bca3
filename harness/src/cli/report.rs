//! `report`: tells a run again from its evidence, and exits as the run did.

use super::{give, tell};
use crate::diag::Diag;
use crate::model::Exit;
use crate::record::{ReadError, Run, find, read};
use crate::report::{self, Format, Report};
use std::io::IsTerminal;
use std::path::PathBuf;

/// What to tell, and how.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
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

/// Reads a run back.
pub(super) fn opened(name: Option<&str>, root: &std::path::Path) -> Result<Run, Exit> {
    find(name, root).and_then(|folder| read(&folder)).map_err(|error| {
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
        tell(&Diag::new("no-run", error.to_string()).help(help).render(std::io::stderr().is_terminal()));
        exit
    })
}

/// What a run's evidence says.
pub(super) fn told(run: &Run) -> Report {
    let folded = report::fold(run.info.as_ref(), &run.lines, run.manifest.is_some());
    Report { evidence: Some(run.folder.display().to_string()), ..folded }
}

/// Tells a run.
pub(super) fn report(options: &Options) -> Exit {
    let run = match opened(options.run.as_deref(), &options.evidence) {
        Ok(run) => run,
        Err(exit) => return exit,
    };
    let report = told(&run);
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
