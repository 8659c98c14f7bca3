//! One moment of a database, held still: its tables are locked against `TRUNCATE` and `DROP`, and its snapshot is exported,
//! so that pg_dump sees the very same. As long as it is held nothing is written and nobody is kept from writing rows.

use super::Database;
use super::picture::{self, Picture};
use super::session::Session;
use super::tables::{self, Choice, LeftOut, Relation, TRIES};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Values and names are written the same everywhere, and what the role may not see is an error.
pub(super) const SETTINGS: &str = "; SET LOCAL row_security = off; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; \
    SET LOCAL quote_all_identifiers = off";

/// The catalogue's row as JSON: its columns have other names in other versions.
const SOURCE: &str = "SELECT s.system_identifier, d.oid, pg_catalog.current_setting('server_version_num'), \
    pg_catalog.to_jsonb(d), pg_catalog.pg_encoding_to_char(d.encoding), pg_catalog.current_setting('data_checksums'), \
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', e.extname, 'version', e.extversion, 'schema', n.nspname) \
       ORDER BY e.extname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace) \
    FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

const EXPORT: &str = "SELECT pg_catalog.pg_export_snapshot(), \
    pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

/// Which database this is, as no other is, and what one needs to make another like it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// The number that a cluster gets when it is made.
    pub system_identifier: String,
    /// The database's number in its cluster.
    pub database_oid: String,
    /// Its name.
    pub database: String,
    /// The role that asked.
    pub role: String,
    /// The server's version, such as `15.18`.
    pub version: String,
    /// The server's major version, such as 15.
    pub major: u32,
    /// Is the server a standby?
    pub standby: bool,
    /// Does the cluster keep checksums of its pages?
    pub data_checksums: bool,
    /// Such as `UTF8`.
    pub encoding: String,
    /// `c` for the C library, `i` for ICU, `b` built in.
    pub locale_provider: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// The locale of ICU or the built-in provider.
    pub locale: Option<String>,
    /// Extensions, by name.
    pub extensions: Vec<Extension>,
}

/// An extension that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The schema that it stands in.
    pub schema: String,
}

/// Where a server is for a program beside it, in its own words: from outside it may be reached by another port, name or
/// role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The port that it listens on.
    pub port: String,
    /// The role that is logged in.
    pub user: String,
    /// The database.
    pub database: String,
}

/// A moment that is held. It ends when this is closed or dropped.
pub struct Snapshot<'a> {
    session: Session<'a>,
    /// The name under which other sessions of the same database can see it.
    pub id: String,
    /// When it was taken, by the server's clock.
    pub taken_at: Timestamp,
    /// Which database it is.
    pub source: Source,
    /// What is not looked at, and why.
    pub left_out: Vec<LeftOut>,
    relations: Vec<Relation>,
}

/// Everything with rows of its own: partitions one by one, so that a row that moved is not a row that is lost.
pub struct Everything;

impl Choice for Everything {
    fn schema(&self, _schema: &str) -> bool {
        true
    }

    fn named(&self, _schema: &str, _name: &str) -> Option<bool> {
        None
    }
}

impl<'a> Snapshot<'a> {
    /// Locks every table, takes the snapshot, and looks that no table came or went meanwhile. The wire's time bounds all
    /// that is asked of it until it is closed.
    ///
    /// # Errors
    /// When the database cannot be reached, does not let the role lock a table, or tables come and go.
    pub async fn take(wire: Endpoint<'a>) -> Result<Self, ClientError> {
        let mut session = Session::open(wire).await?;
        for _ in 0..TRIES {
            session.begin(SETTINGS).await?;
            let (before, _) = chosen(tables::list(&mut session).await?);
            session.rollback().await?;
            session.begin(SETTINGS).await?;
            for lock in tables::locks(&before) {
                session.ask(&lock).await?;
            }
            let database = session.identity().await?;
            let (relations, left_out) = chosen(tables::list(&mut session).await?);
            if before == relations {
                let source = source(&mut session, database).await?;
                let (id, taken_at) = export(&mut session).await?;
                return Ok(Self { session, id, taken_at, source, left_out, relations });
            }
            session.rollback().await?;
        }
        Err(tables::came_and_went(session.at()))
    }

    /// Counts and hashes all that is in it.
    ///
    /// # Errors
    /// When it cannot be read as a whole.
    pub async fn picture(&mut self) -> Result<Picture, ClientError> {
        picture::of(&mut self.session, &self.relations).await
    }

    /// The address without the password.
    pub fn at(&self) -> &str {
        self.session.at()
    }

    /// Where the server is for a program beside it.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn address(&mut self) -> Result<Address, ClientError> {
        let sql = "SELECT pg_catalog.current_setting('port'), session_user, pg_catalog.current_database()";
        let rows = self.session.ask(sql).await?;
        let text =
            |at: usize| rows.first().and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
        let [port, user, database] = [text(0), text(1), text(2)].map(str::to_owned);
        Ok(Address { port, user, database })
    }

    /// Lets the moment go.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn close(self) -> Result<(), ClientError> {
        self.session.close().await
    }
}

/// Tables with rows of their own, and what is left out.
pub(super) fn chosen(relations: Vec<Relation>) -> (Vec<Relation>, Vec<LeftOut>) {
    let (rows, others): (Vec<_>, Vec<_>) = relations.into_iter().partition(Relation::is_dumped);
    let (_, left_out) = tables::split(others, &Everything);
    (rows, left_out)
}

pub(super) async fn source(session: &mut Session<'_>, database: Database) -> Result<Source, ClientError> {
    let rows = session.ask(SOURCE).await?;
    let text = |at: usize| rows.first().and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
    let catalogue: Value = serde_json::from_str(text(3)).unwrap_or_default();
    let of = |names: &[&str]| names.iter().find_map(|name| catalogue[*name].as_str()).map(str::to_owned);
    let source = Source {
        system_identifier: text(0).to_owned(),
        database_oid: text(1).to_owned(),
        database: database.name,
        role: database.role,
        version: database.version,
        major: text(2).parse::<u32>().unwrap_or_default() / 10_000,
        standby: database.standby,
        data_checksums: text(5) == "on",
        encoding: text(4).to_owned(),
        locale_provider: of(&["datlocprovider"]).unwrap_or_else(|| "c".to_owned()),
        collate: of(&["datcollate"]).unwrap_or_default(),
        ctype: of(&["datctype"]).unwrap_or_default(),
        locale: of(&["datlocale", "daticulocale"]),
        extensions: serde_json::from_str(text(6)).unwrap_or_default(),
    };
    if source.system_identifier.is_empty() || source.major == 0 {
        let why = format!("{} does not say which database it is", session.at());
        return Err(picture::unexpected(why));
    }
    Ok(source)
}

async fn export(session: &mut Session<'_>) -> Result<(String, Timestamp), ClientError> {
    let rows = session.ask(EXPORT).await?;
    let text = |at: usize| rows.first().and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
    let taken_at = text(1)
        .parse()
        .map_err(|_| picture::unexpected(format!("{} gave no time for its snapshot", session.at())))?;
    Ok((text(0).to_owned(), taken_at))
}
