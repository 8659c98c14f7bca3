//! `restore-drill`: a backup is proven by restoring it. It goes into a scratch database that is made for it and dropped
//! again, and what came back is held against what the manifest says was there.

mod judge;
mod live;

pub use live::Tolerance;

use crate::drill::{DrillRequest, Drilled, Tier, Undo, drill};
use crate::events::{Events, EventsTo};
use crate::fetch::Which;
use crate::in_place::{self, Holds};
use crate::recreate::{self, Standing};
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{Duration, Finding, SettingMistake, Verdict};
use proofmark_postgres::client::{self as postgres, Found};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

const SERVER: &str = "postgres";
const STORE: &str = "store";
const LIVE: &str = "live";

/// How many sessions restore unless it is said.
const JOBS: usize = 2;

/// Restores a backup into a scratch database and compares what came back with what was there.
///
/// The archive is hashed and decoded before any database is touched. The scratch database is made on the server of the role
/// `postgres`, with a generated name, and dropped when the step ends. Backups that Proofmark did not make are drilled too:
/// custom, tar and plain archives, also packed, told apart by their first bytes. Without a manifest rows are counted, not
/// compared; `unproven` says what a drill does not prove.
///
/// Plain SQL that does more than fill one database is not run: commands of psql such as `\!` and `\connect`, and statements
/// about other databases or roles, which `pg_dump --create` writes too. Such a step is undecided and names the line.
///
/// `into: recreate` makes a database again that was lost or spoiled. What the backup holds is restored beside it, with owners
/// and privileges, and compared; only where all of it is the same it is put in the place of the database, whose sessions are
/// ended. Whatever fails before leaves the database as it was, in use. It has to be the one that the backup was made from,
/// or to be empty, or not to be there at all.
///
/// Else owners and privileges are left out. The archive is kept on this machine's disk for as long as it is restored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestoreDrill {
    /// `newest`, `oldest`, or the name of an archive or a manifest; `newest` if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Only backups whose names begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Into what: `scratch`; or `in-place` with `truncate`, or `recreate`, which need `destroy`.
    #[serde(default)]
    pub into: Into,
    /// The tables that are emptied and filled where they are: `name`, `schema.name`, or `*` for every one, with which the
    /// sequences are set too. The database has to be the very one
    /// that the backup was made from. What was written since the backup is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncate: Vec<String>,
    /// How deep: `T2` counts, `T3` compares every row, the schema and sequences, `T4` also has to notice a row that is
    /// taken away. `T3` if it is not said.
    #[serde(default)]
    pub tier: Tier,
    /// The longest that it may take until the restored database can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// The oldest that what is in the backup may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
    /// The connection of a database that goes on working, such as production: the rows of each of its tables are counted
    /// beside those that came back into the scratch database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// How far they may be apart, in each table: rows (`100`) or per cent (`5%`); 0 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
    /// How many sessions restore; 2 if it is not said. Only archives of `pg_dump -Fc` can be restored by several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<usize>,
    /// Where events go: one JSON object per line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTo>,
    /// Questions to the restored database, by name: each has to give at least one row. `expect` reads them at
    /// `$.queries.NAME[0].column`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, String>,
}

/// Into what it is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Into {
    /// Into a database that is made for it and dropped again.
    #[default]
    Scratch,
    /// Into tables of the source itself, in one transaction that empties and fills them.
    InPlace,
    /// Into a new database that is put in the place of the source.
    Recreate,
}

/// What is found once it should be back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RestoreDrillReverted {
    /// Under the scratch database's name; `null` for nothing.
    Scratch(Option<String>),
    /// In the tables.
    Tables(Holds),
    /// Beside the database.
    Database(Standing),
}

impl Kind for RestoreDrill {
    const NAME: &'static str = "restore-drill";
    const EXAMPLE: &'static str =
        "restore-drill: { backup: newest, into: scratch, tier: T3, rto: 10m, rpo: 25h }";
    const JUDGES: &'static str = "There is a backup; its archive is the one that the manifest names and decodes to its end; it is restored without an error; every table has as many rows as it had. From T3 on every row, object of the schema, sequence and large object is the same, and no index is invalid; with T4 a row that is taken away is noticed. Every query gives a row. With `live`, that every table has as many rows as there, within `tolerance`. With `rto` and `rpo`, that they are kept. When it is over, that the scratch database is gone.";
    const RULES: u32 = 2;
    const ROLES: &'static [&'static str] = &[SERVER, STORE, LIVE];
    const TIMEOUT: Duration = Duration::secs(12 * 3600);
    type Seen = Drilled;

    fn judge(&self, seen: &Drilled, _at: Timestamp) -> Vec<Finding> {
        judge::judge(self, seen)
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if self.jobs == Some(0) {
            return Some(SettingMistake::new("`jobs: 0` restores nothing").help("write at least 1"));
        }
        if self.live.is_some() && self.into != Into::Scratch {
            return Some(
                SettingMistake::new("`live` is held against a scratch database").help("leave `into` out"),
            );
        }
        if self.live.is_none() && self.tolerance.is_some() {
            return Some(
                SettingMistake::new("`tolerance` is that of `live`")
                    .help("write `live: CONNECTION` beside it"),
            );
        }
        match (self.into, self.truncate.is_empty()) {
            (Into::InPlace, true) => Some(
                SettingMistake::new("`into: in-place` names no table")
                    .help("write which with `truncate: [bookings]`"),
            ),
            (Into::Recreate, _) if self.tier != Tier::T3 => Some(
                SettingMistake::new("`into: recreate` always compares all of it").help("leave `tier` out"),
            ),
            (Into::Recreate, false) => Some(
                SettingMistake::new("`into: recreate` makes the whole database again")
                    .help("leave `truncate` out, or write `into: in-place`"),
            ),
            (Into::Scratch, false) => Some(
                SettingMistake::new("`truncate` empties tables of a database that is in use")
                    .help("say so with `into: in-place`"),
            ),
            _ => None,
        }
    }
}

impl Act for RestoreDrill {
    type Done = Drilled;
    type Undo = Undo;
    type Reverted = RestoreDrillReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        match self.into {
            Into::Scratch => &[Permission::Change],
            Into::InPlace | Into::Recreate => &[Permission::Destroy],
        }
    }

    fn roles(&self) -> &'static [&'static str] {
        if self.live.is_some() { Self::ROLES } else { &[SERVER, STORE] }
    }

    fn named(&self) -> Option<(&'static str, &str)> {
        Some((LIVE, self.live.as_deref()?))
    }

    fn roles_back(owed: &Undo) -> &'static [&'static str] {
        match owed {
            Undo::Scratch(_) | Undo::Database(_) => &[SERVER],
            Undo::Tables(_) => &[SERVER, STORE],
        }
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Undo>) -> Result<Drilled, StepError> {
        let events = Events::open(self.events.as_ref(), "dr_smoke", (&cx.clock, &cx.systems.redactor))?;
        let mode = match self.into {
            Into::Scratch => "scratch",
            Into::InPlace => "truncate",
            Into::Recreate => "recreate",
        };
        let mode = [("mode", json!(mode))];
        events.tell("dr_smoke_started", "info", &mode);
        let ask = DrillRequest {
            which: Which::of(self.backup.as_deref().unwrap_or("newest")),
            prefix: self.prefix.as_deref().unwrap_or_default(),
            tier: self.tier,
            jobs: self.jobs.unwrap_or(JOBS),
            queries: &self.queries,
            truncate: &self.truncate,
            live: self.live.as_ref().map(|_| cx.wire(LIVE)).transpose()?,
            recreate: self.into == Into::Recreate,
            events: &events,
        };
        let began = cx.clock.elapsed();
        let seen = drill(&ask, (cx.wire(STORE)?, cx.wire(SERVER)?), promises).await;
        let took = ("duration_sec", json!(cx.clock.elapsed().saturating_sub(began).as_secs_f64()));
        let wrong = match &seen {
            Ok(seen) => {
                let findings = judge::judge(self, seen);
                let open = findings.into_iter().find(|finding| finding.verdict != Verdict::Passed);
                open.map(|finding| finding.what)
            }
            Err(error) => Some(error.to_string()),
        };
        let [mode] = mode;
        match wrong {
            None => events.tell("dr_smoke_completed", "info", &[mode, took]),
            Some(error) => events.tell("dr_smoke_failed", "error", &[mode, took, ("error", json!(error))]),
        }
        Ok(seen?)
    }

    async fn observe(&self, done: &Drilled, _cx: &Cx, _memory: &mut ()) -> Result<Drilled, StepError> {
        Ok(done.clone())
    }

    fn patience(owed: &Undo) -> Duration {
        match owed {
            Undo::Scratch(_) => Duration::secs(60),
            Undo::Database(_) => Duration::secs(600),
            // It may have to be restored once more.
            Undo::Tables(_) => Self::TIMEOUT,
        }
    }

    async fn revert(owed: &Undo, cx: &Cx, by: &RevertPermit, _memory: &mut ()) -> Result<(), StepError> {
        match owed {
            Undo::Scratch(scratch) => postgres::remove(cx.wire(SERVER)?, scratch, by).await?,
            Undo::Tables(tables) => in_place::keep(tables, (cx.wire(STORE)?, cx.wire(SERVER)?), by).await?,
            Undo::Database(owed) => recreate::clear(owed, cx.wire(SERVER)?, by).await?,
        }
        Ok(())
    }

    async fn observe_reverted(
        owed: &Undo,
        cx: &Cx,
        _memory: &mut (),
    ) -> Result<RestoreDrillReverted, StepError> {
        Ok(match owed {
            Undo::Scratch(scratch) => {
                RestoreDrillReverted::Scratch(match postgres::find(cx.wire(SERVER)?, scratch).await? {
                    Found::Nothing => None,
                    Found::Ours => Some("the scratch database".to_owned()),
                    Found::BeingMade => Some("a server that still makes it".to_owned()),
                    Found::Other(comment) => Some(format!("another database, with the comment `{comment}`")),
                })
            }
            Undo::Tables(tables) => RestoreDrillReverted::Tables(
                in_place::holds(tables, (cx.wire(STORE)?, cx.wire(SERVER)?)).await?,
            ),
            Undo::Database(owed) => {
                RestoreDrillReverted::Database(recreate::look(owed, cx.wire(SERVER)?).await?)
            }
        })
    }

    fn judge_reverted(owed: &Undo, seen: &RestoreDrillReverted, _at: Timestamp) -> Vec<Finding> {
        vec![match (owed, seen) {
            (Undo::Scratch(scratch), RestoreDrillReverted::Scratch(found)) => {
                let what = format!("the scratch database {} is gone", scratch.name);
                let shown = found.clone().unwrap_or_else(|| "gone".to_owned());
                Finding::judged(what, "gone", shown, found.is_none())
            }
            (Undo::Tables(tables), RestoreDrillReverted::Tables(holds)) => {
                let what = format!("what the tables hold: {}", tables.names.join(", "));
                let shown = match holds {
                    Holds::Backup => "what the backup holds",
                    Holds::Before => "what they held before",
                    Holds::Other => "something else",
                };
                let expected = "what the backup holds, or what they held before";
                Finding::judged(what, expected, shown, *holds != Holds::Other)
            }
            (Undo::Database(owed), RestoreDrillReverted::Database(Standing { is_there, left })) => {
                let what = format!("nothing is left beside the database {}", owed.database);
                let shown = match (left.is_empty(), is_there) {
                    (false, _) => left.join(", "),
                    (true, false) if owed.was_there => "nothing, and it is gone itself".to_owned(),
                    _ => "nothing".to_owned(),
                };
                Finding::judged(what, "nothing", shown.clone(), shown == "nothing")
            }
            _ => Finding::undecided("the world is back", "what was promised", "something else was looked at"),
        }]
    }
}
