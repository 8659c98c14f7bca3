//! Why a client got no usable answer: what was expected, what happened, where, and how to mend it.

use super::http::Answer;
use std::error::Error;
use std::time::Duration;

/// Why there is no usable answer. `at` is an address without login.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// A setting of a connection or a request cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Nobody took the connection.
    #[error(
        "expected an answer from {at}, but no connection could be made: {why}; is it running, and is the `url` of its connection in the environment file right?"
    )]
    Unreachable {
        /// Where.
        at: String,
        /// The deepest cause.
        why: String,
    },
    /// The time was over.
    #[error(
        "expected an answer from {at} within {after:?}, but {stage}; is it overloaded, or is the step's `timeout` too short?"
    )]
    Timeout {
        /// Where.
        at: String,
        /// The time there was.
        after: Duration,
        /// How far it came.
        stage: String,
    },
    /// The answer broke off.
    #[error(
        "expected a whole answer from {at}, but it broke off after {bytes} bytes: {why}; the server or something before it (a proxy, a port-forward) has dropped the connection"
    )]
    CutOff {
        /// Where.
        at: String,
        /// Bytes read before it broke off.
        bytes: u64,
        /// The deepest cause.
        why: String,
    },
    /// The server's certificate is not accepted, or ours is not.
    #[error(
        "expected a TLS connection to {at} that can be trusted, but: {why}; `tls` of the connection takes `ca` (certificates to trust), `server-name`, `cert` and `key`, or `insecure: true`"
    )]
    Certificate {
        /// Where.
        at: String,
        /// What rustls says.
        why: String,
    },
    /// The answer is larger than allowed.
    #[error(
        "expected at most {limit} bytes from {at} (counted after decompression), but there are more; ask for less, or raise `max-bytes` where the kind has it"
    )]
    TooLarge {
        /// Where.
        at: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Redirected too often.
    #[error(
        "expected an answer from {at}, but was redirected {times} times, last to {last}: a redirect loop; is a login page or a wrong external URL in between?"
    )]
    Redirects {
        /// Where it began.
        at: String,
        /// Where it ended.
        last: String,
        /// How often.
        times: usize,
    },
    /// A status that means there is no answer to the question.
    #[error("expected {expected} from {at}, but the status is {status}: {excerpt}{hint}")]
    Status {
        /// Where.
        at: String,
        /// What was expected.
        expected: &'static str,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        excerpt: String,
        /// How to mend it.
        hint: &'static str,
    },
    /// The answer is no JSON, or not of the documented shape.
    #[error(
        "expected {expected} from {at}, but the answer ({content_type}) cannot be read as that: {why}; it begins with: {excerpt}; is this the right server and path?"
    )]
    Shape {
        /// Where.
        at: String,
        /// What was expected.
        expected: &'static str,
        /// `Content-Type` of the answer.
        content_type: String,
        /// What the parser says.
        why: String,
        /// The beginning of the body.
        excerpt: String,
    },
    /// A file or a path of this machine cannot be looked at.
    #[error("expected to read {at}, but: {why}{hint}")]
    File {
        /// Its path.
        at: String,
        /// What the system says.
        why: String,
        /// How to mend it.
        hint: &'static str,
        /// May another look succeed?
        transient: bool,
    },
    /// The server understood and says no.
    #[error("expected a result from {at}, but it answered {status} with {kind}: {message}{hint}")]
    Api {
        /// Where.
        at: String,
        /// The HTTP status.
        status: u16,
        /// The server's name for the error: `bad_data`, `execution`, `timeout`.
        kind: String,
        /// The server's words.
        message: String,
        /// How to mend it.
        hint: &'static str,
    },
    /// The database understood and says no.
    #[error("expected an answer from {at}, but the database says {code}: {message}{hint}")]
    Sql {
        /// Where.
        at: String,
        /// SQLSTATE, five letters and digits.
        code: String,
        /// The database's words, with its detail and hint.
        message: String,
        /// How to mend it.
        hint: &'static str,
    },
}

impl ClientError {
    /// May another attempt succeed? A refused connection may; a 401 may not.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::CutOff { .. } => true,
            Self::Status { status, .. } => passing(*status),
            Self::Api { status, kind, .. } => {
                passing(*status) || matches!(kind.as_str(), "timeout" | "canceled")
            }
            Self::File { transient, .. } => *transient,
            Self::Sql { code, .. } => passing_state(code),
            Self::Unusable(_)
            | Self::Certificate { .. }
            | Self::TooLarge { .. }
            | Self::Redirects { .. }
            | Self::Shape { .. } => false,
        }
    }

    /// Did the server say in so many words that it does not do this? Then nothing was changed.
    pub fn is_refusal(&self) -> bool {
        let known = matches!(self, Self::Api { status: 400 | 401 | 403 | 404 | 405, .. });
        known && !self.is_transient()
    }

    /// The answer is not of the shape that was expected.
    pub(super) fn of_shape(answer: &Answer, expected: &'static str, why: &str) -> Self {
        let (at, content_type, excerpt) = (answer.url.clone(), answer.content_type(), answer.excerpt());
        Self::Shape { at, expected, content_type, why: why.to_owned(), excerpt }
    }

    /// Reads what the HTTP library says.
    pub(super) fn of_transport(error: &reqwest::Error, at: &str, bytes: u64, after: Duration) -> Self {
        let (at, why) = (at.to_owned(), deepest(error));
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::Certificate { at, why: tls.to_string() };
        }
        match error {
            _ if error.is_connect() && error.is_timeout() => {
                Self::Unreachable { at, why: "connecting took too long".into() }
            }
            _ if error.is_timeout() => Self::Timeout { at, after, stage: "it did not come".into() },
            _ if error.is_connect() => Self::Unreachable { at, why },
            _ if error.is_builder() => Self::Unusable(format!("the request to {at} cannot be made: {why}")),
            _ => Self::CutOff { at, bytes, why },
        }
    }
}

/// A status that may be another one soon.
fn passing(status: u16) -> bool {
    status == 429 || status >= 500
}

/// A SQLSTATE that may be another one soon: connections, resources, locks, cancelled and restarting; and what is not
/// there yet, for a migration or a restore may be under way.
fn passing_state(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57" | "40"))
        || matches!(code, "55P03" | "3D000" | "3F000" | "42P01" | "25P03")
}

/// The innermost cause in words: the outer ones only say that something failed.
pub(super) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The cause of a type. An I/O error hides what it wraps from `source`, so that is looked into.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => cause(inner),
        None => error.source().and_then(cause),
    }
}
