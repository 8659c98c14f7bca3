//! The only place that starts a program. A started program always has an entry in a [`Log`]: it is written when the program
//! has ended, or when nobody waits for it any more.
//!
//! The process group is kept here rather than by the crate `process-wrap` (10.0), for three reasons. Its groups are not
//! killed on drop: `KillOnDrop` reaches the leader only, and a step that is cancelled must leave no process. Its `wait` goes
//! on until the whole group has ended, with a thread in `waitpid` that a dropped future does not stop, while a program may
//! leave a server in the background on purpose. And `setpgid` and `killpg`, which is all that remains, are one call each of
//! tokio and nix, which are here anyway.

use super::{exchange, quoted};
use crate::Log;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use proofmark_model::Exchange;
use proofmark_model::clock::Clock;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is kept of each stream, in bytes.
pub const KEPT: usize = 1 << 20;

/// How long a group may take to end after it was asked to.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How to start a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProcessSpec<'a> {
    /// The program and its arguments; no shell reads them.
    pub(super) argv: &'a [String],
    /// The folder to run in; the one Proofmark runs in if there is none.
    pub(super) cwd: Option<&'a Path>,
    /// Variables beside those of this process. They are never written down.
    pub(super) env: &'a [(String, String)],
    /// Does it read its standard input? Else that is empty.
    pub(super) input: bool,
}

/// A process, its group, and its entry in evidence.
#[derive(Debug)]
pub(super) struct ProgramProcess {
    pub(super) child: Child,
    pub(super) group: ProcessGroup,
    pub(super) entry: ProgramEntry,
}

impl ProcessSpec<'_> {
    fn command(self) -> io::Result<Command> {
        let Some((name, arguments)) = self.argv.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is named"));
        };
        let mut command = Command::new(name);
        command.args(arguments).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = self.cwd {
            command.current_dir(cwd);
        }
        command.stdin(if self.input { Stdio::piped() } else { Stdio::null() });
        Ok(command)
    }

    /// Starts it in a process group of its own, with pipes for what it says.
    pub(super) fn start(self, (clock, log): (&Clock, &Log)) -> io::Result<ProgramProcess> {
        let mut command = self.command()?;
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = clock.elapsed();
        let child = command.spawn()?;
        let (group, argv) = (ProcessGroup::of(&child), self.argv.to_vec());
        let entry =
            ProgramEntry { argv, clock: clock.clone(), log: log.clone(), started, bytes: 0, open: true };
        Ok(ProgramProcess { child, group, entry })
    }

    /// Starts it so that it lives on after us; what it says goes nowhere. It has no group of its own, for it is expected to
    /// make a session, and who leads a group cannot. The entry, with the words after the first `hidden`, has no end.
    pub(super) fn detach(self, hidden: usize, log: &Log) -> io::Result<Child> {
        let words = self.argv.iter().skip(hidden).map(|word| quoted(word)).collect::<Vec<_>>();
        log.push(Exchange { method: "start".into(), target: words.join(" "), ..Exchange::default() });
        self.command()?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }
}

/// The entry of a program in evidence. It is written once: when the program has ended, or when this is dropped before.
#[derive(Debug)]
pub(super) struct ProgramEntry {
    argv: Vec<String>,
    clock: Clock,
    log: Log,
    started: Duration,
    /// Bytes that were read of its standard output.
    pub(super) bytes: u64,
    open: bool,
}

impl ProgramEntry {
    /// Seconds since the program was started.
    pub(super) fn seconds(&self) -> f64 {
        self.clock.elapsed().saturating_sub(self.started).as_secs_f64()
    }

    /// Writes it. `status`: `None` where a signal ended the program, or it was stopped. `sent` and `sha256` of `more` are
    /// taken over.
    pub(super) fn close(&mut self, status: Option<i32>, seconds: f64, more: Exchange) {
        self.open = false;
        let Exchange { sent, sha256, .. } = more;
        self.log.push(Exchange { sent, sha256, ..exchange(&self.argv, status, self.bytes, seconds) });
    }
}

impl Drop for ProgramEntry {
    fn drop(&mut self) {
        if self.open {
            self.close(None, self.seconds(), Exchange::default());
        }
    }
}

/// A process group. When this is dropped before the end of the process that leads it, all of it is killed.
#[derive(Debug)]
pub(super) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
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
    pub(super) fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// One of the output streams, read to its end however much comes.
#[derive(Debug)]
pub(super) struct CapturedStream {
    captured: Arc<Mutex<Captured>>,
    pub(super) reader: JoinHandle<()>,
}

/// What was read of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured {
    /// Its first bytes, at most [`KEPT`].
    pub(super) head: Vec<u8>,
    /// Bytes in all.
    pub(super) bytes: u64,
    /// Of all of them.
    pub(super) hash: Sha256,
}

impl Captured {
    pub(super) fn is_cut(&self) -> bool {
        self.bytes > KEPT as u64
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }
}

impl CapturedStream {
    pub(super) fn read(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let captured = Arc::new(Mutex::new(Captured::default()));
        let into = captured.clone();
        let reader = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut chunk = vec![0; 64 << 10];
            while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
                let mut captured = lock(&into);
                let room = KEPT.saturating_sub(captured.head.len()).min(read);
                captured.head.extend_from_slice(&chunk[..room]);
                captured.bytes += read as u64;
                captured.hash.update(&chunk[..read]);
            }
        });
        Self { captured, reader }
    }

    pub(super) fn captured(&self) -> Captured {
        lock(&self.captured).clone()
    }
}

fn lock(captured: &Mutex<Captured>) -> MutexGuard<'_, Captured> {
    captured.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a program that was waited for ended.
#[derive(Debug)]
pub(super) struct Completed {
    /// `None`: the time was over, and it was stopped with all its processes.
    pub(super) status: Option<io::Result<ExitStatus>>,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    pub(super) seconds: f64,
}

impl Completed {
    pub(super) fn code(&self) -> Option<i32> {
        self.status.as_ref()?.as_ref().ok()?.code()
    }
}

/// Runs a program to its end, for at most `limit`, with `stdin` as its input.
///
/// # Errors
/// It cannot be started.
pub(super) async fn complete(
    spec: ProcessSpec<'_>,
    (stdin, limit): (Option<&str>, Duration),
    with: (&Clock, &Log),
) -> io::Result<Completed> {
    let process = ProcessSpec { input: stdin.is_some(), ..spec }.start(with)?;
    let mut running = CapturedProcess::of(process, stdin);
    let status = timeout(limit, running.process.child.wait()).await.ok();
    if status.is_none() {
        running.stop().await;
    }
    running.drain().await;
    running.process.group.ended();
    let (stdout, stderr) = (running.stdout.captured(), running.stderr.captured());
    let entry = &mut running.process.entry;
    let (seconds, sha256) = (entry.seconds(), hex::encode(stdout.hash.clone().finalize()));
    let completed = Completed { status, stdout, stderr, seconds };
    entry.bytes = completed.stdout.bytes;
    let more = Exchange { sent: stdin.map(str::to_owned), sha256: Some(sha256), ..Exchange::default() };
    entry.close(completed.code(), seconds, more);
    Ok(completed)
}

/// A process whose output is captured.
struct CapturedProcess {
    process: ProgramProcess,
    stdout: CapturedStream,
    stderr: CapturedStream,
}

impl CapturedProcess {
    fn of(mut process: ProgramProcess, stdin: Option<&str>) -> Self {
        let child = &mut process.child;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), stdin.map(str::to_owned)) {
            // A program that does not read its input is no mistake, so errors are left alone.
            tokio::spawn(async move { pipe.write_all(text.as_bytes()).await });
        }
        let stdout = CapturedStream::read(child.stdout.take());
        let stderr = CapturedStream::read(child.stderr.take());
        Self { process, stdout, stderr }
    }

    /// Asks the group to end, then ends it.
    async fn stop(&mut self) {
        let ProgramProcess { child, group, .. } = &mut self.process;
        group.signal(Signal::SIGTERM);
        timeout(GRACE, child.wait()).await.ok();
        group.signal(Signal::SIGKILL);
        child.wait().await.ok();
    }

    /// Reads on until the streams end. A process left in the background may hold them open for ever, so not for long.
    async fn drain(&mut self) {
        timeout(GRACE, async { tokio::join!(&mut self.stdout.reader, &mut self.stderr.reader) }).await.ok();
        self.stdout.reader.abort();
        self.stderr.reader.abort();
    }
}

impl Drop for CapturedProcess {
    fn drop(&mut self) {
        self.process.entry.bytes = self.stdout.captured().bytes;
    }
}
