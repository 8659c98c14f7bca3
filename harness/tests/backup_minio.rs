//! Backups into a real MinIO that refuses, is not there, or dies: nothing that looks like a backup is left. Where it was not
//! built, these tests are ignored and say why; nothing passes for it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "ground/backups.rs"]
#[expect(dead_code, reason = "the tests of what is stored use more of it")]
mod backups;
#[path = "ground/minio.rs"]
#[expect(dead_code, reason = "other tests stop it and ask for its health")]
mod minio;
#[path = "ground/postgres.rs"]
#[expect(dead_code, reason = "the tests of its ways use more of it")]
mod postgres;

use backups::{BACKUP, DRILL, open, server, stand_in};
use fixtures::{Desk, until};
use libtest_mimic::{Arguments, Trial};
use minio::Minio;
use postgres::{POSTGRES_PASSWORD, Postgres};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Runtime;

const LOGIN: (&str, &str) = ("labroot-access", "lab/root+secret=word");

const REASON: &str = "ignored: no MinIO here, see `make setup`: it takes Go to build one";

const APP: &str = "CREATE TABLE bookings (id int PRIMARY KEY, note text);
    INSERT INTO bookings SELECT i, 'note ' || i FROM generate_series(1, 500) i;";

type Test = fn(PathBuf);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 2] =
        [("a_store_that_refuses_gets_no_backup", refuses), ("a_store_that_dies_holds_no_backup", dies)];
    let program = minio::program();
    let trials = tests.into_iter().map(|(name, test)| {
        let program = program.clone();
        let missing = program.is_none();
        let trial = Trial::test(name, move || {
            test(program.ok_or("there is no MinIO")?);
            Ok(())
        });
        if missing { trial.with_kind(REASON).with_ignored_flag(true) } else { trial }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A desk whose store is this place in it.
fn desk(server: &Postgres, minio: &Minio, place: &str, secret: &str) -> Desk {
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    for (name, value) in
        [("DATABASE_URL", server.url("app").as_str()), ("ACCESS", LOGIN.0), ("SECRET", secret)]
    {
        desk.set(name, value);
    }
    let text = format!(
        "proofmark: v1\nconnections:\n  postgres: {{ url: {{ env: DATABASE_URL }} }}\n  store: {{ url: 's3://{place}', endpoint: '{}', access-key: {{ env: ACCESS }}, secret-key: {{ env: SECRET }} }}\n",
        minio.url
    );
    desk.write("environment.yaml", text);
    desk.scenario("s", "", BACKUP);
    desk
}

fn no_secret(desk: &Desk) {
    desk.tells_none_of(&[POSTGRES_PASSWORD, LOGIN.1, "another-secret-key"]);
}

fn refuses(program: PathBuf) {
    let runtime = Runtime::new().unwrap();
    let minio = runtime.block_on(Minio::start(&program, LOGIN));
    let server = server(APP);
    runtime.block_on(minio.put("/store", ""));
    for (place, secret, words) in
        [("store/a", "another-secret-key", "secret"), ("nothere/a", LOGIN.1, "bucket")]
    {
        let desk = desk(&server, &minio, place, secret);
        let ended = desk.run(&["--allow", "change"]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        desk.sound(&ended);
        assert!(open(&desk, "s/backup").contains(words), "{}", open(&desk, "s/backup"));
        no_secret(&desk);
    }
    let list = runtime.block_on(minio.ask("/store?list-type=2"));
    assert!(list.contains("<KeyCount>0</KeyCount>"), "{list}");
    let desk = desk(&server, &minio, "store/a", LOGIN.1);
    desk.runs("change", 0);
    desk.scenario("s", "", DRILL);
    desk.runs("change", 0);
    no_secret(&desk);
}

fn dies(program: PathBuf) {
    let runtime = Runtime::new().unwrap();
    let mut minio = runtime.block_on(Minio::start(&program, LOGIN));
    let server = server(APP);
    runtime.block_on(minio.put("/store", ""));
    let mut desk = desk(&server, &minio, "store/a", LOGIN.1);
    stand_in(&mut desk, &server, "touch started; while [ ! -e go ]; do sleep 0.02; done; real \"$@\"");
    let running = desk.start_run(&["--allow", "change"]);
    until("it dumps", || desk.path("started").exists().then_some(()));
    minio.kill();
    desk.write("go", "");
    let ended = running.wait();
    // The upload cannot be taken away from a store that is dead: that is owed.
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    minio.again();
    until("it is back", || runtime.block_on(minio.healthy()).then_some(()));
    desk.recover(0);
    let list = runtime.block_on(minio.ask("/store?list-type=2"));
    assert!(list.contains("<KeyCount>0</KeyCount>"), "{list}");
    no_secret(&desk);
}
