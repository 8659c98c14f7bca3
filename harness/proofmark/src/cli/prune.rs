//! `backup prune`: deletes the backups that no rule keeps. The rules stand in flags, or in the variables of the plans.

use super::backup_arguments::{EventsArgs, RetentionArgs};
use super::embedded::{CommandArgs, show_step};
use super::terminal::Terminal;
use super::wording::shown;
use crate::app;
use crate::app::backup::prune::PruneRequest;
use proofmark_backup::prune::{Pruned, Stays};
use proofmark_evidence::report::{line, many};
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct PruneCommandArgs {
    #[command(flatten)]
    rules: RetentionArgs,
    /// Only names that begin with this; without --env it is `postgres/`
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// How deep the newest is looked at first: T0 its bytes, T1 decodes it and counts its rows
    #[arg(long, value_name = "TIER", default_value = "T1", value_parser = ["T0", "T1"])]
    verify: String,
    /// Archives without a manifest are backups too: another tool makes them
    #[arg(long)]
    foreign: bool,
    /// Folder of this machine with copies, which go by the same rules
    #[arg(long, value_name = "DIR")]
    local: Option<String>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    common: CommandArgs,
}

/// Prunes.
pub(super) async fn prune(options: &PruneCommandArgs, clock: &Clock) -> Exit {
    let common = &options.common;
    let request = PruneRequest {
        rules: options.rules.rules(),
        prefix: options.prefix.clone(),
        tier: options.verify.clone(),
        foreign: options.foreign,
        local: options.local.clone(),
        dry_run: options.dry_run,
        events_log: options.events.events_log.clone(),
        command: common.options(),
    };
    let ended = app::backup::prune::prune(&request, &Terminal::new(&common.kept, clock), clock).await;
    show_step((&common.kept, common.json), &ended, |step| pruned(&step.seen, options.dry_run))
}

/// What went and what stays, place by place.
pub(super) fn pruned(seen: &Value, dry_run: bool) -> String {
    let Ok(seen) = Pruned::deserialize(seen) else { return String::new() };
    let (mut out, mut place) = (String::new(), Some(&seen));
    while let Some(pruned) = place {
        one(pruned, dry_run, &mut out);
        place = pruned.local.as_deref();
    }
    out
}

fn one(seen: &Pruned, dry_run: bool, out: &mut String) {
    let (go, stay) = (many(seen.to_delete.len(), "backup"), seen.kept.len());
    let head = match &seen.refused {
        _ if dry_run => format!("a dry run, nothing was deleted; {go} would go, {stay} stay"),
        Some(why) => format!("nothing was deleted: {why}"),
        None => format!("{} deleted, {stay} stay", many(seen.deleted.len(), "backup")),
    };
    writeln!(out, "{}  {}", line(&seen.store), line(&head)).ok();
    for backup in &seen.to_delete {
        let gone = seen.deleted.contains(&backup.archive);
        let word = if gone { "gone" } else { "to go" };
        writeln!(out, "  {word:<6} {}  {}", line(&backup.archive), shown(backup.at)).ok();
    }
    for Stays { archive, why } in seen.locked.iter().chain(&seen.failed) {
        writeln!(out, "  still there: {}: {}", line(archive), line(why)).ok();
    }
    out.push('\n');
}
