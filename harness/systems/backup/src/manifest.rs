//! What is written beside an archive, last: a backup is one only if its manifest is there. It says what the database held
//! when the archive was made, so that a restore can be held against it years later.

use jiff::Timestamp;
use proofmark_model::FORMAT;
use proofmark_postgres::client::{LeftOut, METHOD, Picture, Sequence, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest manifest that is read, in bytes: a database of a hundred thousand objects has one of about 10 MB.
pub const LARGEST: u64 = 64 << 20;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The version of this format, `v1`.
    pub proofmark: String,
    /// Which run, scenario and step made it; that run's evidence says who ran it. It tells our own manifest from one that
    /// another process wrote at the same time.
    pub made_by: String,
    /// The program's version.
    pub program: String,
    /// The archive.
    pub archive: Archive,
    /// The database it was made from.
    pub source: Source,
    /// When its snapshot was taken: what was committed by then is in the backup. RFC 3339 in UTC, by the database's clock.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// How tables were hashed; `bits` and byte order matter to it.
    pub method: String,
    /// What the database held at the snapshot. Its sequences are those of the archive.
    pub picture: Picture,
    /// What is in the database and not in the picture, and why.
    pub left_out: Vec<LeftOut>,
}

/// An archive in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Archive {
    /// Its name below the store's `url`.
    pub key: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The version of pg_dump that wrote it.
    pub pg_dump: String,
    /// The version that the store gave it, where it keeps versions.
    pub version: Option<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no manifest.
    #[error("it is no manifest of a backup: {0}")]
    Broken(String),
    /// A newer program wrote it.
    #[error("it is of the format `{0}`, and this program reads `{FORMAT}`: a newer Proofmark wrote it")]
    Newer(String),
}

/// The first look at a manifest: which format is it?
#[derive(Deserialize)]
struct Version {
    proofmark: String,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none, or a newer one.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let broken = |error: serde_json::Error| ManifestError::Broken(error.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(broken)?;
        if version.proofmark != FORMAT {
            return Err(ManifestError::Newer(version.proofmark));
        }
        serde_json::from_slice(bytes).map_err(broken)
    }

    /// Can hashes of this machine's servers be compared with these? Another byte order or method gives other numbers.
    pub fn is_comparable(&self) -> bool {
        self.method == method()
    }

    /// Sequences as they stand in the archive.
    pub fn sequences(&self) -> &[Sequence] {
        &self.picture.sequences
    }
}

/// How tables are hashed here.
pub fn method() -> String {
    let order = if cfg!(target_endian = "little") { "little-endian" } else { "big-endian" };
    format!("{METHOD}, {order}")
}
