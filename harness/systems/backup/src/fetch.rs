//! Finds a backup and brings it here: into a file without a name, which is gone when nobody holds it any more, also after
//! `kill -9`. On the way it is hashed and decoded, so that a broken archive is known before any database is touched.

use super::archive::{self, Decoded};
use super::manifest::{self, ManifestError};
use super::{Backup, BackupError, Catalogue, Manifest};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;
use proofmark_net::command::Input;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::{self as objects, Store};
use proofmark_postgres::client::programs::Programs;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// So many bytes of the file at once.
const CHUNK: usize = 256 << 10;

/// A backup as it stands in the store.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Where it is.
    pub backup: Backup,
    /// What was written beside it; `None` where another tool made it.
    pub manifest: Option<Manifest>,
}

impl Chosen {
    /// What the manifest says that the archive's SHA-256 is.
    pub fn sha256(&self) -> Option<String> {
        self.manifest.as_ref().map(|manifest| manifest.archive.sha256.clone())
    }
}

/// A backup that is here.
#[derive(Debug)]
pub struct Fetched {
    file: File,
    /// What it is and holds.
    pub decoded: Decoded,
}

impl Fetched {
    /// A path that leads to the file as long as this is held.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Unpacks it into a program's input.
    ///
    /// # Errors
    /// When the file or the input cannot be used.
    pub async fn feed(&self, input: &mut Input) -> Result<(), BackupError> {
        let mut file = self.file.try_clone().map_err(|error| no_room(&error))?;
        file.rewind().map_err(|error| no_room(&error))?;
        let pieces = std::iter::from_fn(move || {
            let mut piece = vec![0; CHUNK];
            match file.read(&mut piece) {
                Ok(0) => None,
                Ok(read) => {
                    piece.truncate(read);
                    Some(Ok(Bytes::from(piece)))
                }
                Err(error) => Some(Err(no_room(&error))),
            }
        });
        Ok(archive::unpacked(stream::iter(pieces), input).await?)
    }
}

/// Which backup is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest that was committed.
    Newest,
    /// The oldest that is kept.
    Oldest,
    /// The one whose archive or manifest has this name.
    Named(String),
}

impl Which {
    /// Reads `newest`, `oldest`, or a name.
    pub fn of(word: &str) -> Self {
        match word {
            "newest" => Self::Newest,
            "oldest" => Self::Oldest,
            name => Self::Named(name.to_owned()),
        }
    }
}

/// What the store holds below a prefix.
///
/// # Errors
/// When it cannot be listed, or an object hides what is listed there.
pub async fn catalogue(store: Endpoint<'_>, prefix: &str) -> Result<Catalogue, BackupError> {
    let listing = objects::list(store, prefix).await?;
    match listing.hidden_by {
        Some(key) => {
            let message = format!(
                "an object is named `{key}` like the folder: some servers list nothing of such a folder"
            );
            Err(CodedError::new(ErrorCode::Conflict, message).help("move it away").into())
        }
        None => Ok(Catalogue::of(&listing.objects)),
    }
}

/// Chooses a backup and reads its manifest. `None` where there is none of that name, or none at all.
///
/// # Errors
/// When the store cannot be read, or the manifest is none.
pub async fn choose(store: Endpoint<'_>, which: &Which, prefix: &str) -> Result<Option<Chosen>, BackupError> {
    let found = catalogue(store, prefix).await?;
    let named = |name: &str| {
        let every = found.backups.iter().chain(&found.without_manifest);
        every.clone().find(|backup| backup.archive == name || backup.manifest.as_deref() == Some(name))
    };
    let backup = match which {
        Which::Newest => found.all().first(),
        Which::Oldest => found.all().last(),
        Which::Named(name) => named(name),
    };
    let Some(backup) = backup.cloned() else { return Ok(None) };
    let manifest = match &backup.manifest {
        Some(key) => Some(read_manifest(store, key).await?),
        None => None,
    };
    Ok(Some(Chosen { backup, manifest }))
}

/// Reads a manifest.
///
/// # Errors
/// When it cannot be read, or is none.
pub async fn read_manifest(store: Endpoint<'_>, key: &str) -> Result<Manifest, BackupError> {
    manifest_in(&Store::open(store).await?, key).await
}

/// Reads a manifest of a store that is open.
pub(super) async fn manifest_in(store: &Store<'_>, key: &str) -> Result<Manifest, BackupError> {
    let read = look_into(store, key).await?;
    read.map_err(|error| {
        let code = match error {
            ManifestError::Broken(_) => ErrorCode::BackupUnusable,
            ManifestError::Newer(_) => ErrorCode::Unsupported,
        };
        BackupError::new(code, format!("`{key}`: {error}"))
    })
}

/// Reads a manifest, or says why it is none.
///
/// # Errors
/// When the store cannot be asked.
pub async fn look_into(store: &Store<'_>, key: &str) -> Result<Result<Manifest, ManifestError>, BackupError> {
    let limit = usize::try_from(manifest::LARGEST).unwrap_or(usize::MAX);
    let bytes = store.get(key, limit).await?;
    let bytes = bytes.ok_or_else(|| vanished(key))?;
    Ok(Manifest::read(&bytes))
}

/// Brings an archive here.
///
/// # Errors
/// When the store cannot be read to the archive's end, or there is no room for it. A broken archive is no error: see
/// [`Decoded::outcome`].
pub async fn fetch(store: Endpoint<'_>, key: &str) -> Result<Fetched, BackupError> {
    let opened = Store::open(store).await?;
    store.log.begins("downloading");
    let (_, stream) = opened.read(key).await?.ok_or_else(|| vanished(key))?;
    let file = tempfile::tempfile().map_err(|error| no_room(&error))?;
    let keep = |bytes: &Bytes| (&file).write_all(bytes);
    let mut failed = None;
    let kept = stream.map(|bytes| {
        let bytes = bytes?;
        if failed.is_none() {
            failed = keep(&bytes).err();
        }
        Ok::<Bytes, ClientError>(bytes)
    });
    let decoded = archive::decode(kept, &Programs::of_this_machine(), (store.clock, store.log)).await?;
    match failed {
        Some(error) => Err(no_room(&error)),
        None => Ok(Fetched { file, decoded }),
    }
}

/// An object of the list that cannot be read any more.
pub(super) fn vanished(key: &str) -> BackupError {
    BackupError::new(ErrorCode::NotFound, format!("`{key}` was listed and is not there any more"))
}

fn no_room(error: &std::io::Error) -> BackupError {
    let message = format!(
        "expected to keep the archive in {} while it is restored, but: {error}",
        std::env::temp_dir().display()
    );
    let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable);
    CodedError::new(code, message).help("`TMPDIR` names another place").into()
}

/// Bytes and SHA-256 of an object, as the store gives it; `None` where there is none.
///
/// # Errors
/// When it cannot be read to its end.
pub async fn digest(store: &Store<'_>, key: &str) -> Result<Option<(u64, String)>, BackupError> {
    let Some((bytes, mut stream)) = store.read(key).await? else { return Ok(None) };
    let mut hash = Sha256::new();
    while let Some(piece) = stream.next().await {
        hash.update(&piece?);
    }
    Ok(Some((bytes, hex::encode(hash.finalize()))))
}
