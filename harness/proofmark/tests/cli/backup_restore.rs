//! `backup restore` of a whole database: it is restored beside the one that is there, compared, and put in its place.

use crate::ground::backups::{desk, server_with};
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use fixtures::{Desk, Ended, until};
use std::fs;
use std::process::Stdio;

const RESTORE: &str = "backup restore --env environment.yaml --yes --allow destroy";

/// A database of an application, with what belongs to a database and not to its tables.
const APP: &str = "
    CREATE ROLE owner LOGIN; CREATE ROLE reader;
    ALTER DATABASE app OWNER TO owner;
    ALTER DATABASE app SET search_path TO 'a b', public;
    ALTER ROLE reader IN DATABASE app SET work_mem TO '9MB';
    REVOKE CONNECT ON DATABASE app FROM PUBLIC;
    COMMENT ON DATABASE app IS 'bookings;
\\connect nowhere';
    CREATE TABLE users (id serial PRIMARY KEY, name text);
    CREATE TABLE bookings (id int, owner int REFERENCES users);
    INSERT INTO users (name) SELECT 'user ' || i FROM generate_series(1, 20) i;
    INSERT INTO bookings SELECT i, 1 + i % 20 FROM generate_series(1, 500) i;
    ALTER TABLE bookings OWNER TO owner; GRANT SELECT ON bookings TO reader;
";

/// What is in it, and whose it is.
const HELD: &str = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM bookings), \
    (SELECT relowner::regrole || relacl::text FROM pg_class WHERE relname = 'bookings'), \
    datdba::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a), shobj_description(oid, 'pg_database'), \
    (SELECT string_agg(setrole || setconfig::text, ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = oid) \
    FROM pg_database WHERE datname = current_database()";

/// The application's database, backed up, and what it held.
fn backed_up() -> (Postgres, Desk, String) {
    let server = server_with(&[("wal_level", "logical")], APP);
    let desk = desk(&server);
    called(&desk, "backup create --env environment.yaml --allow change", 0);
    let held = server.sql("app", HELD);
    assert!(held.starts_with("20\t500\towner{") && held.contains("reader=r"), "{held}");
    (server, desk, held)
}

/// The command line, which must exit so and tell no password.
fn called(desk: &Desk, line: &str, code: i32) -> Ended {
    let ended = desk.call(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ended.code, Some(code), "{line}: {ended:#?}");
    desk.sound(&ended);
    desk.tells_none_of(&[POSTGRES_PASSWORD, "top%2Fsecret"]);
    ended
}

/// Every database of users, with its number.
fn databases(server: &Postgres) -> String {
    let sql = "SELECT oid, datname FROM pg_database WHERE NOT datistemplate ORDER BY 1";
    server.sql("postgres", sql)
}

#[test]
fn what_was_lost_is_there_again_and_whoever_was_connected_is_sent_away() {
    let (server, desk, held) = backed_up();
    server.sql("app", "DROP TABLE bookings; CREATE TABLE later (n int); UPDATE users SET name = 'x'");
    server.sql("app", "ALTER DATABASE app RESET search_path; GRANT CONNECT ON DATABASE app TO PUBLIC");
    let mut connected =
        server.psql("app").args(["-c", "SELECT pg_sleep(600)"]).stderr(Stdio::null()).spawn().unwrap();
    until("someone is connected", || {
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND state = 'active'";
        (server.sql("postgres", busy) == "1").then_some(())
    });
    let ended = called(&desk, RESTORE, 0);
    assert!(ended.stdout.starts_with("newest backup 2"), "{}", ended.stdout);
    assert!(ended.stdout.contains("in the place of the database app"), "{}", ended.stdout);
    assert!(!connected.wait().unwrap().success());
    assert_eq!(server.sql("app", HELD), held);
    assert_eq!(server.sql("app", "SELECT count(*) FROM pg_class WHERE relname = 'later'"), "0");
    assert_eq!(databases(&server).lines().count(), 2, "{}", databases(&server));
    // It has another number now, and is its backup's source all the same.
    server.sql("app", "DROP TABLE bookings");
    called(&desk, RESTORE, 0);
    assert_eq!(server.sql("app", HELD), held);
    server.sql("app", "INSERT INTO users (name) VALUES ('next')");
    assert_eq!(server.sql("app", "SELECT max(id) FROM users"), "21");
}

#[test]
fn a_database_that_is_gone_is_made_again() {
    let (server, desk, held) = backed_up();
    server.sql("postgres", "DROP DATABASE app");
    called(&desk, RESTORE, 0);
    assert_eq!(server.sql("app", HELD), held);
    // An empty one of that name has nothing to lose, whoever made it.
    server.sql("postgres", "DROP DATABASE app");
    server.sql("postgres", "CREATE DATABASE app");
    called(&desk, RESTORE, 0);
    assert_eq!(server.sql("app", HELD), held);
    assert_eq!(databases(&server).lines().count(), 2, "{}", databases(&server));
}

#[test]
fn a_database_that_is_another_is_not_touched() {
    let (server, mut desk, _) = backed_up();
    server.sql("postgres", "ALTER DATABASE app RENAME TO theirs");
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", "CREATE TABLE mine AS SELECT 1 AS n");
    let before = databases(&server);
    let ended = called(&desk, RESTORE, 3);
    assert!(ended.stdout.contains("is another, which is not empty"), "{}", ended.stdout);
    desk.set("DATABASE_URL", &server.url("theirs"));
    let ended = called(&desk, RESTORE, 3);
    assert!(ended.stdout.contains("the connection is to theirs"), "{}", ended.stdout);
    assert_eq!(databases(&server), before);
    assert_eq!(server.sql("app", "SELECT n FROM mine"), "1");
}

#[test]
fn a_restore_that_fails_leaves_the_database_as_it_was_and_in_use() {
    let (server, desk, _) = backed_up();
    server.sql("app", "INSERT INTO users (name) VALUES ('new')");
    let (before, held) = (databases(&server), server.sql("app", HELD));
    let untouched = |what: &str| {
        assert_eq!(databases(&server), before, "{what}");
        assert_eq!(server.sql("app", HELD), held, "{what}");
    };
    // What comes back is not what was there.
    let name = desk.files("store").into_keys().find(|name| name.ends_with(".manifest.json")).unwrap();
    let good = fs::read_to_string(desk.path("store").join(&name)).unwrap();
    let at = good.find("\"hash\": \"").unwrap() + 9;
    let digit = if good.as_bytes()[at] == b'1' { "2" } else { "1" };
    desk.write(&format!("store/{name}"), format!("{}{digit}{}", &good[..at], &good[at + 1..]));
    let ended = called(&desk, RESTORE, 1);
    assert!(ended.stdout.contains("it is as it was"), "{}", ended.stdout);
    untouched("another manifest");
    desk.write(&format!("store/{name}"), &good);
    // Something keeps the database from going.
    server.sql("app", "SELECT pg_create_logical_replication_slot('tap', 'pgoutput')");
    let ended = called(&desk, RESTORE, 3);
    assert!(ended.stdout.contains("the replication slot tap"), "{}", ended.stdout);
    untouched("a slot");
    server.sql("app", "SELECT pg_drop_replication_slot('tap')");
    // A role is gone that a table belonged to.
    server.sql("app", "DROP TABLE bookings; ALTER DATABASE app OWNER TO postgres; DROP ROLE owner");
    let before = databases(&server);
    let ended = called(&desk, RESTORE, 1);
    assert!(ended.stdout.contains("role \"owner\" does not exist"), "{}", ended.stdout);
    assert_eq!(databases(&server), before);
}

#[test]
fn killed_half_way_it_is_what_it_was_or_what_the_backup_holds() {
    let (server, desk, held) = backed_up();
    server.sql("app", "DROP TABLE bookings");
    let before = databases(&server);
    let killed = || {
        let line: Vec<&str> = RESTORE.split_whitespace().collect();
        let restoring = desk.start(&line);
        let name = until("the scratch database is there", || {
            let name =
                server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'proofmark%'");
            (!name.is_empty()).then_some(name)
        });
        restoring.kill();
        name
    };
    killed();
    called(&desk, "recover --env environment.yaml", 0);
    assert_eq!(databases(&server), before);
    // The same, once the names have changed: as the program would have done it, in one transaction.
    let scratch = killed();
    let promised = desk.journal().iter().find_map(|line| {
        let aside = &line["promised"]["undo"]["database"]["aside"];
        Some((aside["name"].as_str()?.to_owned(), aside["mark"].as_str()?.to_owned()))
    });
    let (aside, mark) = promised.unwrap();
    server.sql("postgres", &format!("DROP DATABASE {scratch} WITH (FORCE)"));
    server.sql(
        "postgres",
        &format!("ALTER DATABASE app RENAME TO {aside}; COMMENT ON DATABASE {aside} IS '{mark}'"),
    );
    server.sql("postgres", "CREATE DATABASE app");
    called(&desk, "recover --env environment.yaml", 0);
    assert_eq!(databases(&server).lines().count(), 2, "{}", databases(&server));
    called(&desk, RESTORE, 0);
    assert_eq!(server.sql("app", HELD), held);
}
