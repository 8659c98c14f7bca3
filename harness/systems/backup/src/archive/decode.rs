//! Reads a backup from a stream to its end: hashes it, unpacks it, counts what is in it, and says whether it is sound.

use super::contents::{Contents, Held};
use super::count::Counter;
use super::format::{Format, HEAD};
use super::pieces::Pieces;
use super::restore::{End, Restored, STUCK, restore};
use super::unpack::{Fault, Noticed, Packing};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use proofmark_model::Duration;
use proofmark_model::clock::Clock;
use proofmark_net::command::Input;
use proofmark_net::{ClientError, Log};
use proofmark_postgres::client::programs::Programs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::pin::pin;
use tokio::sync::mpsc::Sender;
use tokio::task::{JoinHandle, spawn_blocking};

/// So many packings in each other are unpacked.
const LAYERS: usize = 3;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Decoded {
    /// What the bytes are, then what is inside of that, and so on.
    pub formats: Vec<Format>,
    /// How many bytes there are.
    pub bytes: u64,
    /// Their SHA-256, of all of them whatever the outcome is.
    pub sha256: String,
    /// Is it whole?
    pub outcome: Outcome,
    /// What is in it; `null` where it was not read. Of one that is broken: what came before.
    pub contents: Option<Contents>,
    /// How pg_restore ended, where it was needed.
    pub restored: Option<Restored>,
    /// What this decode does not prove about it, in words.
    pub unproven: Vec<String>,
}

impl Decoded {
    /// What it holds of its one database, or of the first of several.
    pub fn held(&self) -> Option<&Held> {
        self.contents.as_ref()?.databases.first()
    }
}

/// Is it whole? Also where it is, its content need not be the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Outcome {
    /// Every byte of its data was decoded, to its own end.
    Sound,
    /// It is damaged, cut short, or no backup at all.
    Broken {
        /// In which of `formats`, 0 for the file itself.
        layer: usize,
        /// The byte in there up to which it was read; `null` where that is not known.
        at: Option<u64>,
        /// Why, in words that go behind "the backup …:".
        why: String,
    },
    /// That could not be seen: packed, encrypted or made by something that is not read here.
    Undecided {
        /// Why, in words.
        why: String,
    },
}

/// Why there is no answer about the backup.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError<E> {
    /// Its bytes could not be had.
    #[error("{0}")]
    Source(E),
    /// The program that reads it cannot be run.
    #[error(transparent)]
    Program(ClientError),
}

/// Decodes a backup. `programs` is where pg_restore is looked for, which only archives need.
///
/// # Errors
/// Its bytes could not be had to the end, or pg_restore is needed and cannot be run. Nothing is said about it then.
pub async fn decode<E>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    programs: &Programs,
    with: (&Clock, &Log),
) -> Result<Decoded, DecodeError<E>> {
    let (to, from) = Pieces::way();
    let (source, read) = tokio::join!(pump(stream, to), read(from, programs, with));
    let source = source.map_err(DecodeError::Source)?;
    let read = read.map_err(DecodeError::Program)?;
    let outcome = read.outcome();
    let unproven = read.unproven();
    let (bytes, sha256) = source;
    let Read { formats, contents, ran, .. } = read;
    let restored = ran.and_then(|end| if let End::Ran(restored) = end { Some(restored) } else { None });
    Ok(Decoded { formats, bytes, sha256, outcome, contents, restored, unproven })
}

/// Passes all bytes on for as long as someone wants them; gives back how many there are and their SHA-256.
async fn pump<E>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    to: Sender<Bytes>,
) -> Result<(u64, String), E> {
    let mut stream = pin!(stream);
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut to = Some(to);
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        hash.update(&piece);
        bytes += piece.len() as u64;
        if let Some(next) = &to
            && !piece.is_empty()
            && next.send(piece).await.is_err()
        {
            to = None;
        }
    }
    Ok((bytes, hex::encode(hash.finalize())))
}

/// What was read of it, layer by layer.
struct Read {
    formats: Vec<Format>,
    /// How each packing ended, outermost first.
    unpacked: Vec<Result<Noticed, Fault>>,
    contents: Option<Contents>,
    /// Bytes of the innermost format.
    used: u64,
    ran: Option<End>,
}

/// What is packed, unpacked layer by layer.
struct Unpacking {
    formats: Vec<Format>,
    threads: Vec<JoinHandle<Result<Noticed, Fault>>>,
    /// The innermost bytes.
    inside: Pieces,
}

impl Unpacking {
    async fn of(mut from: Pieces) -> Self {
        let (mut formats, mut threads) = (vec![], vec![]);
        loop {
            let format = Format::of(from.peek(HEAD).await);
            let packing = match format {
                Format::Gzip => Some(Packing::Gzip),
                Format::Zstd => Some(Packing::Zstd),
                _ => None,
            };
            formats.push(format);
            let Some(packing) = packing.filter(|_| formats.len() <= LAYERS) else {
                return Self { formats, threads, inside: from };
            };
            let (to, inside) = Pieces::way();
            let packed = std::mem::replace(&mut from, inside);
            threads.push(spawn_blocking(move || packing.unpack(packed, &to)));
        }
    }
}

/// Unpacks a backup that was decoded before into a program's input, until that takes no more.
///
/// # Errors
/// Its bytes could not be had to the end, or the program's input is broken.
pub async fn unpacked<E>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    input: &mut Input,
) -> Result<(), DecodeError<E>> {
    let (to, from) = Pieces::way();
    let feed = async {
        let mut inside = Unpacking::of(from).await.inside;
        while let Some(piece) = inside.next().await {
            if !input.write(&piece).await? {
                break;
            }
        }
        Ok(())
    };
    let (source, fed) = tokio::join!(pump(stream, to), feed);
    source.map_err(DecodeError::Source)?;
    fed.map_err(DecodeError::Program)
}

async fn read(from: Pieces, programs: &Programs, with: (&Clock, &Log)) -> Result<Read, ClientError> {
    let Unpacking { formats, threads, inside: mut from } = Unpacking::of(from).await;
    let (mut contents, mut ran) = (None, None);
    match formats.last() {
        Some(Format::Sql | Format::Cluster | Format::OtherSql) => contents = Some(count(&mut from).await),
        Some(format @ (Format::Custom(_) | Format::Tar)) => {
            let (end, held) = restore(&mut from, *format == Format::Tar, programs, with).await?;
            (ran, contents) = (Some(end), Some(held));
        }
        _ => {}
    }
    let used = from.used;
    drop(from);
    let mut unpacked = vec![];
    for thread in threads {
        let broken = |error| Fault { at: 0, why: format!("unpacking it failed: {error}") };
        unpacked.push(thread.await.unwrap_or_else(|error| Err(broken(error))));
    }
    Ok(Read { formats, unpacked, contents, used, ran })
}

async fn count(from: &mut Pieces) -> Contents {
    let mut counter = Counter::default();
    while let Some(piece) = from.next().await {
        counter.feed(&piece);
        // Counting is work: others of this thread want to go on too.
        tokio::task::yield_now().await;
    }
    counter.finish()
}

impl Read {
    fn innermost(&self) -> &Format {
        self.formats.last().unwrap_or(&Format::Empty)
    }

    fn outcome(&self) -> Outcome {
        let inner = self.formats.len() - 1;
        // The outermost fault is the cause of those within.
        let fault =
            self.unpacked.iter().enumerate().find_map(|(layer, end)| Some((layer, end.as_ref().err()?)));
        if let Some((layer, Fault { at, why })) = fault {
            return Outcome::Broken { layer, at: Some(*at), why: self.with_cut(why) };
        }
        let format = self.innermost();
        let broken = |at, why| Outcome::Broken { layer: inner, at, why };
        if format.is_none() {
            return broken(Some(0), format!("it is {format}"));
        }
        let Some(contents) = &self.contents else {
            let why = match format {
                Format::Gzip | Format::Zstd => format!("it is packed more than {LAYERS} times"),
                _ => format!("it is {format}"),
            };
            return Outcome::Undecided { why };
        };
        if let Some(wrong) = self.ran.as_ref().and_then(|ran| self.wrong(ran)) {
            return wrong;
        }
        match (format, contents.broken()) {
            (Format::OtherSql, Some(_)) if contents.dumps == 0 && contents.cut.is_none() => {
                Outcome::Undecided { why: format!("it is {format}") }
            }
            (_, Some(why)) => broken(Some(self.used), why),
            (_, None) => Outcome::Sound,
        }
    }

    /// What pg_restore has against it.
    fn wrong(&self, ran: &End) -> Option<Outcome> {
        let layer = self.formats.len() - 1;
        let restored = match ran {
            End::Ran(restored) => restored,
            End::Damaged(Fault { at, why }) => {
                return Some(Outcome::Broken { layer, at: Some(*at), why: self.with_cut(why) });
            }
            End::Stuck(version) => {
                let why = format!(
                    "pg_restore {version} neither read nor wrote anything for {} and was stopped: damage can make it run for ever",
                    Duration(STUCK)
                );
                return Some(Outcome::Undecided { why });
            }
        };
        if restored.succeeded() {
            return None;
        }
        let (version, taken) = (&restored.version, restored.taken);
        if restored.too_old() {
            let by = match self.innermost() {
                Format::Custom(header) => header.dump_version.clone(),
                _ => None,
            };
            let by = by.map_or(String::new(), |version| format!("; it was made by pg_dump {version}"));
            let why = format!(
                "the newest pg_restore of this machine, {version}, cannot read it ({}){by}: install the programs of that version of PostgreSQL",
                restored.error()
            );
            return Some(Outcome::Undecided { why });
        }
        let why = format!(
            "pg_restore {version} gave up (exit {}) after it was given {taken} bytes: {}",
            restored.how,
            restored.error()
        );
        Some(Outcome::Broken { layer, at: Some(taken), why: self.with_cut(&why) })
    }

    /// With the table in which it breaks off.
    fn with_cut(&self, why: &str) -> String {
        match self.contents.as_ref().and_then(|contents| contents.cut.as_ref()) {
            Some(cut) => {
                let table = &cut.table;
                format!(
                    "{why}; that is in the data of {}.{}, after {} rows",
                    table.schema, table.name, table.rows
                )
            }
            None => why.to_owned(),
        }
    }

    fn unproven(&self) -> Vec<String> {
        let mut unproven = vec![];
        if let Some(contents) = &self.contents {
            let no_gzip = !self.formats.contains(&Format::Gzip);
            let unchecked = self.unpacked.iter().flatten().any(|noticed| noticed.unchecked);
            let values = match self.innermost() {
                Format::Custom(header) => {
                    !matches!(header.compression.as_deref(), Some(gzip) if gzip.starts_with("gzip"))
                }
                _ => true,
            };
            if values && no_gzip && (unchecked || !self.formats.contains(&Format::Zstd)) {
                unproven
                    .push("that no value was changed: in this format the data have no checksum".to_owned());
            }
            unproven
                .extend(contents.doubts.iter().map(|doubt| format!("that the counts are right: {doubt}")));
        }
        if let Some(End::Ran(restored)) = &self.ran
            && restored.succeeded()
            && !restored.said.trim().is_empty()
        {
            unproven.push(format!("that all is well with it: pg_restore warns: {}", restored.error()));
        }
        unproven
    }
}
