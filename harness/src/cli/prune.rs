//! `backup prune`: deletes the backups that no rule keeps. The rules stand in flags, or in the variables of the plans.

use super::backup::{Events, environment, shown, vars};
use super::builtin::{Builtin, Common};
use super::many;
use crate::backup::prune::{Pruned, Stays};
use crate::backup::variables::retention;
use crate::clock::Clock;
use crate::diag::Diag;
use crate::environment::{Environment, Variables};
use crate::model::{Duration, Exit};
use crate::report::line;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Where backups are called by the convention of the plans.
const CONVENTIONAL: &str = "postgres/";

/// Which backups stay.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Rules {
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

impl Rules {
    /// Are there flags that say it?
    pub(super) fn are_given(&self) -> bool {
        self.keep.is_some() || self.keep_within.is_some()
    }

    /// The values for a scenario, from the flags, or else from the variables; `None` where neither says anything.
    pub(super) fn read(&self) -> Result<Option<Value>, Vec<Diag>> {
        let (last, within) =
            if self.are_given() { (self.keep, self.keep_within) } else { retention(Variables::PROCESS)? };
        let said = last.is_some() || within.is_some();
        Ok(said.then(
            || json!({ "keep-last": last, "keep-within": within, "keep-at-least": self.keep_at_least }),
        ))
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    rules: Rules,
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
    events: Events,
    #[command(flatten)]
    common: Common,
}

const PRUNE: Builtin = Builtin {
    command: "backup prune",
    file: ("builtin/backup/prune.yaml", include_str!("builtin/backup/prune.yaml")),
    step: "prune",
    confirm: None,
};

/// Prunes.
pub(super) async fn prune(options: &Options, clock: &Clock) -> Exit {
    let Options { common, rules, verify, foreign, local, dry_run, events, .. } = options;
    let missing = || {
        let help =
            "add `--keep 30`, `--keep-within 30d` or both, or set BACKUP_KEEP or BACKUP_RETENTION_DAYS";
        vec![Diag::new("missing-rule", "nothing says which backups stay").help(help)]
    };
    let (rules, wrong) = match rules.read().and_then(|rules| rules.ok_or_else(missing)) {
        Ok(rules) => (vars(&rules), vec![]),
        // With a mistake nothing is run; so it is told once, in the words of this command.
        Err(wrong) => (vars(&json!({ "keep-last": usize::MAX })), wrong),
    };
    let conventional = common.env.is_none().then(|| CONVENTIONAL.to_owned());
    let mut given = vars(&json!({
        "prefix": options.prefix.clone().or(conventional), "verify": verify, "foreign": foreign, "local": local,
        "events": events.setting(), "dry-run": dry_run,
    }));
    given.extend(rules);
    let environment: Result<Environment, Vec<Diag>> = match environment(common, &["store"]) {
        Ok(environment) if wrong.is_empty() => Ok(environment),
        other => Err(wrong.into_iter().chain(other.err().into_iter().flatten()).collect()),
    };
    PRUNE.run((common, clock), given, environment, |seen, _| pruned(seen, *dry_run)).await.exit
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
