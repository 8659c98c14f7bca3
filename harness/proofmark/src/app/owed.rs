//! Changes that earlier runs have not put back.

use super::error::RunError;
use super::observer::RunObserver;
use super::options::RunOptions;
use proofmark_evidence::report::many;
use proofmark_evidence::undo::{ReadError, unfinished};
use proofmark_model::diag::Diag;

/// Refuses a run that may change something while a dead run owes a change. A run that changes nothing gets a note, and
/// goes on.
pub(super) fn refuse_while_owed(options: &RunOptions, observer: &dyn RunObserver) -> Result<(), RunError> {
    let owing = unfinished(&options.evidence).map_err(|error| unreadable(&error))?;
    let owing: Vec<_> = owing.into_iter().filter(|run| run.lock.is_some()).collect();
    let Some(first) = owing.first() else { return Ok(()) };
    let message = format!(
        "{} in {} has not been put back by the run that made it, and that run is dead",
        many(owing.iter().map(|run| run.debts.len()).sum(), "change"),
        first.folder.display(),
    );
    let diag = Diag::new("owed", message).help("`proofmark recover --all --env FILE` puts it back");
    if !options.allow.is_empty() {
        return Err(RunError::Owed(diag));
    }
    observer.note(&diag);
    Ok(())
}

/// The journal of a run that cannot be read.
pub(super) fn unreadable(error: &ReadError) -> RunError {
    let help = "look at it before anything is changed; move the run's folder away to go on without it";
    RunError::Journal(Diag::new("no-journal", error.to_string()).help(help))
}
