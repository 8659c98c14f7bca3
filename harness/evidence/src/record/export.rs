//! Copies evidence files to a folder of the user's choice, as a plan requests it.

use super::{RecordError, io_error};
use std::fs;
use std::io;
use std::path::Path;

/// A file to copy: its path below the run's folder, and its path below the export folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Export {
    /// `<scenario>/<name>`
    pub from: String,
    /// `<folder>/<name>`
    pub to: String,
}

/// Copies the files that the run kept. A file that it did not keep is deleted from the export folder, because an older
/// one would be mistaken for this run's.
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

/// Copies a file atomically: the target is complete or unchanged.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".export-").tempfile_in(folder)?;
    fs::copy(from, part.path())?;
    part.persist(to).map_err(|error| error.error).map(drop)
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
