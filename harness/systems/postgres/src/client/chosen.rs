//! Some tables of a database that is in use: which they are, partitions one by one, in an order in which their foreign keys
//! allow them to be filled; what they hold; and which triggers of theirs would do more than that.

use super::picture::{self, TablePicture};
use super::session::Session;
use super::snapshot::{self, SETTINGS, Source};
use super::tables;
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use std::collections::{BTreeMap, BTreeSet};

/// For each relation by its number: those that its rows refer to, other than itself.
const REFERS: &str =
    "SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid";

/// For each partition by its number: the table that it is a part of, at every level.
const PARTS: &str = "SELECT c.oid, a.relid FROM pg_class c, pg_partition_ancestors(c.oid) a \
    WHERE c.relispartition AND c.relkind = 'r' AND a.relid <> c.oid";

/// Triggers of users that fire on writing.
const TRIGGERS: &str =
    "SELECT tgrelid, quote_ident(tgname) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')";

/// Stands for every table.
pub const EVERY: &str = "*";

/// Tables that were named, as they are now.
#[derive(Debug)]
pub struct Named {
    /// Which database this is.
    pub source: Source,
    /// The tables that hold the rows, those first that others refer to.
    pub tables: Vec<NamedTable>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct NamedTable {
    /// Rows and hash.
    pub held: TablePicture,
    /// As SQL names it.
    pub quoted: String,
    /// Its triggers that would fire, as SQL names them.
    pub triggers: Vec<String>,
}

/// Looks at these tables: `name`, found in any schema, `schema.name`, or [`EVERY`]. A partitioned table is all of its
/// partitions.
///
/// # Errors
/// When the database cannot be asked, a name leads to no table or to several, or tables refer to each other in a circle.
pub async fn named(wire: Endpoint<'_>, names: &[String]) -> Result<Named, ClientError> {
    let mut session = Session::open(wire).await?;
    session.begin(SETTINGS).await?;
    let database = session.identity().await?;
    let source = snapshot::source(&mut session, database).await?;
    let relations = tables::list(&mut session).await?;
    let mut ancestors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in session.ask(PARTS).await? {
        let [part, of] = picture::texts(&row)?;
        ancestors.entry(part).or_default().push(of);
    }
    let mut roots = BTreeSet::new();
    let every = names.iter().any(|name| name == EVERY);
    for name in names.iter().filter(|_| !every) {
        let fits = |one: &&tables::Relation| {
            matches!(one.kind.as_str(), "r" | "p")
                && (one.name == *name || format!("{}.{}", one.schema, one.name) == *name)
        };
        match relations.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [one] => drop(roots.insert(one.oid.clone())),
            [] => {
                let message = format!("expected a table `{name}` at {}, but there is none", session.at());
                return Err(ClientError::new(ErrorCode::NotFound, message));
            }
            _ => {
                let message = format!("`{name}` is the name of several tables");
                let help = format!("write its schema before it: `public.{name}`");
                return Err(CodedError::new(ErrorCode::Ambiguous, message).help(help).into());
            }
        }
    }
    let of_one = |oid: &String| {
        every
            || roots.contains(oid)
            || ancestors.get(oid).is_some_and(|all| all.iter().any(|one| roots.contains(one)))
    };
    let mut chosen: Vec<tables::Relation> = relations
        .into_iter()
        .filter(|one| one.kind == "r" && one.special.is_empty() && of_one(&one.oid))
        .collect();
    order(&mut session, &mut chosen, &ancestors).await?;
    let mut triggers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in session.ask(TRIGGERS).await? {
        let [of, name] = picture::texts(&row)?;
        triggers.entry(of).or_default().push(name);
    }
    let hashes = picture::row_hashes(&mut session).await?;
    let mut tables = vec![];
    for relation in chosen {
        let held = picture::table(&mut session, &relation, &hashes).await?;
        let triggers = triggers.remove(&relation.oid).unwrap_or_default();
        tables.push(NamedTable { held, quoted: relation.quoted, triggers });
    }
    session.close().await?;
    Ok(Named { source, tables })
}

/// Those first that others refer to. A foreign key of a partitioned table is that of its partitions too.
async fn order(
    session: &mut Session<'_>,
    chosen: &mut Vec<tables::Relation>,
    ancestors: &BTreeMap<String, Vec<String>>,
) -> Result<(), ClientError> {
    let mut refers: BTreeSet<(String, String)> = BTreeSet::new();
    for row in session.ask(REFERS).await? {
        let [from, to] = picture::texts(&row)?;
        refers.insert((from, to));
    }
    let family = |oid: &String| -> Vec<String> {
        let mut all = ancestors.get(oid).cloned().unwrap_or_default();
        all.push(oid.clone());
        all
    };
    let before = |first: &tables::Relation, second: &tables::Relation| {
        family(&second.oid)
            .iter()
            .any(|from| family(&first.oid).iter().any(|to| refers.contains(&(from.clone(), to.clone()))))
    };
    let mut ordered: Vec<tables::Relation> = vec![];
    while !chosen.is_empty() {
        let free =
            chosen.iter().position(|one| !chosen.iter().any(|other| other != one && before(other, one)));
        let Some(free) = free else {
            let names: Vec<&str> = chosen.iter().map(|one| one.quoted.as_str()).collect();
            let message = format!(
                "the foreign keys of {} go in a circle, so that no order fills them",
                names.join(", ")
            );
            let help = "drill into a scratch database instead";
            return Err(CodedError::new(ErrorCode::Unsupported, message).help(help).into());
        };
        ordered.push(chosen.remove(free));
    }
    *chosen = ordered;
    Ok(())
}

impl Named {
    /// What stands before the rows, in one transaction with them. Nobody else's rows go: a table that is referred to from
    /// outside is not emptied, which the server sees to.
    pub fn before(&self) -> String {
        let tables: Vec<String> = self.tables.iter().map(|table| format!("ONLY {}", table.quoted)).collect();
        let off = self.triggers("DISABLE");
        format!(
            "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; TRUNCATE TABLE {};\n{off}",
            tables.join(", ")
        )
    }

    /// What stands behind them.
    pub fn after(&self) -> String {
        format!("\n{}COMMIT;\n", self.triggers("ENABLE"))
    }

    fn triggers(&self, word: &str) -> String {
        let each = self.tables.iter().flat_map(|table| {
            table
                .triggers
                .iter()
                .map(move |name| format!("ALTER TABLE {} {word} TRIGGER {name};\n", table.quoted))
        });
        each.collect()
    }
}
