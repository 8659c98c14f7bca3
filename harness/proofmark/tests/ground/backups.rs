//! The ground that the tests of backups stand on: a database with bookings, a folder as the store, and what other tools
//! make of that database.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test writes into its own store")]

use crate::ground::postgres::{self, Postgres};
use fixtures::Desk;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// What is asked of most.
pub const BACKUP: &str = "  - { id: backup, act: { backup: {} } }\n";
pub const DRILL: &str = "  - { id: drill, act: { restore-drill: {} } }\n";

/// So many bookings that refer to users, each with a `note` made of its number `i`, and a log that a trigger writes.
pub fn bookings(rows: u32, note: &str) -> String {
    format!(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
        CREATE TABLE bookings (id serial PRIMARY KEY, owner int REFERENCES users, note text);
        CREATE TABLE changes (at timestamptz DEFAULT now(), id int);
        CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO public.changes (id) VALUES (NEW.id); RETURN NEW; END $$;
        INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) i;
        INSERT INTO bookings (owner, note) SELECT 1 + i % 20, {note} FROM generate_series(1, {rows}) i;
        CREATE TRIGGER log AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION log();"
    )
}

/// A database `app` in the shared server that holds this.
pub fn server(sql: &str) -> Postgres {
    filled(Postgres::part(), sql)
}

/// One that holds what is awkward.
pub fn awkward() -> Postgres {
    let server = Postgres::part();
    server.copy(postgres::awkward(), "app");
    server
}

/// The same as [`server`] in a server of one's own, with settings of `postgresql.conf`.
pub fn server_with(settings: &'static [(&'static str, &'static str)], sql: &str) -> Postgres {
    filled(Postgres::start(settings), sql)
}

fn filled(server: Postgres, sql: &str) -> Postgres {
    server.create("app");
    server.sql("app", sql);
    server
}

/// A desk whose environment leads to `app`, or to where `DATABASE_URL` is set, and to the folder `store`.
pub fn desk(server: &Postgres) -> Desk {
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    desk.set("DATABASE_URL", &server.url("app"));
    fs::create_dir_all(desk.path("store")).unwrap();
    let text = format!(
        "proofmark: v1\nconnections:\n  postgres: {{ url: {{ env: DATABASE_URL }} }}\n  store: {{ url: 'file://{}' }}\n",
        desk.path("store").display()
    );
    desk.write("environment.yaml", text);
    desk
}

/// What `pg_dump` or `pg_dumpall` makes of it.
pub fn dump(server: &Postgres, program: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args([
        "-h",
        server.folder().to_str().unwrap(),
        "-p",
        &server.port.to_string(),
        "-U",
        &server.role(),
    ]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// How many databases of this test a drill made.
pub fn scratch(server: &Postgres) -> String {
    let own = format!("datname LIKE 'proofmark%' AND datdba = '{}'::regrole", server.role());
    server.sql("postgres", &format!("SELECT count(*) FROM pg_database WHERE {own}"))
}

/// Puts a pg_dump before the real one, which is `real` in these words of a shell. It says that it is the newest of its
/// version, so that it is the one that is taken.
pub fn stand_in(desk: &mut Desk, server: &Postgres, words: &str) {
    let major = server.sql("postgres", "SELECT current_setting('server_version_num')::int / 10000");
    let path = std::env::var("PATH").unwrap();
    let text = format!(
        "#!/bin/sh\nPATH='{path}'\nif [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) {major}.99'; exit; fi\ncd '{}'\nreal() {{ pg_dump \"$@\"; }}\n{words}\n",
        desk.path("").display()
    );
    desk.program("bin/pg_dump", &text);
    desk.set("PATH", &format!("{}:{path}", desk.path("bin").display()));
}

/// Nothing is in the store but these files.
pub fn store(desk: &Desk, files: &BTreeMap<String, Vec<u8>>) {
    fs::remove_dir_all(desk.path("store")).unwrap();
    fs::create_dir_all(desk.path("store")).unwrap();
    for (name, bytes) in files {
        desk.write(&format!("store/{name}"), bytes);
    }
}

/// The findings of a step of the newest run that did not pass: what, verdict and what was seen, one a line.
pub fn open(desk: &Desk, step: &str) -> String {
    let kept = desk.kept(step);
    let told = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().map_or_else(|| finding[key].to_string(), str::to_owned);
        format!("{} is {}: {}", text("what"), text("verdict"), text("seen"))
    };
    let findings = kept["findings"].as_array().unwrap().iter();
    findings.filter(|one| one["verdict"] != "passed").map(told).collect::<Vec<_>>().join("\n")
}

/// Was a scratch database promised to be dropped in the newest run? Else none was made.
pub fn made_a_database(desk: &Desk) -> bool {
    desk.journal().iter().any(|line| line.to_string().contains("proofmark_drill_"))
}
