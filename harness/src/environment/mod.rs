//! The environment file: connections, secret references, roles.
//!
//! One file says where the systems are and how to log in. Secrets stand in it as references only; they are resolved
//! for the connections that a run uses, before anything runs, and every one of them is learned by the redactor.

mod connection;
mod dsn;
mod file;
mod login;
mod role;
mod secret;
mod store;
mod variables;

pub use connection::{Connection, HttpClients, Inbox, Post, Systems, Tls};
pub use dsn::{ChannelBinding, Dsn, SslMode};
pub use file::{Environment, schema};
pub use role::Uses;
pub use store::StorePlace;
pub use variables::{retention, tells_password};
