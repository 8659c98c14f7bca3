//! Backups of a database in a container: pg_dump runs in there, in a real Docker engine. Where none can be started these
//! tests are ignored and say why; nothing passes for it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test writes into its own folders")]

use crate::ground::between::{Trick, between};
use crate::ground::docker::{Contained, Engine, Network, PASSWORD};
use crate::{trial, wanted};
use fixtures::{Desk, Running, until};
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;

const AWKWARD: &str = include_str!("../../../../fixtures/sql/awkward.sql");

/// As it stands in a URL.
const ENCODED: &str = "in%2Fside%40word%3A1";

const DRILL: &str = "  - { id: drill, act: { restore-drill: { tier: T3 } } }\n";

/// Sessions of a pg_dump that was started for a backup.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'proofmark_dump_%'";

type Test = fn(&Arc<Engine>);

/// Tests that share one engine, each with containers of its own.
pub fn trials(arguments: &Arguments) -> Vec<Trial> {
    let tests: [(&str, Test); 8] = [
        ("a_backup_through_the_container_is_the_one_made_directly", same),
        ("a_machine_without_programs_of_postgresql_makes_a_backup", bare),
        ("the_container_of_another_server_is_refused", other),
        ("a_container_that_cannot_be_used_is_told_from_others", unusable),
        ("kill_9_leaves_no_pg_dump_in_the_container", killed),
        ("a_dump_that_is_given_up_is_ended_in_the_container", given_up),
        ("a_container_that_ends_leaves_no_backup", ends),
        ("an_engine_that_cannot_be_asked_is_told", engines),
    ];
    let engine =
        if wanted(arguments, "backup_container::") { Engine::start() } else { Err("not looked for".into()) };
    let missing = engine.as_ref().err().map(|why| format!("ignored: no Docker engine here, {why}"));
    let engine = engine.ok().map(Arc::new);
    tests
        .into_iter()
        .map(|(name, test)| {
            let engine = engine.clone();
            trial("backup_container", name, missing.clone(), move || test(&engine.unwrap()))
        })
        .collect()
}

/// A server in a container whose database `app` holds this.
fn server(engine: &Arc<Engine>, network: Network, sql: &str) -> Contained {
    let server = Contained::start(engine, network);
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", sql);
    server
}

/// A desk whose environment leads to this database, to the folder `store`, and to the engine.
fn desk(engine: &Engine, url: &str) -> Desk {
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    desk.set("DATABASE_URL", url);
    fs::create_dir_all(desk.path("store")).unwrap();
    let text = format!(
        "proofmark: v1\nconnections:\n  postgres: {{ url: {{ env: DATABASE_URL }} }}\n  store: {{ url: 'file://{}' }}\n  docker: {{ url: '{}' }}\n",
        desk.path("store").display(),
        engine.url()
    );
    desk.write("environment.yaml", text);
    desk
}

fn step(container: &str) -> String {
    format!("  - {{ id: backup, act: {{ backup: {{ container: {container} }} }} }}\n")
}

/// No backup was made of it, and these words say why.
fn refused(desk: &Desk, container: &str, words: &[&str]) {
    desk.scenario("s", "", &step(container));
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    desk.sound(&ended);
    let why = desk.kept("s/backup")["observation"]["failed"].as_str().unwrap().to_owned();
    for word in words {
        assert!(why.contains(word), "{word}: {why}");
    }
    assert_eq!(desk.files("store").len(), 0, "{why}");
    no_secret(desk);
}

fn no_secret(desk: &Desk) {
    desk.tells_none_of(&[PASSWORD, ENCODED]);
}

/// The one manifest of the store.
fn manifest(desk: &Desk) -> Value {
    let files = desk.files("store");
    let (_, bytes) = files.iter().find(|(name, _)| name.ends_with(".manifest.json")).unwrap();
    serde_json::from_slice(bytes).unwrap()
}

/// Every process of this machine, those in containers too: its number and its command line.
fn processes() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let own = std::process::id().cast_signed();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that has ended in between has none.
    let line = |pid: i32| Some((pid, fs::read(format!("/proc/{pid}/cmdline")).ok()?));
    let lines = numbers.filter(|pid| *pid != own).filter_map(line);
    lines.map(|(pid, line)| (pid, String::from_utf8_lossy(&line).replace('\0', " "))).collect()
}

/// The program out here that waits for the pg_dump in this container.
fn client(server: &Contained) -> (i32, String) {
    let dumps = format!(" {} pg_dump --snapshot", server.name);
    processes()
        .into_iter()
        .find(|(_, line)| line.starts_with("docker exec ") && line.contains(&dumps))
        .unwrap()
}

fn tells(text: &str) -> bool {
    [PASSWORD, ENCODED].iter().any(|word| text.contains(word))
}

/// A pg_dump that waits for the file `go` before it begins.
const HELD: &str = "if [ \"$1\" = --version ]; then real \"$@\"; fi
touch started; while [ ! -e go ]; do sleep 0.02; done; real \"$@\"";

fn same(engine: &Arc<Engine>) {
    let server = server(engine, Network::Host, AWKWARD);
    // From outside it has another port than it knows of, as one that Docker publishes.
    let port = between(server.port, &Trick::Says("nothing of this".into(), "nothing of this".into()));
    let url = server.url("app").replace(&server.port.to_string(), &port.to_string());
    let (direct, through) = (desk(engine, &url), desk(engine, &url));
    direct.scenario("s", "", "  - { id: backup, act: { backup: {} } }\n");
    direct.runs("change", 0);

    server.stand_in(HELD);
    let line =
        ["backup", "create", "--container", &server.name, "--env", "environment.yaml", "--allow", "change"];
    let running = through.start(&line);
    until("it dumps", || server.folder().join("started").exists().then_some(()));
    let (outside, all) = (client(&server).1, processes());
    assert!(outside.contains(" -e PGPASSWORD "), "{outside}");
    let program = format!("{}/pg_dump ", server.programs().display());
    let inside = |line: &str| line.contains(&program) && line.contains("--snapshot");
    assert_eq!(all.iter().filter(|(_, line)| inside(line)).count(), 1, "it is seen in there too");
    assert!(!all.iter().any(|(_, line)| tells(line)), "a command line tells the password");
    let inspected = engine.done(&["inspect", &server.name]);
    assert!(inspected.contains("\"ExecIDs\"") && !tells(&inspected), "{inspected}");
    fs::write(server.folder().join("go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    through.sound(&ended);
    assert!(!tells(&(ended.stdout + &ended.stderr)) && !tells(&engine.log()));

    let (one, other) = (manifest(&direct), manifest(&through));
    assert_eq!(one["picture"], other["picture"]);
    assert_eq!(one["source"], other["source"]);
    assert!(other["picture"]["tables"].as_array().unwrap().len() > 5);
    for desk in [&direct, &through] {
        desk.scenario("s", "", DRILL);
        desk.runs("change", 0);
        no_secret(desk);
    }
    assert_eq!(server.sql("postgres", AT_WORK), "0");
}

/// Hides the programs from whatever is started behind these words.
const NO_PROGRAMS: &str =
    "exec unshare --mount sh -c 'mount -t tmpfs none /usr/lib/postgresql; exec \"$@\"' sh \"$@\"";

fn bare(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, AWKWARD);
    let mut desk = desk(engine, &server.url("app"));
    desk.limit(NO_PROGRAMS);
    desk.scenario("s", "", "  - { id: backup, act: { backup: {} } }\n");
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.contains("`container: NAME`"), "{}", ended.stdout);

    desk.scenario("s", "", &step(&server.name));
    desk.runs("change", 0);
    let exchanges = desk.kept("s/backup").to_string();
    assert!(exchanges.contains("pg_restore -f -"), "it was decoded in there: {exchanges}");
    let made = desk.files("store");
    desk.limit("true");
    desk.scenario("s", "", &format!("  - {{ id: whole, check: {{ backup-verify: {{}} }} }}\n{DRILL}"));
    desk.runs("change", 0);
    // What the pg_restore in there has against it is heard, also when it does not read to the end.
    desk.limit(NO_PROGRAMS);
    desk.scenario("s", "", &step(&server.name));
    for words in ["real \"$@\" | head -c 2000", "printf 'PGDMP\\001\\016\\000'; head -c 50000000 /dev/zero"] {
        server.stand_in(&format!("if [ \"$1\" = --version ]; then real \"$@\"; fi\n{words}"));
        let ended = desk.run(&["--allow", "change"]);
        assert_eq!(ended.code, Some(1), "{words}: {ended:#?}");
        let why = desk.kept("s/backup")["observation"]["failed"].to_string();
        assert!(why.contains("not sound: pg_restore"), "{words}: {why}");
        assert_eq!(desk.files("store"), made);
    }
    no_secret(&desk);
}

fn other(engine: &Arc<Engine>) {
    let (own, other) = (server(engine, Network::Own, AWKWARD), server(engine, Network::Own, AWKWARD));
    let desk = desk(engine, &own.url("app"));
    refused(&desk, &other.name, &[&other.name, "does not hold the database", "127.0.0.1:5432"]);
    // Nor the one that is not there in the other server, and none at all.
    other.sql("postgres", "DROP DATABASE app");
    refused(&desk, &other.name, &[&other.name, "database \"app\" does not exist"]);
    desk.scenario("s", "", &step(&own.name));
    desk.runs("change", 0);
}

fn unusable(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, "CREATE TABLE bookings AS SELECT 1 AS id");
    let desk = desk(engine, &server.url("app"));
    refused(&desk, "nosuch", &["no container `nosuch`", "docker ps"]);
    server.stand_in("echo 'pg_dump (PostgreSQL) 9.6.24'");
    refused(&desk, &server.name, &[&server.name, "9.6.24", "PostgreSQL 15"]);
    server.stand_in("echo 'something else'");
    refused(&desk, &server.name, &[&server.name, "something else"]);
    server.stand_in("if [ \"$1\" = --version ]; then real \"$@\"; fi; exit 3");
    refused(&desk, &server.name, &["pg_dump ended with 3"]);
    let without = Contained::start_in(engine, Network::Own, Some("/usr/nowhere"));
    refused(&desk, &without.name, &[&without.name, "no `pg_dump`"]);
    without.kill();
    refused(&desk, &without.name, &[&without.name, "does not run", "docker start"]);
    // A name is a name and no option.
    desk.scenario("s", "", &step("--privileged"));
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("`--privileged` is no name of a container"), "{}", ended.stderr);
}

/// Starts a backup, and lets it come to where pg_dump waits in the container for a lock that someone else waits for too;
/// gives back whoever holds that.
fn waiting(server: &Contained, start: impl FnOnce() -> Running) -> (Running, Child) {
    server.stand_in(HELD);
    let running = start();
    until("it dumps", || server.folder().join("started").exists().then_some(()));
    let lock = "BEGIN; LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
    let holder = server.psql("app").args(["-c", lock]).stderr(Stdio::null()).spawn().unwrap();
    let waits = |what: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND {what}");
        (server.sql("postgres", &sql) == "1").then_some(())
    };
    until("someone waits for the table", || waits("query LIKE 'BEGIN; LOCK TABLE%'"));
    fs::write(server.folder().join("go"), "").unwrap();
    until("pg_dump waits behind it", || waits("application_name LIKE 'proofmark_dump_%'"));
    (running, holder)
}

fn done_with(server: &Contained, mut holder: Child) {
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'",
    );
    holder.wait().unwrap();
}

const BOOKINGS: &str =
    "CREATE TABLE bookings AS SELECT n, md5(n::text) AS t FROM generate_series(1, 20000) n";

fn killed(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, BOOKINGS);
    let desk = desk(engine, &server.url("app"));
    desk.scenario("s", "", &step(&server.name));
    let (running, holder) = waiting(&server, || desk.start_run(&["--allow", "change"]));
    running.kill();
    // It goes on in there: that the client is dead ends nothing.
    assert_eq!(server.sql("postgres", AT_WORK), "1");
    // The engine of the connection is not needed where the server answers.
    let environment = fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", environment.split_once("  docker:").unwrap().0);
    let ended = desk.recover(0);
    desk.write("environment.yaml", &environment);
    assert_eq!(server.sql("postgres", AT_WORK), "0", "{ended:#?}");
    assert_eq!(desk.files("store").len(), 0, "{:?}", desk.files("store").keys());
    assert!(desk.call(&["recover", "--env", "environment.yaml"]).stdout.contains("nothing is owed"));
    assert!(!engine.done(&["top", &server.name]).contains("--snapshot"), "its process has ended too");
    done_with(&server, holder);
    no_secret(&desk);
    desk.runs("change", 0);
}

fn given_up(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, BOOKINGS);
    let desk = desk(engine, &server.url("app"));
    desk.scenario("s", "", &step(&server.name));
    let (running, holder) = waiting(&server, || desk.start_run(&["--allow", "change"]));
    // Whoever ends the program `docker` out here ends nothing in there.
    kill(Pid::from_raw(client(&server).0), Signal::SIGKILL).unwrap();
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    desk.sound(&ended);
    assert_eq!(server.sql("postgres", AT_WORK), "0", "{ended:#?}");
    assert_eq!(desk.files("store").len(), 0);
    done_with(&server, holder);
}

fn ends(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, BOOKINGS);
    let desk = desk(engine, &server.url("app"));
    desk.scenario("s", "", &step(&server.name));
    let (running, mut holder) = waiting(&server, || desk.start_run(&["--allow", "change"]));
    server.kill();
    holder.wait().unwrap();
    let ended = running.wait();
    // What ran in it is gone with it: nothing is owed.
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    desk.sound(&ended);
    assert_eq!(desk.files("store").len(), 0);
}

fn engines(engine: &Arc<Engine>) {
    let server = server(engine, Network::Own, "CREATE TABLE bookings AS SELECT 1 AS id");
    let mut desk = desk(engine, &server.url("app"));
    let environment = fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", environment.replace(&engine.url(), "unix:///nowhere/sock"));
    refused(&desk, &server.name, &["unix:///nowhere/sock", "is it running"]);
    // Without a connection it is what the program itself uses.
    let (without, _) = environment.split_once("  docker:").unwrap();
    desk.write("environment.yaml", without);
    desk.set("DOCKER_HOST", "unix:///neither/sock");
    refused(&desk, &server.name, &["unix:///neither/sock", "is it running"]);
    desk.set("DOCKER_HOST", &engine.url());
    desk.runs("change", 0);
    // Where there is no such program.
    fs::remove_dir_all(desk.path("store")).unwrap();
    fs::create_dir_all(desk.path("store")).unwrap();
    desk.set("PATH", "/nowhere");
    refused(&desk, &server.name, &["`docker`", "install"]);
}
