//! Changing a file as a whole: whoever reads it sees the old bytes or the new ones, never a part of either.

use super::{ClientError, shown};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::{CodedError, ErrorCode};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Gives a file these bytes. They are written to `beside`, which must be in the same folder, brought to the disk, and take
/// the file's place; mode and owner stay as they are.
///
/// # Errors
/// When it cannot be written. The file is then as it was, and `beside` may be left: see [`clear`].
pub fn replace(
    path: &Path,
    beside: &Path,
    bytes: &[u8],
    leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    clear(beside, leave)?;
    put(path, beside, bytes).map_err(|error| unwritten(path, &error))
}

/// Removes what an interrupted [`replace`] left beside the file; nothing there is no error.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn clear(beside: &Path, _leave: &impl ChangePermit) -> Result<(), ClientError> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritten(beside, &error)),
        _ => Ok(()),
    }
}

fn put(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let meta = path.metadata()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(bytes)?;
    // Only the superuser may give a file away; who owns both already needs not.
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What is wrong with a place that is written to.
pub fn unwritten(path: &Path, error: &io::Error) -> ClientError {
    let help = match error.kind() {
        ErrorKind::PermissionDenied => Some("the user that runs Proofmark may not write there"),
        ErrorKind::ReadOnlyFilesystem => Some("it is mounted for reading only"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("the disk is full"),
        _ => None,
    };
    let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable);
    let error = CodedError::new(code, format!("expected to write {}, but: {error}", shown(path)));
    CodedError { help: help.map(str::to_owned), ..error }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_evidence::record::Recorder;
    use proofmark_evidence::undo::{Final, Ledger, PromiseContext, Promises, Until};
    use proofmark_model::Duration;
    use proofmark_model::clock::Clock;
    use proofmark_model::redact::Redactor;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    fn leave(folder: &Path) -> Final {
        let recorder =
            Recorder::create(folder, &Clock::real(), Redactor::default(), Box::new(|_| {})).unwrap();
        let ledger = Ledger::new(Arc::new(Mutex::new(recorder)), Clock::real(), vec![]);
        let (via, timeout, until) = (BTreeMap::new(), Duration::secs(1), Until::Step);
        let by = PromiseContext { scenario: "s".into(), step: "s".into(), kind: "k", via, timeout, until };
        Promises::<u8>::new(&ledger, &by).declare_final()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode_and_owner() {
        let folder = tempfile::tempdir().unwrap();
        let leave = leave(&folder.path().join("evidence"));
        let (path, beside) = (folder.path().join("a.yml"), folder.path().join(".a.yml.new"));
        OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
        }
        let before = path.metadata().unwrap();
        // What an interrupted one left is no obstacle.
        OpenOptions::new().write(true).create(true).truncate(true).open(&beside).unwrap();
        replace(&path, &beside, b"groups: []\n", &leave).unwrap();
        let after = path.metadata().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"groups: []\n");
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        assert!(!beside.exists());
        clear(&beside, &leave).unwrap();
        let nowhere = folder.path().join("none/a.yml");
        assert!(
            replace(&nowhere, &beside, b"", &leave).unwrap_err().to_string().contains("expected to write")
        );
    }
}
