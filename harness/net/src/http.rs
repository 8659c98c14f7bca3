//! HTTP with limits: a time for the whole exchange, a size after decompression, ten redirects. Redirects are followed
//! here and not by the library, so that each hop is taken down and a login never leaves the origin it was meant for.
//! A call that changes something needs leave, is made once, and is not made into another one by a redirect.

pub use super::tls::HttpClients;

use super::{ClientError, Log, tls};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use percent_encoding::percent_decode_str;
use proofmark_environment::{Connection, Systems, Tls};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_model::{ErrorCode, Exchange, sha256};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use url::Url;

/// The largest answer that is read, in bytes after decompression, unless a step says otherwise.
pub const MAX_BYTES: u64 = 128 << 20;

/// How often a redirect is followed.
const MAX_REDIRECTS: usize = 10;

/// How much of an answer is cleaned to be quoted, in bytes.
const HEAD: usize = 16 << 10;

/// How much of an answer is quoted in a message, in characters.
const EXCERPT: usize = 120;

/// The way to one system: its connection, the time there is, and who takes down what is exchanged.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// For the durations that are written down.
    pub clock: &'a Clock,
    /// Holds the clients and the redactor.
    pub systems: &'a Systems,
    /// Takes down every exchange.
    pub log: &'a Log,
    /// Where and with which login; `None` for an absolute URL without one.
    pub connection: Option<&'a Connection>,
    /// How long the whole may take, redirects included.
    pub timeout: Duration,
}

impl Endpoint<'_> {
    /// The same way with the time that is left of it since `started`, by its clock.
    #[must_use]
    pub fn since(self, started: Duration) -> Self {
        let timeout = self.timeout.saturating_sub(self.clock.elapsed().saturating_sub(started));
        Self { timeout, ..self }
    }
}

/// A method that only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading(Method);

/// A method that may change something: any that is not known to only read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changing(Method);

impl Reading {
    /// `GET`, `HEAD` or `OPTIONS`.
    pub fn named(name: &str) -> Option<Self> {
        let known = [Method::GET, Method::HEAD, Method::OPTIONS];
        known.into_iter().find(|method| method.as_str() == name).map(Self)
    }
}

impl Changing {
    /// `DELETE`.
    pub const DELETE: Self = Self(Method::DELETE);
    /// `POST`.
    pub const POST: Self = Self(Method::POST);
    /// `PUT`.
    pub const PUT: Self = Self(Method::PUT);

    /// A method in capitals that is not among those that only read; a server may know more than the usual ones.
    pub fn named(name: &str) -> Option<Self> {
        let word =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte));
        let other = word && Reading::named(name).is_none() && name != "CONNECT";
        other.then(|| Method::from_bytes(name.as_bytes()).ok().map(Self)).flatten()
    }

    /// Is what was asked for the end of something?
    pub fn removes(&self) -> bool {
        self.0 == Method::DELETE
    }
}

/// What is asked. The method says whether that reads or needs leave.
#[derive(Debug, Clone)]
pub struct Call<M = Reading> {
    /// The method.
    pub method: M,
    /// An absolute URL, or a path (with query) below the connection.
    pub target: String,
    /// Headers besides those of the connection; they win over them.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Option<String>,
    /// TLS settings in place of the connection's.
    pub tls: Option<Tls>,
    /// The largest answer, in bytes after decompression.
    pub max_bytes: u64,
    /// A second look that is no answer to the step's question: not kept for `evidence:`.
    pub aside: bool,
}

impl<M> Call<M> {
    fn new(method: M, target: impl Into<String>) -> Self {
        let (target, headers) = (target.into(), BTreeMap::new());
        Self { method, target, headers, body: None, tls: None, max_bytes: MAX_BYTES, aside: false }
    }

    fn with_body(mut self, kind: &str, body: String) -> Self {
        self.headers.insert(CONTENT_TYPE.as_str().to_owned(), kind.to_owned());
        Self { body: Some(body), ..self }
    }
}

impl Call {
    /// A `GET` with the usual limits.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new(Reading(Method::GET), target)
    }

    /// A `POST` of a form that only asks, as the queries of Prometheus do: it ignores JSON bodies and cuts long URLs.
    pub fn form(target: impl Into<String>, form: &[(&str, String)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Self::new(Reading(Method::POST), target).with_body("application/x-www-form-urlencoded", body)
    }
}

impl Call<Changing> {
    /// A call that changes something, with the usual limits.
    pub fn change(method: Changing, target: impl Into<String>) -> Self {
        Self::new(method, target)
    }

    /// The same with a body of JSON.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.with_body("application/json", body.to_string())
    }
}

/// What was answered, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The address that answered, after redirects and without login.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Arc<Vec<u8>>,
    /// Seconds from the first request to the end of the answer.
    pub seconds: f64,
    /// Cleans what is quoted of it before that is cut to size.
    pub redactor: Redactor,
}

impl Answer {
    /// `Content-Type`, or that there was none.
    pub fn content_type(&self) -> String {
        header(&self.headers, &CONTENT_TYPE).unwrap_or_else(|| "no content type".into())
    }

    /// The server's own time, to the second, where it tells.
    pub fn date(&self) -> Option<Timestamp> {
        let date = header(&self.headers, &DATE)?;
        rfc2822::parse(&date).ok().map(|date| date.timestamp())
    }

    /// The beginning of the body, for messages.
    pub fn excerpt(&self) -> String {
        let mut head = self.body[..self.body.len().min(HEAD)].to_vec();
        if head.len() < self.body.len() {
            self.redactor.mend_cut(&mut head);
        }
        let clean = self.redactor.clean_text(&String::from_utf8_lossy(&head)).into_inner();
        let text: String = clean.chars().take(EXCERPT).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() { "(empty)".into() } else { text }
    }

    /// Is the status 2xx?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The error that this status is, where only 2xx is an answer.
    pub fn refused(&self, expected: &'static str) -> ClientError {
        let hint = match self.status {
            401 => {
                "; the login is missing or wrong: give the connection `basic` or `bearer`. It is not tried again, for servers lock users out"
            }
            403 => "; the login is known, but not allowed to read this",
            404 => "; is the `url` of the connection right, with its path prefix if there is one?",
            429 => "; the server asks to slow down",
            503 => "; the server is starting, stopping or overloaded",
            _ => "",
        };
        let (at, excerpt) = (self.url.clone(), self.excerpt());
        ClientError::Status { at, expected, status: self.status, excerpt, hint }
    }
}

/// Asks, and follows redirects. Any status is an answer.
///
/// # Errors
/// When no whole answer came within the limits, or the settings cannot be used.
pub async fn fetch(wire: Endpoint<'_>, call: &Call) -> Result<Answer, ClientError> {
    follow(wire, call, Hop::first(wire, call, &call.method.0, false)?).await
}

/// Changes something: the request is sent once, whatever becomes of it. Any status is an answer, that of a redirect which
/// would make another request of it too.
///
/// # Errors
/// As of [`fetch`]. Whether anything was changed is not known then.
pub async fn change(
    wire: Endpoint<'_>,
    call: &Call<Changing>,
    _leave: &impl ChangePermit,
) -> Result<Answer, ClientError> {
    follow(wire, call, Hop::first(wire, call, &call.method.0, true)?).await
}

async fn follow<M: Sync>(wire: Endpoint<'_>, call: &Call<M>, mut hop: Hop) -> Result<Answer, ClientError> {
    let started = wire.clock.elapsed();
    let first = hop.url.to_string();
    for _ in 0..=MAX_REDIRECTS {
        let mut answer = exchange(wire, call, &hop, wire.since(started).timeout).await?;
        let Some(next) = hop.next(&answer)? else {
            answer.seconds = wire.clock.elapsed().saturating_sub(started).as_secs_f64();
            if !call.aside {
                wire.log.keep(answer.body.clone());
            }
            return Ok(answer);
        };
        hop = next;
    }
    Err(ClientError::Redirects { at: first, last: hop.url.to_string(), times: MAX_REDIRECTS })
}

/// One request and its answer, taken down whatever becomes of it.
async fn exchange<M: Sync>(
    wire: Endpoint<'_>,
    call: &Call<M>,
    hop: &Hop,
    left: Duration,
) -> Result<Answer, ClientError> {
    let started = wire.clock.elapsed();
    let (method, target) = (hop.method.to_string(), hop.url.to_string());
    let mut taken = Exchange { method, target, sent: hop.body.clone(), ..Exchange::default() };
    let result = tokio::time::timeout(left, send(wire, call, hop, &mut taken)).await;
    let result = result.unwrap_or_else(|_| {
        let stage = match taken.status {
            None => "there was none".to_owned(),
            Some(_) => format!("only {} bytes of it came", taken.bytes),
        };
        Err(ClientError::Timeout { at: taken.target.clone(), after: wire.timeout, stage })
    });
    taken.seconds = wire.clock.elapsed().saturating_sub(started).as_secs_f64();
    wire.log.push(taken);
    result
}

async fn send<M: Sync>(
    wire: Endpoint<'_>,
    call: &Call<M>,
    hop: &Hop,
    taken: &mut Exchange,
) -> Result<Answer, ClientError> {
    let url = hop.url.to_string();
    let failed = |error: &reqwest::Error, bytes| ClientError::of_transport(error, &url, bytes, wire.timeout);
    let none = Tls::default();
    let tls = call.tls.as_ref().or(wire.connection.map(|connection| &connection.tls)).unwrap_or(&none);
    let client =
        tls::client(&wire.systems.shared::<HttpClients>(), (hop.url.scheme() == "https").then_some(tls))?;
    let mut request = client.request(hop.method.clone(), hop.url.clone()).headers(hop.headers.clone());
    if let Some(body) = &hop.body {
        request = request.body(body.clone());
    }
    let mut response = request.send().await.map_err(|error| failed(&error, 0))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    taken.status = Some(i32::from(status));
    taken.content_type = header(&headers, &CONTENT_TYPE);
    taken.server_date = header(&headers, &DATE);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error, taken.bytes))? {
        taken.bytes += chunk.len() as u64;
        if taken.bytes > call.max_bytes {
            return Err(ClientError::TooLarge { at: url, limit: call.max_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    taken.sha256 = Some(sha256(&body));
    Ok(Answer {
        url,
        status,
        headers,
        body: Arc::new(body),
        seconds: 0.0,
        redactor: wire.systems.redactor.clone(),
    })
}

/// One request of a chain of redirects.
struct Hop {
    method: Method,
    /// May it change something?
    changes: bool,
    url: Url,
    headers: HeaderMap,
    body: Option<String>,
}

impl Hop {
    fn first<M>(
        wire: Endpoint<'_>,
        call: &Call<M>,
        method: &Method,
        changes: bool,
    ) -> Result<Self, ClientError> {
        let mut url = address(wire.connection, &call.target)?;
        let mut headers = HeaderMap::new();
        let login = take_login(&mut url);
        if let Some(connection) = wire.connection {
            for (name, value) in &connection.headers {
                insert(&mut headers, name, value.expose(), true)?;
            }
            let basic =
                connection.basic.as_ref().map(|(user, word)| (user.clone(), word.expose().to_owned()));
            if let Some(value) = authorization(connection, basic.or(login)) {
                learn(wire.systems, &value);
                insert(&mut headers, AUTHORIZATION.as_str(), &value, true)?;
            }
        } else if login.is_some() {
            let why = "a URL must not hold a login: put it into a connection of the environment file and name it with `via`";
            return Err(ClientError::new(ErrorCode::BadSettings, why));
        }
        for (name, value) in &call.headers {
            insert(&mut headers, name, value, false)?;
        }
        Ok(Self { method: method.clone(), changes, url, headers, body: call.body.clone() })
    }

    /// The request that a redirect asks for; `None` when the answer is none.
    fn next(&self, answer: &Answer) -> Result<Option<Self>, ClientError> {
        let status = StatusCode::from_u16(answer.status).unwrap_or_default();
        let Some(location) = header(&answer.headers, &LOCATION) else { return Ok(None) };
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if self.changes && !keeps {
            return Ok(None);
        }
        let wrong = |why: String| {
            let message = format!("{} redirects to `{location}`: {why}", self.url);
            ClientError::new(ErrorCode::UnexpectedAnswer, message)
        };
        let mut url = self.url.join(&location).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http and https are followed".into()));
        }
        take_login(&mut url);
        let plain = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let (method, body) = match (keeps || plain, &self.body) {
            (true, body) => (self.method.clone(), body.clone()),
            (false, _) => (Method::GET, None),
        };
        // What was meant for one server is not told to another: neither logins nor bodies.
        let same = url.origin() == self.url.origin();
        if !same && self.changes {
            // The permit is for that system and no other.
            return Ok(None);
        }
        if !same && body.is_some() {
            return Err(wrong("a body is not sent on to another server".into()));
        }
        let mut headers = if same { self.headers.clone() } else { HeaderMap::new() };
        if body.is_none() {
            headers.remove(CONTENT_TYPE);
        }
        Ok(Some(Self { method, changes: self.changes, url, headers, body }))
    }
}

/// The absolute URL: as given, or the path below the connection's.
fn address(connection: Option<&Connection>, target: &str) -> Result<Url, ClientError> {
    let text = match connection {
        None => target.to_owned(),
        Some(connection) => {
            let missing = || {
                let name = &connection.name;
                let message =
                    format!("connection `{name}` has no `url`: give it one in the environment file");
                ClientError::new(ErrorCode::BadConnection, message)
            };
            format!("{}{target}", connection.url.as_deref().ok_or_else(missing)?.trim_end_matches('/'))
        }
    };
    let code = if connection.is_some() { ErrorCode::BadConnection } else { ErrorCode::BadSettings };
    let url = Url::parse(&text).map_err(|error| ClientError::new(code, format!("not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ClientError::new(code, format!("`{}:` is no http or https URL", url.scheme())));
    }
    Ok(url)
}

/// Takes user name and password out of a URL, so that no message and no record shows them.
fn take_login(url: &mut Url) -> Option<(String, String)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = (plain(url.username()), plain(url.password().unwrap_or_default()));
    // Neither can fail: there is a host.
    url.set_username("").ok();
    url.set_password(None).ok();
    Some(login)
}

/// The value of `Authorization`.
fn authorization(connection: &Connection, basic: Option<(String, String)>) -> Option<String> {
    match (&connection.bearer, basic) {
        (Some(token), _) => Some(format!("Bearer {}", token.expose().trim())),
        (None, Some((user, word))) => Some(format!("Basic {}", STANDARD.encode(format!("{user}:{word}")))),
        (None, None) => None,
    }
}

/// Teaches the redactor a composed value, once: learning rebuilds its search.
fn learn(systems: &Systems, value: &str) {
    let clients = systems.shared::<HttpClients>();
    let mut learned = clients.learned.lock().unwrap_or_else(PoisonError::into_inner);
    if learned.insert(value.to_owned()) {
        systems.redactor.learn_composed(value);
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), ClientError> {
    let code = if secret { ErrorCode::BadConnection } else { ErrorCode::BadSettings };
    let wrong = |what: &str| ClientError::new(code, format!("header `{name}`: {what}"));
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("this is no header name"))?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| wrong("its value holds a line break or control character"))?;
    value.set_sensitive(secret);
    headers.insert(key, value);
    Ok(())
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
