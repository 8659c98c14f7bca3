//! Whole objects in a bucket of a real MinIO. Where it was not built, these tests are ignored and say why.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time")]

use crate::ground::minio::{LOGIN, Minio, Test, missing, shared};
use crate::ground::objects::{
    abandoned, bytes, creates_once, leave, names, one_of_many_wins, open, read, round_trips, upload,
};
use crate::ground::proxy::{Proxy, Trick};
use crate::ground::store::{self, ACCESS, SECRET, bucket};
use crate::trial;
use bytes::Bytes;
use libtest_mimic::Trial;
use proofmark_engine::Cx;
use proofmark_model::Duration;
use proofmark_objects::client::{Created, Removed, Store};
use std::time::{Duration as Std, Instant};
use tokio::runtime::Runtime;

/// Tests that share one server, each with buckets of its own.
pub fn trials() -> Vec<Trial> {
    let tests: [(&'static str, Test); 14] = [
        ("objects_come_back_as_they_were_written", |minio| Box::pin(whole(minio))),
        ("a_name_is_given_once", |minio| Box::pin(once(minio))),
        ("of_many_that_create_at_once_one_does", |minio| Box::pin(racing(minio))),
        ("an_abandoned_upload_is_aborted_by_its_id_and_by_its_key", |minio| Box::pin(aborted(minio))),
        ("what_was_stored_packed_is_read_packed", |minio| Box::pin(packed(minio))),
        ("who_is_refused_learns_why", |minio| Box::pin(refusals(minio))),
        ("a_server_that_dies_between_two_parts_and_comes_back_is_waited_for", |_| Box::pin(restart())),
        ("a_server_that_dies_and_stays_away_is_an_error_and_leaves_no_object", |_| Box::pin(death())),
        ("an_answer_that_was_lost_is_no_failure", |minio| Box::pin(lost(minio))),
        ("a_beginning_whose_answer_was_lost_is_not_made_twice", |minio| Box::pin(lost_beginning(minio))),
        ("a_download_that_breaks_off_goes_on_or_fails_loudly", |minio| Box::pin(cut_off(minio))),
        ("a_server_that_hangs_up_on_who_writes_may_be_full", |minio| Box::pin(hung_up(minio))),
        ("versions_and_markers_are_listed_to_their_end", |minio| Box::pin(versions(minio))),
        ("a_lock_is_told_from_a_refusal", |minio| Box::pin(locked(minio))),
    ];
    tests
        .into_iter()
        .map(|(name, test)| {
            trial("objects", name, missing(), move || Runtime::new().unwrap().block_on(test(shared())))
        })
        .collect()
}

fn at(url: &str, place: &str) -> Cx {
    let mut cx = store::store(bucket(url, place, LOGIN));
    // Two cores are shared with all other tests.
    cx.timeout = Duration::secs(120);
    cx
}

/// How many uploads of a key are unfinished: only its whole name as prefix shows them.
async fn unfinished(minio: &Minio, bucket: &str, key: &str) -> usize {
    let listed = minio.ask(&format!("/{bucket}?uploads=&prefix={key}")).await;
    assert!(listed.contains("<ListMultipartUploadsResult"), "{listed}");
    listed.matches(&format!("<Key>{key}</Key>")).count()
}

async fn whole(minio: &'static Minio) {
    minio.put("/whole", "").await;
    minio.put("/whole/outside", "x").await;
    let cx = at(&minio.url, "whole/below this");
    round_trips(&cx).await;
    let taken = cx.log.take();
    let text = format!("{taken:?}");
    assert!(!text.contains(SECRET) && !text.contains(ACCESS) && !text.contains("Signature"), "{text}");
    let parts: Vec<_> =
        taken.iter().filter(|one| one.method == "PUT" && one.target.contains("?uploadId=")).collect();
    let sent: Vec<_> = parts.iter().map(|one| one.sent.as_deref().unwrap_or_default()).collect();
    assert_eq!(sent, ["(1 bytes)", "(20971520 bytes in 3 parts)", "(8388608 bytes)"], "one entry an upload");
    assert!(parts.iter().all(|one| one.status == Some(200) && one.seconds > 0.0), "{parts:?}");
    let read = taken.iter().filter(|one| one.method == "GET" && one.bytes == 20 << 20).count();
    assert_eq!(read, 1, "an object that is read is taken down with its bytes");
    assert!(taken.iter().all(|one| one.method != "DELETE" || one.target.contains("below%20this/")));
    let root = at(&minio.url, "whole");
    assert_eq!(names(&root).await, ["outside"]);
}

async fn once(minio: &'static Minio) {
    minio.put("/once", "").await;
    creates_once(&at(&minio.url, "once/p")).await;
    assert_eq!(unfinished(minio, "once", "p/m/late").await, 0);
}

async fn racing(minio: &'static Minio) {
    minio.put("/racing", "").await;
    one_of_many_wins(&at(&minio.url, "racing")).await;
}

async fn aborted(minio: &'static Minio) {
    minio.put("/aborted", "").await;
    let left = async |key: &str| unfinished(minio, "aborted", &format!("p/{key}")).await;
    abandoned(&at(&minio.url, "aborted/p"), left).await;
}

async fn packed(minio: &'static Minio) {
    minio.put("/packed", "").await;
    // No gzip at all: who unpacks it stumbles.
    minio.send("PUT", "/packed/a.sql.gz", &[("content-encoding", "gzip")], "as it is").await;
    let cx = at(&minio.url, "packed");
    assert_eq!(open(&cx).await.get("a.sql.gz", 100).await.unwrap().unwrap(), b"as it is");
}

async fn refusals(minio: &'static Minio) {
    minio.put("/refusals", "").await;
    let cases = [
        ("refusals", (ACCESS, "not-its-secret"), "SignatureDoesNotMatch"),
        ("refusals", ("not-a-key-of-it", SECRET), "InvalidAccessKeyId"),
        ("not-there", LOGIN, "NoSuchBucket"),
    ];
    for (place, login, code) in cases {
        let cx = store::store(bucket(&minio.url, place, login));
        let error = Store::open(cx.wire("store").unwrap()).await.err().unwrap();
        let text = error.to_string();
        assert!(!error.is_transient() && text.contains(code), "{code}: {text}");
        assert!(!text.contains(login.0) && !text.contains(login.1), "{text}");
    }
    // What goes away while the store is open: 404 to `HEAD` is no missing object then.
    minio.put("/refusals-gone", "").await;
    let cx = at(&minio.url, "refusals-gone");
    let store = open(&cx).await;
    minio.send("DELETE", "/refusals-gone", &[], "").await;
    let errors = [
        store.head("a").await.unwrap_err(),
        store.get("a", 1).await.unwrap_err(),
        store.create("a", Bytes::new(), &leave()).await.unwrap_err(),
        store.begin("a", &leave()).await.unwrap_err(),
        store.abort("a", None, &leave()).await.unwrap_err(),
        store.delete("a", &leave()).await.unwrap_err(),
        store.versions("").await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    }
}

/// A server of its own with a bucket.
async fn own() -> Minio {
    let minio = Minio::start().await;
    minio.put("/own", "").await;
    minio
}

async fn restart() {
    let mut minio = own().await;
    let cx = at(&minio.url, "own");
    let store = open(&cx).await;
    let all = bytes(30 << 20);
    let mut upload = store.begin("a/b.dump", &leave()).await.unwrap();
    upload.write(&all[..17 << 20]).await.unwrap();
    minio.kill();
    // Two parts go on their way while nobody listens.
    let (done, ()) = tokio::join!(upload.write(&all[17 << 20..]), async {
        while cx.log.last_status() == Some(200) {
            tokio::task::yield_now().await;
        }
        minio.again();
    });
    done.unwrap();
    assert_eq!(upload.finish().await.unwrap().bytes, all.len() as u64);
    assert!(read(&store, "a/b.dump").await.unwrap() == all);
    assert_eq!(unfinished(&minio, "own", "a/b.dump").await, 0);
}

async fn death() {
    let mut minio = own().await;
    let mut cx = at(&minio.url, "own");
    cx.timeout = Duration::secs(20);
    let (store, begun) = (open(&cx).await, Instant::now());
    let mut upload = store.begin("a/b.dump", &leave()).await.unwrap();
    upload.write(&bytes(12 << 20)).await.unwrap();
    let id = upload.id.clone();
    minio.kill();
    let error = upload.finish().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no connection"), "{error}");
    assert!(begun.elapsed() < Std::from_secs(40), "bounded: {:?}", begun.elapsed());
    let opening = Instant::now();
    let down = Store::open(cx.wire("store").unwrap()).await.err().unwrap();
    assert!(down.is_transient() && down.to_string().contains("is it running"), "{down}");
    assert!(opening.elapsed() < Std::from_secs(3), "told at once: {:?}", opening.elapsed());
    minio.again();
    while !minio.healthy().await {
        tokio::task::yield_now().await;
    }
    let cx = at(&minio.url, "own");
    let store = open(&cx).await;
    assert_eq!(store.head("a/b.dump").await.unwrap(), None);
    assert!(names(&cx).await.is_empty());
    assert_eq!(unfinished(&minio, "own", "a/b.dump").await, 1, "it outlives the server");
    store.abort("a/b.dump", Some(&id), &leave()).await.unwrap();
    assert_eq!(unfinished(&minio, "own", "a/b.dump").await, 0);
}

async fn lost(minio: &'static Minio) {
    minio.put("/lost", "").await;
    let proxy = Proxy::start(&minio.url).await;
    let cx = at(&proxy.url, "lost");
    let store = open(&cx).await;
    proxy.play("PUT /lost/manifest", Trick::LoseAnswer);
    let created = store.create("manifest", Bytes::from("ours"), &leave()).await.unwrap();
    assert_eq!(created, Created::AlreadyOurs);
    proxy.play("PUT /lost/b.dump", Trick::LoseAnswer);
    proxy.play("POST /lost/b.dump?uploadId=", Trick::LoseAnswer);
    let all = bytes(9 << 20);
    upload(&store, "b.dump", &all).await;
    assert_eq!(proxy.left(), 0, "all of it was played");
    assert!(read(&store, "b.dump").await.unwrap() == all);
    let taken = cx.log.take();
    let of = |status| {
        taken
            .iter()
            .filter(|one| one.target.contains("uploadId=") && one.status == status)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(None).len(), 2, "a try that failed is seen by itself: {taken:?}");
    let (sums, all) = (of(Some(200)), "(9437184 bytes in 2 parts)");
    assert!(sums.len() == 1 && sums[0].sent.as_deref() == Some(all), "both parts are one entry: {sums:?}");
    let refused = taken.iter().filter(|one| one.method == "POST" && one.status.is_some_and(|it| it >= 400));
    assert_eq!(refused.count(), 1, "the end, asked for again when it was done: {taken:?}");
    assert_eq!(unfinished(minio, "lost", "b.dump").await, 0);
}

async fn lost_beginning(minio: &'static Minio) {
    minio.put("/begun", "").await;
    let proxy = Proxy::start(&minio.url).await;
    let cx = at(&proxy.url, "begun");
    let store = open(&cx).await;
    proxy.play("POST /begun/b.dump?uploads", Trick::LoseAnswer);
    let error = store.begin("b.dump", &leave()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(unfinished(minio, "begun", "b.dump").await, 1, "and not two");
    store.abort("b.dump", None, &leave()).await.unwrap();
    assert_eq!(unfinished(minio, "begun", "b.dump").await, 0);
}

async fn cut_off(minio: &'static Minio) {
    minio.put("/cut", "").await;
    let proxy = Proxy::start(&minio.url).await;
    let cx = at(&proxy.url, "cut");
    let store = open(&cx).await;
    let all = bytes(5 << 20);
    upload(&store, "b.dump", &all).await;
    for after in [100, 1 << 20, 3 << 20] {
        proxy.play("GET /cut/b.dump", Trick::CutAnswer(after));
        assert!(read(&store, "b.dump").await.unwrap() == all, "{after}");
    }
    assert_eq!(proxy.left(), 0);
    let statuses: Vec<_> = cx.log.take().into_iter().filter(|one| one.method == "GET").collect();
    assert!(statuses.iter().filter(|one| one.status == Some(206)).count() >= 2, "{statuses:?}");
    // Another object stands there when it would go on: as long as the first, and shorter.
    let other = "x".repeat(5 << 20);
    for (other, words) in [(other.as_str(), "broke off"), ("shorter", "was replaced")] {
        proxy.play("GET /cut/b.dump", Trick::CutAnswer(1 << 20));
        let (_, mut stream) = store.read("b.dump").await.unwrap().unwrap();
        minio.put("/cut/b.dump", other).await;
        let mut last = None;
        while let Some(item) = futures_util::StreamExt::next(&mut stream).await {
            last = Some(item);
        }
        let error = last.unwrap().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

async fn hung_up(minio: &'static Minio) {
    minio.put("/hung", "").await;
    let proxy = Proxy::start(&minio.url).await;
    let mut cx = at(&proxy.url, "hung");
    cx.timeout = Duration::secs(4);
    let store = open(&cx).await;
    proxy.play("PUT /hung/b.dump", Trick::HangUp);
    let mut upload = store.begin("b.dump", &leave()).await.unwrap();
    upload.write(&bytes(9 << 20)).await.unwrap();
    let error = upload.finish().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("is the store full"), "{error}");
    assert!(cx.log.take().len() > 6, "it was tried again");
    let created = store.create("b.dump", Bytes::from("1"), &leave()).await;
    assert!(created.is_err(), "the time is over: {created:?}");
}

async fn versions(minio: &'static Minio) {
    minio.put("/versioned", "").await;
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    minio.send("PUT", "/versioned?versioning=", &[], enabled).await;
    let cx = at(&minio.url, "versioned/p");
    let store = open(&cx).await;
    let leave = leave();
    assert_eq!(store.create("a b/k", Bytes::from("1"), &leave).await.unwrap(), Created::Now);
    store.delete("a b/k", &leave).await.unwrap();
    assert_eq!(store.head("a b/k").await.unwrap(), None, "behind a marker");
    let created = store.create("a b/k", Bytes::from("22"), &leave).await.unwrap();
    assert_eq!(created, Created::Now, "a marker is no object");
    store.delete("a b/k", &leave).await.unwrap();
    let seen = store.versions("a b/").await.unwrap();
    let shape: Vec<_> = seen.iter().map(|one| (one.marker, one.latest, one.size)).collect();
    assert_eq!(shape, [(true, true, 0), (false, false, 2), (true, false, 0), (false, false, 1)]);
    assert!(seen.iter().all(|one| one.key == "a b/k"), "{seen:?}");
    assert_eq!(store.delete_version("a b/k", &seen[0].id, &leave).await.unwrap(), Removed::Deleted);
    assert_eq!(store.delete_version("a b/k", &seen[0].id, &leave).await.unwrap(), Removed::Deleted);
    let head = store.head("a b/k").await.unwrap().unwrap();
    assert_eq!((head.size, head.version.as_ref()), (2, Some(&seen[1].id)));
    assert_eq!(store.versions("").await.unwrap().len(), 3);
    assert_eq!(store.versions("a b/other").await.unwrap(), []);
    let mut upload = store.begin("large", &leave).await.unwrap();
    upload.write(b"large").await.unwrap();
    let finished = upload.finish().await.unwrap();
    assert_eq!(finished.version, store.head("large").await.unwrap().unwrap().version);
    assert!(finished.version.is_some());
    for number in 0..1005 {
        minio.put(&format!("/versioned/p/many/{}", number % 7), "x").await;
    }
    assert_eq!(store.versions("many/").await.unwrap().len(), 1005, "two pages");
    let plain = at(&minio.url, "plain");
    minio.put("/plain", "").await;
    minio.put("/plain/one", "1").await;
    let only = open(&plain).await.versions("").await.unwrap();
    assert_eq!((only.len(), only[0].id.as_str(), only[0].latest), (1, "null", true));
}

async fn locked(minio: &'static Minio) {
    minio.send("PUT", "/locks", &[("x-amz-bucket-object-lock-enabled", "true")], "").await;
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    minio.send("PUT", "/locks?object-lock=", &[], rule).await;
    let cx = at(&minio.url, "locks");
    let store = open(&cx).await;
    // Both ways of writing have to do here, where some servers ask for sums of their own.
    assert_eq!(store.create("small", Bytes::from("1"), &leave()).await.unwrap(), Created::Now);
    upload(&store, "large", b"1").await;
    for key in ["small", "large"] {
        let version = store.versions(key).await.unwrap().remove(0);
        let removed = store.delete_version(key, &version.id, &leave()).await.unwrap();
        assert!(matches!(&removed, Removed::Locked(why) if why.contains("WORM")), "{removed:?}");
        assert!(store.head(key).await.unwrap().is_some());
    }
}
