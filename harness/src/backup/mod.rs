//! Backups of PostgreSQL that are proven: how one is made, where it stands, and how it is held against what it was made of.
//! Steps and commands use this; what is judged about it is theirs.
//!
//! A backup is an archive of pg_dump and a manifest beside it, written last. The manifest says what the database held at
//! the very snapshot that was dumped: rows and hashes of every table, sequences, the whole schema.

pub mod catalogue;
pub mod compare;
pub mod manifest;
pub mod name;

pub use catalogue::{Backup, Catalogue};
pub use manifest::Manifest;
