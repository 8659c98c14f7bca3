//! Backups and drills as whole runs: a real PostgreSQL, a folder as the store, and the program as a user calls it.

#![expect(clippy::disallowed_methods, reason = "a test measures real time and breaks its own files")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "ground/postgres.rs"]
#[expect(dead_code, reason = "the tests of its ways use more of it")]
mod postgres;

use fixtures::Desk;
use postgres::{POSTGRES_PASSWORD, Postgres};
use std::fs;

const BOTH: &str = "  - { id: backup, act: { backup: {} } }\n  - { id: drill, act: { restore-drill: { tier: T4, rto: 10m, rpo: 1h } } }\n";

fn server() -> Postgres {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", AWKWARD);
    server
}

fn desk(server: &Postgres) -> Desk {
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    desk.set("DATABASE_URL", &server.url("app"));
    fs::create_dir_all(desk.path("store")).unwrap();
    let store = desk.path("store");
    let text = format!(
        "proofmark: v1\nconnections:\n  postgres: {{ url: {{ env: DATABASE_URL }} }}\n  store: {{ url: 'file://{}' }}\n",
        store.display()
    );
    desk.write("environment.yaml", text);
    desk
}

const AWKWARD: &str = include_str!("../../fixtures/sql/awkward.sql");

/// Databases that a drill made.
fn scratch(server: &Postgres) -> String {
    server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'proofmark%'")
}

#[test]
fn a_backup_is_made_and_restored_and_nothing_else_is_left() {
    let server = server();
    let desk = desk(&server);
    desk.scenario("s", "", BOTH);
    let ended = desk.runs("change", 0);
    assert!(ended.stdout.contains("2 steps: 2 passed"), "{}", ended.stdout);
    assert_eq!(scratch(&server), "0");
    let stored: Vec<String> = desk.files("store").into_keys().collect();
    assert_eq!(stored.len(), 2, "{stored:?}");
    desk.tells_none_of(&[POSTGRES_PASSWORD, "top%2Fsecret"]);
}
