//! `drill`: a backup, anyone's, is restored into a scratch database and compared. No files: two places are enough.

use super::backup::{Events, left_open, rows, shown, vars};
use super::builtin::{Builtin, Common};
use super::{many, note_password, of_places, typed_place};
use crate::backup::archive::Outcome;
use crate::backup::compare::TablePair;
use crate::backup::drill::Drilled;
use crate::clients::{objects, postgres};
use crate::clock::Clock;
use crate::environment::{Environment, GivenPlace};
use crate::model::{Duration, Exit, RunInfo};
use crate::record::{Run, newest_first, read};
use crate::report::{line, seconds};
use indicatif::DecimalBytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

pub(super) const USAGE: &str =
    "proofmark drill <STORE> --into <DSN> [OPTIONS]\n       proofmark drill --env <FILE> [OPTIONS]";

pub(super) const EXAMPLES: &str = "Examples:
  proofmark drill s3://backups/postgres --into env:DATABASE_URL --allow change
  proofmark drill /var/backups --into postgresql://postgres@localhost/postgres --allow change
  proofmark drill --env environment.yaml --tier T4 --rto 10m --rpo 25h --allow change

The scratch database is made on the server that --into names, and dropped at the end. The database itself that it \
names is not touched. The login of a bucket comes from MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or from \
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; its server from --endpoint, MINIO_ENDPOINT or AWS_ENDPOINT_URL.";

/// How many of the runs before are looked at for a drill of the same store.
const BEFORE: usize = 200;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
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
    events: Events,
    #[command(flatten)]
    common: Common,
}

const DRILL: Builtin = Builtin {
    command: "drill",
    file: ("builtin/drill.yaml", include_str!("builtin/drill.yaml")),
    step: "drill",
    confirm: None,
};

/// Drills.
pub(super) async fn drill(options: &Options, clock: &Clock) -> Exit {
    let Options { backup, prefix, tier, rto, rpo, jobs, events, common, .. } = options;
    let environment = match (&common.env, &options.store, &options.into) {
        (None, Some(store), Some(into)) => {
            note_password("--into", into);
            let endpoint = options.endpoint.as_deref();
            let store = GivenPlace { endpoint, ..typed_place(objects::ROLE.name, "STORE", store) };
            of_places(&[store, typed_place(postgres::ROLE.name, "--into", into)])
        }
        (env, ..) => env.as_deref().map_or_else(|| Ok(Environment::default()), super::load),
    };
    let given = json!({ "backup": backup, "prefix": prefix, "tier": tier, "rto": rto, "rpo": rpo, "jobs": jobs, "events": events.setting() });
    let evidence = common.kept.evidence.as_path();
    let told = |seen: &Value, run: &Run| drilled(backup, seen, before(evidence, run).as_ref());
    DRILL.run((common, clock), vars(&given), environment, told).await.exit
}

/// What the newest drill before this one saw in the same store.
fn before(evidence: &Path, run: &Run) -> Option<Drilled> {
    let store = |info: &RunInfo| {
        let store = info.connections.get("store")?;
        Some((info.command.clone(), store.get("url")?.clone(), store.get("endpoint").cloned()))
    };
    let this = store(run.info.as_ref()?)?;
    let others =
        newest_first(evidence).into_iter().filter(|folder| folder.file_name() != run.folder.file_name());
    others.take(BEFORE).find_map(|folder| {
        let other = read(&folder).ok()?;
        let info = other
            .info
            .as_ref()
            .filter(|info| info.started <= run.info.as_ref().map_or(info.started, |this| this.started))?;
        (store(info)? == this).then_some(())?;
        let seen = Drilled::deserialize(other.observation(DRILL.scenario(), DRILL.step)?).ok()?;
        seen.comparison.is_some().then_some(seen)
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
