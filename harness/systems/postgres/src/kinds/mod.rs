//! One file per kind.

pub mod postgres_query;
pub mod postgres_tables;
