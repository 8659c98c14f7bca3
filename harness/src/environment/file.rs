//! The environment file as it is written, and the systems it becomes.

use super::connection::{Connection, Systems, Tls};
use super::secret::{Reference, SecretReference};
use crate::diag::{Diag, Place};
use crate::document::{self, Document, Node};
use crate::model::{FileHash, Permission};
use crate::redact::{Redactor, Secret, is_secret_key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An environment file that was read; its secrets are still references.
#[derive(Debug, Default)]
pub struct Environment {
    document: Option<Document>,
    folder: PathBuf,
    connections: BTreeMap<String, (Node, ConnectionFile)>,
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
    /// Extra headers. One that is written out is no secret, unless its name says so.
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

impl ConnectionFile {
    /// Learns what stands in the file although it should be a reference.
    fn learn(&self, redactor: &Redactor) {
        if let Some(Reference::Text(url)) = &self.url {
            learn_login(url, redactor);
        }
        for (header, value) in &self.headers {
            if let (Reference::Text(text), false) = (value, is_open(header, value)) {
                redactor.learn(text.clone());
            }
        }
    }
}

/// A header that is written out (a tenant `1`) is no secret unless its name says so: masking every `1` would leave nothing
/// to judge.
fn is_open(header: &str, value: &Reference) -> bool {
    matches!(value, Reference::Text(_)) && !is_secret_key(header)
}

fn learn_login(url: &str, redactor: &Redactor) {
    let login = |url: url::Url| url.password().is_some() || !url.username().is_empty();
    if url::Url::parse(url).is_ok_and(login) {
        redactor.learn(url);
    }
}

const KEYS: &[&str] = &["proofmark", "connections", "forbid"];

impl Environment {
    /// Reads an environment file.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Diag>> {
        let document = document::text(path).and_then(document::parse).map_err(|diag| vec![diag])?;
        let mut wrong = vec![];
        // A file named without a folder stands in this one; a program cannot be started in a folder without a name.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut out = Self { folder: folder.to_owned(), ..Self::default() };
        let root = &document.root;
        wrong.extend(document.format(root));
        wrong.extend(document.unknown_keys(root, KEYS));
        if let Some(node) = root.get("forbid") {
            document.typed(node).map_or_else(|diag| wrong.push(diag), |forbid| out.forbid = forbid);
        }
        let connections = root.get("connections");
        for (key, node) in connections.map(Node::entries).unwrap_or_default() {
            let name = key.as_str().unwrap_or_default().to_owned();
            match document.typed(node) {
                Ok(connection) => drop(out.connections.insert(name, (key.clone(), connection))),
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
        self.connections.iter().map(|(name, (_, file))| (name.clone(), value(file))).collect()
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
        // All of them are written down, the unused ones too.
        self.connections.values().for_each(|(_, file)| file.learn(&redactor));
        for (name, (place, file)) in self.connections.iter().filter(|(name, _)| used.contains(*name)) {
            match self.connect(name, file, exec, &redactor).await {
                Ok(connection) => drop(connections.insert(name.clone(), connection)),
                Err(diag) => wrong.push(self.placed(diag, place)),
            }
        }
        if wrong.is_empty() {
            Ok(Systems { connections, redactor, ..Systems::default() })
        } else {
            Err(wrong)
        }
    }

    fn placed(&self, diag: Diag, node: &Node) -> Diag {
        let source = self.document.as_ref().map(|document| document.source.clone());
        let place = source.map(|source| Place { source, line: node.line, column: node.col });
        Diag { place, ..diag }
    }

    async fn connect(
        &self,
        name: &str,
        file: &ConnectionFile,
        exec: bool,
        redactor: &Redactor,
    ) -> Result<Connection, Diag> {
        let folder = self.folder.as_path();
        let mut connection = Connection { name: name.to_owned(), ..Connection::default() };
        if let Some(url) = &file.url {
            let url = url.resolve(folder, exec).await?;
            let parsed = url::Url::parse(&url);
            if let Err(error) = &parsed {
                let diag = Diag::new(
                    "bad-url",
                    format!("the url of the connection `{name}` cannot be read: {error}"),
                );
                return Err(diag.help("write it whole: `http://host:9090`"));
            }
            learn_login(&url, redactor);
            connection.url = Some(url.trim_end_matches('/').to_owned());
        }
        if let Some(basic) = &file.basic {
            let username = basic.username.resolve(folder, exec).await?;
            let password = redactor.learn(basic.password.0.resolve(folder, exec).await?);
            connection.basic = Some((username, password));
        }
        if let Some(bearer) = &file.bearer {
            connection.bearer = Some(redactor.learn(bearer.0.resolve(folder, exec).await?));
        }
        for (header, value) in &file.headers {
            let text = value.resolve(folder, exec).await?;
            let value = if is_open(header, value) { Secret::open(text) } else { redactor.learn(text) };
            connection.headers.insert(header.clone(), value);
        }
        if let Some(tls) = &file.tls {
            connection.tls = self.tls(tls, redactor)?;
        }
        Ok(connection)
    }

    fn tls(&self, file: &TlsFile, redactor: &Redactor) -> Result<Tls, Diag> {
        let pem = |path: &Option<PathBuf>| -> Result<Option<String>, Diag> {
            let Some(path) = path else { return Ok(None) };
            let path = self.folder.join(path);
            let read = std::fs::read_to_string(&path);
            let read = read
                .map_err(|e| Diag::new("unreadable-file", format!("cannot read {}: {e}", path.display())))?;
            Ok(Some(read))
        };
        Ok(Tls {
            ca: pem(&file.ca)?,
            cert: pem(&file.cert)?,
            key: pem(&file.key)?.map(|key| redactor.learn(key)),
            server_name: file.server_name.clone(),
            insecure: file.insecure,
        })
    }
}
