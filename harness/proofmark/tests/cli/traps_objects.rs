//! Stores: what a naive check passes wrongly, at a stand-in that answers as a real MinIO did or as no S3 server should,
//! and at folders of this machine.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test writes its own input")]

use crate::ground::store::{self, ACCESS, SECRET, keys, objects, state};
use fixtures::{Answer, Fault, Server, recording};
use proofmark_engine::{Cx, StepError};
use proofmark_environment::Connection;
use proofmark_model::{Duration, Verdict};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration as Std, SystemTime};

const LOGIN: (&str, &str) = (ACCESS, SECRET);

/// What the real server answered.
fn recorded(name: &str) -> Answer {
    let exchange: Value =
        serde_json::from_slice(&recording(&format!("minio-2026-02-12/{name}.json"))).unwrap();
    let response = &exchange["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    Answer::new(status, "application/xml", response["text"].as_str().unwrap())
}

fn at(server: &Server, place: &str) -> Cx {
    store::store(store::bucket(&server.url(), place, LOGIN))
}

fn answers(answer: Answer) -> Server {
    Server::start().on("/lab-a", answer)
}

/// A list with this in place of what is usual.
fn page(name: &str, prefix: &str, rest: &str) -> Answer {
    let body =
        format!("<ListBucketResult><Name>{name}</Name><Prefix>{prefix}</Prefix>{rest}</ListBucketResult>");
    Answer::new(200, "application/xml", body)
}

const ONE: &str =
    "<Contents><Key>a/1</Key><LastModified>2026-11-21T11:01:02.181Z</LastModified><Size>9</Size></Contents>";

fn refused(error: &StepError, transient: bool, words: &[&str]) {
    assert_eq!(error.transient, transient, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}`: {error}");
    }
    assert!(!error.to_string().contains(SECRET), "{error}");
}

#[tokio::test]
async fn an_empty_list_passes_only_where_zero_is_asked_for() {
    // Asked a second time, for an object that could hide the folder.
    let aside = "/lab-a?list-type=2&encoding-type=url&max-keys=1&prefix=many-typo";
    let server = answers(recorded("s3_list_prefix_nothing"))
        .on(aside, page("lab-a", "many-typo", "<IsTruncated>false</IsTruncated>"));
    let look = objects(&at(&server, "lab-a"), json!({"prefix": "many-typo/"})).await.unwrap();
    assert_eq!(look.verdict, Verdict::Failed, "{look:?}");
    assert!(look.findings[0].help.as_deref().unwrap_or_default().contains("`prefix`"), "{look:?}");
    let look =
        objects(&at(&server, "lab-a"), json!({"prefix": "many-typo/", "newest-within": "1d", "min-size": 1}))
            .await;
    assert_eq!(look.unwrap().verdict, Verdict::Failed);
}

#[tokio::test]
async fn what_is_no_list_of_this_bucket_and_prefix_is_an_error() {
    let more = "<IsTruncated>true</IsTruncated>";
    let end = "<IsTruncated>false</IsTruncated>";
    let cases = [
        (Answer::new(200, "text/html", "<!doctype html><html><body>MinIO Console</body></html>"), "`html`"),
        (Answer::new(200, "text/html", "<!doctype html><title>Sign in</title>"), "`title`"),
        (Answer::json("{}"), "no XML"),
        (Answer::new(200, "application/xml", ""), "no XML"),
        (recorded("s3_list_buckets"), "`ListAllMyBucketsResult`"),
        (page("lab-b", "a/", end), "another bucket, `lab-b`"),
        (page("lab-a", "", end), "another prefix"),
        (page("lab-a", "a/", &format!("{more}{ONE}")), "not how to go on"),
        (page("lab-a", "a/", &format!("{more}<NextContinuationToken/>{ONE}")), "not how to go on"),
        (
            page("lab-a", "a/", &format!("{more}<NextContinuationToken>x</NextContinuationToken>{ONE}")),
            "no end",
        ),
        (page("lab-a", "a/", &format!("{end}<KeyCount>2</KeyCount>{ONE}")), "KeyCount"),
        (page("lab-a", "a/", &format!("{end}{}", ONE.replace("a/1", "b/1"))), "`b/1` does not belong"),
        (page("lab-a", "a/", &format!("{end}{}", ONE.replace("2026-11-21", "yesterday"))), "no time"),
        (page("lab-a", "a/", ONE), "is_truncated|IsTruncated"),
        (page("lab-a", "a/", &format!("{end}{}", ONE.replace("<Size>9</Size>", ""))), "ize"),
    ];
    for (answer, words) in cases {
        let server = answers(answer);
        for prefix in ["lab-a", "lab-a/a"] {
            let settings = if prefix == "lab-a" { json!({"prefix": "a/"}) } else { json!({}) };
            let error = objects(&at(&server, prefix), settings).await.expect_err(words);
            assert!(!error.transient, "{error}");
            assert!(words.split('|').any(|word| error.to_string().contains(word)), "`{words}`: {error}");
        }
    }
    for answer in [recorded("s3_list_buckets"), Answer::new(200, "text/html", "<html></html>")] {
        let server = answers(answer);
        refused(
            &state(&at(&server, "lab-a"), json!({})).await.unwrap_err(),
            false,
            &["not a `ListBucketResult`"],
        );
    }
}

#[tokio::test]
async fn a_list_counts_from_the_store_and_is_read_as_it_was_encoded() {
    let server = answers(recorded("s3_list_odd_encoding_url"));
    let look = objects(&at(&server, "lab-a/odd"), json!({})).await.unwrap();
    let keys = keys(&look);
    assert_eq!((keys.len(), look.verdict), (16, Verdict::Passed));
    for key in ["#hash", "'quote\".txt", "a b.txt", "a%20b.txt"] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    let some = objects(&at(&server, "lab-a/odd"), json!({"matches": "^a.*txt$"})).await.unwrap();
    assert!(some.seen["count"].as_u64().unwrap() < 16 && some.seen["listed"] == 16, "{:?}", some.seen);
    let none = objects(&at(&server, "lab-a/odd"), json!({"matches": "^nothing$"})).await.unwrap();
    assert_eq!(none.verdict, Verdict::Failed);
    assert!(none.findings[0].help.as_deref().unwrap_or_default().contains("16 are listed"), "{none:?}");
}

/// Only a login that the server does not know is gone; a known one may do other things.
#[tokio::test]
async fn only_an_unknown_login_is_a_revoked_one() {
    let cases = [
        ("s3_err_invalid_access_key", Verdict::Passed),
        ("s3_key_disabled__list", Verdict::Passed),
        ("s3_err_signature_mismatch", Verdict::Unverified),
        ("s3_err_time_skewed_plus20min", Verdict::Unverified),
        ("s3_key_nopolicy__list", Verdict::Unverified),
        ("s3_list_missing_bucket", Verdict::Unverified),
        ("s3_list_prefix_nothing", Verdict::Failed),
    ];
    for (name, verdict) in cases {
        let server = answers(recorded(name));
        let look = state(&at(&server, "lab-a/many-typo"), json!({"refused": true})).await.unwrap();
        assert_eq!((look.verdict, look.findings.len()), (verdict, 1), "{name}: {look:?}");
    }
    let server = answers(recorded("s3_1of4_restarted__list_buckets"));
    let error = state(&at(&server, "lab-a"), json!({"refused": true})).await.unwrap_err();
    refused(&error, true, &["waits for its drives"]);
}

#[tokio::test]
async fn refusals_are_told_apart_and_asked_for_once() {
    let cases = [
        ("s3_err_invalid_access_key", false, "does not know this `access-key`"),
        ("s3_key_disabled__list", false, "account is disabled"),
        ("s3_err_signature_mismatch", false, "`secret-key` is not the one"),
        ("s3_err_time_skewed_plus20min", false, "clocks of this machine"),
        ("s3_key_nopolicy__list", false, "may not do this"),
        ("s3_list_missing_bucket", false, "no such bucket"),
        ("s3_1of4_restarted__list_buckets", true, "waits for its drives"),
    ];
    for (name, transient, words) in cases {
        let server = answers(recorded(name));
        let error = objects(&at(&server, "lab-a"), json!({})).await.unwrap_err();
        refused(&error, transient, &[words, "/lab-a?list-type=2"]);
        assert_eq!(server.seen().len(), 1, "the engine is the only loop");
        let bucket = state(&at(&server, "lab-a"), json!({"versioning": "enabled"})).await;
        if transient {
            refused(&bucket.unwrap_err(), true, &[words]);
            continue;
        }
        let look = bucket.unwrap();
        assert_eq!((look.verdict, look.findings.len()), (Verdict::Failed, 1), "{look:?}");
        assert!(look.findings[0].help.as_deref().unwrap_or_default().contains(words), "{look:?}");
        assert_eq!(server.seen().len(), 2, "whoever is refused asks nothing more");
    }
    let slow = Answer::new(429, "application/xml", "<Error><Code>TooManyRequests</Code></Error>");
    let server = answers(slow);
    refused(
        &objects(&at(&server, "lab-a"), json!({})).await.unwrap_err(),
        true,
        &["429 with TooManyRequests"],
    );
    assert!(state(&at(&server, "lab-a"), json!({})).await.unwrap_err().transient);
    let server = answers(Answer::new(404, "text/plain", "404 page not found"));
    refused(&objects(&at(&server, "lab-a"), json!({})).await.unwrap_err(), false, &["S3 server", "404 page"]);
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_said_within_the_steps_time() {
    let cases = [
        (Fault::Refused, true, "no connection could be made"),
        (Fault::Hang, true, "there was none"),
        (Fault::Drip, true, "came"),
        (Fault::CutOff, true, "broke off"),
        (Fault::Status500, true, "status is 500"),
        (Fault::Html, false, "`title`"),
        (Fault::RedirectLoop, false, "redirect"),
    ];
    for (fault, transient, words) in cases {
        let server = Server::broken(fault);
        let mut cx = at(&server, "lab-a");
        cx.timeout = Duration(Std::from_millis(400));
        refused(&objects(&cx, json!({})).await.unwrap_err(), transient, &[words]);
        let taken = cx.log.take();
        assert!(!taken.is_empty() && taken[0].method == "GET", "{fault:?}: {taken:?}");
        assert!(taken[0].target.contains("/lab-a?list-type=2"), "{fault:?}: {taken:?}");
        assert!(!serde_json::to_string(&taken).unwrap().contains(ACCESS), "no login is taken down");
    }
}

/// Where the list is given with a login and refused without: the stand-in cannot see the difference, so it is told.
fn with_state(versioning: &str, lock: &str) -> Server {
    Server::start()
        .on("/lab-a", page("lab-a", "", "<IsTruncated>false</IsTruncated>"))
        .on("/lab-a?versioning=", recorded(versioning))
        .on("/lab-a?object-lock=", recorded(lock))
}

#[tokio::test]
async fn a_bucket_that_everyone_can_list_proves_nothing_about_a_login() {
    let server = with_state("s3_lock_get_versioning", "s3_lock_get_config_rule");
    let look = state(&at(&server, "lab-a"), json!({})).await.unwrap();
    assert_eq!((look.verdict, &look.seen["public"]), (Verdict::Failed, &json!(true)), "{look:?}");
    let look = state(&at(&server, "lab-a"), json!({"public": true})).await.unwrap();
    assert_eq!(look.verdict, Verdict::Passed, "{look:?}");
    let unsigned = server.seen().iter().filter(|seen| !seen.headers.contains_key("authorization")).count();
    assert_eq!(unsigned, 2, "one request of each look goes without the login");
}

#[tokio::test]
async fn what_a_bucket_does_to_keep_versions_is_never_guessed() {
    let (never, enabled) = ("s3_get_bucket_versioning_never_set", "s3_lock_get_versioning");
    let denied = "s3_key_ro-list-only__get_versioning";
    let (none, bare) = ("s3_get_object_lock_configuration_none", "s3_lock_get_config_enabled_no_rule");
    let rule = "s3_lock_get_config_rule";
    let cases = [
        (never, none, json!({"versioning": "enabled"}), Verdict::Failed),
        (never, none, json!({"versioning": "suspended"}), Verdict::Failed),
        (never, none, json!({"versioning": "never"}), Verdict::Passed),
        (enabled, none, json!({"versioning": "enabled"}), Verdict::Passed),
        (denied, none, json!({"versioning": "enabled"}), Verdict::Unverified),
        (denied, none, json!({"versioning": "never"}), Verdict::Unverified),
        (enabled, none, json!({"object-lock": true}), Verdict::Failed),
        (enabled, none, json!({"object-lock": false}), Verdict::Passed),
        (enabled, bare, json!({"object-lock": true}), Verdict::Passed),
        (enabled, bare, json!({"retention-days": 1}), Verdict::Failed),
        (enabled, rule, json!({"retention-days": 1}), Verdict::Passed),
        (enabled, rule, json!({"retention-days": 100_000}), Verdict::Failed),
        (enabled, denied, json!({"retention-days": 1}), Verdict::Unverified),
        (enabled, denied, json!({"object-lock": false}), Verdict::Unverified),
    ];
    for (versioning, lock, mut settings, verdict) in cases {
        settings["public"] = json!(true);
        let server = with_state(versioning, lock);
        let look = state(&at(&server, "lab-a"), settings.clone()).await.unwrap();
        assert_eq!(look.verdict, verdict, "{versioning} {lock} {settings}: {look:?}");
    }
}

fn folder(path: &Path) -> Cx {
    let url = Some(format!("file://{}", path.display()));
    store::store(Connection { name: "store".into(), url, ..Connection::default() })
}

#[tokio::test]
async fn a_folder_is_a_store_too() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("some backups");
    fs::create_dir_all(root.join("app/empty")).unwrap();
    let mut cx = folder(&root);
    // As the environment file says it: with what a URL must not hold encoded.
    let url = format!("file://{}", root.display().to_string().replace(' ', "%20"));
    let connection = Connection { name: "store".into(), url: Some(url), ..Connection::default() };
    cx.systems = store::store(connection).systems;
    assert_eq!(objects(&cx, json!({})).await.unwrap().verdict, Verdict::Failed, "only folders");
    for (name, content) in [("app/b.dump", "12345"), ("app/a.dump", "1"), ("app.txt", ""), ("z", "zz")] {
        fs::write(root.join(name), content).unwrap();
    }
    let look = objects(&cx, json!({"newest-within": "1m"})).await.unwrap();
    assert_eq!(
        (keys(&look), look.verdict),
        (vec!["app.txt", "app/a.dump", "app/b.dump", "z"], Verdict::Passed)
    );
    assert_eq!((&look.seen["bytes"], &look.seen["count"]), (&json!(8), &json!(4)), "{:?}", look.seen);
    assert_eq!(keys(&objects(&cx, json!({"prefix": "app/"})).await.unwrap()), ["app/a.dump", "app/b.dump"]);
    assert_eq!(keys(&objects(&cx, json!({"prefix": "app"})).await.unwrap()).len(), 3, "as in a bucket");
    let small = objects(&cx, json!({"min-size": 1})).await.unwrap();
    assert_eq!(small.verdict, Verdict::Failed);
    assert!(small.findings[1].seen.to_string().contains("app.txt: 0 bytes"), "{small:?}");
    assert_eq!(
        objects(&cx, json!({"prefix": "app/", "min-size": 1})).await.unwrap().verdict,
        Verdict::Passed
    );
    assert!(state(&cx, json!({})).await.unwrap_err().message.contains("only a bucket"));
}

#[tokio::test]
async fn what_cannot_be_looked_at_in_a_folder_is_not_left_out() {
    let place = tempfile::tempdir().unwrap();
    let missing = folder(&place.path().join("missing"));
    refused(&objects(&missing, json!({})).await.unwrap_err(), true, &["No such file", "is the path right"]);
    fs::write(place.path().join("file"), "x").unwrap();
    let file = folder(&place.path().join("file"));
    assert!(objects(&file, json!({})).await.unwrap_err().message.contains("ot a directory"));
    std::os::unix::fs::symlink("nowhere", place.path().join("link")).unwrap();
    let cx = folder(place.path());
    assert!(objects(&cx, json!({})).await.unwrap_err().message.contains("link"));
    fs::remove_file(place.path().join("link")).unwrap();
    std::os::unix::fs::symlink(".", place.path().join("link")).unwrap();
    assert!(objects(&cx, json!({})).await.unwrap_err().message.contains("circle"));
}

#[tokio::test]
async fn a_newest_that_is_old_fails_and_one_of_tomorrow_is_undecided() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    fs::write(&path, "x").unwrap();
    let day = Std::from_secs(24 * 3600);
    let now = SystemTime::now();
    for (time, verdict) in [
        (now - 2 * day, Verdict::Failed),
        (now, Verdict::Passed),
        (now + Std::from_secs(60), Verdict::Passed),
        (now + day, Verdict::Unverified),
    ] {
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let look = objects(&folder(place.path()), json!({"newest-within": "25h"})).await.unwrap();
        assert_eq!(look.verdict, verdict, "{time:?}: {look:?}");
    }
}
