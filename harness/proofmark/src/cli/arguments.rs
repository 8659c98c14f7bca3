//! Arguments that several commands take, and the requests that they become.

use crate::app::options::RunOptions;
use clap::Args;
use proofmark_engine::scenario::Selection;
use proofmark_model::Permission;
use std::path::PathBuf;

/// What is chosen: files, and what of them.
#[derive(Debug, Clone, Args)]
pub(super) struct SelectionArgs {
    /// Scenario files, or folders of them
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Environment file: where the systems are and how to log in
    #[arg(long, value_name = "FILE")]
    pub(super) env: Option<PathBuf>,
    /// Only scenarios with this tag (may be given several times)
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<String>,
    /// Only this scenario, or this step of it: `ID` or `ID#STEP` (may be given several times)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// A value in the place of one in a scenario's `vars` (may be given several times)
    #[arg(long, value_name = "K=V", value_parser = pair)]
    var: Vec<(String, String)>,
}

impl SelectionArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            paths: self.paths.clone(),
            tags: self.tag.clone(),
            only: self.only.clone(),
            vars: self.var.iter().cloned().collect(),
        }
    }
}

/// Reads `name=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as `name=value`")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// What every command that is a run takes.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    /// What a run may do besides reading: run programs, change systems, destroy data
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Permission>,
    /// Folder that gets a folder for this run
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(super) evidence: PathBuf,
    /// Folder that gets the reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
    /// Folder that also gets the files that steps keep with `evidence:`, in a folder for each scenario
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Who runs it; kept in the evidence
    #[arg(long, value_name = "NAME", env = "PROOFMARK_OPERATOR")]
    operator: Option<String>,
    /// How to tell it while it runs: for people, or one JSON event per line
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: LiveFormat,
}

impl RunArgs {
    pub(super) fn options(&self) -> RunOptions {
        RunOptions {
            allow: self.allow.iter().copied().collect(),
            evidence: self.evidence.clone(),
            reports: Some(self.reports.clone()),
            export: self.export.clone(),
            operator: self.operator.clone(),
        }
    }
}

/// How a run is shown while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LiveFormat {
    /// For people
    Human,
    /// One JSON event per line
    Jsonl,
}
