//! The environment file: connections, secret references, roles.

mod connection;

pub use connection::{Connection, HttpClients, Systems, Tls};
