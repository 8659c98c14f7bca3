//! Runs scenario files.

use super::commit::checkout_commit;
use super::error::RunError;
use super::execution::Execution;
use super::observer::RunObserver;
use super::options::RunOptions;
use super::outcome::RunOutcome;
use super::plan::load;
use proofmark_engine::scenario::Selection;
use proofmark_model::Duration;
use proofmark_model::clock::Clock;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Which scenarios to run, where their systems are, and how.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The scenario files, and what of them.
    pub selection: Selection,
    /// The environment file. `None`: no system is known.
    pub environment: Option<PathBuf>,
    /// Permissions and folders.
    pub options: RunOptions,
    /// How many scenarios run side by side; at least one does.
    pub jobs: usize,
    /// The run stops when it takes longer than this; what is left is unverified.
    pub deadline: Option<Duration>,
}

impl Default for RunRequest {
    /// Selects no file; four scenarios side by side, no deadline.
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            environment: None,
            options: RunOptions::default(),
            jobs: 4,
            deadline: None,
        }
    }
}

/// Runs scenarios, keeps evidence, reads it back and reports it. SIGINT and SIGTERM stop the run: what it changed is put
/// back, and its evidence is completed.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back. A run that failed is no error: its
/// outcome says so.
pub async fn run(
    request: &RunRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<RunOutcome, RunError> {
    let RunRequest { selection, environment, options, jobs, deadline } = request;
    // Git is asked while the scenarios are read.
    let asked = selection.paths.first().cloned().map(|path| {
        let clock = clock.clone();
        std::thread::spawn(move || checkout_commit(&path, &clock))
    });
    let commit = || asked.and_then(|asked| asked.join().ok()).unwrap_or_default();
    let load = |scope: &Map<String, Value>| load(selection, environment.as_deref(), scope);
    let execution = Execution { command: "run", options, jobs: *jobs, deadline: *deadline, inside: None };
    execution.perform(load, commit, (observer, clock)).await
}
