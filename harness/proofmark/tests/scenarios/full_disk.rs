//! A disk that is really full while a run writes: a small tmpfs. Mounting one takes a right that not everybody has; then
//! these tests are ignored and say why.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups;
use crate::ground::hook::{hooked, told};
use crate::ground::objects;
use crate::ground::postgres::POSTGRES_PASSWORD;
use crate::ground::program::{UP, desk, server};
use crate::ground::store;
use crate::trial;
use fixtures::Desk;
use libtest_mimic::Trial;
use proofmark_environment::Connection;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder that takes so many bytes; gone when this is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(folder: &Path, bytes: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={bytes}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

pub fn trials() -> Vec<Trial> {
    let probe = tempfile::tempdir().unwrap();
    let may = Small::mount(probe.path(), "4k").is_some();
    let missing = (!may).then(|| "ignored: nothing can be mounted here".to_owned());
    let tests: [(&str, fn()); 4] = [
        ("evidence_that_finds_no_room_is_said_and_nothing_passes", evidence),
        ("reports_and_exports_that_find_no_room_are_said", reports),
        ("objects_that_find_no_room_in_a_folder_are_not_there", folder),
        ("a_backup_that_finds_no_room_is_none_and_the_webhook_is_told", backup),
    ];
    tests.map(|(name, test)| trial("full_disk", name, missing.clone(), test)).into()
}

/// Two scenarios of steps that pass, each with an answer kept.
fn scenarios(desk: &Desk) {
    let steps = (0..6).map(|n| format!("  - {{ id: s{n}, {UP}, evidence: answer{n}.json }}\n"));
    let steps = steps.collect::<String>();
    desk.scenario("one", "", &steps);
    desk.scenario("two", "needs: [one]", &steps);
}

/// From a disk that takes a single page on, page by page, until one takes the whole run.
fn evidence() {
    let server = server();
    let mut readable = 0;
    for pages in 1.. {
        let desk = desk(&server);
        scenarios(&desk);
        let _small = Small::mount(&desk.path("evidence"), &format!("{}k", 4 * pages)).unwrap();
        let ended = desk.run(&[]);
        if ended.code == Some(0) {
            assert_eq!(desk.call(&["verify"]).code, Some(0), "{pages}");
            // Two files for each step, and three for the run.
            assert!(pages >= 27 && readable > 20, "{pages} pages, {readable} of the runs before can be told");
            return;
        }
        assert_eq!(ended.code, Some(5), "{pages}: {ended:?}");
        for word in ["could not be written", "No space left on device", "is the disk full"] {
            assert!(ended.stderr.contains(word), "{pages}, `{word}`: {ended:?}");
        }
        let told = desk.call(&["report"]);
        assert!(!(ended.stdout + &told.stdout).contains("PASSED"), "{pages}");
        assert!(matches!(told.code, Some(2 | 3)), "{pages}: {:?} {}", told.code, told.stderr);
        readable += usize::from(told.code == Some(3));
    }
}

fn reports() {
    let server = server();
    for (flag, word) in [("--reports", "the reports"), ("--export", "out")] {
        let desk = desk(&server);
        scenarios(&desk);
        let _small = Small::mount(&desk.path("out"), "4k").unwrap();
        let ended = desk.run(&[flag, "out"]);
        assert_eq!(ended.code, Some(5), "{flag}: {ended:?}");
        assert!(ended.stderr.contains(word) && ended.stderr.contains("No space left"), "{flag}: {ended:?}");
        assert_eq!(desk.call(&["verify"]).code, Some(0), "{flag}: the evidence is whole all the same");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn folder() {
    let place = tempfile::tempdir().unwrap();
    let small = Small::mount(place.path(), "12m").unwrap();
    let url = Some(format!("file://{}", small.0.display()));
    let cx = store::store(Connection { name: "store".into(), url, ..Connection::default() });
    let store = objects::open(&cx).await;
    let full = |error: String| assert!(error.contains("the disk is full"), "{error}");
    let mut upload = store.begin("a/b.dump", &objects::leave()).await.unwrap();
    let id = upload.id.clone();
    let all = objects::bytes(20 << 20);
    full(upload.write(&all).await.unwrap_err().to_string());
    let error = upload.write(b"more").await.and(upload.finish().await.map(drop)).unwrap_err();
    assert!(error.to_string().contains("lacks a part"), "{error}");
    assert!(objects::names(&cx).await.is_empty());
    // The disk is full, so a small one finds no room either, and leaves nothing.
    full(
        store.create("a/manifest", vec![1; 1 << 20].into(), &objects::leave()).await.unwrap_err().to_string(),
    );
    assert!(objects::names(&cx).await.is_empty());
    store.abort("a/b.dump", Some(&id), &objects::leave()).await.unwrap();
    assert_eq!(std::fs::read_dir(place.path().join("a")).unwrap().count(), 0, "and all room is back");
    objects::upload(&store, "a/b.dump", &all[..11 << 20]).await;
}

/// In the store, and where the copy goes: in the middle of the archive, and, page by page, at every file of a small one.
fn backup() {
    // What cannot be packed: some hundred kilobytes.
    let photos = "CREATE TABLE photos AS SELECT i, sha512(random()::text::bytea) AS photo FROM generate_series(1, 9000) i";
    let server = backups::server(photos);
    server.create("small");
    server.sql("small", "CREATE TABLE bookings AS SELECT 1 AS id");
    for full in ["store", "copies"] {
        assert!(fails(&backups::desk(&server), full, "256k").is_some(), "{full}");
        let mut desk = backups::desk(&server);
        desk.set("DATABASE_URL", &server.url("small"));
        let messages = (1..40).map_while(|pages| fails(&desk, full, &format!("{}k", 4 * pages)));
        let messages: Vec<String> = messages.collect();
        assert!(messages.len() < 39, "{full}: {messages:?}");
        assert!(messages.iter().any(|it| it.contains(".manifest.json")), "{full}: {messages:?}");
    }
}

/// Why no backup is made where one of both places takes so many bytes; there is none in either then, and the webhook is told.
fn fails(desk: &Desk, small: &str, bytes: &str) -> Option<String> {
    let hook = hooked(desk);
    let _small = Small::mount(&desk.path(small), bytes).unwrap();
    let ended = desk.run(&["--allow", "change"]);
    if ended.code == Some(0) {
        return None;
    }
    assert_eq!(ended.code, Some(1), "{small} of {bytes}: {ended:#?}");
    let message = told(&hook, desk, &[POSTGRES_PASSWORD, "top%2Fsecret"]);
    assert!(message.contains("the disk is full") || message.contains("No space left"), "{small}: {message}");
    let left: Vec<String> =
        ["store", "copies"].iter().flat_map(|place| desk.files(place).into_keys()).collect();
    assert!(left.is_empty(), "{small} of {bytes}: {message}: {left:?}");
    Some(message)
}
