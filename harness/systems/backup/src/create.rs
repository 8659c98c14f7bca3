//! Makes a backup. The moment is held: tables locked, snapshot exported. At it the database is dumped and, at the same time,
//! counted and hashed. The dump goes as it comes into the store and, if asked, a folder; on the way it is decoded and its
//! rows are counted. What was stored is read back. Only when all of that agrees the manifest is written, as the last thing.
//!
//! Whatever fails before leaves no backup: every upload is promised to be taken away again, and an archive without its
//! manifest too.

use super::archive::Decoded;
use super::compare::TablePair;
use super::dump::{Dumper, Inside};
use super::fetch::digest;
use super::manifest::{Archive, method};
use super::{BackupError, Manifest, name, verify};
use bytes::Bytes;
use jiff::Timestamp;
use proofmark_environment::Connection;
use proofmark_evidence::undo::{ChangePermit, Promises};
use proofmark_model::{CodedError, ErrorCode, FORMAT};
use proofmark_net::docker::Container;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::{Created, Store, Upload};
use proofmark_postgres::client::{Picture, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use url::Url;

/// What is asked for.
#[derive(Debug)]
pub struct BackupRequest<'a> {
    /// The name's template.
    pub template: &'a str,
    /// A folder of this machine that gets a copy.
    pub local: Option<&'a Path>,
    /// The container in which pg_dump is run; else it is run on this machine.
    pub container: Option<&'a Container>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How what is unfinished is found again, and known as ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Undo {
    /// The folder of the copy; `None` for the store.
    pub folder: Option<String>,
    /// The archive's name.
    pub archive: String,
    /// The manifest's name.
    pub manifest: String,
    /// What the manifest says if it is ours.
    pub made_by: String,
    /// The upload, once it has begun.
    pub upload: Option<String>,
    /// The archive's bytes and their SHA-256, once it is about to be put together.
    pub whole: Option<(u64, String)>,
    /// The pg_dump that may outlive this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    /// The archive's name below the store's `url`.
    pub archive: String,
    /// The manifest's name.
    pub manifest: String,
    /// The folder that holds a copy.
    pub local: Option<String>,
    /// Was it only said what would be done?
    pub dry_run: bool,
    /// The database.
    pub database: String,
    /// The server's version.
    pub server: String,
    /// The version of pg_dump.
    pub pg_dump: String,
    /// When the snapshot was taken, by the server's clock.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// Bytes of the archive.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Tables and their rows.
    pub tables: Vec<Counted>,
    /// All rows at the snapshot.
    pub rows: u64,
    /// Bytes that the store gave back.
    pub stored_bytes: u64,
    /// SHA-256 of these.
    pub stored_sha256: String,
    /// Seconds until the snapshot was there.
    pub seconds_snapshot: f64,
    /// Seconds of the dump, with all that is done at the same time.
    pub seconds_dump: f64,
    /// Seconds of reading it back, from every place.
    pub seconds_read_back: f64,
}

/// A table, counted on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counted {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows in the database, at the snapshot.
    pub rows: u64,
    /// Rows in the archive.
    pub archived: u64,
}

/// Where the archive goes: the store, and the folder of the copy.
struct Place<'a> {
    folder: Option<String>,
    store: Store<'a>,
}

/// Makes it.
///
/// # Errors
/// Whatever kept it from being made. Nothing that looks like a backup is there once the promises are kept.
pub async fn create(
    order: &BackupRequest<'_>,
    (source, store): (Endpoint<'_>, Endpoint<'_>),
    promises: &Promises<'_, Undo>,
) -> Result<Made, BackupError> {
    let began = source.clock.elapsed();
    let mut snapshot = Snapshot::take(source).await?;
    let dumper = Dumper::find(source, &mut snapshot, order.container).await?;
    let stem =
        name::of(order.template, &snapshot.source.database, source.clock.now(), source.clock.elapsed());
    let undo = Undo {
        folder: None,
        archive: format!("{stem}{}", name::ARCHIVE),
        manifest: format!("{stem}{}", name::MANIFEST),
        made_by: promises.mark_of_step(),
        upload: None,
        whole: None,
        inside: dumper.inside(),
    };
    let local = order.local.map(folder).transpose()?;
    let mut made = Made {
        local: local.as_ref().and_then(|local| local.url.clone()),
        dry_run: order.dry_run,
        pg_dump: dumper.tool.version.clone(),
        seconds_snapshot: seconds(source, began),
        ..Made::of(&undo, &snapshot)
    };
    let places = open(store, local.as_ref()).await?;
    if order.dry_run {
        snapshot.close().await?;
        return Ok(made);
    }
    let began = source.clock.elapsed();
    let mut uploads = begin(&places, &undo, promises).await?;
    let id = snapshot.id.clone();
    let (decoded, picture) = tokio::try_join!(dumper.dump(source, &id, &mut uploads), async {
        snapshot.picture().await.map_err(BackupError::from)
    },)?;
    made.seconds_dump = seconds(source, began);
    (made.bytes, made.sha256) = (decoded.bytes, decoded.sha256.clone());
    made.tables = agree(&picture, &decoded)?;
    made.rows = made.tables.iter().map(|table| table.rows).sum();
    let mut manifest = manifest(&undo, (&snapshot, picture), (&decoded, &dumper.tool.version));
    snapshot.close().await?;
    let mut whole = vec![];
    for (place, (undo, upload)) in places.iter().zip(uploads) {
        let promise =
            promises.promise(&Undo { whole: Some((decoded.bytes, decoded.sha256.clone())), ..undo })?;
        manifest.archive.version = upload.finish().await?.version;
        let began = source.clock.elapsed();
        (made.stored_bytes, made.stored_sha256) = read_back(&place.store, &manifest).await?;
        made.seconds_read_back += seconds(source, began);
        whole.push((&place.store, manifest.clone(), promise));
    }
    committed(&made.manifest, &whole).await?;
    Ok(made)
}

impl Made {
    /// Nothing is made yet.
    fn of(undo: &Undo, snapshot: &Snapshot<'_>) -> Self {
        Self {
            archive: undo.archive.clone(),
            manifest: undo.manifest.clone(),
            local: None,
            dry_run: false,
            database: snapshot.source.database.clone(),
            server: snapshot.source.version.clone(),
            pg_dump: String::new(),
            taken_at: snapshot.taken_at,
            bytes: 0,
            sha256: String::new(),
            tables: vec![],
            rows: 0,
            stored_bytes: 0,
            stored_sha256: String::new(),
            seconds_snapshot: 0.0,
            seconds_dump: 0.0,
            seconds_read_back: 0.0,
        }
    }
}

/// An upload to each place, with what was promised about it.
async fn begin<'p>(
    places: &'p [Place<'_>],
    undo: &Undo,
    promises: &Promises<'_, Undo>,
) -> Result<Vec<(Undo, Upload<'p>)>, BackupError> {
    let mut uploads = vec![];
    for place in places {
        let mut undo = Undo { folder: place.folder.clone(), ..undo.clone() };
        // There is one dump, however many places it goes to.
        undo.inside = undo.inside.filter(|_| place.folder.is_none());
        let promise = promises.promise(&undo)?;
        let upload = match place.store.begin(&undo.archive, &promise).await {
            Ok(upload) => upload,
            Err(error) => {
                if error.is_refusal() {
                    promises.refused(&promise)?;
                }
                return Err(error.into());
            }
        };
        // It outlives this process, and nobody else can list it.
        undo.upload = Some(upload.id.clone());
        promises.promise(&undo)?;
        uploads.push((undo, upload));
    }
    Ok(uploads)
}

fn seconds(wire: Endpoint<'_>, since: Duration) -> f64 {
    wire.clock.elapsed().saturating_sub(since).as_secs_f64()
}

/// A folder of this machine as a store, made where it is not there.
pub(super) fn folder(path: &Path) -> Result<Connection, BackupError> {
    let told = |error: std::io::Error| {
        let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable);
        BackupError::new(code, format!("the folder {}: {error}", path.display()))
    };
    std::fs::create_dir_all(path).map_err(told)?;
    existing(path)
}

/// The same where it is there: what is to be found in it would not be missed in a new one, and an empty one would look
/// like one where nothing is to be done.
///
/// # Errors
/// When it is not there.
pub fn existing(path: &Path) -> Result<Connection, BackupError> {
    let told = |code, why: String| BackupError::new(code, format!("the folder {}: {why}", path.display()));
    let whole = path.canonicalize().map_err(|error| {
        told(ErrorCode::of_io(error.kind(), ErrorCode::FileUnreadable), error.to_string())
    })?;
    let url = Url::from_file_path(&whole)
        .map_err(|()| told(ErrorCode::BadSettings, "its path is no URL".into()))?;
    Ok(Connection { name: "local".into(), url: Some(url.into()), ..Connection::default() })
}

async fn open<'a>(store: Endpoint<'a>, local: Option<&'a Connection>) -> Result<Vec<Place<'a>>, BackupError> {
    let mut places = vec![Place { folder: None, store: Store::open(store).await? }];
    if let Some(connection) = local {
        let wire = Endpoint { connection: Some(connection), ..store };
        places.push(Place { folder: connection.url.clone(), store: Store::open(wire).await? });
    }
    Ok(places)
}

/// Every table has as many rows in the archive as the database had at the snapshot, and there is no other in it.
fn agree(picture: &Picture, decoded: &Decoded) -> Result<Vec<Counted>, BackupError> {
    let count = |TablePair { schema, name, expected, rows, .. }: TablePair| match (expected, rows) {
        (Some(rows), Some(archived)) if rows == archived => Ok(Counted { schema, name, rows, archived }),
        (Some(rows), archived) => {
            let seen =
                archived.map_or_else(|| "no such table".to_owned(), |archived| format!("{archived} rows"));
            let message = format!(
                "expected {rows} rows of {schema}.{name} in the archive, as the database had at the snapshot, but it holds {seen}"
            );
            Err(BackupError::new(ErrorCode::BackupUnusable, message))
        }
        (None, archived) => {
            let message = format!(
                "expected only tables of the snapshot in the archive, but it holds {schema}.{name} with {} rows, which the database did not have",
                archived.unwrap_or_default()
            );
            Err(BackupError::new(ErrorCode::BackupUnusable, message))
        }
    };
    verify::counted(picture, decoded).into_iter().map(count).collect()
}

fn manifest(
    undo: &Undo,
    (snapshot, mut picture): (&Snapshot<'_>, Picture),
    (decoded, pg_dump): (&Decoded, &str),
) -> Manifest {
    // Sequences are not bound to a snapshot: what counts is what the dump took of them.
    picture.sequences = decoded.held().map(|held| held.sequences.clone()).unwrap_or_default();
    Manifest {
        proofmark: FORMAT.into(),
        made_by: undo.made_by.clone(),
        program: env!("CARGO_PKG_VERSION").into(),
        archive: Archive {
            key: undo.archive.clone(),
            bytes: decoded.bytes,
            sha256: decoded.sha256.clone(),
            pg_dump: pg_dump.to_owned(),
            version: None,
        },
        source: snapshot.source.clone(),
        taken_at: snapshot.taken_at,
        method: method(),
        picture,
        left_out: snapshot.left_out.clone(),
    }
}

/// What the store gives back is what was sent.
async fn read_back(store: &Store<'_>, manifest: &Manifest) -> Result<(u64, String), BackupError> {
    let Archive { key, bytes, sha256, .. } = &manifest.archive;
    store.log().begins("reading back");
    let seen = digest(store, key).await?;
    let seen = match seen {
        Some((seen, digest)) if (seen, &digest) == (*bytes, sha256) => return Ok((seen, digest)),
        Some((bytes, sha256)) => format!("{bytes} bytes with SHA-256 {sha256}"),
        None => "nothing".to_owned(),
    };
    let message = format!(
        "expected the store to give back the {bytes} bytes of `{key}` with SHA-256 {sha256}, but it gave {seen}"
    );
    Err(BackupError::new(ErrorCode::BackupUnusable, message))
}

/// Writes every manifest, once all archives are whole. Who is told that no backup was made finds none in any place.
async fn committed(
    key: &str,
    whole: &[(&Store<'_>, Manifest, impl ChangePermit)],
) -> Result<(), BackupError> {
    for (at, (store, manifest, promise)) in whole.iter().enumerate() {
        let Err(error) = publish(store, key, manifest, promise).await else { continue };
        for (store, _, promise) in &whole[..at] {
            store.delete(key, promise).await?;
        }
        return Err(error);
    }
    Ok(())
}

async fn publish(
    store: &Store<'_>,
    key: &str,
    manifest: &Manifest,
    leave: &impl ChangePermit,
) -> Result<(), BackupError> {
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| BackupError::new(ErrorCode::Internal, error.to_string()))?;
    match store.create(key, Bytes::from(text), leave).await? {
        Created::Now | Created::AlreadyOurs => Ok(()),
        Created::TakenBy(_) => {
            let message = format!(
                "expected no manifest under the name `{key}`, but another one is there: two backups had one name"
            );
            let error = CodedError::new(ErrorCode::Conflict, message);
            Err(error.help("add {micros} and {pid} to `name`").into())
        }
    }
}
