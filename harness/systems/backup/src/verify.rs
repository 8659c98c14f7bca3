//! Looks at archives where they are, without a database: are their bytes those that were written, are they whole, and do
//! they hold as many rows of every table as the manifest says?

use super::archive::{self, Cut, Decoded, Outcome};
use super::compare::{Depth, TablePair, compare};
use super::fetch::{Chosen, digest, vanished};
use super::{Backup, BackupError};
use proofmark_net::http::Endpoint;
use proofmark_objects::client::Store;
use proofmark_postgres::client::programs::Programs;
use proofmark_postgres::client::{Picture, TablePicture};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the archive was seen to be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ArchiveSeen {
    /// Outermost first: `gzip`, `plain SQL`.
    pub formats: Vec<String>,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What the manifest says; `null` without one.
    pub expected_sha256: Option<String>,
    /// Was it decoded to its end? `null` where it was not decoded.
    pub outcome: Option<Outcome>,
    /// The COPY in which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// A backup that was looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// Where it is.
    pub backup: Backup,
    /// What its archive was seen to be.
    pub archive: ArchiveSeen,
    /// Rows in the archive beside those that the manifest says; empty where it was not decoded.
    pub tables: Vec<TablePair>,
    /// What this does not prove, in words.
    pub unproven: Vec<String>,
}

impl ArchiveSeen {
    /// Of an archive that was decoded.
    pub(super) fn of(chosen: &Chosen, decoded: &Decoded) -> Self {
        Self {
            formats: decoded.formats.iter().map(ToString::to_string).collect(),
            bytes: decoded.bytes,
            sha256: decoded.sha256.clone(),
            expected_sha256: chosen.sha256(),
            outcome: Some(decoded.outcome.clone()),
            cut: decoded.contents.as_ref().and_then(|held| held.cut.clone()),
        }
    }
}

/// Looks at one backup, to its last byte. With `decode` it is decoded too.
///
/// # Errors
/// When the store cannot be read, or this machine cannot decode it.
pub async fn verify(store: Endpoint<'_>, chosen: &Chosen, decode: bool) -> Result<Verified, BackupError> {
    let (backup, key) = (chosen.backup.clone(), &chosen.backup.archive);
    let opened = Store::open(store).await?;
    store.log.begins("reading");
    let gone = || vanished(key);
    if !decode {
        let (bytes, sha256) = digest(&opened, key).await?.ok_or_else(gone)?;
        let expected_sha256 = chosen.sha256();
        let archive =
            ArchiveSeen { formats: vec![], bytes, sha256, expected_sha256, outcome: None, cut: None };
        let unproven = vec!["that it can be decoded or restored: only its bytes were looked at".to_owned()];
        return Ok(Verified { backup, archive, tables: vec![], unproven });
    }
    let (_, stream) = opened.read(key).await?.ok_or_else(gone)?;
    let decoded = archive::decode(stream, &Programs::of_this_machine(), (store.clock, store.log)).await?;
    let tables = match &chosen.manifest {
        Some(manifest) => counted(&manifest.picture, &decoded),
        None => counted(&Picture { tables: as_it_says(&decoded), ..Picture::default() }, &decoded),
    };
    let mut unproven = vec!["that it can be restored: no database was asked".to_owned()];
    unproven.extend(decoded.unproven.iter().cloned());
    Ok(Verified { backup, archive: ArchiveSeen::of(chosen, &decoded), tables, unproven })
}

/// Every table of a database as it was, and of the archive that was made of it, beside each other.
pub(super) fn counted(was: &Picture, decoded: &Decoded) -> Vec<TablePair> {
    let held = Picture { tables: as_it_says(decoded), ..Picture::default() };
    compare(was, &held, Depth::Counts).tables
}

/// What an archive says that it holds.
pub(super) fn as_it_says(decoded: &Decoded) -> Vec<TablePicture> {
    decoded
        .held()
        .iter()
        .flat_map(|held| &held.tables)
        .map(|table| {
            // SQL of other tools names tables without their schema.
            let schema = if table.schema.is_empty() { "public".to_owned() } else { table.schema.clone() };
            let (name, rows) = (table.name.clone(), table.rows);
            TablePicture { schema, name, rows, hash: String::new(), extension: None }
        })
        .collect()
}
