//! The environment file: connections, secret references, roles.
//!
//! One file says where the systems are and how to log in. It contains secrets only as references; those of the
//! connections that a run uses are resolved before anything runs, and the redactor learns each of them. This crate
//! knows no system: a [`Vocabulary`] lists what each system adds.

pub mod document;

mod connection;
mod file;
mod login;
mod role;
mod secret;
mod variables;
mod vocabulary;

pub use connection::{Connection, Part, Parts, Systems, Tls};
pub use file::{ConnectionFile, Environment, schema};
pub use login::ConnectionBuilder;
pub use role::Uses;
pub use secret::{ENV, FILE, Reference, SecretReference};
pub use variables::{GivenPlace, Variables, bad_variable, missing_variable, unset_variable};
pub use vocabulary::{
    CheckConnection, Dialed, Dialer, Misfit, MisfitPlace, ReadPlace, ReadVariables, Resolving, RestoreLogin,
    Role, SecretSource, UrlForm, ValueType, Vocabulary,
};

#[cfg(test)]
mod tests;
