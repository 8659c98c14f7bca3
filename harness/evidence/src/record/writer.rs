//! Writes in the background: recorded data reaches the disk in order, on a separate thread, while the run waits for its
//! systems. Listeners receive an event after it is written.

use super::{RecordError, io_error, pretty};
use proofmark_model::redact::Clean;
use proofmark_model::{Line, Manifest, sha256};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The most jobs that may be queued; a run with more waits for the disk.
const WAITING: usize = 8;

/// Receives every event as it is written.
pub type Tell = Box<dyn FnMut(&Line) + Send>;

enum Job {
    /// A file's name below the run's folder, and its content.
    File(String, Vec<u8>),
    /// A line of `events.jsonl`.
    Event(Clean),
    /// A step's file, and the event that names it.
    Step(String, Clean, Clean),
    /// A line of `journal.jsonl`; answered after it is synced to disk.
    Journal(Vec<u8>, SyncSender<()>),
    /// A file that only its owner may read, not listed in the manifest; answered after it is synced to disk.
    Private(String, Vec<u8>, SyncSender<()>),
    /// Answered after everything queued before it is written.
    Settle(SyncSender<()>),
    /// The manifest, which lists everything that was written; the last job.
    Seal(Manifest),
}

/// The handle of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<(), RecordError>>>,
}

impl Writer {
    /// Starts to write below `folder`; events go to `events.jsonl`.
    pub(super) fn start(folder: &Path, tell: Tell) -> Result<Self, RecordError> {
        let path = folder.join("events.jsonl");
        let events = OpenOptions::new().create_new(true).append(true).open(&path).map_err(io_error(&path))?;
        let (jobs, waiting) = sync_channel(WAITING);
        let mut disk = Disk {
            folder: folder.to_owned(),
            folders: BTreeSet::new(),
            events,
            path,
            stream: Sha256::new(),
            hashes: BTreeMap::new(),
            journal: None,
            tell,
        };
        let thread = std::thread::Builder::new().name("record".into());
        let thread = thread.spawn(move || disk.write(&waiting)).map_err(io_error(folder))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Writes a whole file; a second one of the same name and bytes is not written again.
    pub(super) fn file(&mut self, name: String, bytes: Vec<u8>) -> Result<(), RecordError> {
        self.give(Job::File(name, bytes))
    }

    /// Appends a line to `events.jsonl`.
    pub(super) fn event(&mut self, line: Clean) -> Result<(), RecordError> {
        self.give(Job::Event(line))
    }

    /// Writes a step's file, then the line that names it.
    pub(super) fn step(&mut self, name: String, record: Clean, line: Clean) -> Result<(), RecordError> {
        self.give(Job::Step(name, record, line))
    }

    /// Appends a line to `journal.jsonl`; returns after it is synced to disk.
    pub(super) fn journal(&mut self, line: Vec<u8>) -> Result<(), RecordError> {
        self.wait(|done| Job::Journal(line, done))
    }

    /// Writes a file that only its owner may read; returns after it is synced to disk.
    pub(super) fn private(&mut self, name: String, bytes: Vec<u8>) -> Result<(), RecordError> {
        self.wait(|done| Job::Private(name, bytes, done))
    }

    /// Returns after everything is written.
    pub(super) fn settle(&mut self) -> Result<(), RecordError> {
        self.wait(Job::Settle)
    }

    fn wait(&mut self, job: impl FnOnce(SyncSender<()>) -> Job) -> Result<(), RecordError> {
        let (done, written) = sync_channel(1);
        self.give(job(done))?;
        written.recv().or_else(|_| self.end())
    }

    /// Writes the manifest, last and only if everything else is on disk, and ends the thread.
    pub(super) fn seal(&mut self, manifest: Manifest) -> Result<(), RecordError> {
        self.give(Job::Seal(manifest))?;
        self.end()
    }

    fn give(&mut self, job: Job) -> Result<(), RecordError> {
        let given = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if given { Ok(()) } else { self.end() }
    }

    /// Writes the queued jobs, ends the thread, and returns its error.
    fn end(&mut self) -> Result<(), RecordError> {
        self.jobs = None;
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or(Err(RecordError::Stopped))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // No caller is left to receive an error; queued jobs are still written.
        let _ = self.end();
    }
}

/// The state of the thread: where it writes, and what it has written.
struct Disk {
    folder: PathBuf,
    /// The folders that exist.
    folders: BTreeSet<PathBuf>,
    events: File,
    path: PathBuf,
    /// The hash of the events so far.
    stream: Sha256,
    hashes: BTreeMap<String, String>,
    /// The journal and its hash so far, once a promise was made.
    journal: Option<(File, Sha256)>,
    tell: Tell,
}

impl Disk {
    fn write(&mut self, jobs: &Receiver<Job>) -> Result<(), RecordError> {
        for job in jobs {
            match job {
                Job::File(name, bytes) => drop(self.file(name, &bytes)?),
                Job::Event(line) => self.event(line.into_inner())?,
                Job::Step(name, record, line) => {
                    let hash = self.file(name.clone(), &pretty(record.get())?)?;
                    let mut line = line.into_inner();
                    (line["file"], line["sha256"]) = (name.into(), hash.into());
                    self.event(line)?;
                }
                Job::Journal(line, done) => {
                    self.journal(&line)?;
                    done.send(()).ok();
                }
                Job::Private(name, bytes, done) => {
                    self.private(&name, &bytes)?;
                    done.send(()).ok();
                }
                // The caller may have stopped waiting.
                Job::Settle(done) => drop(done.send(())),
                Job::Seal(manifest) => self.seal(manifest)?,
            }
        }
        // Data written to a file that was deleted meanwhile is lost.
        self.events.sync_all().and_then(|()| fs::metadata(&self.path)).map_err(io_error(&self.path)).map(drop)
    }

    fn file(&mut self, name: String, bytes: &[u8]) -> Result<String, RecordError> {
        let hash = sha256(bytes);
        if self.hashes.get(&name) == Some(&hash) {
            return Ok(hash);
        }
        let path = self.folder.join(&name);
        if let Some(folder) = path.parent()
            && self.folders.insert(folder.to_owned())
        {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
        }
        let file = OpenOptions::new().create_new(true).write(true).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(io_error(&path))?;
        self.hashes.insert(name, hash.clone());
        Ok(hash)
    }

    fn event(&mut self, line: Value) -> Result<(), RecordError> {
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.stream.update(&bytes);
        self.events.write_all(&bytes).map_err(io_error(&self.path))?;
        (self.tell)(&serde_json::from_value(line)?);
        Ok(())
    }

    fn journal(&mut self, line: &[u8]) -> Result<(), RecordError> {
        let path = self.folder.join("journal.jsonl");
        let first = self.journal.is_none();
        let (file, hash) = match &mut self.journal {
            Some(open) => open,
            none => none.insert((own(&path, 0o666)?, Sha256::new())),
        };
        hash.update(line);
        file.write_all(line).and_then(|()| file.sync_data()).map_err(io_error(&path))?;
        if first {
            // A promise counts only if the folder entry of its file survives a power cut.
            sync(&self.folder)?;
            self.folder.parent().map_or(Ok(()), sync)?;
        }
        Ok(())
    }

    fn private(&mut self, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error(folder))?;
        let mut file = own(&path, 0o600)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error(&path))?;
        sync(folder)
    }

    fn seal(&mut self, mut manifest: Manifest) -> Result<(), RecordError> {
        self.hashes.insert("events.jsonl".into(), hex::encode(self.stream.finalize_reset()));
        if let Some((_, hash)) = self.journal.take() {
            self.hashes.insert("journal.jsonl".into(), hex::encode(hash.finalize()));
        }
        manifest.files = std::mem::take(&mut self.hashes);
        self.file("manifest.json".into(), &pretty(&manifest)?).map(drop)
    }
}

/// Creates a file with this mode.
fn own(path: &Path, mode: u32) -> Result<File, RecordError> {
    OpenOptions::new().create_new(true).append(true).mode(mode).open(path).map_err(io_error(path))
}

pub(super) fn sync(folder: &Path) -> Result<(), RecordError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

/// Deletes what a run kept for an undo that is no longer needed.
///
/// # Errors
/// A file that exists and cannot be deleted.
pub fn forget(folder: &Path, name: &str) -> Result<(), RecordError> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(&path)(error)),
        _ => Ok(()),
    }
}
