//! Renderings of evidence: events are folded into a [`Report`], which becomes text, HTML, markdown, `JUnit`, JSON, or
//! workflow commands for GitHub.
//!
//! A report contains only what the evidence contains: [`fold`] is pure, reads only events and `run.json`, and derives
//! every verdict again from the findings up. It knows findings, never the kinds of steps that made them.

mod fold;
pub mod github;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod progress;
#[cfg(test)]
mod sample;
mod screen;
pub mod text;
mod words;

pub use fold::fold;
pub use words::{line, many, seconds};

use jiff::Timestamp;
use proofmark_model::diag::Diag;
use proofmark_model::{Exit, Finding, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The result of a run; the wire format of the JSON report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Format version.
    pub proofmark: String,
    /// Run id; empty when neither `run.json` nor the first event could be read.
    pub run: String,
    /// The fold of the scenarios; never `passed` when the run is incomplete.
    pub verdict: Verdict,
    /// The exit code of the run; 3 when the run is incomplete.
    pub exit: Exit,
    /// Whether the run reached its end and no event is missing.
    pub complete: bool,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// The run's folder, as a path relative to the directory in which the report was made; absent if only the events
    /// are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Seconds from the first event to the last.
    pub seconds: f64,
    /// The subcommand that was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Version of the program that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The machine it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Commit of the scenarios' checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Path of the environment file, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The permissions given to the run besides reading: `exec`, `change`, `destroy`; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// `SIGINT`, `SIGTERM` or `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_by: Option<String>,
    /// The number of steps and scenarios by verdict.
    pub counts: Counts,
    /// Every requested scenario, in order.
    pub scenarios: Vec<ScenarioReport>,
}

/// The number of steps and scenarios that ended in each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Scenarios by verdict.
    pub scenarios: Tally,
    /// Steps by verdict.
    pub steps: Tally,
}

/// A count for each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be decided.
    pub unverified: usize,
    /// How many were skipped.
    pub skipped: usize,
}

impl Tally {
    /// Counts verdicts.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut tally = Self::default();
        for verdict in verdicts {
            tally.add(verdict);
        }
        tally
    }

    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Unverified => self.unverified += 1,
            Verdict::Skipped => self.skipped += 1,
        }
    }

    /// The count of one verdict.
    pub fn get(self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Passed => self.passed,
            Verdict::Failed => self.failed,
            Verdict::Unverified => self.unverified,
            Verdict::Skipped => self.skipped,
        }
    }

    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed + self.unverified + self.skipped
    }
}

/// The result of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioReport {
    /// Scenario id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it claims.
    pub claim: String,
    /// What it does not prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does_not_prove: Option<String>,
    /// The file it was read from, as it was given to the run; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The fold of its steps.
    pub verdict: Verdict,
    /// Why it was skipped or not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
}

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// Step id.
    pub id: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The line where it begins in the scenario's `source`, from 1; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The kind's name; absent for a step that never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The fold of its findings, or the verdict that the run recorded if that is worse.
    pub verdict: Verdict,
    /// Why it was skipped or not decided, if no finding explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// How many rounds of polling it took.
    pub rounds: u32,
    /// The step's own file, relative to the run's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The findings, including those that passed.
    pub findings: Vec<Finding>,
}

impl StepReport {
    /// The finding that best explains the verdict: the first with the same verdict, else the first that did not pass.
    pub fn telling(&self) -> Option<&Finding> {
        let same = self.findings.iter().find(|finding| finding.verdict == self.verdict);
        let open = || self.findings.iter().find(|finding| finding.verdict != Verdict::Passed);
        (self.verdict != Verdict::Passed).then(|| same.or_else(open)).flatten()
    }
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, in a terminal.
    Text,
    /// One file for a browser, a phone, paper.
    Html,
    /// JUnit XML, for CI.
    Junit,
    /// The report as data.
    Json,
    /// For a merge request, a chat, a job's summary.
    Markdown,
    /// Workflow commands for GitHub Actions: an annotation for each step that did not pass.
    Github,
}

/// Why a report could not be rendered. None of these is a mistake of the user.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The HTML template failed.
    #[error("the HTML report could not be made: {0}")]
    Html(#[from] askama::Error),
    /// The XML writer failed.
    #[error("the JUnit report could not be made: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The JSON writer failed.
    #[error("the JSON report could not be made: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<RenderError> for Diag {
    fn from(error: RenderError) -> Diag {
        Diag::new("report", error.to_string())
            .help("this is a mistake in Proofmark; the evidence is not touched by it")
    }
}

/// Renders a report; `colour` affects only text. The result is empty or ends in a newline. When it is printed in a CI
/// job, no line of it is a command to the runner, except those of [`Format::Github`].
///
/// # Errors
/// When a writer fails, which is a bug in this program.
pub fn render(report: &Report, format: Format, colour: bool) -> Result<String, RenderError> {
    match format {
        Format::Text => Ok(text::render(report, None, colour)),
        Format::Html => html::render(report).map(|page| words::inert(&page, "&#58;", "&#91;")),
        Format::Junit => junit::render(report).map(|xml| words::inert(&xml, "&#58;", "&#91;")),
        Format::Json => json::render(report),
        Format::Markdown => Ok(markdown::render(report, usize::MAX)),
        Format::Github => Ok(github::render(report)),
    }
}

/// Makes text for people in which a CI runner finds no command.
pub fn inert(text: &str) -> String {
    words::inert(text, "\u{fffd}", "\u{fffd}")
}

/// Writes `<run>.html`, `<run>.xml` and `<run>.json` into a folder, which is created if it does not exist. (Markdown is
/// shown elsewhere; [`render`] makes it from the evidence at any time.) Each file is written atomically and replaces an
/// older one of the same run. Returns the paths.
///
/// # Errors
/// When the folder or a file cannot be written, or the run's id cannot be a file's name.
pub fn write(report: &Report, dir: &Path) -> io::Result<Vec<PathBuf>> {
    if report.run.is_empty() || report.run.starts_with('.') || report.run.contains(['/', '\\', '\0']) {
        let message = format!("the run's id {:?} cannot be a file's name", report.run);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    std::fs::create_dir_all(dir)?;
    let formats = [(Format::Html, "html"), (Format::Junit, "xml"), (Format::Json, "json")];
    std::thread::scope(|threads| {
        let written = formats
            .map(|(format, extension)| threads.spawn(move || write_one(report, dir, format, extension)));
        let failed = |_| Err(io::Error::other("a report could not be rendered"));
        written.into_iter().map(|thread| thread.join().unwrap_or_else(failed)).collect()
    })
}

fn write_one(report: &Report, dir: &Path, format: Format, extension: &str) -> io::Result<PathBuf> {
    let rendered = render(report, format, false).map_err(io::Error::other)?;
    let path = dir.join(format!("{}.{extension}", report.run));
    let mut file = tempfile::Builder::new().prefix(".report-").tempfile_in(dir)?;
    file.write_all(rendered.as_bytes())?;
    readable(file.as_file())?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// Makes a report readable for everyone: a temporary file is readable only by its owner, but a web server or a
/// colleague may need to read a report.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_written_whole_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("reports");
        let report = sample::failed();
        let paths = write(&report, &folder).unwrap();
        assert_eq!(write(&report, &folder).unwrap(), paths);
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            ["20260216T020000Z-x7k2q9.html", "20260216T020000Z-x7k2q9.json", "20260216T020000Z-x7k2q9.xml"]
        );
        for path in paths {
            assert!(std::fs::read_to_string(path).unwrap().ends_with('\n'));
        }
    }

    #[test]
    fn a_run_id_cannot_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["", "..", "../x", "a/b", ".hidden"] {
            let report = Report { run: id.to_owned(), ..sample::failed() };
            assert!(write(&report, dir.path()).is_err(), "{id}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
