//! The environment file as it is written, and the systems it becomes.

use super::connection::{Connection, Systems, Tls};
use super::dsn::Dsn;
use super::secret::{Reference, SecretReference, optional};
use crate::diag::{Diag, Place};
use crate::document::{self, Document, Node};
use crate::model::{FileHash, Permission};
use crate::redact::Redactor;
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

const KEYS: &[&str] = &["proofmark", "connections", "forbid"];

impl Environment {
    /// Reads an environment file.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Diag>> {
        let document = document::text(path).and_then(document::parse).map_err(|diag| vec![diag])?;
        let mut wrong = vec![];
        let mut out = Self { folder: path.parent().unwrap_or(Path::new("")).to_owned(), ..Self::default() };
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
            let url = match url.resolve(folder, exec).await {
                Ok(url) => Ok(url),
                // The plans that have no `DATABASE_URL` have its parts.
                Err(missing) if *url == Reference::Env("DATABASE_URL".into()) => {
                    let parts = Dsn::from_variables(optional, redactor);
                    connection.dsn = parts.map_err(|why| bad_url(name, &why))?;
                    connection.dsn.as_ref().map(|_| String::new()).ok_or(missing)
                }
                Err(missing) => Err(missing),
            }?;
            if Dsn::is_one(&url) {
                connection.dsn = Some(Dsn::parse(&url, redactor).map_err(|why| bad_url(name, &why))?);
            } else if connection.dsn.is_none() {
                connection.url = Some(base_url(name, &url, redactor)?);
            }
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
            let value = redactor.learn(value.resolve(folder, exec).await?);
            connection.headers.insert(header.clone(), value);
        }
        if let Some(tls) = &file.tls {
            connection.tls = self.tls(tls, redactor)?;
        }
        if connection.dsn.is_some() {
            database(&mut connection, redactor)?;
        }
        Ok(connection)
    }

    fn tls(&self, file: &TlsFile, redactor: &Redactor) -> Result<Tls, Diag> {
        let pem =
            |path: &Option<PathBuf>| path.as_ref().map(|path| read(&self.folder.join(path))).transpose();
        Ok(Tls {
            ca: pem(&file.ca)?,
            cert: pem(&file.cert)?,
            key: pem(&file.key)?.map(|key| redactor.learn(key)),
            server_name: file.server_name.clone(),
            insecure: file.insecure,
        })
    }
}

fn read(path: &Path) -> Result<String, Diag> {
    let read = std::fs::read_to_string(path);
    read.map_err(|e| Diag::new("unreadable-file", format!("cannot read {}: {e}", path.display())))
}

fn bad_url(name: &str, why: &str) -> Diag {
    Diag::new("bad-url", format!("the url of the connection `{name}` cannot be read: {why}"))
}

fn base_url(name: &str, url: &str, redactor: &Redactor) -> Result<String, Diag> {
    let parsed = url::Url::parse(url).map_err(|error| {
        bad_url(name, &error.to_string())
            .help("write it whole: `http://host:9090`, `postgresql://host:5432/database`")
    })?;
    if parsed.password().is_some() || !parsed.username().is_empty() {
        redactor.learn(url);
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// What a connection says of a database besides its DSN: the login may stand in `basic`, files may stand in the DSN.
fn database(connection: &mut Connection, redactor: &Redactor) -> Result<(), Diag> {
    let Connection { name, dsn: Some(dsn), .. } = connection else { return Ok(()) };
    let unread = |what: &str| {
        let diag =
            Diag::new("unread-key", format!("the connection `{name}` is a PostgreSQL database, {what}"));
        Err(diag.help("a database takes `url`, `basic` and `tls`"))
    };
    if connection.bearer.is_some() || !connection.headers.is_empty() {
        return unread("which reads neither `bearer` nor `headers`");
    }
    if let Some((user, word)) = connection.basic.take() {
        if dsn.user.is_some() || dsn.password.is_some() {
            return unread("whose login stands in its `url` and in `basic`: write it in one of them");
        }
        (dsn.user, dsn.password) = (Some(user), Some(word));
    }
    for (key, path) in &dsn.files {
        let tls = &mut connection.tls;
        let twice = match *key {
            "sslrootcert" if path.as_os_str() == "system" => continue,
            "sslrootcert" => tls.ca.replace(read(path)?).is_some(),
            "sslcert" => tls.cert.replace(read(path)?).is_some(),
            _ => tls.key.replace(redactor.learn(read(path)?)).is_some(),
        };
        if twice {
            return unread(&format!(
                "which has `{key}` in its `url` and the same in `tls`: write it in one of them"
            ));
        }
    }
    Ok(())
}
