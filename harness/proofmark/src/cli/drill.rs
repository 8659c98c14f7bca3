//! `drill`: a backup, anyone's, is restored into a scratch database and compared. No files: two places are enough.

use super::backup_arguments::EventsArgs;
use super::embedded::{CommandArgs, show_step};
use super::output::note_password;
use super::terminal::Terminal;
use super::wording::{left_open, rows, shown};
use crate::app;
use crate::app::drill::{DrillCommand, previous_drill};
use indicatif::DecimalBytes;
use proofmark_backup::archive::Outcome;
use proofmark_backup::compare::TablePair;
use proofmark_backup::drill::Drilled;
use proofmark_evidence::report::{line, many, seconds};
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, Exit};
use serde::Deserialize;
use serde_json::Value;

pub(super) const USAGE: &str =
    "proofmark drill <STORE> --into <DSN> [OPTIONS]\n       proofmark drill --env <FILE> [OPTIONS]";

pub(super) const EXAMPLES: &str = "Examples:
  proofmark drill s3://backups/postgres --into env:DATABASE_URL --allow change
  proofmark drill /var/backups --into postgresql://postgres@localhost/postgres --allow change
  proofmark drill --env environment.yaml --tier T4 --rto 10m --rpo 25h --allow change

The scratch database is made on the server that --into names, and dropped at the end. The database itself that it \
names is not touched. The login of a bucket comes from MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or from \
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; its server from --endpoint, MINIO_ENDPOINT or AWS_ENDPOINT_URL.";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct DrillCommandArgs {
    /// Where the backups are: `s3://bucket/prefix`, or a folder
    #[arg(required_unless_present = "env", conflicts_with = "env")]
    store: Option<String>,
    /// The server that it is restored into: `env:NAME` for the variable that holds its URL, or the URL itself
    #[arg(long, value_name = "DSN", required_unless_present = "env", conflicts_with = "env")]
    into: Option<String>,
    /// Where the bucket's server listens: `http://minio:9000`
    #[arg(long, value_name = "URL", conflicts_with = "env")]
    endpoint: Option<String>,
    /// `newest`, `oldest`, or the name of an archive or a manifest
    #[arg(long, value_name = "NAME", default_value = "newest")]
    backup: String,
    /// Only backups whose names begin with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// How deep: T2 counts rows, T3 compares every row and the schema, T4 also has to notice a row that is taken away
    #[arg(long, default_value = "T3", value_parser = ["T2", "T3", "T4"])]
    tier: String,
    /// The longest that it may take until the restored database can be used
    #[arg(long, value_name = "DURATION")]
    rto: Option<Duration>,
    /// The oldest that what is in the backup may be
    #[arg(long, value_name = "DURATION")]
    rpo: Option<Duration>,
    /// How many sessions restore
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    common: CommandArgs,
}

/// Drills.
pub(super) async fn drill(options: &DrillCommandArgs, clock: &Clock) -> Exit {
    let DrillCommandArgs { backup, common, .. } = options;
    options.into.iter().for_each(|into| note_password("--into", into));
    let request = DrillCommand {
        places: options.store.clone().zip(options.into.clone()),
        endpoint: options.endpoint.clone(),
        backup: backup.clone(),
        prefix: options.prefix.clone(),
        tier: options.tier.clone(),
        rto: options.rto,
        rpo: options.rpo,
        jobs: options.jobs,
        events_log: options.events.events_log.clone(),
        command: common.options(),
    };
    let ended = app::drill::drill(&request, &Terminal::new(&common.kept, clock), clock).await;
    show_step((&common.kept, common.json), &ended, |step| {
        drilled(backup, &step.seen, previous_drill(&common.kept.evidence, &step.outcome.run).as_ref())
    })
}

/// The first line says it all: which, how large, how fast or why not, and what is less than before.
pub(super) fn drilled(asked: &str, seen: &Value, before: Option<&Drilled>) -> String {
    let Ok(seen) = Drilled::deserialize(seen) else { return String::new() };
    let Some(backup) = &seen.backup else { return String::new() };
    let which =
        if ["newest", "oldest"].contains(&asked) { format!("{asked} backup") } else { "backup".to_owned() };
    let at = shown(seen.taken_at.unwrap_or(backup.at));
    let fewer =
        before.and_then(|before| fewer(&seen, before)).map(|fewer| format!("; {fewer}")).unwrap_or_default();
    let phases = &seen.seconds;
    let counted = seen.comparison.as_ref().map(|compared| {
        let held = compared.tables.iter().filter_map(|pair| pair.rows).sum();
        format!(", {}, {}", many(compared.tables.len(), "table"), rows(held))
    });
    let parts = format!(
        "  download {}, create {}, restore {}, analyze {}, verify {}\n",
        seconds(phases.download),
        seconds(phases.create),
        seconds(phases.restore),
        seconds(phases.analyze),
        seconds(phases.verify),
    );
    let parts = if seen.comparison.is_some() { parts } else { String::new() };
    let put = |name: &String| format!("  put in the place of the database {}\n", line(name));
    format!(
        "{which} {at}, {}{}, {}{fewer}\n  {}\n{}{parts}{}\n",
        DecimalBytes(backup.size),
        counted.unwrap_or_default(),
        line(&how(&seen)),
        line(&backup.archive),
        seen.replaced.as_ref().map(put).unwrap_or_default(),
        left_open(&seen.unproven),
    )
}

/// How it went with the backup itself.
fn how(seen: &Drilled) -> String {
    let outcome = seen.archive.as_ref().and_then(|archive| archive.outcome.as_ref());
    match (outcome, &seen.refused, &seen.restore) {
        (Some(Outcome::Broken { why, .. }), ..) => format!("is broken: {why}"),
        (Some(Outcome::Undecided { why }), ..) => format!("cannot be decoded here: {why}"),
        (_, Some(why), _) => format!("is not restored here: {why}"),
        (_, None, Some(loaded)) if loaded.is_whole() => {
            format!("restores in {}", seconds(seen.seconds.recovery()))
        }
        (_, None, Some(loaded)) => format!("does not restore: {}", loaded.said),
        (_, None, None) => "is not the archive that its manifest names".to_owned(),
    }
}

/// The table that lost most since the drill before.
fn fewer(seen: &Drilled, before: &Drilled) -> Option<String> {
    let was = &before.comparison.as_ref()?.tables;
    let lost = |schema: &str, name: &str, now: u64| {
        let same = |pair: &&TablePair| pair.schema == schema && pair.name == name;
        let was = was.iter().find(same)?.rows.filter(|was| *was > now)?;
        Some((was - now, was, now, format!("{schema}.{name}")))
    };
    let cut = seen.archive.as_ref().and_then(|archive| archive.cut.as_ref()).map(|cut| &cut.table);
    let held = seen.comparison.iter().flat_map(|compared| &compared.tables);
    let (_, was, now, table) = held
        .filter_map(|pair| lost(&pair.schema, &pair.name, pair.rows.unwrap_or_default()))
        .chain(cut.and_then(|table| {
            let schema = if table.schema.is_empty() { "public" } else { &table.schema };
            lost(schema, &table.name, table.rows)
        }))
        .max_by_key(|(less, ..)| *less)?;
    Some(format!(
        "`{}` {} where the drill before saw {}",
        line(&table),
        rows(now),
        indicatif::HumanCount(was)
    ))
}
