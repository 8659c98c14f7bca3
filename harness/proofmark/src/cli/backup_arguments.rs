//! Arguments that several commands about backups take.

use crate::app::backup::retention::RetentionRules;
use clap::Args;
use proofmark_model::Duration;
use std::path::PathBuf;

/// Which backup.
#[derive(Debug, Clone, Args)]
pub(super) struct BackupArgs {
    /// `newest`, `oldest`, or the name of an archive or a manifest
    #[arg(default_value = "newest")]
    pub(super) backup: String,
    /// Only backups whose names begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(super) prefix: Option<String>,
}

/// Who else is told what happens.
#[derive(Debug, Clone, Args)]
pub(super) struct EventsArgs {
    /// File that takes events, one JSON object per line; a file of this operation alone is put beside it
    #[arg(long, value_name = "FILE", env = "BACKUP_EVENTS_LOG", hide_env_values = true)]
    pub(super) events_log: Option<PathBuf>,
}

/// Which backups stay.
#[derive(Debug, Clone, Args)]
pub(super) struct RetentionArgs {
    /// So many of the newest stay; without a rule `BACKUP_KEEP` says it
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Those that are no older stay; without a rule `BACKUP_RETENTION_DAYS` or `RETENTION_DAYS` says it
    #[arg(long, value_name = "DURATION")]
    keep_within: Option<Duration>,
    /// So many remain however old they are
    #[arg(long, value_name = "N", default_value = "1")]
    keep_at_least: usize,
}

impl RetentionArgs {
    pub(super) fn rules(&self) -> RetentionRules {
        let Self { keep, keep_within, keep_at_least } = *self;
        RetentionRules { keep, keep_within, keep_at_least }
    }
}
