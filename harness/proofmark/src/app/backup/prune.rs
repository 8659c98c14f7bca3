//! Deletes the backups that no rule keeps.

use super::retention::RetentionRules;
use crate::app::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, events_setting, vars};
use crate::app::error::RunError;
use crate::app::observer::RunObserver;
use proofmark_environment::Environment;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use serde_json::json;
use std::path::PathBuf;

/// The prefix of names where environment variables name the store.
const CONVENTIONAL: &str = "postgres/";

/// Which backups to delete.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// Which stay.
    pub rules: RetentionRules,
    /// Only names that begin with this. Default: all; `postgres/` without an environment file.
    pub prefix: Option<String>,
    /// How deep the newest is verified first: `T0` or `T1`.
    pub tier: String,
    /// Whether archives without a manifest count too.
    pub foreign: bool,
    /// A folder of this machine with copies, which go by the same rules.
    pub local: Option<String>,
    /// Only say what would be deleted.
    pub dry_run: bool,
    /// A file that takes events, one JSON object a line.
    pub events_log: Option<PathBuf>,
    /// Where the store is, and how to run.
    pub command: CommandOptions,
}

const PRUNE: EmbeddedCommand = EmbeddedCommand {
    command: "backup prune",
    file: ("builtin/backup/prune.yaml", include_str!("../builtin/backup/prune.yaml")),
    step: "prune",
};

/// Deletes old backups, once the newest that stays was verified.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn prune(
    request: &PruneRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<StepOutcome, RunError> {
    let PruneRequest { rules, tier, foreign, local, dry_run, command, .. } = request;
    let missing = || {
        let help =
            "add `--keep 30`, `--keep-within 30d` or both, or set BACKUP_KEEP or BACKUP_RETENTION_DAYS";
        vec![Diag::new("missing-rule", "nothing says which backups stay").help(help)]
    };
    let (rules, wrong) = match rules.read().and_then(|rules| rules.ok_or_else(missing)) {
        Ok(rules) => (rules, vec![]),
        // With a mistake nothing is run; so it is reported once, in the words of this command.
        Err(wrong) => (vars(&json!({ "keep-last": usize::MAX })), wrong),
    };
    let conventional = command.environment.is_none().then(|| CONVENTIONAL.to_owned());
    let mut given = vars(&json!({
        "prefix": request.prefix.clone().or(conventional), "verify": tier, "foreign": foreign, "local": local,
        "events": events_setting(request.events_log.as_deref()), "dry-run": dry_run,
    }));
    given.extend(rules);
    let environment: Result<Environment, Vec<Diag>> = match command.environment(&["store"]) {
        Ok(environment) if wrong.is_empty() => Ok(environment),
        other => Err(wrong.into_iter().chain(other.err().into_iter().flatten()).collect()),
    };
    PRUNE.run(&command.run, &given, environment, (observer, clock)).await
}
