//! Runs programs, each in a process group of its own, with a time limit and a limit to what is kept of its output. When
//! the time is over or nobody waits any more the whole group is killed; what a program that has ended left in the
//! background is left alone, for starting a server may be its purpose.
//!
//! Every program is started here, and is an exchange in the log that it is given: [`run`] takes one that may change
//! something, [`ask`] one that only reads, [`Streaming`] one whose input and output are of any length, and [`detach`] one
//! that lives on after us.

mod ask;
mod detached;
mod process;
mod secret;
mod streaming;

pub use ask::{ProgramAnswer, ProgramFailure, ask};
pub use detached::{SETSID, detach};
pub use process::KEPT;
pub use secret::SECRET;
pub use streaming::{Finished, Input, Output, Streamed, Streaming};

use super::{ClientError, Log};
use process::{Captured, Completed, ProcessSpec, complete};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_model::{CodedError, ErrorCode, Exchange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The program and its arguments; no shell reads them.
    pub argv: &'a [String],
    /// The folder to run in; the one Proofmark runs in if there is none.
    pub cwd: Option<&'a Path>,
    /// Variables beside those of this process. They are never written down: the place for secrets.
    pub env: &'a [(String, String)],
    /// Text for its standard input, which is empty otherwise.
    pub stdin: Option<&'a str>,
    /// Then it is stopped.
    pub timeout: Duration,
}

impl<'a> Program<'a> {
    /// In the folder that Proofmark runs in, with its variables, and nothing to read.
    pub fn new(argv: &'a [String], timeout: Duration) -> Self {
        Self { argv, cwd: None, env: &[], stdin: None, timeout }
    }

    fn spec(self) -> ProcessSpec<'a> {
        let Self { argv, cwd, env, stdin, .. } = self;
        ProcessSpec { argv, cwd, env, input: stdin.is_some() }
    }
}

/// How it ended and what it said.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ended {
    /// Exit status; `null` when a signal ended it.
    pub exit: Option<i32>,
    /// The number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Standard output as text, at most its first MiB; U+FFFD stands for what is not UTF-8.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Bytes of standard output in all.
    pub stdout_bytes: u64,
    /// Bytes of standard error in all.
    pub stderr_bytes: u64,
    /// Seconds that it ran.
    pub seconds: f64,
}

/// Runs a program to its end.
///
/// # Errors
/// A program that is not there, may not be run, or does not end in time.
pub async fn run(
    program: Program<'_>,
    (clock, redactor, log): (&Clock, &Redactor, &Log),
    _leave: &impl ChangePermit,
) -> Result<Ended, ClientError> {
    let Program { argv, cwd, stdin, timeout: limit, .. } = program;
    let Some(name) = argv.first() else {
        return Err(ClientError::new(ErrorCode::BadSettings, "no program is named"));
    };
    // Else the error would read as if the program were not there.
    if let Some(cwd) = cwd.filter(|cwd| !cwd.is_dir()) {
        let message = format!("`cwd: {}` is no folder on this machine", cwd.display());
        return Err(ClientError::new(ErrorCode::NotFound, message));
    }
    let completed = complete(program.spec(), (stdin, limit), (clock, log)).await;
    let completed = completed.map_err(|error| not_started(name, &error))?;
    let Completed { status, mut stdout, mut stderr, seconds } = completed;
    for cut in [&mut stdout, &mut stderr].into_iter().filter(|captured| captured.is_cut()) {
        redactor.mend_cut(&mut cut.head);
    }
    log.keep(Arc::new(stdout.head.clone()));
    let status = status.ok_or_else(|| late(name, limit, &stderr))?.map_err(|error| {
        ClientError::new(ErrorCode::ProgramFailed, format!("waiting for `{name}`: {error}"))
    })?;
    Ok(Ended {
        exit: status.code(),
        signal: status.signal(),
        stdout: stdout.text(),
        stderr: stderr.text(),
        stdout_bytes: stdout.bytes,
        stderr_bytes: stderr.bytes,
        seconds,
    })
}

impl Ended {
    /// How it ended, in words.
    pub fn how(&self) -> String {
        Self::in_words(self.exit, self.signal)
    }

    fn in_words(exit: Option<i32>, signal: Option<i32>) -> String {
        match (exit, signal) {
            (Some(exit), _) => exit.to_string(),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "not known".into(),
        }
    }

    /// The last that it said on standard error.
    pub fn last(&self) -> &str {
        self.stderr.trim_end().lines().next_back().unwrap_or("nothing")
    }
}

/// A program that has ended, as evidence has it. `bytes` are those of its standard output.
fn exchange(argv: &[String], status: Option<i32>, bytes: u64, seconds: f64) -> Exchange {
    let target = argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    Exchange { method: "exec".into(), target, status, bytes, seconds, ..Exchange::default() }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn not_started(program: &str, error: &std::io::Error) -> ClientError {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "it is not there: is it installed, and is its folder in PATH?",
        std::io::ErrorKind::PermissionDenied => "it may not be run: is it executable?",
        _ => "the system refused",
    };
    let message = format!("expected to run `{program}`, but {help} ({error})");
    ClientError::new(ErrorCode::of_start(error.kind()), message)
}

fn late(name: &str, limit: Duration, stderr: &Captured) -> ClientError {
    let said = stderr.text();
    let said = said.trim_end().lines().next_back().unwrap_or("nothing").to_owned();
    let time = proofmark_model::Duration(limit);
    let message = format!(
        "expected `{name}` to end within {time}, but it did not and was stopped with all its processes; the last it said on standard error: {said}"
    );
    CodedError::new(ErrorCode::Timeout, message).help("raise the step's `timeout` if it needs longer").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> [String; 3] {
        ["sh", "-c", script].map(str::to_owned)
    }

    async fn asked(script: &str, limit: Duration) -> (Result<ProgramAnswer, ProgramFailure>, Exchange) {
        let (argv, log) = (sh(script), Log::default());
        let env = [("SECRET".to_owned(), "hush-hush".to_owned())];
        let program = Program { env: &env, ..Program::new(&argv, limit) };
        let answer = ask(program, (&Clock::real(), &log)).await;
        let [exchange] = log.take().try_into().unwrap();
        assert!(!serde_json::to_string(&exchange).unwrap().contains("hush-hush"));
        (answer, exchange)
    }

    #[tokio::test]
    async fn a_program_that_is_asked_is_an_exchange_however_it_ends() {
        let long = Duration::from_secs(60);
        let (answer, exchange) = asked("echo $SECRET; echo why >&2; exit 3", long).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status.code(), &*answer.stderr), (Some(3), "why\n"));
        assert_eq!((&*answer.stdout, exchange.status, exchange.bytes), (&b"hush-hush\n"[..], Some(3), 10));

        let (answer, exchange) = asked("echo x; exec sleep 600", Duration::from_millis(200)).await;
        assert!(matches!(answer, Err(ProgramFailure::TimedOut(_))), "{answer:?}");
        assert_eq!((exchange.status, exchange.seconds < 60.), (None, true));

        let (answer, exchange) = asked("head -c 1048577 /dev/zero", long).await;
        assert!(matches!(answer, Err(ProgramFailure::TooLong)), "{answer:?}");
        assert_eq!((exchange.status, exchange.bytes), (Some(0), 1_048_577));
    }

    #[tokio::test]
    async fn a_program_that_nobody_waits_for_is_killed_and_is_an_exchange() {
        let (argv, log, clock) = (sh("sleep 600 & wait"), Log::default(), Clock::real());
        let asked = ask(Program::new(&argv, Duration::from_secs(60)), (&clock, &log));
        assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
        let taken = log.take();
        assert_eq!((taken.len(), taken[0].status), (1, None));
        assert_eq!(taken[0].target, "sh -c 'sleep 600 & wait'");
    }
}
