//! Whole objects at a stand-in that answers as a real MinIO did, as other servers do, or as no S3 server should; and in
//! folders of this machine.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test writes its own input and measures real time")]

use crate::ground::objects::{
    abandoned, creates_once, leave, names, one_of_many_wins, open, read, round_trips,
};
use crate::ground::store::{self, ACCESS, SECRET};
use bytes::Bytes;
use fixtures::{Answer, Server, recording};
use proofmark_engine::Cx;
use proofmark_environment::Connection;
use proofmark_model::Duration;
use proofmark_net::ClientError;
use proofmark_objects::client::{Finished, Removed, Store};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration as Std, Instant};

/// What the real server answered.
fn recorded(name: &str) -> Answer {
    let exchange: Value =
        serde_json::from_slice(&recording(&format!("minio-2026-02-12/{name}.json"))).unwrap();
    let response = &exchange["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let answer = Answer::new(status, "application/xml", response["text"].as_str().unwrap());
    let own = response["headers"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("x-minio"));
    own.fold(answer, |answer, (name, value)| answer.header(name, value.as_str().unwrap()))
}

fn xml(status: u16, body: &str) -> Answer {
    Answer::new(status, "application/xml", body)
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    xml(status, &format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

fn page() -> Answer {
    xml(200, "<ListBucketResult><Name>lab</Name><Prefix/><IsTruncated>false</IsTruncated></ListBucketResult>")
}

/// A store with nothing in it, which takes an upload of one part.
fn healthy() -> Server {
    let begun =
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>".to_owned();
    Server::start()
        .on("/lab", page())
        .on("/lab/k", recorded("s3_head_missing"))
        .on("/lab/k?uploads=", xml(200, &begun))
        .on("/lab/k?partNumber=1&uploadId=u1", xml(200, "").header("etag", "\"no md5\""))
}

fn at(server: &Server) -> Cx {
    store::store(store::bucket(&server.url(), "lab", (ACCESS, SECRET)))
}

fn asked(server: &Server, begins: &str) -> usize {
    let line = |seen: &fixtures::Seen| format!("{} {}", seen.method, seen.target);
    server.seen().iter().filter(|seen| line(seen).starts_with(begins)).count()
}

/// Writes five bytes; `meanwhile` is done before they are finished.
async fn upload(cx: &Cx, meanwhile: impl FnOnce()) -> Result<Finished, ClientError> {
    let store = open(cx).await;
    let mut upload = store.begin("k", &leave()).await?;
    upload.write(b"12345").await?;
    meanwhile();
    upload.finish().await
}

fn says(error: &ClientError, transient: bool, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.is_transient(), transient, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
    assert!(!text.contains(SECRET) && !text.contains(ACCESS), "{text}");
}

#[tokio::test]
async fn a_login_that_may_only_read_is_told_so_once() {
    let denied = recorded("s3_key_reader__mpu_create");
    let server = healthy().on("/lab/k?uploads=", denied.clone());
    says(&upload(&at(&server), || ()).await.unwrap_err(), false, &["AccessDenied", "may not do this"]);
    assert_eq!(asked(&server, "POST"), 1, "a refusal is not asked for again");
    server.set("/lab/k", denied);
    let cx = at(&server);
    let error = open(&cx).await.create("k", Bytes::from("1"), &leave()).await.unwrap_err();
    says(&error, false, &["AccessDenied"]);
    assert_eq!(asked(&server, "PUT"), 1);
}

#[tokio::test]
async fn a_full_store_is_said_and_not_filled_further() {
    for name in ["full_mpu_part_refused", "full_put_10MiB_refused"] {
        let server = healthy().on("/lab/k?partNumber=1&uploadId=u1", recorded(name));
        says(&upload(&at(&server), || ()).await.unwrap_err(), true, &["is the store full"]);
        assert_eq!(
            (asked(&server, "PUT"), asked(&server, "POST")),
            (1, 1),
            "{name}: nothing was put together"
        );
    }
}

#[tokio::test]
async fn what_says_200_and_is_no_success_is_an_error() {
    let html = Answer::new(200, "text/html", "<!doctype html><title>Sign in</title>");
    let late = refusal(200, "InvalidPart", "One or more of the parts could not be found");
    let server = healthy().on("/lab/k?uploadId=u1", late);
    says(&upload(&at(&server), || ()).await.unwrap_err(), false, &["InvalidPart"]);
    for (path, words) in [("/lab/k?uploads=", "cannot be used"), ("/lab/k?uploadId=u1", "cannot be used")] {
        let server = healthy().on(path, html.clone());
        says(&upload(&at(&server), || ()).await.unwrap_err(), false, &[words]);
    }
    let server = healthy().on("/lab/k?partNumber=1&uploadId=u1", html.clone());
    says(&upload(&at(&server), || ()).await.unwrap_err(), false, &["cannot be used"]);
    let server = healthy().on("/lab/k", html);
    let cx = at(&server);
    assert!(open(&cx).await.create("k", Bytes::from("1"), &leave()).await.is_err());
}

#[tokio::test]
async fn what_stands_there_decides_after_an_upload() {
    let done =
        xml(200, "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>");
    let gone = refusal(404, "NoSuchUpload", "The specified multipart upload does not exist.");
    let taken = refusal(412, "PreconditionFailed", "");
    let there = |body: &str, etag: &str| xml(200, body).header("etag", &format!("\"{etag}\""));
    let missing = || recorded("s3_head_missing");
    // The answer to the end, what stands there then, and whether that is the object.
    let cases = [
        (done.clone(), there("12345", "x-1"), true, ""),
        (done.clone(), there("1234", "x-1"), false, "shows 4 bytes"),
        (done, missing(), false, "shows nothing"),
        (gone.clone(), there("12345", "x-1"), true, ""),
        (gone.clone(), there("12345", "x-2"), false, "NoSuchUpload"),
        (gone.clone(), there("54321!", "x-1"), false, "NoSuchUpload"),
        (gone, missing(), false, "NoSuchUpload"),
        // Of the same length, and someone else's.
        (taken.clone(), there("54321", "x-1"), false, "PreconditionFailed"),
        (taken, missing(), false, "PreconditionFailed"),
    ];
    for (number, (end, stands, fits, words)) in cases.into_iter().enumerate() {
        let server = healthy().on("/lab/k?uploadId=u1", end);
        let finished = upload(&at(&server), || server.set("/lab/k", stands)).await;
        assert_eq!(finished.is_ok(), fits, "{number}: {finished:?}");
        assert!(finished.err().is_none_or(|error| error.to_string().contains(words)), "{number}");
        let seen = server.seen();
        let end = seen.iter().find(|one| one.target == "/lab/k?uploadId=u1").unwrap();
        assert_eq!(end.headers.get("if-none-match").map(String::as_str), Some("*"), "only under a new name");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_object_where_404_says_nothing() {
    let server = healthy().on("/lab/k", xml(404, ""));
    let cx = at(&server);
    let store = open(&cx).await;
    assert_eq!(store.head("k").await.unwrap(), None);
    server.set("/lab", refusal(404, "NoSuchBucket", "The specified bucket does not exist"));
    says(&store.head("k").await.unwrap_err(), false, &["NoSuchBucket"]);
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_and_a_silent_one_not_for_ever() {
    let server = healthy().on("/lab/k", refusal(503, "SlowDown", "Please reduce your request rate."));
    let cx = at(&server);
    let store = open(&cx).await;
    let (head, ()) = tokio::join!(store.head("k"), async {
        while asked(&server, "HEAD") < 3 {
            tokio::task::yield_now().await;
        }
        server.set("/lab/k", recorded("s3_head_missing"));
    });
    assert_eq!(head.unwrap(), None);
    server.set("/lab/k", page().after(Std::from_secs(60)));
    let mut cx = at(&server);
    cx.timeout = Duration::secs(2);
    let store = open(&cx).await;
    let begun = Instant::now();
    says(&store.get("k", 1).await.unwrap_err(), true, &["there was none"]);
    assert!(begun.elapsed() < Std::from_secs(10), "{:?}", begun.elapsed());
    says(&store.head("k").await.unwrap_err(), true, &[]);
}

#[tokio::test]
async fn a_lock_is_told_from_a_login_that_may_not_delete() {
    let amazon = refusal(403, "AccessDenied", "Access Denied because object protected by object lock.");
    let cases = [
        (recorded("s3_lock_delete_version_governance"), Some(true)),
        (amazon, Some(true)),
        (refusal(403, "AccessDenied", "Access Denied."), None),
        (refusal(400, "InvalidRequest", "A header is wrong"), None),
        (xml(204, ""), Some(false)),
    ];
    for (answer, locked) in cases {
        let server = healthy().on("/lab/k?versionId=v1", answer);
        let cx = at(&server);
        let removed = open(&cx).await.delete_version("k", "v1", &leave()).await;
        let seen = removed.as_ref().ok().map(|removed| matches!(removed, Removed::Locked(_)));
        assert_eq!(seen, locked, "{removed:?}");
        assert_eq!(asked(&server, "DELETE"), 1);
    }
}

#[tokio::test]
async fn what_is_no_list_of_these_versions_is_an_error() {
    let list = |name: &str, rest: &str| {
        xml(
            200,
            &format!("<ListVersionsResult><Name>{name}</Name><Prefix>a/</Prefix>{rest}</ListVersionsResult>"),
        )
    };
    let entry = |key: &str, time: &str| {
        format!(
            "<IsTruncated>false</IsTruncated><Version><Key>{key}</Key><LastModified>{time}</LastModified><IsLatest>true</IsLatest><VersionId>v</VersionId><Size>1</Size></Version>"
        )
    };
    let more = "<IsTruncated>true</IsTruncated>";
    let now = "2026-11-21T11:01:02.181Z";
    let cases = [
        (page(), "`ListBucketResult`"),
        (Answer::new(200, "text/html", "<html/>"), "`html`"),
        (list("other", "<IsTruncated>false</IsTruncated>"), "another bucket"),
        (list("lab", more), "not how to go on"),
        (list("lab", &format!("{more}<NextKeyMarker>a/1</NextKeyMarker>")), "no end"),
        (list("lab", &entry("b/1", now)), "does not belong"),
        (list("lab", &entry("a/1", "yesterday")), "no time"),
        (recorded("s3_ver_list_versions"), "another bucket, `lab-v`"),
    ];
    for (answer, words) in cases {
        let server = healthy();
        let cx = at(&server);
        let store = open(&cx).await;
        server.set("/lab", answer);
        says(&store.versions("a/").await.unwrap_err(), false, &[words]);
    }
    let server = Server::start().on("/lab-v", page());
    let cx = store::store(store::bucket(&server.url(), "lab-v", (ACCESS, SECRET)));
    server.set(
        "/lab-v",
        xml(200, "<ListBucketResult><Name>lab-v</Name><IsTruncated>false</IsTruncated></ListBucketResult>"),
    );
    let store = open(&cx).await;
    server.set("/lab-v", recorded("s3_ver_list_versions"));
    let seen = store.versions("").await.unwrap();
    assert_eq!(
        seen.iter().map(|one| (one.marker, one.latest)).collect::<Vec<_>>(),
        [(true, true), (false, false), (false, false)]
    );
}

fn folder(path: &Path) -> Cx {
    let url = Some(format!("file://{}", path.display()));
    store::store(Connection { name: "store".into(), url, ..Connection::default() })
}

#[tokio::test]
async fn a_folder_keeps_objects_as_a_bucket_does() {
    for test in 0..3 {
        let place = tempfile::tempdir().unwrap();
        let cx = folder(place.path());
        match test {
            0 => round_trips(&cx).await,
            1 => creates_once(&cx).await,
            _ => one_of_many_wins(&cx).await,
        }
        let hidden = walk(place.path()).into_iter().filter(|name| name.contains("partial"));
        assert_eq!(hidden.count(), 0, "{test}");
    }
}

/// Every file below a folder, by its name.
fn walk(path: &Path) -> Vec<String> {
    let mut out = vec![];
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(walk(&path));
        } else {
            out.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    out
}

#[tokio::test]
async fn an_abandoned_upload_into_a_folder_is_aborted_by_its_id_and_by_its_key() {
    let place = tempfile::tempdir().unwrap();
    let left = async |key: &str| {
        let begins = format!(".{}.partial-", key.rsplit('/').next().unwrap());
        walk(place.path()).into_iter().filter(|name| name.starts_with(&begins)).count()
    };
    abandoned(&folder(place.path()), left).await;
    let cx = folder(place.path());
    let store = open(&cx).await;
    fs::write(place.path().join("precious"), "x").unwrap();
    for id in ["", "../../precious", "0123456789abcde/", "precious"] {
        assert!(store.abort("a/b.dump", Some(id), &leave()).await.is_err(), "{id}");
    }
    assert_eq!(names(&cx).await, ["precious"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_made() {
    let place = tempfile::tempdir().unwrap();
    let cx = folder(&place.path().join("not mounted"));
    let error = Store::open(cx.wire("store").unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("No such file") || error.to_string().contains("not found"), "{error}");
    fs::write(place.path().join("file"), "x").unwrap();
    let cx = folder(&place.path().join("file"));
    assert!(Store::open(cx.wire("store").unwrap()).await.is_err());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("b.dump");
    for length in [1 << 20, 3 << 20] {
        fs::write(&path, vec![1; 2 << 20]).unwrap();
        let cx = folder(place.path());
        let store = open(&cx).await;
        let (_, mut stream) = store.read("b.dump").await.unwrap().unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let mut last = None;
        while let Some(item) = futures_util::StreamExt::next(&mut stream).await {
            last = Some(item);
        }
        assert!(last.unwrap().unwrap_err().to_string().contains("announced"), "{length}");
    }
    let other = folder(place.path());
    assert!(read(&open(&other).await, "b.dump").await.unwrap().len() == 3 << 20);
}
