//! Writes behind: files and events reach the disk in the order in which they were given, on a thread of their own, while
//! the run waits for its systems. Whatever dies, what is on disk is still a prefix of the truth.

use super::{RecordError, io_error};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// So many pieces may wait; then the run waits for the disk.
const WAITING: usize = 8;

enum Job {
    File {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Event(Vec<u8>),
    /// Answers when all before it is written.
    Settle(SyncSender<()>),
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<(), RecordError>>>,
}

impl Writer {
    /// Begins to write below `folder`; events go to `events.jsonl`.
    pub(super) fn start(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("events.jsonl");
        let events = OpenOptions::new().create_new(true).append(true).open(&path).map_err(io_error(&path))?;
        let (jobs, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("record".into());
        let thread = thread.spawn(move || write(&waiting, &events, &path)).map_err(io_error(folder))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// A whole file, once.
    pub(super) fn file(&mut self, path: PathBuf, bytes: Vec<u8>) -> Result<(), RecordError> {
        self.give(Job::File { path, bytes })
    }

    /// A line of `events.jsonl`.
    pub(super) fn event(&mut self, line: Vec<u8>) -> Result<(), RecordError> {
        self.give(Job::Event(line))
    }

    /// Returns when everything is written.
    pub(super) fn settle(&mut self) -> Result<(), RecordError> {
        let (done, written) = sync_channel(1);
        self.give(Job::Settle(done))?;
        written.recv().or_else(|_| self.end())
    }

    fn give(&mut self, job: Job) -> Result<(), RecordError> {
        let given = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if given { Ok(()) } else { self.end() }
    }

    /// Writes what was given, ends, and says what went wrong.
    pub(super) fn end(&mut self) -> Result<(), RecordError> {
        self.jobs = None;
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or(Err(RecordError::Stopped))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; what was given is written all the same.
        let _ = self.end();
    }
}

fn write(jobs: &Receiver<Job>, mut events: &File, path: &Path) -> Result<(), RecordError> {
    let mut folders = BTreeSet::new();
    for job in jobs {
        match job {
            Job::Event(line) => events.write_all(&line).map_err(io_error(path))?,
            Job::File { path, bytes } => {
                if let Some(folder) = path.parent()
                    && folders.insert(folder.to_owned())
                {
                    fs::create_dir_all(folder).map_err(io_error(folder))?;
                }
                let file = OpenOptions::new().create_new(true).write(true).open(&path);
                file.and_then(|mut file| file.write_all(&bytes)).map_err(io_error(&path))?;
            }
            // Whoever asked may be gone.
            Job::Settle(done) => drop(done.send(())),
        }
    }
    // Written to a file that was taken away meanwhile is written nowhere.
    events.sync_all().and_then(|()| fs::metadata(path)).map_err(io_error(path)).map(drop)
}
