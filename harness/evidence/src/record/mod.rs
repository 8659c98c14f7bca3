//! The only writer of evidence, and its reader. The writer accepts only values that have passed the redactor.
//!
//! A step's file is written and closed before the event that names it, and an event is written before any listener
//! receives it; the manifest comes last. If the process dies at any point, what is on disk is a prefix of the truth.

mod export;
mod reader;
mod writer;

pub use export::{Export, export};
pub use reader::{ReadError, Run, find, newest_first, read};
pub use writer::{Tell, forget};

use nix::fcntl::{Flock, FlockArg};
use proofmark_model::clock::Clock;
use proofmark_model::redact::{Clean, Framed, Redactor};
use proofmark_model::{CodedError, ErrorCode, Event, Exit, FORMAT, Line, Manifest, RunInfo, Verdict, sha256};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use writer::{Writer, sync};

/// A top-level part of an observation larger than this, in bytes of JSON, is kept as a blob.
const INLINE: usize = 16 * 1024 * 1024;

/// Evidence could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An I/O operation failed.
    #[error("evidence could not be written to {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The writing thread has ended.
    #[error("evidence could not be written: the thread that writes it is gone")]
    Stopped,
    /// A value that cannot be written as JSON.
    #[error("evidence could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<RecordError> for CodedError {
    fn from(error: RecordError) -> Self {
        let message =
            format!("the promise to put it back could not be written down, so nothing was changed: {error}");
        Self::new(ErrorCode::EvidenceUnwritable, message)
    }
}

/// Writes one run's folder. It holds the folder's lock until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    /// The run's id, which is also the folder's name.
    pub run: String,
    folder: PathBuf,
    redactor: Redactor,
    clock: Clock,
    writer: Writer,
    seq: u64,
    _lock: Option<Flock<File>>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    move |source| RecordError::Io { path: path.to_owned(), source }
}

impl Recorder {
    /// Creates the folder of a new run below `root`; `tell` receives every event after it is written.
    ///
    /// # Errors
    /// A folder that cannot be created or written.
    pub fn create(root: &Path, clock: &Clock, redactor: Redactor, tell: Tell) -> Result<Self, RecordError> {
        let run = run_id(clock);
        let folder = root.join(&run);
        fs::create_dir_all(root).map_err(io_error(root))?;
        fs::create_dir(&folder).map_err(io_error(&folder))?;
        let lock =
            File::open(&folder).ok().and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok());
        let writer = Writer::start(&folder, tell)?;
        Ok(Self { run, folder, redactor, clock: clock.clone(), writer, seq: 0, _lock: lock })
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Cleans a record; `open` names keys that are not secrets here.
    ///
    /// # Errors
    /// A value that cannot be written as JSON.
    pub fn clean(&self, record: &impl Framed, open: &[String]) -> Result<Clean, RecordError> {
        Ok(self.redactor.clean_record(record, open)?)
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn info(&mut self, info: &RunInfo) -> Result<(), RecordError> {
        let clean = self.redactor.clean_record(info, &[])?;
        self.writer.file("run.json".into(), pretty(clean.get())?)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn event(&mut self, event: Event, open: &[String]) -> Result<(), RecordError> {
        let line = self.line(event, open)?;
        self.writer.event(line)
    }

    /// Writes a step's file under that name, then the event that names it. Fills in the event's `file` and `sha256`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn step(
        &mut self,
        name: String,
        record: Clean,
        ended: Event,
        open: &[String],
    ) -> Result<(), RecordError> {
        let line = self.line(ended, open)?;
        self.writer.step(name, record, line)
    }

    fn line(&mut self, event: Event, open: &[String]) -> Result<Clean, RecordError> {
        let line = Line { seq: self.seq, at: self.clock.now(), event };
        self.seq += 1;
        self.clean(&line, open)
    }

    /// Writes a file that a step requested with `evidence:`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn answer(
        &mut self,
        scenario: &str,
        name: &str,
        bytes: &[u8],
        open: &[String],
    ) -> Result<(), RecordError> {
        let name = format!("{scenario}/{name}");
        // JSON may have keys whose values are always masked. The bytes are replaced only if something was masked.
        if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
            let clean = self.redactor.clean(&value, open)?;
            if *clean.get() != value {
                return self.writer.file(name, pretty(clean.get())?);
            }
        }
        self.writer.file(name, self.redactor.clean_bytes(bytes).into_inner())
    }

    /// Appends a line to `journal.jsonl` and returns after it is synced to disk.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn journal(&mut self, line: &impl Framed) -> Result<(), RecordError> {
        let mut bytes = serde_json::to_vec(self.clean(line, &[])?.get())?;
        bytes.push(b'\n');
        self.writer.journal(bytes)
    }

    /// Writes the secret part of an undo, readable only by the owner, and returns after it is synced to disk. The
    /// manifest does not list the file, and [`forget`] deletes it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn private(&mut self, name: &str, secret: &Value) -> Result<(), RecordError> {
        self.writer.private(name.to_owned(), pretty(secret)?)
    }

    /// Moves the parts of an observation that are too large to inline into blobs. The kept observation, which is the
    /// one that is judged, then holds a reference, on which no expectation can pass.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn outline(&mut self, observation: &mut Value) -> Result<(), RecordError> {
        let Value::Object(parts) = observation else { return Ok(()) };
        for part in parts.values_mut() {
            let bytes = match &*part {
                Value::String(text) if text.len() > INLINE => text.clone().into_bytes(),
                Value::Array(_) | Value::Object(_) if !fits(part) => serde_json::to_vec(part)?,
                _ => continue,
            };
            let hash = sha256(&bytes);
            *part = serde_json::json!({ "blob": hash, "bytes": bytes.len() });
            self.writer.file(format!("blobs/{hash}"), bytes)?;
        }
        Ok(())
    }

    /// Writes the manifest and syncs the folder: the run is complete.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn seal(&mut self, verdict: Verdict, exit: Exit) -> Result<PathBuf, RecordError> {
        let run = self.run.clone();
        self.writer.seal(Manifest {
            proofmark: FORMAT.into(),
            run,
            verdict,
            exit,
            files: BTreeMap::new(),
        })?;
        sync(&self.folder)?;
        Ok(self.folder.clone())
    }

    /// Returns after everything recorded so far is on disk.
    ///
    /// # Errors
    /// A file that could not be written.
    pub fn settle(&mut self) -> Result<(), RecordError> {
        self.writer.settle()
    }
}

/// Formats a value as evidence JSON.
///
/// # Errors
/// A value that cannot be written as JSON.
pub fn pretty(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Returns whether the value is small enough to inline. Counts while serialising and stores nothing.
fn fits(value: &Value) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(INLINE), value).is_ok()
}

/// Creates a run id such as `20260216T020000Z-x7k2q9`: ids sort by time, and two ids of the same second differ.
fn run_id(clock: &Clock) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: u32 = rand::random();
    let tail: String = (0..6).map(|i| char::from(LETTERS[(random >> (5 * i) & 31) as usize])).collect();
    format!("{}-{tail}", clock.now().strftime("%Y%m%dT%H%M%SZ"))
}
