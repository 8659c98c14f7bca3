//! Verifies a backup without a database.

use crate::app::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, vars};
use crate::app::error::RunError;
use crate::app::observer::RunObserver;
use proofmark_model::clock::Clock;
use serde_json::json;

/// Which backup to verify, and how deep.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// `newest`, `oldest`, or the name of an archive or a manifest.
    pub backup: String,
    /// Only backups whose names begin with this.
    pub prefix: Option<String>,
    /// `T0` reads its bytes, `T1` decodes it and counts its rows.
    pub tier: String,
    /// Where the store is, and how to run.
    pub command: CommandOptions,
}

const VERIFY: EmbeddedCommand = EmbeddedCommand {
    command: "backup verify",
    file: ("builtin/backup/verify.yaml", include_str!("../builtin/backup/verify.yaml")),
    step: "verify",
};

/// Reads a backup to its last byte and compares it with its manifest.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn verify(
    request: &VerifyRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<StepOutcome, RunError> {
    let VerifyRequest { backup, prefix, tier, command } = request;
    let given = vars(&json!({ "backup": backup, "prefix": prefix, "tier": tier }));
    VERIFY.run(&command.run, &given, command.environment(&["store"]), (observer, clock)).await
}
