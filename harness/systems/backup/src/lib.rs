//! Backups of PostgreSQL that are proven: how one is made, where it stands, and how it is held against what it was made of.
//! Steps and commands use this; what is judged about it is theirs.
//!
//! A backup is an archive of pg_dump and a manifest beside it, written last. The manifest says what the database held at
//! the very snapshot that was dumped: rows and hashes of every table, sequences, the whole schema.

pub mod abandon;
pub mod alarm;
pub mod archive;

pub mod catalogue;
pub mod compare;
pub mod create;
pub mod drill;
pub mod dump;
pub mod events;
pub mod fetch;
pub mod in_place;
pub mod manifest;
pub mod name;
pub mod prune;
pub mod recreate;
pub mod restore;
pub mod retention;
pub mod variables;
pub mod verify;

mod kinds;

pub use catalogue::{Backup, Catalogue};
pub use manifest::Manifest;

use archive::DecodeError;
use proofmark_engine::{ActKind, CheckKind, System};
use proofmark_evidence::record::RecordError;
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;

/// Why something about a backup could not be done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A system gave no usable answer.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A promise could not be written down, so nothing was changed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What was expected, what was seen, and what to do.
    #[error(transparent)]
    Failed(#[from] CodedError),
}

impl BackupError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        CodedError::new(code, message).into()
    }
}

impl From<BackupError> for CodedError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Client(error) => error.into(),
            BackupError::Record(error) => error.into(),
            BackupError::Failed(error) => error,
        }
    }
}

impl<E: Into<Self>> From<DecodeError<E>> for BackupError {
    fn from(error: DecodeError<E>) -> Self {
        match error {
            DecodeError::Source(error) => error.into(),
            DecodeError::Program(error) => error.into(),
        }
    }
}

/// Everything that a program knows of it.
pub const SYSTEM: System = System {
    name: "backup",
    roles: &[&alarm::ROLE, &proofmark_net::docker::ROLE],
    checks: &[
        CheckKind::of::<kinds::backup_catalogue::BackupCatalogue>(),
        CheckKind::of::<kinds::backup_verify::BackupVerify>(),
    ],
    acts: &[
        ActKind::of::<kinds::backup::Backup>(),
        ActKind::of::<kinds::backup_prune::BackupPrune>(),
        ActKind::of::<kinds::restore_drill::RestoreDrill>(),
    ],
    ..System::EMPTY
};
