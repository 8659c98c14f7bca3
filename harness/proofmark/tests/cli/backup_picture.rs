//! The picture of a database, on a real PostgreSQL: equal to that of its restored dump, and other after each change that
//! matters. What naive counts and hashes do not see is the point of most of these.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::database::{self, awkward, awkward_with, cx};
use crate::ground::postgres::Postgres;
use proofmark_backup::compare::{Comparison, Depth, compare};
use proofmark_net::Log;
use proofmark_postgres::client::{Picture, Snapshot, libpq};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// One of them is sparse: its pages come back others than they were, and its content does not.
const LARGE_OBJECTS: &str =
    "SELECT lo_from_bytea(0, 'a large object'); SELECT lo_put(lo_create(0), 100000, 'far')";

/// What `database` holds now.
async fn picture(server: &Postgres, database: &str) -> Picture {
    let cx = cx(&server.url(database));
    let mut snapshot = Snapshot::take(cx.wire("postgres").unwrap()).await.unwrap();
    let picture = snapshot.picture().await.unwrap();
    snapshot.close().await.unwrap();
    picture
}

/// Dumps `app` at this snapshot and restores it into a new database, by PostgreSQL's own programs.
fn copy(server: &Postgres, snapshot: &str, into: &str) {
    server.create(into);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(into);
    let cx = cx(&server.url("app"));
    let run = |program: &str, database: &str, args: &[&str]| {
        let way = libpq(cx.wire("postgres").unwrap(), Some(&server.name(database))).unwrap();
        let output = Command::new(program).args(args).envs(way.variables.clone()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let file = file.to_str().unwrap();
    run("pg_dump", "app", &["-Fc", "-Z1", "--snapshot", snapshot, "-f", file]);
    run("pg_restore", into, &["--exit-on-error", "-d", &server.name(into), file]);
}

fn differences(seen: &Comparison) -> Vec<String> {
    let table = |table: &proofmark_backup::compare::TablePair| {
        (table.same != Some(true) || table.expected != table.rows).then(|| format!("table {}", table.name))
    };
    let mut out: Vec<String> = seen.tables.iter().filter_map(table).collect();
    let each = seen.schema.iter().chain(&seen.sequences);
    out.extend(each.map(|difference| format!("{} {}", difference.class, difference.name)));
    out.extend(seen.sequences_behind.iter().map(|name| format!("behind {name}")));
    out.extend(seen.invalid_indexes.iter().map(|name| format!("invalid {name}")));
    out.extend(seen.unvalidated.iter().map(|name| format!("unvalidated {name}")));
    if seen.large_objects.as_ref().is_none_or(|pair| pair.same != Some(true)) {
        out.push("large objects".into());
    }
    out
}

#[tokio::test]
async fn whoever_listens_hears_of_every_table() {
    let server = awkward();
    let (heard, mut cx) = (Arc::new(Mutex::new(vec![])), cx(&server.url("app")));
    let by = Arc::clone(&heard);
    cx.log = Log::heard(move |far| by.lock().unwrap().extend(far.tables));
    let mut snapshot = Snapshot::take(cx.wire("postgres").unwrap()).await.unwrap();
    let all = snapshot.picture().await.unwrap().tables.len();
    assert_eq!(*heard.lock().unwrap(), (1..=all).map(|done| (done, all)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dump_at_the_snapshot_comes_back_the_same_while_others_write() {
    let server = awkward();
    server.sql("app", LARGE_OBJECTS);
    let cx = cx(&server.url("app"));
    let mut snapshot = Snapshot::take(cx.wire("postgres").unwrap()).await.unwrap();
    // After the moment: neither the picture nor the dump may see it.
    server.sql("app", "CREATE TABLE late (id int)");
    server.sql("app", "INSERT INTO alltypes (t) VALUES ('late')");
    let picture_there = snapshot.picture().await.unwrap();
    copy(&server, &snapshot.id, "again");
    assert_eq!(snapshot.source.major, 15);
    assert_eq!(snapshot.source.database, server.name("app"));
    snapshot.close().await.unwrap();
    let here = picture(&server, "again").await;
    let seen = compare(&picture_there, &here, Depth::Contents { hashes: true });
    let seen = differences(&seen);
    assert!(seen.is_empty(), "{seen:?}");
    assert!(picture_there.tables.iter().filter(|table| table.rows > 0).count() > 8);
    assert!(picture_there.large_objects.as_ref().is_some_and(|all| all.rows > 0));
}

#[tokio::test]
async fn each_change_is_seen_where_it_was_made_and_nowhere_else() {
    let server = awkward();
    server.sql("app", LARGE_OBJECTS);
    let before = picture(&server, "app").await;
    assert_eq!(before, picture(&server, "app").await, "nothing changed");
    server.sql(
        "app",
        "CREATE TABLE t (id serial PRIMARY KEY, n numeric, f float8, w text, c citext, j jsonb, t text)",
    );
    server.sql("app", "INSERT INTO t (n, f, w, c, j, t) SELECT 1.10, 0.0, 'w' || i, 'a', jsonb_build_object('k', i), 'x' FROM generate_series(1, 50) i");
    server.sql("app", "CREATE INDEX t_w ON t (w)");
    server.sql("app", "CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t)");
    server.sql("app", "INSERT INTO u VALUES (1, 1)");
    let mut at = picture(&server, "app").await;
    for (change, expected) in [
        ("UPDATE t SET n = 1.1 WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET f = '-0' WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET f = 1e-300 WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET c = 'A' WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET j = '{\"k\": 99}' WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET w = 'w' || w WHERE id = 3", vec!["table t"]),
        ("UPDATE t SET w = w || '' WHERE id = 3", vec![]),
        ("DELETE FROM t WHERE id = 50", vec!["table t"]),
        ("UPDATE t SET w = CASE id WHEN 5 THEN 'w6' ELSE 'w5' END WHERE id IN (5, 6)", vec!["table t"]),
        ("SELECT setval('t_id_seq', 20)", vec!["sequence public.t_id_seq", "behind public.t_id_seq"]),
        ("SELECT setval('t_id_seq', 50, false)", vec!["sequence public.t_id_seq"]),
        ("DROP INDEX t_w", vec!["index public.t_w"]),
        ("ALTER TABLE u DROP CONSTRAINT u_t_fkey", vec!["constraint public.u.u_t_fkey"]),
        (
            "ALTER TABLE u ADD CONSTRAINT later CHECK (t > 0) NOT VALID",
            vec!["constraint public.u.later", "unvalidated public.u.later"],
        ),
        ("ALTER TABLE t ALTER w SET DEFAULT 'x'", vec!["column public.t.w"]),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", vec!["relation public.t"]),
        ("SELECT lo_put((SELECT min(oid) FROM pg_largeobject_metadata), 0, 'other')", vec!["large objects"]),
    ] {
        server.sql("app", change);
        let now = picture(&server, "app").await;
        let seen = differences(&compare(&at, &now, Depth::Contents { hashes: true }));
        assert_eq!(seen, expected, "{change}");
        at = now;
    }
}

#[tokio::test]
async fn a_value_that_only_looks_like_another_is_another() {
    let server = awkward();
    server.sql("app", "CREATE TYPE pair AS (a int, b int)");
    server.sql("app", "CREATE TYPE loud AS ENUM ('x', 'X')");
    server.sql(
        "app",
        "CREATE FUNCTION small(loud) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::text $$",
    );
    server.sql("app", "CREATE CAST (loud AS text) WITH FUNCTION small(loud)");
    server.sql(
        "app",
        "CREATE TABLE looks (id int, a text, b text, padded bpchar, p pair, l loud, many text[], bits bytea, big bigint, at timestamptz)",
    );
    server.sql(
        "app",
        "INSERT INTO looks SELECT g, 'ab', 'c', 'x', NULL, 'x', '{a}', '\\x00', 4294967296, '2026-01-01Z' FROM generate_series(1, 3) g",
    );
    let mut at = picture(&server, "app").await;
    for change in [
        "UPDATE looks SET a = 'a', b = 'bc' WHERE id = 1",
        "UPDATE looks SET a = NULL WHERE id = 1",
        "UPDATE looks SET a = '' WHERE id = 1",
        "UPDATE looks SET a = '.' WHERE id = 1",
        "UPDATE looks SET a = '', b = NULL WHERE id = 1",
        "UPDATE looks SET a = NULL, b = '' WHERE id = 1",
        "UPDATE looks SET padded = 'x ' WHERE id = 1",
        "UPDATE looks SET p = ROW(NULL, NULL) WHERE id = 1",
        "UPDATE looks SET l = 'X' WHERE id = 1",
        "UPDATE looks SET many = '{NULL}' WHERE id = 1",
        "UPDATE looks SET many = '{\"NULL\"}' WHERE id = 1",
        "UPDATE looks SET bits = '\\x0000' WHERE id = 1",
        "UPDATE looks SET big = 1 WHERE id = 1",
        "UPDATE looks SET at = at + '1 microsecond' WHERE id = 1",
        // Each column holds the same values as before, in other rows.
        "UPDATE looks SET big = CASE id WHEN 1 THEN 4294967296 WHEN 2 THEN 1 ELSE big END",
        "UPDATE looks SET a = b, b = a",
    ] {
        server.sql("app", change);
        let now = picture(&server, "app").await;
        let seen = differences(&compare(&at, &now, Depth::Contents { hashes: true }));
        assert_eq!(seen, ["table looks"], "{change}");
        at = now;
    }
}

#[tokio::test]
async fn a_table_of_all_columns_that_there_can_be_and_one_of_none_are_hashed() {
    let server = awkward();
    let columns: Vec<String> = (0..1600).map(|at| format!("\"c \"\" {at}\" int2")).collect();
    server.sql("app", &format!("CREATE TABLE wide ({})", columns.join(", ")));
    server
        .sql("app", "INSERT INTO wide DEFAULT VALUES; CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES");
    let before = picture(&server, "app").await;
    server.sql("app", "UPDATE wide SET \"c \"\" 801\" = 1");
    let seen =
        differences(&compare(&before, &picture(&server, "app").await, Depth::Contents { hashes: true }));
    assert_eq!(seen, ["table wide"]);
    let bare = before.tables.iter().find(|table| table.name == "bare");
    assert_eq!(bare.map(|table| table.rows), Some(1));
}

#[tokio::test]
async fn rows_that_the_role_may_not_see_are_an_error_and_no_smaller_number() {
    // What a role may do is the whole server's.
    let server = awkward_with(&[]);
    let cx = database::as_role(&server, "reader");
    // It may not even lock every table.
    let error = Snapshot::take(cx.wire("postgres").unwrap()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
    // May it read all of them, the policy still hides rows from it.
    server.sql("app", "GRANT pg_read_all_data TO reader");
    let mut snapshot = Snapshot::take(cx.wire("postgres").unwrap()).await.unwrap();
    let error = snapshot.picture().await.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{error}");
}

#[tokio::test]
async fn a_table_cannot_be_emptied_while_the_moment_is_held() {
    let server = awkward();
    let cx = cx(&server.url("app"));
    let mut snapshot = Snapshot::take(cx.wire("postgres").unwrap()).await.unwrap();
    let there = snapshot.picture().await.unwrap();
    let truncate = server
        .psql("app")
        .args(["-c", "SET lock_timeout = '100ms'", "-c", "TRUNCATE alltypes CASCADE"])
        .output();
    let output = truncate.unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("lock timeout"), "{output:?}");
    assert_eq!(snapshot.picture().await.unwrap(), there);
    snapshot.close().await.unwrap();
}
