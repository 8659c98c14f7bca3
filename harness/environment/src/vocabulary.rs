//! What systems say of themselves so that an environment file can name them: roles, sources of secrets, dialers. This
//! module knows none of them by name. A list of `const` structs is handed to whatever reads or resolves an environment.

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

/// Every role, source and dialer that an environment may name. The default knows no system: every role is asked over
/// HTTP, and no secret can be referred to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vocabulary {
    /// Roles; one that is not listed is [`Role::HTTP`].
    pub roles: &'static [&'static Role],
    /// Where secrets may come from.
    pub sources: &'static [&'static SecretSource],
    /// What may replace a `url`.
    pub dialers: &'static [&'static Dialer],
}

impl Vocabulary {
    /// The role of this name.
    pub fn role(&self, name: &str) -> &'static Role {
        self.roles.iter().copied().find(|role| role.name == name).unwrap_or(&Role::HTTP)
    }

    /// The source that is referred to by this key.
    pub fn source(&self, key: &str) -> Option<&'static SecretSource> {
        self.sources.iter().copied().find(|source| source.key == key)
    }

    /// The dialer of this key.
    pub fn dialer(&self, key: &str) -> Option<&'static Dialer> {
        self.dialers.iter().copied().find(|dialer| dialer.key == key)
    }

    /// The forms of address that are no plain URL, each once.
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

    /// Does an address hold a password? On a command line, everyone who can list processes would see it.
    pub fn tells_password(&self, address: &str) -> bool {
        self.form(address).is_some_and(|form| (form.tells_password)(address))
    }
}

/// What a connection may serve as: which keys are read, what the `url` may be, and the words for mistakes.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// Its name, which is also that of the connection that serves it by default.
    pub name: &'static str,
    /// The keys beside `url` that it reads, among those of [`ConnectionFile`].
    pub keys: &'static [&'static str],
    /// Descriptions for the JSON Schema of keys that only this role reads: key and text.
    pub described: &'static [(&'static str, &'static str)],
    /// The schemes that its `url` may have.
    pub schemes: &'static [&'static str],
    /// The form of its address, where that is no plain URL.
    pub form: Option<&'static UrlForm>,
    /// What its system is, to follow "the role": `is asked over HTTP`.
    pub wants: &'static str,
    /// How its `url` is written.
    pub help: &'static str,
    /// Is the `url` itself a secret?
    pub secret_url: bool,
    /// Mistakes in what is written, once it is known that the role can be served by this `url`. It is called before any
    /// secret is read, and again with a `url` that a reference gave.
    pub check: Option<CheckConnection>,
    /// Completes a connection whose references were all read.
    pub complete: Option<fn(&mut ConnectionBuilder<'_>)>,
    /// The connection that variables describe; `None` where the role can be left out.
    pub from_variables: Option<ReadVariables>,
    /// The connection that a place on the command line names. Without this a URL, or `env:NAME`.
    pub from_place: Option<ReadPlace>,
    /// Puts the login back, from variables, into a connection that was read from evidence, where it is masked. Returns
    /// whether one can log in.
    pub restore_login: Option<RestoreLogin>,
}

impl Role {
    /// The role of a system that is asked over HTTP: every role that has no words of its own.
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

/// Checks what is written of the connection of this name, against its `url`.
pub type CheckConnection = fn(connection: &str, written: &ConnectionFile, url: &str) -> Vec<Misfit>;

/// Reads a connection from variables. See [`Role::from_variables`].
pub type ReadVariables = fn(Variables<'_>) -> Result<Option<ConnectionFile>, Vec<Diag>>;

/// Reads a connection from a place on the command line. See [`Role::from_place`].
pub type ReadPlace = fn(Variables<'_>, &GivenPlace<'_>) -> Result<ConnectionFile, Vec<Diag>>;

/// Puts a login back from variables. See [`Role::restore_login`].
pub type RestoreLogin = fn(Variables<'_>, &mut ConnectionFile) -> bool;

/// A mistake in a connection, with its place.
#[derive(Debug, Clone)]
pub struct Misfit {
    /// Where.
    pub at: MisfitPlace,
    /// What is wrong; its place is filled in later.
    pub diag: Diag,
}

/// What in a connection a mistake is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MisfitPlace {
    /// The connection's name.
    Name,
    /// A key itself.
    Key(&'static str),
    /// The value of a key.
    Value(&'static str),
}

/// An address that is no plain URL, such as a text of `key=value` pairs. It becomes a part of the connection, in the
/// place of a base URL.
#[derive(Debug, Clone, Copy)]
pub struct UrlForm {
    /// What it leads to: `a database`. No two forms lead to the same.
    pub leads_to: &'static str,
    /// How it is written.
    pub example: &'static str,
    /// Does a text have this form? A broken one too, so that it is reported as one.
    pub recognises: fn(&str) -> bool,
    /// Reads an address, and teaches the redactor what is secret in it. An error says what is wrong without the text.
    pub read: fn(&str, &Redactor) -> Result<Part, String>,
    /// The address that other variables describe where this one is not set; `None` where they do not.
    pub from_parts: fn(&str, Variables<'_>, &Redactor) -> Option<Result<Part, String>>,
    /// Does an address hold a password?
    pub tells_password: fn(&str) -> bool,
    /// Completes the part with what the connection says beside `url`.
    pub complete: fn(&mut ConnectionBuilder<'_>),
}

impl PartialEq for UrlForm {
    fn eq(&self, other: &Self) -> bool {
        self.leads_to == other.leads_to
    }
}

/// The value below the key of a source or a dialer: how it is read, and its JSON Schema.
#[derive(Debug, Clone, Copy)]
pub struct ValueType {
    /// Reads a value, with the place of what is wrong in it.
    pub(super) read: fn(&Document, &Node) -> Result<Value, Diag>,
    /// Its JSON Schema, without references to other schemas.
    pub(super) schema: fn() -> Value,
}

impl ValueType {
    /// The values of a type.
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

/// Where a secret may come from. It is referred to as `{ KEY: VALUE }`.
#[derive(Debug, Clone, Copy)]
pub struct SecretSource {
    /// The key of a reference to it.
    pub key: &'static str,
    /// A whole reference: `{ env: NAME }`.
    pub example: &'static str,
    /// The type of the value below the key.
    pub value: ValueType,
    /// Does it run a program, so that the permission `exec` is needed?
    pub exec: bool,
    /// The role whose connection it asks, where the environment has one of that name. That is resolved first.
    pub asks: Option<&'static str>,
    /// Names the source of a value in messages: `the environment variable NAME`. The path is the environment's folder.
    pub shown: fn(&Value, &Path) -> String,
    /// Reads the secret. A line break at its end is taken off, and an empty one is refused, by the caller.
    pub resolve: for<'a> fn(&'a Value, &'a Resolving<'a>) -> BoxFuture<'a, Result<String, Diag>>,
}

/// A way to a system that cannot be reached by an address. Its key replaces the `url` of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Dialer {
    /// The key in a connection.
    pub key: &'static str,
    /// What the key is for, for the JSON Schema.
    pub described: &'static str,
    /// The type of the value below the key.
    pub value: ValueType,
    /// The role whose connection it asks, where the environment has one of that name. That is resolved first.
    pub asks: Option<&'static str>,
    /// Opens the way.
    pub dial: for<'a> fn(&'a Value, &'a Resolving<'a>) -> BoxFuture<'a, Result<Dialed, Diag>>,
}

/// A way that is open.
#[derive(Debug, Clone)]
pub struct Dialed {
    /// The address that now leads to the system, as a `url` is written.
    pub url: String,
    /// Keeps the way open until the connection and all its clones are dropped.
    pub held: Option<Part>,
}

/// What sources and dialers work with.
#[derive(Debug, Clone, Copy)]
pub struct Resolving<'a> {
    /// The folder of the environment file, from which paths in it count.
    pub folder: &'a Path,
    /// For the durations that are written down.
    pub clock: &'a Clock,
    /// Learns what must not be written.
    pub redactor: &'a Redactor,
    /// The connections that are resolved so far: at least those that are asked for others.
    pub systems: &'a Systems,
    /// The programs that were run so far.
    pub(super) programs: &'a Mutex<Vec<Exchange>>,
}

impl Resolving<'_> {
    /// Records that a program was run. Nothing of its output may be in there, nor a hash of it: it is the secret.
    pub fn record(&self, program: Exchange) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).push(program);
    }
}
