//! Reads a run's folder back, whole or cut short.

use proofmark_model::{FORMAT, Line, Manifest, RunInfo, StepRecord};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A run as it stands on disk.
#[derive(Debug, Clone)]
pub struct Run {
    /// The run's folder.
    pub folder: PathBuf,
    /// `run.json`, if it was written.
    pub info: Option<RunInfo>,
    /// The events, up to the first that is torn.
    pub lines: Vec<Line>,
    /// `manifest.json`, if the run came to its end.
    pub manifest: Option<Manifest>,
}

/// A run that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing there.
    #[error("there is no run `{0}`")]
    Missing(String),
    /// No run at all.
    #[error("there is no run in {0}")]
    Empty(PathBuf),
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer program.
    #[error("{0} was written in the format `{1}`, which is newer than this program: upgrade proofmark")]
    Newer(PathBuf, String),
}

/// The folder of a run: a path, an id below `root`, or with nothing named the newest.
///
/// # Errors
/// When there is no such run.
pub fn find(name: Option<&str>, root: &Path) -> Result<PathBuf, ReadError> {
    let Some(name) = name else {
        return runs(root).max_by_key(|path| age(path)).ok_or_else(|| ReadError::Empty(root.to_owned()));
    };
    let candidates = [PathBuf::from(name), root.join(name)];
    let found = candidates.into_iter().find(|path| is_run(path));
    found.ok_or_else(|| ReadError::Missing(name.to_owned()))
}

fn runs(root: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    folders.map(|entry| entry.path()).filter(|path| is_run(path))
}

/// The folders of the runs below `root`, newest first; none where it cannot be read.
pub fn newest_first(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = runs(root).collect();
    found.sort_by_cached_key(|path| std::cmp::Reverse(age(path)));
    found
}

impl Run {
    /// A step's own file; `None` where it was not come to.
    pub fn step(&self, scenario: &str, step: &str) -> Option<StepRecord> {
        let text = existing(&self.folder.join(scenario).join(format!("{step}.json"))).ok()??;
        serde_json::from_slice(&text).ok()
    }

    /// What a step saw, as its own file keeps it; `None` where it kept none.
    pub fn observation(&self, scenario: &str, step: &str) -> Option<Value> {
        Some(self.step(scenario, step)?.observation).filter(|seen| !seen.is_null())
    }
}

/// Runs sort by the second in their names; those of one second by when their first file was written.
fn age(path: &Path) -> (String, Option<SystemTime>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let second = name.split('-').next().unwrap_or_default().to_owned();
    let first = fs::metadata(path.join("run.json")).or_else(|_| fs::metadata(path));
    (second, first.and_then(|first| first.modified()).ok())
}

/// A run that was killed before it wrote anything is one too: else the one before would be taken for the newest.
fn is_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = name
        .split_once('-')
        .is_some_and(|(time, _)| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).is_ok());
    path.join("events.jsonl").is_file() || (named && path.is_dir())
}

/// Reads a run's folder.
///
/// # Errors
/// A folder without events, a file that is damaged or of a newer format.
pub fn read(folder: &Path) -> Result<Run, ReadError> {
    let info: Option<RunInfo> = json(&folder.join("run.json"))?;
    let manifest: Option<Manifest> = json(&folder.join("manifest.json"))?;
    let path = folder.join("events.jsonl");
    let text = existing(&path)?.unwrap_or_default();
    let mut lines = vec![];
    let mut pieces = text.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(piece) = pieces.next() {
        match serde_json::from_slice::<Line>(piece) {
            Ok(line) if piece.ends_with(b"\n") && line.seq == lines.len() as u64 => lines.push(line),
            // A torn last line is what `kill -9` leaves; anything else was not written by us like this.
            _ if pieces.peek().is_none() && manifest.is_none() => break,
            Ok(_) => {
                return Err(ReadError::Damaged {
                    path,
                    why: format!("line {} is out of order", lines.len() + 1),
                });
            }
            Err(error) => {
                return Err(ReadError::Damaged { path, why: format!("line {}: {error}", lines.len() + 1) });
            }
        }
    }
    Ok(Run { folder: folder.to_owned(), info, lines, manifest })
}

/// A JSON file with a format version; `None` where it is not there.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReadError> {
    let Some(bytes) = existing(path)? else { return Ok(None) };
    let damaged =
        |error: serde_json::Error| ReadError::Damaged { path: path.to_owned(), why: error.to_string() };
    let value: serde_json::Value = match serde_json::from_slice(&bytes) {
        Ok(value) => value,
        // `kill -9` while `run.json` or the manifest was being written: as if it were not there.
        Err(error) if error.is_eof() => return Ok(None),
        Err(error) => return Err(damaged(error)),
    };
    let version = value["proofmark"].as_str().unwrap_or_default();
    let number = |version: &str| version.strip_prefix('v')?.parse::<u32>().ok();
    if number(version) > number(FORMAT) {
        return Err(ReadError::Newer(path.to_owned(), version.to_owned()));
    }
    if version != FORMAT {
        let why = format!("`proofmark` should be `{FORMAT}` and is {}", value["proofmark"]);
        return Err(ReadError::Damaged { path: path.to_owned(), why });
    }
    serde_json::from_value(value).map(Some).map_err(damaged)
}

/// What stands in a file; `None` where it is not there.
fn existing(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReadError::Io { path: path.to_owned(), source }),
    }
}
