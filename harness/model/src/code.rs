//! Error codes that a program can act on, beside the message for people. The set of codes is closed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::ErrorKind;

macro_rules! codes { ($($variant:ident $word:literal $means:literal $remedy:literal)+) => {
    /// Why a step saw nothing, or could not act. The words are stable: evidence contains them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    pub enum ErrorCode {
        $(#[doc = $means] #[serde(rename = $word)] $variant),+
    }

    impl ErrorCode {
        /// Every code with what it means and what to do about it; `docs/error-codes.md` prints this.
        pub const TABLE: &'static [(ErrorCode, &'static str, &'static str)] =
            &[$((ErrorCode::$variant, $means, $remedy)),+];

        /// The code as it is written in evidence and reports.
        pub fn word(self) -> &'static str {
            match self { $(Self::$variant => $word),+ }
        }
    }
} }

codes! {
    ConnectionRefused "connection-refused"
        "Nothing listens at the address."
        "Retry. If it lasts, start the system, or correct the `url` of its connection."
    Unreachable "unreachable"
        "No connection could be made to the address, for another reason than a refusal."
        "Retry. If it lasts, look at the network between here and the system, or correct the `url`."
    NameNotResolved "name-not-resolved"
        "The host name of the address is not known here."
        "Correct the `url` of the connection, or the name service of this machine."
    Tls "tls"
        "The server's certificate is not accepted, or ours is not."
        "Set `tls` of the connection: `ca`, `server-name`, `cert` and `key`."
    Timeout "timeout"
        "There was no answer in time, or the program did not end in time."
        "Retry. If it lasts, raise the step's `timeout`, or look at the load of the system."
    CutOff "cut-off"
        "The answer broke off before its end."
        "Retry. If it lasts, look at the server's log and at proxies before it."
    TooLarge "too-large"
        "The answer, or what was to be written, is larger than allowed."
        "Ask for less, or raise the limit where the kind has one."
    RedirectLoop "redirect-loop"
        "The server redirected too often."
        "Correct the `url`, or the server's external address; look for a login page."
    Unauthorized "unauthorized"
        "The login is missing or wrong."
        "Fix the credentials of the connection. Do not retry before: some systems lock the user out."
    Forbidden "forbidden"
        "The login is known, but has no right to do this; or this user has no right to a file."
        "Grant the right, or use another login."
    NotFound "not-found"
        "What the step names does not exist: a path, a file, a table, an object, a container, a process."
        "Correct the name or the address, or create what is missing."
    Conflict "conflict"
        "Something else holds it, has changed it, or already exists under its name."
        "Look at what is there. A lock passes: retry. What another process or person changed is not overwritten."
    RateLimited "rate-limited"
        "The system asks for fewer requests."
        "Retry later."
    Rejected "rejected"
        "The system understood the request and refuses it."
        "Read the message; correct the settings of the step."
    ServerError "server-error"
        "The system failed, is overloaded, or is just starting or stopping."
        "Retry. If it lasts, look at the log of the system."
    UnexpectedAnswer "unexpected-answer"
        "The answer is not of the documented shape."
        "Is it the right system, path and version? A login page or a proxy may have answered."
    Unsupported "unsupported"
        "The system, or its version or configuration, does not offer what the step needs."
        "Configure or upgrade the system, or use another step."
    MissingConnection "missing-connection"
        "The environment has no connection for a role."
        "Add the connection to the environment file, or name another one with `via`."
    BadConnection "bad-connection"
        "What the environment says of a connection cannot be used."
        "Correct the connection in the environment file."
    BadSettings "bad-settings"
        "The settings of the step cannot be used, or its templates cannot be filled in."
        "Correct the scenario file."
    FileUnreadable "file-unreadable"
        "A file of this machine cannot be read."
        "Look at the file; the message has the system's words."
    FileUnwritable "file-unwritable"
        "A file of this machine cannot be written."
        "Look at the folder and the disk; the message has the system's words."
    ProgramMissing "program-missing"
        "A program is not installed, not executable, or not of the version that is needed."
        "Install it, or put its folder into `PATH`; the message names the package where it is known."
    ProgramFailed "program-failed"
        "A program was run and failed."
        "Read what the program wrote; the message ends with it."
    Ambiguous "ambiguous"
        "The step names one thing, and several fit."
        "Describe it more narrowly in the step."
    WrongTarget "wrong-target"
        "What was found is not what may be changed: another machine, another database, not made by Proofmark."
        "Look at where the connection leads. Nothing was changed there."
    BackupUnusable "backup-unusable"
        "A backup or an archive is damaged, incomplete, or not what its manifest says."
        "Use another backup; make a new one and verify it."
    UndoMissing "undo-missing"
        "The record of how to put a change back is gone."
        "Put the change back by hand; the message says what is known of it."
    EvidenceUnwritable "evidence-unwritable"
        "Evidence could not be written, so nothing was changed."
        "Make room on the disk, or make the evidence folder writable."
    NoSpace "no-space"
        "The disk, the store or its quota is full."
        "Make room, or raise the quota."
    Interrupted "interrupted"
        "The run was stopped by a signal or its deadline."
        "Run it again."
    Internal "internal"
        "Proofmark itself is at fault."
        "Report it, with the evidence of the run."
}

impl ErrorCode {
    /// The code of an HTTP status that does not answer the request.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 407 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 | 412 => Self::Conflict,
            429 => Self::RateLimited,
            501 => Self::Unsupported,
            400..500 => Self::Rejected,
            500.. => Self::ServerError,
            _ => Self::UnexpectedAnswer,
        }
    }

    /// The code of an I/O error, or `otherwise` where the error's kind is not specific.
    pub fn of_io(kind: ErrorKind, otherwise: Self) -> Self {
        match kind {
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Self::CutOff,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::Forbidden,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            ErrorKind::AlreadyExists => Self::Conflict,
            _ => otherwise,
        }
    }

    /// The code of a program that could not be started.
    pub fn of_start(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Self::ProgramMissing,
            _ => Self::ProgramFailed,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An error with its code. As text it is "what is wrong; how to fix it".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}{}", if help.is_some() { "; " } else { "" }, help.as_deref().unwrap_or_default())]
pub struct CodedError {
    /// The code that a program can act on.
    pub code: ErrorCode,
    /// What was expected, what happened, and where.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// Whether another attempt may succeed. A refused connection may succeed later; a 401 does not.
    pub transient: bool,
}

impl CodedError {
    /// An error that a second attempt does not fix.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, transient: false }
    }

    /// The same error with advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same error, marked so that another attempt is allowed.
    #[must_use]
    pub fn transient(self) -> Self {
        Self { transient: true, ..self }
    }

    /// The same error, marked so that no other attempt is made.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { transient: false, ..self }
    }
}

/// Separates the message from the advice where a library carries only one text. Only the alternate form writes it.
const BEFORE_HELP: char = '\u{1f}';

/// What is wrong with a setting, and how to fix it. As text it is "what is wrong; how to fix it".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingMistake {
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl SettingMistake {
    /// A mistake without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// The same mistake with advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Recovers the mistake that serde passes on as the text of an error; any other text becomes a message without
    /// advice.
    pub fn passed_on(error: &impl fmt::Display) -> Self {
        let text = format!("{error:#}");
        match text.split_once(BEFORE_HELP) {
            Some((message, help)) => Self::new(message).help(help),
            None => Self::new(text),
        }
    }
}

impl std::error::Error for SettingMistake {}

impl fmt::Display for SettingMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) if f.alternate() => write!(f, "{BEFORE_HELP}{help}"),
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl From<SettingMistake> for CodedError {
    fn from(mistake: SettingMistake) -> Self {
        let SettingMistake { message, help } = mistake;
        Self { help, ..Self::new(ErrorCode::BadSettings, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_its_word_and_read_back() {
        for (code, means, remedy) in ErrorCode::TABLE {
            let written = serde_json::to_value(code).unwrap();
            assert_eq!(written, code.word());
            assert_eq!(serde_json::from_value::<ErrorCode>(written).unwrap(), *code);
            let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(code.word().chars().all(kebab), "{code}");
            assert!(means.ends_with('.') && remedy.ends_with('.'), "{code}");
        }
        assert!(serde_json::from_str::<ErrorCode>(r#""no-such-code""#).is_err());
    }

    #[test]
    fn a_status_has_the_code_of_what_is_to_be_done() {
        for (status, code) in [
            (200, ErrorCode::UnexpectedAnswer),
            (302, ErrorCode::UnexpectedAnswer),
            (400, ErrorCode::Rejected),
            (401, ErrorCode::Unauthorized),
            (403, ErrorCode::Forbidden),
            (404, ErrorCode::NotFound),
            (408, ErrorCode::Timeout),
            (409, ErrorCode::Conflict),
            (422, ErrorCode::Rejected),
            (429, ErrorCode::RateLimited),
            (500, ErrorCode::ServerError),
            (501, ErrorCode::Unsupported),
            (503, ErrorCode::ServerError),
            (504, ErrorCode::Timeout),
            (599, ErrorCode::ServerError),
        ] {
            assert_eq!(ErrorCode::of_status(status), code, "{status}");
        }
    }

    #[test]
    fn errors_of_files_connections_and_programs_have_codes() {
        for (kind, code) in [
            (ErrorKind::ConnectionRefused, ErrorCode::ConnectionRefused),
            (ErrorKind::TimedOut, ErrorCode::Timeout),
            (ErrorKind::UnexpectedEof, ErrorCode::CutOff),
            (ErrorKind::NotFound, ErrorCode::NotFound),
            (ErrorKind::PermissionDenied, ErrorCode::Forbidden),
            (ErrorKind::StorageFull, ErrorCode::NoSpace),
            (ErrorKind::IsADirectory, ErrorCode::FileUnwritable),
        ] {
            assert_eq!(ErrorCode::of_io(kind, ErrorCode::FileUnwritable), code, "{kind}");
        }
        assert_eq!(ErrorCode::of_start(ErrorKind::NotFound), ErrorCode::ProgramMissing);
        assert_eq!(ErrorCode::of_start(ErrorKind::PermissionDenied), ErrorCode::ProgramMissing);
        assert_eq!(ErrorCode::of_start(ErrorKind::OutOfMemory), ErrorCode::ProgramFailed);
    }

    #[test]
    fn advice_follows_the_message_and_is_kept_apart() {
        let error = CodedError::new(ErrorCode::NotFound, "no file `a; b`").help("create it");
        assert_eq!(error.to_string(), "no file `a; b`; create it");
        assert_eq!(error.help.as_deref(), Some("create it"));
        assert_eq!(CodedError::new(ErrorCode::Internal, "no help").to_string(), "no help");
    }

    #[test]
    fn advice_survives_where_a_library_carries_one_text() {
        let mistake = SettingMistake::new("`a; b` is no name").help("write one; or none");
        assert_eq!(mistake.to_string(), "`a; b` is no name; write one; or none");
        assert_eq!(SettingMistake::passed_on(&mistake), mistake);
        let other = "what; a library says";
        assert_eq!(SettingMistake::passed_on(&other), SettingMistake::new(other));
        let coded = CodedError::from(mistake.clone());
        assert_eq!((coded.code, coded.to_string()), (ErrorCode::BadSettings, mistake.to_string()));
    }
}
