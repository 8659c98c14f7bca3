//! Why a client got no usable answer: what was expected, what happened, where, and how to mend it.

use super::http::Answer;
use proofmark_model::{CodedError, ErrorCode};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

const UNREACHABLE: &str = "is it running, and is the `url` of its connection in the environment file right?";
const TIMEOUT: &str = "is it overloaded, or is the step's `timeout` too short?";
const CUT_OFF: &str =
    "the server or something before it (a proxy, a port-forward) has dropped the connection";
const CERTIFICATE: &str = "`tls` of the connection takes `ca` (certificates to trust), `server-name`, `cert` and `key`, or `insecure: true`";
const TOO_LARGE: &str = "ask for less, or raise `max-bytes` where the kind has it";
const SHAPE: &str = "is this the right server and path?";

/// Why there is no usable answer. `at` is an address without login.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// What its code says: settings that cannot be used, a program that failed, an answer that cannot be trusted.
    #[error(transparent)]
    Coded(#[from] CodedError),
    /// Nobody took the connection.
    #[error("expected an answer from {at}, but no connection could be made: {why}; {UNREACHABLE}")]
    Unreachable {
        /// Where.
        at: String,
        /// Refused, no such name, no way there, or too late.
        code: ErrorCode,
        /// The deepest cause.
        why: String,
    },
    /// The time was over.
    #[error("expected an answer from {at} within {after:?}, but {stage}; {TIMEOUT}")]
    Timeout {
        /// Where.
        at: String,
        /// The time there was.
        after: Duration,
        /// How far it came.
        stage: String,
    },
    /// The answer broke off.
    #[error("expected a whole answer from {at}, but it broke off after {bytes} bytes: {why}; {CUT_OFF}")]
    CutOff {
        /// Where.
        at: String,
        /// Bytes read before it broke off.
        bytes: u64,
        /// The deepest cause.
        why: String,
    },
    /// The server's certificate is not accepted, or ours is not.
    #[error("expected a TLS connection to {at} that can be trusted, but: {why}; {CERTIFICATE}")]
    Certificate {
        /// Where.
        at: String,
        /// What rustls says.
        why: String,
    },
    /// The answer is larger than allowed.
    #[error(
        "expected at most {limit} bytes from {at} (counted after decompression), but there are more; {TOO_LARGE}"
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
        "expected {expected} from {at}, but the answer ({content_type}) cannot be read as that: {why}; it begins with: {excerpt}; {SHAPE}"
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
        /// Not there, not allowed, or another reason.
        code: ErrorCode,
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
    /// An error of this code that no second attempt fixes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        CodedError::new(code, message).into()
    }

    /// What a program can act on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Coded(error) => error.code,
            Self::Unreachable { code, .. } | Self::File { code, .. } => *code,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::CutOff { .. } => ErrorCode::CutOff,
            Self::Certificate { .. } => ErrorCode::Tls,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Redirects { .. } => ErrorCode::RedirectLoop,
            Self::Status { status, .. } => ErrorCode::of_status(*status),
            Self::Shape { .. } => ErrorCode::UnexpectedAnswer,
            Self::Api { status, kind, .. } => refusal(*status, kind),
            Self::Sql { code, .. } => sql_state(code),
        }
    }

    /// How to fix it. The error as text ends with it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Coded(error) => error.help.as_deref(),
            Self::Unreachable { .. } => Some(UNREACHABLE),
            Self::Timeout { .. } => Some(TIMEOUT),
            Self::CutOff { .. } => Some(CUT_OFF),
            Self::Certificate { .. } => Some(CERTIFICATE),
            Self::TooLarge { .. } => Some(TOO_LARGE),
            Self::Shape { .. } => Some(SHAPE),
            Self::Redirects { .. } => None,
            Self::Status { hint, .. }
            | Self::File { hint, .. }
            | Self::Api { hint, .. }
            | Self::Sql { hint, .. } => hint.strip_prefix("; "),
        }
    }

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
            Self::Coded(error) => error.transient,
            Self::Certificate { .. }
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
    pub fn of_shape(answer: &Answer, expected: &'static str, why: &str) -> Self {
        let (at, content_type, excerpt) = (answer.url.clone(), answer.content_type(), answer.excerpt());
        Self::Shape { at, expected, content_type, why: why.to_owned(), excerpt }
    }

    /// Reads what the HTTP library says.
    pub fn of_transport(error: &reqwest::Error, at: &str, bytes: u64, after: Duration) -> Self {
        let (at, why) = (at.to_owned(), deepest(error));
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::Certificate { at, why: tls.to_string() };
        }
        match error {
            _ if error.is_connect() && error.is_timeout() => {
                Self::Unreachable { at, code: ErrorCode::Timeout, why: "connecting took too long".into() }
            }
            _ if error.is_timeout() => Self::Timeout { at, after, stage: "it did not come".into() },
            _ if error.is_connect() => Self::Unreachable { at, code: no_connection(error), why },
            _ if error.is_builder() => {
                Self::new(ErrorCode::BadConnection, format!("the request to {at} cannot be made: {why}"))
            }
            _ => Self::CutOff { at, bytes, why },
        }
    }
}

impl From<ClientError> for CodedError {
    fn from(error: ClientError) -> Self {
        let (code, transient, text) = (error.code(), error.is_transient(), error.to_string());
        let help = error.help().map(str::to_owned);
        let parts = help.as_ref().and_then(|help| text.strip_suffix(help.as_str())?.strip_suffix("; "));
        Self { code, message: parts.unwrap_or(&text).to_owned(), help, transient }
    }
}

/// Why no connection was made. The name service has no error of its own: the standard library only words it.
pub fn no_connection(error: &(dyn Error + 'static)) -> ErrorCode {
    if deepest(error).starts_with("failed to lookup address information") {
        return ErrorCode::NameNotResolved;
    }
    match cause::<std::io::Error>(error).map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => ErrorCode::ConnectionRefused,
        Some(ErrorKind::TimedOut) => ErrorCode::Timeout,
        // The socket in a folder.
        Some(ErrorKind::NotFound) => ErrorCode::ConnectionRefused,
        _ => ErrorCode::Unreachable,
    }
}

/// What a server that answers in its own words means: by its name for the error, else by the status.
fn refusal(status: u16, kind: &str) -> ErrorCode {
    match kind {
        "timeout" => ErrorCode::Timeout,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "InvalidTokenId" => ErrorCode::Unauthorized,
        "XMinioStorageFull" => ErrorCode::NoSpace,
        _ if kind.contains("QuotaExceeded") => ErrorCode::NoSpace,
        // An answer that began well and ended badly.
        "canceled" => ErrorCode::ServerError,
        _ if status < 300 => ErrorCode::ServerError,
        _ => ErrorCode::of_status(status),
    }
}

/// What a SQLSTATE means.
fn sql_state(code: &str) -> ErrorCode {
    match (code, code.get(..2).unwrap_or_default()) {
        ("57014" | "25P03", _) => ErrorCode::Timeout,
        ("42501", _) => ErrorCode::Forbidden,
        ("3D000" | "3F000" | "42P01", _) => ErrorCode::NotFound,
        ("53100", _) => ErrorCode::NoSpace,
        ("55P03" | "55006", _) | (_, "40") => ErrorCode::Conflict,
        (_, "28") => ErrorCode::Unauthorized,
        (_, "0A") => ErrorCode::Unsupported,
        (_, "08" | "53" | "57" | "58" | "XX") => ErrorCode::ServerError,
        _ => ErrorCode::Rejected,
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
pub fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The cause of a type. An I/O error hides what it wraps from `source`, so that is looked into.
pub fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => cause(inner),
        None => error.source().and_then(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, kind: &str) -> ClientError {
        let (at, message) = ("here".to_owned(), "no".to_owned());
        ClientError::Api { at, status, kind: kind.to_owned(), message, hint: "" }
    }

    #[test]
    fn what_a_server_says_has_a_code() {
        for (error, code) in [
            (api(400, "bad_data"), ErrorCode::Rejected),
            (api(422, "execution"), ErrorCode::Rejected),
            (api(503, "timeout"), ErrorCode::Timeout),
            (api(503, "canceled"), ErrorCode::ServerError),
            (api(403, "AccessDenied"), ErrorCode::Forbidden),
            (api(403, "InvalidAccessKeyId"), ErrorCode::Unauthorized),
            (api(404, "NoSuchBucket"), ErrorCode::NotFound),
            (api(412, "PreconditionFailed"), ErrorCode::Conflict),
            (api(507, "XMinioStorageFull"), ErrorCode::NoSpace),
            (api(200, "InternalError"), ErrorCode::ServerError),
        ] {
            assert_eq!(error.code(), code, "{error}");
        }
        for (state, code) in [
            ("28P01", ErrorCode::Unauthorized),
            ("42501", ErrorCode::Forbidden),
            ("3D000", ErrorCode::NotFound),
            ("42P01", ErrorCode::NotFound),
            ("57014", ErrorCode::Timeout),
            ("57P03", ErrorCode::ServerError),
            ("53300", ErrorCode::ServerError),
            ("53100", ErrorCode::NoSpace),
            ("40001", ErrorCode::Conflict),
            ("55P03", ErrorCode::Conflict),
            ("0A000", ErrorCode::Unsupported),
            ("42601", ErrorCode::Rejected),
            ("", ErrorCode::Rejected),
        ] {
            assert_eq!(sql_state(state), code, "{state}");
        }
    }

    #[test]
    fn a_connection_that_is_not_made_says_why() {
        let refused = std::io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(no_connection(&refused), ErrorCode::ConnectionRefused);
        assert_eq!(
            no_connection(&std::io::Error::from(ErrorKind::NetworkUnreachable)),
            ErrorCode::Unreachable
        );
        let nobody = "failed to lookup address information: Name or service not known";
        assert_eq!(no_connection(&std::io::Error::other(nobody)), ErrorCode::NameNotResolved);
    }

    /// The text is what evidence has always had; the parts are the text.
    #[test]
    fn message_and_help_make_up_the_text() {
        let at = || "http://here/".to_owned();
        let hint = "; ask again";
        for error in [
            CodedError::new(ErrorCode::NotFound, "nothing; here").help("look; there").into(),
            ClientError::Unreachable { at: at(), code: ErrorCode::Unreachable, why: "no way".into() },
            ClientError::Timeout { at: at(), after: Duration::from_secs(1), stage: "late".into() },
            ClientError::CutOff { at: at(), bytes: 7, why: "gone".into() },
            ClientError::Certificate { at: at(), why: "expired".into() },
            ClientError::TooLarge { at: at(), limit: 7 },
            ClientError::Status { at: at(), expected: "x", status: 401, excerpt: "no".into(), hint },
            ClientError::Sql { at: at(), code: "28000".into(), message: "no".into(), hint },
        ] {
            let (text, transient) = (error.to_string(), error.is_transient());
            let help = error.help().map(str::to_owned);
            let coded = CodedError::from(error);
            assert_eq!(coded.to_string(), text);
            assert_eq!((coded.help.clone(), coded.transient), (help, transient), "{text}");
            assert!(coded.help.is_some_and(|help| text.ends_with(&help)), "{text}");
        }
        let bare = ClientError::Redirects { at: at(), last: at(), times: 10 };
        assert_eq!((bare.help(), CodedError::from(bare.clone()).to_string()), (None, bare.to_string()));
        let text = "expected an answer from http://here/, but no connection could be made: no way; is it running, and is the `url` of its connection in the environment file right?";
        let error = ClientError::Unreachable { at: at(), code: ErrorCode::Unreachable, why: "no way".into() };
        assert_eq!(error.to_string(), text);
    }
}
