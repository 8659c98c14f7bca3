//! Takes away what a backup left that did not come to its end: its upload, and its archive where no manifest of ours is
//! beside it. Nothing else is ever deleted.

use super::create::{Undo, folder};
use super::fetch::digest;
use super::{BackupError, Manifest, manifest};
use proofmark_environment::Connection;
use proofmark_evidence::undo::RevertPermit;
use proofmark_model::ErrorCode;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::Store;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use url::Url;

/// What is left of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Its manifest is there: it is a backup.
    Committed,
    /// Nothing of it.
    Nothing,
    /// An archive of ours without its manifest.
    Archive,
}

/// Takes it away, and gives back what was there of it.
///
/// # Errors
/// When the store cannot be asked or refuses.
pub async fn abandon(undo: &Undo, store: Endpoint<'_>, owed: &RevertPermit) -> Result<Left, BackupError> {
    let local = local(undo)?;
    let store = opened(store, local.as_ref()).await?;
    let left = left(undo, &store).await?;
    if left == Left::Committed {
        return Ok(left);
    }
    store.abort(&undo.archive, undo.upload.as_deref(), owed).await?;
    if undo.whole.is_some() {
        store.abort_create(&undo.manifest, owed).await?;
    }
    if left == Left::Archive {
        store.delete(&undo.archive, owed).await?;
    }
    Ok(left)
}

/// Looks what is left.
///
/// # Errors
/// When the store cannot be asked.
pub async fn look(undo: &Undo, store: Endpoint<'_>) -> Result<Left, BackupError> {
    let local = local(undo)?;
    left(undo, &opened(store, local.as_ref()).await?).await
}

async fn left(undo: &Undo, store: &Store<'_>) -> Result<Left, BackupError> {
    let limit = usize::try_from(manifest::LARGEST).unwrap_or(usize::MAX);
    if let Some(bytes) = store.get(&undo.manifest, limit).await?
        && Manifest::read(&bytes).is_ok_and(|manifest| manifest.made_by == undo.made_by)
    {
        return Ok(Left::Committed);
    }
    // An archive under this name is ours if it is what we were about to put together; else someone else was faster.
    let Some(whole) = &undo.whole else { return Ok(Left::Nothing) };
    let there = digest(store, &undo.archive).await?;
    Ok(if there.as_ref() == Some(whole) { Left::Archive } else { Left::Nothing })
}

fn local(undo: &Undo) -> Result<Option<Connection>, BackupError> {
    let Some(url) = &undo.folder else { return Ok(None) };
    folder(&path_of(url)?).map(Some)
}

/// The folder that a promise names.
pub(super) fn path_of(url: &str) -> Result<PathBuf, BackupError> {
    let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
    path.ok_or_else(|| BackupError::new(ErrorCode::BadSettings, format!("`{url}` is no folder")))
}

/// The store, or the folder that takes its place.
pub(super) async fn opened<'a>(
    store: Endpoint<'a>,
    local: Option<&'a Connection>,
) -> Result<Store<'a>, BackupError> {
    Ok(Store::open(Endpoint { connection: local.or(store.connection), ..store }).await?)
}
