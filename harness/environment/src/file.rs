//! The environment file as it is written, and the systems that it describes.

use super::connection::Systems;
use super::login::{self, ConnectionBuilder};
use super::role::Uses;
use super::secret::{Reference, SecretReference};
use super::vocabulary::{Resolving, Vocabulary};
use crate::document::{self, Document, Form, Kind, Node};
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;
use proofmark_model::{FORMAT, FileHash, Permission, sha256};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An environment file that was read; its secrets are still references. The default has no connections.
#[derive(Debug, Default)]
pub struct Environment {
    pub(super) vocabulary: Vocabulary,
    pub(super) document: Option<Document>,
    pub(super) folder: PathBuf,
    pub(super) connections: BTreeMap<String, ConnectionFile>,
    /// Permissions that no flag can grant in this environment.
    pub forbid: BTreeSet<Permission>,
}

/// A connection as it is written.
// This text and those of the keys are descriptions in the JSON Schema. A role may provide its own description of a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConnectionFile {
    /// Base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Reference>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) basic: Option<BasicFile>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretReference>,
    /// Extra headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Reference>,
    /// TLS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<TlsFile>,
    /// The server's address, if it is not part of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Reference>,
    /// The region of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Reference>,
    /// The access key of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretReference>,
    /// The secret key of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretReference>,
    /// The local address that Proofmark listens on, `host:port`, if it differs from the host and port of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// The key and value of a dialer, which replaces `url`.
    #[serde(skip)]
    pub(super) dialed: Option<(String, Value)>,
}

/// The keys of a connection, except those of dialers, in the order in which help lists them.
pub(super) const KEYS: [&str; 10] =
    ["url", "basic", "bearer", "headers", "tls", "endpoint", "region", "access-key", "secret-key", "listen"];

impl ConnectionFile {
    /// A connection that has only a `url`.
    pub fn at(url: Reference) -> Self {
        Self { url: Some(url), ..Self::default() }
    }

    /// Returns whether the file has this key.
    pub fn has(&self, key: &str) -> bool {
        match key {
            "url" => self.url.is_some(),
            "basic" => self.basic.is_some(),
            "bearer" => self.bearer.is_some(),
            "headers" => !self.headers.is_empty(),
            "tls" => self.tls.is_some(),
            "endpoint" => self.endpoint.is_some(),
            "region" => self.region.is_some(),
            "access-key" => self.access_key.is_some(),
            "secret-key" => self.secret_key.is_some(),
            "listen" => self.listen.is_some(),
            _ => false,
        }
    }

    /// Every reference in the connection.
    pub(super) fn references(&self) -> Vec<&Reference> {
        let basic = self.basic.iter().flat_map(|basic| [&basic.username, &basic.password.0]);
        let open = [&self.url, &self.endpoint, &self.region].into_iter().flatten();
        let secret = [&self.bearer, &self.access_key, &self.secret_key].into_iter().flatten();
        open.chain(basic).chain(secret.map(|secret| &secret.0)).chain(self.headers.values()).collect()
    }

    /// The connection as it is written in the file.
    fn written(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some((key, dialed)) = &self.dialed {
            value[key] = dialed.clone();
        }
        value
    }
}

/// `basic: {username, password}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicFile {
    pub(super) username: Reference,
    pub(super) password: SecretReference,
}

/// `tls: {ca, cert, key, server-name, insecure}`; the first three are paths of PEM files, relative to this file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TlsFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server_name: Option<String>,
    #[serde(default)]
    pub(super) insecure: bool,
}

const FORM: Form = Form {
    name: "an environment file",
    keys: &["proofmark", "connections", "forbid"],
    other: ("steps", "this looks like a scenario: name it without `--env`"),
};

/// JSON Schema of the environment file, in the dialect 2020-12, with the additions of the vocabulary.
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let mut generator = SchemaGenerator::default();
    let connection = generator.subschema_for::<ConnectionFile>();
    let forbid = generator.subschema_for::<BTreeSet<Permission>>();
    let mut definitions = Value::Object(generator.take_definitions(true));
    for source in vocabulary.sources {
        definitions["SecretReference"]["properties"][source.key] = (source.value.schema)();
    }
    let keys = &mut definitions["ConnectionFile"]["properties"];
    for dialer in vocabulary.dialers {
        keys[dialer.key] = (dialer.value.schema)();
        keys[dialer.key]["description"] = json!(dialer.described);
    }
    for (key, text) in vocabulary.roles.iter().flat_map(|role| role.described) {
        keys[*key]["description"] = json!(text);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Proofmark environment",
        "type": "object",
        "required": ["proofmark"],
        "additionalProperties": false,
        "properties": {
            "proofmark": { "const": FORMAT, "description": "The version of the format." },
            "connections": {
                "type": "object", "additionalProperties": connection,
                "description": "Where the systems are and how to log in, by name.",
            },
            "forbid": {
                "allOf": [forbid], "description": "Permissions that no flag can give in this environment.",
            },
        },
        "$defs": definitions,
    })
}

impl Vocabulary {
    /// Reads a connection.
    ///
    /// # Errors
    /// The first mistake in it, at its place.
    fn connection(&self, document: &Document, node: &Node) -> Result<ConnectionFile, Diag> {
        let dialers = || self.dialers.iter().map(|dialer| dialer.key);
        let known: Vec<&str> = KEYS.into_iter().chain(dialers()).collect();
        let mut dialed = None;
        for (key, value) in node.entries() {
            // Deserialisation reports a key that is not text.
            let Some(word) = key.as_str() else { break };
            if let Some(dialer) = self.dialer(word) {
                dialed = Some((word.to_owned(), (dialer.value.read)(document, value)?));
                continue;
            }
            let alone = node.only(|other| other == word);
            if let Some(unknown) = document.unknown_keys(&alone, &known).into_iter().next() {
                return Err(unknown);
            }
            match word {
                "tls" | "listen" => {}
                "basic" | "headers" => value
                    .entries()
                    .iter()
                    .try_for_each(|(_, reference)| self.check_reference(document, reference))?,
                _ => self.check_reference(document, value)?,
            }
            document.typed::<ConnectionFile>(&alone)?;
        }
        let typed = document.typed(&node.only(|key| dialers().all(|dialer| dialer != key)))?;
        Ok(ConnectionFile { dialed, ..typed })
    }
}

impl Environment {
    /// Reads an environment file that may use the terms of the vocabulary.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub fn load(path: &Path, vocabulary: &Vocabulary) -> Result<Self, Vec<Diag>> {
        let document = document::text(path).and_then(document::parse).map_err(|diag| vec![diag])?;
        let mut wrong = document.form(&FORM).map_err(|diag| vec![diag])?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut out = Self { vocabulary: *vocabulary, folder, ..Self::default() };
        let root = &document.root;
        if let Some(node) = root.get("forbid") {
            document.typed(node).map_or_else(|diag| wrong.push(diag), |forbid| out.forbid = forbid);
        }
        let connections = root.get("connections");
        if let Some(node) = connections.filter(|node| !matches!(node.kind, Kind::Map(_) | Kind::Null)) {
            let diag = document.diag(node, "wrong-type", "`connections` is a map of names");
            wrong.push(diag.help("write each as `prometheus: { url: \"http://host:9090\" }`"));
        }
        for (key, node) in connections.map(Node::entries).unwrap_or_default() {
            let name = key.as_str().unwrap_or_default().to_owned();
            match vocabulary.connection(&document, node) {
                Ok(connection) => drop(out.connections.insert(name, connection)),
                Err(diag) => wrong.push(diag),
            }
        }
        out.document = Some(document);
        if wrong.is_empty() { Ok(out) } else { Err(wrong) }
    }

    /// Names of the connections.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connections.keys().map(String::as_str)
    }

    /// The file's path and hash.
    pub fn file(&self) -> Option<FileHash> {
        let source = &self.document.as_ref()?.source;
        Some(FileHash { path: source.path.clone(), sha256: sha256(&source.text) })
    }

    /// The connections as they are written: references, never values.
    pub fn written(&self) -> BTreeMap<String, Value> {
        self.connections.iter().map(|(name, file)| (name.clone(), file.written())).collect()
    }

    /// Resolves the secrets of the used connections, and of the connections that their sources and dialers ask; the
    /// others are left out. The redactor learns the secrets; the programs that were run for them are returned.
    ///
    /// # Errors
    /// Every secret that cannot be resolved, and every URL from a reference that does not fit its roles.
    pub async fn resolve(
        &self,
        uses: &Uses,
        exec: bool,
        clock: &Clock,
        redactor: Redactor,
    ) -> Result<Systems, Vec<Diag>> {
        // Evidence contains all connections, including the unused ones.
        self.connections.values().for_each(|file| login::learn(file, &self.vocabulary, &redactor));
        let programs = Mutex::default();
        let mut systems = Systems::default();
        systems.redactor = redactor.clone();
        let mut wrong = vec![];
        for (name, file, roles) in self.in_order(&self.with_asked(uses)) {
            let (folder, programs) = (self.folder.as_path(), &programs);
            let resolving = Resolving { folder, clock, redactor: &redactor, systems: &systems, programs };
            let builder = ConnectionBuilder::new(self, (name, file), roles, exec, resolving);
            let (connection, mistakes) = builder.build().await;
            wrong.extend(mistakes);
            systems.connections.insert(name.to_owned(), connection);
        }
        systems.programs = programs.into_inner().unwrap_or_else(PoisonError::into_inner);
        if wrong.is_empty() { Ok(systems) } else { Err(wrong) }
    }

    /// The used connections, with those first that are asked for the secrets or addresses of others.
    fn in_order<'a>(&'a self, uses: &'a Uses) -> Vec<(&'a str, &'a ConnectionFile, &'a BTreeSet<String>)> {
        let used = |(name, roles): (&'a String, _)| Some((name.as_str(), self.connections.get(name)?, roles));
        let used: Vec<_> = uses.iter().filter_map(used).collect();
        let asked: BTreeSet<&str> = used.iter().flat_map(|(_, file, _)| self.asked_by(file)).collect();
        let (first, then): (Vec<_>, Vec<_>) = used.into_iter().partition(|(name, ..)| asked.contains(name));
        first.into_iter().chain(then).collect()
    }
}
