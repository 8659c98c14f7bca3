//! Reads and writes the objects of a bucket with `object_store`, which retries lost requests through an outage of
//! minutes. What it reports then is not always what happened; this module finds out.

use super::bucket::{Bucket, EXPECTED};
use super::list;
use super::store::{Finished, Head, Stream, whole};
use super::transport::{Last, Time, Transport};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use md5::{Digest, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{BackoffConfig, GetOptions, ObjectStore, PutMode, PutPayload, RetryConfig};
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::http::Endpoint;
use proofmark_net::{ClientError, error, tls};
use std::time::Duration;

/// How often a request is retried. Including the waits, that takes about as long as a server needs to restart.
const TRIES: usize = 60;

/// The waits between two attempts.
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(5),
    base: 2.0,
};

/// A bucket to read from and write to.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    s3: AmazonS3,
    prefix: String,
    /// `s3://bucket/`, for messages.
    shown: String,
    time: Time,
    last: Last,
}

impl Remote {
    /// Returns the bucket of this connection. No request is sent yet.
    pub(super) fn of(wire: Endpoint<'_>, bucket: &Bucket) -> Result<Self, ClientError> {
        let (time, last) = (Time::of(wire), Last::default());
        let https = bucket.endpoint.starts_with("https:");
        let client = tls::raw_client(https.then_some(&bucket.tls))?;
        let transport = Transport::new(wire, client, time.clone(), last.clone());
        let retry = RetryConfig { backoff: BACKOFF, max_retries: TRIES, retry_timeout: wire.timeout };
        let s3 = AmazonS3Builder::new()
            .with_endpoint(&bucket.endpoint)
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.credential.key_id)
            .with_secret_access_key(&bucket.credential.secret_key)
            .with_virtual_hosted_style_request(false)
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(transport)
            .build();
        let s3 = s3.map_err(|error| {
            ClientError::new(ErrorCode::BadConnection, format!("the store cannot be used: {error}"))
        })?;
        let shown = format!("s3://{}/", bucket.name);
        Ok(Self { s3, prefix: bucket.prefix.clone(), shown, time, last })
    }

    fn path(&self, key: &str) -> Result<Path, ClientError> {
        whole(&self.prefix, key)
    }

    /// Runs an operation within the remaining time.
    async fn within<T>(
        &self,
        path: &Path,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ClientError> {
        let done = tokio::time::timeout(self.time.left(), work).await;
        done.map_err(|_| self.late(path))?.map_err(|error| self.told(path, &error))
    }

    fn late(&self, path: &Path) -> ClientError {
        let (at, after) = (format!("{}{path}", self.shown), self.time.whole);
        let stage = "it did not come to its end".to_owned();
        self.last.get().unwrap_or(ClientError::Timeout { at, after, stage })
    }

    fn told(&self, path: &Path, error: &object_store::Error) -> ClientError {
        let ours = error::cause::<ClientError>(error).cloned();
        ours.unwrap_or_else(|| {
            let why = error::deepest(error);
            let message =
                format!("expected {EXPECTED} from {}{path}, but what came cannot be used: {why}", self.shown);
            CodedError::new(ErrorCode::UnexpectedAnswer, message).help("is this an S3 server?").into()
        })
    }

    /// Returns what is stored under a key.
    pub(super) async fn head(
        &self,
        (wire, bucket): (Endpoint<'_>, &Bucket),
        key: &str,
        version: Option<String>,
    ) -> Result<Option<Head>, ClientError> {
        let path = self.path(key)?;
        let options = GetOptions { head: true, version, ..GetOptions::default() };
        match self.within(&path, self.s3.get_opts(&path, options)).await {
            Ok(found) => {
                let meta = found.meta;
                Ok(Some(Head { size: meta.size, version: meta.version, etag: meta.e_tag }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            // Without a body the answer does not say what is missing: the object, or its bucket.
            Err(ClientError::Status { status: 404, .. }) => {
                list::first(wire, bucket, &bucket.prefix, true).await.map(|_| None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns an object's size and bytes; `None` if it does not exist.
    pub(super) async fn read(&self, key: &str) -> Result<Option<(u64, Stream)>, ClientError> {
        let path = self.path(key)?;
        let found = match self.within(&path, self.s3.get_opts(&path, GetOptions::default())).await {
            Err(error) if is_absent(&error) => return Ok(None),
            other => other?,
        };
        let size = found.meta.size;
        let ours = self.clone();
        let told = path.clone();
        let stream = found.into_stream().map_err(move |error| ours.told(&told, &error)).boxed();
        let ours = self.clone();
        let stream =
            futures_util::stream::try_unfold((stream, ours, path), |(mut stream, ours, path)| async {
                let next = tokio::time::timeout(ours.time.left(), stream.next()).await;
                let next = next.map_err(|_| ours.late(&path))?.transpose()?;
                Ok(next.map(|bytes| (bytes, (stream, ours, path))))
            });
        Ok(Some((size, stream.boxed())))
    }

    /// Writes an object under a new key. After an error it is unknown whether the object exists.
    pub(super) async fn create(&self, key: &str, bytes: Bytes) -> Result<(), ClientError> {
        let path = self.path(key)?;
        let put = self.s3.put_opts(&path, PutPayload::from(bytes), PutMode::Create.into());
        self.within(&path, put).await.map(drop)
    }

    /// Begins an upload, and returns its id.
    pub(super) async fn begin(&self, key: &str) -> Result<String, ClientError> {
        let path = self.path(key)?;
        self.within(&path, self.s3.create_multipart(&path)).await
    }

    /// Sends one part; the first is number 0.
    pub(super) async fn part(
        self,
        key: String,
        id: String,
        number: usize,
        bytes: Bytes,
    ) -> Result<(usize, PartId), ClientError> {
        let path = self.path(&key)?;
        let sent = self.s3.put_part(&path, &id, number, PutPayload::from(bytes));
        self.within(&path, sent).await.map(|part| (number, part))
    }

    /// Completes the upload under a new key, and checks the resulting object, because the answer may be lost or belong
    /// to a retry.
    pub(super) async fn complete(
        &self,
        on: (Endpoint<'_>, &Bucket),
        (key, id): (&str, &String),
        parts: Vec<PartId>,
        bytes: u64,
    ) -> Result<Finished, ClientError> {
        let path = self.path(key)?;
        let (etag, count) = (etag_of(&parts), parts.len());
        let done = self.within(&path, self.s3.complete_multipart(&path, id, parts)).await;
        let version = done.as_ref().ok().and_then(|put| put.version.clone());
        let seen = self.head(on, key, version).await;
        let finished = |head: Head| Finished { bytes, etag: head.etag, version: head.version };
        match (done, seen) {
            (Ok(_), seen) => match seen? {
                Some(head) if head.size == bytes => Ok(finished(head)),
                Some(head) => Err(self.other(&path, bytes, &format!("{} bytes", head.size))),
                None => Err(self.other(&path, bytes, "nothing")),
            },
            (Err(error), Ok(Some(head)))
                if head.size == bytes && is_ours(&head, etag.as_deref(), count, &error) =>
            {
                Ok(finished(head))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn other(&self, path: &Path, bytes: u64, seen: &str) -> ClientError {
        let message = format!(
            "expected {bytes} bytes at {}{path} after its upload, but the server shows {seen}; it is not to be trusted with this",
            self.shown
        );
        ClientError::new(ErrorCode::UnexpectedAnswer, message)
    }
}

/// Returns whether the existing object is the one that was uploaded, although the answer was an error.
fn is_ours(head: &Head, etag: Option<&str>, count: usize, error: &ClientError) -> bool {
    let Some(seen) = head.etag.as_deref().map(|etag| etag.trim_matches('"')) else { return false };
    // A missing upload means that it was completed; a server that encrypts its data has other tags.
    let gone = matches!(error, ClientError::Api { kind, .. } if kind == "NoSuchUpload");
    etag == Some(seen) || gone && seen.ends_with(&format!("-{count}"))
}

/// Returns the tag of an object made of these parts, for servers whose tags are MD5 sums.
fn etag_of(parts: &[PartId]) -> Option<String> {
    let mut sums = Md5::new();
    for part in parts {
        let sum = hex::decode(part.content_id.trim_matches('"')).ok().filter(|sum| sum.len() == 16)?;
        sums.update(&sum);
    }
    Some(format!("{}-{}", hex::encode(sums.finalize()), parts.len()))
}

fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::Api { kind, .. } if kind == "NoSuchKey" || kind == "NoSuchVersion")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_parts_is_that_of_the_server() {
        // A MinIO server returned these tags for three parts and for the object made of them.
        let sums = [
            "9c039d8c37164becc0ea6256d6b7336f",
            "be8796ac4a77a4cf4b789f2aee8699d8",
            "7e1f04931bcdfd5096e15fea35e02e0f",
        ];
        let parts = sums.map(|sum| PartId { content_id: format!("\"{sum}\"") });
        assert_eq!(etag_of(&parts).as_deref(), Some("491f4b6077bc5c9fa9e29030ab5115ed-3"));
        for sum in ["no sum", "abcd"] {
            assert_eq!(etag_of(&[PartId { content_id: sum.into() }]), None, "{sum}");
        }
    }
}
