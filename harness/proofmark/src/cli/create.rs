//! `backup create`: makes a backup, and says what came of it and of old ones.

use super::backup_arguments::{EventsArgs, RetentionArgs};
use super::embedded::{CommandArgs, show_step};
use super::output::tell;
use super::prune::pruned;
use super::terminal::Terminal;
use super::wording::{part, rows, shown};
use crate::app;
use crate::app::backup::create::{Alarm, CreateOutcome, CreateRequest};
use clap::Args;
use indicatif::DecimalBytes;
use proofmark_backup::create::Made;
use proofmark_evidence::report::{line, many, seconds};
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use serde_json::Value;

#[derive(Debug, Clone, Args)]
pub(super) struct CreateCommandArgs {
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
    rules: RetentionArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    common: CommandArgs,
}

/// Makes a backup.
pub(super) async fn create(options: &CreateCommandArgs, clock: &Clock) -> Exit {
    let common = &options.common;
    let request = CreateRequest {
        name: options.name.clone(),
        local: options.local.clone(),
        container: options.container.clone(),
        dry_run: options.dry_run,
        rules: options.rules.rules(),
        events_log: options.events.events_log.clone(),
        command: common.options(),
    };
    let CreateOutcome { ended, pruned: old, not_pruned, alarm } =
        app::backup::create::create(&request, &Terminal::new(&common.kept, clock), clock).await;
    let exit =
        show_step((&common.kept, common.json), &ended, |step| created(&step.seen) + &pruned(&old, false));
    if let Some(why) = not_pruned {
        tell(&format!("note: no old backup was deleted: {why}"));
    }
    match alarm {
        Alarm::None => {}
        Alarm::Sent => tell("the webhook was told"),
        Alarm::NotSent(why) => tell(&format!("the webhook was not told: {why}")),
        Alarm::Unresolved(wrong) => wrong.iter().for_each(|diag| tell(&diag.render(false))),
    }
    exit
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
