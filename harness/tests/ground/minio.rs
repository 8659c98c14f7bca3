//! A real MinIO on a drive that is a folder: started on a free port of 127.0.0.1, ended when dropped. `make setup` builds
//! the program into a cache outside the checkout, where Go can be had.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time and reads its surroundings")]

use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use proofmark::clients::Log;
use proofmark::clients::http::{Call, Changing, Wire, change, fetch};
use proofmark::clock::Clock;
use proofmark::environment::Systems;
use proofmark::lab::Process;
use proofmark::undo::Throwaway;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// Where `make setup` puts the program, if it is there.
pub fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("proofmark-tests/bin/minio")).filter(|path| path.is_file())
}

/// A running MinIO.
#[derive(Debug)]
pub struct Minio {
    /// Where it listens: `http://127.0.0.1:9000`.
    pub url: String,
    process: Option<Process>,
    login: (&'static str, &'static str),
    systems: Systems,
    clock: Clock,
    log: Log,
    _folder: TempDir,
}

impl Minio {
    /// Starts one with this login and waits until it takes requests.
    pub async fn start(program: &std::path::Path, login: (&'static str, &'static str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let args = [
            format!("MINIO_ROOT_USER={}", login.0),
            format!("MINIO_ROOT_PASSWORD={}", login.1),
            "MINIO_BROWSER=off".to_owned(),
            "MINIO_UPDATE=off".to_owned(),
            format!("HOME={}", folder.path().display()),
            program.display().to_string(),
            "server".to_owned(),
            "--quiet".to_owned(),
            format!("--address={address}"),
            folder.path().join("drive").display().to_string(),
        ];
        // `env` becomes it: the login stands in no command line that lasts.
        let process = Some(Process::start("env", &args).unwrap());
        let url = format!("http://{address}");
        let (clock, log, systems) = (Clock::real(), Log::default(), Systems::default());
        let started = Self { url, process, login, systems, clock, log, _folder: folder };
        let begun = Instant::now();
        while !started.healthy().await {
            assert!(begun.elapsed() < READY, "MinIO is not ready");
            tokio::task::yield_now().await;
        }
        started
    }

    /// Does its own health page say that all is well?
    pub async fn healthy(&self) -> bool {
        let call = Call::get(format!("{}/minio/health/cluster", self.url));
        fetch(self.wire(), &call).await.is_ok_and(|answer| answer.status == 200)
    }

    /// Sends a request of its owner; `target` is a path with its query.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) {
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
        let url = format!("{}{target}", self.url);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = url.parse().unwrap();
        for (name, value) in headers {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (key_id, secret_key) = (self.login.0.to_owned(), self.login.1.to_owned());
        let credential = AwsCredential { key_id, secret_key, token: None };
        AwsAuthorizer::new(&credential, "s3", "us-east-1").try_authorize(&mut request, None).unwrap();
        let mut call = Call::change(Changing::named(method).unwrap(), url);
        call.body = Some(body.to_owned());
        for (name, value) in request.headers() {
            call.headers.insert(name.to_string(), value.to_str().unwrap().to_owned());
        }
        let answer = change(self.wire(), &call, &Throwaway::of_the_lab()).await.unwrap();
        assert!(answer.is_success(), "{method} {target}: {} {}", answer.status, answer.excerpt());
    }

    /// Puts an object; `target` is its path.
    pub async fn put(&self, target: &str, body: &str) {
        self.send("PUT", target, &[], body).await;
    }

    fn wire(&self) -> Wire<'_> {
        let timeout = Duration::from_secs(20);
        Wire { clock: &self.clock, systems: &self.systems, log: &self.log, connection: None, timeout }
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
    }
}
