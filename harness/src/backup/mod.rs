//! Backups of databases: what they are, what is in them, and what they are worth. Used by steps and by the command line.

pub mod archive;
