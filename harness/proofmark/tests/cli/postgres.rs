//! PostgreSQL, the real one: every way in which a naive reader or counter passes wrongly, and every way in which a
//! statement could write.

#![expect(clippy::disallowed_methods, reason = "a test measures real time")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::database::{as_role, awkward, awkward_with, cx, gone, query, reach, tables};
use crate::ground::look::{Look, look};
use proofmark_environment::Tls;
use proofmark_model::{Duration, Verdict};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration as Std, Instant};

#[tokio::test]
async fn every_type_is_shown_whatever_the_database_is_set_to() {
    let server = awkward();
    let cx = cx(&server.url("app"));
    let seen = query(&cx, "SELECT * FROM alltypes ORDER BY id").await.unwrap();
    assert_eq!(seen.verdict, Verdict::Passed);
    let row = &seen.seen["rows"][0];
    for (column, value) in [
        ("id", json!(1)),
        ("b", json!("\\xdeadbeef00ff")),
        ("j", json!({"a": 1, "b": [1, 2]})),
        ("jb", json!({"a": 100, "b": [1, 2.5]})),
        ("tz", json!("2024-03-31T02:30:00Z")),
        ("ts", json!("infinity")),
        ("d", json!("2024-02-29")),
        ("iv", json!("1 year 2 mons -3 days +04:05:06.789")),
        ("ip", json!("::1")),
        ("r", json!("[1,5)")),
        ("mr", json!("{[1.0,2.0],(5,7]}")),
        ("ta", json!(["a", null, "q,\"x\""])),
        ("ia", json!([[1, 2], [3, null]])),
        ("c", json!("(1,\"he said \"\"hi\"\"\")")),
        ("m", json!("happy")),
        ("ma", json!(["sad", "ok"])),
        ("pi", json!(5)),
        ("ci", json!("CaSe")),
        ("p", json!("(1.1,2.2)")),
        ("bl", json!(true)),
        ("mon", json!("$12.34")),
        ("o", json!(42)),
        ("t", json!("multi\nline\ttab\\ ünïcödé 🚀")),
        ("select", json!("kw")),
        ("big", json!(9_007_199_254_740_993_i64)),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    let columns = seen.seen["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 32);
    let nulls = seen.seen["rows"][1].as_object().unwrap();
    assert_eq!(nulls.values().filter(|value| value.is_null()).count(), 31, "and each is there: {nulls:?}");
    let floats = query(&cx, "TABLE floats ORDER BY id").await.unwrap().seen;
    let rows = json!([
        {"id": 1, "f4": 0.1, "f8": 0.1 + 0.2, "n": 1.1},
        {"id": 2, "f4": "NaN", "f8": "NaN", "n": "NaN"},
        {"id": 3, "f4": "+Inf", "f8": "-Inf", "n": "+Inf"},
        {"id": 4, "f4": 0.333_333_34, "f8": 1.0 / 3.0, "n": "12345678901234567890.123"},
        {"id": 5, "f4": null, "f8": null, "n": 18_446_744_073_709_551_615_u64},
    ]);
    assert_eq!(floats["rows"], rows);
    let shown = query(&cx, "SHOW server_version").await.unwrap().seen;
    let version = shown["database"]["version"].as_str().unwrap();
    assert!(shown["rows"][0]["server_version"].as_str().unwrap().starts_with(version), "{shown}");
    assert_eq!(
        (&shown["database"]["name"], &shown["database"]["role"]),
        (&json!(server.name("app")), &json!(server.role()))
    );
    assert_eq!(shown["database"]["tls"], "TLSv1.3", "prefer takes what the server offers");
}

#[tokio::test]
async fn nothing_can_be_written_whatever_the_statement_tries() {
    let server = awkward();
    let cx = cx(&server.url("app"));
    let proof = server.folder().join(server.name("written"));
    let program = format!("COPY (SELECT 1) TO PROGRAM 'touch {}'", proof.display());
    for (sql, word) in [
        ("INSERT INTO ledger VALUES (9) RETURNING id", "read-only"),
        ("WITH w AS (INSERT INTO ledger VALUES (9) RETURNING id) SELECT * FROM w", "read-only"),
        ("SELECT write_row()", "read-only"),
        ("SELECT write_row_anyway()", "before any query"),
        ("SELECT write_row_by_set()", "before any query"),
        ("CALL commit_and_write(1)", "invalid transaction termination"),
        ("SELECT nextval('tickets')", "read-only"),
        ("SELECT 1 FROM ledger FOR UPDATE", "read-only"),
        ("SELECT 1; INSERT INTO ledger VALUES (9)", "multiple commands"),
        ("SELECT 1; COMMIT; INSERT INTO ledger VALUES (9); SELECT 1", "multiple commands"),
        ("COMMIT", "no columns"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "no columns"),
        ("DO $$ BEGIN INSERT INTO ledger VALUES (9); END $$", "no columns"),
        ("INSERT INTO ledger VALUES (9)", "no columns"),
        (&program, "no columns"),
        ("COPY ledger TO STDOUT", "no columns"),
        ("LISTEN a", "no columns"),
        ("VACUUM", "no columns"),
        ("", "empty"),
        ("-- nothing", "no columns"),
        ("SELECT $1::int", "parameters"),
        ("SELECT 1 AS a, 2 AS a", "two of its columns are named `a`"),
        ("SELEC 1", "42601"),
        ("SELECT 1 \0", "SELECT"),
    ] {
        if sql.is_empty() {
            continue;
        }
        let error = query(&cx, sql).await.unwrap_err();
        assert!(sql.contains('\0') || error.to_string().contains(word), "{sql}: {error}");
        assert!(error.to_string().contains("127.0.0.1"), "says where: {error}");
    }
    assert_eq!(server.sql("app", "SELECT count(*) FROM ledger"), "1");
    assert_eq!(server.sql("app", "SELECT is_called FROM tickets"), "f");
    assert!(!proof.exists());
    gone(&server).await;
}

#[tokio::test]
async fn no_row_fails_and_too_many_are_an_error() {
    let server = awkward();
    let cx = cx(&server.url("app"));
    let none = query(&cx, "SELECT 1 AS one WHERE false").await.unwrap();
    assert_eq!((none.verdict, &none.seen["columns"]), (Verdict::Failed, &json!(["one"])));
    assert!(none.findings[0].help.as_ref().unwrap().contains("control"));
    let many = json!({"postgres-query": {"sql": "SELECT generate_series(1, 1000000000)", "max-rows": 5}});
    let start = Instant::now();
    let error = look(&cx, many).await.unwrap_err();
    assert!(error.to_string().contains("at most 5 rows") && !error.transient, "{error}");
    assert!(start.elapsed() < Std::from_secs(10), "it stops at once");
    let five = json!({"postgres-query": {"sql": "SELECT generate_series(1, 5) AS n", "max-rows": 5}});
    assert_eq!(look(&cx, five).await.unwrap().seen["rows"][4], json!({"n": 5}));
    gone(&server).await;
}

#[tokio::test]
async fn a_look_that_is_given_up_is_cancelled_on_the_server_too() {
    let server = awkward();
    let sleep = json!({"postgres-query": {"sql": "SELECT pg_sleep(600)"}});
    for timeout in [Duration::secs(600), Duration::secs(1)] {
        let cx = reach(&server.url("app"), Tls::default(), timeout);
        let asked = look(&cx, sleep.clone());
        if timeout == Duration::secs(1) {
            let error = asked.await.unwrap_err();
            assert!(error.transient && error.to_string().contains("timeout"), "{error}");
        } else {
            // Dropped here, as a step's timeout and Ctrl-C do.
            let _ = tokio::time::timeout(Std::from_secs(2), asked).await.unwrap_err();
        }
        gone(&server).await;
    }
    // The runtime that could ask to cancel is gone: the server notices by itself.
    let url = server.url("app");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let cx = reach(&url, Tls::default(), Duration::secs(600));
        runtime.spawn(async move { look(&cx, sleep).await.map(|_| ()) });
        runtime.block_on(async { tokio::time::sleep(Std::from_secs(1)).await });
    })
    .join()
    .unwrap();
    gone(&server).await;
}

#[tokio::test]
async fn row_level_security_never_makes_a_smaller_number() {
    let server = awkward();
    let reader = as_role(&server, "reader");
    // What a naive count shows this role.
    let naive = "SET ROLE reader; SELECT count(*) FROM rls";
    assert_eq!(server.sql("app", naive), "5");
    for error in [
        query(&reader, "SELECT count(*) AS n FROM rls").await.unwrap_err(),
        tables(&reader, json!({"tables": ["rls"]})).await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("row-level security") && error.to_string().contains("BYPASSRLS"),
            "{error}"
        );
        assert!(!error.transient);
    }
    let filtered = json!({"postgres-query": {"sql": "SELECT count(*) AS n FROM rls", "row-security": true}});
    assert_eq!(look(&reader, filtered).await.unwrap().seen["rows"], json!([{"n": 5}]));
    for whole in [as_role(&server, "auditor"), cx(&server.url("app"))] {
        let seen = tables(&whole, json!({"tables": ["rls"]})).await.unwrap();
        assert_eq!(seen.seen["tables"], json!([{"schema": "public", "name": "rls", "rows": 10}]));
    }
    // What the role may not read at all is an error that names it, and no table less.
    let error = tables(&reader, json!({"schema": "public"})).await.unwrap_err();
    assert!(error.to_string().contains("permission denied for table ledger"), "{error}");
}

fn counts(look: &Look) -> Vec<(String, u64)> {
    let tables = look.seen["tables"].as_array().unwrap().iter();
    let name =
        |table: &Value| format!("{}.{}", table["schema"].as_str().unwrap(), table["name"].as_str().unwrap());
    tables.map(|table| (name(table), table["rows"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn every_table_is_counted_once_and_exactly() {
    let mut server = awkward_with(&[("autovacuum", "off")]);
    let cx = cx(&server.url("app"));
    let expected: Vec<(String, u64)> = [
        ("copy.floats", 0),
        ("public.Users", 1),
        ("public.alltypes", 2),
        ("public.empty_tbl", 0),
        ("public.floats", 5),
        ("public.inh_child", 2),
        ("public.inh_parent", 1), // 3 with its child, which is listed by itself
        ("public.ledger", 1),
        ("public.part", 900), // its four partitions, two of them below another, are not listed again
        ("public.rls", 10),
        ("public.unl", 100),
        ("public.zero_col", 2),
        ("weird schema.we\"ird;tbl", 3),
    ]
    .map(|(name, rows)| (name.to_owned(), rows))
    .into();
    let all = tables(&cx, json!({})).await.unwrap();
    assert_eq!((counts(&all), all.verdict), (expected, Verdict::Passed));
    let left: Vec<String> = all.seen["left-out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}: {}", one["name"].as_str().unwrap(), one["why"].as_str().unwrap()))
        .collect();
    assert_eq!(left, ["ft: foreign table", "mv: materialized view", "mv_nodata: materialized view"]);
    // After a crash the statistics say 0 and -1: a naive count by estimate sees an empty database, or a full one.
    server.stop();
    server.start_again();
    let estimate = "SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE relname IN ('part_2024', 'floats')";
    assert_eq!(server.sql("app", estimate), "0");
    let after = tables(&cx, json!({"tables": ["part", "public.floats", "unl"]})).await.unwrap();
    let expected = [("public.floats", 5), ("public.part", 900), ("public.unl", 0)];
    assert_eq!(counts(&after), expected.map(|(name, rows)| (name.to_owned(), rows)));
}

#[tokio::test]
async fn names_find_their_table_or_fail() {
    let server = awkward();
    let cx = cx(&server.url("app"));
    for (settings, verdict, rows) in [
        (json!({"tables": ["part_rest", "part_2024"]}), Verdict::Passed, vec![365, 535]),
        (json!({"tables": ["\"weird schema\".\"we\"\"ird;tbl\"", "Users"]}), Verdict::Passed, vec![1, 3]),
        (json!({"schema": "weird schema"}), Verdict::Passed, vec![3]),
        (json!({"tables": ["floats"], "schema": "public"}), Verdict::Passed, vec![5]),
        (json!({"tables": ["copy.floats"]}), Verdict::Passed, vec![0]),
        (json!({"tables": ["mv"]}), Verdict::Passed, vec![1]),
        // Two schemas have one: which is meant?
        (json!({"tables": ["floats"]}), Verdict::Unverified, vec![0, 5]),
        (json!({"tables": ["ft", "Users"]}), Verdict::Unverified, vec![1]),
        (json!({"tables": ["v", "Users"]}), Verdict::Unverified, vec![1]),
        (json!({"tables": ["Users", "userz"]}), Verdict::Failed, vec![1]),
        (json!({"tables": ["users"]}), Verdict::Failed, vec![]),
        (json!({"tables": ["pg_class"]}), Verdict::Failed, vec![]),
        (json!({"schema": "publik"}), Verdict::Failed, vec![]),
    ] {
        let seen = tables(&cx, settings.clone()).await.unwrap();
        let counted: Vec<u64> = counts(&seen).into_iter().map(|(_, rows)| rows).collect();
        let mut sorted = (counted, rows);
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "{settings}");
        assert_eq!(seen.verdict, verdict, "{settings} {:?}", seen.findings);
    }
    let unfilled = tables(&cx, json!({"tables": ["mv_nodata"]})).await.unwrap_err();
    assert!(unfilled.message.contains("has not been populated"), "{unfilled}");
    server.create("bare");
    let none = tables(&self::cx(&server.url("bare")), json!({})).await.unwrap();
    assert_eq!((none.verdict, &none.seen["tables"]), (Verdict::Failed, &json!([])));
    for wrong in [json!({"tables": []}), json!({"tables": ["a", "a"]}), json!({"schema": "pg_catalog"})] {
        let kind = proofmark::kinds::registry().check_of_json(&json!({"postgres-tables": wrong})).unwrap();
        assert!(kind.mistake().is_some());
    }
}

#[tokio::test]
async fn all_counts_are_of_one_moment() {
    let server = awkward();
    server.sql(
        "app",
        "CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO a SELECT generate_series(1, 1000)",
    );
    // Rows that move from one table to the other are in exactly one of them at any moment.
    let moves = "BEGIN; WITH g AS (DELETE FROM a RETURNING id) INSERT INTO b SELECT id FROM g; COMMIT;\n\
                 BEGIN; WITH g AS (DELETE FROM b RETURNING id) INSERT INTO a SELECT id FROM g; COMMIT;\n";
    let mut writer = server.psql("app").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || while input.write_all(moves.as_bytes()).is_ok() {});
    let cx = cx(&server.url("app"));
    let mut both = [false, false];
    let deadline = Instant::now() + Std::from_secs(30);
    let mut looks = 0;
    while looks < 20 || both != [true, true] {
        let seen = tables(&cx, json!({"tables": ["a", "b"]})).await.unwrap();
        let counted = counts(&seen);
        assert_eq!(counted[0].1 + counted[1].1, 1000, "{counted:?}");
        both[usize::from(counted[0].1 == 0)] = true;
        looks += 1;
        assert!(Instant::now() < deadline, "nothing moved");
    }
    writer.kill().ok();
    writer.wait().ok();
    feeding.join().unwrap();
}

#[tokio::test]
async fn a_table_that_is_emptied_or_locked_meanwhile_is_no_empty_table() {
    let server = awkward();
    // Someone who is about to truncate holds the lock: waiting has an end, and the answer is not zero.
    let mut other = server.psql("app").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = other.stdin.take().unwrap();
    input.write_all(b"BEGIN; TRUNCATE floats; SELECT 'held';\n").unwrap();
    let mut held = [0; 4];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut held).unwrap();
    let short = reach(&server.url("app"), Tls::default(), Duration::secs(2));
    let error = tables(&short, json!({"tables": ["public.floats"]})).await.unwrap_err();
    assert!(error.transient && error.to_string().contains("lock"), "{error}");
    gone(&server).await;
    input.write_all(b"ROLLBACK;\n").unwrap();
    drop(input);
    other.wait().unwrap();
    let cx = cx(&server.url("app"));
    assert_eq!(counts(&tables(&cx, json!({"tables": ["public.floats"]})).await.unwrap())[0].1, 5);
}
