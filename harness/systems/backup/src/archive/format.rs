//! What a file of bytes is that someone calls a backup, told by its first bytes and never by its name.

use super::header::{self, Header};
use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// So many first bytes decide.
pub const HEAD: usize = 4 << 10;

/// What the bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `pg_dump -Fc`.
    Custom(Header),
    /// `pg_dump -Ft`.
    Tar,
    /// Text of `pg_dump -Fp`, or what `pg_restore -f -` makes of an archive.
    Sql,
    /// Text of `pg_dumpall`.
    Cluster,
    /// SQL that pg_dump's heading does not begin.
    OtherSql,
    /// gzip; what is inside is another question.
    Gzip,
    /// zstd; likewise.
    Zstd,
    /// The list of a directory-format dump, whose data are in files of their own.
    Directory(Header),
    /// A tar of something else.
    OtherTar,
    /// A dump of another database: `MySQL` or `MariaDB`.
    Mysql,
    /// Packed by a program whose format is not read here: its name.
    Packed(String),
    /// Encrypted by this program.
    Encrypted(String),
    /// `HTML`, `XML` or `JSON`: likely the answer of a server in the place of a file.
    Page(String),
    /// Other text.
    Text,
    /// Text in UTF-16.
    Utf16,
    /// Nothing but zero bytes, as far as was looked.
    Zeros,
    /// Nothing at all.
    Empty,
    /// None of these.
    Unknown,
}

/// First bytes that say all.
const PACKED: [(&[u8], &str); 9] = [
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"\x89LZO", "lzop"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];

const ENCRYPTED: [(&[u8], &str); 4] = [
    (b"age-encryption.org/", "age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    (b"-----BEGIN PGP MESSAGE-----", "gpg"),
    (b"Salted__", "openssl"),
];

/// How SQL begins, in small letters.
const SQL: [&str; 14] = [
    "--",
    "/*",
    "set ",
    "select ",
    "create ",
    "insert ",
    "copy ",
    "begin",
    "start ",
    "drop ",
    "alter ",
    "truncate ",
    "\\connect",
    "\\restrict",
];

impl Format {
    /// Tells it by the first [`HEAD`] bytes, or all where there are fewer.
    pub fn of(head: &[u8]) -> Self {
        if head.is_empty() {
            return Self::Empty;
        }
        if head.iter().all(|byte| *byte == 0) {
            return Self::Zeros;
        }
        archive(head).or_else(|| packed(head)).or_else(|| text(head)).unwrap_or(Self::Unknown)
    }

    /// Can it be read to its end here?
    pub fn is_read(&self) -> bool {
        use Format::{Cluster, Custom, Gzip, OtherSql, Sql, Tar, Zstd};
        matches!(self, Custom(_) | Tar | Sql | Cluster | OtherSql | Gzip | Zstd)
    }

    /// Is it certainly no backup?
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Page(_) | Self::Text | Self::Zeros | Self::Empty | Self::Mysql)
    }
}

fn archive(head: &[u8]) -> Option<Format> {
    // The lists of the directory and the tar format say that they are tar.
    const TAR: u8 = 3;
    const DIRECTORY: u8 = 5;
    if head.starts_with(header::MAGIC) {
        // One that is cut within its head is for pg_restore to refuse.
        let (format, header) = header::read(head).unwrap_or_default();
        let list = matches!(format, TAR | DIRECTORY);
        return Some(if list { Format::Directory(header) } else { Format::Custom(header) });
    }
    let tar = head.get(257..262) == Some(b"ustar");
    tar.then(|| if head.starts_with(b"toc.dat\0") { Format::Tar } else { Format::OtherTar })
}

fn packed(head: &[u8]) -> Option<Format> {
    let named = |list: &[(&[u8], &str)]| {
        list.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| (*name).to_owned())
    };
    match head {
        [0x1f, 0x8b, ..] => return Some(Format::Gzip),
        // A frame, or one that is to be skipped, as pzstd puts before each.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Some(Format::Zstd),
        // OpenPGP: a session key for a public key, version 3, or for a passphrase, version 4 to 6.
        [0x84, _, 3, ..] | [0x85, _, _, 3, ..] | [0x8c, _, 4..=6, ..] | [0xc1 | 0xc3, _, 3..=6, ..] => {
            return Some(Format::Encrypted("gpg".to_owned()));
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Format::Utf16),
        _ => {}
    }
    named(&PACKED).map(Format::Packed).or_else(|| named(&ENCRYPTED).map(Format::Encrypted))
}

fn text(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    // Letters of any encoding that a database may have; no text has these.
    if head.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0x1b)) {
        return heading(head);
    }
    let begins = head.trim_ascii_start();
    let small = begins[..begins.len().min(256)].to_ascii_lowercase();
    let starts = |text: &str| small.starts_with(text.as_bytes());
    let page = |name: &str| Some(Format::Page(name.to_owned()));
    if starts("<!doctype html") || starts("<html") || starts("<head") || starts("<body") {
        return page("HTML");
    }
    if starts("<") {
        return page("XML");
    }
    if starts("{") || starts("[") {
        return page("JSON");
    }
    if memmem::find(&small, b"mysql dump").or(memmem::find(&small, b"mariadb dump")).is_some() {
        return Some(Format::Mysql);
    }
    heading(head)
        .or_else(|| SQL.iter().any(|word| starts(word)).then_some(Format::OtherSql))
        .or(Some(Format::Text))
}

/// The heading of pg_dump or pg_dumpall, as a line of its own; the outer one comes first.
fn heading(head: &[u8]) -> Option<Format> {
    head.split(|byte| *byte == b'\n').find_map(|line| match line.trim_ascii_end() {
        b"-- PostgreSQL database cluster dump" => Some(Format::Cluster),
        b"-- PostgreSQL database dump" => Some(Format::Sql),
        _ => None,
    })
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(header) => {
                write!(f, "an archive of pg_dump in custom format{}", Made(header))
            }
            Self::Tar => f.write_str("an archive of pg_dump in tar format"),
            Self::Sql => f.write_str("plain SQL of pg_dump"),
            Self::Cluster => f.write_str("plain SQL of pg_dumpall: roles and several databases"),
            Self::OtherSql => f.write_str("SQL without pg_dump's heading: nothing in it says whether it is whole"),
            Self::Gzip => f.write_str("gzip"),
            Self::Zstd => f.write_str("zstd"),
            Self::Directory(header) => write!(
                f,
                "the `toc.dat` of a dump in directory format{}: the data are in the files beside it; pack the folder as one file, or dump with `-Fc`",
                Made(header)
            ),
            Self::OtherTar => f.write_str(
                "a tar, but not one of `pg_dump -Ft`, whose first file is `toc.dat`; unpack it, and look at what is in it",
            ),
            Self::Mysql => f.write_str("a dump of MySQL or MariaDB, and not of PostgreSQL"),
            Self::Packed(by) => {
                write!(f, "packed with {by}, which is not read here: unpack it, or pack with gzip or zstd")
            }
            Self::Encrypted(by) => {
                write!(f, "encrypted with {by}: whether a backup is inside can only be seen with its key; decrypt it first")
            }
            Self::Page(kind) => write!(
                f,
                "{kind} and no backup: likely the answer of a server (an error, a login) that was saved in its place"
            ),
            Self::Text => f.write_str(
                "text that is no SQL, and no backup: likely a message of a program that was saved in its place",
            ),
            Self::Utf16 => f.write_str(
                "text in UTF-16, as PowerShell's `>` writes it: plain SQL has to be converted to UTF-8, and an archive is destroyed; dump with `-f FILE`",
            ),
            Self::Zeros => f.write_str("zero bytes and no backup: likely a file of which only the room was reserved"),
            Self::Empty => f.write_str("empty: the program that should have written it wrote nothing"),
            Self::Unknown => f.write_str(
                "no format of a backup that is known here: damaged at its beginning, encrypted, or something else",
            ),
        }
    }
}

/// Who made an archive and of what, as far as its head says so.
struct Made<'a>(&'a Header);

impl fmt::Display for Made<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { compression, database, dump_version, .. } = self.0;
        if let Some(compression) = compression {
            write!(f, " (compression {compression})")?;
        }
        if let Some(database) = database {
            write!(f, " of the database {database}")?;
        }
        if let Some(version) = dump_version {
            write!(f, ", made by pg_dump {version}")?;
        }
        Ok(())
    }
}
