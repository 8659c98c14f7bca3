//! One file per kind.

mod archive;
pub mod backup;
pub mod backup_catalogue;
pub mod backup_prune;
pub mod backup_verify;
pub mod restore_drill;
#[cfg(test)]
pub mod judgements;
