//! Lists the backups of a store.

use crate::app::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, vars};
use crate::app::error::RunError;
use crate::app::observer::RunObserver;
use proofmark_model::clock::Clock;
use serde_json::json;

/// Which backups to list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Only names that begin with this.
    pub prefix: Option<String>,
    /// Whether archives without a manifest count too.
    pub foreign: bool,
    /// Where the store is, and how to run.
    pub command: CommandOptions,
}

const LIST: EmbeddedCommand = EmbeddedCommand {
    command: "backup list",
    file: ("builtin/backup/list.yaml", include_str!("../builtin/backup/list.yaml")),
    step: "list",
};

/// Lists the backups of the store.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn list(
    request: &ListRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<StepOutcome, RunError> {
    let ListRequest { prefix, foreign, command } = request;
    let given = vars(&json!({ "prefix": prefix, "foreign": foreign }));
    LIST.run(&command.run, &given, command.environment(&["store"]), (observer, clock)).await
}
