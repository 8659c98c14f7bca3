//! What every store has to do with whole objects, whether it is a bucket or a folder.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use bytes::Bytes;
use futures_util::StreamExt;
use proofmark_engine::Cx;
use proofmark_evidence::undo::LabPermit;
use proofmark_net::ClientError;
use proofmark_objects::client::{self as objects, Created, Store};
use sha2::{Digest, Sha256};

/// So many bytes that no two parts of them are equal.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 32);
    let mut sum = Sha256::digest(b"proofmark");
    while out.len() < length {
        out.extend_from_slice(&sum);
        sum = Sha256::digest(sum);
    }
    out.truncate(length);
    out
}

pub fn leave() -> LabPermit {
    LabPermit::of_the_lab()
}

pub async fn open(cx: &Cx) -> Store<'_> {
    Store::open(cx.wire("store").unwrap()).await.unwrap()
}

/// An object's announced size and its bytes, or the error at their end.
pub async fn read(store: &Store<'_>, key: &str) -> Result<Vec<u8>, ClientError> {
    let (size, mut stream) = store.read(key).await?.unwrap();
    let mut all = vec![];
    while let Some(more) = stream.next().await {
        all.extend_from_slice(&more?);
    }
    assert_eq!(size, all.len() as u64);
    Ok(all)
}

/// The names that a list of the store shows.
pub async fn names(cx: &Cx) -> Vec<String> {
    let listing = objects::list(cx.wire("store").unwrap(), "").await.unwrap();
    listing.objects.into_iter().map(|object| object.key).collect()
}

/// Writes an object in pieces of odd sizes.
pub async fn upload(store: &Store<'_>, key: &str, all: &[u8]) {
    let mut upload = store.begin(key, &leave()).await.unwrap();
    for piece in all.chunks(1_234_567) {
        upload.write(piece).await.unwrap();
    }
    assert_eq!(upload.bytes(), all.len() as u64);
    let finished = upload.finish().await.unwrap();
    assert_eq!(finished.bytes, all.len() as u64);
}

pub async fn round_trips(cx: &Cx) {
    let store = open(cx).await;
    assert_eq!(store.head("d/none").await.unwrap(), None);
    assert_eq!(store.get("d/none", 10).await.unwrap(), None);
    assert!(store.read("d/none").await.unwrap().is_none());
    assert_eq!(store.create("d/empty", Bytes::new(), &leave()).await.unwrap(), Created::Now);
    assert_eq!(store.get("d/empty", 0).await.unwrap(), Some(vec![]));
    for (key, length) in [("d/one", 1), ("d/large ü+%20.dump", 20 << 20), ("part", 8 << 20)] {
        let all = bytes(length);
        upload(&store, key, &all).await;
        assert_eq!(store.head(key).await.unwrap().unwrap().size, length as u64);
        assert!(read(&store, key).await.unwrap() == all, "{key}");
    }
    let error = store.get("d/large ü+%20.dump", 1000).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 1000, .. }), "{error}");
    let nothing = store.begin("d/nothing", &leave()).await.unwrap();
    let id = nothing.id.clone();
    let error = nothing.finish().await.unwrap_err();
    assert!(error.to_string().contains("0 bytes"), "{error}");
    store.abort("d/nothing", Some(&id), &leave()).await.unwrap();
    let mut wanted = ["d/empty", "d/large ü+%20.dump", "d/one", "part"];
    assert_eq!(names(cx).await, wanted);
    wanted.sort_unstable();
    for key in wanted {
        store.delete(key, &leave()).await.unwrap();
        store.delete(key, &leave()).await.unwrap();
    }
    assert!(names(cx).await.is_empty());
    for key in ["", "/a", "a/../b", "a//b"] {
        assert!(store.delete(key, &leave()).await.is_err(), "{key}");
        assert!(store.begin(key, &leave()).await.is_err(), "{key}");
    }
}

pub async fn creates_once(cx: &Cx) {
    let store = open(cx).await;
    let ours = Bytes::from("{\"run\": 1}");
    assert_eq!(store.create("m/manifest", ours.clone(), &leave()).await.unwrap(), Created::Now);
    assert_eq!(store.create("m/manifest", ours.clone(), &leave()).await.unwrap(), Created::AlreadyOurs);
    let other = store.create("m/manifest", Bytes::from("{\"run\": 2}"), &leave()).await.unwrap();
    assert_eq!(other, Created::TakenBy(ours.to_vec()));
    let error = store.begin("m/manifest", &leave()).await.unwrap_err();
    assert!(error.to_string().contains("there is an object"), "{error}");
    // Someone is faster between the beginning and the end.
    let mut late = store.begin("m/late", &leave()).await.unwrap();
    late.write(b"second").await.unwrap();
    let id = late.id.clone();
    assert_eq!(store.create("m/late", Bytes::from("first!"), &leave()).await.unwrap(), Created::Now);
    let error = late.finish().await.unwrap_err().to_string();
    assert!(error.contains("PreconditionFailed") || error.contains("exists"), "{error}");
    store.abort("m/late", Some(&id), &leave()).await.unwrap();
    assert_eq!(store.get("m/late", 10).await.unwrap().unwrap(), b"first!");
    assert_eq!(names(cx).await, ["m/late", "m/manifest"]);
}

pub async fn one_of_many_wins(cx: &Cx) {
    let store = open(cx).await;
    let leave = leave();
    let all = (0..16).map(|n| store.create("race/manifest", Bytes::from(format!("{n}")), &leave));
    let all = futures_util::future::join_all(all).await;
    let there = store.get("race/manifest", 10).await.unwrap().unwrap();
    let won = all.iter().filter(|one| matches!(one, Ok(Created::Now))).count();
    let lost = all.iter().filter(|one| matches!(one, Ok(Created::TakenBy(other)) if *other == there)).count();
    assert_eq!((won, lost), (1, 15), "{all:?}");
    assert_eq!(names(cx).await, ["race/manifest"]);
}

/// Abandons uploads and aborts them; `left` says what of them is in the store, by the key's whole name.
pub async fn abandoned(cx: &Cx, left: impl AsyncFn(&str) -> usize) {
    let store = open(cx).await;
    let mut ids = vec![];
    for key in ["a/b.dump", "a/b.dump", "a/b.dump", "a/b.dump2"] {
        let mut upload = store.begin(key, &leave()).await.unwrap();
        upload.write(&bytes(9 << 20)).await.unwrap();
        ids.push(upload.id.clone());
    }
    assert!(names(cx).await.is_empty(), "what is unfinished is no object");
    assert_eq!((left("a/b.dump").await, left("a/b.dump2").await), (3, 1));
    for _ in 0..2 {
        store.abort("a/b.dump", Some(&ids[0]), &leave()).await.unwrap();
        assert_eq!((left("a/b.dump").await, left("a/b.dump2").await), (2, 1));
    }
    for _ in 0..2 {
        store.abort("a/b.dump", None, &leave()).await.unwrap();
        assert_eq!((left("a/b.dump").await, left("a/b.dump2").await), (0, 1));
    }
    store.abort("a/b.dump2", None, &leave()).await.unwrap();
    assert_eq!(left("a/b.dump2").await, 0);
    store.abort("never/begun", None, &leave()).await.unwrap();
}
