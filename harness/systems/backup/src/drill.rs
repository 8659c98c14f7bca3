//! Restores a backup into a scratch database and holds what came back against what was there. Nothing is judged here: what
//! was seen is handed back, however bad it is. Only what could not be seen is an error.

use super::archive::{Decoded, Outcome};
use super::compare::{Comparison, Depth, TablePair, compare, rows};
use super::events::Events;
use super::fetch::{Chosen, Fetched, Which, choose, fetch};
use super::in_place::{self, Tables};
use super::recreate::{self, Recreated};
use super::restore::{Loaded, RestoreOptions, restore};
use super::verify::{ArchiveSeen, as_it_says};
use super::{Backup, BackupError};
use jiff::Timestamp;
use proofmark_evidence::undo::{ChangePermit, Promises};
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use proofmark_postgres::client::{self as postgres, Everything, Picture, Scratch, Snapshot, TablePicture};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most rows that a question may give: more belong into the question.
const ROWS: usize = 1000;

/// What nobody knows of a backup that another tool made.
const WITHOUT_MANIFEST: [&str; 3] = [
    "that what was dumped was whole: there is no manifest, only what the archive says of itself",
    "that the content of rows is the right one: without a manifest rows are counted, not compared",
    "how old the data is: the time is that of the file",
];

/// How deep it looks. Each looks at all that those before it do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Restores, and counts every table.
    T2,
    /// Compares every row, the schema, sequences, indexes and large objects too.
    #[default]
    T3,
    /// Takes a row away where nobody else sees it, and has to notice that.
    T4,
}

/// What is asked for.
pub struct DrillRequest<'a> {
    /// Which backup.
    pub which: Which,
    /// Below which prefix of the store.
    pub prefix: &'a str,
    /// How deep it looks.
    pub tier: Tier,
    /// How many sessions restore.
    pub jobs: usize,
    /// Questions to the restored database, by name.
    pub queries: &'a BTreeMap<String, String>,
    /// Tables that are emptied and filled where they are, in place of a scratch database.
    pub truncate: &'a [String],
    /// The database that goes on working, whose rows are counted beside those that came back.
    pub live: Option<Endpoint<'a>>,
    /// Is the database made again, and put in the place of the one that is there?
    pub recreate: bool,
    /// Who hears how it goes on.
    pub events: &'a Events<'a>,
}

/// What has to be put back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Undo {
    /// The scratch database goes away.
    Scratch(Scratch),
    /// The tables hold what they held, or what the backup holds.
    Tables(Tables),
    /// The database is what it was, or what the backup holds.
    Database(Recreated),
}

/// What was seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Drilled {
    /// The backup; `null` where the store has none.
    pub backup: Option<Backup>,
    /// Was a manifest beside it?
    pub has_manifest: bool,
    /// When what is in it was true, or, without a manifest, when it was written. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// When the drill began.
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// What the archive is.
    pub archive: Option<ArchiveSeen>,
    /// Why it was not restored here, which says nothing about the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The version of the server that it was restored into.
    pub server: Option<String>,
    /// How the restore ended.
    pub restore: Option<Loaded>,
    /// What came back beside what was there.
    pub comparison: Option<Comparison>,
    /// Rows of the live database beside those that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// Rows that the questions gave, by name.
    pub queries: BTreeMap<String, Vec<Map<String, Value>>>,
    /// What became of the negative control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// The database that what came back was put in the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// What this drill does not prove, in words.
    pub unproven: Vec<String>,
    /// Seconds of each phase.
    pub seconds: Phases,
}

/// The live database beside what came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Live {
    /// Every table of either; `expected` are the rows of the live database. A partitioned table is counted as a whole.
    pub tables: Vec<TablePair>,
    /// Why it could not be counted.
    pub failed: Option<String>,
}

/// A row was taken away, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Control {
    /// The table.
    pub table: String,
    /// Was it noticed that the row was gone?
    pub noticed: bool,
}

/// Seconds of each phase. Those up to `analyze` make the recovery time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Phases {
    /// Bringing it here, hashed and decoded on the way.
    pub download: f64,
    /// Making the scratch database.
    pub create: f64,
    /// Restoring.
    pub restore: f64,
    /// The planner's statistics.
    pub analyze: f64,
    /// Counting, hashing and comparing.
    pub verify: f64,
}

impl Phases {
    /// Seconds until the database could be used.
    pub fn recovery(&self) -> f64 {
        self.download + self.create + self.restore + self.analyze
    }
}

/// A clock for phases.
struct PhaseTimer<'a>(Endpoint<'a>, Duration);

impl PhaseTimer<'_> {
    fn seconds(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.1, self.0.clock.elapsed());
        self.1.saturating_sub(before).as_secs_f64()
    }
}

/// Runs it. The scratch database is promised to be dropped, tables in place to hold what they held or what the backup holds.
///
/// # Errors
/// What keeps it from being seen whether the backup can be restored: the store, the server, this machine.
pub async fn drill(
    ask: &DrillRequest<'_>,
    (store, server): (Endpoint<'_>, Endpoint<'_>),
    promises: &Promises<'_, Undo>,
) -> Result<Drilled, BackupError> {
    let mut seen = Drilled { began: Some(store.clock.now()), ..Drilled::default() };
    let Some(chosen) = choose(store, &ask.which, ask.prefix).await? else { return Ok(seen) };
    seen.backup = Some(chosen.backup.clone());
    seen.has_manifest = chosen.manifest.is_some();
    seen.taken_at = Some(chosen.manifest.as_ref().map_or(chosen.backup.at, |manifest| manifest.taken_at));
    let mut lap = PhaseTimer(store, store.clock.elapsed());
    ask.events.tell("download_latest_started", "info", &[]);
    let fetched = fetch(store, &chosen.backup.archive).await?;
    seen.seconds.download = lap.seconds();
    let fields =
        [("size_bytes", json!(fetched.decoded.bytes)), ("duration_sec", json!(seen.seconds.download))];
    ask.events.tell("download_latest_completed", "info", &fields);
    let archive = ArchiveSeen::of(&chosen, &fetched.decoded);
    let fit = archive.outcome == Some(Outcome::Sound)
        && archive.expected_sha256.as_ref().is_none_or(|expected| *expected == archive.sha256);
    seen.archive = Some(archive);
    seen.unproven = unproven(ask, &chosen, &fetched);
    if !fit {
        return Ok(seen);
    }
    let (chosen, fetched) = (&chosen, &fetched);
    let mut way = Way { ask, chosen, fetched, server, promises, lap, seen };
    if ask.recreate {
        way.again().await?;
    } else if ask.truncate.is_empty() {
        way.in_scratch().await?;
    } else {
        way.in_place().await?;
    }
    Ok(way.seen)
}

/// A backup that is here, on its way into a database.
struct Way<'a> {
    ask: &'a DrillRequest<'a>,
    chosen: &'a Chosen,
    fetched: &'a Fetched,
    /// Where the database is, or is made.
    server: Endpoint<'a>,
    promises: &'a Promises<'a, Undo>,
    lap: PhaseTimer<'a>,
    seen: Drilled,
}

impl Way<'_> {
    async fn in_scratch(&mut self) -> Result<(), BackupError> {
        self.seen.refused = self.refused(self.server).await?;
        if self.seen.refused.is_some() {
            return Ok(());
        }
        let scratch = Scratch::new(&self.promises.mark_of_step());
        let promise = self.promises.promise(&Undo::Scratch(scratch.clone()))?;
        self.fill(&scratch, self.server, &promise).await
    }

    /// Puts what came back in the place of the database, once it is the same as what the backup was made of.
    async fn again(&mut self) -> Result<(), BackupError> {
        let beside = postgres::beside(self.server).await?;
        let over = Endpoint { connection: Some(&beside), ..self.server };
        let place = postgres::place(over, &postgres::database(self.server)?).await?;
        self.seen.refused = match recreate::refused(self.chosen, &place, self.server).await? {
            None => self.refused(over).await?,
            why => why,
        };
        if self.seen.refused.is_some() {
            return Ok(());
        }
        let owed = Recreated::new(&place, &self.promises.mark_of_step());
        let promise = self.promises.promise(&Undo::Database(owed.clone()))?;
        self.fill(&owed.scratch, over, &promise).await?;
        if self.seen.comparison.as_ref().is_some_and(Comparison::is_same) {
            recreate::put(&owed, (self.fetched, &place), over, &promise).await?;
            self.seen.replaced = Some(owed.database);
        }
        Ok(())
    }

    /// Restores into a database that is made for it over a connection, and looks at what came back.
    async fn fill(
        &mut self,
        scratch: &Scratch,
        over: Endpoint<'_>,
        promise: &impl ChangePermit,
    ) -> Result<(), BackupError> {
        let like = self.chosen.manifest.as_ref().map(|manifest| &manifest.source);
        postgres::create(over, scratch, like, promise).await?;
        let connection = over.connection.map(|connection| scratch.connection(connection));
        let inside = Endpoint { connection: connection.as_ref(), ..over };
        postgres::prove(inside, scratch).await?;
        self.seen.seconds.create = self.lap.seconds();
        self.ask.events.tell("restore_local_started", "info", &[]);
        over.log.begins("restoring");
        let manner = RestoreOptions { jobs: self.ask.jobs, owners: self.ask.recreate };
        let loaded = restore(self.fetched, (inside, &scratch.name), manner, promise).await?;
        if self.restored(loaded) {
            postgres::analyze(inside, promise).await?;
            self.seen.seconds.analyze = self.lap.seconds();
            self.verify(inside, promise).await?;
            self.seen.seconds.verify = self.lap.seconds();
        }
        Ok(())
    }

    async fn in_place(&mut self) -> Result<(), BackupError> {
        let (ask, server, seen) = (self.ask, self.server, &mut self.seen);
        seen.unproven.push(
            "the schema, sequences and every other table: only the rows of some tables were restored".into(),
        );
        let target = postgres::named(server, ask.truncate).await?;
        seen.server = Some(target.source.version.clone());
        seen.refused = in_place::refused(self.chosen, ask.truncate, &target);
        let (None, Some(manifest)) = (&seen.refused, &self.chosen.manifest) else { return Ok(()) };
        let backup = &self.chosen.backup;
        let Some(tables) = in_place::promise(backup, ask.truncate, &target) else { return Ok(()) };
        let of_extensions = manifest.picture.tables.iter().filter(|table| table.extension.is_some());
        seen.unproven.extend(of_extensions.map(|table| {
            format!("{}.{}: table of an extension, which is not restored in place", table.schema, table.name)
        }));
        let promise = self.promises.promise(&Undo::Tables(tables))?;
        ask.events.tell("restore_local_started", "info", &[]);
        server.log.begins("restoring");
        let loaded = in_place::refill(self.fetched, (&target, ask.truncate), server, &promise).await?;
        if !self.restored(loaded) {
            return Ok(());
        }
        let now = postgres::named(server, ask.truncate).await?.tables;
        let now: Vec<TablePicture> = now.into_iter().map(|table| table.held).collect();
        let picture = |tables: Vec<TablePicture>| Picture { tables, ..Picture::default() };
        let depth = Depth::Contents { hashes: manifest.is_comparable() };
        let expected = picture(in_place::expected(manifest, &now));
        self.seen.comparison = Some(compare(&expected, &picture(now), depth));
        self.asked(server).await?;
        self.seen.seconds.verify = self.lap.seconds();
        Ok(())
    }

    /// Takes down how a restore ended, and whether it came to its end.
    fn restored(&mut self, loaded: Loaded) -> bool {
        let seconds = self.lap.seconds();
        self.seen.seconds.restore = seconds;
        let whole = loaded.is_whole();
        if whole {
            let fields = [("duration_sec", json!(seconds))];
            self.ask.events.tell("restore_local_completed", "info", &fields);
        }
        self.seen.restore = Some(loaded);
        whole
    }

    async fn asked(&mut self, wire: Endpoint<'_>) -> Result<(), BackupError> {
        for (name, sql) in self.ask.queries {
            let rows = postgres::query(wire, sql, ROWS, false).await?;
            self.seen.queries.insert(name.clone(), rows.rows);
        }
        Ok(())
    }

    /// Why it cannot be restored on this server, whatever the backup is worth.
    async fn refused(&self, server: Endpoint<'_>) -> Result<Option<String>, BackupError> {
        let contents = self.fetched.decoded.contents.as_ref();
        if contents.is_some_and(|held| held.cluster || held.databases.len() > 1) {
            return Ok(Some("it holds several databases (pg_dumpall), of which none can be restored alone: drill it by hand, or dump each database by itself".into()));
        }
        if let Some(what) = contents.and_then(|held| held.reaches_out.as_ref()) {
            return Ok(Some(format!(
                "it does more than fill one database, {what}: nothing of it was run; dump without `--create`, or read it and restore it by hand"
            )));
        }
        let held: Vec<&str> = contents
            .iter()
            .flat_map(|held| &held.databases)
            .flat_map(|held| &held.extensions)
            .map(String::as_str)
            .collect();
        let (lacking, major) = postgres::lacking(server, &held).await?;
        let dumped =
            contents.and_then(|held| held.server_version.as_deref()?.split('.').next()?.parse::<u32>().ok());
        let dumped = self.chosen.manifest.as_ref().map(|manifest| manifest.source.major).or(dumped);
        if let Some(dumped) = dumped.filter(|dumped| *dumped > major) {
            return Ok(Some(format!(
                "it is of PostgreSQL {dumped} and this server is {major}: a dump is restored into its own version or a newer one"
            )));
        }
        Ok((!lacking.is_empty()).then(|| {
            format!("the server lacks extensions that it needs: {}; install them there", lacking.join(", "))
        }))
    }

    async fn verify(&mut self, inside: Endpoint<'_>, leave: &impl ChangePermit) -> Result<(), BackupError> {
        inside.log.begins("comparing");
        let mut snapshot = Snapshot::take(inside).await?;
        let here = snapshot.picture().await?;
        self.seen.server = Some(snapshot.source.version.clone());
        snapshot.close().await?;
        self.seen.comparison = Some(match &self.chosen.manifest {
            Some(manifest) => {
                let hashes = manifest.is_comparable();
                let depth =
                    if self.ask.tier == Tier::T2 { Depth::Counts } else { Depth::Contents { hashes } };
                compare(&manifest.picture, &here, depth)
            }
            None => compare(&as_it_came(&self.fetched.decoded, &here), &here, Depth::Counts),
        });
        if let Some(live) = self.ask.live {
            let counted = async {
                let (there, here) = (
                    postgres::tables(live, &Everything).await?,
                    postgres::tables(inside, &Everything).await?,
                );
                Ok::<_, ClientError>(rows(&there.tables, &here.tables))
            };
            self.seen.live = Some(match counted.await {
                Ok(tables) => Live { tables, failed: None },
                Err(error) => Live { tables: vec![], failed: Some(error.to_string()) },
            });
        }
        self.asked(inside).await?;
        if self.ask.tier == Tier::T4 {
            let pair = postgres::sabotage(inside, &here.tables, leave).await?;
            self.seen.control = pair.map(|(before, after)| {
                let table = format!("{}.{}", before.schema, before.name);
                let [before, after] =
                    [before, after].map(|table| Picture { tables: vec![table], ..Picture::default() });
                let held = compare(&before, &after, Depth::Contents { hashes: true });
                let noticed =
                    held.tables.iter().any(|pair| pair.same == Some(false) && pair.expected != pair.rows);
                Control { table, noticed }
            });
        }
        Ok(())
    }
}

fn unproven(ask: &DrillRequest<'_>, chosen: &Chosen, fetched: &Fetched) -> Vec<String> {
    let left_out = if ask.recreate {
        "roles and tablespaces: they are not in the backup of one database"
    } else {
        "owners, privileges and roles: they are left out of a drill"
    };
    let mut out = vec![left_out.to_owned()];
    if let Some(manifest) = &chosen.manifest {
        let each = manifest.left_out.iter();
        out.extend(each.map(|left| format!("{}.{}: {}", left.schema, left.name, left.why)));
    } else {
        out.extend(WITHOUT_MANIFEST.map(str::to_owned));
    }
    out.extend(fetched.decoded.unproven.iter().cloned());
    out
}

/// What an archive without a manifest says that it holds. A table that it holds no data of is expected as it came.
fn as_it_came(decoded: &Decoded, here: &Picture) -> Picture {
    let mut tables = as_it_says(decoded);
    let known = |table: &&TablePicture| !tables.iter().any(|one| one.table() == table.table());
    let empty: Vec<_> = here.tables.iter().filter(known).filter(|table| table.rows == 0).cloned().collect();
    tables.extend(empty);
    Picture { tables, ..Picture::default() }
}
