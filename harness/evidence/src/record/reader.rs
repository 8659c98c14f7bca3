//! Reads a run's folder, complete or cut short.

use proofmark_model::{FORMAT, Line, Manifest, RunInfo, StepRecord};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A run as it is on disk.
#[derive(Debug, Clone)]
pub struct Run {
    /// The run's folder.
    pub folder: PathBuf,
    /// `run.json`, if it was written.
    pub info: Option<RunInfo>,
    /// The events, up to the first torn line.
    pub lines: Vec<Line>,
    /// `manifest.json`, if the run was completed.
    pub manifest: Option<Manifest>,
}

/// A run that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no run of this name.
    #[error("there is no run `{0}`")]
    Missing(String),
    /// There is no run in this folder.
    #[error("there is no run in {0}")]
    Empty(PathBuf),
    /// An I/O operation failed.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file has unexpected content.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A newer version of the program wrote the file.
    #[error("{0} was written in the format `{1}`, which is newer than this program: upgrade proofmark")]
    Newer(PathBuf, String),
}

/// Finds the folder of a run: a path, an id below `root`, or without a name the newest run.
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

/// Returns the folders of the runs below `root`, newest first; empty if `root` cannot be read.
pub fn newest_first(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = runs(root).collect();
    found.sort_by_cached_key(|path| std::cmp::Reverse(age(path)));
    found
}

impl Run {
    /// Reads a step's own file; `None` if the step was not reached.
    pub fn step(&self, scenario: &str, step: &str) -> Option<StepRecord> {
        let text = existing(&self.folder.join(scenario).join(format!("{step}.json"))).ok()??;
        serde_json::from_slice(&text).ok()
    }

    /// Returns a step's observation from its own file; `None` if it kept none.
    pub fn observation(&self, scenario: &str, step: &str) -> Option<Value> {
        Some(self.step(scenario, step)?.observation).filter(|seen| !seen.is_null())
    }
}

/// The sort key of a run: the second in its name, then the time at which its first file was written.
fn age(path: &Path) -> (String, Option<SystemTime>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let second = name.split('-').next().unwrap_or_default().to_owned();
    let first = fs::metadata(path.join("run.json")).or_else(|_| fs::metadata(path));
    (second, first.and_then(|first| first.modified()).ok())
}

/// A run that was killed before it wrote anything counts too: otherwise the run before it would be taken for the
/// newest.
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
/// A folder without events, or a file that is damaged or of a newer format.
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
            // `kill -9` leaves a torn last line; Proofmark writes no other damaged line.
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

/// Reads a JSON file with a format version; `None` if it does not exist.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReadError> {
    let Some(bytes) = existing(path)? else { return Ok(None) };
    let damaged =
        |error: serde_json::Error| ReadError::Damaged { path: path.to_owned(), why: error.to_string() };
    let value: serde_json::Value = match serde_json::from_slice(&bytes) {
        Ok(value) => value,
        // The run was killed while writing `run.json` or the manifest: treated as if the file did not exist.
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

/// Reads a file; `None` if it does not exist.
fn existing(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReadError::Io { path: path.to_owned(), source }),
    }
}
