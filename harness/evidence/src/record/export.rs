//! Copies of kept files in a folder of somebody's own, as a plan asks for them.

use super::{RecordError, io_error};
use std::fs;
use std::io;
use std::path::Path;

/// A file to copy, as paths below the run's folder and below the folder for exports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Export {
    /// `<scenario>/<name>`
    pub from: String,
    /// `<folder>/<name>`
    pub to: String,
}

/// Copies what the run kept. What it did not keep is taken away there: an older file would pass for this run's.
///
/// # Errors
/// A file that cannot be written.
pub fn export(run: &Path, folder: &Path, files: &[Export]) -> Result<(), RecordError> {
    for file in files {
        let (from, to) = (run.join(&file.from), folder.join(&file.to));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(io_error(parent))?;
        }
        let done = if from.exists() { copy(&from, &to) } else { absent(fs::remove_file(&to)) };
        done.map_err(io_error(&to))?;
    }
    Ok(())
}

/// Whole or not at all.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".export-").tempfile_in(folder)?;
    fs::copy(from, part.path())?;
    part.persist(to).map_err(|error| error.error).map(drop)
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
