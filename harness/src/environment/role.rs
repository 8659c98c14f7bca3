//! What a role asks of the connection that serves it: a URL that it can be reached by, and no key that it does not read.

use super::dsn::Dsn;
use super::file::{ConnectionFile, Environment};
use super::secret::Reference;
use super::store::KEYS;
use crate::diag::{Diag, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The roles that each used connection serves, by its name.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// The role that is not asked over HTTP.
const DATABASE: &str = "postgres";

/// The role of a database that is only counted, beside the one that is written.
const LIVE: &str = "live";

/// The role whose systems are of the same kind.
fn like(role: &str) -> &str {
    if role == LIVE { DATABASE } else { role }
}

/// The role whose systems are buckets and folders.
pub(super) const STORE: &str = "store";

/// The role that is told of failures.
pub(super) const WEBHOOK: &str = "webhook";

/// The role whose systems are asked by the program `docker`.
const DOCKER: &str = "docker";

/// The role that asks nobody: others post to it.
const RECEIVER: &str = "receiver";

/// The keys beside `url` that a role reads.
fn reads(role: &str) -> &'static [&'static str] {
    match like(role) {
        DATABASE => &["basic", "tls"],
        STORE => &KEYS,
        RECEIVER => &["listen"],
        DOCKER => &[],
        _ => &["basic", "bearer", "headers", "tls"],
    }
}

/// What kind of system a URL leads to.
pub(super) enum Leads<'a> {
    /// To a PostgreSQL database.
    Database,
    /// By this URL to anything else.
    To(&'a str),
}

impl<'a> Leads<'a> {
    pub(super) fn of(url: &'a str) -> Self {
        if Dsn::is_one(url) { Self::Database } else { Self::To(url) }
    }

    /// What is wrong when this is to serve the role, and how to mend it. A text that is no URL at all is told elsewhere.
    fn wrong(&self, role: &str) -> Option<(String, &'static str)> {
        let begins = match self {
            Self::Database if like(role) == DATABASE => return None,
            Self::Database => "is that of a PostgreSQL database".to_owned(),
            Self::To(url) => {
                let scheme = url::Url::parse(url).ok()?.scheme().to_owned();
                let fits: &[&str] = match like(role) {
                    DATABASE => &[],
                    STORE => &["s3", "file"],
                    DOCKER => &["unix", "tcp", "ssh", "http", "https"],
                    _ => &["http", "https"],
                };
                if fits.contains(&scheme.as_str()) {
                    return None;
                }
                // What has no `//` may be a login that was meant for another key, and is not shown.
                let written = url.get(scheme.len()..).is_some_and(|rest| rest.starts_with("://"));
                if written { format!("begins with `{scheme}://`") } else { "has no `://`".to_owned() }
            }
        };
        let (wants, help) = match like(role) {
            DATABASE => (
                "is a PostgreSQL database",
                "write `postgresql://user@host:5432/database`, or `host=… dbname=…`",
            ),
            STORE => (
                "is a bucket or a folder",
                "write `s3://bucket/prefix`, with the server's address as `endpoint`, or `file:///folder`",
            ),
            DOCKER => (
                "is a Docker engine",
                "write `unix:///var/run/docker.sock`, `tcp://host:2375` or `ssh://user@host`",
            ),
            RECEIVER => (
                "is posted to over HTTP",
                "write the whole URL that the alerting systems post to: `http://host:9999`",
            ),
            _ => ("is asked over HTTP", "write the whole URL: `http://host:9090`, `https://host/path`"),
        };
        Some((format!("{begins}, and the role {wants}"), help))
    }
}

impl Environment {
    /// The place of the value below these keys of a connection, or of the key itself; without keys, of its name.
    pub(super) fn place(&self, connection: &str, keys: &[&str], of_key: bool) -> Option<Place> {
        let document = self.document.as_ref()?;
        let mut entry = document.root.get("connections")?.entry(connection)?;
        for key in keys {
            let Some(below) = entry.1.entry(key) else { break };
            entry = below;
        }
        let node = if of_key || keys.is_empty() { &entry.0 } else { &entry.1 };
        Some(Place { source: document.source.clone(), line: node.line, column: node.col })
    }

    /// What can be said of the used connections before any secret is read.
    pub fn misfits(&self, uses: &Uses) -> Vec<Diag> {
        let mut wrong = vec![];
        for (name, roles) in uses {
            let Some(file) = self.connections.get(name) else { continue };
            if let Some(Reference::Text(url)) = &file.url {
                let unreachable = self.unreachable(name, roles, &Leads::of(url));
                if unreachable.is_empty() && roles.contains(STORE) {
                    wrong.extend(self.store_misfits(name, file, url));
                }
                wrong.extend(unreachable);
            }
            let others = [("tls", file.tls.is_some()), ("listen", file.listen.is_some())];
            for key in file.logins().into_iter().chain(others).chain(file.store_keys()) {
                let unread = |role: &&String| key.1 && !reads(role).contains(&key.0);
                wrong.extend(roles.iter().find(unread).map(|role| self.unread(name, role, key.0)));
            }
            if file.basic.is_some() && file.bearer.is_some() {
                let message = format!("the connection `{name}` has two logins, `basic` and `bearer`");
                let diag =
                    Diag::new("unread-key", message).help("one request carries one login: take one out");
                wrong.push(Diag { place: self.place(name, &["basic"], true), ..diag });
            }
        }
        wrong
    }

    /// A mistake for each role that what the `url` leads to cannot serve.
    pub(super) fn unreachable(&self, name: &str, roles: &BTreeSet<String>, leads: &Leads<'_>) -> Vec<Diag> {
        let place = self.place(name, &["url"], false);
        let misfit = |role: &String| {
            let (why, help) = leads.wrong(role)?;
            let message = format!("the connection `{name}` serves the role `{role}`, but its url {why}");
            Some(Diag { place: place.clone(), ..Diag::new("wrong-url", message).help(help) })
        };
        roles.iter().filter_map(misfit).collect()
    }

    fn unread(&self, name: &str, role: &str, key: &str) -> Diag {
        let known: Vec<String> = reads(role).iter().map(|key| format!("`{key}`")).collect();
        let message =
            format!("the connection `{name}` serves the role `{role}`, which does not read `{key}`");
        let diag = Diag::new("unread-key", message);
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        let diag = diag.help(format!("take it out; beside `url` this role reads {known}"));
        Diag { place: self.place(name, &[key], true), ..diag }
    }
}

impl ConnectionFile {
    /// The keys by which one may log in, and whether they are written.
    fn logins(&self) -> [(&'static str, bool); 3] {
        [
            ("basic", self.basic.is_some()),
            ("bearer", self.bearer.is_some()),
            ("headers", !self.headers.is_empty()),
        ]
    }
}
