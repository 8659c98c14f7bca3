//! What is written of a connection → the connection with its secrets resolved.

use super::connection::{Connection, Part, Tls};
use super::file::{ConnectionFile, Environment, TlsFile};
use super::role::Leads;
use super::secret::Reference;
use super::variables::Variables;
use super::vocabulary::{Resolving, UrlForm, Vocabulary};
use proofmark_model::diag::Diag;
use proofmark_model::redact::{Redactor, Secret, is_secret_key};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Learns secrets that the file contains in plain text instead of as a reference.
pub(super) fn learn(file: &ConnectionFile, vocabulary: &Vocabulary, redactor: &Redactor) {
    for address in [&file.url, &file.endpoint].into_iter().flatten() {
        if let Reference::Text(url) = address {
            learn_login(url, vocabulary, redactor);
        }
    }
    for (header, value) in &file.headers {
        if let (Reference::Text(text), false) = (value, is_open(header, value)) {
            redactor.learn(text.clone());
        }
    }
}

/// Returns whether a header is open: a plain-text value (a tenant `1`) is not a secret unless the header's name marks
/// one. Masking every `1` would leave nothing to judge.
fn is_open(header: &str, value: &Reference) -> bool {
    matches!(value, Reference::Text(_)) && !is_secret_key(header)
}

fn learn_login(url: &str, vocabulary: &Vocabulary, redactor: &Redactor) {
    if let Some(form) = vocabulary.form(url) {
        // An invalid address is learned as a whole; it is reported when a step uses it.
        (form.read)(url, redactor).ok();
        return;
    }
    let login = |url: url::Url| url.password().is_some() || !url.username().is_empty();
    if url::Url::parse(url).is_ok_and(login) {
        redactor.learn(url);
    }
}

/// Builds one connection from what is written, and collects mistakes.
#[derive(Debug)]
pub struct ConnectionBuilder<'a> {
    environment: &'a Environment,
    /// The connection as it is written.
    pub written: &'a ConnectionFile,
    /// The roles that it serves.
    roles: &'a BTreeSet<String>,
    exec: bool,
    resolving: Resolving<'a>,
    /// The connection so far.
    pub connection: Connection,
    wrong: Vec<Diag>,
}

impl<'a> ConnectionBuilder<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        (name, written): (&str, &'a ConnectionFile),
        roles: &'a BTreeSet<String>,
        exec: bool,
        resolving: Resolving<'a>,
    ) -> Self {
        let connection = Connection { name: name.to_owned(), ..Connection::default() };
        Self { environment, written, roles, exec, resolving, connection, wrong: vec![] }
    }

    /// Learns the secrets that must not be written.
    pub fn redactor(&self) -> &'a Redactor {
        self.resolving.redactor
    }

    /// Records a mistake at the value of these keys, or at the connection's name.
    pub fn report(&mut self, keys: &[&str], diag: Diag) {
        let place = self.environment.place(&self.connection.name, keys, false);
        self.wrong.push(Diag { place, ..diag });
    }

    async fn value(&mut self, keys: &[&str], reference: &Reference) -> Option<String> {
        let value = reference.resolve(&self.environment.vocabulary, self.exec, &self.resolving).await;
        value.map_err(|diag| self.report(keys, diag)).ok()
    }

    async fn secret(&mut self, keys: &[&str], reference: &Reference) -> Option<Secret> {
        let value = self.value(keys, reference).await?;
        Some(self.redactor().learn(value))
    }

    /// Builds the connection and returns it with every mistake.
    pub(super) async fn build(mut self) -> (Connection, Vec<Diag>) {
        let file = self.written;
        self.connection.listen.clone_from(&file.listen);
        let form = self.address().await;
        if let Some(basic) = &file.basic {
            let username = self.value(&["basic", "username"], &basic.username).await;
            let password = self.secret(&["basic", "password"], &basic.password.0).await;
            self.connection.basic = username.zip(password);
        }
        if let Some(bearer) = &file.bearer {
            self.connection.bearer = self.secret(&["bearer"], &bearer.0).await;
        }
        for (header, value) in &file.headers {
            let Some(text) = self.value(&["headers", header], value).await else { continue };
            let value = if is_open(header, value) { Secret::open(text) } else { self.redactor().learn(text) };
            self.connection.headers.insert(header.clone(), value);
        }
        if let Some(tls) = &file.tls {
            self.connection.tls = self.tls(tls);
        }
        self.server().await;
        let roles = self.roles.iter().map(|role| self.environment.vocabulary.role(role));
        for complete in roles.filter_map(|role| role.complete).collect::<Vec<_>>() {
            complete(&mut self);
        }
        if let Some(form) = form {
            (form.complete)(&mut self);
        }
        (self.connection, self.wrong)
    }

    /// Reads the server's address, the region, and the access and secret keys.
    async fn server(&mut self) {
        let file = self.written;
        if let Some(endpoint) = &file.endpoint {
            self.connection.endpoint = self.value(&["endpoint"], endpoint).await;
        }
        if let Some(region) = &file.region {
            self.connection.region = self.value(&["region"], region).await;
        }
        let (mut access, mut secret) = (None, None);
        if let Some(key) = &file.access_key {
            access = self.secret(&["access-key"], &key.0).await;
        }
        if let Some(key) = &file.secret_key {
            secret = self.secret(&["secret-key"], &key.0).await;
        }
        self.connection.keys = access.zip(secret);
    }

    /// Reads the address of the system. Returns its form if it is not a plain URL.
    async fn address(&mut self) -> Option<&'static UrlForm> {
        let file = self.written;
        let form = match (&file.url, &file.dialed) {
            (Some(url), _) => self.url(url).await,
            (None, Some((key, value))) => self.dial(key, value).await,
            (None, None) => {
                let name = &self.connection.name;
                let diag = Diag::new("missing-key", format!("the connection `{name}` has no `url`"));
                self.report(&[], diag.help("add `url: \"http://host:9090\"`"));
                None
            }
        };
        // A plain-text address was checked earlier.
        if !matches!(file.url, Some(Reference::Text(_))) {
            self.fits(form);
        }
        form
    }

    async fn url(&mut self, url: &Reference) -> Option<&'static UrlForm> {
        if let Some((form, part)) = self.composed(url) {
            return self.part(form, part);
        }
        let url = self.value(&["url"], url).await?;
        self.located(&url)
    }

    async fn dial(&mut self, key: &str, value: &serde_json::Value) -> Option<&'static UrlForm> {
        // The same vocabulary was used to read the file.
        let dialer = self.environment.vocabulary.dialer(key)?;
        match (dialer.dial)(value, &self.resolving).await {
            Ok(dialed) => {
                if let Some(held) = dialed.held {
                    self.connection.put_part(held);
                }
                self.located(&dialed.url)
            }
            Err(diag) => {
                self.report(&[key], diag);
                None
            }
        }
    }

    /// Stores an address: as a part if it has a form of its own, else as the base URL.
    fn located(&mut self, address: &str) -> Option<&'static UrlForm> {
        let Some(form) = self.environment.vocabulary.form(address) else {
            self.connection.url = self.base(address);
            return None;
        };
        let part = (form.read)(address, self.redactor());
        self.part(form, part)
    }

    fn part(&mut self, form: &'static UrlForm, part: Result<Part, String>) -> Option<&'static UrlForm> {
        let part = part.map_err(|why| self.bad_url(&why)).ok()?;
        self.connection.put_part(part);
        Some(form)
    }

    /// Checks that an address from a reference fits the roles.
    fn fits(&mut self, form: Option<&'static UrlForm>) {
        let leads = match (form, &self.connection.url) {
            (Some(form), _) => Leads::By(form),
            (None, Some(url)) => Leads::To(url),
            (None, None) => return,
        };
        let name = &self.connection.name;
        self.wrong.extend(self.environment.unreachable(name, self.roles, &leads, self.written));
    }

    fn base(&mut self, url: &str) -> Option<String> {
        if let Err(error) = url::Url::parse(url) {
            self.bad_url(&error.to_string());
            return None;
        }
        let vocabulary = &self.environment.vocabulary;
        learn_login(url, vocabulary, self.redactor());
        if self.roles.iter().any(|role| vocabulary.role(role).secret_url) {
            // Knowing the address is enough to use the system: most such systems have no other login.
            self.redactor().learn(url);
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    fn bad_url(&mut self, why: &str) {
        let message = format!("the url of the connection `{}` cannot be read: {why}", self.connection.name);
        let examples = self.environment.vocabulary.forms().map(|form| format!(", `{}`", form.example));
        let help = format!("write it whole: `http://host:9090`{}", examples.collect::<String>());
        self.report(&["url"], Diag::new("bad-url", message).help(help));
    }

    /// The address described by other variables, if the variable in the reference is not set.
    fn composed(&self, url: &Reference) -> Option<(&'static UrlForm, Result<Part, String>)> {
        let name = url.variable()?;
        if Variables::PROCESS.get(name).is_some_and(|value| !value.is_empty()) {
            return None;
        }
        let read = |form: &'static UrlForm| {
            Some((form, (form.from_parts)(name, Variables::PROCESS, self.redactor())?))
        };
        self.environment.vocabulary.forms().find_map(read)
    }

    fn tls(&mut self, file: &TlsFile) -> Tls {
        let mut pem = |key: &str, path: &Option<PathBuf>| -> Option<String> {
            let path = self.environment.folder.join(path.as_ref()?);
            let unreadable = |error| {
                let diag = Diag::new("unreadable-file", format!("cannot read {}: {error}", path.display()));
                diag.help("the path counts from the folder of the environment file")
            };
            std::fs::read_to_string(&path).map_err(|e| self.report(&["tls", key], unreadable(e))).ok()
        };
        let (ca, cert, key) = (pem("ca", &file.ca), pem("cert", &file.cert), pem("key", &file.key));
        Tls {
            ca,
            cert,
            key: key.map(|key| self.redactor().learn(key)),
            server_name: file.server_name.clone(),
            insecure: file.insecure,
        }
    }
}
