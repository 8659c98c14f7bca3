//! `journal.jsonl`: the promises made and fulfilled, one line each; and what an evidence folder still owes.

use super::{OpenPromise, Until};
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use proofmark_model::redact::{Frame, Framed};
use proofmark_model::{Duration, FORMAT};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// One line of `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Entry {
    /// A change may be made from now on.
    Promised(Promised),
    /// The change is about to be made.
    Begun(Begun),
    /// The change was undone, as an observation confirmed.
    Kept(Kept),
}

/// The promise to undo one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Promised {
    /// Format version.
    pub proofmark: String,
    /// Its number in this run, from 1.
    pub promise: u32,
    /// When it was promised.
    pub at: Timestamp,
    /// The scenario's id.
    pub scenario: String,
    /// The step's id.
    pub step: String,
    /// The kind that knows how to put it back.
    pub kind: String,
    /// The connection for each role, where the step names one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub via: BTreeMap<String, String>,
    /// Limits one attempt to put it back.
    pub timeout: Duration,
    /// When the promise is due.
    #[serde(default)]
    pub until: Until,
    /// The file below the run's folder that holds the undo data, if it contains secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// The undo data, secrets masked.
    pub undo: Value,
}

/// The promised change begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Begun {
    /// The promise's number in this run.
    pub(super) promise: u32,
    /// When.
    pub(super) at: Timestamp,
}

/// A promise was fulfilled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Kept {
    /// The run that made the promise: this one, or the one that is recovered.
    pub(super) run: String,
    /// The promise's number in that run.
    pub(super) promise: u32,
    /// When the change was seen to be undone.
    pub(super) at: Timestamp,
}

const OWN: &[&str] =
    &["proofmark", "promise", "at", "scenario", "step", "kind", "via", "timeout", "until", "private", "run"];
const PART: Frame = Frame { own: OWN, named: &[], parts: &[] };

impl Framed for Promised {
    const FRAME: &'static Frame = &PART;
}

impl Framed for Entry {
    const FRAME: &'static Frame =
        &Frame { own: &[], named: &[], parts: &[("promised", &PART), ("begun", &PART), ("kept", &PART)] };
}

/// A run that owes something.
#[derive(Debug)]
pub struct Unfinished {
    /// Its id.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The lock on its folder, so that no other process puts the same change back at the same time; `None` while the
    /// run itself is still running.
    pub lock: Option<Flock<File>>,
    /// What it owes, newest first.
    pub debts: Vec<OpenPromise>,
}

/// A journal that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// An I/O operation failed.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A line is not in the form in which a run writes it.
    #[error("{path}, line {line}, is not as a run writes it, so nobody knows what is owed: {why}")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Finds the runs below an evidence folder that owe something, newest first. A change that a later `recover` has put
/// back is no longer owed.
///
/// # Errors
/// A journal that cannot be read or is damaged.
pub fn unfinished(root: &Path) -> Result<Vec<Unfinished>, ReadError> {
    let mut runs = vec![];
    let mut kept = BTreeSet::new();
    for folder in folders(root)? {
        let (mut promised, mut begun) = (vec![], BTreeSet::new());
        for entry in entries(&folder.join("journal.jsonl"))? {
            match entry {
                Entry::Promised(one) => promised.push(one),
                Entry::Begun(one) => drop(begun.insert(one.promise)),
                Entry::Kept(end) => drop(kept.insert((end.run, end.promise))),
            }
        }
        runs.push((folder, promised, begun));
    }
    let mut out = vec![];
    for (folder, promised, begun) in runs.into_iter().rev() {
        let run = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let open = promised.into_iter().rev().filter(|one| !kept.contains(&(run.clone(), one.promise)));
        let debts: Vec<OpenPromise> =
            open.map(|one| debt(&run, &folder, begun.contains(&one.promise), one)).collect();
        if !debts.is_empty() {
            out.push(Unfinished { lock: lock(&folder), run, folder, debts });
        }
    }
    Ok(out)
}

/// Takes the lock of a run's folder, which is free once the run's process has ended.
fn lock(folder: &Path) -> Option<Flock<File>> {
    Flock::lock(File::open(folder).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// Folders with a journal, oldest first: a run's id begins with its time.
fn folders(root: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let wrong = |source| ReadError::Io { path: root.to_owned(), source };
    let list = match fs::read_dir(root) {
        Ok(list) => list,
        // A missing folder owes nothing. Whether evidence can be written there is checked later.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(vec![]);
        }
        Err(error) => return Err(wrong(error)),
    };
    let mut out = vec![];
    for entry in list {
        let path = entry.map_err(wrong)?.path();
        if path.join("journal.jsonl").is_file() {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

/// Reads the lines of a journal. A torn last line owes nothing: its change was never made.
fn entries(path: &Path) -> Result<Vec<Entry>, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let mut out = vec![];
    for piece in bytes.split_inclusive(|byte| *byte == b'\n').filter(|piece| piece.ends_with(b"\n")) {
        let damaged = |why: String| ReadError::Damaged { path: path.to_owned(), line: out.len() + 1, why };
        let entry = serde_json::from_slice(piece).map_err(|error| damaged(error.to_string()))?;
        if let Entry::Promised(Promised { proofmark, .. }) = &entry
            && proofmark != FORMAT
        {
            return Err(damaged(format!("its format is `{proofmark}`, this program reads `{FORMAT}`")));
        }
        out.push(entry);
    }
    Ok(out)
}

fn debt(run: &str, folder: &Path, begun: bool, promised: Promised) -> OpenPromise {
    let undo = match &promised.private {
        None => Some(promised.undo.clone()),
        Some(name) => fs::read(folder.join(name))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .and_then(|mut file| file.get_mut("undo").map(Value::take)),
    };
    OpenPromise { run: run.to_owned(), folder: folder.to_owned(), begun, promised, undo }
}
