//! Finds processes of this machine by their command line or a PID file, stops them, and starts them so that they
//! outlive us. Command lines may contain passwords, so they are searched but never returned.

use procfs::process::{Process, Stat, all_processes};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::{CodedError, ErrorCode, Exchange};
use proofmark_net::command::{SETSID, detach};
use proofmark_net::{ClientError, Log};
use regex::Regex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// The environment variable that identifies a started process to any later run of Proofmark.
const MARK: &str = "PROOFMARK_PROMISE";

/// A live process. The PID and the start time together identify it uniquely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Found {
    /// The PID.
    pub pid: i32,
    /// When the process started, in clock ticks since the machine booted.
    pub began: u64,
    /// The name of the program, without arguments.
    pub program: String,
}

/// Which processes to select.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those whose command line, its words joined by blanks, matches.
    pub matches: Option<Regex>,
    /// The one whose PID is in this file.
    pub pid_file: Option<String>,
    /// Those of this program name. The PID in an old file may belong to another process by now.
    pub program: Option<String>,
}

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGTERM, the usual signal.
    Term,
    /// SIGINT, as Ctrl-C sends it.
    Int,
    /// SIGQUIT, as Ctrl-\ sends it.
    Quit,
    /// SIGHUP, as the end of a terminal sends it.
    Hup,
    /// SIGKILL, which a process cannot catch or ignore.
    Kill,
}

/// A process held by a handle, which keeps referring to it even if its PID is reused.
#[derive(Debug)]
pub struct Held {
    found: Found,
    handle: OwnedFd,
}

impl Signal {
    fn raw(self) -> rustix::process::Signal {
        use rustix::process::Signal as Raw;
        match self {
            Self::Term => Raw::TERM,
            Self::Int => Raw::INT,
            Self::Quit => Raw::QUIT,
            Self::Hup => Raw::HUP,
            Self::Kill => Raw::KILL,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
            Self::Kill => "KILL",
        }
    }
}

/// Returns the selected processes in order of PID; never this one, one of its parents, or the first process of the
/// machine.
///
/// # Errors
/// The processes or the PID file cannot be read, or the file names a process that is never selected.
pub async fn find(wanted: Wanted) -> Result<Vec<Found>, ClientError> {
    looked(move || {
        let spared = spared();
        let number = wanted.pid_file.as_deref().map(number).transpose()?;
        if let (Some(file), Some(pid)) = (&wanted.pid_file, number.flatten().filter(|pid| spared.contains(pid))) {
            let message = format!(
                "{file} names the process {pid}, which is the first of this machine, Proofmark, or one that has started it"
            );
            return Err(ClientError::new(ErrorCode::WrongTarget, message));
        }
        let meant = |pid: i32, stat: &Stat, process: &Process| {
            number.is_none_or(|number| number == Some(pid))
                && wanted.program.as_ref().is_none_or(|program| *program == stat.comm)
                && wanted.matches.as_ref().is_none_or(|pattern| pattern.is_match(&line(process)))
        };
        living(|pid, stat, process| !spared.contains(&pid) && !line(process).is_empty() && meant(pid, stat, process))
    })
    .await
}

/// Returns the processes that were started with this mark, and their descendants.
///
/// # Errors
/// The processes cannot be read.
pub async fn marked(mark: String) -> Result<Vec<Found>, ClientError> {
    looked(move || {
        living(|_, _, process| {
            let environment = process.environ().unwrap_or_default();
            environment.get(OsStr::new(MARK)).is_some_and(|value| value.to_str() == Some(&mark))
        })
    })
    .await
}

/// Returns whether the process is still running and, if so, whether the pending signal can still end it: `None` if it
/// is not running.
///
/// # Errors
/// The processes cannot be read.
pub async fn lives(found: Found, signal: Signal) -> Result<Option<bool>, ClientError> {
    looked(move || {
        let Ok(process) = Process::new(found.pid) else { return Ok(None) };
        let Some(_) = process.stat().ok().filter(|stat| is(&found, stat)) else { return Ok(None) };
        let Ok(status) = process.status() else { return Ok(None) };
        let bit = |signal: Signal| 1_u64 << (signal.raw().as_raw() - 1);
        let (asked, killed) = (bit(signal), bit(Signal::Kill));
        // A signal that is neither caught, blocked nor pending ends the process at once, or is ignored for good.
        let held = status.sigcgt | status.sigblk | status.sigpnd | status.shdpnd;
        Ok(Some(held & asked != 0 || (status.sigpnd | status.shdpnd) & killed != 0))
    })
    .await
}

/// Opens a handle to a process.
///
/// # Errors
/// The process has ended, or the system has no such handles (Linux before 5.3).
pub fn hold(found: Found) -> Result<Held, ClientError> {
    let gone = |why: String| {
        let message = format!("the process {} cannot be held: {why}", found.pid);
        ClientError::new(ErrorCode::NotFound, message)
    };
    let pid = Pid::from_raw(found.pid).ok_or_else(|| gone("this is no number of one".into()))?;
    let handle = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(|error| gone(error.to_string()))?;
    // The handle refers to the current owner of the PID.
    let same = Process::new(found.pid).and_then(|process| process.stat()).is_ok_and(|stat| is(&found, &stat));
    if same { Ok(Held { found, handle }) } else { Err(gone("it has ended".into())) }
}

/// Sends the signal to a process and waits for its end, at most for the given time. Returns whether it has ended.
///
/// # Errors
/// The process may not be signalled.
pub async fn stop(
    held: Held,
    signal: Signal,
    patience: Duration,
    log: &Log,
    _leave: &impl ChangePermit,
) -> Result<bool, ClientError> {
    let target = format!("kill -{} {} ({})", signal.word(), held.found.pid, held.found.program);
    log.push(Exchange { method: "signal".into(), target, ..Exchange::default() });
    let refused = |why: String| {
        let message = format!("the process {} cannot be stopped: {why}", held.found.pid);
        ClientError::new(ErrorCode::Forbidden, message)
    };
    match pidfd_send_signal(&held.handle, signal.raw()) {
        Ok(()) => {}
        Err(rustix::io::Errno::SRCH) => return Ok(true),
        Err(error) => return Err(refused(error.to_string())),
    }
    let patience = Timespec::try_from(patience).map_err(|error| refused(error.to_string()))?;
    looked(move || {
        // A handle becomes readable when its process has ended.
        let ended = poll(&mut [PollFd::new(&held.handle, PollFlags::IN)], Some(&patience));
        Ok(ended.is_ok_and(|ready| ready > 0))
    })
    .await
}

/// Checks that this can be started.
///
/// # Errors
/// The program, its folder, or the program that starts it does not exist.
pub fn startable(argv: &[String], cwd: &str) -> Result<(), ClientError> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    if !Path::new(cwd).is_dir() {
        let message = format!("`cwd: {cwd}` is no folder on this machine");
        return Err(ClientError::new(ErrorCode::NotFound, message));
    }
    for program in [name, SETSID] {
        let found = if program.contains('/') {
            which::which_in(program, None::<&OsStr>, cwd)
        } else {
            which::which(program)
        };
        found.map_err(|_| {
            let message =
                format!("`{program}` cannot be run: it is not there, not in PATH, or not executable");
            ClientError::new(ErrorCode::ProgramMissing, message)
        })?;
    }
    Ok(())
}

/// Starts a program in its own session, so that it outlives us. It inherits our environment plus the mark; its input is
/// empty, and its output is discarded.
///
/// # Errors
/// The program cannot be started, or fails within a second.
pub async fn start(
    argv: &[String],
    cwd: &str,
    mark: &str,
    log: &Log,
    leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    detach(argv, cwd, &[(MARK.to_owned(), mark.to_owned())], log, leave).await
}

async fn looked<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(look).await;
    done.unwrap_or_else(|error| Err(ClientError::new(ErrorCode::Internal, error.to_string())))
}

fn unseen(why: &str) -> ClientError {
    let message = format!("the processes of this machine cannot be looked at: {why}");
    CodedError::new(ErrorCode::Unsupported, message).help("is /proc there?").into()
}

fn living(meant: impl Fn(i32, &Stat, &Process) -> bool) -> Result<Vec<Found>, ClientError> {
    let all = all_processes().map_err(|error| unseen(&error.to_string()))?;
    // A process that ends while it is being read is skipped.
    let seen = all.flatten().filter_map(|process| {
        let stat = process.stat().ok().filter(alive)?;
        let meant = meant(process.pid(), &stat, &process);
        meant.then(|| Found { pid: process.pid(), began: stat.starttime, program: stat.comm })
    });
    let mut found: Vec<Found> = seen.collect();
    found.sort_by_key(|found| found.pid);
    Ok(found)
}

/// A process that has ended stays listed until its parent reads its exit status.
fn alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

fn is(found: &Found, stat: &Stat) -> bool {
    alive(stat) && stat.starttime == found.began
}

fn line(process: &Process) -> String {
    process.cmdline().unwrap_or_default().join(" ")
}

/// Returns this process, its parents, and the first process of the machine.
fn spared() -> BTreeSet<i32> {
    let mut out = BTreeSet::from([1]);
    let mut next = Process::myself().ok();
    while let Some(process) = next {
        out.insert(process.pid());
        let above = process.stat().ok().map(|stat| stat.ppid).filter(|pid| *pid > 0 && !out.contains(pid));
        next = above.and_then(|pid| Process::new(pid).ok());
    }
    out
}

/// Returns the PID in the first line of a file. A file that has been removed, or is just being written, gives `None`.
fn number(file: &str) -> Result<Option<i32>, ClientError> {
    let path = Path::new(file);
    if proofmark_net::files::look(path)?.meta.is_none() {
        return Ok(None);
    }
    let content = proofmark_net::files::read(path, 4096, &proofmark_net::files::GivenUp::default())?;
    let text = String::from_utf8_lossy(&content.bytes);
    Ok(text.lines().next().and_then(|line| line.trim().parse().ok()))
}
