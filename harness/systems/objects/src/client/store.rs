//! Reads and writes whole objects: small ones at once, large ones as streams. A write creates a new object or fails; a
//! read is complete or an error.

use super::bucket::Bucket;
use super::remote::Remote;
use super::upload::{self, Upload};
use super::versions::{self, Removed, Version};
use super::{StorePlace, folder, list, place};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::http::Endpoint;
use proofmark_net::{ClientError, Log};
use std::path::PathBuf;
use std::time::Duration;

/// The largest object that is read back to find out who wrote it, in bytes.
const BACK: usize = 64 << 20;

/// The bytes of an object, in order. The last item is an error if the bytes are fewer or more than announced.
pub type Stream = BoxStream<'static, Result<Bytes, ClientError>>;

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The size in bytes.
    pub size: u64,
    /// The id of the version, if the bucket keeps versions.
    pub version: Option<String>,
    /// The server's tag of the content; `None` in a folder.
    pub etag: Option<String>,
}

/// The outcome of writing a new object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The object was written.
    Now,
    /// The same bytes exist already: an answer was lost, or this is a retry.
    AlreadyOurs,
    /// Another object exists and is kept; holds its bytes.
    TakenBy(Vec<u8>),
}

/// A finished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The size in bytes, as written and as reported by the store.
    pub bytes: u64,
    /// The server's tag of the content; `None` in a folder.
    pub etag: Option<String>,
    /// The id of the version, if the bucket keeps versions.
    pub version: Option<String>,
}

/// A store that is read and written: a bucket below its prefix, or a folder of this machine. The time of its wire
/// limits all operations together.
pub struct Store<'a> {
    wire: Endpoint<'a>,
    started: Duration,
    pub(super) place: Place,
}

/// Where the objects are.
pub(super) enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Box<(Bucket, Remote)>),
}

impl<'a> Store<'a> {
    /// Opens the store of this connection, after checking that its folder exists, or that its server knows the bucket
    /// and the login. An unreachable server is an error at once; later outages are waited out.
    ///
    /// # Errors
    /// The store cannot be reached, refuses the request, does not exist, or is not a store.
    pub async fn open(wire: Endpoint<'a>) -> Result<Self, ClientError> {
        let started = wire.clock.elapsed();
        let place = match place(wire.connection)? {
            StorePlace::Folder(path) => {
                folder::stands(&path)?;
                Place::Folder(path)
            }
            StorePlace::Bucket { .. } => {
                let bucket = Bucket::of(wire)?;
                let remote = Remote::of(wire, &bucket)?;
                match list::first(wire, &bucket, &bucket.prefix, true).await {
                    // A login may be allowed to write and not to list; other permissions show when they are needed.
                    Err(ClientError::Api { kind, .. }) if kind == "AccessDenied" => {}
                    other => drop(other?),
                }
                Place::Bucket(Box::new((bucket, remote)))
            }
        };
        Ok(Self { wire, started, place })
    }

    /// Returns the wire with its remaining time.
    pub(super) fn wire(&self) -> Endpoint<'a> {
        self.wire.since(self.started)
    }

    /// Returns what is stored under a key; `None` if nothing is.
    ///
    /// # Errors
    /// The store does not give a clear answer. A missing bucket is an error, not a missing object.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, ClientError> {
        match &self.place {
            Place::Folder(root) => folder::head(self.wire(), file(root, key)?).await,
            Place::Bucket(on) => on.1.head((self.wire(), &on.0), key, None).await,
        }
    }

    /// Returns an object's size and bytes; `None` if it does not exist. If an answer from a bucket breaks off, reading
    /// resumes as long as the object is the same.
    ///
    /// # Errors
    /// The object cannot be read. A later failure is the stream's last item.
    pub async fn read(&self, key: &str) -> Result<Option<(u64, Stream)>, ClientError> {
        let Some((size, stream)) = self.opened(key).await? else { return Ok(None) };
        let (log, mut seen) = (self.log().clone(), 0);
        let heard = stream.inspect_ok(move |bytes| {
            seen += bytes.len() as u64;
            log.far(|far| far.bytes = Some((seen, Some(size))));
        });
        Ok(Some((size, heard.boxed())))
    }

    async fn opened(&self, key: &str) -> Result<Option<(u64, Stream)>, ClientError> {
        let found = match &self.place {
            Place::Folder(root) => folder::read(self.wire(), file(root, key)?).await?,
            Place::Bucket(on) => on.1.read(key).await?,
        };
        let key = key.to_owned();
        Ok(found.map(|(size, stream)| (size, counted(key, size, stream))))
    }

    /// Returns the log of the store's operations.
    pub fn log(&self) -> &'a Log {
        self.wire.log
    }

    /// Returns a small object as a whole; `None` if it does not exist.
    ///
    /// # Errors
    /// As for [`Store::read`], and if the object has more bytes than `limit`.
    pub async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ClientError> {
        let Some((size, mut stream)) = self.opened(key).await? else { return Ok(None) };
        if size > limit as u64 {
            return Err(ClientError::TooLarge { at: key.to_owned(), limit: limit as u64 });
        }
        let mut bytes = vec![];
        while let Some(more) = stream.next().await {
            bytes.extend_from_slice(&more?);
        }
        Ok(Some(bytes))
    }

    /// Writes a small object under a key that must be new. If several writers do so at once, one succeeds.
    ///
    /// # Errors
    /// The object cannot be written. It is unknown then whether it exists.
    pub async fn create(
        &self,
        key: &str,
        bytes: Bytes,
        leave: &impl ChangePermit,
    ) -> Result<Created, ClientError> {
        let taken = match &self.place {
            Place::Folder(root) => {
                let at = (root.as_path(), file(root, key)?);
                if folder::create(self.wire(), at, bytes.clone(), leave).await? {
                    return Ok(Created::Now);
                }
                ClientError::new(ErrorCode::Conflict, format!("`{key}` was there and is there no more"))
            }
            Place::Bucket(on) => match on.1.create(key, bytes.clone()).await {
                Ok(()) => return Ok(Created::Now),
                Err(error @ ClientError::Api { status: 412, .. }) => error,
                Err(error) => return Err(error),
            },
        };
        // The first answer may have been lost, and the retry reports that the object exists.
        let there = self.get(key, BACK).await?.ok_or(taken)?;
        Ok(if there == bytes { Created::AlreadyOurs } else { Created::TakenBy(there) })
    }

    /// Begins to write a large object under a key that must be new. The object does not exist before the upload is
    /// finished; the parts stay in the store until the upload is aborted, even if this process ends.
    ///
    /// # Errors
    /// The key is taken, or the store refuses. After a lost answer there may be an upload with an unknown id: abort it
    /// by its key.
    pub async fn begin(&self, key: &str, leave: &impl ChangePermit) -> Result<Upload<'_>, ClientError> {
        if self.head(key).await?.is_some() {
            let message = format!(
                "expected nothing under the name `{key}` in the store, but there is an object, and it is left as it is"
            );
            return Err(ClientError::new(ErrorCode::Conflict, message));
        }
        match &self.place {
            Place::Folder(root) => {
                let path = file(root, key)?;
                let id = folder::begin(self.wire(), (root, path), leave).await?;
                Ok(Upload::new(self, key, id))
            }
            Place::Bucket(on) => Ok(Upload::new(self, key, on.1.begin(key).await?)),
        }
    }

    /// Removes an unfinished upload and its parts: the one with this id, or all those of this key. A missing upload is
    /// not an error, and an object under the key is kept.
    ///
    /// # Errors
    /// The upload cannot be aborted.
    pub async fn abort(
        &self,
        key: &str,
        id: Option<&str>,
        leave: &impl ChangePermit,
    ) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => {
                folder::abort(self.wire(), file(root, key)?, id.map(str::to_owned), leave).await
            }
            Place::Bucket(on) => upload::abort((self.wire(), &on.0), key, id, leave).await,
        }
    }

    /// Removes what interrupted calls of [`Store::create`] for this key have left. In a bucket there is nothing to
    /// remove, because an object exists as a whole or not at all.
    ///
    /// # Errors
    /// A partial file cannot be deleted.
    pub async fn abort_create(&self, key: &str, leave: &impl ChangePermit) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => folder::abort(self.wire(), file(root, key)?, None, leave).await,
            Place::Bucket(_) => Ok(()),
        }
    }

    /// Deletes an object. A missing object is not an error. A bucket that keeps versions only hides it with a delete
    /// marker.
    ///
    /// # Errors
    /// The object cannot be deleted.
    pub async fn delete(&self, key: &str, leave: &impl ChangePermit) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => folder::delete(self.wire(), file(root, key)?, leave).await,
            Place::Bucket(on) => versions::delete((self.wire(), &on.0), key, leave).await,
        }
    }

    /// Returns every version and delete marker of the objects whose names begin with `prefix`, sorted by key. A folder
    /// has one version of each, with the id that a bucket without versions uses.
    ///
    /// # Errors
    /// The versions cannot be listed.
    pub async fn versions(&self, prefix: &str) -> Result<Vec<Version>, ClientError> {
        match &self.place {
            Place::Folder(root) => {
                let listing = folder::list(self.wire(), root, prefix).await?;
                Ok(listing.objects.into_iter().map(Version::only).collect())
            }
            Place::Bucket(on) => versions::list(self.wire(), &on.0, prefix).await,
        }
    }

    /// Returns whether versions can be locked here. If the login may not ask, the answer is yes. A folder has no locks.
    ///
    /// # Errors
    /// The server does not give a clear answer.
    pub async fn can_lock(&self) -> Result<bool, ClientError> {
        match &self.place {
            Place::Folder(_) => Ok(false),
            Place::Bucket(_) => versions::can_lock(self.wire()).await,
        }
    }

    /// Returns what protects a version from deletion, as text: `GOVERNANCE until 2026-11-22T11:02:21Z`; `None` if
    /// nothing does. Delete markers are never locked.
    ///
    /// # Errors
    /// The server does not give a clear answer, or the login may not ask.
    pub async fn lock_of(&self, version: &Version) -> Result<Option<String>, ClientError> {
        match &self.place {
            Place::Bucket(on) if !version.marker => versions::lock_of((self.wire(), &on.0), version).await,
            _ => Ok(None),
        }
    }

    /// Deletes one version or delete marker permanently. A missing version is not an error.
    ///
    /// # Errors
    /// The version cannot be deleted for a reason other than a lock.
    pub async fn delete_version(
        &self,
        key: &str,
        version: &str,
        leave: &impl ChangePermit,
    ) -> Result<Removed, ClientError> {
        match &self.place {
            Place::Folder(_) if version == versions::ONLY => {
                self.delete(key, leave).await.map(|()| Removed::Deleted)
            }
            Place::Folder(_) => {
                Err(ClientError::new(ErrorCode::NotFound, format!("a folder has no version `{version}`")))
            }
            Place::Bucket(on) => versions::remove((self.wire(), &on.0), key, version, leave).await,
        }
    }
}

/// Returns the whole name of an object. A name that a URL or a server would read as a different one is refused.
pub(super) fn whole(prefix: &str, key: &str) -> Result<Path, ClientError> {
    let whole = format!("{prefix}{key}");
    let path = Path::parse(&whole).ok().filter(|path| !key.is_empty() && path.as_ref() == whole);
    path.ok_or_else(|| {
        let message = format!(
            "`{key}` cannot be an object's name: it takes words between single slashes, none of them `.` or `..`, without control characters"
        );
        ClientError::new(ErrorCode::BadSettings, message)
    })
}

/// Returns the file of a key.
pub(super) fn file(root: &std::path::Path, key: &str) -> Result<PathBuf, ClientError> {
    let path = whole("", key)?;
    if folder::is_partial(key) {
        let message = format!("`{key}` is the name of an unfinished upload");
        return Err(ClientError::new(ErrorCode::BadSettings, message));
    }
    Ok(root.join(path.as_ref()))
}

/// Passes the bytes on, and adds an error at the end if their number differs from the announced size.
fn counted(key: String, size: u64, inner: Stream) -> Stream {
    let counted = stream::try_unfold((inner, 0), move |(mut inner, seen)| {
        let cut = |bytes, why: String| ClientError::CutOff { at: key.clone(), bytes, why };
        let short = cut(seen, format!("{size} bytes were announced"));
        let long = cut(size, format!("more than the {size} bytes came that were announced"));
        async move {
            match inner.next().await.transpose()? {
                Some(bytes) => {
                    let seen = seen + bytes.len() as u64;
                    if seen > size { Err(long) } else { Ok(Some((bytes, (inner, seen)))) }
                }
                None if seen < size => Err(short),
                None => Ok(None),
            }
        }
    });
    counted.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_file_below_its_folder_and_nowhere_else() {
        let root = std::path::Path::new("/root");
        assert_eq!(file(root, "a b/ü%20.dump").unwrap(), root.join("a b/ü%20.dump"));
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\nb", ".a.partial-0123456789abcdef"] {
            assert!(file(root, key).is_err(), "{key}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_as_many_as_announced_end_in_an_error() {
        for (announced, fits) in [(6, true), (7, false), (5, false), (0, false)] {
            let bytes = ["abc", "def"].map(|text| Ok(Bytes::from(text)));
            let all: Vec<_> = counted("k".into(), announced, stream::iter(bytes).boxed()).collect().await;
            assert_eq!(all.iter().all(Result::is_ok), fits, "{announced}: {all:?}");
            assert!(!all.is_empty());
        }
    }
}
