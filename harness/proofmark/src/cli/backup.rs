//! `backup`: its commands; `list` and `verify` with the few lines before the report that say what came of it.

use super::backup_arguments::BackupArgs;
use super::embedded::{CommandArgs, show_step};
use super::terminal::Terminal;
use super::wording::{left_open, part, rows, shown};
use super::{create, prune, restore};
use crate::app;
use crate::app::backup::list::ListRequest;
use crate::app::backup::verify::VerifyRequest;
use clap::{Args, Subcommand};
use indicatif::{DecimalBytes, HumanDuration};
use jiff::Timestamp;
use proofmark_backup::Backup;
use proofmark_backup::verify::Verified;
use proofmark_evidence::report::{line, many};
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use serde_json::Value;
use std::fmt::Write as _;

const VARIABLES: &str = "Without --env these variables say where the systems are: DATABASE_URL (or POSTGRES_HOST, \
POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB); MINIO_ENDPOINT, MINIO_BUCKET, MINIO_ACCESS_KEY and \
MINIO_SECRET_KEY (or MINIO_ROOT_USER and MINIO_ROOT_PASSWORD), and MINIO_SECURE=true for TLS where the endpoint has no \
scheme.";

const TOLD: &str = "A backup that fails is told to the webhook BACKUP_WEBHOOK_URL, or to the connection `webhook` of the \
environment file: {\"text\": \"[BACKUP FAILURE] …\"} is posted there.";

const PRUNED: &str = "Old backups are deleted once the new one was made, where --keep or --keep-within says which stay, \
or BACKUP_KEEP, BACKUP_RETENTION_DAYS or RETENTION_DAYS does: in the store what is named like this backup up to the first \
brace, and the copies in --local. It needs --allow destroy; what a variable asks for and is not allowed is left out, and \
said.";

pub(super) const EXAMPLES: &str = "Examples:
  proofmark backup create --allow change
  proofmark backup list --env environment.yaml
  proofmark backup verify oldest
  proofmark backup restore --table bookings --allow destroy

`proofmark drill` proves one by restoring it.";

#[derive(Debug, Args)]
pub(super) struct BackupCommandArgs {
    #[command(subcommand)]
    command: Command,
    /// Ask nothing; only `restore` asks, for the database's name
    #[arg(long, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Dump the database into the store, count every row of it, and read back what was stored
    #[command(
        after_help = format!("Examples:\n  proofmark backup create --allow change\n  proofmark backup create --local backups --env environment.yaml --allow change\n  proofmark backup create --container shop-db-1 --allow change\n  proofmark backup create --dry-run\n  proofmark backup create --keep-within 30d --allow change,destroy\n\n{VARIABLES}\n\n{TOLD}\n\n{PRUNED}")
    )]
    Create(create::CreateCommandArgs),
    /// List the backups of the store, newest first
    #[command(
        after_help = format!("Examples:\n  proofmark backup list\n  proofmark backup list --prefix postgres/2026/02/ --json\n  proofmark backup list --foreign\n\n{VARIABLES}")
    )]
    List(List),
    /// Read a backup to its last byte and hold it against its manifest, without a database
    #[command(
        after_help = format!("Examples:\n  proofmark backup verify\n  proofmark backup verify oldest --tier T0\n\n{VARIABLES}")
    )]
    Verify(Verify),
    /// Delete old backups, once the newest that stays was verified
    #[command(
        after_help = format!("Examples:\n  proofmark backup prune --keep 30 --allow destroy\n  proofmark backup prune --keep-within 30d --keep-at-least 7 --allow destroy\n  proofmark backup prune --keep 10 --foreign --dry-run\n\nWhat any rule keeps stays. The newest is never deleted.\n\n{VARIABLES}")
    )]
    Prune(prune::PruneCommandArgs),
    /// Make the database again from its backup, or fill some tables of it
    #[command(
        after_help = format!("Examples:\n  proofmark backup restore --allow destroy\n  proofmark backup restore oldest --table bookings --yes --allow destroy\n\nThe backup is verified first. The database is restored beside the one that is there, or is lost, and compared; then it takes its place: the sessions are ended, the name changes, and the old one is dropped. With --table the tables are emptied and filled in one transaction, which no other table notices. A restore that fails leaves everything as it was. What was written since the backup is lost.\n\n{VARIABLES}")
    )]
    Restore(restore::RestoreCommandArgs),
}

#[derive(Debug, Clone, Args)]
struct List {
    /// Only names that begin with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Archives without a manifest count too: another tool makes them
    #[arg(long)]
    foreign: bool,
    #[command(flatten)]
    common: CommandArgs,
}

#[derive(Debug, Clone, Args)]
struct Verify {
    #[command(flatten)]
    which: BackupArgs,
    /// How deep it looks: T0 its bytes, T1 decodes it and counts its rows
    #[arg(long, default_value = "T1", value_parser = ["T0", "T1"])]
    tier: String,
    #[command(flatten)]
    common: CommandArgs,
}

/// Does what the command says.
pub(super) async fn backup(BackupCommandArgs { command, yes }: &BackupCommandArgs, clock: &Clock) -> Exit {
    match command {
        Command::Create(options) => create::create(options, clock).await,
        Command::Restore(options) => restore::restore(options, *yes, clock).await,
        Command::Prune(options) => prune::prune(options, clock).await,
        Command::List(options) => list(options, clock).await,
        Command::Verify(options) => verify(options, clock).await,
    }
}

async fn list(List { prefix, foreign, common }: &List, clock: &Clock) -> Exit {
    let request = ListRequest { prefix: prefix.clone(), foreign: *foreign, command: common.options() };
    let now = clock.now();
    let ended = app::backup::list::list(&request, &Terminal::new(&common.kept, clock), clock).await;
    show_step((&common.kept, common.json), &ended, |step| listed(&step.seen, now))
}

async fn verify(Verify { which, tier, common }: &Verify, clock: &Clock) -> Exit {
    let request = VerifyRequest {
        backup: which.backup.clone(),
        prefix: which.prefix.clone(),
        tier: tier.clone(),
        command: common.options(),
    };
    let ended = app::backup::verify::verify(&request, &Terminal::new(&common.kept, clock), clock).await;
    show_step((&common.kept, common.json), &ended, |step| verified(&step.seen))
}

fn listed(seen: &Value, now: Timestamp) -> String {
    let counted: Vec<Backup> = part(seen, "backups").unwrap_or_default();
    let others: Vec<Backup> = part(seen, "without-manifest").unwrap_or_default();
    let lost: Vec<String> = part(seen, "without-archive").unwrap_or_default();
    let mut all: Vec<(String, &Backup)> =
        counted.iter().chain(&others).map(|one| (line(&one.archive), one)).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse(one.at));
    let wide = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, Backup { manifest, size, at, .. }) in &all {
        let age = HumanDuration(now.duration_since(*at).try_into().unwrap_or_default());
        let manifest = if manifest.is_some() { "manifest" } else { "no manifest" };
        let (size, at) = (DecimalBytes(*size).to_string(), shown(*at));
        writeln!(out, "{name:<wide$}  {size:>9}  {at}  {:>10} old  {manifest}", age.to_string()).ok();
    }
    for name in &lost {
        writeln!(out, "{}  its archive is gone", line(name)).ok();
    }
    let bytes = DecimalBytes(counted.iter().map(|backup| backup.size).sum());
    let total = format!("{}, {bytes}", many(counted.len(), "backup"));
    let more = match others.len() {
        0 => String::new(),
        more => format!("; {} without a manifest not counted (--foreign counts them)", many(more, "archive")),
    };
    writeln!(out, "{total}{more}\n").ok();
    out
}

fn verified(seen: &Value) -> String {
    let Some(Verified { backup, archive, tables, unproven }) = part(seen, "verified") else {
        return String::new();
    };
    let held: u64 = tables.iter().filter_map(|pair| pair.rows).sum();
    let counted = if archive.outcome.is_some() {
        format!(", {}, {}", many(tables.len(), "table"), rows(held))
    } else {
        String::new()
    };
    let head = format!(
        "{}\n  {}{counted}, of {}\n",
        line(&backup.archive),
        DecimalBytes(archive.bytes),
        shown(backup.at)
    );
    head + &left_open(&unproven) + "\n"
}
