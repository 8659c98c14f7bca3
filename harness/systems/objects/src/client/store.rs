//! Whole objects, read and written: small ones at once, large ones as streams. What is written is new or it is not written;
//! what is read is whole or an error.

use super::bucket::Bucket;
use super::remote::Remote;
use super::upload::{self, Upload};
use super::versions::{self, Removed, Version};
use super::{StorePlace, folder, list, place};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use proofmark_evidence::undo::Leave;
use proofmark_model::ErrorCode;
use proofmark_net::http::Wire;
use proofmark_net::{ClientError, Log};
use std::path::PathBuf;
use std::time::Duration;

/// The largest object that is read back to see whose it is, in bytes.
const BACK: usize = 64 << 20;

/// The bytes of an object, in order. The last item is an error where they are not all that was announced.
pub type Stream = BoxStream<'static, Result<Bytes, ClientError>>;

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes.
    pub size: u64,
    /// Which version it is, where the bucket keeps them.
    pub version: Option<String>,
    /// The server's tag of its content; a folder has none.
    pub etag: Option<String>,
}

/// What became of an object that was to be new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It was written.
    Now,
    /// These very bytes stand there already: an answer was lost, or this is a second try.
    AlreadyOurs,
    /// Something else stands there, and is left as it is: its bytes.
    TakenBy(Vec<u8>),
}

/// An upload that became an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Bytes, as they were written and as the store shows them.
    pub bytes: u64,
    /// The server's tag of its content; a folder has none.
    pub etag: Option<String>,
    /// Which version it is, where the bucket keeps them.
    pub version: Option<String>,
}

/// A store that is read and written: a bucket below its prefix, or a folder of this machine. All that is done with it has
/// the time of its wire.
pub struct Store<'a> {
    wire: Wire<'a>,
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
    /// Opens the store of this connection: its folder is there, or its server knows the bucket and the login. A server
    /// that cannot be reached is told at once; later outages are waited for.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, is not there, or is no store.
    pub async fn open(wire: Wire<'a>) -> Result<Self, ClientError> {
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
                    // A login may write and not list: what it may do shows when it is done.
                    Err(ClientError::Api { kind, .. }) if kind == "AccessDenied" => {}
                    other => drop(other?),
                }
                Place::Bucket(Box::new((bucket, remote)))
            }
        };
        Ok(Self { wire, started, place })
    }

    /// The wire with the time that is left of it.
    pub(super) fn wire(&self) -> Wire<'a> {
        self.wire.since(self.started)
    }

    /// What stands under a key; `None` for nothing.
    ///
    /// # Errors
    /// When that cannot be said: a missing bucket is no missing object.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, ClientError> {
        match &self.place {
            Place::Folder(root) => folder::head(self.wire(), file(root, key)?).await,
            Place::Bucket(on) => on.1.head((self.wire(), &on.0), key, None).await,
        }
    }

    /// An object's size and its bytes; `None` where there is none. A bucket's are read on where an answer broke off, as
    /// long as the object is the same.
    ///
    /// # Errors
    /// When it cannot be read. What breaks off later is the stream's last item.
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

    /// What is taken down of it.
    pub fn log(&self) -> &'a Log {
        self.wire.log
    }

    /// A small object as a whole; `None` where there is none.
    ///
    /// # Errors
    /// As of [`Store::read`], and when it has more bytes than `limit`.
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

    /// Writes a small object under a key that must be new. Of several that do so at once, one does.
    ///
    /// # Errors
    /// When it cannot be written. Whether it is there is not known then.
    pub async fn create(&self, key: &str, bytes: Bytes, leave: &impl Leave) -> Result<Created, ClientError> {
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
        // The first answer may have been lost, and the second says that it is there.
        let there = self.get(key, BACK).await?.ok_or(taken)?;
        Ok(if there == bytes { Created::AlreadyOurs } else { Created::TakenBy(there) })
    }

    /// Begins to write a large object under a key that must be new. Nothing stands there before it is finished; what was
    /// sent until then stays in the store until it is aborted, also when this process ends.
    ///
    /// # Errors
    /// When something stands there, or the store refuses. After a lost answer there may be an upload whose id nobody knows:
    /// abort it by its key.
    pub async fn begin(&self, key: &str, leave: &impl Leave) -> Result<Upload<'_>, ClientError> {
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

    /// Makes an unfinished upload and all that was sent for it go away: the one with this id, or every one of this key. One
    /// that is not there is no error, and an object under the key stays.
    ///
    /// # Errors
    /// When it cannot be aborted.
    pub async fn abort(&self, key: &str, id: Option<&str>, leave: &impl Leave) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => {
                folder::abort(self.wire(), file(root, key)?, id.map(str::to_owned), leave).await
            }
            Place::Bucket(on) => upload::abort((self.wire(), &on.0), key, id, leave).await,
        }
    }

    /// Makes what is left of every [`Store::create`] of this key that did not come to its end go away. A bucket has an object
    /// as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn abort_create(&self, key: &str, leave: &impl Leave) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => folder::abort(self.wire(), file(root, key)?, None, leave).await,
            Place::Bucket(_) => Ok(()),
        }
    }

    /// Deletes an object; none is no error. In a bucket that keeps versions it is only hidden by a delete marker.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn delete(&self, key: &str, leave: &impl Leave) -> Result<(), ClientError> {
        match &self.place {
            Place::Folder(root) => folder::delete(self.wire(), file(root, key)?, leave).await,
            Place::Bucket(on) => versions::delete((self.wire(), &on.0), key, leave).await,
        }
    }

    /// Every version and delete marker of the objects whose names begin with `prefix`, in order of key. A folder has one
    /// version of each, with the id that a bucket without versions gives.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn versions(&self, prefix: &str) -> Result<Vec<Version>, ClientError> {
        match &self.place {
            Place::Folder(root) => {
                let listing = folder::list(self.wire(), root, prefix).await?;
                Ok(listing.objects.into_iter().map(Version::only).collect())
            }
            Place::Bucket(on) => versions::list(self.wire(), &on.0, prefix).await,
        }
    }

    /// Can versions be locked here? Where the login may not ask, it is taken for a yes. A folder locks nothing.
    ///
    /// # Errors
    /// When that cannot be said.
    pub async fn can_lock(&self) -> Result<bool, ClientError> {
        match &self.place {
            Place::Folder(_) => Ok(false),
            Place::Bucket(_) => versions::can_lock(self.wire()).await,
        }
    }

    /// What keeps a version from being deleted, in words: `GOVERNANCE until 2026-11-22T11:02:21Z`; `None` for nothing. No
    /// delete marker is ever locked.
    ///
    /// # Errors
    /// When that cannot be said: a login that may not ask does not know that there is none.
    pub async fn lock_of(&self, version: &Version) -> Result<Option<String>, ClientError> {
        match &self.place {
            Place::Bucket(on) if !version.marker => versions::lock_of((self.wire(), &on.0), version).await,
            _ => Ok(None),
        }
    }

    /// Deletes one version or delete marker for good; none is no error.
    ///
    /// # Errors
    /// When it cannot be deleted, for any other reason than a lock.
    pub async fn delete_version(
        &self,
        key: &str,
        version: &str,
        leave: &impl Leave,
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

/// The whole name of an object. One that a URL or a server would read as another's is none.
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

/// The file of a key.
pub(super) fn file(root: &std::path::Path, key: &str) -> Result<PathBuf, ClientError> {
    let path = whole("", key)?;
    if folder::is_partial(key) {
        let message = format!("`{key}` is the name of an unfinished upload");
        return Err(ClientError::new(ErrorCode::BadSettings, message));
    }
    Ok(root.join(path.as_ref()))
}

/// The same bytes, and an error at their end where they are not as many as announced.
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
