//! A database that is made to be dropped again: its name is generated, its comment says whose it is, and only what carries
//! that comment is ever dropped.

use super::dsn::Dsn;
use super::picture;
use super::session::Session;
use super::snapshot::Source;
use proofmark_environment::Connection;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use serde::{Deserialize, Serialize};

/// What stands before the names of all of them.
const PREFIX: &str = "proofmark_drill_";

/// What stands before the names of databases that another was put in the place of.
const ASIDE: &str = "proofmark_old_";

const CREATE: &str = "CREATE DATABASE ";

/// A scratch database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scratch {
    /// Its name.
    pub name: String,
    /// Its comment, by which it is known as ours.
    pub mark: String,
}

impl Scratch {
    /// A new one, for the run with this mark.
    pub fn new(mark: &str) -> Self {
        let random: u64 = rand::random();
        Self { name: format!("{PREFIX}{random:016x}"), mark: format!("proofmark drill: {mark}") }
    }

    /// What a database of users becomes once another stands in its place. It gets name and comment at once, and only by
    /// its comment it is ours.
    pub fn aside(mark: &str) -> Self {
        let random: u64 = rand::random();
        Self { name: format!("{ASIDE}{random:016x}"), mark: format!("proofmark restore, replaced: {mark}") }
    }

    /// The same server's connection, to this database.
    pub fn connection(&self, server: &Connection) -> Connection {
        let mut connection = server.clone();
        if let Some(dsn) = server.part::<Dsn>() {
            connection.put(dsn.to_database(&self.name));
        }
        connection
    }
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No database of that name.
    Nothing,
    /// The one that was made, marked as ours or not marked yet.
    Ours,
    /// Nothing yet: the server still makes it for a program that may be dead.
    BeingMade,
    /// One with this comment, which is not ours.
    Other(String),
}

/// Looks for it on the server of this connection.
///
/// # Errors
/// When the server cannot be asked.
pub async fn find(wire: Endpoint<'_>, scratch: &Scratch) -> Result<Found, ClientError> {
    let mut session = Session::open(wire).await?;
    found(&mut session, scratch).await
}

/// Makes it, empty, with the encoding and the locale of the source; without a source as the server makes them.
///
/// # Errors
/// When the role may not, the server lacks the locale, or there is one of that name.
pub async fn create(
    wire: Endpoint<'_>,
    scratch: &Scratch,
    like: Option<&Source>,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let mut session = Session::open(wire).await?;
    let name = identifier(&scratch.name);
    session
        .ask(&format!("{CREATE}{name} TEMPLATE template0{}", like.map(locale).unwrap_or_default()))
        .await?;
    session.ask(&format!("COMMENT ON DATABASE {name} IS {}", literal(&scratch.mark))).await.map(drop)
}

/// Drops it, with the sessions in it. That it is not there is no error; that another carries its name is.
///
/// # Errors
/// When the server cannot be asked or refuses, or a database of that name is not ours.
pub async fn remove(
    wire: Endpoint<'_>,
    scratch: &Scratch,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let mut session = Session::open(wire).await?;
    match found(&mut session, scratch).await? {
        Found::Nothing => Ok(()),
        Found::BeingMade => {
            let end = format!("SELECT pg_catalog.pg_terminate_backend(pid) {}", making(scratch));
            session.ask(&end).await.map(drop)
        }
        Found::Other(comment) => {
            let message = format!(
                "expected the database {} to carry the comment `{}`, but it carries `{comment}`: it is not ours and is left alone",
                scratch.name, scratch.mark
            );
            Err(ClientError::new(ErrorCode::WrongTarget, message))
        }
        Found::Ours => {
            let name = identifier(&scratch.name);
            session.ask(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.map(drop)
        }
    }
}

/// Is the connection really to the scratch database, and is that empty? A pooler may lead every name to one database.
///
/// # Errors
/// When it is not, or cannot be asked.
pub async fn prove(wire: Endpoint<'_>, scratch: &Scratch) -> Result<(), ClientError> {
    let mut session = Session::open(wire).await?;
    let rows = session
        .ask(
            "SELECT pg_catalog.current_database(), \
             coalesce(pg_catalog.shobj_description((SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), 'pg_database'), ''), \
             (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')",
        )
        .await?;
    let text = |at: usize| rows.first().and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
    if (text(0), text(1), text(2)) == (scratch.name.as_str(), scratch.mark.as_str(), "0") {
        return Ok(());
    }
    let message = format!(
        "expected to be in the empty database {} that was just made, but the connection led to `{}` with {} relations in it; nothing was restored. Does a pooler send every name to one database? Connect to the server itself",
        scratch.name,
        text(0),
        text(2)
    );
    Err(ClientError::new(ErrorCode::WrongTarget, message))
}

/// Brings the planner's statistics up to date, without which a restored database is slower than the one it replaces.
///
/// # Errors
/// When the server cannot be asked or refuses.
pub async fn analyze(wire: Endpoint<'_>, _leave: &impl ChangePermit) -> Result<(), ClientError> {
    Session::open(wire).await?.ask("ANALYZE").await.map(drop)
}

/// The extensions of this list that the server does not have, and its major version.
///
/// # Errors
/// When the server cannot be asked.
pub async fn lacking(wire: Endpoint<'_>, extensions: &[&str]) -> Result<(Vec<String>, u32), ClientError> {
    let mut session = Session::open(wire).await?;
    let version = session.ask("SELECT pg_catalog.current_setting('server_version_num')").await?;
    let major = version.first().and_then(|row| row.try_get(0).ok().flatten()?.parse::<u32>().ok());
    let major =
        major.ok_or_else(|| picture::unexpected(format!("{} does not say its version", session.at())))?;
    let rows = session.ask("SELECT name FROM pg_catalog.pg_available_extensions").await?;
    let there: Vec<&str> = rows.iter().filter_map(|row| row.try_get(0).ok().flatten()).collect();
    let missing = extensions.iter().filter(|name| !there.contains(name));
    Ok((missing.map(|name| (*name).to_owned()).collect(), major / 10_000))
}

async fn found(session: &mut Session<'_>, scratch: &Scratch) -> Result<Found, ClientError> {
    // This first: it may come into being in between.
    let making = session.ask(&format!("SELECT pid {}", making(scratch))).await?;
    let sql = format!(
        "SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '') FROM pg_catalog.pg_database WHERE datname = {}",
        literal(&scratch.name)
    );
    let rows = session.ask(&sql).await?;
    Ok(match rows.first().and_then(|row| row.try_get(0).ok().flatten()) {
        None if making.is_empty() => Found::Nothing,
        None => Found::BeingMade,
        // Killed between the two statements that make it: the name was generated for us alone.
        Some(comment)
            if comment == scratch.mark || comment.is_empty() && scratch.name.starts_with(PREFIX) =>
        {
            Found::Ours
        }
        Some(other) => Found::Other(other.to_owned()),
    })
}

/// Who still makes it: a server goes on with what a program has asked for, also when that is dead.
fn making(scratch: &Scratch) -> String {
    let begins = literal(&format!("{CREATE}{} ", identifier(&scratch.name)));
    format!(
        "FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() AND state = 'active' \
         AND pg_catalog.starts_with(query, {begins})"
    )
}

fn locale(source: &Source) -> String {
    let Source { encoding, collate, ctype, .. } = source;
    let [encoding, collate, ctype] = [encoding, collate, ctype].map(|text| literal(text));
    let c = format!(" ENCODING {encoding} LC_COLLATE {collate} LC_CTYPE {ctype}");
    let (provider, key) = match source.locale_provider.as_str() {
        "i" => ("icu", "ICU_LOCALE"),
        "b" => ("builtin", "BUILTIN_LOCALE"),
        _ => return c,
    };
    let own = source.locale.as_ref().map(|locale| format!(" {key} {}", literal(locale))).unwrap_or_default();
    format!("{c} LOCALE_PROVIDER {provider}{own}")
}

/// A name as SQL writes it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
