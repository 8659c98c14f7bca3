//! What every run is given: permissions, and the folders that get what it saw.

use proofmark_model::Permission;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a run may do, and where its evidence and reports are written.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What the run may do besides reading.
    pub allow: BTreeSet<Permission>,
    /// The folder that gets a folder for this run. It is created if it does not exist.
    pub evidence: PathBuf,
    /// The folder that gets the HTML, JUnit and JSON reports. `None`: no report is written.
    pub reports: Option<PathBuf>,
    /// The folder that also gets the files that steps keep with `evidence:`.
    pub export: Option<PathBuf>,
    /// Who runs it, as `run.json` keeps it. Default: the user of this process.
    pub operator: Option<String>,
}

impl Default for RunOptions {
    /// Only reads; writes to `evidence` and `reports` in the working directory.
    fn default() -> Self {
        Self {
            allow: BTreeSet::new(),
            evidence: "evidence".into(),
            reports: Some("reports".into()),
            export: None,
            operator: None,
        }
    }
}

impl RunOptions {
    /// Who runs it: as given, else the user of this process, else `unknown`.
    pub(super) fn operator(&self) -> String {
        let user = || nix::unistd::User::from_uid(nix::unistd::getuid());
        let name = || user().ok().flatten().map_or_else(|| "unknown".to_owned(), |user| user.name);
        self.operator.clone().unwrap_or_else(name)
    }
}
