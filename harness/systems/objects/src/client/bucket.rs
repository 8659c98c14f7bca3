//! Sends signed requests to one bucket, and reads what its server reports about it. A refusal is explained, because a
//! 403 has many possible causes.

use super::xml;
use super::{StorePlace, list, place};
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proofmark_environment::Tls;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Call, Changing, Endpoint, change, fetch};
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server is expected to answer with, for error messages.
pub(super) const EXPECTED: &str = "the XML of an S3 server";

/// The characters that a signature does not escape.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The characters that a signature does not escape in a path.
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// The region if none is given. Most servers ignore it.
const REGION: &str = "us-east-1";

/// A bucket and how to send requests to it.
pub(super) struct Bucket {
    /// The name of the bucket.
    pub(super) name: String,
    /// The prefix of every object of the store: empty, or with a slash at its end.
    pub(super) prefix: String,
    /// The URL of the server, without a slash at its end.
    pub(super) endpoint: String,
    /// The region that requests are signed for.
    pub(super) region: String,
    /// The credential that signs requests.
    pub(super) credential: AwsCredential,
    /// How the server's certificate is verified.
    pub(super) tls: Tls,
}

impl Bucket {
    /// Returns the bucket of this connection.
    pub(super) fn of(wire: Endpoint<'_>) -> Result<Self, ClientError> {
        let StorePlace::Bucket { bucket, prefix } = place(wire.connection)? else {
            let why = "the store is a folder, and only a bucket can be asked for this";
            return Err(ClientError::new(ErrorCode::BadConnection, why));
        };
        let missing = |what: &str| {
            let message =
                format!("the store has no {what}: add it to its connection in the environment file");
            ClientError::new(ErrorCode::BadConnection, message)
        };
        let connection = wire.connection.ok_or_else(|| missing("connection"))?;
        let (access, secret) =
            connection.keys.as_ref().ok_or_else(|| missing("`access-key` and `secret-key`"))?;
        // Buckets are addressed by path, not by host name: a server that does not know its own name misreads the
        // latter.
        let endpoint = match (&connection.endpoint, &connection.region) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => format!("https://s3.{region}.amazonaws.com"),
            (None, None) => return Err(missing("`endpoint` or `region`")),
        };
        let key_id = access.expose().trim().to_owned();
        let secret_key = secret.expose().trim().to_owned();
        Ok(Self {
            endpoint,
            name: bucket,
            prefix,
            region: connection.region.clone().unwrap_or_else(|| REGION.to_owned()),
            credential: AwsCredential { key_id, secret_key, token: None },
            tls: connection.tls.clone(),
        })
    }

    /// Sends a query about the bucket, with the login or without. Any status is an answer, not an error.
    pub(super) async fn ask(
        &self,
        wire: Endpoint<'_>,
        query: &[(&str, &str)],
        signed: bool,
    ) -> Result<Answer, ClientError> {
        let target = format!("{}/{}{}", self.endpoint, self.name, asked(query));
        self.get(wire, target, signed).await
    }

    /// Sends a query about an object, by its whole key. Any status is an answer, not an error.
    pub(super) async fn ask_of(
        &self,
        wire: Endpoint<'_>,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        self.get(wire, format!("{}{}", self.address(key), asked(query)), true).await
    }

    async fn get(&self, wire: Endpoint<'_>, target: String, signed: bool) -> Result<Answer, ClientError> {
        let mut call = Call { tls: Some(self.tls.clone()), aside: true, ..Call::get(target) };
        if signed {
            self.sign(&mut call, Method::GET)?;
        }
        fetch(Endpoint { connection: None, ..wire }, &call).await
    }

    /// Deletes an object, a version or an upload, by its whole key. Most servers do not report an error if it does not
    /// exist.
    pub(super) async fn remove(
        &self,
        wire: Endpoint<'_>,
        key: &str,
        query: &[(&str, &str)],
        leave: &impl ChangePermit,
    ) -> Result<(), ClientError> {
        let target = format!("{}{}", self.address(key), asked(query));
        let call = Call::change(Changing::DELETE, target);
        let mut call = Call { tls: Some(self.tls.clone()), aside: true, ..call };
        self.sign(&mut call, Method::DELETE)?;
        let answer = change(Endpoint { connection: None, ..wire }, &call, leave).await?;
        if answer.is_success() { Ok(()) } else { Err(refusal(&answer)) }
    }

    /// Returns the URL of an object, by its whole key.
    pub(super) fn address(&self, key: &str) -> String {
        format!("{}/{}/{}", self.endpoint, self.name, utf8_percent_encode(key, PATH))
    }

    fn sign<M>(&self, call: &mut Call<M>, method: Method) -> Result<(), ClientError> {
        let wrong = |why: String| {
            ClientError::new(ErrorCode::BadConnection, format!("the request cannot be signed: {why}"))
        };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        *request.uri_mut() = call.target.parse().map_err(|_| wrong("its address is no URL".into()))?;
        let authorizer = AwsAuthorizer::new(&self.credential, "s3", &self.region);
        // An access key with a line break would not be reported as an error.
        if self.credential.key_id.chars().any(char::is_control) {
            return Err(wrong("the access key holds a line break or control character".into()));
        }
        authorizer.try_authorize(&mut request, None).map_err(|error| wrong(error.to_string()))?;
        for (name, value) in request.headers() {
            let value = value.to_str().map_err(|_| wrong("a header is no text".into()))?;
            call.headers.insert(name.to_string(), value.to_owned());
        }
        Ok(())
    }
}

/// Formats a query for the request target, including the question mark.
fn asked(query: &[(&str, &str)]) -> String {
    let pairs = query.iter().map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, STRICT)));
    let pairs = pairs.collect::<Vec<_>>().join("&");
    if pairs.is_empty() { pairs } else { format!("?{pairs}") }
}

/// Checks that the bucket can be listed with this login.
///
/// # Errors
/// The bucket cannot be reached, refuses the request, does not exist, or is not a bucket.
pub async fn probe(wire: Endpoint<'_>) -> Result<(), ClientError> {
    let bucket = Bucket::of(wire)?;
    list::first(wire, &bucket, &bucket.prefix, true).await.map(drop)
}

/// Returns whether everyone can list the bucket without a login. If so, a successful list proves nothing about a login.
///
/// # Errors
/// The server does not give a clear answer.
pub async fn needs_no_login(wire: Endpoint<'_>) -> Result<bool, ClientError> {
    let bucket = Bucket::of(wire)?;
    match list::first(wire, &bucket, &bucket.prefix, false).await {
        Ok(_) => Ok(true),
        Err(ClientError::Api { status: 401 | 403, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether old versions of an object are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Versioning {
    /// Every version is kept.
    Enabled,
    /// Existing versions are kept, new versions replace each other.
    Suspended,
    /// Versioning was never switched on.
    Never,
}

/// How the bucket protects versions from deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Whether versions can be locked. By itself this does not lock anything.
    pub enabled: bool,
    /// How new objects are locked by default: `GOVERNANCE` or `COMPLIANCE`; `null` if they are not. A writer can
    /// override it.
    pub mode: Option<String>,
    /// The length of the default lock, in days; a year counts 365.
    pub days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersioningXml {
    #[serde(default)]
    status: Option<String>,
}

/// Returns whether the bucket keeps versions.
///
/// # Errors
/// The bucket cannot be reached, refuses the request, or gives an unexpected answer.
pub async fn versioning(wire: Endpoint<'_>) -> Result<Versioning, ClientError> {
    let answer = Bucket::of(wire)?.ask(wire, &[("versioning", "")], true).await?;
    let read: VersioningXml = open(&answer, "VersioningConfiguration")?;
    match read.status.as_deref() {
        None => Ok(Versioning::Never),
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        Some(_) => {
            Err(ClientError::of_shape(&answer, EXPECTED, "its `Status` is neither `Enabled` nor `Suspended`"))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LockXml {
    #[serde(default)]
    object_lock_enabled: Option<String>,
    #[serde(default)]
    rule: Option<RuleXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleXml {
    default_retention: RetentionXml,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetentionXml {
    mode: String,
    #[serde(default)]
    days: Option<u32>,
    #[serde(default)]
    years: Option<u32>,
}

/// Returns how the bucket protects versions.
///
/// # Errors
/// The bucket cannot be reached, refuses the request, or gives an unexpected answer. A missing lock is not an error.
pub async fn lock(wire: Endpoint<'_>) -> Result<Lock, ClientError> {
    let answer = Bucket::of(wire)?.ask(wire, &[("object-lock", "")], true).await?;
    let read: LockXml = match open(&answer, "ObjectLockConfiguration") {
        Err(ClientError::Api { kind, .. }) if kind == "ObjectLockConfigurationNotFoundError" => {
            return Ok(Lock::default());
        }
        other => other?,
    };
    let retention = read.rule.map(|rule| rule.default_retention);
    let days =
        |retention: &RetentionXml| retention.days.or(retention.years.map(|years| years.saturating_mul(365)));
    Ok(Lock {
        enabled: read.object_lock_enabled.as_deref() == Some("Enabled"),
        days: retention.as_ref().and_then(days),
        mode: retention.map(|retention| retention.mode),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusalXml {
    code: String,
    #[serde(default)]
    message: String,
}

/// Parses the XML of a successful answer, or returns the error that the server names.
pub(super) fn open<T: for<'de> Deserialize<'de>>(answer: &Answer, root: &str) -> Result<T, ClientError> {
    if answer.is_success() {
        return xml::read(&answer.body, root).map_err(|why| ClientError::of_shape(answer, EXPECTED, &why));
    }
    Err(refusal(answer))
}

/// Returns the server's reason for a refusal.
pub(super) fn refusal(answer: &Answer) -> ClientError {
    let named = error_in(answer).or_else(|| {
        // An answer to `HEAD` does not have a body. Only MinIO gives the reason nevertheless, in headers.
        let said = |name: &str| Some(answer.headers.get(name)?.to_str().ok()?.trim_matches('"').to_owned());
        let code = said("x-minio-error-code")?;
        Some(refused(answer, code, said("x-minio-error-desc").unwrap_or_default()))
    });
    named.unwrap_or_else(|| answer.refused(EXPECTED))
}

/// Returns the error in an answer, whatever its status: some servers send status 200 before they know the outcome.
pub(super) fn error_in(answer: &Answer) -> Option<ClientError> {
    let read = xml::read::<RefusalXml>(&answer.body, "Error").ok()?;
    Some(refused(answer, read.code, read.message))
}

fn refused(answer: &Answer, kind: String, message: String) -> ClientError {
    let (at, status, hint) = (answer.url.clone(), answer.status, hint(&kind, &message));
    // The hint continues the sentence.
    let message = if hint.is_empty() { message } else { message.trim_end_matches('.').to_owned() };
    ClientError::Api { at, status, kind, message, hint }
}

/// Returns whether the store has no space left.
pub(super) fn is_full(code: &str, message: &str) -> bool {
    code == "XMinioStorageFull" || code.contains("QuotaExceeded") || message.contains("no space left")
}

fn hint(code: &str, message: &str) -> &'static str {
    match code {
        _ if is_full(code, message) => {
            "; is the store full? What is deleted on it is often given back only minutes later"
        }
        "PreconditionFailed" => "; an object of this name is there already, and it is left as it is",
        "InvalidRange" => "; the object was replaced by a shorter one while it was read",
        "NoSuchUpload" => "; the upload was completed or aborted meanwhile",
        "InvalidAccessKeyId" => {
            "; the server does not know this `access-key`, or its account is disabled or has expired: was it rotated, or is it another server's?"
        }
        "SignatureDoesNotMatch" => {
            "; the server knows the `access-key`, and the `secret-key` is not the one that belongs to it"
        }
        "ExpiredToken" | "InvalidToken" | "InvalidTokenId" => "; the login has expired: get a new one",
        "RequestTimeTooSkewed" => {
            "; the clocks of this machine and of the server are too far apart: set them (NTP)"
        }
        "AccessDenied" => {
            "; the login is known and may not do this. Most servers say so too where there is no such bucket"
        }
        "NoSuchBucket" => "; there is no such bucket on this server: look at `url` and `endpoint`",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "; the bucket is in another region: look at `region`"
        }
        "SlowDown" | "SlowDownRead" | "SlowDownWrite" => {
            "; the server asks to slow down; MinIO says so too where it has lost too many of its drives"
        }
        "XMinioServerNotInitialized" => "; the server is starting, or waits for its drives",
        _ => "",
    }
}
