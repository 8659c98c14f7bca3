//! A program that lives on after us, such as a server that was stopped and is started again.

use super::not_started;
use super::process::ProcessSpec;
use crate::{ClientError, Log};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Starts a program in a session of its own; part of util-linux and of busybox.
pub const SETSID: &str = "setsid";

/// How long a program that was started is watched for a bad end.
const FIRST: Duration = Duration::from_secs(1);

/// Starts a program in a session of its own, so that it lives on after us. It has our environment and these variables; its
/// input is empty, and what it says goes nowhere.
///
/// # Errors
/// When it cannot be started, or ends badly within a second.
pub async fn detach(
    argv: &[String],
    cwd: &str,
    env: &[(String, String)],
    log: &Log,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let line: Vec<String> = [SETSID.to_owned()].into_iter().chain(argv.iter().cloned()).collect();
    let spec = ProcessSpec { argv: &line, cwd: Some(Path::new(cwd)), env, input: false };
    let mut child = spec.detach(1, log).map_err(|error| not_started(SETSID, &error))?;
    match timeout(FIRST, child.wait()).await {
        Ok(Ok(status)) if !status.success() => {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            let message = format!("expected `{program}` to start, but it ended at once: {status}");
            Err(ClientError::new(ErrorCode::ProgramFailed, message))
        }
        // It runs, or has started what runs.
        _ => Ok(()),
    }
}
