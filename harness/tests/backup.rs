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

/// Bookings that refer to users, and a log that a trigger writes.
const BOOKINGS: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE bookings (id serial PRIMARY KEY, owner int REFERENCES users, note text);
    CREATE TABLE changes (at timestamptz DEFAULT now(), id int);
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO public.changes (id) VALUES (NEW.id); RETURN NEW; END $$;
    INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) i;
    INSERT INTO bookings (owner, note) SELECT 1 + i % 20, 'note ' || i FROM generate_series(1, 500) i;
    CREATE TRIGGER log AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION log();
";

const BACKUP: &str = "  - { id: backup, act: { backup: {} } }\n";
const IN_PLACE: &str =
    "  - { id: drill, act: { restore-drill: { into: in-place, truncate: [bookings, users] } } }\n";

/// A server with bookings that were backed up, and changed since.
fn booked() -> (Postgres, Desk) {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", BOOKINGS);
    let desk = desk(&server);
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    server.sql("app", "DELETE FROM bookings WHERE id > 100");
    server.sql("app", "UPDATE bookings SET note = 'other' WHERE id = 7");
    desk.scenario("s", "", IN_PLACE);
    (server, desk)
}

#[test]
fn tables_are_emptied_and_filled_where_they_are_and_nothing_else_is_touched() {
    let (server, desk) = booked();
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(2), "without leave to destroy nothing begins: {ended:#?}");
    desk.runs("destroy", 0);
    let held = "SELECT count(*), max(note) FILTER (WHERE id = 7) FROM bookings";
    assert_eq!(server.sql("app", held), "500\tnote 7");
    assert_eq!(server.sql("app", "SELECT count(*) FROM changes"), "0", "the trigger did not fire");
    server.sql("app", "INSERT INTO bookings (owner, note) VALUES (1, 'new')");
    assert_eq!(server.sql("app", "SELECT count(*) FROM changes"), "1", "and fires again");
}

#[test]
fn only_the_source_itself_is_written_in_place() {
    let (server, mut desk) = booked();
    server.sql("postgres", "CREATE DATABASE other TEMPLATE app");
    desk.set("DATABASE_URL", &server.url("other"));
    let before = server.sql("other", "SELECT count(*), sum(id) FROM bookings");
    let ended = desk.runs("destroy", 3);
    assert!(ended.stdout.contains("only its own source may be written in place"), "{}", ended.stdout);
    assert_eq!(server.sql("other", "SELECT count(*), sum(id) FROM bookings"), before);
}

#[test]
fn a_restore_that_fails_in_place_leaves_the_tables_as_they_were() {
    let (server, desk) = booked();
    // What is in the backup does not fit any more.
    server.sql("app", "ALTER TABLE bookings ADD CONSTRAINT few CHECK (id <= 100)");
    let before = server.sql("app", "SELECT count(*), sum(id) FROM bookings");
    let ended = desk.runs("destroy", 1);
    assert!(ended.stdout.contains("few"), "{}", ended.stdout);
    assert_eq!(server.sql("app", "SELECT count(*), sum(id) FROM bookings"), before);
    // A table that others refer to is not emptied under them.
    desk.scenario("s", "", &IN_PLACE.replace("[bookings, users]", "[users]"));
    let ended = desk.runs("destroy", 1);
    assert!(ended.stdout.contains("foreign key"), "{}", ended.stdout);
    assert_eq!(server.sql("app", "SELECT count(*) FROM users"), "20");
}
