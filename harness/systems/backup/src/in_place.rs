//! Empties tables of a database that is in use and fills them again from its own backup. Both happen in one transaction: a
//! restore that breaks off leaves the tables as they were.

use super::fetch::{Chosen, Fetched, fetch, read_manifest};
use super::restore::{Loaded, PSQL, loaded, told, use_list};
use super::{Backup, BackupError, Manifest};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::command::{Input, Streamed, Streaming};
use proofmark_net::http::Endpoint;
use proofmark_postgres::client::{EVERY, Named, TablePicture, libpq, named, programs};
use serde::{Deserialize, Serialize};

/// The promise: these tables hold what they held before, or what this backup holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tables {
    /// The archive's name.
    pub archive: String,
    /// The manifest's name.
    pub manifest: String,
    /// The tables, as they were named.
    pub names: Vec<String>,
    /// What they held before.
    pub before: Vec<TablePicture>,
}

/// What such tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// What the backup holds.
    Backup,
    /// What they held before anything was done.
    Before,
    /// Something else.
    Other,
}

/// What the backup holds of these tables.
pub fn expected(manifest: &Manifest, tables: &[TablePicture]) -> Vec<TablePicture> {
    manifest
        .picture
        .tables
        .iter()
        .filter(|one| tables.iter().any(|table| table.table() == one.table()))
        .cloned()
        .collect()
}

/// Is the whole database meant? Then its sequences are set too.
fn all(names: &[String]) -> bool {
    names.iter().any(|name| name == EVERY)
}

/// Why it may not be done here. Nothing was written when this is asked.
pub fn refused(chosen: &Chosen, names: &[String], target: &Named) -> Option<String> {
    let Some(manifest) = &chosen.manifest else {
        return Some("the backup has no manifest, so nobody knows which database it is of: only its own source may be written in place".into());
    };
    let (is, of) = (&target.source, &manifest.source);
    if (&is.system_identifier, &is.database_oid) != (&of.system_identifier, &of.database_oid) {
        let again = (&is.system_identifier, &is.database) == (&of.system_identifier, &of.database);
        let hint = if again {
            "; it was made again since that backup: restore it as a whole, or make a new backup first"
        } else {
            ""
        };
        return Some(format!(
            "the backup is of the database {} (system {}, database {}), and this is {} (system {}, database {}): only its own source may be written in place{hint}",
            of.database,
            of.system_identifier,
            of.database_oid,
            is.database,
            is.system_identifier,
            is.database_oid
        ));
    }
    let held: Vec<TablePicture> = target.tables.iter().map(|table| table.held.clone()).collect();
    let lost = || {
        let own = manifest.picture.tables.iter().filter(|one| one.extension.is_none());
        own.filter(|one| !held.iter().any(|table| table.table() == one.table()))
    };
    if all(names)
        && let Some(one) = lost().next()
    {
        return Some(format!(
            "the backup holds {} tables that are not there any more, such as {}.{}: without a list of tables `proofmark backup restore` makes them again, and so does `into: recreate`",
            lost().count(),
            one.schema,
            one.name
        ));
    }
    let missing = held.len() - expected(manifest, &held).len();
    (missing > 0).then(|| {
        format!("the backup does not hold {missing} of the {} tables: they were made later", held.len())
    })
}

/// What the tables hold now.
///
/// # Errors
/// When the database or the manifest cannot be read.
pub async fn holds(
    owed: &Tables,
    (store, target): (Endpoint<'_>, Endpoint<'_>),
) -> Result<Holds, BackupError> {
    let now = sorted(named(target, &owed.names).await?.tables.into_iter().map(|table| table.held));
    if now == sorted(owed.before.iter().cloned()) {
        return Ok(Holds::Before);
    }
    let manifest = read_manifest(store, &owed.manifest).await?;
    let wanted = sorted(expected(&manifest, &now).into_iter());
    Ok(if now == wanted && manifest.is_comparable() { Holds::Backup } else { Holds::Other })
}

fn sorted(tables: impl Iterator<Item = TablePicture>) -> Vec<TablePicture> {
    let mut tables: Vec<_> = tables.collect();
    tables.sort_by(|a, b| a.table().cmp(&b.table()));
    tables
}

/// Keeps the promise: what is back already is left alone.
///
/// # Errors
/// When the tables cannot be looked at or filled.
pub async fn keep(
    owed: &Tables,
    (store, target): (Endpoint<'_>, Endpoint<'_>),
    leave: &impl ChangePermit,
) -> Result<(), BackupError> {
    if holds(owed, (store, target)).await? != Holds::Other {
        return Ok(());
    }
    let manifest = read_manifest(store, &owed.manifest).await?;
    let fetched = fetch(store, &owed.archive).await?;
    if fetched.decoded.sha256 != manifest.archive.sha256 {
        let message = format!(
            "the archive {} is not the one that its manifest names any more; nothing was written",
            owed.archive
        );
        return Err(BackupError::new(ErrorCode::BackupUnusable, message));
    }
    let target_now = named(target, &owed.names).await?;
    let ended = refill(&fetched, (&target_now, &owed.names), target, leave).await?;
    if ended.is_whole() {
        return Ok(());
    }
    let message = format!("{} ended with {}: {}", ended.program, ended.exit, ended.said);
    Err(BackupError::new(ErrorCode::ProgramFailed, message))
}

/// Empties the tables and fills them, or does neither.
///
/// # Errors
/// When the programs are not there, or the archive does not name a table. That the restore fails is no error.
pub async fn refill(
    fetched: &Fetched,
    (target, names): (&Named, &[String]),
    wire: Endpoint<'_>,
    leave: &impl ChangePermit,
) -> Result<Loaded, BackupError> {
    let with = (wire.clock, wire.log);
    let restore = programs::find("pg_restore", None, with).await?;
    let psql = programs::find("psql", None, with).await?;
    let (_list, list) = use_list(&lines(fetched, (target, all(names)), wire).await?)?;
    let (restore, path) = (restore.path.display().to_string(), fetched.path().display().to_string());
    let argv = [&restore, "--data-only", &list, "--file=-", &path].map(str::to_owned);
    let mut from = Streaming::reading(Streamed { argv: &argv, env: &[], input: false }, with)?;
    let way = libpq(wire, None)?;
    let mut argv = vec![psql.path.display().to_string(), "--no-password".to_owned()];
    argv.extend(PSQL.map(str::to_owned));
    let started = Streamed { argv: &argv, env: &way.variables, input: true };
    let mut into = Streaming::changing(started, with, leave)?;
    let sent = send(&mut from, &mut into.stdin, target).await?;
    let read = from.end().await?;
    // Without the last words nothing of it stays.
    if sent && read.exit == Some(0) {
        into.stdin.write(target.after().as_bytes()).await?;
    }
    into.stdin.close();
    let written = into.end().await?;
    Ok(if read.exit == Some(0) || !sent {
        loaded(format!("psql {}", psql.version), &written)
    } else {
        loaded("pg_restore".to_owned(), &read)
    })
}

/// `false`: whoever writes them has ended.
async fn send(from: &mut Streaming, to: &mut Input, target: &Named) -> Result<bool, ClientError> {
    let mut going = to.write(target.before().as_bytes()).await?;
    while let Some(piece) = from.stdout.next().await? {
        going = going && to.write(&piece).await?;
    }
    Ok(going)
}

/// The lines of the archive's list that are the data of these tables, in their order; with `sequences` where each of
/// them stands too.
async fn lines(
    fetched: &Fetched,
    (target, sequences): (&Named, bool),
    wire: Endpoint<'_>,
) -> Result<String, BackupError> {
    let text = told(fetched, &["--list"], wire).await?;
    let mut chosen = String::new();
    for table in &target.tables {
        let words = format!(" TABLE DATA {} {} ", table.held.schema, table.held.name);
        let line = text.lines().find(|line| !line.starts_with(';') && line.contains(&words));
        let line = line.ok_or_else(|| {
            let message = format!("the archive has no data of {}: nothing was written", table.quoted);
            BackupError::new(ErrorCode::NotFound, message)
        })?;
        chosen.push_str(line);
        chosen.push('\n');
    }
    let set = |line: &&str| sequences && !line.starts_with(';') && line.contains(" SEQUENCE SET ");
    for line in text.lines().filter(set) {
        chosen.push_str(line);
        chosen.push('\n');
    }
    Ok(chosen)
}

/// The promise for this backup and these tables.
pub fn promise(backup: &Backup, names: &[String], target: &Named) -> Option<Tables> {
    Some(Tables {
        archive: backup.archive.clone(),
        manifest: backup.manifest.clone()?,
        names: names.to_vec(),
        before: target.tables.iter().map(|table| table.held.clone()).collect(),
    })
}
