//! The traps of `file`: for each a path on which a naive check passes wrongly, hangs, or tells a secret.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test makes its own files, and stops where it is surprised"
)]

use crate::ground::look::{Look, cx, look};
use nix::sys::stat::Mode;
use proofmark_engine::StepError;
use proofmark_model::Verdict::{self, Failed, Passed, Unverified};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

async fn try_look(path: &Path, mut settings: Value) -> Result<Look, StepError> {
    settings["path"] = json!(path);
    look(&cx("http://127.0.0.1:1"), json!({ "file": settings })).await
}

async fn see(path: &Path, settings: Value) -> Look {
    try_look(path, settings).await.unwrap()
}

async fn verdict(path: &Path, settings: Value) -> Verdict {
    see(path, settings).await.verdict
}

#[tokio::test]
async fn what_is_not_there_fails_and_says_nothing_more() {
    let ground = Ground::new();
    let file = ground.write("file", "x");
    for path in [ground.path("none"), ground.path("no/folder"), file.join("below-a-file")] {
        let look = see(&path, json!({"not-empty": true, "matches": "x", "json": true})).await;
        assert_eq!((look.verdict, &look.seen), (Failed, &json!({"exists": false})));
        assert_eq!(look.findings.len(), 1);
    }
    assert_eq!(verdict(&file, json!({})).await, Passed);
}

#[tokio::test]
async fn a_link_is_followed_and_one_that_leads_nowhere_is_nothing() {
    let ground = Ground::new();
    let file = ground.write("file", "x");
    symlink(&file, ground.path("good")).unwrap();
    symlink("none", ground.path("bad")).unwrap();
    symlink("loop", ground.path("loop")).unwrap();
    let good = see(&ground.path("good"), json!({"not-empty": true})).await;
    assert_eq!((good.verdict, &good.seen["size"], &good.seen["link-to"]), (Passed, &json!(1), &json!(file)));
    let bad = see(&ground.path("bad"), json!({})).await;
    assert_eq!((bad.verdict, &bad.seen), (Failed, &json!({"exists": false, "link-to": "none"})));
    assert!(bad.findings[0].help.as_ref().unwrap().contains("leads nowhere"));
    // A loop was not looked through, so nobody knows.
    assert!(try_look(&ground.path("loop"), json!({})).await.is_err());
}

#[tokio::test]
async fn a_folder_a_pipe_and_a_device_are_no_files_and_nobody_waits_for_them() {
    let ground = Ground::new();
    let pipe = ground.path("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let socket = ground.path("socket");
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let odd = [
        (ground.0.path().to_owned(), "folder"),
        (pipe, "fifo"),
        (socket, "socket"),
        (PathBuf::from("/dev/zero"), "device"),
    ];
    for (path, kind) in odd {
        let settings = json!({"matches": "x", "json": true, "executable": true});
        let look = see(&path, settings).await;
        assert_eq!(
            (look.verdict, &look.seen["type"], &look.seen["exists"]),
            (Failed, &json!(kind), &json!(true))
        );
        // A folder can be "executed", which says nothing.
        assert_eq!(look.seen["executable"], json!(false), "{kind}");
    }
}

#[tokio::test]
async fn executable_is_the_mode_and_not_the_name() {
    let ground = Ground::new();
    let script = ground.write("backup.sh", "#!/bin/sh\n");
    for (mode, word, executable) in [(0o644, "0644", false), (0o755, "0755", true), (0o4710, "4710", true)] {
        fs::set_permissions(&script, Permissions::from_mode(mode)).unwrap();
        let look = see(&script, json!({"executable": true})).await;
        assert_eq!((look.verdict == Passed, &look.seen["mode"]), (executable, &json!(word)));
        assert_eq!(verdict(&script, json!({"executable": false})).await == Passed, !executable);
    }
}

#[tokio::test]
async fn empty_old_and_future_files_do_not_pass() {
    let ground = Ground::new();
    let file = ground.write("dump", "");
    assert_eq!(verdict(&file, json!({})).await, Passed);
    assert_eq!(verdict(&file, json!({"not-empty": true})).await, Failed);
    let aged = async |when: SystemTime| {
        File::options().write(true).open(&file).unwrap().set_modified(when).unwrap();
        verdict(&file, json!({"newer-than": "25h"})).await
    };
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    assert_eq!(aged(now - hour).await, Passed);
    assert_eq!(aged(now - 26 * hour).await, Failed);
    // A wrong clock makes everything look fresh.
    assert_eq!(aged(now + 48 * hour).await, Unverified);
    assert_eq!(aged(SystemTime::UNIX_EPOCH).await, Failed);
}

#[tokio::test]
async fn every_expression_must_find_something_also_in_what_is_no_text() {
    let ground = Ground::new();
    let file = ground.write("script", b"one\r\ntwo \xff\xfe three\ntwo\n");
    let look = see(&file, json!({"matches": ["two", "(?m)^two$", "th.ee"]})).await;
    assert_eq!(look.verdict, Passed);
    let found = |index: usize| {
        (look.seen["matches"][index]["count"].clone(), look.seen["matches"][index]["line"].clone())
    };
    assert_eq!(
        [found(0), found(1), found(2)],
        [(json!(2), json!(2)), (json!(1), json!(3)), (json!(1), json!(2))]
    );
    assert_eq!(verdict(&file, json!({"matches": ["two", "four"]})).await, Failed);
    assert_eq!(verdict(&file, json!({"matches": "^two"})).await, Failed, "`^` is the beginning of the whole");
    assert!(!look.seen.to_string().contains("three"), "what was found is not kept");
}

#[tokio::test]
async fn a_huge_file_is_searched_as_far_as_the_memory_bound_and_says_so() {
    let ground = Ground::new();
    let file = ground.write("huge", "begin\n");
    File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(verdict(&file, json!({"not-empty": true})).await, Passed);
    assert_eq!(verdict(&file, json!({"matches": "begin"})).await, Passed, "what was found is there");
    let look = see(&file, json!({"matches": "end of it"})).await;
    assert_eq!(look.verdict, Unverified, "what was not found may stand further behind");
    assert_eq!(verdict(&file, json!({"json": true})).await, Unverified);
}

#[tokio::test]
async fn what_cannot_be_read_is_unverified() {
    // A regular file, open to its owner, whose reading fails: as a bad disk would.
    let path = Path::new("/proc/self/mem");
    let look = see(path, json!({"matches": "x"})).await;
    assert_eq!((look.verdict, &look.seen["exists"]), (Unverified, &json!(true)));
    assert!(look.seen["unread"].as_str().unwrap().contains("/proc/self/mem"));
    assert_eq!(verdict(path, json!({"json": true})).await, Unverified);
    // A name that no file system takes: there or not, nobody can say.
    assert!(try_look(Path::new(&"x".repeat(300)), json!({})).await.is_err());
}

#[tokio::test]
async fn json_is_the_whole_file_or_none() {
    let ground = Ground::new();
    for wrong in ["", "{", "{} {}", "{\"a\": 1}\ntrailing", "\u{feff}{}", "{'a': 1}", "NaN", "[1,]"] {
        let file = ground.write("wrong.json", wrong);
        assert_eq!(verdict(&file, json!({"json": true})).await, Failed, "{wrong}");
    }
    assert_eq!(verdict(&ground.write("latin", b"\"\xfc\""), json!({"json": true})).await, Failed);
    let deep = ground.write("deep.json", "[".repeat(100_000));
    assert_eq!(verdict(&deep, json!({"json": true})).await, Failed);
    let look = see(&ground.write("null.json", "null\n"), json!({"json": true})).await;
    assert_eq!((look.verdict, look.seen.get("json")), (Passed, Some(&Value::Null)), "null is a value");
}

#[tokio::test]
async fn yaml_is_read_with_all_its_documents_and_its_traps() {
    let ground = Ground::new();
    let yaml = async |text: &str| see(&ground.write("a.yaml", text), json!({"yaml": true})).await;
    let one = yaml("on: yes\nage: 012\nname: \"{{ .Values.x }}\"\nlist: [~, 1.5]\n").await;
    assert_eq!(one.verdict, Passed, "{:?}", one.findings);
    assert_eq!(one.seen["yaml"]["on"], json!("yes"), "`yes` is text");
    assert_eq!(one.seen["yaml"]["name"], json!("{{ .Values.x }}"), "a template of others is text");
    let several = yaml("kind: A\n---\nkind: B\n").await;
    assert_eq!(several.seen["yaml"], json!([{"kind": "A"}, {"kind": "B"}]));
    for wrong in ["a: 1\na: 2\n", "a: [1\n", "a: b: c\n", "a:\n\tb: 1\n", "", "# only a comment\n"] {
        assert_eq!(yaml(wrong).await.verdict, Failed, "{wrong}");
    }
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for name in b'b'..=b'k' {
        let (name, before) = (char::from(name), char::from(name - 1));
        writeln!(bomb, "{name}: &{name} [{}]", vec![format!("*{before}"); 10].join(",")).unwrap();
    }
    assert_eq!(yaml(&bomb).await.verdict, Failed);
}

#[tokio::test]
async fn what_is_parsed_tells_no_secret() {
    let ground = Ground::new();
    let (password, dsn) = ("hunter2-hunter2", "postgres://app:hunter2-hunter2@db/app");
    let text = json!({"db": {"password": password, "url": dsn, "name": "app"}, "note": format!("password={password}")});
    for (name, key) in [("c.json", "json"), ("c.yaml", "yaml")] {
        let file = ground.write(name, text.to_string());
        let look = see(&file, json!({ key: true, "matches": "hunter2" })).await;
        assert_eq!(look.verdict, Passed);
        let clean = proofmark_model::redact::Redactor::default().clean(&look.seen, &[]).unwrap().into_inner();
        assert_eq!(clean[key]["db"]["name"], json!("app"));
        assert!(!clean.to_string().contains(password), "{clean}");
    }
    let file = ground.write("broken.json", format!("{{\"password\": \"{password}\" oops"));
    let look = see(&file, json!({"json": true})).await;
    assert!(!format!("{:?}{}", look.findings, look.seen).contains(password));
}

#[tokio::test]
async fn what_is_kept_as_evidence_tells_no_secret() {
    let ground = Ground::new();
    let file = ground.write(
        "app.env",
        "NAME=app\nDB_PASSWORD=hunter2-hunter2\nURL=postgres://app:hunter2-hunter2@db/app\n",
    );
    let cx = cx("http://127.0.0.1:1");
    look(&cx, json!({"file": {"path": file, "matches": "NAME"}})).await.unwrap();
    let kept = String::from_utf8(cx.log.take_answer().unwrap().to_vec()).unwrap();
    assert!(kept.contains("NAME=app") && !kept.contains("hunter2"), "{kept}");
}

#[test]
fn settings_that_cannot_be_meant_are_mistakes() {
    let mistake = |settings: Value| {
        let check = proofmark::kinds::registry().check_of_json(&json!({ "file": settings })).unwrap();
        check.mistake()
    };
    assert!(mistake(json!({"path": ""})).is_some());
    assert!(mistake(json!({"path": "~/x"})).unwrap().to_string().contains("home folder"));
    assert!(mistake(json!({"path": "a", "json": true, "yaml": true})).is_some());
    for wrong in [
        json!({}),
        json!({"path": "a", "matches": "("}),
        json!({"path": "a", "matches": []}),
        json!({"path": "a", "newer-than": "1w"}),
        json!({"path": "a", "exists": true}),
    ] {
        assert!(proofmark::kinds::registry().check_of_json(&json!({ "file": wrong })).is_err(), "{wrong}");
    }
}
