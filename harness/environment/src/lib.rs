//! The environment file: connections, secret references, roles.
//!
//! One file says where the systems are and how to log in. Secrets stand in it as references only; they are resolved
//! for the connections that a run uses, before anything runs, and every one of them is learned by the redactor. Systems
//! are not known here: a [`Vocabulary`] lists what each of them brings along.

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
