//! What is written of a connection → the connection with its secrets resolved.

use super::connection::{Connection, Tls};
use super::dsn::Dsn;
use super::file::{ConnectionFile, Environment, TlsFile};
use super::role::{Leads, STORE, WEBHOOK};
use super::secret::{Reference, optional};
use super::store::endpoint_of;
use crate::diag::Diag;
use crate::redact::{Redactor, Secret, is_secret_key};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Learns what stands in the file although it should be a reference.
pub(super) fn learn(file: &ConnectionFile, redactor: &Redactor) {
    if let Some(Reference::Text(url)) = &file.url {
        learn_login(url, redactor);
    }
    if let Some(Reference::Text(endpoint)) = &file.endpoint {
        learn_login(endpoint, redactor);
    }
    for (header, value) in &file.headers {
        if let (Reference::Text(text), false) = (value, is_open(header, value)) {
            redactor.learn(text.clone());
        }
    }
}

/// A header that is written out (a tenant `1`) is no secret unless its name says so: masking every `1` would leave nothing
/// to judge.
fn is_open(header: &str, value: &Reference) -> bool {
    matches!(value, Reference::Text(_)) && !is_secret_key(header)
}

fn learn_login(url: &str, redactor: &Redactor) {
    if Dsn::is_one(url) {
        // A broken one is learned as a whole; whoever uses it is told.
        Dsn::parse(url, redactor).ok();
        return;
    }
    let login = |url: url::Url| url.password().is_some() || !url.username().is_empty();
    if url::Url::parse(url).is_ok_and(login) {
        redactor.learn(url);
    }
}

/// Makes one connection of what is written, and collects what stands in the way.
pub(super) struct Login<'a> {
    pub(super) environment: &'a Environment,
    pub(super) name: &'a str,
    /// The roles that it serves.
    pub(super) roles: &'a BTreeSet<String>,
    pub(super) exec: bool,
    pub(super) redactor: &'a Redactor,
    pub(super) wrong: Vec<Diag>,
}

impl Login<'_> {
    /// Takes down a mistake at the value below these keys, or at the connection's name.
    fn say(&mut self, keys: &[&str], diag: Diag) {
        let place = self.environment.place(self.name, keys, false);
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

    pub(super) async fn connection(&mut self, file: &ConnectionFile) -> Connection {
        let mut connection = Connection { name: self.name.to_owned(), ..Connection::default() };
        connection.listen.clone_from(&file.listen);
        if let Some(url) = &file.url {
            self.url(url, &mut connection).await;
            self.reached(url, file, &connection);
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
            let Some(text) = self.value(&["headers", header], value).await else { continue };
            let value = if is_open(header, value) { Secret::open(text) } else { self.redactor.learn(text) };
            connection.headers.insert(header.clone(), value);
        }
        if let Some(tls) = &file.tls {
            connection.tls = self.tls(tls);
        }
        self.store(file, &mut connection).await;
        self.database(&mut connection);
        connection
    }

    /// Where the store's server is, and its login.
    async fn store(&mut self, file: &ConnectionFile, connection: &mut Connection) {
        if let Some(endpoint) = &file.endpoint
            && let Some(text) = self.value(&["endpoint"], endpoint).await
        {
            match endpoint_of(&text) {
                Ok(endpoint) => connection.endpoint = Some(endpoint),
                // One that is written out was looked at before.
                Err(_) if matches!(endpoint, Reference::Text(_)) => {}
                Err(why) => {
                    let message = format!("the `endpoint` of the connection `{}` {why}", self.name);
                    let help = "write where the server listens, whole: `http://minio:9000`";
                    self.say(&["endpoint"], Diag::new("bad-url", message).help(help));
                }
            }
        }
        if let Some(region) = &file.region {
            connection.region = self.value(&["region"], region).await;
        }
        let (mut access, mut secret) = (None, None);
        if let Some(key) = &file.access_key {
            access = self.secret(&["access-key"], &key.0).await;
        }
        if let Some(key) = &file.secret_key {
            secret = self.secret(&["secret-key"], &key.0).await;
        }
        connection.keys = access.zip(secret);
    }

    async fn url(&mut self, url: &Reference, connection: &mut Connection) {
        let dsn = if let Some(dsn) = self.of_parts(url) {
            dsn
        } else {
            let Some(url) = self.value(&["url"], url).await else { return };
            if !Dsn::is_one(&url) {
                connection.url = self.base(&url);
                return;
            }
            Dsn::parse(&url, self.redactor)
        };
        connection.dsn = dsn.map_err(|why| self.bad_url(&why)).ok();
    }

    /// Does the url that a reference gave fit the roles? One that is written out was looked at before.
    fn reached(&mut self, url: &Reference, file: &ConnectionFile, connection: &Connection) {
        let leads = match connection {
            _ if matches!(url, Reference::Text(_)) => return,
            Connection { dsn: Some(_), .. } => Leads::Database,
            Connection { url: Some(url), .. } => Leads::To(url),
            _ => return,
        };
        let wrong = self.environment.unreachable(self.name, self.roles, &leads);
        if let (true, Leads::To(url)) = (wrong.is_empty() && self.roles.contains(STORE), &leads) {
            self.wrong.extend(self.environment.store_misfits(self.name, file, url));
        }
        self.wrong.extend(wrong);
    }

    fn base(&mut self, url: &str) -> Option<String> {
        if let Err(error) = url::Url::parse(url) {
            self.bad_url(&error.to_string());
            return None;
        }
        learn_login(url, self.redactor);
        if self.roles.contains(WEBHOOK) {
            // Whoever knows the address of one can write there: most have no other login.
            self.redactor.learn(url);
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    fn bad_url(&mut self, why: &str) {
        let message = format!("the url of the connection `{}` cannot be read: {why}", self.name);
        let help = "write it whole: `http://host:9090`, `postgresql://user@host:5432/database`";
        self.say(&["url"], Diag::new("bad-url", message).help(help));
    }

    /// Where `DATABASE_URL` is asked for and not set, the plans' variables for its parts.
    fn of_parts(&self, url: &Reference) -> Option<Result<Dsn, String>> {
        let missing = optional("DATABASE_URL").is_none_or(|url| url.is_empty());
        let asked = *url == Reference::Env("DATABASE_URL".into());
        if asked && missing { Dsn::from_variables(optional, self.redactor).transpose() } else { None }
    }

    /// What a connection says of a database besides its DSN: the login may stand in `basic`, files in the DSN.
    fn database(&mut self, connection: &mut Connection) {
        let Connection { dsn: Some(dsn), .. } = connection else { return };
        if let Some((user, word)) = connection.basic.take() {
            if dsn.user.is_some() || dsn.password.is_some() {
                self.unread("whose login stands in its `url` and in `basic`: write it in one of them");
            }
            (dsn.user, dsn.password) = (Some(user), Some(word));
        }
        for (key, path) in dsn.files.iter().filter(|(_, path)| path.as_os_str() != "system") {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => {
                    let diag =
                        Diag::new("unreadable-file", format!("cannot read the `{key}` of the url: {error}"));
                    self.say(
                        &["url"],
                        diag.help("its path counts from where Proofmark runs; `tls` counts from this file"),
                    );
                    continue;
                }
            };
            let tls = &mut connection.tls;
            let twice = match *key {
                "sslrootcert" => tls.ca.replace(text).is_some(),
                "sslcert" => tls.cert.replace(text).is_some(),
                _ => tls.key.replace(self.redactor.learn(text)).is_some(),
            };
            if twice {
                self.unread(&format!("which has `{key}` in its `url` and in `tls`: write it in one of them"));
            }
        }
    }

    fn unread(&mut self, what: &str) {
        let message = format!("the connection `{}` is a PostgreSQL database, {what}", self.name);
        self.say(&[], Diag::new("unread-key", message).help("a database takes `url`, `basic` and `tls`"));
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
