//! The beginning of an archive of pg_dump (`-Fc`, and `toc.dat` of the other formats): who made it, of what, how packed.
//! Source: `ReadHead` in PostgreSQL's `pg_backup_archiver.c`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const MAGIC: &[u8] = b"PGDMP";

/// What the head of an archive says. What is not there or cannot be read is `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// The version of the archive format, such as `1.14`: not that of PostgreSQL.
    pub archive_version: String,
    /// How its data are packed: `none`, `gzip`, `gzip:1`, `lz4`, `zstd`.
    pub compression: Option<String>,
    /// When it was made, in the local time of that machine: `2026-02-16 02:00:04`.
    pub made: Option<String>,
    /// The database that was dumped.
    pub database: Option<String>,
    /// The version of its server.
    pub server_version: Option<String>,
    /// The version of the pg_dump that wrote it.
    pub dump_version: Option<String>,
}

/// What follows the magic: format, and what the head says.
pub(super) fn read(head: &[u8]) -> Option<(u8, Header)> {
    let mut rest = Rest { bytes: head.strip_prefix(MAGIC)?, int: 4 };
    let (major, minor) = (rest.byte()?, rest.byte()?);
    let version = (major, minor);
    if version > (1, 0) {
        rest.byte()?;
    }
    rest.int = rest.byte()?;
    if version >= (1, 7) {
        rest.byte()?;
    }
    let format = rest.byte()?;
    let mut header = Header { archive_version: format!("{major}.{minor}"), ..Header::default() };
    // Older ones are of before PostgreSQL 8.
    if version >= (1, 10) {
        rest.more(version, &mut header);
    }
    Some((format, header))
}

struct Rest<'a> {
    bytes: &'a [u8],
    /// Bytes of an integer.
    int: u8,
}

impl Rest<'_> {
    fn more(&mut self, version: (u8, u8), header: &mut Header) -> Option<()> {
        header.compression = Some(if version >= (1, 15) {
            ["none", "gzip", "lz4", "zstd"].get(usize::from(self.byte()?))?.to_string()
        } else {
            match self.int()? {
                0 => "none".to_owned(),
                -1 => "gzip".to_owned(),
                level => format!("gzip:{level}"),
            }
        });
        let mut time = [0; 7];
        for part in &mut time {
            *part = self.int()?;
        }
        let [second, minute, hour, day, month, year, _] = time;
        let (year, month) = (year + 1900, month + 1);
        header.made = Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"));
        for text in [&mut header.database, &mut header.server_version, &mut header.dump_version] {
            self.text(text)?;
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// A sign, then the bytes from the lowest on. Those beyond 32 bits are 0 in what pg_dump writes.
    fn int(&mut self) -> Option<i64> {
        let negative = self.byte()? != 0;
        let mut value = 0_i64;
        for at in 0..self.int {
            let byte = i64::from(self.byte()?);
            value |= if at < 4 { byte << (8 * u32::from(at)) } else { 0 };
        }
        Some(if negative { -value } else { value })
    }

    /// Its length, -1 for none, then its bytes.
    fn text(&mut self, into: &mut Option<String>) -> Option<()> {
        let Ok(length) = usize::try_from(self.int()?) else { return Some(()) };
        let text = self.bytes.get(..length)?;
        self.bytes = &self.bytes[length..];
        *into = Some(String::from_utf8_lossy(text).into_owned());
        Some(())
    }
}
