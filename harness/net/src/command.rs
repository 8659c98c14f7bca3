//! Runs programs, each in a process group of its own, with a time limit and a limit to what is kept of its output. When
//! the time is over or nobody waits any more the whole group is killed; what a program that has ended left in the
//! background is left alone, for starting a server may be its purpose.

mod secret;
mod streaming;

pub use secret::SECRET;
pub use streaming::{Finished, Input, Output, Streamed, Streaming};

use super::{ClientError, Log};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use proofmark_evidence::undo::Leave;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_model::{CodedError, ErrorCode, Exchange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command as Process};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is kept of each stream, in bytes.
pub const KEPT: usize = 1 << 20;

/// How long a group may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The program and its arguments; no shell reads them.
    pub argv: &'a [String],
    /// The folder to run in; the one Proofmark runs in if there is none.
    pub cwd: Option<&'a str>,
    /// Text for its standard input, which is empty otherwise.
    pub stdin: Option<&'a str>,
    /// Then it is stopped.
    pub timeout: Duration,
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
    _leave: &impl Leave,
) -> Result<Ended, ClientError> {
    let Program { argv, stdin, timeout: limit, .. } = program;
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let started = clock.elapsed();
    let mut running = Running::start(program)?;
    let status = timeout(limit, running.child.wait()).await;
    if status.is_err() {
        running.stop().await;
    }
    running.drain().await;
    running.group.ended();
    let seconds = clock.elapsed().saturating_sub(started).as_secs_f64();
    let (mut stdout, mut stderr) = (running.stdout.taken(), running.stderr.taken());
    for cut in [&mut stdout, &mut stderr].into_iter().filter(|taken| taken.bytes > KEPT as u64) {
        redactor.mend_cut(&mut cut.head);
    }
    let code = status.as_ref().ok().and_then(|status| status.as_ref().ok()).and_then(ExitStatus::code);
    let hash = hex::encode(stdout.hash.clone().finalize());
    let sent = stdin.map(str::to_owned);
    log.push(Exchange { sent, sha256: Some(hash), ..exchange(argv, code, stdout.bytes, seconds) });
    log.keep(Arc::new(stdout.head.clone()));
    let status = match status {
        Ok(status) => status.map_err(|error| {
            ClientError::new(ErrorCode::ProgramFailed, format!("waiting for `{name}`: {error}"))
        })?,
        Err(_) => return Err(late(name, limit, &stderr)),
    };
    Ok(Ended {
        exit: code,
        signal: status.signal(),
        stdout: String::from_utf8_lossy(&stdout.head).into_owned(),
        stderr: String::from_utf8_lossy(&stderr.head).into_owned(),
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

/// A process group. When this is dropped before the end of the process that leads it, all of it is killed.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already.
            killpg(group, signal).ok();
        }
    }

    /// The process has ended; what it left in the background is left alone.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// A process with its group.
struct Running {
    child: Child,
    group: Group,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    fn start(program: Program<'_>) -> Result<Self, ClientError> {
        let Some((name, arguments)) = program.argv.split_first() else {
            return Err(ClientError::new(ErrorCode::BadSettings, "no program is named"));
        };
        let mut process = Process::new(name);
        process.args(arguments).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.stdin(if program.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        if let Some(cwd) = program.cwd {
            // Else the error would read as if the program were not there.
            if !Path::new(cwd).is_dir() {
                return Err(ClientError::new(
                    ErrorCode::NotFound,
                    format!("`cwd: {cwd}` is no folder on this machine"),
                ));
            }
            process.current_dir(cwd);
        }
        let mut child = process.spawn().map_err(|error| not_started(name, &error))?;
        let group = Group::of(&child);
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), program.stdin.map(str::to_owned)) {
            // A program that does not read its input is no mistake, so errors are left alone.
            tokio::spawn(async move { pipe.write_all(text.as_bytes()).await });
        }
        let (stdout, stderr) = (Stream::read(child.stdout.take()), Stream::read(child.stderr.take()));
        Ok(Self { child, group, stdout, stderr })
    }

    /// Asks the group to end, then ends it.
    async fn stop(&mut self) {
        self.group.signal(Signal::SIGTERM);
        timeout(GRACE, self.child.wait()).await.ok();
        self.group.signal(Signal::SIGKILL);
        self.child.wait().await.ok();
    }

    /// Reads on until the streams end. A process left in the background may hold them open for ever, so not for long.
    async fn drain(&mut self) {
        timeout(GRACE, async { tokio::join!(&mut self.stdout.reader, &mut self.stderr.reader) }).await.ok();
        self.stdout.reader.abort();
        self.stderr.reader.abort();
    }
}

/// One of the output streams, read to its end however much comes.
#[derive(Debug)]
struct Stream {
    taken: Arc<Mutex<Taken>>,
    reader: JoinHandle<()>,
}

/// What was read of a stream.
#[derive(Debug, Clone, Default)]
struct Taken {
    head: Vec<u8>,
    bytes: u64,
    hash: Sha256,
}

impl Stream {
    fn read(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let taken = Arc::new(Mutex::new(Taken::default()));
        let into = taken.clone();
        let reader = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut chunk = vec![0; 64 << 10];
            while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
                let mut taken = lock(&into);
                let room = KEPT.saturating_sub(taken.head.len()).min(read);
                taken.head.extend_from_slice(&chunk[..room]);
                taken.bytes += read as u64;
                taken.hash.update(&chunk[..read]);
            }
        });
        Self { taken, reader }
    }

    fn taken(&self) -> Taken {
        lock(&self.taken).clone()
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that has ended, as evidence has it. `bytes` are those of its standard output.
pub fn exchange(argv: &[String], status: Option<i32>, bytes: u64, seconds: f64) -> Exchange {
    let target = argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    Exchange { method: "exec".into(), target, status, bytes, seconds, ..Exchange::default() }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The error of a program that could not be started.
pub fn not_started(program: &str, error: &std::io::Error) -> ClientError {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "it is not there: is it installed, and is its folder in PATH?",
        std::io::ErrorKind::PermissionDenied => "it may not be run: is it executable?",
        _ => "the system refused",
    };
    let message = format!("expected to run `{program}`, but {help} ({error})");
    ClientError::new(ErrorCode::of_start(error.kind()), message)
}

fn late(name: &str, limit: Duration, stderr: &Taken) -> ClientError {
    let said = String::from_utf8_lossy(&stderr.head);
    let said = said.trim_end().lines().next_back().unwrap_or("nothing").to_owned();
    let time = proofmark_model::Duration(limit);
    let message = format!(
        "expected `{name}` to end within {time}, but it did not and was stopped with all its processes; the last it said on standard error: {said}"
    );
    CodedError::new(ErrorCode::Timeout, message).help("raise the step's `timeout` if it needs longer").into()
}
