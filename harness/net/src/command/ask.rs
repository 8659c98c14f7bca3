//! A program that is asked for something and changes nothing: `git`, `docker`, `pg_dump --version`, a command for a secret.

use super::Program;
use super::process::{KEPT, complete};
use crate::Log;
use proofmark_model::clock::Clock;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// What a program that was asked has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramAnswer {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// Standard error as text, at most its first MiB.
    pub stderr: String,
}

/// Why a program that was asked gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// It could not be started, or the system cannot say how it ended.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It did not end in this time and was stopped.
    #[error("it took longer than {}s", .0.as_secs())]
    TimedOut(Duration),
    /// Its standard output is longer than what is kept.
    #[error("it printed more than {KEPT} bytes")]
    TooLong,
}

/// Runs a program that only reads, to its end.
///
/// # Errors
/// It did not start, did not end in time, or answered too much. That it failed is no error: see its status.
pub async fn ask(program: Program<'_>, with: (&Clock, &Log)) -> Result<ProgramAnswer, ProgramFailure> {
    let limit = program.timeout;
    let completed = complete(program.spec(), (program.stdin, limit), with).await?;
    let status = completed.status.ok_or(ProgramFailure::TimedOut(limit))??;
    if completed.stdout.is_cut() {
        return Err(ProgramFailure::TooLong);
    }
    Ok(ProgramAnswer { status, stderr: completed.stderr.text(), stdout: completed.stdout.head })
}
