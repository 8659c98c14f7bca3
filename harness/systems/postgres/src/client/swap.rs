//! Puts one database in the place of another of the same server: both names change in one transaction, while nobody is in
//! either. The one that stood there carries a generated name and our mark then.

use super::connect::dsn;
use super::dsn::Dsn;
use super::picture::{self, texts};
use super::scratch::{Scratch, identifier, literal};
use super::session::Session;
use proofmark_environment::Connection;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use std::time::Duration;

/// Databases that every server has: one of them is connected to while another is put in the place of the connection's own.
const ALWAYS_THERE: [&str; 2] = ["postgres", "template1"];

/// How often sessions are ended while the names wait for the last of them to go: the server waits five seconds.
const CUTS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(200);

/// Where a database is to be put: its server, and what stands there under its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The cluster's number.
    pub system_identifier: String,
    /// The numbers of all its databases.
    pub databases: Vec<String>,
    /// The name.
    pub name: String,
    /// The number of the one that has this name; `None` where there is none.
    pub oid: Option<String>,
    /// What keeps it from being dropped, in words.
    pub held_by: Vec<String>,
}

/// The database that the connection is to.
///
/// # Errors
/// When the connection is to no database.
pub fn database(wire: Endpoint<'_>) -> Result<String, ClientError> {
    let (connection, dsn) = dsn(wire.connection)?;
    dsn.named().cloned().ok_or_else(|| {
        let message = format!("connection `{}` names no database in its `url`", connection.name);
        ClientError::new(ErrorCode::BadConnection, message)
    })
}

/// The same server's connection, to another database than its own.
///
/// # Errors
/// When none of those that every server has lets the role in.
pub async fn beside(wire: Endpoint<'_>) -> Result<Connection, ClientError> {
    let (connection, own) = (dsn(wire.connection)?.0, database(wire)?);
    let mut last = None;
    for name in ALWAYS_THERE.into_iter().filter(|name| *name != own) {
        let mut other = connection.clone();
        if let Some(dsn) = connection.part::<Dsn>() {
            other.put(dsn.to_database(name));
        }
        let opened = Session::open(Endpoint { connection: Some(&other), ..wire }).await.map(drop);
        match opened {
            Ok(()) => return Ok(other),
            Err(error) => last = last.or(Some(error)),
        }
    }
    Err(last
        .unwrap_or_else(|| ClientError::new(ErrorCode::NotFound, "there is no other database to connect to")))
}

/// Looks at what stands under a name on the server of this connection, which is to another database.
///
/// # Errors
/// When the server cannot be asked.
pub async fn place(over: Endpoint<'_>, name: &str) -> Result<Place, ClientError> {
    let mut session = Session::open(over).await?;
    let sql = "SELECT s.system_identifier, d.oid, d.datname FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d";
    let mut place = Place { name: name.to_owned(), ..Place::default() };
    for row in session.ask(sql).await? {
        let [system_identifier, oid, name] = texts(&row)?;
        place.system_identifier = system_identifier;
        place.oid = place.oid.or_else(|| (name == place.name).then(|| oid.clone()));
        place.databases.push(oid);
    }
    let Some(oid) = &place.oid else { return Ok(place) };
    let held = format!(
        "SELECT 'the replication slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE datoid = {oid} \
         UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = {} \
         UNION ALL SELECT 'the subscription ' || subname FROM pg_catalog.pg_subscription WHERE subdbid = {oid} ORDER BY 1",
        literal(name)
    );
    for row in session.ask(&held).await? {
        let [what] = texts(&row)?;
        place.held_by.push(what);
    }
    Ok(place)
}

/// How many relations of users the connection's database has.
///
/// # Errors
/// When it cannot be asked.
pub async fn relations(wire: Endpoint<'_>) -> Result<u64, ClientError> {
    let count = "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let mut session = Session::open(wire).await?;
    let rows = session.ask(count).await?;
    let count = rows.first().and_then(|row| row.try_get(0).ok().flatten()?.parse().ok());
    count.ok_or_else(|| picture::unexpected(format!("{} gave no count", session.at())))
}

/// Ends the sessions in `place`, if a database is there, gives that the name and the mark of `aside`, and `scratch` the name
/// of `place`; then makes it what `properties` say, statements about the database of that name. All of it, or nothing.
///
/// # Errors
/// When the server refuses, or sessions do not go.
pub async fn swap(
    over: Endpoint<'_>,
    (scratch, aside): (&Scratch, &Scratch),
    place: &Place,
    properties: &[String],
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let (mut names, mut cutter) = (Session::open(over).await?, Session::open(over).await?);
    let [new, old, name] = [&scratch.name, &aside.name, &place.name].map(|name| identifier(name));
    let away = if place.oid.is_some() {
        let mark = literal(&aside.mark);
        format!("ALTER DATABASE {name} RENAME TO {old}; COMMENT ON DATABASE {old} IS {mark};\n")
    } else {
        String::new()
    };
    let sql = format!(
        "BEGIN;\n{away}ALTER DATABASE {new} RENAME TO {name}; COMMENT ON DATABASE {name} IS NULL;\n{}\nCOMMIT",
        properties.join("\n")
    );
    // Whoever comes while the first name changes waits for its end; whoever is there already is sent away.
    let cut = format!(
        "SELECT pg_catalog.pg_sleep({}); SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE datid = {} OR datname = {}",
        BETWEEN.as_secs_f64(),
        place.oid.as_deref().unwrap_or("0"),
        literal(&scratch.name)
    );
    let cutting = async {
        for _ in 0..CUTS {
            cutter.ask(&cut).await?;
        }
        // From here on the names alone decide.
        std::future::pending::<Result<(), ClientError>>().await
    };
    tokio::select! {
        named = names.ask(&sql) => named.map(drop),
        Err(error) = cutting => Err(error),
    }
}
