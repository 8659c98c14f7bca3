//! What a caller sees while a run goes on, and what it is asked.

use proofmark_engine::run::ProgressSink;
use proofmark_environment::Systems;
use proofmark_evidence::record::Tell;
use proofmark_model::diag::Diag;

/// Receives what happens in a run. Every method has a default: nothing is shown, and everything is confirmed.
pub trait RunObserver: Send + Sync {
    /// Reports something that does not stop the run, before it begins.
    fn note(&self, diag: &Diag) {
        let _ = diag;
    }

    /// Asks whether to go on, after the plan, the secrets and the permissions were checked and before anything is touched.
    ///
    /// # Errors
    /// Why the run must not begin.
    fn confirm(&self, systems: &Systems) -> Result<(), Diag> {
        let _ = systems;
        Ok(())
    }

    /// Returns where the events and the progress go. It is called once, when nothing is asked any more.
    fn sinks(&self) -> RunSinks {
        RunSinks::default()
    }
}

/// Where the events and the progress of a run go.
pub struct RunSinks {
    /// Gets every event once it is on the disk, on the thread that writes evidence.
    pub events: Tell,
    /// Gets how far a step has come; nothing of it is kept.
    pub progress: Option<ProgressSink>,
}

impl Default for RunSinks {
    fn default() -> Self {
        Self { events: Box::new(|_| {}), progress: None }
    }
}

/// Shows nothing and confirms everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl RunObserver for Silent {}
