//! Files of this machine, looked at and read in bounded memory. Nothing here waits for a pipe or opens a device, and a
//! look that is given up stops reading.

mod replace;

pub use replace::unwritten;
pub use replace::{clear, replace};

use super::ClientError;
use jiff::Timestamp;
use memchr::memchr;
use nix::libc::O_NONBLOCK;
use proofmark_model::ErrorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So much is read at once.
const CHUNK: usize = 256 << 10;

/// What stands at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl FileType {
    /// In words: `a folder`.
    pub fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }

    fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        match () {
            () if kind.is_file() => Self::File,
            () if kind.is_dir() => Self::Folder,
            () if kind.is_fifo() => Self::Fifo,
            () if kind.is_socket() => Self::Socket,
            () => Self::Device,
        }
    }
}

/// What is known of a path without reading what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where the path leads, when it is a symbolic link.
    pub link_to: Option<String>,
    /// `None` when nothing stands there: no such path, or a link that leads nowhere.
    pub meta: Option<Meta>,
}

/// Of the file that a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: FileType,
    /// Bytes.
    pub size: u64,
    /// Permission bits, set-uid and sticky bits included.
    pub mode: u32,
    /// When its content was last changed.
    pub modified: Timestamp,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its first bytes, up to the limit.
    pub bytes: Arc<Vec<u8>>,
    /// Are they all?
    pub whole: bool,
    /// SHA-256 of these bytes, in hex.
    pub sha256: String,
}

/// Looks at a path.
///
/// # Errors
/// When it cannot be looked at: no permission for a folder on the way, a loop of links, a disk error.
pub fn look(path: &Path) -> Result<Found, ClientError> {
    let absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let own = match path.symlink_metadata() {
        Ok(own) => own,
        Err(error) if absent(&error) => return Ok(Found { link_to: None, meta: None }),
        Err(error) => return Err(unread(path, &error)),
    };
    let link_to = own.is_symlink().then(|| path.read_link().ok()).flatten();
    let link_to = link_to.map(|target| target.display().to_string());
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) if absent(&error) => return Ok(Found { link_to, meta: None }),
        Err(error) => return Err(unread(path, &error)),
    };
    let modified = meta.modified().map_err(|error| unread(path, &error))?;
    let modified = Timestamp::try_from(modified)
        .map_err(|error| unread(path, &io::Error::other(format!("its time of change: {error}"))))?;
    let meta = Meta { kind: FileType::of(&meta), size: meta.len(), mode: meta.mode() & 0o7777, modified };
    Ok(Found { link_to, meta: Some(meta) })
}

/// Reads a file up to a limit in bytes.
///
/// # Errors
/// When it is no file, or cannot be read.
pub fn read(path: &Path, limit: usize, given_up: &GivenUp) -> Result<Content, ClientError> {
    let mut file = open(path)?.take(limit as u64 + 1);
    let mut bytes = Vec::new();
    loop {
        given_up.check(path)?;
        // Some files (those of /proc) have no size to believe, so it is read until nothing comes.
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
        if read.map_err(|error| unread(path, &error))? == 0 {
            break;
        }
    }
    let whole = bytes.len() <= limit;
    bytes.truncate(limit);
    let sha256 = proofmark_model::sha256(&bytes);
    Ok(Content { bytes: Arc::new(bytes), whole, sha256 })
}

/// Opens a regular file, and never waits for someone to open the other end of a pipe.
///
/// # Errors
/// A file that cannot be opened, or that is not a regular file.
pub fn open(path: &Path) -> Result<File, ClientError> {
    let kind = FileType::of(&path.metadata().map_err(|error| unread(path, &error))?);
    if kind != FileType::File {
        return Err(unread(path, &io::Error::other(format!("it is {}, not a file", kind.words()))));
    }
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    let file = file.map_err(|error| unread(path, &error))?;
    // It may have been another thing a moment ago.
    let kind = FileType::of(&file.metadata().map_err(|error| unread(path, &error))?);
    match kind {
        FileType::File => Ok(file),
        other => Err(unread(path, &io::Error::other(format!("it is {}, not a file", other.words())))),
    }
}

/// The error of a file that could not be read.
pub fn unread(path: &Path, error: &io::Error) -> ClientError {
    let transient = !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput);
    let hint = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "; is the path right, and is it on this machine?",
        ErrorKind::PermissionDenied => "; the user that runs Proofmark may not read it",
        _ => "",
    };
    let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnreadable);
    ClientError::File { at: shown(path), why: error.to_string(), hint, code, transient }
}

/// A path as messages and records show it: from the root, for a relative one says little years later.
pub fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Tells work on another thread that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Goes on while someone waits.
    ///
    /// # Errors
    /// When nobody does.
    pub fn check(&self, path: &Path) -> Result<(), ClientError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(unread(path, &io::Error::other("the look was given up")));
        }
        Ok(())
    }
}

/// Gives the work up when the future that waits for it is dropped.
struct Waiting(GivenUp);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does work that reads files on a thread of its own, so that time limits and signals are heeded meanwhile.
///
/// # Errors
/// Those of the work.
pub async fn aside<T: Send + 'static>(
    path: &str,
    work: impl FnOnce(&Path, &GivenUp) -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let given_up = GivenUp::default();
    let waiting = Waiting(given_up.clone());
    let path = PathBuf::from(path);
    let kept = path.clone();
    let done = tokio::task::spawn_blocking(move || work(&path, &given_up)).await;
    drop(waiting);
    done.unwrap_or_else(|error| Err(unread(&kept, &io::Error::other(error.to_string()))))
}

/// A file, line by line, through a buffer of one size. It is read as long as it was when it was opened: one that grows
/// faster than it is read would never end.
#[derive(Debug)]
pub struct Lines {
    file: File,
    path: PathBuf,
    identity: (u64, u64),
    longest: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    length: u64,
    read: u64,
}

/// One line, without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The last one, which no line feed ends: someone may be writing it.
    Unfinished(&'a [u8]),
    /// Longer than the buffer: its first bytes.
    TooLong(&'a [u8]),
}

/// What became of a file while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Bytes read.
    pub bytes: u64,
    /// It became shorter than it was.
    pub shrunk: bool,
    /// Another file stands at its path now, or none.
    pub replaced: bool,
}

impl Lines {
    /// Opens a file whose lines have at most so many bytes.
    ///
    /// # Errors
    /// When it is no file, or cannot be opened.
    pub fn open(path: &Path, longest: usize) -> Result<Self, ClientError> {
        let file = open(path)?;
        let meta = file.metadata().map_err(|error| unread(path, &error))?;
        Ok(Self {
            identity: (meta.dev(), meta.ino()),
            length: meta.len(),
            file,
            path: path.to_owned(),
            longest,
            buffer: vec![0; longest + CHUNK],
            start: 0,
            end: 0,
            read: 0,
        })
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    #[expect(clippy::should_implement_trait, reason = "the line is lent from the buffer")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, ClientError> {
        let mut scanned = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start + scanned..self.end]) {
                let from = self.start;
                let to = from + scanned + at;
                self.start = to + 1;
                let line = &self.buffer[from..to];
                return Ok(Some(if line.len() > self.longest {
                    Line::TooLong(&line[..self.longest])
                } else {
                    Line::Whole(line)
                }));
            }
            scanned = self.end - self.start;
            if scanned > self.longest {
                self.skip()?;
                return Ok(Some(Line::TooLong(&self.buffer[..self.longest])));
            }
            if !self.fill()? {
                let from = std::mem::replace(&mut self.start, self.end);
                return Ok((scanned > 0).then(|| Line::Unfinished(&self.buffer[from..self.end])));
            }
        }
    }

    /// What became of the file, once the lines have ended.
    pub fn ending(&self) -> Ending {
        let now = self.path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        Ending {
            bytes: self.read,
            shrunk: self.read < self.length || length < self.length,
            replaced: now != Some(self.identity),
        }
    }

    /// Reads on behind what is there; `false` at the end.
    fn fill(&mut self) -> Result<bool, ClientError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let left = usize::try_from(self.length - self.read).unwrap_or(usize::MAX);
        let room = (self.buffer.len() - self.end).min(CHUNK).min(left);
        let read = loop {
            match self.file.read(&mut self.buffer[self.end..self.end + room]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|error| unread(&self.path, &error))?,
            }
        };
        self.end += read;
        self.read += read as u64;
        Ok(read > 0)
    }

    /// Goes to the end of a line that is too long. Its beginning is left at the front of the buffer.
    fn skip(&mut self) -> Result<(), ClientError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.longest;
        self.start = self.longest;
        loop {
            // The beginning stays where it is: only what is behind it is read over.
            self.end = self.longest;
            let left = usize::try_from(self.length - self.read).unwrap_or(usize::MAX);
            let room = CHUNK.min(left);
            let into = &mut self.buffer[self.longest..self.longest + room];
            let read = self.file.read(into).map_err(|error| unread(&self.path, &error))?;
            self.read += read as u64;
            self.end += read;
            let found = memchr(b'\n', &self.buffer[self.longest..self.end]);
            match found {
                Some(at) => {
                    self.start = self.longest + at + 1;
                    return Ok(());
                }
                None if read == 0 => {
                    self.start = self.end;
                    return Ok(());
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Every line as text, with what kind it is.
    fn lines(bytes: &[u8], longest: usize) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = Lines::open(file.path(), longest).unwrap();
        let mut out = vec![];
        while let Some(line) = lines.next().unwrap() {
            let (mark, bytes) = match line {
                Line::Whole(bytes) => ("", bytes),
                Line::Unfinished(bytes) => ("…", bytes),
                Line::TooLong(bytes) => ("!", bytes),
            };
            out.push(format!("{mark}{}", String::from_utf8_lossy(bytes)));
        }
        assert_eq!(
            lines.ending(),
            Ending { bytes: bytes.len() as u64, shrunk: false, replaced: false },
            "all of it was read"
        );
        out
    }

    #[test]
    fn lines_come_whole_whatever_the_buffer() {
        assert!(lines(b"", 4).is_empty());
        assert_eq!(lines(b"a\n\nbc\n", 4), ["a", "", "bc"]);
        assert_eq!(lines(b"a\nbc", 4), ["a", "…bc"]);
        assert_eq!(lines(b"abcd\nabcde\nf\n", 4), ["abcd", "!abcd", "f"]);
        let long = [vec![b'x'; 3 * CHUNK], b"\nend\n".to_vec(), vec![b'y'; 2 * CHUNK]].concat();
        assert_eq!(lines(&long, 4), ["!xxxx", "end", "!yyyy"]);
        let many = "0123456789\n".repeat(100_000);
        assert_eq!(lines(many.as_bytes(), 100).len(), 100_000);
    }

    #[test]
    fn a_file_that_shrinks_or_is_rotated_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let fill = |path: &Path| File::options().create(true).write(true).truncate(true).open(path);
        fill(&path).unwrap().write_all(&vec![b'\n'; 3 * CHUNK]).unwrap();
        let mut open = Lines::open(&path, 10).unwrap();
        open.next().unwrap();
        fill(&path).unwrap();
        while open.next().unwrap().is_some() {}
        assert!(open.ending().shrunk && !open.ending().replaced);
        fill(&path).unwrap().write_all(b"a\n").unwrap();
        let mut open = Lines::open(&path, 10).unwrap();
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        fill(&path).unwrap();
        assert_eq!(open.next().unwrap(), Some(Line::Whole(b"a")));
        assert!(open.ending().replaced && !open.ending().shrunk);
    }
}
