//! PostgreSQL. What is asked is asked in one `REPEATABLE READ READ ONLY` transaction with settings of our own, which is
//! rolled back. What changes something needs leave: scratch databases, and what PostgreSQL's own programs restore.
//!
//! What no transaction can hold back are functions that act outside of it (`dblink`, `pg_terminate_backend`): a role
//! that may only read is the guard against those.

mod chosen;
mod connect;
mod dsn;
mod libpq;
mod picture;
pub mod programs;
mod query;
mod role;
mod sabotage;
mod scratch;
mod session;
mod sessions;
mod snapshot;
mod swap;
mod tables;
mod value;
mod variables;

pub use chosen::{EVERY, Named, NamedTable, named};
pub use dsn::{ChannelBinding, Dsn, SslMode};
pub use libpq::{LOOPBACK, Libpq, libpq, libpq_inside};
pub use picture::{Hashed, METHOD, Picture, Sequence, TablePicture};
pub use query::{Rows, query};
pub use role::{LIVE, ROLE};
pub use sabotage::sabotage;
pub use scratch::{Found, Scratch, analyze, create, find, identifier, lacking, prove, remove};
pub use sessions::{end_sessions, sessions};
pub use snapshot::{Address, Everything, Extension, Snapshot, Source};
pub use swap::{Place, beside, database, place, relations, swap};
pub use tables::{Choice, LeftOut, Table, Tables, tables};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which database answered, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The role that asked.
    pub role: String,
    /// The server's version, such as `15.18`.
    pub version: String,
    /// Is the server a standby?
    pub standby: bool,
    /// The TLS version of the connection; `null` for one without TLS.
    pub tls: Option<String>,
}
