//! The ground that the tests against a real PostgreSQL stand on.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time")]

use crate::ground::look::{Look, look, with};
use crate::ground::postgres::Postgres;
use proofmark::environment::{Connection, Dsn, Tls};
use proofmark::model::Duration;
use proofmark::redact::Redactor;
use proofmark::steps::{Cx, StepError};
use serde_json::{Value, json};
use std::time::{Duration as Std, Instant};

const AWKWARD: &str = include_str!("../../../fixtures/sql/awkward.sql");

/// A server with the awkward database.
pub fn awkward(settings: &'static [(&'static str, &'static str)]) -> Postgres {
    let server = Postgres::start(settings);
    server.sql("postgres", "CREATE DATABASE app");
    // Unpinned, these would change what is seen.
    server.sql("postgres", "ALTER DATABASE app SET timezone = 'Europe/Berlin'");
    server.sql("postgres", "ALTER DATABASE app SET datestyle = 'German'");
    server.sql("postgres", "ALTER DATABASE app SET bytea_output = 'escape'");
    server.sql("postgres", "ALTER DATABASE app SET extra_float_digits = -5");
    server.sql("app", AWKWARD);
    server
}

/// A context for this DSN and these TLS settings.
pub fn reach(dsn: &str, tls: Tls, timeout: Duration) -> Cx {
    let redactor = Redactor::default();
    let dsn = Some(Dsn::parse(dsn, &redactor).unwrap());
    let mut cx = with(Connection { name: "postgres".into(), dsn, tls, ..Connection::default() }, timeout);
    cx.via.insert("postgres".into(), "prometheus".into());
    cx
}

pub fn cx(dsn: &str) -> Cx {
    reach(dsn, Tls::default(), Duration::secs(30))
}

pub async fn query(cx: &Cx, sql: &str) -> Result<Look, StepError> {
    look(cx, json!({"postgres-query": {"sql": sql}})).await
}

pub async fn tables(cx: &Cx, settings: Value) -> Result<Look, StepError> {
    look(cx, json!({"postgres-tables": settings})).await
}

pub fn as_role(server: &Postgres, role: &str) -> Cx {
    cx(&format!("postgresql://{role}:{role}-password@127.0.0.1:{}/app", server.port))
}

/// Waits until the server works on nothing that we asked, and no session of ours is left.
pub async fn gone(server: &Postgres) {
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'proofmark'";
    let deadline = Instant::now() + Std::from_secs(10);
    while server.sql("postgres", busy) != "0" {
        assert!(Instant::now() < deadline, "the server still works");
        tokio::task::yield_now().await;
    }
}
