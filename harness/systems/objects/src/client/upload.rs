//! Uploads a large object to a store in parts, in bounded memory: while two parts are sent, the next is filled.

use super::bucket::{Bucket, EXPECTED, open};
use super::folder;
use super::store::{Finished, Place, Store, file, whole};
use bytes::{Bytes, BytesMut};
use object_store::multipart::PartId;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::mem;
use tokio::task::JoinSet;

/// The largest number of parts in an upload.
const PARTS: usize = 10_000;

/// Returns the size of a part in bytes: the first thousand are small, to save memory; ten thousand parts hold 159 GB.
fn size(part: usize) -> usize {
    if part < 1_000 { 8 << 20 } else { 16 << 20 }
}

/// Returns how many parts are sent at once. Including the one that is being filled they use at most 32 MiB.
fn at_once(part: usize) -> usize {
    if part < 1_000 { 2 } else { 1 }
}

/// An unfinished upload. Dropping it leaves the parts in the store: see [`Store::abort`].
pub struct Upload<'s> {
    /// The id by which it is aborted: the server's id, or the suffix of the partial file.
    pub id: String,
    store: &'s Store<'s>,
    key: String,
    buffer: BytesMut,
    bytes: u64,
    begun: usize,
    flying: JoinSet<Result<(usize, PartId), ClientError>>,
    parts: BTreeMap<usize, PartId>,
    /// A part is missing, so the upload can never be finished.
    broken: bool,
}

impl Debug for Upload<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.debug_struct("Upload").field("key", &self.key).field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'s> Upload<'s> {
    pub(super) fn new(store: &'s Store<'s>, key: &str, id: String) -> Self {
        let (buffer, flying, parts) = (BytesMut::new(), JoinSet::new(), BTreeMap::new());
        let key = key.to_owned();
        Self { id, store, key, buffer, bytes: 0, begun: 0, flying, parts, broken: false }
    }

    /// Returns the number of bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes more bytes; waits if the store is slower than they arrive.
    ///
    /// # Errors
    /// A part could not be sent. The upload can only be aborted then.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let size = size(self.begun);
            if self.buffer.capacity() < size {
                self.buffer.reserve(size - self.buffer.len());
            }
            let (now, later) = bytes.split_at(bytes.len().min(size - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            bytes = later;
            if self.buffer.len() == size {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Completes the upload as an object under its key, which must still be free.
    ///
    /// # Errors
    /// Nothing was written, a part is missing, the key has been taken, or the store reports a different object than was
    /// written. If the upload is unfinished then, it must be aborted.
    pub async fn finish(mut self) -> Result<Finished, ClientError> {
        if self.bytes == 0 {
            let message = format!(
                "expected bytes for `{}`, but there were none: an object of 0 bytes is not made of them",
                self.key
            );
            return Err(ClientError::new(ErrorCode::Rejected, message));
        }
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        while let Some(done) = self.flying.join_next().await {
            self.sent(done)?;
        }
        let whole = self.parts.keys().copied().eq(0..self.begun);
        match &self.store.place {
            _ if self.broken => Err(self.missing()),
            Place::Folder(root) => {
                let path = file(root, &self.key)?;
                folder::finish(self.store.wire(), (root, path), &self.id, self.bytes).await
            }
            Place::Bucket(_) if !whole => Err(self.missing()),
            Place::Bucket(on) => {
                let parts = mem::take(&mut self.parts).into_values().collect();
                let of = (self.key.as_str(), &self.id);
                on.1.complete((self.store.wire(), &on.0), of, parts, self.bytes).await
            }
        }
    }

    fn missing(&self) -> ClientError {
        let message = format!("the upload of `{}` lacks a part and cannot be finished", self.key);
        ClientError::new(ErrorCode::CutOff, message)
    }

    /// Sends the content of the buffer.
    async fn send(&mut self) -> Result<(), ClientError> {
        if self.broken {
            return Err(self.missing());
        }
        if self.begun == PARTS {
            let message = format!("`{}` is too large: an upload has at most {PARTS} parts", self.key);
            return Err(ClientError::new(ErrorCode::TooLarge, message));
        }
        // If the wait is abandoned here, a part is missing.
        self.broken = true;
        while self.flying.len() >= at_once(self.begun) {
            let Some(done) = self.flying.join_next().await else { break };
            self.sent(done)?;
        }
        let bytes = mem::take(&mut self.buffer).freeze();
        match &self.store.place {
            Place::Folder(root) => {
                let path = file(root, &self.key)?;
                folder::write(self.store.wire(), path, &self.id, bytes).await?;
            }
            Place::Bucket(on) => self.fly(on.1.clone(), bytes),
        }
        self.begun += 1;
        self.broken = false;
        Ok(())
    }

    fn fly(&mut self, remote: super::remote::Remote, bytes: Bytes) {
        let (key, id) = (self.key.clone(), self.id.clone());
        self.flying.spawn(remote.part(key, id, self.begun, bytes));
    }

    fn sent(
        &mut self,
        done: Result<Result<(usize, PartId), ClientError>, tokio::task::JoinError>,
    ) -> Result<(), ClientError> {
        let done = done.unwrap_or_else(|error| Err(ClientError::new(ErrorCode::Internal, error.to_string())));
        if done.is_err() {
            self.broken = true;
        }
        let (number, part) = done?;
        self.parts.insert(number, part);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadsXml {
    bucket: String,
    #[serde(default)]
    upload: Vec<UploadXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadXml {
    key: String,
    upload_id: String,
}

/// How often the list of unfinished uploads is requested until it is empty.
const ROUNDS: usize = 100;

/// Aborts one upload, or all those of one key. The list needs the whole key as prefix: MinIO lists nothing for a
/// folder.
pub(super) async fn abort(
    (wire, bucket): (Endpoint<'_>, &Bucket),
    key: &str,
    id: Option<&str>,
    leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let started = wire.clock.elapsed();
    let whole = whole(&bucket.prefix, key)?.to_string();
    if let Some(id) = id {
        return gone(bucket.remove(wire, &whole, &[("uploadId", id)], leave).await);
    }
    for _ in 0..ROUNDS {
        let ids = unfinished((wire.since(started), bucket), &whole).await?;
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            gone(bucket.remove(wire.since(started), &whole, &[("uploadId", &id)], leave).await)?;
        }
    }
    let message = format!("unfinished uploads of `{whole}` stay, however often they are aborted");
    Err(ClientError::new(ErrorCode::UnexpectedAnswer, message))
}

/// Treats an upload that does not exist as aborted.
fn gone(done: Result<(), ClientError>) -> Result<(), ClientError> {
    match done {
        Err(ClientError::Api { kind, .. }) if kind == "NoSuchUpload" => Ok(()),
        other => other,
    }
}

/// Returns the ids of the unfinished uploads of a key, by its whole name. The key itself sorts before all others with
/// that prefix.
async fn unfinished(
    (wire, bucket): (Endpoint<'_>, &Bucket),
    whole: &str,
) -> Result<Vec<String>, ClientError> {
    let answer = bucket.ask(wire, &[("uploads", ""), ("prefix", whole)], true).await?;
    let read: UploadsXml = open(&answer, "ListMultipartUploadsResult")?;
    if read.bucket != bucket.name {
        let why = format!("it is the list of another bucket, `{}`", read.bucket);
        return Err(ClientError::of_shape(&answer, EXPECTED, &why));
    }
    Ok(read.upload.into_iter().filter(|one| one.key == whole).map(|one| one.upload_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_carry_enough_in_bounded_memory() {
        let all: u64 = (0..PARTS).map(|part| size(part) as u64).sum();
        assert!(all >= 150_000_000_000, "{all}");
        for part in 0..PARTS {
            assert!(size(part) >= 5 << 20, "smaller ones are refused");
            let before = size(part.saturating_sub(1));
            assert!((at_once(part) + 1) * size(part).max(before) <= 40 << 20, "{part}");
        }
    }
}
