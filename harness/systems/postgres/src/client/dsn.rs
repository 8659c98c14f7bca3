//! Where a PostgreSQL database is, as people write it: a URL (also SQLAlchemy's `postgresql+asyncpg://`), or libpq's
//! `key=value` text. What is written never appears in an error, for a password may stand anywhere in a broken one.

use percent_encoding::percent_decode_str;
use proofmark_model::redact::{Redactor, Secret};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The port that is meant where none is written.
const PORT: u16 = 5432;

/// Keys of other drivers, and of libpq, that change nothing about what is seen.
const IDLE: [&str; 15] = [
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
    "async_fallback",
    "command_timeout",
    "timeout",
    "client_encoding",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslcompression",
    "load_balance_hosts",
];

/// One database and how to log in to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dsn {
    /// Hosts to try in order, with their ports; one that begins with `/` is the folder of a socket.
    pub hosts: Vec<(String, u16)>,
    /// Role; the operating system's user where it is not said.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Database; the role's name where it is not said.
    pub database: Option<String>,
    /// How TLS is used.
    pub sslmode: Option<SslMode>,
    /// What the certificate of the connection must be bound to the login.
    pub channel_binding: Option<ChannelBinding>,
    /// `sslrootcert`, `sslcert`, `sslkey`: files, relative to where the program runs.
    pub files: BTreeMap<&'static str, PathBuf>,
    /// Command-line options for the server, such as `-c search_path=app`.
    pub options: Option<String>,
    /// The name that the server shows for the connection.
    pub application_name: Option<String>,
    /// `target_session_attrs`: `Some(true)` wants a server that can be written to, `Some(false)` one that cannot.
    pub writable: Option<bool>,
}

/// How TLS is used, in libpq's words. `allow` is read as `prefer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Where the server offers it; no certificate is checked.
    Prefer,
    /// Always; a certificate is checked only against authorities that were given.
    Require,
    /// Always, with a certificate from a given authority.
    VerifyCa,
    /// Always, with a trusted certificate for the host's name.
    VerifyFull,
}

/// Whether the login is bound to the TLS connection (SCRAM-SHA-256-PLUS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can.
    Prefer,
    /// Always.
    Require,
}

impl Dsn {
    /// The database that it leads to.
    pub fn named(&self) -> Option<&String> {
        self.database.as_ref().or(self.user.as_ref())
    }

    /// The same server and login, for another database.
    #[must_use]
    pub fn to_database(&self, name: &str) -> Self {
        // A search path or a role of the application belongs to the application's database.
        Self { database: Some(name.to_owned()), options: None, ..self.clone() }
    }

    /// Does this text mean a PostgreSQL database? A broken one too, so that it is reported as one.
    pub fn is_one(text: &str) -> bool {
        let text = text.trim_start();
        let scheme = text.split("://").next().filter(|scheme| scheme.len() < text.len());
        let driver = scheme.map(|scheme| scheme.split('+').next().unwrap_or_default().to_ascii_lowercase());
        match driver {
            Some(name) => name == "postgres" || name == "postgresql",
            None => text.split_once('=').is_some_and(|(key, _)| {
                !key.is_empty() && key.trim_end().chars().all(|c| c.is_ascii_lowercase() || c == '_')
            }),
        }
    }

    /// Reads it. The whole text and the password in it are learned, as they are written and decoded.
    ///
    /// # Errors
    /// What is wrong, without the value that is.
    pub fn parse(text: &str, redactor: &Redactor) -> Result<Self, String> {
        redactor.learn(text);
        let mut out = Self::default();
        let (mut hosts, mut ports) = (vec![], vec![]);
        let pairs = match text.split_once("://") {
            Some((_, rest)) => url_pairs(rest, redactor)?,
            None => word_pairs(text)?,
        };
        for (key, value) in pairs {
            match key.as_str() {
                "host" => hosts = value.split(',').map(str::to_owned).collect(),
                "port" => ports = value.split(',').map(str::to_owned).collect(),
                _ => out.set(&key, value, redactor)?,
            }
        }
        out.hosts = addresses(&hosts, &ports)?;
        Ok(out)
    }

    /// From the variables of which plans compose it: `POSTGRES_HOST`, `_PORT`, `_USER`, `_PASSWORD`, `_DB`.
    /// `None` without a host.
    ///
    /// # Errors
    /// A port that is no number.
    pub fn from_variables(
        get: impl Fn(&str) -> Option<String>,
        redactor: &Redactor,
    ) -> Result<Option<Self>, String> {
        let get = |name: &str| get(&format!("POSTGRES_{name}")).filter(|value| !value.is_empty());
        let Some(host) = get("HOST") else { return Ok(None) };
        let ports: Vec<String> = get("PORT").into_iter().collect();
        Ok(Some(Self {
            hosts: addresses(&[host], &ports)?,
            user: get("USER"),
            password: get("PASSWORD").map(|word| redactor.learn(word)),
            database: get("DB"),
            ..Self::default()
        }))
    }

    fn set(&mut self, key: &str, value: String, redactor: &Redactor) -> Result<(), String> {
        let wrong = |known: &str| Err(format!("`{key}` has a value that is not known; there are {known}"));
        match key {
            "user" => self.user = Some(value),
            "password" => self.password = Some(redactor.learn(value)),
            "dbname" | "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            "options" => self.options = Some(value),
            "application_name" => self.application_name = Some(value),
            "sslrootcert" => drop(self.files.insert("sslrootcert", value.into())),
            "sslcert" => drop(self.files.insert("sslcert", value.into())),
            "sslkey" => drop(self.files.insert("sslkey", value.into())),
            "sslmode" | "ssl" => match ssl_mode(&value) {
                Some(mode) => self.sslmode = Some(mode),
                None => return wrong("disable, allow, prefer, require, verify-ca, verify-full"),
            },
            "channel_binding" => match value.as_str() {
                "disable" => self.channel_binding = Some(ChannelBinding::Disable),
                "prefer" => self.channel_binding = Some(ChannelBinding::Prefer),
                "require" => self.channel_binding = Some(ChannelBinding::Require),
                _ => return wrong("disable, prefer, require"),
            },
            "target_session_attrs" => match value.as_str() {
                "any" => self.writable = None,
                "read-write" | "primary" => self.writable = Some(true),
                "read-only" | "standby" => self.writable = Some(false),
                _ => return wrong("any, read-write, read-only, primary, standby"),
            },
            // Encryption that was demanded is never left away in silence.
            "gssencmode" if value == "require" => return wrong("disable, prefer"),
            "gssencmode" | "connect_timeout" => {}
            key if IDLE.contains(&key) => {}
            key => return Err(format!("`{key}` is a key that is not read here; take it out")),
        }
        Ok(())
    }
}

fn ssl_mode(value: &str) -> Option<SslMode> {
    Some(match value.to_ascii_lowercase().as_str() {
        "disable" | "false" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        // `ssl=true` of asyncpg checks certificate and name.
        "verify-full" | "true" => SslMode::VerifyFull,
        _ => return None,
    })
}

fn addresses(hosts: &[String], ports: &[String]) -> Result<Vec<(String, u16)>, String> {
    if hosts.iter().all(String::is_empty) {
        return Err(
            "it names no host; write one, or the folder of the server's socket: host=/var/run/postgresql"
                .into(),
        );
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err("it has another number of ports than of hosts".into());
    }
    let port = |index: usize| {
        match ports.get(index).or(ports.first()).map(String::as_str) {
        None | Some("") => Ok(PORT),
        Some(text) => text.parse().map_err(|_| "its port is no number from 1 to 65535; a password with `@ : / ? #` in it is written percent-encoded".to_owned()),
    }
    };
    hosts.iter().enumerate().map(|(index, host)| Ok((host.clone(), port(index)?))).collect()
}

/// The pairs of a URL after its scheme. A query wins over what stands before it, as in libpq.
fn url_pairs(rest: &str, redactor: &Redactor) -> Result<Vec<(String, String)>, String> {
    let broken = || {
        "the URL cannot be taken apart; `@ : / ? #` in a user name or password are written percent-encoded (%40 %3A %2F %3F %23)".to_owned()
    };
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = front.split_once('/').unwrap_or((front, ""));
    // Nothing of a login that was cut in the wrong place may be taken for a host, a database or a key.
    if database.contains('@') || query.contains('@') {
        return Err(broken());
    }
    let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut out = vec![];
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    for (key, written) in [("user", user), ("password", password), ("dbname", database)] {
        if !written.is_empty() {
            out.push((key.to_owned(), decoded(written).ok_or_else(broken)?));
        }
    }
    if !password.is_empty() {
        redactor.learn(password);
    }
    let (mut hosts, mut ports) = (vec![], vec![]);
    for place in places.split(',') {
        let (host, port) = host_and_port(place).ok_or_else(broken)?;
        hosts.push(decoded(host).ok_or_else(broken)?);
        ports.push(port.to_owned());
    }
    out.push(("host".into(), hosts.join(",")));
    out.push(("port".into(), ports.join(",")));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(broken)?;
        let key = decoded(key).ok_or_else(broken)?;
        if key == "password" {
            redactor.learn(value);
        }
        out.push((key, decoded(value).ok_or_else(broken)?));
    }
    Ok(out)
}

fn host_and_port(place: &str) -> Option<(&str, &str)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, port.strip_prefix(':').unwrap_or(port)));
    }
    let (host, port) = place.split_once(':').unwrap_or((place, ""));
    (!port.contains(':')).then_some((host, port))
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// libpq's `key = value` text; values may stand in single quotes, with `\` before a quote or backslash.
fn word_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let broken = || "it is no list of `key=value`; a value with blanks stands in single quotes".to_owned();
    let (mut out, mut rest) = (vec![], text.trim());
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(broken)?;
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(broken());
        }
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut chars = after.char_indices().skip(usize::from(quoted));
        let (mut value, mut end, mut closed) = (String::new(), after.len(), !quoted);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                '\'' if quoted => {
                    (end, closed) = (at + 1, true);
                    break;
                }
                c if c.is_whitespace() && !quoted => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        if !closed {
            return Err(broken());
        }
        out.push((key.to_owned(), value));
        rest = after[end..].trim_start();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Dsn, String> {
        assert!(Dsn::is_one(text), "{text}");
        Dsn::parse(text, &Redactor::default())
    }

    #[test]
    fn every_form_says_the_same() {
        for text in [
            "postgresql://bob:p%40ss@db:5433/app?sslmode=require",
            "postgres://bob@db:5433/app?password=p%40ss&ssl=require",
            "postgresql+asyncpg://bob:p%40ss@db:5433/app?ssl=require&prepared_statement_cache_size=0",
            "POSTGRESQL+psycopg2://bob:p%40ss@db:5433/app?sslmode=require",
            "postgresql+asyncpg://bob:p%40ss@/app?host=db&port=5433&ssl=require",
            "postgresql://bob:p@ss@db:5433/app?sslmode=require",
            "host=db port=5433 user=bob password=p@ss dbname=app sslmode=require",
            r" host = 'db' port=5433 user='bob' password='p@ss' dbname= app sslmode=require ",
            r"user=bob host=db port=5433 password=p\@ss dbname=app ssl=require connect_timeout=3",
            "postgres://bob@db:5433/app?sslmode=require&pass%77ord=p%40ss",
        ] {
            let dsn = read(text).unwrap();
            assert_eq!(dsn.hosts, [("db".to_owned(), 5433)], "{text}");
            assert_eq!(dsn.user.as_deref(), Some("bob"), "{text}");
            assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("p@ss"), "{text}");
            assert_eq!(dsn.database.as_deref(), Some("app"), "{text}");
            assert_eq!(dsn.sslmode, Some(SslMode::Require), "{text}");
        }
    }

    #[test]
    fn hosts_may_be_many_sockets_and_addresses() {
        let hosts = |text: &str| read(text).unwrap().hosts;
        let want = |list: &[(&str, u16)]| list.iter().map(|(h, p)| ((*h).to_owned(), *p)).collect::<Vec<_>>();
        assert_eq!(hosts("postgres://a,b:6000/x"), want(&[("a", 5432), ("b", 6000)]));
        assert_eq!(hosts("host=a,b port=6000"), want(&[("a", 6000), ("b", 6000)]));
        assert_eq!(hosts("postgres://u@[::1]:6000/x"), want(&[("::1", 6000)]));
        assert_eq!(hosts("postgres://u@%2Ftmp%2Fdir:6000/x"), want(&[("/tmp/dir", 6000)]));
        assert_eq!(hosts("postgres:///x?host=/tmp/dir"), want(&[("/tmp/dir", 5432)]));
        for text in ["http://db", "https://host?a=b", "s3://bucket", "file:///x", "db:5432", ""] {
            assert!(!Dsn::is_one(text), "{text}");
        }
    }

    #[test]
    fn plus_is_a_letter_and_the_query_wins() {
        let dsn = read("postgres://u:a+b@db/app?user=other").unwrap();
        assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("a+b"));
        assert_eq!(dsn.user.as_deref(), Some("other"));
        assert_eq!(read("postgres://db?ssl=true").unwrap().sslmode, Some(SslMode::VerifyFull));
    }

    #[test]
    fn mistakes_name_keys_and_never_values() {
        for (text, word) in [
            ("postgres://bob:hunter2secret@db/app?sslmod=x", "`sslmod`"),
            ("postgres://bob:hunter2secret@db/app?sslmode=hunter2secret", "verify-full"),
            ("postgres://bob:hunter2secret@db:http/app", "port"),
            ("postgres://bob:hunter2/secret@db/app", "percent-encoded"),
            ("postgres://bob:hunter2?secret@db/app", "percent-encoded"),
            ("postgres://bob:hunter2?secret=1@db/app", "percent-encoded"),
            ("postgres://bob:hunter2secret@/app", "no host"),
            ("host=db password='hunter2secret", "single quotes"),
            ("host=db hunter2secret", "key=value"),
            ("host=db password=hunter2secret passfile=x", "`passfile`"),
            ("host=db gssencmode=require", "gssencmode"),
            ("host=a,b,c port=1,2", "number of ports"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(word) && !error.contains("hunter2") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_password_is_learned_as_written_and_decoded_wherever_it_stands() {
        for text in [
            "postgresql+asyncpg://u:topsecret%2Fword@/db?host=x",
            "postgres://u@h/db?password=topsecret%2Fword",
            "host=h password='topsecret/word'",
        ] {
            let redactor = Redactor::default();
            Dsn::parse(text, &redactor).unwrap();
            for shape in ["topsecret/word", "topsecret%2Fword", text] {
                let clean = redactor.clean_text(&format!("it was {shape}!")).into_inner();
                assert!(!clean.contains("topsecret"), "{text}: {clean}");
            }
        }
    }

    #[test]
    fn the_variables_of_the_plans_make_one() {
        let redactor = Redactor::default();
        let get = |name: &str| match name {
            "POSTGRES_HOST" => Some("db".to_owned()),
            "POSTGRES_PASSWORD" => Some("p@ss/word 1".to_owned()),
            "POSTGRES_DB" => Some("app".to_owned()),
            _ => None,
        };
        let dsn = Dsn::from_variables(get, &redactor).unwrap().unwrap();
        assert_eq!((dsn.hosts, dsn.database.as_deref()), (vec![("db".to_owned(), 5432)], Some("app")));
        assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("p@ss/word 1"));
        assert!(!redactor.clean_text("p@ss/word 1").get().contains("word"));
        assert_eq!(Dsn::from_variables(|_| None, &redactor), Ok(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_text_is_read_or_refused_without_being_shown(text in "\\PC{0,60}", word in "[A-Z]{12}") {
            for text in [format!("postgres://u:{word}{text}"), format!("host=a password={word}{text}")] {
                if let Err(error) = Dsn::parse(&text, &Redactor::default()) {
                    prop_assert!(!error.contains(&word), "{error}");
                }
            }
        }
    }
}
