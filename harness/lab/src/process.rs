//! A program as a throwaway child process: in a process group of its own, known to be ready by what it says.

use super::LabError;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How long a program may take to end after it was asked to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many of its last lines are kept for an error message.
const KEPT: usize = 8;

/// How often a port that someone else took in the meantime is replaced by another.
const PORTS: usize = 3;

/// A running program. Dropping it ends its process group at once.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    last: VecDeque<String>,
    /// What ends it at once.
    end: Signal,
}

fn spawn(mut command: Command) -> std::io::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0) // Ctrl-C in the terminal is ours to pass on
        .kill_on_drop(true)
        .spawn()
}

/// Starts what `start` makes of an address (`host:port`) that was free a moment ago, and again with another one where
/// someone else was faster.
pub(super) async fn on_a_free_port<T>(
    mut start: impl AsyncFnMut(String) -> Result<T, LabError>,
) -> Result<T, LabError> {
    let mut tries = 1;
    loop {
        match start(free_address()?).await {
            Err(LabError::Ended { said, .. })
                if said.to_lowercase().contains("address already in use") && tries < PORTS =>
            {
                tries += 1;
            }
            end => return end,
        }
    }
}

/// An address (`host:port`) of this machine that was free a moment ago.
pub(super) fn free_address() -> Result<String, LabError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.map_err(LabError::io("looking for a free port"))?.to_string())
}

/// Is the program on this machine?
pub fn has(program: &str) -> bool {
    let asked = std::process::Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok()
}

/// What runs in this folder.
pub(super) fn running_in(folder: &Path) -> impl Iterator<Item = Pid> {
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    let own = all.filter(move |process| process.cwd().is_ok_and(|cwd| cwd == folder));
    own.map(|process| Pid::from_raw(process.pid()))
}

impl Process {
    /// Starts `program`. Its standard error is read line by line; its standard output goes nowhere. Under `setpriv` the
    /// kernel ends it when the thread that calls this ends, so that not even `kill -9` leaves it behind; call it from a
    /// thread that lives as long as the program should.
    ///
    /// # Errors
    /// [`LabError::Missing`] where it is not installed, [`LabError::Io`] where it cannot be started.
    pub fn start(program: &str, args: &[String]) -> Result<Self, LabError> {
        if !has(program) {
            return Err(LabError::Missing(program.to_owned()));
        }
        let (mut guarded, mut plain) = (Command::new("setpriv"), Command::new(program));
        guarded.args(["--pdeathsig", "KILL", "--", program]).args(args);
        plain.args(args);
        let child = match spawn(guarded) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => spawn(plain),
            other => other,
        };
        Self::watch(program, child, Signal::SIGKILL)
    }

    /// Starts a command that is guarded already; `end` is the signal that ends the program at once, with all that it
    /// started.
    pub(super) fn start_command(program: &str, command: Command, end: Signal) -> Result<Self, LabError> {
        Self::watch(program, spawn(command), end)
    }

    fn watch(program: &str, child: std::io::Result<Child>, end: Signal) -> Result<Self, LabError> {
        let mut child = child.map_err(LabError::io(format!("starting `{program}`")))?;
        let (tell, lines) = mpsc::channel(256);
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(async move {
                let mut stderr = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = stderr.next_line().await {
                    // Nobody has to listen, and the program must never block on its own log.
                    let _ = tell.try_send(line);
                }
            });
        }
        Ok(Self { program: program.to_owned(), child, lines, last: VecDeque::new(), end })
    }

    /// Waits until it writes a line with one of `words`; returns which of them.
    ///
    /// # Errors
    /// [`LabError::Ended`] when it ends first, [`LabError::Late`] when `within` is over.
    pub async fn says(&mut self, words: &[&'static str], within: Duration) -> Result<&'static str, LabError> {
        let found = tokio::time::timeout(within, async {
            while let Some(line) = self.lines.recv().await {
                let found = words.iter().find(|word| line.contains(**word));
                self.last.push_back(line);
                if self.last.len() > KEPT {
                    self.last.pop_front();
                }
                if let Some(found) = found {
                    return Some(*found);
                }
            }
            None
        })
        .await;
        let said = self.last.make_contiguous().join("\n");
        match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(LabError::Ended { program: self.program.clone(), said }),
            Err(_) => Err(LabError::Late { program: self.program.clone(), seconds: within.as_secs(), said }),
        }
    }

    /// Sends it a signal; one that has ended already needs none.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal);
        }
    }

    /// Asks it to end, and kills its process group where it does not.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `id` is gone once the end was waited for, so the number cannot be another's by now.
        if let Some(pid) = self.pid() {
            let _ = killpg(pid, self.end);
            // Until it is gone it may write into a folder that is removed next. Whoever started it collects it.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        }
    }
}
