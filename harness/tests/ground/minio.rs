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
use std::collections::BTreeMap;
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
    program: String,
    process: Option<Process>,
    login: (&'static str, &'static str),
    systems: Systems,
    clock: Clock,
    log: Log,
    folder: TempDir,
}

impl Minio {
    /// Starts one with this login and waits until it takes requests.
    pub async fn start(program: &std::path::Path, login: (&'static str, &'static str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let (url, program, process) = (format!("http://{address}"), program.display().to_string(), None);
        let (clock, log, systems) = (Clock::real(), Log::default(), Systems::default());
        let mut started = Self { url, program, process, login, systems, clock, log, folder };
        started.begin();
        started.ready().await;
        started
    }

    fn begin(&mut self) {
        let folder = self.folder.path().display();
        let args = [
            format!("MINIO_ROOT_USER={}", self.login.0),
            format!("MINIO_ROOT_PASSWORD={}", self.login.1),
            "MINIO_BROWSER=off".to_owned(),
            "MINIO_UPDATE=off".to_owned(),
            format!("HOME={folder}"),
            self.program.clone(),
            "server".to_owned(),
            "--quiet".to_owned(),
            format!("--address={}", self.url.trim_start_matches("http://")),
            format!("{folder}/drive"),
        ];
        // `env` becomes it: the login stands in no command line that lasts.
        self.process = Some(Process::start("env", &args).unwrap());
    }

    async fn ready(&self) {
        let begun = Instant::now();
        while !self.healthy().await {
            assert!(begun.elapsed() < READY, "MinIO is not ready");
            tokio::task::yield_now().await;
        }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Starts it again where it was, on the same drive, and does not wait.
    pub fn again(&mut self) {
        self.begin();
    }

    /// Does its own health page say that all is well?
    pub async fn healthy(&self) -> bool {
        let call = Call::get(format!("{}/minio/health/cluster", self.url));
        fetch(self.wire(), &call).await.is_ok_and(|answer| answer.status == 200)
    }

    /// Sends a request of its owner; `target` is a path with its query.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) {
        let signed = self.signed(method, target, headers, body);
        let mut call = Call::change(Changing::named(method).unwrap(), format!("{}{target}", self.url));
        (call.body, call.headers) = (Some(body.to_owned()), signed);
        let answer = change(self.wire(), &call, &Throwaway::of_the_lab()).await.unwrap();
        assert!(answer.is_success(), "{method} {target}: {} {}", answer.status, answer.excerpt());
    }

    /// What it answers its owner.
    pub async fn ask(&self, target: &str) -> String {
        let mut call = Call::get(format!("{}{target}", self.url));
        call.headers = self.signed("GET", target, &[], "");
        let answer = fetch(self.wire(), &call).await.unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    fn signed(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> BTreeMap<String, String> {
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = format!("{}{target}", self.url).parse().unwrap();
        for (name, value) in headers {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (key_id, secret_key) = (self.login.0.to_owned(), self.login.1.to_owned());
        let credential = AwsCredential { key_id, secret_key, token: None };
        AwsAuthorizer::new(&credential, "s3", "us-east-1").try_authorize(&mut request, None).unwrap();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
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
