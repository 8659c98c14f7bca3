//! PostgreSQL databases.

pub mod client;
mod kinds;

use proofmark_engine::{CheckKind, System};

/// Everything that a program knows of it.
pub const SYSTEM: System = System {
    name: "postgres",
    roles: &[&client::ROLE, &client::LIVE],
    checks: &[
        CheckKind::of::<kinds::postgres_query::PostgresQuery>(),
        CheckKind::of::<kinds::postgres_tables::PostgresTables>(),
    ],
    ..System::EMPTY
};
