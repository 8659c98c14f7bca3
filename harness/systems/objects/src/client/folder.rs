//! Uses a folder of this machine as a store: every file below it is an object, and links are followed. An unfinished
//! file is hidden beside its final name, which it gets when it is complete and on the disk; existing files are never
//! overwritten.

use super::store::{Finished, Head, Stream};
use super::{Listing, Object};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::{ErrorCode, Exchange};
use proofmark_net::ClientError;
use proofmark_net::files::{self, GivenUp, unread, unwritten};
use proofmark_net::http::Endpoint;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempPath;
use tokio::io::AsyncReadExt as _;
use walkdir::WalkDir;

/// The separator between a name and the id of its upload.
const PARTIAL: &str = ".partial-";

/// The number of hexadecimal digits of an id.
const DIGITS: usize = 16;

/// The number of bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// Returns whether this is the name of an unfinished upload. No object has such a name.
pub(super) fn is_partial(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or_default();
    let id = name.strip_prefix('.').and_then(|rest| Some(rest.rsplit_once(PARTIAL)?.1));
    id.is_some_and(is_id)
}

fn is_id(id: &str) -> bool {
    id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn partial(path: &Path, id: &str) -> Result<PathBuf, ClientError> {
    // The id comes from a journal, and the file that it names is deleted.
    let name = path.file_name().filter(|_| is_id(id));
    let name = name
        .ok_or_else(|| ClientError::new(ErrorCode::WrongTarget, format!("`{id}` is the id of no upload")))?;
    Ok(path.with_file_name(format!(".{}{PARTIAL}{id}", name.to_string_lossy())))
}

/// Works on a file within the remaining time, and logs it.
async fn done<T: Send + 'static>(
    wire: Endpoint<'_>,
    method: &str,
    path: &Path,
    work: impl FnOnce(&Path, &GivenUp) -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let (result, exchange) = timed(wire, method, path, work).await;
    wire.log.push(exchange);
    result
}

/// Works on a file within the remaining time.
async fn timed<T: Send + 'static>(
    wire: Endpoint<'_>,
    method: &str,
    path: &Path,
    work: impl FnOnce(&Path, &GivenUp) -> Result<T, ClientError> + Send + 'static,
) -> (Result<T, ClientError>, Exchange) {
    let started = wire.clock.elapsed();
    let shown = files::shown(path);
    let result = tokio::time::timeout(wire.timeout, files::aside(&shown, work)).await;
    let result = result.unwrap_or_else(|_| {
        let stage = format!("`{method}` did not come to its end");
        Err(ClientError::Timeout { at: shown.clone(), after: wire.timeout, stage })
    });
    let seconds = wire.clock.elapsed().saturating_sub(started).as_secs_f64();
    (result, Exchange { method: method.into(), target: shown, seconds, ..Exchange::default() })
}

/// Lists all files whose path below the folder begins with `prefix`.
pub(super) async fn list(wire: Endpoint<'_>, folder: &Path, prefix: &str) -> Result<Listing, ClientError> {
    let wanted = prefix.to_owned();
    let objects = done(wire, "list", folder, move |folder, given_up| walk(folder, &wanted, given_up)).await?;
    Ok(Listing { objects, hidden_by: None })
}

fn walk(folder: &Path, prefix: &str, given_up: &GivenUp) -> Result<Vec<Object>, ClientError> {
    // A dangling link or a file that has just been removed is an error too, because nothing may be omitted silently.
    let mut objects = vec![];
    for entry in WalkDir::new(folder).follow_links(true) {
        given_up.check(folder)?;
        let entry = entry.map_err(|error| {
            let at = error.path().unwrap_or(folder).to_owned();
            unread(
                &at,
                &error.into_io_error().unwrap_or_else(|| io::Error::other("its links go in a circle")),
            )
        })?;
        if entry.depth() == 0 && !entry.file_type().is_dir() {
            return Err(unread(folder, &io::ErrorKind::NotADirectory.into()));
        }
        if !entry.file_type().is_file() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let key =
            below.to_str().ok_or_else(|| unread(entry.path(), &io::Error::other("its name is no UTF-8")))?;
        if !key.starts_with(prefix) || is_partial(key) {
            continue;
        }
        let found = files::look(entry.path())?;
        let meta = found.meta.ok_or_else(|| unread(entry.path(), &io::ErrorKind::NotFound.into()))?;
        objects.push(Object { key: key.to_owned(), size: meta.size, modified: to_millis(meta.modified) });
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// Rounds a time to milliseconds, the precision of a bucket.
fn to_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Checks that the folder exists. It is never created, because on an unmounted disk the data would go elsewhere.
pub(super) fn stands(root: &Path) -> Result<(), ClientError> {
    let wrong = |kind: ErrorKind| Err(unread(root, &kind.into()));
    match files::look(root)?.meta {
        Some(meta) if meta.kind == files::FileType::Folder => Ok(()),
        Some(_) => wrong(ErrorKind::NotADirectory),
        None => wrong(ErrorKind::NotFound),
    }
}

/// Returns what is stored under a key.
pub(super) async fn head(wire: Endpoint<'_>, path: PathBuf) -> Result<Option<Head>, ClientError> {
    done(wire, "look", &path, |path, _| {
        let Some(meta) = files::look(path)?.meta else { return Ok(None) };
        Ok((meta.kind == files::FileType::File).then_some(Head {
            size: meta.size,
            version: None,
            etag: None,
        }))
    })
    .await
}

/// Returns a file's size and bytes; `None` if it does not exist.
pub(super) async fn read(wire: Endpoint<'_>, path: PathBuf) -> Result<Option<(u64, Stream)>, ClientError> {
    let opened = done(wire, "read", &path, |path, _| {
        if files::look(path)?.meta.is_none_or(|meta| meta.kind != files::FileType::File) {
            return Ok(None);
        }
        let file = files::open(path)?;
        let size = file.metadata().map_err(|error| unread(path, &error))?.len();
        Ok(Some((file, size)))
    });
    let Some((file, size)) = opened.await? else { return Ok(None) };
    let stream = stream::try_unfold((tokio::fs::File::from_std(file), path), |(mut file, path)| async {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        file.read_buf(&mut bytes).await.map_err(|error| unread(&path, &error))?;
        Ok((!bytes.is_empty()).then(|| (bytes.freeze(), (file, path))))
    });
    Ok(Some((size, stream.boxed())))
}

/// Writes a new file as a whole. Returns `false` if it exists already.
pub(super) async fn create(
    wire: Endpoint<'_>,
    (root, path): (&Path, PathBuf),
    bytes: Bytes,
    _leave: &impl ChangePermit,
) -> Result<bool, ClientError> {
    let (root, id) = (root.to_owned(), new_id());
    done(wire, "create", &path, move |path, _| {
        let beside = partial(path, &id)?;
        let work = || {
            folders(&root, path)?;
            // The file is removed when this is dropped, even if it was only begun.
            let file = TempPath::try_from_path(&beside)?;
            let mut open = fresh(&beside)?;
            open.write_all(&bytes)?;
            open.sync_all()?;
            settle(file, path)
        };
        work().map_err(|error| unwritten(path, &error))
    })
    .await
}

/// Begins a file that does not exist yet, and returns the id of its partial file.
pub(super) async fn begin(
    wire: Endpoint<'_>,
    (root, path): (&Path, PathBuf),
    _leave: &impl ChangePermit,
) -> Result<String, ClientError> {
    let (root, id) = (root.to_owned(), new_id());
    done(wire, "begin", &path, move |path, _| {
        let beside = partial(path, &id)?;
        let begun = folders(&root, path).and_then(|()| fresh(&beside));
        begun.map_err(|error| unwritten(path, &error)).map(|_| id)
    })
    .await
}

/// Appends to a partial file.
pub(super) async fn write(
    wire: Endpoint<'_>,
    path: PathBuf,
    id: &str,
    bytes: Bytes,
) -> Result<(), ClientError> {
    let (carried, beside) = (bytes.len() as u64, partial(&path, id)?);
    let written = timed(wire, "write", &beside, move |beside, _| {
        // The file is not created here, so that an aborted upload stays aborted.
        let open = OpenOptions::new().append(true).open(beside);
        open.and_then(|mut file| file.write_all(&bytes)).map_err(|error| unwritten(beside, &error))
    });
    let (result, exchange) = written.await;
    match result {
        Ok(()) => wire.log.sum(exchange, carried),
        Err(_) => wire.log.push(exchange),
    }
    result
}

/// Syncs what was written to the disk and gives it its final name, which must still be free.
pub(super) async fn finish(
    wire: Endpoint<'_>,
    (root, path): (&Path, PathBuf),
    id: &str,
    bytes: u64,
) -> Result<Finished, ClientError> {
    let (root, beside) = (root.to_owned(), partial(&path, id)?);
    done(wire, "finish", &path, move |path, _| {
        let work = || {
            let file = File::open(&beside)?;
            file.sync_all()?;
            let size = file.metadata()?.len();
            if size != bytes {
                let why = format!("{bytes} bytes were written, and the file has {size}");
                return Err(io::Error::other(why));
            }
            folders(&root, path)?;
            if settle(TempPath::try_from_path(&beside)?, path)? {
                return Ok(());
            }
            Err(ErrorKind::AlreadyExists.into())
        };
        work().map_err(|error| unwritten(path, &error))
    })
    .await?;
    Ok(Finished { bytes, etag: None, version: None })
}

/// Deletes one partial file, or all those of a key.
pub(super) async fn abort(
    wire: Endpoint<'_>,
    path: PathBuf,
    id: Option<String>,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    done(wire, "abort", &path, move |path, _| {
        if let Some(id) = id {
            return unlink(&partial(path, &id)?);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let begins = format!(".{name}{PARTIAL}");
        let Some(folder) = path.parent() else { return Ok(()) };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| unread(folder, &error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| unread(folder, &error))?;
            let name = entry.file_name();
            if name.to_str().and_then(|name| name.strip_prefix(&begins)).is_some_and(is_id) {
                unlink(&entry.path())?;
            }
        }
        Ok(())
    })
    .await
}

/// Deletes a file; its folders are kept.
pub(super) async fn delete(
    wire: Endpoint<'_>,
    path: PathBuf,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    done(wire, "delete", &path, |path, _| unlink(path)).await
}

fn unlink(path: &Path) -> Result<(), ClientError> {
    match fs::remove_file(path).and_then(|()| sync_folder_of(path)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        other => other.map_err(|error| unwritten(path, &error)),
    }
}

fn new_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Creates a file that only its owner can read, because backups contain what their databases protect.
fn fresh(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Gives a file its final name if that is free, and syncs the rename to the disk.
fn settle(file: TempPath, path: &Path) -> io::Result<bool> {
    match file.persist_noclobber(path) {
        Ok(()) => sync_folder_of(path).map(|()| true),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

/// Creates the folders between the root, which exists, and a file.
fn folders(root: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(root).ok().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut folder = root.to_owned();
    for name in below {
        folder.push(name);
        match fs::create_dir(&folder) {
            Ok(()) => sync_folder_of(&folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
