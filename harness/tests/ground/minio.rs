//! A real MinIO on a drive that is a folder, on top of the lab's, and how tests are played that share one.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use libtest_mimic::{Arguments, Trial};
use proofmark::lab;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Why a test is ignored where there is none.
pub const MISSING: &str = "ignored: no MinIO here, see `make setup`: it takes Go to build one";

/// A test that asks a MinIO.
pub type Test = fn(Arc<Minio>) -> Pin<Box<dyn Future<Output = ()>>>;

/// Plays tests that share one MinIO with this login; where it was not built, they are ignored and say why.
pub fn play(tests: impl IntoIterator<Item = (&'static str, Test)>, login: (&str, &str)) -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().unwrap());
    // One for all of them, and no longer than this thread lives: the kernel ends it with us.
    let wanted = lab::Minio::installed() && !arguments.list;
    let server = wanted.then(|| Arc::new(runtime.block_on(Minio::start(login))));
    let trials = tests.into_iter().map(|(name, test)| {
        let (server, runtime) = (server.clone(), runtime.clone());
        trial(name, move || runtime.block_on(test(server.unwrap())))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test that needs a MinIO of its own.
pub fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let trial = Trial::test(name, move || {
        test();
        Ok(())
    });
    if lab::Minio::installed() { trial } else { trial.with_kind(MISSING).with_ignored_flag(true) }
}

/// A running MinIO. Ended when dropped.
#[derive(Debug)]
pub struct Minio {
    /// Where it listens: `http://127.0.0.1:9000`.
    pub url: String,
    running: lab::Minio,
    _folder: TempDir,
}

impl Minio {
    /// Starts one with this login and waits until it takes requests.
    pub async fn start(login: (&str, &str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = lab::Minio::start(folder.path(), login).await.unwrap();
        Self { url: running.url.clone(), running, _folder: folder }
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
