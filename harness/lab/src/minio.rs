//! MinIO as a throwaway process on a drive that is a folder: buckets, logins that may more or less, objects of any age.
//! `make setup` builds the program into a cache outside the checkout, where Go can be had.

use super::process::free_address;
use super::sealed::sealed;
use super::{FileSpec, LabError, Process};
use nix::sys::signal::Signal;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use proofmark_model::clock::Clock;
use proofmark_net::http::HttpClients;
use proofmark_net::tls;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// How it is called where it is missed.
pub(super) const PACKAGE: &str = "MinIO (it takes Go to build one)";

const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How long one request may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// How often it is looked whether it is ready.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// The policies of logins that may do less. MinIO's own `readonly` may not list.
const POLICIES: [(&str, &[&str]); 2] = [
    (READER, &["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject"]),
    (
        KEEPER,
        &[
            "s3:ListBucket",
            "s3:GetBucketLocation",
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListBucketMultipartUploads",
        ],
    ),
];
const READER: &str = "proofmark-reader";
const KEEPER: &str = "proofmark-keeper";

/// When an object is to have been written.
const WRITTEN: &str = "x-minio-source-mtime";

/// The MinIO of a world.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MinioSpec {
    /// Logins by name, and what each may do.
    pub logins: BTreeMap<String, Right>,
    /// Stores in it; each becomes a connection of its name. Their buckets are made.
    pub stores: BTreeMap<String, BucketSpec>,
    /// Objects by `bucket/key`.
    #[serde(default)]
    pub objects: BTreeMap<String, FileSpec>,
}

/// A store in a MinIO.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketSpec {
    /// `bucket`, or `bucket/prefix`.
    pub at: String,
    /// With which login.
    pub login: String,
}

/// One way to break a MinIO.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MinioBreak {
    /// A login may do something else.
    Login {
        /// The login.
        name: String,
        /// What it may do now.
        may: Right,
    },
    /// A bucket is gone, with all that was in it.
    NoBucket(String),
    /// An object is another, or gone.
    Object {
        /// `bucket/key`.
        path: String,
        /// What it is now; nothing removes it.
        becomes: Option<FileSpec>,
    },
    /// There are so many objects more.
    Objects {
        /// `bucket/key`, in which `{n}` is the number of each: `00`, `01`, ….
        path: String,
        /// How many.
        count: usize,
        /// What each of them is.
        each: FileSpec,
    },
    /// What is stored is not what stays: of each archive so many bytes are left once its manifest was written.
    CutsShort {
        /// The bucket.
        bucket: String,
        /// How many bytes are left.
        after: usize,
    },
}

/// What a login may do in every bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Everything.
    Write,
    /// List, read and write; nothing may be deleted.
    Keep,
    /// List and read.
    Read,
    /// It was disabled, and the server says that it does not know it.
    None,
}

/// A running MinIO. Dropping it ends it at once.
#[derive(Debug)]
pub struct Minio {
    /// Where it listens: `http://127.0.0.1:9000`.
    pub url: String,
    process: Option<Process>,
    owner: Owner,
    clock: Clock,
    folder: PathBuf,
}

/// Asks a MinIO as its owner.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    url: String,
    key: Arc<AwsCredential>,
}

impl Minio {
    /// Is there one on this machine?
    pub fn installed() -> bool {
        program().is_some()
    }

    /// Starts one below `folder`, with the owner's access key and secret key, and waits until it takes requests.
    ///
    /// # Errors
    /// Where it was not built, or is not ready within a minute.
    pub async fn start(folder: &Path, (access, secret): (&str, &str)) -> Result<Self, LabError> {
        let key = AwsCredential { key_id: access.to_owned(), secret_key: secret.to_owned(), token: None };
        let (url, folder) = (format!("http://{}", free_address()?), folder.to_path_buf());
        let owner = Owner { url: url.clone(), key: Arc::new(key) };
        let mut started = Self { url, process: None, owner, clock: Clock::real(), folder };
        started.again()?;
        let deadline = started.clock.elapsed() + STARTS_WITHIN;
        while !started.healthy().await {
            if started.clock.elapsed() > deadline {
                let (program, seconds) = ("minio".to_owned(), STARTS_WITHIN.as_secs());
                return Err(LabError::Late { program, seconds, said: String::new() });
            }
            started.clock.sleep(LOOKS_EVERY).await;
        }
        Ok(started)
    }

    /// Starts it where it was, on the same drive, and does not wait.
    ///
    /// # Errors
    /// Where it was not built.
    pub fn again(&mut self) -> Result<(), LabError> {
        let program = program().ok_or_else(|| LabError::Missing("minio".to_owned()))?;
        // The login stands in no command line.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(["server", "--quiet", "--address", self.owner.authority()])
            .arg(self.folder.join("drive"))
            .env("HOME", &self.folder)
            .env("MINIO_ROOT_USER", &self.owner.key.key_id)
            .env("MINIO_ROOT_PASSWORD", &self.owner.key.secret_key)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        self.process = Some(Process::start_command("minio", command, Signal::SIGKILL)?);
        Ok(())
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Does its own health page say that all is well?
    pub async fn healthy(&self) -> bool {
        let url = format!("{}/minio/health/cluster", self.url);
        let Ok(client) = client() else { return false };
        let answer = client.get(url).timeout(ANSWERS_WITHIN).send().await;
        answer.is_ok_and(|answer| answer.status().as_u16() == 200)
    }

    /// Sends a request of its owner, and gives back what was answered; `target` is a path with its query.
    ///
    /// # Errors
    /// Where it does not answer, or refuses.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String, LabError> {
        let answer = self.owner.send(method, target, headers, body).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Asks it as its owner.
    pub(super) fn owner(&self) -> Owner {
        self.owner.clone()
    }

    /// Makes what the description names. Gives back the secret keys by login.
    pub(super) async fn furnish(&self, spec: &MinioSpec) -> Result<BTreeMap<String, String>, LabError> {
        for (name, actions) in POLICIES {
            let policy = json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Resource": ["arn:aws:s3:::*"], "Action": actions }] });
            let target = format!("/minio/admin/v3/add-canned-policy?name={name}");
            self.send("PUT", &target, &[], policy.to_string().as_bytes()).await?;
        }
        let mut secrets = BTreeMap::new();
        for (name, right) in &spec.logins {
            let secret = hex::encode(rand::random::<[u8; 16]>());
            let account = json!({ "secretKey": secret, "status": "enabled" }).to_string();
            let account = sealed(&self.owner.key.secret_key, account.as_bytes())?;
            self.send("PUT", &format!("/minio/admin/v3/add-user?accessKey={name}"), &[], &account).await?;
            self.allow(name, *right).await?;
            secrets.insert(name.clone(), secret);
        }
        let of_stores = spec.stores.values().map(|store| bucket(&store.at));
        let buckets: BTreeSet<&str> = of_stores.chain(spec.objects.keys().map(|path| bucket(path))).collect();
        for name in buckets {
            self.send("PUT", &format!("/{name}"), &[], b"").await?;
        }
        for (path, file) in &spec.objects {
            self.put(path, file).await?;
        }
        Ok(secrets)
    }

    /// Breaks it.
    pub(super) async fn suffer(&self, one: &MinioBreak) -> Result<(), LabError> {
        match one {
            MinioBreak::Login { name, may } => self.allow(name, *may).await,
            MinioBreak::NoBucket(name) => {
                let headers = [("x-minio-force-delete", "true")];
                self.send("DELETE", &format!("/{name}"), &headers, b"").await.map(drop)
            }
            MinioBreak::Object { path, becomes: Some(file) } => self.put(path, file).await,
            MinioBreak::Object { path, becomes: None } => {
                self.send("DELETE", &format!("/{path}"), &[], b"").await.map(drop)
            }
            MinioBreak::Objects { path, count, each } => {
                for number in 0..*count {
                    self.put(&path.replace("{n}", &format!("{number:02}")), each).await?;
                }
                Ok(())
            }
            MinioBreak::CutsShort { .. } => Err(LabError::Wrong("a world puts this before its MinIO".into())),
        }
    }

    /// Lets a login do this, and no more.
    async fn allow(&self, login: &str, right: Right) -> Result<(), LabError> {
        let policy = match right {
            Right::Write | Right::None => "readwrite",
            Right::Keep => KEEPER,
            Right::Read => READER,
        };
        let admin = "/minio/admin/v3";
        let status = |is: &str| format!("{admin}/set-user-status?accessKey={login}&status={is}");
        // One that is disabled is not found.
        self.send("PUT", &status("enabled"), &[], b"").await?;
        let policy =
            format!("{admin}/set-user-or-group-policy?isGroup=false&policyName={policy}&userOrGroup={login}");
        self.send("PUT", &policy, &[], b"").await?;
        match right {
            Right::None => self.send("PUT", &status("disabled"), &[], b"").await.map(drop),
            _ => Ok(()),
        }
    }

    /// Puts an object at `bucket/key`, as old as it is to be.
    async fn put(&self, path: &str, file: &FileSpec) -> Result<(), LabError> {
        let written = file.written(&self.clock).map(|at| at.to_string());
        let headers: Vec<(&str, &str)> = written.iter().map(|at| (WRITTEN, at.as_str())).collect();
        self.send("PUT", &format!("/{path}"), &headers, &file.bytes().await?).await.map(drop)
    }

    /// The connection to a store in it, where the keys of logins stand in this folder, in files of their own.
    pub(super) fn connection(&self, store: &BucketSpec, keys: &Path) -> Value {
        let key = |of: &str| json!({ "file": keys.join(format!("{}.{of}", store.login)) });
        json!({
            "url": format!("s3://{}", store.at), "endpoint": self.url,
            "access-key": key("access"), "secret-key": key("secret"),
        })
    }
}

impl Owner {
    /// `host:port`.
    pub(super) fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Leaves so many bytes of the object at `/bucket/key`.
    pub(super) async fn cut_short(&self, path: &str, after: usize) -> Result<(), LabError> {
        let mut bytes = self.send("GET", path, &[], b"").await?;
        bytes.truncate(after);
        self.send("PUT", path, &[], &bytes).await.map(drop)
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Vec<u8>, LabError> {
        let wrong = |why: String| LabError::Wrong(format!("MinIO: {method} {target}: {why}"));
        let request = self.signed(method, target, headers, body).map_err(wrong)?;
        let client = client()?;
        let answer = client.execute(request).await.map_err(|error| wrong(error.to_string()))?;
        let status = answer.status();
        let said = answer.bytes().await.map_err(|error| wrong(error.to_string()))?;
        if status.is_success() {
            Ok(said.to_vec())
        } else {
            Err(wrong(format!("{status} {}", String::from_utf8_lossy(&said))))
        }
    }

    fn signed(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<reqwest::Request, String> {
        let url = format!("{}{target}", self.url);
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_vec()));
        *request.method_mut() = method.parse().map_err(|_| "no method")?;
        *request.uri_mut() = url.parse().map_err(|_| "no address")?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            request.headers_mut().insert(name, value.parse().map_err(|_| "no value of a header")?);
        }
        let authorizer = AwsAuthorizer::new(&self.key, "s3", "us-east-1");
        authorizer.try_authorize(&mut request, None).map_err(|error| error.to_string())?;
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        let mut signed = reqwest::Request::new(request.method().clone(), url);
        signed.headers_mut().clone_from(request.headers());
        *signed.timeout_mut() = Some(ANSWERS_WITHIN);
        *signed.body_mut() = Some(body.to_vec().into());
        Ok(signed)
    }
}

/// A client of its own for each request: its open connections belong to the runtime that opened them, and tests have many.
fn client() -> Result<reqwest::Client, LabError> {
    Ok(tls::client(&HttpClients::default(), None)?)
}

fn bucket(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// Where `make setup` puts it, if it is there.
#[expect(clippy::disallowed_methods, reason = "where this machine keeps what was built is no input of a run")]
fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("proofmark-tests/bin/minio")).filter(|path| path.is_file())
}
