//! Backups of a PostgreSQL database: make, list, verify, prune, restore.

pub mod create;
pub mod list;
pub mod prune;
pub mod restore;
pub mod retention;
pub mod verify;
