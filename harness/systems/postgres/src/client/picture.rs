//! What a database holds, in numbers that can be compared with another's: rows and a hash of every table, sequences,
//! large objects, and every object of the schema.
//!
//! A table's hash is the sum of a 64-bit hash of each row: the text of each column hashed with the hash of those behind it as
//! its seed, in order of name, so that it depends neither on the order of rows nor on that of columns, which inheritance
//! may change. Sums and not XOR, which does not see pairs.

use super::session::Session;
use super::tables::Relation;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::SimpleQueryRow;

/// The name of the method, kept beside what it gave: another method gives other numbers.
pub const METHOD: &str = "sum-hashtextextended-columns/v3";

/// For every table that can be read: the expression that is a row's hash. The dot tells text that is empty from NULL, where a
/// type can write such. A cast to text is the quickest way to what a type writes, but only where nobody can have made one
/// that says less.
const ROW_HASHES: &str = "SELECT a.attrelid, string_agg(format('hashtextextended(%s COLLATE \"C\", ', \
      CASE WHEN a.atttypid = ANY ('{int2,int4,int8,float4,float8,numeric,date,time,timestamp,timestamptz,uuid,json,jsonb,bytea}'::regtype[]) \
        THEN format('coalesce(r.%I::text, '''')', a.attname) \
      WHEN a.atttypid = ANY ('{text,varchar}'::regtype[]) THEN format('coalesce(''.'' || r.%I::text, '''')', a.attname) \
        ELSE format('CASE WHEN r.%1$I IS NOT DISTINCT FROM NULL THEN '''' ELSE concat(''.'', r.%1$I) END', a.attname) END), \
      '' ORDER BY a.attname COLLATE \"C\") || '0' || repeat(')', count(*)::int) \
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v' GROUP BY a.attrelid";

/// Of rows without a column.
const NO_COLUMNS: &str = "0";

const SCHEMA: &str = include_str!("schema.sql");

const SEQUENCES: &str = "SELECT n.nspname, c.relname, format('%I.%I', n.nspname, c.relname) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
      AND (NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
        OR EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig))) \
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// For each sequence that a column owns: a question whose answer is the value that comes next, and the furthest in use.
const OWNED: &str = "SELECT format('%I.%I', sn.nspname, s.relname), \
      format('SELECT (SELECT CASE WHEN is_called THEN last_value + (%s) ELSE last_value END FROM %I.%I), (SELECT %s(%I) FROM %I.%I)', \
        q.seqincrement, sn.nspname, s.relname, CASE WHEN q.seqincrement > 0 THEN 'max' ELSE 'min' END, a.attname, tn.nspname, t.relname), \
      q.seqincrement > 0 \
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace \
      JOIN pg_sequence q ON q.seqrelid = s.oid JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace \
      JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid \
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
      AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AND t.relkind IN ('r', 'p') \
      AND sn.nspname !~ '^pg_' AND sn.nspname <> 'information_schema' ORDER BY 1";

/// A dump leaves out the first, and says of the second only that they are not valid.
const INVALID: &str = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive) ORDER BY 1";
const NOT_VALID: &str = "SELECT conrelid::regclass::text || '.' || quote_ident(conname) FROM pg_constraint \
    WHERE NOT convalidated AND conrelid <> 0 ORDER BY 1";

/// So many sequences in one question.
const AT_ONCE: usize = 200;

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Picture {
    /// Tables with rows of their own, partitions one by one; sorted by schema and name.
    pub tables: Vec<TablePicture>,
    /// Large objects; `null` where the role may not read them.
    pub large_objects: Option<Hashed>,
    /// Sequences, sorted by schema and name. They are not bound to the snapshot.
    pub sequences: Vec<Sequence>,
    /// Sequences whose next value is in use already, as SQL names them.
    pub sequences_behind: Vec<String>,
    /// The MD5 of each object's definition, by class and by name: `index` → `public.a_pkey` → …
    pub schema: BTreeMap<String, BTreeMap<String, String>>,
    /// Indexes that are not valid. No dump holds them.
    pub invalid_indexes: Vec<String>,
    /// Constraints that are not validated.
    pub unvalidated: Vec<String>,
}

/// Rows and their hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Hashed {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes, a whole number of any size.
    pub hash: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TablePicture {
    /// Its schema.
    pub schema: String,
    /// Its name, as it stands in the catalogue.
    pub name: String,
    /// How many rows, exactly.
    pub rows: u64,
    /// The sum of their hashes.
    pub hash: String,
    /// The extension that it belongs to, if any. Then only what a dump takes of it is counted: what users wrote into it,
    /// beside the rows that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl TablePicture {
    /// Which table it is: schema and name.
    pub fn table(&self) -> (&str, &str) {
        (&self.schema, &self.name)
    }
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The last value that it gave, or the next if it gave none yet.
    pub last_value: i64,
    /// Did it give one?
    pub is_called: bool,
}

/// Looks at all of it, in the transaction that is open.
pub(super) async fn of(session: &mut Session<'_>, relations: &[Relation]) -> Result<Picture, ClientError> {
    let hashes = row_hashes(session).await?;
    let mut picture = Picture::default();
    for relation in relations {
        picture.tables.push(table(session, relation, &hashes).await?);
        session.log().far(|far| far.tables = Some((picture.tables.len(), relations.len())));
    }
    picture.large_objects = large_objects(session).await?;
    picture.sequences = sequences(session).await?;
    picture.sequences_behind = behind(session).await?;
    for row in session.ask(SCHEMA).await? {
        let [class, name, md5] = texts(&row)?;
        picture.schema.entry(class).or_default().insert(name, md5);
    }
    picture.invalid_indexes = names(session, INVALID).await?;
    picture.unvalidated = names(session, NOT_VALID).await?;
    Ok(picture)
}

/// How the rows of each table are hashed, by its number.
pub(super) async fn row_hashes(session: &mut Session<'_>) -> Result<BTreeMap<String, String>, ClientError> {
    session.ask(ROW_HASHES).await?.iter().map(|row| texts(row).map(|[oid, hash]| (oid, hash))).collect()
}

/// Rows and hash of one table.
pub(super) async fn table(
    session: &mut Session<'_>,
    relation: &Relation,
    row_hashes: &BTreeMap<String, String>,
) -> Result<TablePicture, ClientError> {
    let Relation { schema, name, quoted, configuration, oid, .. } = relation;
    let hash = row_hashes.get(oid).map_or(NO_COLUMNS, String::as_str);
    let rows = match configuration {
        Some(of) => format!("(SELECT * FROM ONLY {quoted} {}) AS r", of.condition),
        None => format!("ONLY {quoted} AS r"),
    };
    let sql = format!("SELECT count(*), coalesce(sum({hash}), 0) FROM {rows}");
    let Hashed { rows, hash } = hashed(session, &sql).await?;
    let extension = configuration.as_ref().map(|of| of.extension.clone());
    Ok(TablePicture { schema: schema.clone(), name: name.clone(), rows, hash, extension })
}

async fn hashed(session: &mut Session<'_>, sql: &str) -> Result<Hashed, ClientError> {
    let rows = session.ask(sql).await?;
    let [count, hash] = texts(rows.first().ok_or_else(|| nothing(session.at()))?)?;
    Ok(Hashed { rows: count.parse().map_err(|_| nothing(session.at()))?, hash })
}

/// By their content: the pages that hold them may be others after a restore. `None` where the role may not read one.
async fn large_objects(session: &mut Session<'_>) -> Result<Option<Hashed>, ClientError> {
    session.ask("SAVEPOINT before_large_objects").await?;
    let read = hashed(
        session,
        "SELECT count(*), coalesce(sum(hashtextextended(m.oid::text || ':' || md5(lo_get(m.oid)), 0)), 0) \
         FROM pg_largeobject_metadata m",
    )
    .await;
    match read {
        Err(ClientError::Sql { code, .. }) if code == "42501" => {
            session.ask("ROLLBACK TO SAVEPOINT before_large_objects").await?;
            Ok(None)
        }
        read => read.map(Some),
    }
}

async fn sequences(session: &mut Session<'_>) -> Result<Vec<Sequence>, ClientError> {
    let listed = session.ask(SEQUENCES).await?;
    let listed = listed.iter().map(texts).collect::<Result<Vec<[String; 3]>, _>>()?;
    let mut all = vec![];
    for part in listed.chunks(AT_ONCE) {
        let each = |(at, [.., quoted]): (usize, &[String; 3])| {
            format!("SELECT {at}, last_value, is_called FROM {quoted}")
        };
        let sql = part.iter().enumerate().map(each).collect::<Vec<_>>().join(" UNION ALL ");
        for row in session.ask(&format!("{sql} ORDER BY 1")).await? {
            let [at, last_value, is_called] = texts(&row)?;
            let found = at.parse::<usize>().ok().and_then(|at| part.get(at)).zip(last_value.parse().ok());
            let ([schema, name, _], last_value) = found.ok_or_else(|| nothing(session.at()))?;
            let (schema, name, is_called) = (schema.clone(), name.clone(), is_called == "t");
            all.push(Sequence { schema, name, last_value, is_called });
        }
    }
    Ok(all)
}

/// Sequences whose next value is not beyond what their column holds: the next row would be refused, or worse.
async fn behind(session: &mut Session<'_>) -> Result<Vec<String>, ClientError> {
    let mut behind = BTreeSet::new();
    for row in session.ask(OWNED).await? {
        let [sequence, question, rises] = texts(&row)?;
        let answer = session.ask(&question).await?;
        let number = |at: usize| answer.first()?.try_get(at).ok()??.parse::<i128>().ok();
        // A column without a value leaves nothing to be behind of.
        if let (Some(next), Some(furthest)) = (number(0), number(1)) {
            let beyond = if rises == "t" { next > furthest } else { next < furthest };
            if !beyond {
                behind.insert(sequence);
            }
        }
    }
    Ok(behind.into_iter().collect())
}

async fn names(session: &mut Session<'_>, sql: &str) -> Result<Vec<String>, ClientError> {
    session.ask(sql).await?.iter().map(|row| texts(row).map(|[name]| name)).collect()
}

/// The columns of a row, none of which may be null.
pub(super) fn texts<const N: usize>(row: &SimpleQueryRow) -> Result<[String; N], ClientError> {
    let each: Vec<String> =
        (0..N).filter_map(|at| row.try_get(at).ok().flatten().map(str::to_owned)).collect();
    each.try_into().map_err(|_| unexpected("the database left out a column that it always has"))
}

/// The database gave something else than its documentation says.
pub(super) fn unexpected(message: impl Into<String>) -> ClientError {
    ClientError::new(ErrorCode::UnexpectedAnswer, message)
}

fn nothing(at: &str) -> ClientError {
    unexpected(format!("{at} gave no number where one was asked for"))
}
