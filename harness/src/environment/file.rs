//! The environment file as it is written, and the systems it becomes.

use super::connection::{Connection, Systems, Tls};
use super::secret::{Reference, SecretReference};
use crate::diag::{Diag, Place};
use crate::document::{self, Document, Form, Kind, Node};
use crate::model::{FORMAT, FileHash, Permission};
use crate::redact::{Redactor, Secret};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An environment file that was read; its secrets are still references.
#[derive(Debug, Default)]
pub struct Environment {
    document: Option<Document>,
    folder: PathBuf,
    connections: BTreeMap<String, ConnectionFile>,
    /// Permissions that no flag can give here.
    pub forbid: BTreeSet<Permission>,
}

/// A connection as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConnectionFile {
    /// Base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Reference>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<BasicFile>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bearer: Option<SecretReference>,
    /// Extra headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, Reference>,
    /// TLS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsFile>,
}

/// `basic: {username, password}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BasicFile {
    username: Reference,
    password: SecretReference,
}

/// `tls: {ca, cert, key, server-name, insecure}`; the first three are paths of PEM files, relative to this file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TlsFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(default)]
    insecure: bool,
}

const FORM: Form = Form {
    name: "an environment file",
    keys: &["proofmark", "connections", "forbid"],
    other: ("steps", "this looks like a scenario: name it without `--env`"),
};

/// JSON Schema of the environment file, in the dialect 2020-12.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let connection = generator.subschema_for::<ConnectionFile>();
    let forbid = generator.subschema_for::<BTreeSet<Permission>>();
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
        "$defs": generator.take_definitions(true),
    })
}

impl Environment {
    /// Reads an environment file.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Diag>> {
        let document = document::text(path).and_then(document::parse).map_err(|diag| vec![diag])?;
        let mut wrong = document.form(&FORM).map_err(|diag| vec![diag])?;
        let mut out = Self { folder: path.parent().unwrap_or(Path::new("")).to_owned(), ..Self::default() };
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
            match document.typed(node) {
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
        Some(FileHash { path: source.path.clone(), sha256: hex::encode(Sha256::digest(&source.text)) })
    }

    /// The connections as they are written: references, never values.
    pub fn written(&self) -> BTreeMap<String, Value> {
        let value = |file: &ConnectionFile| serde_json::to_value(file).unwrap_or_default();
        self.connections.iter().map(|(name, file)| (name.clone(), value(file))).collect()
    }

    /// Resolves the secrets of the connections in `used`; the others are left out.
    ///
    /// # Errors
    /// Every secret that cannot be had.
    pub async fn resolve(
        &self,
        used: &BTreeSet<String>,
        exec: bool,
        redactor: Redactor,
    ) -> Result<Systems, Vec<Diag>> {
        let (mut connections, mut wrong) = (BTreeMap::new(), vec![]);
        for (name, file) in self.connections.iter().filter(|(name, _)| used.contains(*name)) {
            let mut login = Login { environment: self, name, exec, redactor: &redactor, wrong: vec![] };
            let connection = login.connection(file).await;
            wrong.append(&mut login.wrong);
            connections.insert(name.clone(), connection);
        }
        if wrong.is_empty() {
            Ok(Systems { connections, redactor, ..Systems::default() })
        } else {
            Err(wrong)
        }
    }
}

/// Makes one connection of what is written, and collects what stands in the way.
struct Login<'a> {
    environment: &'a Environment,
    name: &'a str,
    exec: bool,
    redactor: &'a Redactor,
    wrong: Vec<Diag>,
}

impl Login<'_> {
    /// Takes down a mistake at the value below these keys, or at the connection's name.
    fn say(&mut self, keys: &[&str], diag: Diag) {
        let document = self.environment.document.as_ref();
        let place = document.and_then(|document| {
            let (name, connection) = document.root.get("connections")?.entry(self.name)?;
            let value = keys.iter().try_fold(connection, |node, key| node.get(key));
            let node = value.filter(|_| !keys.is_empty()).unwrap_or(name);
            Some(Place { source: document.source.clone(), line: node.line, column: node.col })
        });
        self.wrong.push(Diag { place, ..diag });
    }

    async fn value(&mut self, keys: &[&str], reference: &Reference) -> Option<String> {
        let value = reference.resolve(&self.environment.folder, self.exec).await;
        value.map_err(|diag| self.say(keys, diag)).ok()
    }

    async fn secret(&mut self, keys: &[&str], reference: &Reference) -> Option<Secret> {
        let value = self.value(keys, reference).await?;
        Some(self.redactor.learn(value))
    }

    async fn connection(&mut self, file: &ConnectionFile) -> Connection {
        let mut connection = Connection { name: self.name.to_owned(), ..Connection::default() };
        if let Some(url) = &file.url {
            connection.url = self.url(url).await;
        } else {
            let diag = Diag::new("missing-key", format!("the connection `{}` has no `url`", self.name));
            self.say(&[], diag.help("add `url: \"http://host:9090\"`"));
        }
        if let Some(basic) = &file.basic {
            let username = self.value(&["basic", "username"], &basic.username).await;
            let password = self.secret(&["basic", "password"], &basic.password.0).await;
            connection.basic = username.zip(password);
        }
        if let Some(bearer) = &file.bearer {
            connection.bearer = self.secret(&["bearer"], &bearer.0).await;
        }
        for (header, value) in &file.headers {
            if let Some(value) = self.secret(&["headers", header], value).await {
                connection.headers.insert(header.clone(), value);
            }
        }
        if let Some(tls) = &file.tls {
            connection.tls = self.tls(tls);
        }
        connection
    }

    async fn url(&mut self, url: &Reference) -> Option<String> {
        let url = self.value(&["url"], url).await?;
        match url::Url::parse(&url) {
            Ok(parsed) => {
                if parsed.password().is_some() || !parsed.username().is_empty() {
                    self.redactor.learn(url.clone());
                }
                Some(url.trim_end_matches('/').to_owned())
            }
            Err(error) => {
                let message = format!("the url of the connection `{}` cannot be read: {error}", self.name);
                self.say(&["url"], Diag::new("bad-url", message).help("write it whole: `http://host:9090`"));
                None
            }
        }
    }

    fn tls(&mut self, file: &TlsFile) -> Tls {
        let mut pem = |key: &str, path: &Option<PathBuf>| -> Option<String> {
            let path = self.environment.folder.join(path.as_ref()?);
            let unreadable = |error| {
                let diag = Diag::new("unreadable-file", format!("cannot read {}: {error}", path.display()));
                diag.help("the path counts from the folder of the environment file")
            };
            std::fs::read_to_string(&path).map_err(|e| self.say(&["tls", key], unreadable(e))).ok()
        };
        let (ca, cert, key) = (pem("ca", &file.ca), pem("cert", &file.cert), pem("key", &file.key));
        Tls {
            ca,
            cert,
            key: key.map(|key| self.redactor.learn(key)),
            server_name: file.server_name.clone(),
            insecure: file.insecure,
        }
    }
}
