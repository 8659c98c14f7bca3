//! Tables and their exact numbers of rows, all in one snapshot.

use super::Database;
use super::picture;
use super::session::Session;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio_postgres::SimpleQueryRow;

/// How often tables may come or go between the list and the locks before that is an error.
pub(super) const TRIES: usize = 3;

/// Every relation that may be asked for. What belongs to the server, and what is temporary, is nobody's data.
const LIST: &str = "SELECT n.nspname, c.relname, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relispartition, c.oid, \
    CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'f' THEN 'foreign table' \
      WHEN c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() THEN 'unlogged table on a standby' \
      WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
        AND d.objid = c.oid AND d.deptype = 'e') THEN 'table of an extension' \
      WHEN c.relkind = 'm' THEN 'materialized view' ELSE '' END, k.extname, k.condition \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      LEFT JOIN (SELECT e.extname, k.of, k.condition FROM pg_catalog.pg_extension e, \
        ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS k (of, condition)) k ON k.of = c.oid \
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND c.relpersistence <> 't' \
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// As the list says it.
const OF_EXTENSION: &str = "table of an extension";

/// A table that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name, as it stands in the catalogue.
    pub name: String,
    /// How many rows, exactly; those of all partitions for a partitioned table.
    pub rows: u64,
}

/// A relation that was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeftOut {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is: `view`, `foreign table`, `unlogged table on a standby`, `table of an extension`, `materialized view`.
    pub why: String,
}

/// What was counted, in one snapshot.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Sorted by schema and name.
    pub tables: Vec<Table>,
    /// Sorted by schema and name.
    pub left_out: Vec<LeftOut>,
    /// Who answered.
    pub database: Database,
}

/// A relation of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    /// As SQL names it.
    pub(super) quoted: String,
    partition: bool,
    pub(super) oid: String,
    /// Why it is left out unless it is asked for by name; empty for what is counted anyway.
    pub(super) special: String,
    /// Is it a table of an extension whose rows a dump holds as far as they are configuration?
    pub(super) configuration: Option<Configuration>,
}

/// What users of an extension wrote into its table, beside the rows that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The extension's name.
    pub(super) extension: String,
    /// Which rows: empty, or `WHERE …`.
    pub(super) condition: String,
}

impl Relation {
    /// Does a dump hold rows of it? Of an extension's tables only those that it says.
    pub(super) fn is_dumped(&self) -> bool {
        let of_extension = self.special == OF_EXTENSION && self.configuration.is_some();
        self.kind == "r" && (self.special.is_empty() || of_extension)
    }
}

/// Which relations to count.
pub trait Choice: Sync {
    /// Is this schema looked at?
    fn schema(&self, schema: &str) -> bool;
    /// Is it asked for by name? `None` where no names are given.
    fn named(&self, schema: &str, name: &str) -> Option<bool>;
}

/// Counts what is chosen. Without names that is every table: a partitioned one as a whole and not its partitions again,
/// and nothing that is left out in [`LeftOut`].
///
/// The tables are locked against `TRUNCATE` and `DROP` (not against reading or writing rows) before the snapshot is
/// taken: truncating is seen by older snapshots too, and would look like an empty table.
///
/// # Errors
/// When there is no whole answer: also when the role may not read one of them, or row-level security would hide rows.
pub async fn tables(wire: Endpoint<'_>, choice: &impl Choice) -> Result<Tables, ClientError> {
    let mut session = Session::open(wire).await?;
    for _ in 0..TRIES {
        session.begin(SETTINGS).await?;
        let (before, _) = split(list(&mut session).await?, choice);
        session.rollback().await?;
        session.begin(SETTINGS).await?;
        for lock in locks(&before) {
            session.ask(&lock).await?;
        }
        let database = session.identity().await?;
        let (chosen, left_out) = split(list(&mut session).await?, choice);
        if before == chosen {
            let mut counted = vec![];
            for relation in chosen {
                counted.push(count(&mut session, relation).await?);
            }
            session.close().await?;
            wire.log.keep(Arc::new(serde_json::to_vec(&counted).unwrap_or_default()));
            return Ok(Tables { tables: counted, left_out, database });
        }
        session.rollback().await?;
    }
    Err(came_and_went(session.at()))
}

/// Tables are made or dropped faster than they can be locked.
pub(super) fn came_and_went(at: &str) -> ClientError {
    ClientError::Sql {
        at: at.to_owned(),
        code: "40001".into(),
        message: format!("tables came or went {TRIES} times while they were to be counted"),
        hint: "; is a migration or a restore under way?",
    }
}

const SETTINGS: &str =
    "; SET LOCAL row_security = off; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off";

/// So many tables in one statement.
const AT_ONCE: usize = 500;

pub(super) fn locks(relations: &[Relation]) -> Vec<String> {
    let lockable: Vec<String> = relations
        .iter()
        .filter_map(|relation| match relation.kind.as_str() {
            "r" => Some(format!("ONLY {}", relation.quoted)),
            "p" => Some(relation.quoted.clone()),
            _ => None,
        })
        .collect();
    let lock = |part: &[String]| format!("LOCK TABLE {} IN ACCESS SHARE MODE", part.join(", "));
    lockable.chunks(AT_ONCE).map(lock).collect()
}

pub(super) async fn list(session: &mut Session<'_>) -> Result<Vec<Relation>, ClientError> {
    let rows = session.ask(LIST).await?;
    let text = |row: &SimpleQueryRow, at: usize| -> Result<String, ClientError> {
        let text = row.try_get(at).ok().flatten().map(str::to_owned);
        text.ok_or_else(|| picture::unexpected("a table's name is no UTF-8"))
    };
    rows.iter()
        .map(|row| {
            Ok(Relation {
                schema: text(row, 0)?,
                name: text(row, 1)?,
                kind: text(row, 2)?,
                quoted: text(row, 3)?,
                partition: text(row, 4)? == "t",
                oid: text(row, 5)?,
                special: text(row, 6)?,
                configuration: row.try_get(7).ok().flatten().map(|extension| Configuration {
                    extension: extension.to_owned(),
                    condition: row.try_get(8).ok().flatten().unwrap_or_default().to_owned(),
                }),
            })
        })
        .collect()
}

/// What is counted, and what is left out.
pub(super) fn split(relations: Vec<Relation>, choice: &impl Choice) -> (Vec<Relation>, Vec<LeftOut>) {
    let (mut chosen, mut left_out) = (vec![], vec![]);
    for relation in relations.into_iter().filter(|relation| choice.schema(&relation.schema)) {
        let countable = matches!(relation.special.as_str(), "" | "materialized view" | OF_EXTENSION);
        match choice.named(&relation.schema, &relation.name) {
            Some(false) => {}
            Some(true) if countable => chosen.push(relation),
            None if relation.special.is_empty() && !relation.partition => chosen.push(relation),
            None if relation.partition || relation.kind == "v" => {}
            Some(true) | None => {
                let Relation { schema, name, special: why, .. } = relation;
                left_out.push(LeftOut { schema, name, why });
            }
        }
    }
    (chosen, left_out)
}

async fn count(session: &mut Session<'_>, relation: Relation) -> Result<Table, ClientError> {
    // Only a partitioned table is the sum of others; what inherits from a table is listed by itself.
    let only = if relation.kind == "p" { "" } else { "ONLY " };
    let rows = session.ask(&format!("SELECT count(*) FROM {only}{}", relation.quoted)).await?;
    let text = rows.first().and_then(|row| row.try_get(0).ok().flatten());
    let none = || picture::unexpected(format!("{} gave no count", relation.quoted));
    let rows = text.and_then(|text| text.parse().ok()).ok_or_else(none)?;
    Ok(Table { schema: relation.schema, name: relation.name, rows })
}
