//! `backup create`, `list` and `verify`: scenarios of one step, and a few lines before the report that say what came of it.

use super::builtin::{Builtin, Common};
use super::{many, prune, restore, tell};
use crate::backup::alarm::post;
use crate::backup::create::Made;
use crate::backup::verify::Verified;
use crate::backup::{Backup, name};
use crate::clients::Log;
use crate::clients::http::Wire;
use crate::clock::Clock;
use crate::diag::Diag;
use crate::environment::{Environment, Variables};
use crate::kinds::vocabulary;
use crate::model::{Exit, Permission};
use crate::record::Run;
use crate::redact::Redactor;
use crate::report::{line, seconds};
use crate::undo::Message;
use clap::{Args, Subcommand};
use indicatif::{DecimalBytes, HumanCount, HumanDuration};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The connection that is told of failures.
const WEBHOOK: &str = "webhook";

/// How long it may take to take the message.
const PATIENCE: Duration = Duration::from_secs(20);

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
pub(super) struct Options {
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
    Create(Create),
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
    Prune(prune::Options),
    /// Make the database again from its backup, or fill some tables of it
    #[command(
        after_help = format!("Examples:\n  proofmark backup restore --allow destroy\n  proofmark backup restore oldest --table bookings --yes --allow destroy\n\nThe backup is verified first. The database is restored beside the one that is there, or is lost, and compared; then it takes its place: the sessions are ended, the name changes, and the old one is dropped. With --table the tables are emptied and filled in one transaction, which no other table notices. A restore that fails leaves everything as it was. What was written since the backup is lost.\n\n{VARIABLES}")
    )]
    Restore(restore::Options),
}

/// Which backup.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// `newest`, `oldest`, or the name of an archive or a manifest
    #[arg(default_value = "newest")]
    pub(super) backup: String,
    /// Only backups whose names begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(super) prefix: Option<String>,
}

/// Who else is told what happens.
#[derive(Debug, Clone, Args)]
pub(super) struct Events {
    /// File that takes events, one JSON object per line; a file of this operation alone is put beside it
    #[arg(long, value_name = "FILE", env = "BACKUP_EVENTS_LOG", hide_env_values = true)]
    events_log: Option<PathBuf>,
}

impl Events {
    /// The setting of a step: into the file, and into one of this operation alone beside it.
    pub(super) fn setting(&self) -> Value {
        let log = self.events_log.as_deref().filter(|log| !log.as_os_str().is_empty());
        let Some(log) = log else { return Value::Null };
        let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        json!({ "folder": folder, "log": log })
    }
}

#[derive(Debug, Clone, Args)]
struct Create {
    /// How it is called, from {db} {date} {time} {micros} {pid}; without --env and a name it begins with `postgres/`
    #[arg(long, value_name = "TEMPLATE")]
    name: Option<String>,
    /// Folder of this machine that gets a copy
    #[arg(long, value_name = "DIR")]
    local: Option<String>,
    /// Running container that holds the database: pg_dump is run in there, by the program `docker`
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Only look whether it could be made, and say under which name
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    rules: prune::Rules,
    #[command(flatten)]
    events: Events,
    #[command(flatten)]
    common: Common,
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
    common: Common,
}

#[derive(Debug, Clone, Args)]
struct Verify {
    #[command(flatten)]
    which: Which,
    /// How deep it looks: T0 its bytes, T1 decodes it and counts its rows
    #[arg(long, default_value = "T1", value_parser = ["T0", "T1"])]
    tier: String,
    #[command(flatten)]
    common: Common,
}

const CREATE: Builtin = Builtin {
    command: "backup create",
    file: ("builtin/backup/create.yaml", include_str!("builtin/backup/create.yaml")),
    step: "create",
    confirm: None,
};
const CREATE_AND_PRUNE: Builtin = Builtin {
    file: ("builtin/backup/create.yaml", include_str!("builtin/backup/create-and-prune.yaml")),
    ..CREATE
};
const LIST: Builtin = Builtin {
    command: "backup list",
    file: ("builtin/backup/list.yaml", include_str!("builtin/backup/list.yaml")),
    step: "list",
    confirm: None,
};
const VERIFY: Builtin = Builtin {
    command: "backup verify",
    file: ("builtin/backup/verify.yaml", include_str!("builtin/backup/verify.yaml")),
    step: "verify",
    confirm: None,
};

/// Does what the command says.
pub(super) async fn backup(Options { command, yes }: &Options, clock: &Clock) -> Exit {
    match command {
        Command::Create(options) => create(options, clock).await,
        Command::Restore(options) => restore::restore(options, *yes, clock).await,
        Command::Prune(options) => prune::prune(options, clock).await,
        Command::List(List { prefix, foreign, common }) => {
            let given = vars(&json!({ "prefix": prefix, "foreign": foreign }));
            let now = clock.now();
            LIST.run((common, clock), given, environment(common, &["store"]), |seen, _| listed(seen, now))
                .await
                .exit
        }
        Command::Verify(Verify { which: Which { backup, prefix }, tier, common }) => {
            let given = vars(&json!({ "backup": backup, "prefix": prefix, "tier": tier }));
            VERIFY
                .run((common, clock), given, environment(common, &["store"]), |seen, _| verified(seen))
                .await
                .exit
        }
    }
}

async fn create(options: &Create, clock: &Clock) -> Exit {
    let Create { name, local, container, dry_run, events, common, .. } = options;
    let conventional = common.env.is_none().then(|| format!("postgres/{}", name::DEFAULT));
    let environment = environment(common, &["postgres", "store", WEBHOOK]);
    let webhook =
        environment.as_ref().is_ok_and(|environment| environment.names().any(|name| name == WEBHOOK));
    let template = name.clone().or(conventional);
    let (pruning, environment) = pruning(options, template.as_deref(), environment);
    let mut given = vars(&json!({
        "name": template, "local": local, "container": container, "dry-run": dry_run,
        "events": events.setting(), "webhook": webhook && !dry_run,
    }));
    let builtin = if let Pruning::With(rules) = &pruning {
        given.extend(rules.clone());
        CREATE_AND_PRUNE
    } else {
        CREATE
    };
    let told = |seen: &Value, run: &Run| {
        let pruned = run.observation(builtin.scenario(), "prune");
        created(seen) + &pruned.map(|seen| prune::pruned(&seen, false)).unwrap_or_default()
    };
    let ran = builtin.run((common, clock), given, environment, told).await;
    if let (Pruning::Without(why), Exit::Passed) = (&pruning, ran.exit) {
        tell(&format!("note: no old backup was deleted: {why}"));
    }
    let told = ran.seen.get("webhook").is_some_and(|told| !told.is_null());
    let allowed = common.kept.allow.contains(&Permission::Change);
    if ran.exit != Exit::Passed && !dry_run && !told && allowed {
        let why = ran.why.as_deref().unwrap_or("it did not come to its end");
        let made = ran.seen.get("made").is_some_and(|made| !made.is_null());
        let what = if made { "the backup was made, but old ones were not deleted: " } else { "" };
        alarm(common, &format!("{what}{why}"), clock).await;
    }
    ran.exit
}

/// Are old backups deleted once a new one was made?
enum Pruning {
    /// Nobody asked for it.
    No,
    /// A variable asks for it, but it may not be done.
    Without(String),
    /// By these rules.
    With(Map<String, Value>),
}

/// What flags ask for has to be allowed; what a variable asks for does not keep a backup from being made.
fn pruning(
    options: &Create,
    template: Option<&str>,
    environment: Result<Environment, Vec<Diag>>,
) -> (Pruning, Result<Environment, Vec<Diag>>) {
    let Create { rules, dry_run, common, .. } = options;
    let allowed = common.kept.allow.contains(&Permission::Destroy);
    let forbidden =
        environment.as_ref().is_ok_and(|environment| environment.forbid.contains(&Permission::Destroy));
    let read = match rules.read() {
        Ok(None) => return (Pruning::No, environment),
        _ if *dry_run => return (Pruning::No, environment),
        read => read,
    };
    if !rules.are_given() && (forbidden || !allowed) {
        let why = if forbidden {
            "the environment forbids `destroy`, which BACKUP_KEEP or BACKUP_RETENTION_DAYS ask for"
        } else {
            "BACKUP_KEEP or BACKUP_RETENTION_DAYS ask for it, and it was not allowed; add `--allow change,destroy`"
        };
        return (Pruning::Without(why.to_owned()), environment);
    }
    // Only what is called as this backup is.
    let prefix = template.unwrap_or(name::DEFAULT).split('{').next().unwrap_or_default();
    match (read, environment) {
        (Ok(rules), environment) => {
            let mut given = vars(&rules.unwrap_or_default());
            given.insert("prefix".to_owned(), json!(prefix));
            (Pruning::With(given), environment)
        }
        (Err(wrong), environment) => {
            (Pruning::No, Err(wrong.into_iter().chain(environment.err().into_iter().flatten()).collect()))
        }
    }
}

/// Tells the webhook, if there is one, what no step could: a variable that is missing, evidence that cannot be kept.
async fn alarm(common: &Common, why: &str, clock: &Clock) {
    let of_file = common.env.as_deref().and_then(|file| super::load(file).ok());
    let of_file = of_file.filter(|environment| environment.names().any(|name| name == WEBHOOK));
    let of_variables =
        || Environment::of_variables(vocabulary(), Variables::PROCESS, &[WEBHOOK]).unwrap_or_default();
    let environment = of_file.unwrap_or_else(of_variables);
    let uses = [(WEBHOOK.to_owned(), [WEBHOOK.to_owned()].into())].into();
    let systems = match environment.resolve(&uses, false, clock, Redactor::default()).await {
        Ok(systems) => systems,
        Err(wrong) => return wrong.iter().for_each(|diag| tell(&diag.render(false))),
    };
    let Some(connection) = systems.connections.get(WEBHOOK) else { return };
    let (systems, log, connection, timeout) = (&systems, &Log::default(), Some(connection), PATIENCE);
    let wire = Wire { clock, systems, log, connection, timeout };
    let clean = |text: &str| systems.redactor.clean_text(text).into_inner();
    match post(wire, &clean(why), &Message::to_people()).await {
        Ok(()) => tell("the webhook was told"),
        Err(error) => tell(&clean(&format!("the webhook was not told: {error}"))),
    }
}

/// The values of a map that is written out.
pub(super) fn vars(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

pub(super) fn environment(common: &Common, roles: &[&str]) -> Result<Environment, Vec<Diag>> {
    let of_variables = || Environment::of_variables(vocabulary(), Variables::PROCESS, roles);
    common.env.as_deref().map_or_else(of_variables, super::load)
}

/// What a part of an observation says; `None` where it is not there, or something of it is masked.
pub(super) fn part<T: for<'de> Deserialize<'de>>(seen: &Value, key: &str) -> Option<T> {
    Option::deserialize(seen.get(key)?).ok().flatten()
}

/// `2026-02-16 02:00:04 UTC`.
pub(super) fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn rows(count: u64) -> String {
    let unit = if count == 1 { "row" } else { "rows" };
    format!("{} {unit}", HumanCount(count))
}

fn created(seen: &Value) -> String {
    let Some(made) = part::<Made>(seen, "made") else { return String::new() };
    if made.dry_run {
        return format!("a dry run, nothing was written; it would be {}\n\n", line(&made.archive));
    }
    let local =
        made.local.as_deref().map(|folder| format!("  copy in {}\n", line(folder))).unwrap_or_default();
    format!(
        "{}\n  {}, {}, {}, as of {}\n  {} for the dump, {} to read it back\n{local}\n",
        line(&made.archive),
        DecimalBytes(made.bytes),
        many(made.tables.len(), "table"),
        rows(made.rows),
        shown(made.taken_at),
        seconds(made.seconds_snapshot + made.seconds_dump),
        seconds(made.seconds_read_back),
    )
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

/// What was not proven, a line each.
pub(super) fn left_open(unproven: &[String]) -> String {
    let lines = unproven.iter().map(|what| format!("    {}\n", line(what)));
    if unproven.is_empty() {
        String::new()
    } else {
        format!("  does not prove:\n{}", lines.collect::<String>())
    }
}
