//! `backup`: dumps a database into a store, and believes it only when the store has given back what was sent and every row
//! was counted in it. What fails on the way leaves nothing that looks like a backup.

use crate::abandon::{self, Left};
use crate::create::{self, BackupRequest, Made, Undo};
use crate::events::{Events, EventsTo};
use crate::{BackupError, alarm, name};
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{Duration, Finding, SettingMistake};
use proofmark_net::docker::{self, Container};
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

const SOURCE: &str = "postgres";
const STORE: &str = "store";
const WEBHOOK: &str = "webhook";
const DOCKER: &str = "docker";

/// Makes a backup of a database: an archive of pg_dump, and beside it a manifest that says what the database held.
///
/// The database is dumped at one exported snapshot, at which the rows of every table are counted and hashed at the same
/// time. The archive is streamed into the store, decoded on the way, and read back. The manifest is written last: an
/// archive without one is no backup. pg_dump has to be of the server's major version; it is run on this machine, or in the
/// container that the server runs in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backup {
    /// The name, below the store's `url`; `{date}/{db}_{date}_{time}_{micros}_{pid}` if it is not said. A `{date}` that is a
    /// folder by itself is `YYYY/MM/DD`, else `YYYYMMDD`; `{time}` is `HHMMSS`. All in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A folder of this machine that gets a copy, archive and manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// The running container that holds the database: pg_dump is run in there, by the program `docker`. Its engine is that of
    /// the connection `docker` where the environment has one (`url: unix:///…`, `tcp://…` or `ssh://…`), else the one that
    /// the program uses by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Where events go: one JSON object per line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTo>,
    /// Tell the connection `webhook` when no backup was made: `{"text": "[BACKUP FAILURE] …"}` is posted to its `url`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub webhook: bool,
    /// Only look whether it could be made, and say under which name. Such a step is undecided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupObservation {
    /// The backup; `null` where none was made.
    pub made: Option<Made>,
    /// Why none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What became of the message to the webhook: `told`, or why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

/// What is left once the promises are kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupReverted {
    left: Left,
    /// Sessions of a pg_dump that was started in a container; `null` where it has come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_work: Option<usize>,
}

impl Kind for Backup {
    const NAME: &'static str = "backup";
    const EXAMPLE: &'static str =
        "backup: { name: \"postgres/{date}/{db}_{date}_{time}_{micros}_{pid}\", local: backups }";
    const JUDGES: &'static str = "The backup was made: as many rows of every table in the archive as in the database at the snapshot, and the bytes that were sent are those that the store gives back. A database without tables is undecided. When it is over, that nothing of an unfinished backup is left, and no pg_dump of it at work in a container.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[SOURCE, STORE, WEBHOOK, DOCKER];
    const OPTIONAL: &'static [&'static str] = &[DOCKER];
    const TIMEOUT: Duration = Duration::secs(12 * 3600);
    type Seen = BackupObservation;

    fn judge(&self, seen: &BackupObservation, _at: Timestamp) -> Vec<Finding> {
        let what = "a backup was made";
        let Some(made) = &seen.made else {
            let why = seen.failed.clone().unwrap_or_else(|| "none".into());
            let mut findings = vec![Finding::judged(what, "a backup", why, false)];
            findings.extend(
                seen.webhook.as_ref().map(|told| {
                    Finding::judged("the webhook was told", "told", told.clone(), told == "told")
                }),
            );
            return findings;
        };
        if made.dry_run {
            let would = format!("a dry run: it would be `{}`", made.archive);
            return vec![Finding::undecided(what, "a backup", would)];
        }
        let held = |rows: u64| format!("{rows} rows of {} tables", made.tables.len());
        if made.tables.is_empty() {
            let help = "is it the right database, and does the role see its schemas?";
            return vec![Finding::undecided(what, "at least one table", held(0)).with_help(help)];
        }
        let archived = made.tables.iter().map(|table| table.archived).sum();
        let agree = made.tables.iter().all(|table| table.archived == table.rows);
        let bytes = |bytes: u64, sha256: &str| format!("{bytes} bytes with SHA-256 {sha256}");
        let (sent, stored) = (bytes(made.bytes, &made.sha256), bytes(made.stored_bytes, &made.stored_sha256));
        let given_back = sent == stored && made.bytes > 0;
        vec![
            Finding::judged(what, "a backup", made.archive.clone(), true),
            Finding::judged(
                "the archive holds what the database held",
                held(made.rows),
                held(archived),
                agree,
            ),
            Finding::judged("the store gives back what was sent", sent, stored, given_back),
        ]
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let name = self.name.as_deref().and_then(name::mistake);
        name.or_else(|| docker::mistake(self.container.as_deref()?))
    }
}

impl Act for Backup {
    type Done = BackupObservation;
    type Undo = Undo;
    type Reverted = BackupReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        if self.dry_run { &[] } else { &[Permission::Change] }
    }

    fn roles(&self) -> &'static [&'static str] {
        match (self.webhook, self.container.is_some()) {
            (true, true) => Self::ROLES,
            (true, false) => &[SOURCE, STORE, WEBHOOK],
            (false, true) => &[SOURCE, STORE, DOCKER],
            (false, false) => &[SOURCE, STORE],
        }
    }

    fn roles_back(owed: &Undo) -> &'static [&'static str] {
        match owed {
            Undo { folder: Some(_), .. } => &[],
            Undo { inside: Some(_), .. } => &[STORE, SOURCE, DOCKER],
            _ => &[STORE],
        }
    }

    fn promises(&self) -> bool {
        !self.dry_run
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Undo>) -> Result<BackupObservation, StepError> {
        let container = self.container.as_deref().map(|name| container(name, cx));
        let order = BackupRequest {
            template: self.name.as_deref().unwrap_or(name::DEFAULT),
            local: self.local.as_deref().map(Path::new),
            container: container.as_ref(),
            dry_run: self.dry_run,
        };
        let began = cx.clock.elapsed();
        let events = Events::open(self.events.as_ref(), "backup", (&cx.clock, &cx.systems.redactor))?;
        events.tell("backup_local_started", "info", &[]);
        let made = create::create(&order, (cx.wire(SOURCE)?, cx.wire(STORE)?), promises).await;
        let took = cx.clock.elapsed().saturating_sub(began).as_secs_f64();
        let error = match made {
            Ok(made) => {
                let fields = [
                    ("size_bytes", json!(made.bytes)),
                    ("mtime_unix", json!(cx.clock.now().as_second())),
                    ("duration_sec", json!(took)),
                ];
                events.tell("backup_local_completed", "info", &fields);
                return Ok(BackupObservation { made: Some(made), ..BackupObservation::default() });
            }
            // Nothing could be promised, so nothing was tried.
            Err(BackupError::Record(error)) => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        events.tell(
            "backup_local_failed",
            "error",
            &[("error", json!(error)), ("duration_sec", json!(took))],
        );
        let mut seen = BackupObservation { failed: Some(error), ..BackupObservation::default() };
        if let (true, Some(why)) = (self.webhook, &seen.failed) {
            let why = cx.systems.redactor.clean_text(why).into_inner();
            let told = alarm::post(cx.wire(WEBHOOK)?, &why, &promises.declare_final()).await;
            seen.webhook = Some(told.err().map_or_else(|| "told".to_owned(), |error| error.to_string()));
        }
        Ok(seen)
    }

    async fn observe(
        &self,
        done: &BackupObservation,
        _cx: &Cx,
        _memory: &mut (),
    ) -> Result<BackupObservation, StepError> {
        Ok(done.clone())
    }

    async fn revert(owed: &Undo, cx: &Cx, by: &RevertPermit, _memory: &mut ()) -> Result<(), StepError> {
        let left = abandon::abandon(owed, back(owed.folder.as_ref(), cx)?, by).await?;
        if let (Some(inside), true) = (&owed.inside, left != Left::Committed) {
            inside.end(cx.wire(SOURCE)?, &container(&inside.container, cx), by).await?;
        }
        Ok(())
    }

    async fn observe_reverted(owed: &Undo, cx: &Cx, _memory: &mut ()) -> Result<BackupReverted, StepError> {
        let left = abandon::look(owed, back(owed.folder.as_ref(), cx)?).await?;
        let at_work = match &owed.inside {
            Some(inside) if left != Left::Committed => {
                Some(inside.sessions(cx.wire(SOURCE)?, &container(&inside.container, cx)).await?)
            }
            _ => None,
        };
        Ok(BackupReverted { left, at_work })
    }

    fn judge_reverted(_owed: &Undo, seen: &BackupReverted, _at: Timestamp) -> Vec<Finding> {
        let what = "nothing of an unfinished backup is left";
        let (words, ok) = match seen.left {
            Left::Committed => ("the backup is finished", true),
            Left::Nothing => ("nothing is left", true),
            Left::Archive => ("an archive without its manifest", false),
        };
        let mut findings = vec![Finding::judged(what, "finished, or nothing", words, ok)];
        let what = "no pg_dump of it is at work in the container";
        let idle =
            |count: usize| Finding::judged(what, "0 sessions", format!("{count} sessions"), count == 0);
        findings.extend(seen.at_work.map(idle));
        findings
    }
}

fn container(name: &str, cx: &Cx) -> Container {
    let engine = cx.wire(DOCKER).ok().and_then(|wire| wire.connection);
    Container::new(name, engine)
}

/// The way to where something is owed: the store, or what serves a folder.
pub(super) fn back<'a>(folder: Option<&String>, cx: &'a Cx) -> Result<Endpoint<'a>, StepError> {
    if folder.is_some() { Ok(cx.open_wire()) } else { cx.wire(STORE) }
}
