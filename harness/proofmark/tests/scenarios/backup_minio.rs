//! Backups into a real MinIO that refuses, is not there, or dies: nothing that looks like a backup is left. Where it was not
//! built, these tests are ignored and say why; nothing passes for it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time")]

use crate::ground::backups::{BACKUP, DRILL, server, stand_in};
use crate::ground::hook::{hooked, told};
use crate::ground::minio::{LOGIN, Minio, missing, shared};
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use crate::ground::proxy::{Proxy, Trick};
use crate::trial;
use fixtures::{Desk, until};
use libtest_mimic::Trial;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const APP: &str = "CREATE TABLE bookings (id int PRIMARY KEY, note text);
    INSERT INTO bookings SELECT i, 'note ' || i FROM generate_series(1, 500) i;";

/// For so long a dead store may be tried.
const GIVEN_UP: Duration = Duration::from_secs(300);

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 3] = [
        ("a_store_that_refuses_gets_no_backup", refuses),
        ("a_store_that_dies_holds_no_backup", dies),
        ("a_manifest_that_does_not_arrive_whole_makes_no_backup", cut_short),
    ];
    tests.map(|(name, test)| trial("backup_minio", name, missing(), test)).into()
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

const SECRETS: [&str; 3] = [POSTGRES_PASSWORD, LOGIN.1, "another-secret-key"];

fn no_secret(desk: &Desk) {
    desk.tells_none_of(&SECRETS);
}

fn refuses() {
    let runtime = Runtime::new().unwrap();
    let minio = shared();
    let server = server(APP);
    runtime.block_on(minio.put("/refuses", ""));
    for (place, secret, words) in
        [("refuses/a", "another-secret-key", "secret"), ("nothere/a", LOGIN.1, "bucket")]
    {
        let desk = desk(&server, minio, place, secret);
        let hook = hooked(&desk);
        let ended = desk.run(&["--allow", "change"]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        desk.sound(&ended);
        let message = told(&hook, &desk, &SECRETS);
        assert!(message.contains(words) && desk.files("copies").is_empty(), "{message}");
    }
    let list = runtime.block_on(minio.ask("/refuses?list-type=2"));
    assert!(list.contains("<KeyCount>0</KeyCount>"), "{list}");
    let desk = desk(&server, minio, "refuses/a", LOGIN.1);
    desk.runs("change", 0);
    desk.scenario("s", "", DRILL);
    desk.runs("change", 0);
    no_secret(&desk);
}

fn dies() {
    let runtime = Runtime::new().unwrap();
    let mut minio = runtime.block_on(Minio::start());
    let server = server(APP);
    runtime.block_on(minio.put("/store", ""));
    let mut desk = desk(&server, &minio, "store/a", LOGIN.1);
    stand_in(&mut desk, &server, "touch started; while [ ! -e go ]; do sleep 0.02; done; real \"$@\"");
    let hook = hooked(&desk);
    let running = desk.start_run(&["--allow", "change"]);
    until("it dumps", || desk.path("started").exists().then_some(()));
    minio.kill();
    desk.write("go", "");
    // It is tried again for a while, until that is given up.
    let begun = Instant::now();
    while !desk.files(&desk.newest()).contains_key("s/backup.json") {
        assert!(begun.elapsed() < GIVEN_UP, "it is not given up");
        std::thread::sleep(Duration::from_millis(100));
    }
    let inside = runtime.enter();
    minio.again();
    drop(inside);
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    desk.sound(&ended);
    let list = runtime.block_on(minio.ask("/store?list-type=2"));
    assert!(list.contains("<KeyCount>0</KeyCount>"), "{list}");
    told(&hook, &desk, &SECRETS);
    assert!(desk.files("copies").is_empty());
}

fn cut_short() {
    let runtime = Runtime::new().unwrap();
    let minio = shared();
    let proxy = runtime.block_on(Proxy::start(&minio.url));
    let server = server(APP);
    runtime.block_on(minio.put("/cut-short", ""));
    let listed = || runtime.block_on(minio.ask("/cut-short?list-type=2"));
    let desk = desk(&server, minio, "cut-short/a", LOGIN.1);
    let environment = std::fs::read_to_string(desk.path("environment.yaml")).unwrap();
    desk.write("environment.yaml", environment.replace(&minio.url, &proxy.url));
    proxy.play("PUT /cut-short/a/*.manifest.json", Trick::CutRequest(500));
    let hook = hooked(&desk);
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    desk.sound(&ended);
    told(&hook, &desk, &SECRETS);
    assert!(desk.files("copies").is_empty());
    assert!(listed().contains("<KeyCount>0</KeyCount>"), "{}", listed());
    assert_eq!(proxy.forget(), 1, "it was played, and stays until it is forgotten");
    // The answer alone is lost: what stands there is ours, and the backup is made.
    proxy.play("PUT /cut-short/a/*.manifest.json", Trick::LoseAnswer);
    desk.runs("change", 0);
    assert!(listed().contains("<KeyCount>2</KeyCount>") && proxy.left() == 0, "{}", listed());
    no_secret(&desk);
}
