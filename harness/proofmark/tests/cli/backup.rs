//! Backups and drills as whole runs: a real PostgreSQL, a folder as the store, and the program as a user calls it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups::{self, BACKUP, bookings, desk, scratch, server};
use crate::ground::postgres::{Extension, POSTGRES_PASSWORD, Postgres};
use fixtures::{Answer, Desk, Server};
use serde_json::{Value, json};
use std::fs;

const BOTH: &str = "  - { id: backup, act: { backup: {} } }\n  - { id: drill, act: { restore-drill: { tier: T4, rto: 10m, rpo: 1h } } }\n";

#[test]
fn a_backup_is_made_and_restored_and_nothing_else_is_left() {
    let server = backups::awkward();
    let desk = desk(&server);
    desk.scenario("s", "", BOTH);
    let ended = desk.runs("change", 0);
    assert!(ended.stdout.contains("2 steps: 2 passed"), "{}", ended.stdout);
    assert_eq!(scratch(&server), "0");
    let stored: Vec<String> = desk.files("store").into_keys().collect();
    assert_eq!(stored.len(), 2, "{stored:?}");
    desk.tells_none_of(&[POSTGRES_PASSWORD, "top%2Fsecret"]);
}

const IN_PLACE: &str =
    "  - { id: drill, act: { restore-drill: { into: in-place, truncate: [bookings, users] } } }\n";

/// A server with bookings that were backed up, and changed since.
fn booked() -> (Postgres, Desk) {
    let server = server(&bookings(500, "'note ' || i"));
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
fn a_whole_database_gets_back_what_the_backup_holds() {
    let (server, desk) = booked();
    server.sql("app", "DELETE FROM bookings; DELETE FROM users; SELECT setval('bookings_id_seq', 7000)");
    desk.scenario("s", "", &IN_PLACE.replace("[bookings, users]", "['*']"));
    desk.runs("destroy", 0);
    assert_eq!(server.sql("app", "SELECT count(*), (SELECT count(*) FROM users) FROM bookings"), "500\t20");
    assert_eq!(server.sql("app", "SELECT last_value FROM bookings_id_seq"), "500");
    // A table that is gone is not made again in silence.
    server.sql("app", "DROP TABLE changes");
    let ended = desk.runs("destroy", 3);
    assert!(ended.stdout.contains("public.changes"), "{}", ended.stdout);
}

#[test]
fn only_the_source_itself_is_written_in_place() {
    let (server, mut desk) = booked();
    server.copy(&server.name("app"), "other");
    desk.set("DATABASE_URL", &server.url("other"));
    let before = server.sql("other", "SELECT count(*), sum(id) FROM bookings");
    let ended = desk.runs("destroy", 3);
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("only its own source may be written in place"), "{}", ended.stdout);
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

#[test]
fn what_came_back_is_held_against_the_live_database() {
    let server = server(&bookings(500, "'note ' || i"));
    server.create("drills");
    let mut desk = desk(&server);
    desk.set("DRILLS", &server.url("drills"));
    let text = fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", format!("{text}  drills: {{ url: {{ env: DRILLS }} }}\n"));
    let drill = |more: &str| {
        format!(
            "  - {{ id: drill, via: {{ postgres: drills }}, act: {{ restore-drill: {{ live: postgres{more} }} }} }}\n"
        )
    };
    desk.scenario("s", "", &format!("{BACKUP}{}", drill("")));
    desk.runs("change", 0);
    server.sql("app", "DELETE FROM bookings WHERE id <= 20; CREATE TABLE later (id int)");
    desk.scenario("s", "", &drill(", tolerance: 5%"));
    desk.runs("change", 1);
    let open = backups::open(&desk, "s/drill");
    assert_eq!(open.lines().count(), 1, "{open}");
    assert!(open.contains("public.later: no such table came back, 0 rows in the live database"), "{open}");
    server.sql("app", "DROP TABLE later");
    desk.runs("change", 0);
    desk.scenario("s", "", &drill(", tolerance: 19"));
    desk.runs("change", 1);
    let open = backups::open(&desk, "s/drill");
    assert!(open.contains("public.bookings: 500 rows came back, 480 rows in the live database"), "{open}");
    // It cannot be asked, which says nothing about the backup.
    desk.set("DATABASE_URL", "postgresql://app@127.0.0.1:1/app");
    desk.runs("change", 3);
    desk.scenario("s", "", &drill("").replace("live: postgres", "live: nowhere"));
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("the connection `nowhere` for the role `live`"), "{}", ended.stderr);
}

/// The events of a file, in order.
fn events(text: &[u8]) -> Vec<Value> {
    std::str::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_operation_tells_what_it_does_in_a_file_of_its_own_and_in_the_shared_one() {
    let server = server(&bookings(500, "'note ' || i"));
    let desk = desk(&server);
    let to = "events: { folder: logs/backup-dr, log: logs/backup-dr/events.jsonl }";
    let steps = format!(
        "  - {{ id: backup, act: {{ backup: {{ {to} }} }} }}\n  - {{ id: drill, act: {{ restore-drill: {{ {to} }} }} }}\n"
    );
    desk.scenario("s", "", &steps);
    desk.runs("change", 0);
    let files = desk.files("logs/backup-dr");
    assert_eq!(files.len(), 3, "{:?}", files.keys());
    let shared = events(&files["events.jsonl"]);
    let names: Vec<&str> = shared.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "backup_local_started",
            "backup_local_completed",
            "dr_smoke_started",
            "download_latest_started",
            "download_latest_completed",
            "restore_local_started",
            "restore_local_completed",
            "dr_smoke_completed"
        ]
    );
    for event in &shared {
        assert!(event["ts"].as_str().unwrap().ends_with('Z') && event["ts_unix"].is_i64(), "{event}");
        assert!(event["level"] == "info", "{event}");
    }
    assert!(shared[1]["size_bytes"].as_u64() > Some(1000) && shared[1]["duration_sec"].is_f64());
    assert_eq!(shared[2]["mode"], "scratch");
    let own = files.keys().find(|name| name.starts_with("dr_smoke_")).unwrap();
    assert!(own.contains("_pid") && events(&files[own]).len() == 6, "{own}");
}

#[test]
fn a_backup_that_fails_is_told_to_the_webhook_and_leaves_nothing() {
    let server = server("CREATE TABLE bookings (id int); INSERT INTO bookings VALUES (1)");
    let blind = server.name("blind");
    server.sql("app", &format!("CREATE ROLE {blind} LOGIN PASSWORD 'blind-password'"));
    let desk = desk(&server);
    let hook = Server::start().on("/hook", Answer::new(200, "text/plain", "ok"));
    let text = fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", format!("{text}  webhook: {{ url: '{}/hook' }}\n", hook.url()));
    let mut desk = desk;
    desk.set("DATABASE_URL", &server.url_as(&blind, "blind-password", "app"));
    desk.scenario("s", "", "  - { id: backup, act: { backup: { webhook: true, local: copies } } }\n");
    let ended = desk.runs("change", 1);
    assert!(ended.stdout.contains("permission denied"), "{}", ended.stdout);
    let told = hook.seen();
    assert_eq!(told.len(), 1);
    let body: Value = serde_json::from_str(&told[0].body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("[BACKUP FAILURE] ") && text.contains("permission denied"), "{text}");
    assert!(desk.files("store").is_empty() && desk.files("copies").is_empty());
    // A webhook that does not take it hides nothing.
    desk.write(
        "environment.yaml",
        fs::read_to_string(desk.path("environment.yaml")).unwrap().replace("/hook", "/gone"),
    );
    let ended = desk.runs("change", 1);
    assert!(
        ended.stdout.contains("permission denied") && ended.stdout.contains("webhook"),
        "{}",
        ended.stdout
    );
    desk.tells_none_of(&["blind-password"]);
}

/// One whose tables hold what its users say beside what it came with.
const SRS: Extension = Extension(
    "proofmark_srs",
    "default_version = '1'\nrelocatable = true\n",
    "CREATE TABLE srs (id serial PRIMARY KEY, name text, own bool DEFAULT true);
     INSERT INTO srs (id, name, own) SELECT -i, 'standard ' || i, false FROM generate_series(1, 30) i;
     CREATE TABLE \"Words\" (word text);
     CREATE TABLE cache (n int);
     INSERT INTO cache VALUES (1), (2);
     SELECT pg_catalog.pg_extension_config_dump('srs', 'WHERE own');
     SELECT pg_catalog.pg_extension_config_dump('srs_id_seq', '');
     SELECT pg_catalog.pg_extension_config_dump('\"Words\"', '');",
);

#[test]
fn what_users_wrote_into_an_extensions_tables_is_backed_up_and_compared() {
    let server = Postgres::start_with(&[], Some(SRS));
    server.create("app");
    server.sql("app", "CREATE EXTENSION proofmark_srs; CREATE TABLE users AS SELECT 1 AS id");
    server.sql(
        "app",
        "INSERT INTO srs (name) VALUES ('ours'), ('ours too'); INSERT INTO \"Words\" VALUES ('word')",
    );
    server.sql("app", "INSERT INTO cache VALUES (3)");
    let desk = desk(&server);
    desk.scenario("s", "", &format!("{BOTH}  - {{ id: verify, check: {{ backup-verify: {{}} }} }}\n"));
    let ended = desk.runs("change", 0);
    assert!(ended.stdout.contains("3 steps: 3 passed"), "{}", ended.stdout);
    let made = &desk.kept("s/backup")["observation"]["made"];
    assert_eq!((&made["rows"], made["tables"].as_array().unwrap().len()), (&json!(4), 3), "{made}");
    let unproven = desk.kept("s/drill")["observation"]["unproven"].to_string();
    assert!(unproven.contains("public.cache: table of an extension"), "{unproven}");
    // In place only the database's own tables are meant, and what the extension came with stays.
    server.sql("app", "DELETE FROM users; DELETE FROM srs WHERE own");
    desk.scenario("s", "", &IN_PLACE.replace("[bookings, users]", "['*']"));
    desk.runs("destroy", 0);
    let held = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM srs)";
    assert_eq!(server.sql("app", held), "1\t30");
    let unproven = desk.kept("s/drill")["observation"]["unproven"].to_string();
    assert!(unproven.contains("public.srs"), "{unproven}");
}
