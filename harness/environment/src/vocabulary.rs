//! What systems define so that an environment file can use them: roles, secret sources, dialers. This module names none
//! of them. A list of `const` structs is passed to the code that reads or resolves an environment.

use super::connection::{Part, Systems};
use super::file::ConnectionFile;
use super::login::ConnectionBuilder;
use super::variables::{GivenPlace, Variables};
use crate::document::{Document, Node};
use futures_util::future::BoxFuture;
use proofmark_model::Exchange;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Every role, source and dialer that an environment may use. The default knows no system: every role is asked over
/// HTTP, and secrets cannot be referred to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vocabulary {
    /// Roles; one that is not listed is [`Role::HTTP`].
    pub roles: &'static [&'static Role],
    /// The sources of secrets.
    pub sources: &'static [&'static SecretSource],
    /// The dialers, each of which may replace a `url`.
    pub dialers: &'static [&'static Dialer],
}

impl Vocabulary {
    /// The role of this name.
    pub fn role(&self, name: &str) -> &'static Role {
        self.roles.iter().copied().find(|role| role.name == name).unwrap_or(&Role::HTTP)
    }

    /// The source with this key.
    pub fn source(&self, key: &str) -> Option<&'static SecretSource> {
        self.sources.iter().copied().find(|source| source.key == key)
    }

    /// The dialer with this key.
    pub fn dialer(&self, key: &str) -> Option<&'static Dialer> {
        self.dialers.iter().copied().find(|dialer| dialer.key == key)
    }

    /// The forms of address other than a plain URL, each once.
    pub fn forms(&self) -> impl Iterator<Item = &'static UrlForm> {
        let forms = || self.roles.iter().filter_map(|role| role.form);
        forms()
            .enumerate()
            .filter(move |(at, form)| forms().take(*at).all(|other| other != *form))
            .map(|(_, form)| form)
    }

    /// The form of this address; `None` for a plain URL.
    pub fn form(&self, address: &str) -> Option<&'static UrlForm> {
        self.forms().find(|form| (form.recognises)(address))
    }

    /// Returns whether an address contains a password. On a command line, every user who can list processes would see
    /// it.
    pub fn tells_password(&self, address: &str) -> bool {
        self.form(address).is_some_and(|form| (form.tells_password)(address))
    }
}

/// A purpose that a connection may serve: the keys that are read, the allowed forms of `url`, and the wording of
/// mistakes.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// Its name, which is also the name of the connection that serves it by default.
    pub name: &'static str,
    /// The keys besides `url` that it reads, among those of [`ConnectionFile`].
    pub keys: &'static [&'static str],
    /// Descriptions for the JSON Schema of keys that only this role reads: key and text.
    pub described: &'static [(&'static str, &'static str)],
    /// The schemes that its `url` may have.
    pub schemes: &'static [&'static str],
    /// The form of its address, if that is not a plain URL.
    pub form: Option<&'static UrlForm>,
    /// A description of its system that follows "the role": `is asked over HTTP`.
    pub wants: &'static str,
    /// How its `url` is written.
    pub help: &'static str,
    /// Whether the `url` itself is a secret.
    pub secret_url: bool,
    /// Finds mistakes in the written connection, once its `url` is known to fit the role. It is called before any
    /// secret is read, and again with a `url` from a reference.
    pub check: Option<CheckConnection>,
    /// Completes a connection after all of its references were resolved.
    pub complete: Option<fn(&mut ConnectionBuilder<'_>)>,
    /// The connection that variables describe; `None` if the role is optional.
    pub from_variables: Option<ReadVariables>,
    /// The connection for a place on the command line. Default: a URL, or `env:NAME`.
    pub from_place: Option<ReadPlace>,
    /// Restores the login, from variables, of a connection that was read from evidence, where it is masked. Returns
    /// whether a login is possible.
    pub restore_login: Option<RestoreLogin>,
}

impl Role {
    /// The role of a system that is asked over HTTP: the default for every role without its own definition.
    pub const HTTP: Self = Self {
        name: "",
        keys: &["basic", "bearer", "headers", "tls"],
        described: &[],
        schemes: &["http", "https"],
        form: None,
        wants: "is asked over HTTP",
        help: "write the whole URL: `http://host:9090`, `https://host/path`",
        secret_url: false,
        check: None,
        complete: None,
        from_variables: None,
        from_place: None,
        restore_login: None,
    };
}

/// Checks the written connection of this name against its `url`.
pub type CheckConnection = fn(connection: &str, written: &ConnectionFile, url: &str) -> Vec<Misfit>;

/// Reads a connection from variables. See [`Role::from_variables`].
pub type ReadVariables = fn(Variables<'_>) -> Result<Option<ConnectionFile>, Vec<Diag>>;

/// Reads a connection from a place on the command line. See [`Role::from_place`].
pub type ReadPlace = fn(Variables<'_>, &GivenPlace<'_>) -> Result<ConnectionFile, Vec<Diag>>;

/// Restores a login from variables. See [`Role::restore_login`].
pub type RestoreLogin = fn(Variables<'_>, &mut ConnectionFile) -> bool;

/// A mistake in a connection, with its place.
#[derive(Debug, Clone)]
pub struct Misfit {
    /// The place.
    pub at: MisfitPlace,
    /// The mistake; its place is filled in later.
    pub diag: Diag,
}

/// The part of a connection that a mistake is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MisfitPlace {
    /// The connection's name.
    Name,
    /// A key itself.
    Key(&'static str),
    /// The value of a key.
    Value(&'static str),
}

/// A form of address other than a plain URL, such as a text of `key=value` pairs. It becomes a part of the connection
/// instead of a base URL.
#[derive(Debug, Clone, Copy)]
pub struct UrlForm {
    /// The kind of system: `a database`. Each kind has only one form.
    pub leads_to: &'static str,
    /// An example of an address.
    pub example: &'static str,
    /// Returns whether a text has this form. Also true for an invalid one, so that it is reported as one of this form.
    pub recognises: fn(&str) -> bool,
    /// Parses an address, and lets the redactor learn the secrets in it. An error gives the reason without the text.
    pub read: fn(&str, &Redactor) -> Result<Part, String>,
    /// The address that other variables describe if this one is not set; `None` if they do not describe one.
    pub from_parts: fn(&str, Variables<'_>, &Redactor) -> Option<Result<Part, String>>,
    /// Returns whether an address contains a password.
    pub tells_password: fn(&str) -> bool,
    /// Completes the part with the connection's keys besides `url`.
    pub complete: fn(&mut ConnectionBuilder<'_>),
}

impl PartialEq for UrlForm {
    fn eq(&self, other: &Self) -> bool {
        self.leads_to == other.leads_to
    }
}

/// The type of the value of a source or a dialer: how it is read, and its JSON Schema.
#[derive(Debug, Clone, Copy)]
pub struct ValueType {
    /// Reads a value, and reports a mistake at its place.
    pub(super) read: fn(&Document, &Node) -> Result<Value, Diag>,
    /// Its JSON Schema, without references to other schemas.
    pub(super) schema: fn() -> Value,
}

impl ValueType {
    /// The value type for a Rust type.
    pub const fn of<T: Serialize + DeserializeOwned + JsonSchema>() -> Self {
        Self { read: read_as::<T>, schema: schema_of::<T> }
    }
}

fn read_as<T: Serialize + DeserializeOwned>(document: &Document, node: &Node) -> Result<Value, Diag> {
    let value: T = document.typed(node)?;
    let wrong = |error: serde_json::Error| document.diag(node, "bad-value", error.to_string());
    serde_json::to_value(value).map_err(wrong)
}

fn schema_of<T: JsonSchema>() -> Value {
    let inline = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    T::json_schema(&mut inline.into_generator()).to_value()
}

/// A source of secrets. A reference to it is `{ KEY: VALUE }`.
#[derive(Debug, Clone, Copy)]
pub struct SecretSource {
    /// The key of a reference to it.
    pub key: &'static str,
    /// A complete reference: `{ env: NAME }`.
    pub example: &'static str,
    /// The type of the value.
    pub value: ValueType,
    /// Whether it runs a program, which requires the permission `exec`.
    pub exec: bool,
    /// The role whose connection it asks, if the environment has a connection of that name. That connection is resolved
    /// first.
    pub asks: Option<&'static str>,
    /// Describes the source of a value in messages: `the environment variable NAME`. The path is the environment's
    /// folder.
    pub shown: fn(&Value, &Path) -> String,
    /// Reads the secret. The caller removes a line break at its end and rejects an empty secret.
    pub resolve: for<'a> fn(&'a Value, &'a Resolving<'a>) -> BoxFuture<'a, Result<String, Diag>>,
}

/// Makes a system reachable that has no address of its own. Its key replaces the `url` of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Dialer {
    /// The key in a connection.
    pub key: &'static str,
    /// The purpose of the key, for the JSON Schema.
    pub described: &'static str,
    /// The type of the value.
    pub value: ValueType,
    /// The role whose connection it asks, if the environment has a connection of that name. That connection is resolved
    /// first.
    pub asks: Option<&'static str>,
    /// Opens the path to the system.
    pub dial: for<'a> fn(&'a Value, &'a Resolving<'a>) -> BoxFuture<'a, Result<Dialed, Diag>>,
}

/// An open path to a system.
#[derive(Debug, Clone)]
pub struct Dialed {
    /// The address at which the system can now be reached, in the form of a `url`.
    pub url: String,
    /// Keeps the path open until the connection and all its clones are dropped.
    pub held: Option<Part>,
}

/// The context of sources and dialers.
#[derive(Debug, Clone, Copy)]
pub struct Resolving<'a> {
    /// The folder of the environment file, to which paths in it are relative.
    pub folder: &'a Path,
    /// Measures the durations that are recorded.
    pub clock: &'a Clock,
    /// Learns the secrets that must not be written.
    pub redactor: &'a Redactor,
    /// The connections that are resolved so far: at least those that others ask.
    pub systems: &'a Systems,
    /// The programs that were run so far.
    pub(super) programs: &'a Mutex<Vec<Exchange>>,
}

impl Resolving<'_> {
    /// Records that a program was run. The record must not contain its output or a hash of it, because the output is
    /// the secret.
    pub fn record(&self, program: Exchange) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).push(program);
    }
}
