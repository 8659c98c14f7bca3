//! `backup restore`: a database is made again from its backup, or tables of it are emptied and filled. Whoever asks for it
//! types the database's name, or says `--yes`.

use super::backup_arguments::{BackupArgs, EventsArgs};
use super::drill::drilled;
use super::embedded::{CommandArgs, show_step};
use super::terminal::{Confirm, Terminal};
use crate::app;
use crate::app::backup::restore::RestoreRequest;
use proofmark_environment::{Connection, Systems};
use proofmark_evidence::report::line;
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_postgres::client::Dsn;
use std::io::{IsTerminal, Write};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RestoreCommandArgs {
    #[command(flatten)]
    which: BackupArgs,
    /// Only this table, `name`, `schema.name` or `*` (may be given several times): it is emptied and filled where it is
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    common: CommandArgs,
}

/// Restores.
pub(super) async fn restore(options: &RestoreCommandArgs, yes: bool, clock: &Clock) -> Exit {
    let RestoreCommandArgs { which: BackupArgs { backup, prefix }, table, events, common } = options;
    let confirm: Confirm = if table.is_empty() { all_typed } else { tables_typed };
    let request = RestoreRequest {
        backup: backup.clone(),
        prefix: prefix.clone(),
        tables: table.clone(),
        events_log: events.events_log.clone(),
        command: common.options(),
    };
    let terminal = Terminal::new(&common.kept, clock).asking((!yes).then_some(confirm));
    let ended = app::backup::restore::restore(&request, &terminal, clock).await;
    show_step((&common.kept, common.json), &ended, |step| drilled(backup, &step.seen, None))
}

fn all_typed(systems: &Systems) -> Result<(), Diag> {
    typed(systems, |name, host| {
        format!(
            "This puts what the backup holds in the place of the database `{name}` on {host}, and drops what is there."
        )
    })
}

fn tables_typed(systems: &Systems) -> Result<(), Diag> {
    typed(systems, |name, host| {
        format!("This empties tables of the database `{name}` on {host} and fills them from the backup.")
    })
}

/// Asks for the name of the database that is written, once it was said what comes.
fn typed(systems: &Systems, comes: impl Fn(&str, &str) -> String) -> Result<(), Diag> {
    let dsn = systems.connections.values().find_map(Connection::part::<Dsn>);
    let name = dsn.and_then(Dsn::named).cloned().unwrap_or_default();
    let refuse = |message: &str, help: &str| Err(Diag::new("not-confirmed", message).help(help));
    if !std::io::stdin().is_terminal() {
        let message = "a restore asks for the database's name, and nobody is there to type it";
        return refuse(message, "add `--yes` to go on without being asked");
    }
    let host = dsn.and_then(|dsn| dsn.hosts.first()).map(|(host, _)| host.as_str()).unwrap_or_default();
    let (shown, host) = (line(&name), line(host));
    let mut out = anstream::stderr();
    let asks = format!("{}\nType the database's name to go on: ", comes(&shown, &host));
    write!(out, "{asks}").and_then(|()| out.flush()).ok();
    let mut word = String::new();
    if std::io::stdin().read_line(&mut word).is_ok() && !name.is_empty() && word.trim() == name {
        return Ok(());
    }
    refuse("what was typed is not the database's name", "look again which database it is")
}
