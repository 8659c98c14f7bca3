//! A real MinIO on a drive that is a folder, on top of the lab's: one that tests share, or one of a test's own.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::lasting::{guard, lasting};
use crate::ground::store::{ACCESS, SECRET};
use proofmark_lab as lab;
use std::pin::Pin;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The login of its owner: the secret has signs that have to be encoded.
pub const LOGIN: (&str, &str) = (ACCESS, SECRET);

/// A test that asks the MinIO which all of them share; it has buckets of its own.
pub type Test = fn(&'static Minio) -> Pin<Box<dyn Future<Output = ()>>>;

/// Why a test that needs one is ignored here, if it is.
pub fn missing() -> Option<String> {
    let reason = "ignored: no MinIO here, see `make setup`: it takes Go to build one";
    (!lab::Minio::installed()).then(|| reason.to_owned())
}

/// The one that is shared. It is started when the first test asks for it.
pub fn shared() -> &'static Minio {
    static SHARED: OnceLock<Minio> = OnceLock::new();
    SHARED.get_or_init(|| {
        lasting(async || {
            let started = Minio::start().await;
            guard(started.folder.path());
            started
        })
    })
}

/// A running MinIO. Ended when dropped.
#[derive(Debug)]
pub struct Minio {
    /// Where it listens: `http://127.0.0.1:9000`.
    pub url: String,
    running: lab::Minio,
    folder: TempDir,
}

impl Minio {
    /// Starts one and waits until it takes requests.
    pub async fn start() -> Self {
        Self::with(LOGIN).await
    }

    /// The same with another login of its owner.
    pub async fn with(login: (&str, &str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = lab::Minio::start(folder.path(), login).await.unwrap();
        Self { url: running.url.clone(), running, folder }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again where it was, on the same drive, and does not wait.
    pub fn again(&mut self) {
        self.running.again().unwrap();
    }

    /// Does its own health page say that all is well?
    pub async fn healthy(&self) -> bool {
        self.running.healthy().await
    }

    /// Sends a request of its owner; `target` is a path with its query.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) {
        self.running.send(method, target, headers, body.as_bytes()).await.unwrap();
    }

    /// What it answers its owner.
    pub async fn ask(&self, target: &str) -> String {
        self.running.send("GET", target, &[], b"").await.unwrap()
    }

    /// Puts an object; `target` is its path.
    pub async fn put(&self, target: &str, body: &str) {
        self.send("PUT", target, &[], body).await;
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        self.running.stop().await;
    }
}
