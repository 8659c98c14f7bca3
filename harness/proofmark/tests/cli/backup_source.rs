//! What keeps a backup from being made, or from being restored here, through whole runs: a role that does not see all, a
//! table that is emptied meanwhile, a pg_dump that fails or lies, servers of another version, and poolers.

use crate::ground::backups::{
    BACKUP, DRILL, desk, made_a_database, open, scratch, server, server_with, stand_in,
};
use crate::ground::between::{Trick, between};
use crate::ground::hook::{hooked, told};
use crate::ground::postgres::POSTGRES_PASSWORD;
use fixtures::{Desk, until};
use std::fs;

const APP: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE bookings (id int PRIMARY KEY, note text);
    INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) i;
    INSERT INTO bookings SELECT i, 'note ' || i FROM generate_series(1, 500) i;
";

/// A backup is tried and fails, with these words (or others after a `|`), which the webhook gets too, and leaves nothing.
fn fails(desk: &Desk, words: &str) {
    let hook = hooked(desk);
    desk.runs("change", 1);
    let message = told(&hook, desk, &[POSTGRES_PASSWORD, "top%2Fsecret", "login-password"]);
    assert!(words.split(" | ").any(|words| message.contains(words)), "{words}: {message}");
    let left: Vec<String> = desk.files("store").into_keys().chain(desk.files("copies").into_keys()).collect();
    assert!(left.is_empty(), "{words}: {left:?}");
}

#[test]
fn a_role_that_does_not_see_all_makes_no_backup() {
    let server = server(APP);
    let (blind, partly) = (server.name("blind"), server.name("partly"));
    for (role, sees) in [(&blind, "users"), (&partly, "ALL TABLES IN SCHEMA public")] {
        server.sql("app", &format!("CREATE ROLE {role} LOGIN PASSWORD 'login-password'"));
        server.sql("app", &format!("GRANT SELECT ON {sees} TO {role}"));
    }
    let mut desk = desk(&server);
    let url = |role: &str| server.url_as(role, "login-password", "app");
    desk.set("DATABASE_URL", &url(&blind));
    fails(&desk, "permission denied for table bookings");
    desk.set("DATABASE_URL", &url(&partly));
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    fs::remove_dir_all(desk.path("store")).unwrap();
    fs::create_dir_all(desk.path("store")).unwrap();
    server.sql(
        "app",
        "CREATE POLICY few ON bookings USING (id < 10); ALTER TABLE bookings ENABLE ROW LEVEL SECURITY",
    );
    fails(&desk, "row-level security");
    desk.set("DATABASE_URL", &url(&partly).replace("login-password", "no-password-of-it"));
    desk.scenario("s", "", BACKUP);
    let ended = desk.run(&["--allow", "change"]);
    assert!(ended.code != Some(0) && desk.files("store").is_empty(), "{ended:#?}");
}

#[test]
fn a_table_cannot_be_emptied_while_it_is_dumped_and_what_is_written_meanwhile_is_not_in_it() {
    let server = server(APP);
    let mut desk = desk(&server);
    stand_in(&mut desk, &server, "touch started; while [ ! -e go ]; do sleep 0.02; done; real \"$@\"");
    desk.scenario("s", "", BACKUP);
    let running = desk.start_run(&["--allow", "change"]);
    until("it dumps", || desk.path("started").exists().then_some(()));
    let emptied =
        server.psql("app").args(["-c", "SET lock_timeout = '200ms'", "-c", "TRUNCATE bookings"]).output();
    let said = String::from_utf8(emptied.unwrap().stderr).unwrap();
    assert!(said.contains("lock timeout"), "{said}");
    let dropped =
        server.psql("app").args(["-c", "SET lock_timeout = '200ms'", "-c", "DROP TABLE users"]).output();
    assert!(!dropped.unwrap().status.success());
    server.sql(
        "app",
        "DELETE FROM bookings WHERE id > 100; UPDATE users SET name = 'other'; SELECT pg_switch_wal()",
    );
    desk.write("go", "");
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(desk.kept("s/backup")["observation"]["made"]["rows"], 520);
    desk.scenario("s", "", DRILL);
    desk.runs("change", 0);
    assert_eq!(desk.kept("s/drill")["observation"]["comparison"]["tables"][0]["rows"], 500);
}

#[test]
fn a_pg_dump_that_fails_or_leaves_something_out_makes_no_backup() {
    // All sessions of the server are ended here.
    let server = server_with(&[], APP);
    let mut desk = desk(&server);
    let all = [
        ("real \"$@\" | head -c 3000; echo 'it broke' >&2; exit 1", "pg_dump ended with 1: it broke"),
        ("real \"$@\" | head -c 3000", "is not sound"),
        ("exit 0", "is not sound"),
        ("real --exclude-table=users \"$@\"", "20 rows of public.users in the archive"),
        ("real --exclude-table-data=users \"$@\"", "20 rows of public.users in the archive"),
        ("real \"$@\" > whole; kill -9 $$", "pg_dump was ended by signal 9"),
        (
            "echo \"not let in as $PGUSER with $PGPASSWORD\" >&2; exit 1",
            "pg_dump ended with 1: not let in as postgres with",
        ),
        // Every session ends, and with the first of them the snapshot: pg_dump misses that, or our own session is closed
        // under a question, whichever comes first.
        (
            "psql -qc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()\" > /dev/null; real \"$@\"",
            "snapshot | connection closed",
        ),
        (
            "psql -qc 'CREATE TABLE IF NOT EXISTS later (n int)'; shift; real \"$@\"",
            "it holds public.later with 0 rows, which the database did not have",
        ),
        ("echo 'Service Unavailable'", "is not sound"),
    ];
    for (words, said) in all {
        stand_in(&mut desk, &server, words);
        fails(&desk, said);
    }
}

#[test]
fn a_copy_that_cannot_be_kept_and_a_database_that_is_gone_are_told() {
    let server = server(APP);
    let mut desk = desk(&server);
    desk.write("copies", "a file where the folder should be");
    fails(&desk, "copies");
    fs::remove_file(desk.path("copies")).unwrap();
    desk.set("DATABASE_URL", "postgresql://app:login-password@127.0.0.1:1/app");
    fails(&desk, "127.0.0.1:1");
}

#[test]
fn another_major_version_is_said_with_what_to_install() {
    let server = server(APP);
    let mut desk = desk(&server);
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let name = desk.files("store").into_keys().find(|name| name.ends_with(".manifest.json")).unwrap();
    let major = server.sql("postgres", "SELECT current_setting('server_version_num')::int / 10000");
    let text = fs::read_to_string(desk.path("store").join(&name)).unwrap();
    desk.write(&format!("store/{name}"), text.replacen(&format!("\"major\": {major}"), "\"major\": 99", 1));
    desk.scenario("s", "", DRILL);
    desk.runs("change", 3);
    let drill = open(&desk, "s/drill");
    assert!(drill.contains(&format!("it is of PostgreSQL 99 and this server is {major}")), "{drill}");
    assert!(!made_a_database(&desk));
    // The source is newer than every pg_dump of this machine.
    fs::remove_dir_all(desk.path("store")).unwrap();
    fs::create_dir_all(desk.path("store")).unwrap();
    let number = server.sql("postgres", "SHOW server_version_num");
    let port = between(server.port, &Trick::Says(number.clone(), format!("99{}", &number[2..])));
    desk.set(
        "DATABASE_URL",
        &format!(
            "{}?sslmode=disable",
            server.url("app").replace(&server.port.to_string(), &port.to_string())
        ),
    );
    fails(&desk, "postgresql-client-99");
}

#[test]
fn a_pooler_that_knows_one_database_is_no_target() {
    let server = server(APP);
    let mut desk = desk(&server);
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let port = between(server.port, &Trick::OneDatabase(server.name("app")));
    let direct = server.port.to_string();
    desk.set(
        "DATABASE_URL",
        &format!("{}?sslmode=disable", server.url("app").replace(&direct, &port.to_string())),
    );
    let held = "SELECT count(*), (SELECT count(*) FROM pg_class) FROM bookings";
    let before = server.sql("app", held);
    desk.scenario("s", "", DRILL);
    desk.runs("change", 3);
    let drill = open(&desk, "s/drill");
    assert!(drill.contains("Does a pooler send every name to one database?"), "{drill}");
    assert_eq!(server.sql("app", held), before);
    assert_eq!(scratch(&server), "0");
}
