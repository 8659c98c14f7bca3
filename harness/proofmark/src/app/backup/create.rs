//! Makes a backup; then deletes old ones, where a rule says so. A failure is posted to the webhook.

use super::retention::RetentionRules;
use crate::app::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, events_setting, vars};
use crate::app::environment;
use crate::app::error::RunError;
use crate::app::observer::RunObserver;
use proofmark_backup::alarm::post;
use proofmark_backup::name;
use proofmark_environment::Environment;
use proofmark_evidence::undo::NotificationPermit;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;
use proofmark_model::{Exit, Permission};
use proofmark_net::Log;
use proofmark_net::http::Endpoint;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The connection that failures are posted to.
const WEBHOOK: &str = "webhook";

/// How long the webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to back up, where to, and what becomes of old backups.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The backup's name, from {db} {date} {time} {micros} {pid}. Without an environment file and a name it begins with
    /// `postgres/`.
    pub name: Option<String>,
    /// A folder of this machine that gets a copy.
    pub local: Option<String>,
    /// The running container that holds the database: `pg_dump` runs in it.
    pub container: Option<String>,
    /// Only look whether it could be made.
    pub dry_run: bool,
    /// Which old backups stay.
    pub rules: RetentionRules,
    /// A file that takes events, one JSON object a line.
    pub events_log: Option<PathBuf>,
    /// Where the systems are, and how to run.
    pub command: CommandOptions,
}

/// What came of it.
#[derive(Debug)]
pub struct CreateOutcome {
    /// The run, and the observation of the step `create`.
    pub ended: Result<StepOutcome, RunError>,
    /// What the step `prune` saw; `null` where there was none.
    pub pruned: Value,
    /// Why no old backup was deleted although an environment variable asks for it; only after a backup was made.
    pub not_pruned: Option<String>,
    /// The message about a failure that no step could send.
    pub alarm: Alarm,
}

/// The message to the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// None was due: the backup was made, a step sent it, or there is no webhook.
    None,
    /// The webhook took it.
    Sent,
    /// The webhook did not take it, and why.
    NotSent(String),
    /// The webhook's login could not be read.
    Unresolved(Vec<Diag>),
}

const CREATE: EmbeddedCommand = EmbeddedCommand {
    command: "backup create",
    file: ("builtin/backup/create.yaml", include_str!("../builtin/backup/create.yaml")),
    step: "create",
};
const CREATE_AND_PRUNE: EmbeddedCommand = EmbeddedCommand {
    file: ("builtin/backup/create.yaml", include_str!("../builtin/backup/create-and-prune.yaml")),
    ..CREATE
};

/// Makes a backup.
pub async fn create(request: &CreateRequest, observer: &dyn RunObserver, clock: &Clock) -> CreateOutcome {
    let CreateRequest { name, local, container, dry_run, command, .. } = request;
    let conventional = command.environment.is_none().then(|| format!("postgres/{}", name::DEFAULT));
    let environment = command.environment(&["postgres", "store", WEBHOOK]);
    let webhook = environment.as_ref().is_ok_and(has_webhook);
    let template = name.clone().or(conventional);
    let (pruning, environment) = pruning(request, template.as_deref(), environment);
    let mut given = vars(&json!({
        "name": template, "local": local, "container": container, "dry-run": dry_run,
        "events": events_setting(request.events_log.as_deref()), "webhook": webhook && !dry_run,
    }));
    let embedded = if let Pruning::With(rules) = &pruning {
        given.extend(rules.clone());
        CREATE_AND_PRUNE
    } else {
        CREATE
    };
    let ended = embedded.run(&command.run, &given, environment, (observer, clock)).await;
    let run = ended.as_ref().ok().map(|ended| &ended.outcome.run);
    let pruned = run.and_then(|run| run.observation(embedded.scenario(), "prune")).unwrap_or_default();
    let passed = ended.as_ref().is_ok_and(|ended| ended.outcome.exit == Exit::Passed);
    let not_pruned = match pruning {
        Pruning::Without(why) if passed => Some(why),
        _ => None,
    };
    let alarm = match unsent(request, &ended) {
        Some(why) => alarm(command, &why, clock).await,
        None => Alarm::None,
    };
    CreateOutcome { ended, pruned, not_pruned, alarm }
}

/// The message about a failure that no step sent; `None` where none is due.
fn unsent(request: &CreateRequest, ended: &Result<StepOutcome, RunError>) -> Option<String> {
    let there = |key: &str| {
        let seen = ended.as_ref().ok().and_then(|ended| ended.seen.get(key));
        seen.is_some_and(|value| !value.is_null())
    };
    let passed = ended.as_ref().is_ok_and(|ended| ended.outcome.exit == Exit::Passed);
    let allowed = request.command.run.allow.contains(&Permission::Change);
    if passed || request.dry_run || there("webhook") || !allowed {
        return None;
    }
    let why = match ended {
        Ok(ended) => ended.why.clone(),
        Err(RunError::ReadBack(_)) => None,
        Err(error) => Some(error.to_string()),
    };
    let why = why.unwrap_or_else(|| "it did not come to its end".to_owned());
    let what = if there("made") { "the backup was made, but old ones were not deleted: " } else { "" };
    Some(format!("{what}{why}"))
}

/// Whether old backups are deleted once a new one was made.
enum Pruning {
    /// No rule asks for it.
    No,
    /// A variable asks for it, but it is not allowed, and why.
    Without(String),
    /// By these rules.
    With(Map<String, Value>),
}

/// A rule of the request has to be allowed; a rule of a variable does not keep a backup from being made.
fn pruning(
    request: &CreateRequest,
    template: Option<&str>,
    environment: Result<Environment, Vec<Diag>>,
) -> (Pruning, Result<Environment, Vec<Diag>>) {
    let CreateRequest { rules, dry_run, command, .. } = request;
    let allowed = command.run.allow.contains(&Permission::Destroy);
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
    // Only names that begin as this backup's name does.
    let prefix = template.unwrap_or(name::DEFAULT).split('{').next().unwrap_or_default();
    match (read, environment) {
        (Ok(rules), environment) => {
            let mut given = rules.unwrap_or_default();
            given.insert("prefix".to_owned(), json!(prefix));
            (Pruning::With(given), environment)
        }
        (Err(wrong), environment) => {
            (Pruning::No, Err(wrong.into_iter().chain(environment.err().into_iter().flatten()).collect()))
        }
    }
}

fn has_webhook(environment: &Environment) -> bool {
    environment.names().any(|name| name == WEBHOOK)
}

/// Posts to the webhook, if there is one, what no step could: a variable that is missing, evidence that cannot be kept.
async fn alarm(command: &CommandOptions, why: &str, clock: &Clock) -> Alarm {
    let of_file = command.environment.as_deref().and_then(|file| environment::load(file).ok());
    let of_variables = || environment::of_variables(&[WEBHOOK]).unwrap_or_default();
    let environment = of_file.filter(has_webhook).unwrap_or_else(of_variables);
    let uses = [(WEBHOOK.to_owned(), [WEBHOOK.to_owned()].into())].into();
    let systems = match environment.resolve(&uses, false, clock, Redactor::default()).await {
        Ok(systems) => systems,
        Err(wrong) => return Alarm::Unresolved(wrong),
    };
    let Some(connection) = systems.connections.get(WEBHOOK) else { return Alarm::None };
    let (systems, log, connection, timeout) = (&systems, &Log::default(), Some(connection), PATIENCE);
    let wire = Endpoint { clock, systems, log, connection, timeout };
    let clean = |text: &str| systems.redactor.clean_text(text).into_inner();
    match post(wire, &clean(why), &NotificationPermit::to_people()).await {
        Ok(()) => Alarm::Sent,
        Err(error) => Alarm::NotSent(clean(&error.to_string())),
    }
}
