//! The environment file as it is written, and the systems it becomes.

use super::connection::Systems;
use super::login::{self, Login};
use super::role::Uses;
use super::secret::{Reference, SecretReference};
use crate::diag::Diag;
use crate::document::{self, Document, Form, Kind, Node};
use crate::model::{FORMAT, FileHash, Permission, sha256};
use crate::redact::Redactor;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An environment file that was read; its secrets are still references.
#[derive(Debug, Default)]
pub struct Environment {
    pub(super) document: Option<Document>,
    pub(super) folder: PathBuf,
    pub(super) connections: BTreeMap<String, ConnectionFile>,
    /// Permissions that no flag can give here.
    pub forbid: BTreeSet<Permission>,
}

/// A connection as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConnectionFile {
    /// Base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<Reference>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) basic: Option<BasicFile>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bearer: Option<SecretReference>,
    /// Extra headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, Reference>,
    /// TLS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<TlsFile>,
    /// Where the server of a store (`url: s3://bucket/prefix`) listens: `http://minio:9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<Reference>,
    /// The region of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<Reference>,
    /// The access key of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) access_key: Option<SecretReference>,
    /// The secret key of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret_key: Option<SecretReference>,
    /// Where Proofmark listens, `host:port`, in place of the host and port of `url`. Only for the role `receiver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<String>,
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
        Some(FileHash { path: source.path.clone(), sha256: sha256(&source.text) })
    }

    /// The connections as they are written: references, never values.
    pub fn written(&self) -> BTreeMap<String, Value> {
        let value = |file: &ConnectionFile| serde_json::to_value(file).unwrap_or_default();
        self.connections.iter().map(|(name, file)| (name.clone(), value(file))).collect()
    }

    /// Resolves the secrets of the used connections; the others are left out.
    ///
    /// # Errors
    /// Every secret that cannot be had, and every URL that a reference gave and that does not fit its roles.
    pub async fn resolve(&self, uses: &Uses, exec: bool, redactor: Redactor) -> Result<Systems, Vec<Diag>> {
        let (mut connections, mut wrong) = (BTreeMap::new(), vec![]);
        // All of them are written down, the unused ones too.
        self.connections.values().for_each(|file| login::learn(file, &redactor));
        let used = |(name, file)| Some((name, file, uses.get(name)?));
        for (name, file, roles) in self.connections.iter().filter_map(used) {
            let mut login =
                Login { environment: self, name, roles, exec, redactor: &redactor, wrong: vec![] };
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
