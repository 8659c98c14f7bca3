//! A file of a world: what it holds, how old it is, and whether it may be executed.

use super::LabError;
use jiff::Timestamp;
use proofmark_model::Duration;
use proofmark_model::clock::Clock;
use serde::Deserialize;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file of a world.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileSpec {
    /// What it holds.
    #[serde(default)]
    pub text: String,
    /// The file that it is a copy of, instead of `text`.
    pub from: Option<PathBuf>,
    /// Only so many of its first bytes.
    pub cut_after: Option<usize>,
    /// May it be executed?
    #[serde(default)]
    pub executable: bool,
    /// How long ago it was written; just now if it is not said.
    pub age: Option<Duration>,
}

impl FileSpec {
    /// The same, where the file that it is a copy of lies below this folder.
    pub(super) fn below(&mut self, folder: &Path) {
        if let Some(from) = &mut self.from {
            *from = folder.join(&*from);
        }
    }

    /// Writes it, with the folders that lead to it.
    pub(super) async fn write(&self, path: &Path, clock: &Clock) -> Result<(), LabError> {
        let failed = || LabError::io(format!("writing {}", path.display()));
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed())?;
        }
        tokio::fs::write(path, self.bytes().await?).await.map_err(failed())?;
        let mode = if self.executable { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed())?;
        if let Some(written) = self.written(clock) {
            let file = File::options().append(true).open(path).map_err(failed())?;
            file.set_modified(SystemTime::from(written)).map_err(failed())?;
        }
        Ok(())
    }

    /// What it holds.
    pub(super) async fn bytes(&self) -> Result<Vec<u8>, LabError> {
        let mut bytes = match &self.from {
            Some(from) => {
                let read = tokio::fs::read(from).await;
                read.map_err(LabError::io(format!("copying {}", from.display())))?
            }
            None => self.text.clone().into_bytes(),
        };
        bytes.truncate(self.cut_after.unwrap_or(usize::MAX));
        Ok(bytes)
    }

    /// When it was written, if that is said.
    pub(super) fn written(&self, clock: &Clock) -> Option<Timestamp> {
        self.age.map(|age| clock.now() - age.0)
    }
}
