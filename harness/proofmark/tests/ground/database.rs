//! The ground that the tests against a real PostgreSQL stand on.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time")]

use crate::ground::backups;
use crate::ground::look::{Look, look, with};
use crate::ground::postgres::{AWKWARD, Postgres};
use proofmark_engine::{Cx, StepError};
use proofmark_environment::{Connection, Tls};
use proofmark_model::Duration;
use proofmark_model::redact::Redactor;
use proofmark_postgres::client::Dsn;
use serde_json::{Value, json};
use std::time::{Duration as Std, Instant};

/// An awkward database `app` in the shared server.
pub fn awkward() -> Postgres {
    unpinned(backups::awkward())
}

/// The same in a server of one's own.
pub fn awkward_with(settings: &'static [(&'static str, &'static str)]) -> Postgres {
    let server = Postgres::start(settings);
    server.create("app");
    server.sql("app", AWKWARD);
    unpinned(server)
}

/// Unpinned, these would change what is seen.
fn unpinned(server: Postgres) -> Postgres {
    let settings = [
        "timezone = 'Europe/Berlin'",
        "datestyle = 'German'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
    ];
    for setting in settings {
        server.sql("postgres", &format!("ALTER DATABASE {} SET {setting}", server.name("app")));
    }
    server
}

/// A context for this DSN and these TLS settings.
pub fn reach(dsn: &str, tls: Tls, timeout: Duration) -> Cx {
    let redactor = Redactor::default();
    let dsn = Dsn::parse(dsn, &redactor).unwrap();
    let connection = Connection { name: "postgres".into(), tls, ..Connection::default() };
    let mut cx = with(connection.with(dsn), timeout);
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
    cx(&server.url_as(role, &format!("{role}-password"), "app"))
}

/// Waits until the server works on nothing that we asked, and no session of ours is left.
pub async fn gone(server: &Postgres) {
    let own = format!("application_name = 'proofmark' AND datname = '{}'", server.name("app"));
    let busy = format!("SELECT count(*) FROM pg_stat_activity WHERE {own}");
    let deadline = Instant::now() + Std::from_secs(10);
    while server.sql("postgres", &busy) != "0" {
        assert!(Instant::now() < deadline, "the server still works");
        tokio::task::yield_now().await;
    }
}
