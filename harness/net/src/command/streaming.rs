//! A program whose standard input and output are streams of any length, both open at once. It has a process group of its
//! own, which is killed when nobody waits for its end any more.

use super::process::{CapturedStream, GRACE, ProcessSpec, ProgramProcess};
use super::{Ended, not_started};
use crate::{ClientError, Log};
use bytes::Bytes;
use nix::fcntl::{FcntlArg, fcntl};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::clock::Clock;
use proofmark_model::{ErrorCode, Exchange};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

/// So much the pipe of its output holds, in bytes: the most that Linux gives everyone.
const PIPE: i32 = 1 << 20;

/// So much of it is read at once.
const ROOM: usize = 256 << 10;

/// For so long its output is left to gather.
const REST: Duration = Duration::from_millis(1);

/// So many pieces of it may wait.
const WAITING: usize = 4;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Streamed<'a> {
    /// The program and its arguments; no shell reads them. They go into evidence: no secrets.
    pub argv: &'a [String],
    /// Variables beside those of this process. They are never written down: the place for secrets.
    pub env: &'a [(String, String)],
    /// Does it read its standard input? Else that is empty.
    pub input: bool,
}

/// A program that runs. Write to `stdin` and read `stdout` at the same time (`tokio::join!`), else both may wait for
/// each other for ever; then wait for its [end](Streaming::end). There is no time limit: whoever has one drops this.
#[derive(Debug)]
pub struct Streaming {
    /// What it reads. Closed from the start where it reads nothing.
    pub stdin: Input,
    /// What it says.
    pub stdout: Output,
    stderr: CapturedStream,
    process: ProgramProcess,
}

/// The standard input of a program.
#[derive(Debug)]
pub struct Input {
    pipe: Option<ChildStdin>,
    /// Bytes that it was given.
    pub bytes: u64,
}

/// The standard output of a program.
#[derive(Debug)]
pub struct Output {
    pieces: Receiver<io::Result<Bytes>>,
    name: String,
    /// Bytes that were read of it.
    pub bytes: u64,
}

/// How a streamed program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit status; `None` when a signal ended it.
    pub exit: Option<i32>,
    /// In words: `0`, `ended by signal 9`.
    pub how: String,
    /// Standard error as text, at most its first MiB.
    pub stderr: String,
}

impl Finished {
    /// How the program of this name failed, and what it said: `pg_dump ended with 1: no such table`.
    pub fn failed(&self, program: &str) -> String {
        let (verb, said) = (if self.exit.is_some() { "ended with" } else { "was" }, self.stderr.trim());
        let said = if said.is_empty() { " and said nothing".to_owned() } else { format!(": {said}") };
        format!("{program} {verb} {}{said}", self.how)
    }
}

impl Streaming {
    /// Starts a program that only reads.
    ///
    /// # Errors
    /// A program that is not there or may not be run.
    pub fn reading(program: Streamed<'_>, with: (&Clock, &Log)) -> Result<Self, ClientError> {
        let Streamed { argv, env, input } = program;
        let Some(name) = argv.first() else {
            return Err(ClientError::new(ErrorCode::Internal, "no program is named"));
        };
        let spec = ProcessSpec { argv, cwd: None, env, input };
        let mut process = spec.start(with).map_err(|error| not_started(name, &error))?;
        let child = &mut process.child;
        let Some(pipe) = child.stdout.take() else {
            return Err(ClientError::new(ErrorCode::Internal, format!("`{name}` has no standard output")));
        };
        let stdout = Output::of(pipe, name)?;
        let stdin = Input { pipe: child.stdin.take(), bytes: 0 };
        let stderr = CapturedStream::read(child.stderr.take());
        Ok(Self { stdin, stdout, stderr, process })
    }

    /// Starts a program that changes something.
    ///
    /// # Errors
    /// As for one that reads.
    pub fn changing(
        program: Streamed<'_>,
        with: (&Clock, &Log),
        _leave: &impl ChangePermit,
    ) -> Result<Self, ClientError> {
        Self::reading(program, with)
    }

    /// Closes its input, reads the rest of its output, and waits until it has ended.
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub async fn end(mut self) -> Result<Finished, ClientError> {
        self.stdin.close();
        while self.stdout.next().await?.is_some() {}
        let status = self.process.child.wait().await;
        timeout(GRACE, &mut self.stderr.reader).await.ok();
        self.stderr.reader.abort();
        self.process.group.ended();
        let status = status.map_err(|error| {
            let message = format!("waiting for `{}`: {error}", self.stdout.name);
            ClientError::new(ErrorCode::ProgramFailed, message)
        })?;
        let entry = &mut self.process.entry;
        entry.bytes = self.stdout.bytes;
        entry.close(status.code(), entry.seconds(), Exchange::default());
        let stderr = self.stderr.captured().text();
        Ok(Finished { exit: status.code(), how: Ended::in_words(status.code(), status.signal()), stderr })
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.process.entry.bytes = self.stdout.bytes;
    }
}

impl Input {
    /// Gives it the next bytes, waiting until it takes them. `false`: it reads no more, and its end says why.
    ///
    /// # Errors
    /// The system refuses for another reason.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<bool, ClientError> {
        let Some(pipe) = &mut self.pipe else { return Ok(false) };
        match pipe.write_all(bytes).await {
            Ok(()) => {
                self.bytes += bytes.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.pipe = None;
                Ok(false)
            }
            Err(error) => {
                let message = format!("writing to a program's input: {error}");
                Err(ClientError::new(ErrorCode::ProgramFailed, message))
            }
        }
    }

    /// No more comes.
    pub fn close(&mut self) {
        self.pipe = None;
    }
}

impl Output {
    /// Read by a thread, for that can rest. A task that waits for a pipe is woken by each write into it, and programs write
    /// 4 KiB at a time: with a dump that took a tenth of two processors.
    fn of(pipe: ChildStdout, name: &str) -> Result<Self, ClientError> {
        let (to, pieces) = channel(WAITING);
        let started = pipe.into_owned_fd().and_then(|pipe| {
            // Who has too many pipes gets no larger one, which would be full long before the rest is over.
            let rests = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE)).is_ok();
            thread::Builder::new().spawn(move || {
                if let Err(error) = read(File::from(pipe), &to, rests) {
                    // Nobody may want to know any more.
                    to.blocking_send(Err(error)).ok();
                }
            })
        });
        started.map_err(|error| unread(name, &error))?;
        Ok(Self { pieces, name: name.to_owned(), bytes: 0 })
    }

    /// The next bytes; `None` when it has ended.
    ///
    /// # Errors
    /// The system cannot read it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = self.pieces.recv().await.transpose().map_err(|error| unread(&self.name, &error))?;
        self.bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }
}

fn unread(name: &str, error: &io::Error) -> ClientError {
    ClientError::new(ErrorCode::ProgramFailed, format!("reading what `{name}` says: {error}"))
}

/// Until it ends or nobody wants it any more.
fn read(mut pipe: File, to: &Sender<io::Result<Bytes>>, rests: bool) -> io::Result<()> {
    let mut room = vec![0; ROOM];
    loop {
        let read = match pipe.read(&mut room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 || to.blocking_send(Ok(Bytes::copy_from_slice(&room[..read]))).is_err() {
            return Ok(());
        }
        if rests && read < ROOM / 2 {
            #[expect(clippy::disallowed_methods, reason = "it waits for nothing: it reads in larger pieces")]
            thread::sleep(REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, env: &[(String, String)]) -> (Streaming, Log) {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let log = Log::default();
        let program = Streamed { argv: &argv, env, input: true };
        (Streaming::reading(program, (&Clock::real(), &log)).unwrap(), log)
    }

    #[tokio::test]
    async fn both_ends_are_open_at_once() {
        let (mut program, log) = start("cat; echo end >&2; exit 3", &[]);
        let Streaming { stdin, stdout, .. } = &mut program;
        let give = async {
            for _ in 0..200 {
                assert!(stdin.write(&vec![7; 100_000]).await.unwrap());
            }
            stdin.close();
        };
        let take = async { while stdout.next().await.unwrap().is_some() {} };
        tokio::join!(give, take);
        assert_eq!((program.stdin.bytes, program.stdout.bytes), (20_000_000, 20_000_000));
        let end = program.end().await.unwrap();
        assert_eq!((end.exit, &*end.stderr), (Some(3), "end\n"));
        let taken = log.take();
        assert_eq!((taken[0].status, taken[0].bytes), (Some(3), 20_000_000));
    }

    #[tokio::test]
    async fn a_program_that_reads_no_more_says_why_itself() {
        let (mut program, log) =
            start("echo \"no $SECRET\" >&2; exit 1", &[("SECRET".into(), "hush-hush".into())]);
        while program.stdin.write(&vec![7; 100_000]).await.unwrap() {}
        let end = program.end().await.unwrap();
        assert_eq!((end.exit, &*end.how, &*end.stderr), (Some(1), "1", "no hush-hush\n"));
        assert!(!serde_json::to_string(&log.take()).unwrap().contains("hush-hush"));
    }

    #[tokio::test]
    async fn what_is_dropped_is_killed_with_all_its_processes() {
        let (mut program, log) = start("sleep 600 & echo $!; wait", &[]);
        let said = program.stdout.next().await.unwrap().unwrap();
        let child: i32 = std::str::from_utf8(&said).unwrap().trim().parse().unwrap();
        assert!(log.take().is_empty());
        drop(program);
        let taken = log.take();
        assert_eq!((taken.len(), taken[0].status, taken[0].bytes), (1, None, said.len() as u64));
        assert_eq!(taken[0].target, "sh -c 'sleep 600 & echo $!; wait'");
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        timeout(Duration::from_secs(30), async {
            while !gone() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
