//! Dumps that other tools made, through whole runs: what is sound is drilled, what is not is noticed, and what would do
//! more than fill the scratch database is not run at all.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups::{DRILL, desk, dump, made_a_database, open, scratch, server, server_with, store};
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use fixtures::Desk;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Data and code that look like commands of psql, and are none.
const BOOKINGS: &str = r"
    CREATE TABLE bookings (id int PRIMARY KEY, note text);
    INSERT INTO bookings SELECT i, 'note ' || i FROM generate_series(1, 500) i;
    INSERT INTO bookings VALUES (501, E'\n\\! touch ran\n'), (502, E'\\! touch ran'), (503, E'\\connect app');
    CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS $$ SELECT '
\! touch ran
'::text $$;
    COMMENT ON TABLE bookings IS E'it''s\n\\! touch ran\nCREATE DATABASE other;';
";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// As a pg_dump writes it that does not know `\restrict` yet.
fn unfenced(dump: &str) -> String {
    let fence = |line: &&str| line.starts_with("\\restrict") || line.starts_with("\\unrestrict");
    dump.lines().filter(|line| !fence(line)).flat_map(|line| [line, "\n"]).collect()
}

/// Drills this as the only backup there is; gives back the findings that did not pass.
fn drilled(desk: &Desk, name: &str, bytes: &[u8], code: i32) -> String {
    store(desk, &BTreeMap::from([(name.to_owned(), bytes.to_vec())]));
    desk.scenario("s", "", DRILL);
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(code), "{name}: {ended:#?}");
    desk.sound(&ended);
    open(desk, "s/drill")
}

fn plain(server: &Postgres, more: &[&str]) -> String {
    String::from_utf8(dump(server, "pg_dump", &[&["-d", &server.name("app")], more].concat())).unwrap()
}

#[test]
fn every_format_is_drilled_whatever_it_is_called() {
    let server = server(BOOKINGS);
    let desk = desk(&server);
    let sql = plain(&server, &[]);
    let of = |format: &str| dump(&server, "pg_dump", &["-d", &server.name("app"), format]);
    let all = [
        ("app.sql", sql.clone().into_bytes()),
        ("app.dump", unfenced(&sql).into_bytes()),
        ("app.sql.gz", gzip(sql.as_bytes())),
        ("custom.sql.gz", of("-Fc")),
        ("tar.sql", of("-Ft")),
        ("packed.sql", gzip(&of("-Ft"))),
    ];
    for (name, bytes) in all {
        drilled(&desk, name, &bytes, 0);
        let seen = &desk.kept("s/drill")["observation"];
        assert_eq!(seen["comparison"]["tables"][0]["rows"], 503, "{name}");
        let unproven = seen["unproven"].to_string();
        assert!(unproven.contains("rows are counted, not compared"), "{name}: {unproven}");
        assert_eq!(scratch(&server), "0", "{name}");
    }
    desk.tells_none_of(&[POSTGRES_PASSWORD]);
}

#[test]
fn what_is_cut_or_does_not_fit_here_is_said_before_a_database_is_made() {
    // Its dump of the whole server is of this test's databases only.
    let server = server_with(&[], BOOKINGS);
    server.create("other");
    server.sql("other", "CREATE TABLE more AS SELECT 1 AS id");
    let desk = desk(&server);
    let sql = plain(&server, &[]);
    let within = sql.find("\n400\t").unwrap() + 7;
    let marker = sql.find("-- PostgreSQL database dump complete").unwrap();
    let packed = gzip(sql.as_bytes());
    let lacking = sql.replace("CREATE TABLE", "CREATE EXTENSION nothere;\nCREATE TABLE");
    let newer = sql.replace("Dumped from database version 15", "Dumped from database version 99");
    let everything = dump(&server, "pg_dumpall", &[]);
    let all: [(&str, &[u8], i32, &str); 7] = [
        (
            "copy.sql",
            &sql.as_bytes()[..within],
            1,
            "it ends inside the COPY of public.bookings, after 399 rows",
        ),
        ("marker.sql", &sql.as_bytes()[..marker], 1, "`-- PostgreSQL database dump complete`"),
        ("cut.sql.gz", &packed[..packed.len() / 2], 1, "the gzip data are cut short"),
        ("extension.sql", lacking.as_bytes(), 3, "the server lacks extensions that it needs: nothere"),
        ("newer.sql", newer.as_bytes(), 3, "it is of PostgreSQL 99 and this server is 15"),
        ("all.sql", &everything, 3, "it holds several databases (pg_dumpall)"),
        ("page.sql", b"<!DOCTYPE html><html><body>404</body></html>", 1, "HTML"),
    ];
    for (name, bytes, code, said) in all {
        let open = drilled(&desk, name, bytes, code);
        assert!(open.contains(said), "{name}: {open}");
        assert!(!made_a_database(&desk), "{name}");
    }
    assert_eq!(scratch(&server), "0");
}

/// Each of these lines would do something beside filling the scratch database, if it were run.
#[test]
fn what_does_more_than_fill_one_database_is_refused_and_not_run() {
    let server = server(BOOKINGS);
    let desk = desk(&server);
    let (fenced, ran) = (plain(&server, &[]), desk.path("ran"));
    let sql = unfenced(&fenced);
    let ran_name = ran.display();
    let at = sql.find("CREATE TABLE").unwrap();
    let line = sql[..at].lines().count() + 1;
    let lines = [
        format!("\\! touch {ran_name}"),
        format!("\\o |touch {ran_name}"),
        format!("\\set x `touch {ran_name}`"),
        format!("\\copy (SELECT 1) TO PROGRAM 'touch {ran_name}'"),
        format!("SELECT 1 \\g |touch {ran_name}"),
        format!("\\i {ran_name}"),
        format!("\\unrestrict k \\! touch {ran_name}"),
        format!("\\connect {}", server.name("app")),
        format!("DROP DATABASE IF EXISTS {};", server.name("app")),
        "CREATE DATABASE more;".to_owned(),
        "ALTER ROLE postgres SUPERUSER;".to_owned(),
        "ALTER SYSTEM SET work_mem = '64kB';".to_owned(),
    ];
    for more in lines {
        let text = format!("{}{more}\n{}", &sql[..at], &sql[at..]);
        for (name, bytes) in [("evil.sql", text.clone().into_bytes()), ("evil.sql.gz", gzip(text.as_bytes()))]
        {
            let open = drilled(&desk, name, &bytes, 3);
            let said = format!("it does more than fill one database, line {line}: `");
            assert!(open.contains(&said), "{more}: {open}");
            assert!(!ran.exists(), "{more}: it was run");
            assert!(!made_a_database(&desk), "{more}");
        }
    }
    // What `--create` writes leads back into the database that is in use.
    let recreates = plain(&server, &["--create", "--clean", "--if-exists"]);
    let open = drilled(&desk, "create.sql", recreates.as_bytes(), 3);
    assert!(open.contains("DROP DATABASE") && open.contains("--create"), "{open}");
    assert_eq!(server.sql("app", "SELECT count(*) FROM bookings"), "503");
    assert_eq!(scratch(&server), "0");
}

/// The quotes of this text end elsewhere for whoever does not ask the server what became of a setting.
#[test]
fn what_is_overlooked_is_not_run_either() {
    let server = server(BOOKINGS);
    let desk = desk(&server);
    let (sql, ran) = (unfenced(&plain(&server, &[])), desk.path("ran"));
    let at = sql.find("CREATE TABLE").unwrap();
    let trick = format!(
        "BEGIN; SET standard_conforming_strings = off; ROLLBACK;\nSELECT '\\' \\! touch {} --';\n",
        ran.display()
    );
    let open = drilled(&desk, "odd.sql", format!("{}{trick}{}", &sql[..at], &sql[at..]).as_bytes(), 1);
    assert!(open.contains("backslash commands are restricted"), "{open}");
    assert!(!ran.exists(), "it was run");
    assert_eq!(scratch(&server), "0");
}
