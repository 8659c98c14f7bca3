//! `backup create`, `list`, `verify` and `drill` as people type them: a real PostgreSQL, a folder as the store.

#![expect(clippy::disallowed_methods, reason = "a test measures real time")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups::{awkward, desk, scratch, server, stand_in};
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use fixtures::{Answer, Desk, Ended, Server};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// As it stands in a URL.
const ENCODED: &str = "top%2Fsecret";

/// A desk where no variable says where anything is.
fn bare() -> Desk {
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    for name in [
        "DATABASE_URL",
        "POSTGRES_HOST",
        "MINIO_ENDPOINT",
        "MINIO_BUCKET",
        "MINIO_ACCESS_KEY",
        "MINIO_ROOT_USER",
    ] {
        desk.set(name, "");
    }
    desk
}

/// The command line, which must exit so, keep sound evidence, and tell no password.
fn called(desk: &Desk, line: &str, code: i32) -> Ended {
    let ended = desk.call(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ended.code, Some(code), "{line}: {ended:#?}");
    if code == 2 {
        assert!(["nothing was run", "--help"].iter().any(|word| ended.stderr.contains(word)), "{ended:#?}");
        assert!(!desk.path("evidence").exists(), "{line}: something was kept");
    } else {
        desk.sound(&ended);
    }
    let said = ended.stdout.clone() + &ended.stderr;
    assert!(!said.contains(ENCODED) && !said.contains(POSTGRES_PASSWORD), "{said}");
    desk.tells_none_of(&[POSTGRES_PASSWORD, ENCODED]);
    ended
}

#[test]
fn a_backup_is_made_listed_verified_and_drilled() {
    let server = awkward();
    let desk = desk(&server);
    let made = called(&desk, "backup create --env environment.yaml --allow change --local copies", 0);
    let name = desk.files("store").into_keys().find(|name| !name.contains(".json")).unwrap();
    let first = made.stdout.lines().next().unwrap();
    assert_eq!(first, name);
    assert!(made.stdout.contains(" tables, ") && made.stdout.contains("copy in file://"), "{}", made.stdout);
    assert_eq!(desk.files("copies").len(), 2);

    let listed = called(&desk, "backup list --env environment.yaml", 0);
    let line = listed.stdout.lines().next().unwrap();
    assert!(line.starts_with(&name) && line.contains("B  2") && line.ends_with("old  manifest"), "{line}");
    assert!(listed.stdout.contains("\n1 backup, "), "{}", listed.stdout);
    let json = called(&desk, "backup list --env environment.yaml --json", 0);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["backups"][0]["archive"], name.as_str());

    let verified = called(&desk, &format!("backup verify {name} --env environment.yaml"), 0);
    assert!(
        verified.stdout.starts_with(&name) && verified.stdout.contains("does not prove:"),
        "{}",
        verified.stdout
    );

    let own = format!("SELECT count(*) FROM pg_database WHERE datdba = '{}'::regrole", server.role());
    let before = server.sql("postgres", &own);
    let drilled =
        called(&desk, "drill store --into env:DATABASE_URL --allow change --tier T4 --rto 10m --rpo 1h", 0);
    let first = drilled.stdout.lines().next().unwrap();
    assert!(first.starts_with("newest backup 2") && first.contains(", restores in "), "{first}");
    assert!(drilled.stdout.contains("does not prove:\n    owners"), "{}", drilled.stdout);
    assert_eq!(server.sql("postgres", &own), before);
}

#[test]
fn a_dry_run_writes_nothing_and_needs_no_leave() {
    let server = awkward();
    let desk = desk(&server);
    let ended =
        called(&desk, "backup create --dry-run --name x/{db}_{date}_{time} --env environment.yaml", 3);
    assert!(
        ended
            .stdout
            .starts_with(&format!("a dry run, nothing was written; it would be x/{}_2", server.name("app"))),
        "{}",
        ended.stdout
    );
    assert_eq!(desk.files("store").len(), 0);
    called(&desk, "backup list --env environment.yaml", 1);
}

#[test]
fn ten_thousand_backups_are_listed_at_once() {
    let server = server("CREATE TABLE bookings (id int)");
    let mut desk = desk(&server);
    called(&desk, "backup create --name {date}_{time} --env environment.yaml --allow change", 0);
    for (name, bytes) in desk.files("store") {
        let (_, ending) = name.split_once('.').unwrap();
        for number in 0..9999 {
            desk.write(&format!("store/{:02}/{number}.{ending}", number % 30), &bytes);
        }
    }
    // Optimised it is under two seconds; this build is not. Its machine has other work, so the processor's time counts.
    desk.limit("ulimit -t 10");
    let ended = desk.call(&["backup", "list", "--env", "environment.yaml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("\n10000 backups, "), "{}", &ended.stdout[ended.stdout.len() - 2000..]);
}

#[test]
fn a_dump_that_ends_inside_a_copy_is_told_beside_the_drill_before() {
    let server =
        server("CREATE TABLE bookings AS SELECT n, md5(n::text) AS t FROM generate_series(1, 2000) n");
    let desk = desk(&server);
    let dump = Command::new("pg_dump").arg(server.url("app")).output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let dump = String::from_utf8(dump.stdout).unwrap();
    desk.write("theirs/app.sql", &dump);
    let drill = "drill theirs --into env:DATABASE_URL --allow change";
    let whole = called(&desk, drill, 0);
    assert!(whole.stdout.lines().next().unwrap().contains("2,000 rows, restores in"), "{}", whole.stdout);
    let listed = called(&desk, &format!("backup list --foreign --env {}", theirs(&desk)), 0);
    assert!(
        listed.stdout.starts_with("app.sql  ") && listed.stdout.contains("no manifest"),
        "{}",
        listed.stdout
    );

    let end = dump.find("\n1000\t").unwrap() + 9;
    desk.write("theirs/app.sql", &dump[..end]);
    let cut = called(&desk, drill, 1);
    let first = cut.stdout.lines().next().unwrap();
    assert!(first.contains("is broken: it ends inside the COPY of public.bookings"), "{first}");
    assert!(first.contains("; `public.bookings` 999 rows where the drill before saw 2,000"), "{first}");
    // A drill of another store is no drill before.
    desk.write("others/app.sql", &dump[..end]);
    let other = called(&desk, "drill others --into env:DATABASE_URL --allow change", 1);
    assert!(!other.stdout.contains("the drill before"), "{}", other.stdout);
}

/// An environment whose store is the folder of another tool.
fn theirs(desk: &Desk) -> &'static str {
    let url = format!("file://{}", desk.path("theirs").display());
    desk.write("theirs.yaml", format!("proofmark: v1\nconnections: {{ store: {{ url: '{url}' }} }}\n"));
    "theirs.yaml"
}

#[test]
fn a_password_on_the_command_line_is_taken_with_a_word_about_it() {
    let server = awkward();
    let desk = desk(&server);
    called(&desk, "backup create --env environment.yaml --allow change", 0);
    let ended = called(&desk, &format!("drill store --into {} --allow change", server.url("app")), 0);
    assert!(ended.stderr.contains("`--into env:NAME`"), "{}", ended.stderr);
    let ended = called(&desk, "drill store --into env:DATABASE_URL --allow change", 0);
    assert!(!ended.stderr.contains("`--into env:NAME`"), "{}", ended.stderr);
}

#[test]
fn what_a_drill_left_is_put_back_without_an_environment() {
    let server = awkward();
    let mut desk = desk(&server);
    called(&desk, "backup create --env environment.yaml --allow change", 0);
    desk.set("HELD", &server.url("app"));
    let drilling = desk.start(&["drill", "store", "--into", "env:HELD", "--allow", "change"]);
    fixtures::until("the scratch database is there", || (scratch(&server) == "1").then_some(()));
    drilling.kill();
    let ended = desk.call(&["recover"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(scratch(&server), "0");
    desk.tells_none_of(&[POSTGRES_PASSWORD, ENCODED]);
}

#[test]
fn what_cannot_be_read_is_told_before_anything_is_touched() {
    let desk = bare();
    fs::create_dir_all(desk.path("store")).unwrap();
    for (line, words) in [
        ("backup create --allow change", &["DATABASE_URL", "MINIO_BUCKET", "MINIO_ENDPOINT"][..]),
        ("backup list", &["MINIO_BUCKET", "MINIO_ENDPOINT", "MINIO_ACCESS_KEY"]),
        ("backup list --env none.yaml", &["none.yaml"]),
        ("backup verify --tier T2", &["T2", "T0, T1"]),
        ("backup", &["Usage:"]),
        ("drill", &["<STORE>", "--into"]),
        ("drill store", &["--into"]),
        ("drill store --into env:NONE --allow change", &["NONE is not set"]),
        ("drill store --into env:NONE", &["NONE is not set", "--allow change"]),
        ("drill nowhere --into env:NONE --allow change", &["`nowhere` is no folder"]),
        ("drill s3://b --into host=db --allow change", &["--endpoint", "AWS_ACCESS_KEY_ID"]),
        ("drill store --into topsecret --allow change", &["no PostgreSQL database"]),
        ("drill store --into host=db --tier T1", &["T2, T3, T4"]),
        ("drill store --into host=db --rto soon", &["soon"]),
        ("drill store --into host=db --jobs 0 --allow change", &["jobs"]),
        ("drill store --into host=db --env environment.yaml", &["cannot be used with"]),
        ("drill store postgresql://app:topsecret@db/app", &["unexpected argument"]),
    ] {
        let ended = called(&desk, line, 2);
        for word in words {
            assert!(ended.stderr.contains(word), "{line}: {}", ended.stderr);
        }
        assert!(
            !ended.stderr.contains("topsecret") && !ended.stderr.contains("builtin/"),
            "{}",
            ended.stderr
        );
    }
    let mut desk = bare();
    desk.set("DATABASE_URL", "postgresql://app@127.0.0.1:1/app");
    desk.set("MINIO_BUCKET", "backups");
    desk.set("MINIO_ENDPOINT", "127.0.0.1:1");
    desk.set("MINIO_ROOT_USER", "access");
    desk.set("MINIO_ROOT_PASSWORD", "topsecret");
    let ended = called(&desk, "backup create", 2);
    assert!(ended.stderr.contains("add `--allow change`"), "{}", ended.stderr);
    let ended = called(&desk, "backup create --name {db} --allow change", 2);
    assert!(ended.stderr.contains("`{date}`"), "{}", ended.stderr);
    let ended = called(&desk, "backup create --container a/b --allow change", 2);
    assert!(ended.stderr.contains("`a/b` is no name of a container"), "{}", ended.stderr);
}

/// What the webhook was told, one text each.
fn told(hook: &Server) -> Vec<String> {
    let text = |body: &str| serde_json::from_str::<Value>(body).unwrap()["text"].as_str().unwrap().to_owned();
    hook.seen().iter().map(|seen| text(&seen.body)).collect()
}

#[test]
fn every_failure_of_a_backup_is_told_to_the_webhook_once() {
    let hook = Server::start().on("/hook/word-of-it", Answer::new(200, "text/plain", "ok"));
    let mut desk = bare();
    desk.set("BACKUP_WEBHOOK_URL", &format!("{}/hook/word-of-it", hook.url()));
    desk.set("POSTGRES_HOST", "127.0.0.1");
    let ended = called(&desk, "backup create --allow change", 2);
    assert!(ended.stderr.contains("the webhook was told"), "{}", ended.stderr);
    // Without leave nothing leaves this machine; a dry run is no backup.
    called(&desk, "backup create", 2);
    called(&desk, "backup create --dry-run --allow change", 2);
    let texts = told(&hook);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(
        texts[0].starts_with("[BACKUP FAILURE] the environment variable POSTGRES_USER is not set"),
        "{texts:?}"
    );

    // One that fails while it runs is told by its step, and not again.
    for (name, value) in [
        ("DATABASE_URL", "postgresql://app:word-of-app@127.0.0.1:1/app"),
        ("MINIO_BUCKET", "backups"),
        ("MINIO_ENDPOINT", "127.0.0.1:1"),
        ("MINIO_ROOT_USER", "access"),
        ("MINIO_ROOT_PASSWORD", "word-of-root"),
    ] {
        desk.set(name, value);
    }
    called(&desk, "backup create --allow change", 1);
    let texts = told(&hook);
    assert_eq!(texts.len(), 2, "{texts:?}");
    let for_machines = desk.call(&["backup", "create", "--allow", "change", "--format", "jsonl"]);
    assert_eq!((for_machines.code, told(&hook).len()), (Some(1), 3), "{for_machines:#?}");
    // One whose step could not even begin is told by the command.
    desk.write("file", "");
    called(&desk, "backup create --allow change --events-log file/events.jsonl", 3);
    let texts = told(&hook);
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts[3].contains("append events"), "{texts:?}");
    desk.tells_none_of(&["word-of-it", "word-of-app", "word-of-root"]);
    // A webhook that does not take it hides nothing, and its address is told nobody.
    desk.set("BACKUP_WEBHOOK_URL", "http://127.0.0.1:1/hook/word-of-it");
    desk.set("MINIO_BUCKET", "");
    let ended = desk.call(&["backup", "create", "--allow", "change"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("MINIO_BUCKET is not set"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the webhook was not told") && !ended.stderr.contains("word-of-it"),
        "{}",
        ended.stderr
    );
}

#[test]
fn events_go_where_the_variable_says() {
    let server = awkward();
    let mut desk = desk(&server);
    desk.set("BACKUP_EVENTS_LOG", "logs/events.jsonl");
    called(&desk, "backup create --env environment.yaml --allow change", 0);
    called(&desk, "drill store --into env:DATABASE_URL --allow change", 0);
    let logs = desk.files("logs");
    let shared = String::from_utf8_lossy(&logs["events.jsonl"]).into_owned();
    for event in ["backup_local_completed", "dr_smoke_completed"] {
        assert!(shared.contains(event), "{shared}");
    }
    let own = |service: &str| logs.keys().filter(|name| name.starts_with(&format!("{service}_2"))).count();
    assert_eq!((own("backup"), own("dr_smoke")), (1, 1), "{:?}", logs.keys());
}

#[test]
fn a_restore_asks_for_the_databases_name() {
    let app = "CREATE TABLE bookings (id serial, t text); INSERT INTO bookings (t) VALUES ('a'), ('b')";
    let server = server(app);
    let name = server.name("app");
    let desk = desk(&server);
    called(&desk, "backup create --env environment.yaml --allow change", 0);
    fs::remove_dir_all(desk.path("evidence")).unwrap();
    let count = || server.sql("app", "SELECT count(*) FROM bookings");
    server.sql("app", "DELETE FROM bookings");
    let restore = "backup restore --env environment.yaml --allow";
    let ended = called(&desk, &format!("{restore} destroy"), 2);
    assert!(ended.stderr.contains("add `--yes`"), "{}", ended.stderr);
    let ended = called(&desk, &format!("{restore} change --yes"), 2);
    assert!(ended.stderr.contains("--allow destroy"), "{}", ended.stderr);
    assert_eq!(count(), "0");
    for (more, says) in [("--table bookings", "empties tables of"), ("", "in the place of")] {
        for (word, code, rows) in [("application", 2, "0"), (&name, 0, "2")] {
            server.sql("app", "DELETE FROM bookings");
            let ended = typed(&desk, &server, &format!("{restore} destroy {more}"), word);
            assert_eq!((ended.0, count().as_str()), (Some(code), rows), "{}", ended.1);
            assert!(ended.1.contains(&format!("{says} the database `{name}` on 127.0.0.1")), "{}", ended.1);
        }
    }
    // The database was made again, and may be once more; of its tables the old backup is not sure any more.
    let ended = called(&desk, &format!("{restore} destroy --yes --table *"), 3);
    assert!(ended.stdout.contains("it was made again since that backup"), "{}", ended.stdout);
    server.sql("app", "DELETE FROM bookings");
    let ended = called(&desk, &format!("{restore} destroy --yes"), 0);
    assert!(ended.stdout.starts_with("newest backup 2"), "{}", ended.stdout);
    assert_eq!(count(), "2");
    desk.tells_none_of(&[POSTGRES_PASSWORD, ENCODED]);
}

#[test]
fn what_no_rule_keeps_is_pruned() {
    let server = server("CREATE TABLE bookings AS SELECT 1 AS id");
    let mut desk = desk(&server);
    for _ in 0..3 {
        called(&desk, "backup create --env environment.yaml --allow change", 0);
    }
    fs::remove_dir_all(desk.path("evidence")).unwrap();
    let prune = "backup prune --env environment.yaml";
    let ended = called(&desk, &format!("{prune} --allow destroy"), 2);
    assert_eq!(ended.stderr.matches("nothing says which backups stay").count(), 1, "{}", ended.stderr);
    let ended = called(&desk, &format!("{prune} --keep 2"), 2);
    assert!(ended.stderr.contains("--allow destroy"), "{}", ended.stderr);
    desk.set("BACKUP_KEEP", "2");
    let ended = called(&desk, &format!("{prune} --dry-run"), 3);
    assert!(ended.stdout.contains("1 backup would go, 2 stay"), "{}", ended.stdout);
    assert_eq!(desk.files("store").len(), 6);
    let ended = called(&desk, &format!("{prune} --allow destroy"), 0);
    assert!(ended.stdout.contains("1 backup deleted, 2 stay\n  gone   2"), "{}", ended.stdout);
    assert_eq!(desk.files("store").len(), 4);
    // A rule that is given takes the place of both variables.
    called(&desk, &format!("{prune} --keep 1 --allow destroy"), 0);
    assert_eq!(desk.files("store").len(), 2);
}

#[test]
fn old_backups_go_once_a_new_one_was_made() {
    let server = server("CREATE TABLE bookings AS SELECT 1 AS id");
    let mut desk = desk(&server);
    let create = "backup create --env environment.yaml --local copies --allow";
    let counts = |desk: &Desk| (desk.files("store").len(), desk.files("copies").len());
    called(&desk, &format!("{create} change"), 0);
    let old = |desk: &Desk, folder: &str| {
        for name in desk.files(folder).into_keys() {
            let path = desk.path(folder).join(name);
            assert!(Command::new("touch").args(["-d", "40 days ago"]).arg(path).status().unwrap().success());
        }
    };
    for folder in ["store", "copies"] {
        old(&desk, folder);
    }
    // What a variable asks for and nobody allowed is said, and not done.
    desk.set("BACKUP_RETENTION_DAYS", "30");
    let ended = called(&desk, &format!("{create} change"), 0);
    assert!(
        ended.stderr.contains("no old backup was deleted") && ended.stderr.contains("--allow change,destroy"),
        "{}",
        ended.stderr
    );
    assert_eq!(counts(&desk), (4, 4));
    // What a flag asks for is refused before anything is touched.
    fs::rename(desk.path("evidence"), desk.path("before")).unwrap();
    let ended = called(&desk, &format!("{create} change --keep 1"), 2);
    assert!(ended.stderr.contains("destroy"), "{}", ended.stderr);
    // Of a backup that fails nothing is pruned.
    let url = server.url("app");
    desk.set("DATABASE_URL", "postgresql://app@127.0.0.1:1/app");
    called(&desk, &format!("{create} change,destroy"), 1);
    assert_eq!(counts(&desk), (4, 4));
    desk.set("DATABASE_URL", &url);
    let ended = called(&desk, &format!("{create} change,destroy"), 0);
    assert!(ended.stdout.contains(" tables, ") || ended.stdout.contains(" table, "), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("1 backup deleted, 2 stay").count(), 2, "{}", ended.stdout);
    assert_eq!(counts(&desk), (4, 4), "two of three are left, in both places");
    called(&desk, &format!("{create} change,destroy --keep 1"), 0);
    assert_eq!(counts(&desk), (2, 2));
    // Where the environment forbids it, backups are made all the same.
    let text = fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", format!("{text}forbid: [destroy]\n"));
    desk.set("BACKUP_KEEP", "1");
    let ended = called(&desk, &format!("{create} change,destroy"), 0);
    assert!(ended.stderr.contains("the environment forbids `destroy`"), "{}", ended.stderr);
    assert_eq!(counts(&desk), (4, 4));
}

#[test]
fn a_terminal_shows_how_far_it_has_come_and_that_all_is_put_back_in_one_line() {
    let server = awkward();
    let mut desk = desk(&server);
    // Half of the dump comes, and the rest when we say so.
    stand_in(
        &mut desk,
        &server,
        "real \"$@\" > whole; head -c 3000 whole; until [ -e go ]; do sleep 0.1; done; tail -c +3001 whole",
    );
    let shown = fs::File::create(desk.path("shown")).unwrap();
    let command =
        format!("{} backup create --env environment.yaml --allow change", env!("CARGO_BIN_EXE_proofmark"));
    let path = format!("{}:{}", desk.path("bin").display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(desk.path("."))
        .envs([("DATABASE_URL", server.url("app")), ("PATH", path), ("TERM", "xterm".into())])
        .env_remove("CI")
        .stdin(Stdio::null())
        .stdout(shown)
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(desk.path("shown")).unwrap();
    let row = fixtures::until("its row says how far it has come", || {
        text().lines().find(|line| line.contains("dumping  3.00 kB, ")).map(str::to_owned)
    });
    assert!(row.contains(" tables"), "{row}");
    desk.write("go", "");
    assert!(child.wait().unwrap().success(), "{}", text());
    assert_eq!(text().matches("put back, ").count(), 1, "{}", text());
    assert!(text().contains("put back, 3 findings"), "{}", text());
}

/// The command line on a terminal, where this is typed: how it ended, and what the terminal showed.
fn typed(desk: &Desk, server: &Postgres, line: &str, word: &str) -> (Option<i32>, String) {
    let command = format!("{} {line}", env!("CARGO_BIN_EXE_proofmark"));
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(desk.path("."))
        .env("DATABASE_URL", server.url("app"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{word}").unwrap();
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
}
