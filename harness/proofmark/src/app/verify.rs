//! Makes every hash and every judgement of a run again.

use super::error::OpenError;
use super::report::open;
use crate::kinds::registry;
use proofmark_engine::verify::Verified;
use proofmark_model::Exit;
use std::path::{Path, PathBuf};

/// A run, and what verification found.
#[derive(Debug)]
pub struct VerifiedRun {
    /// The run's folder.
    pub folder: PathBuf,
    /// 0 the same, 3 incomplete or judged by other rules, 5 different.
    pub exit: Exit,
    /// What was compared, and what differs.
    pub verified: Verified,
}

/// Verifies a run, offline. `name` is its folder, or its id below `evidence`. Default: the newest below `evidence`.
///
/// # Errors
/// A run that does not exist, is damaged, or was written by a newer program.
pub fn verify(name: Option<&str>, evidence: &Path) -> Result<VerifiedRun, OpenError> {
    let run = open(name, evidence)?;
    let verified = proofmark_engine::verify::verify(&run, registry());
    Ok(VerifiedRun { folder: run.folder, exit: verified.exit(), verified })
}
