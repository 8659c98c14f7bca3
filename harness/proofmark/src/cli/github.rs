//! Shows a run's report where GitHub Actions looks for it, in a job of GitHub Actions.

use super::output::{give, tell};
use proofmark_evidence::report::{Report, github};
use proofmark_model::diag::Diag;
use std::path::PathBuf;

/// Writes annotations and the job's summary; nothing outside of a job. What GitHub shows beside the result changes nothing
/// of it.
pub(super) fn annotate(report: &Report) {
    let Some(job) = Job::here() else { return };
    give(&github::render(report));
    if let Some(file) = &job.summary
        && let Err(error) = github::summarise(report, file)
    {
        let message = format!("the job's summary {} could not be written: {error}", file.display());
        let help = "the verdict, the evidence and the reports are not touched by it";
        tell(&Diag::new("no-summary", message).help(help).render(false));
    }
}

/// The job of GitHub Actions that this runs in.
struct Job {
    /// The file that becomes the step's part of the job's summary.
    summary: Option<PathBuf>,
}

impl Job {
    /// None outside of one.
    #[expect(
        clippy::disallowed_methods,
        reason = "GitHub says in variables that it is there, and what it reads"
    )]
    fn here() -> Option<Self> {
        let there = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        there.then(|| Self { summary: summary.map(PathBuf::from) })
    }
}
