//! Makes a database again from its backup, or empties and fills tables of it.

use crate::app::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, events_setting, vars};
use crate::app::error::RunError;
use crate::app::observer::RunObserver;
use proofmark_model::clock::Clock;
use serde_json::json;
use std::path::PathBuf;

/// Which backup to restore, and what of it.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// `newest`, `oldest`, or the name of an archive or a manifest.
    pub backup: String,
    /// Only backups whose names begin with this.
    pub prefix: Option<String>,
    /// The tables to empty and fill where they are: `name`, `schema.name` or `*`. Empty: the whole database is made again.
    pub tables: Vec<String>,
    /// A file that takes events, one JSON object a line.
    pub events_log: Option<PathBuf>,
    /// Where the systems are, and how to run.
    pub command: CommandOptions,
}

const RESTORE: EmbeddedCommand = EmbeddedCommand {
    command: "backup restore",
    file: ("builtin/backup/restore.yaml", include_str!("../builtin/backup/restore.yaml")),
    step: "restore",
};

/// Restores a backup. [`RunObserver::confirm`] is the last that can stop it; what was written since the backup is lost.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn restore(
    request: &RestoreRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<StepOutcome, RunError> {
    let RestoreRequest { backup, prefix, tables, events_log, command } = request;
    let into = if tables.is_empty() { "recreate" } else { "in-place" };
    let given = vars(&json!({
        "backup": backup, "prefix": prefix, "into": into, "tables": tables,
        "events": events_setting(events_log.as_deref()),
    }));
    let environment = command.environment(&["postgres", "store"]);
    RESTORE.run(&command.run, &given, environment, (observer, clock)).await
}
