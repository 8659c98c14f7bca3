//! An archive of pg_dump turned into SQL by PostgreSQL's own pg_restore, which reads it from its standard input, and
//! counted as it comes out. Nothing is written to disk and no server is asked.

use super::contents::Contents;
use super::count::Counter;
use super::pieces::Pieces;
use super::tar::Walk;
use super::unpack::Fault;
use proofmark_model::clock::Clock;
use proofmark_net::command::{Input, Output, Streamed, Streaming};
use proofmark_net::{ClientError, Log};
use proofmark_postgres::client::programs::Programs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::timeout;

/// For so long it may neither read nor write while it could: damage can make it run for ever.
pub(super) const STUCK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });

/// How pg_restore ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Restored {
    /// The version of the pg_restore that was used.
    pub version: String,
    /// Its exit status; `null` when a signal ended it.
    pub exit: Option<i32>,
    /// How it ended, in words.
    pub how: String,
    /// What it said on standard error.
    pub said: String,
    /// Bytes that it took, at most: some of them may not have been looked at.
    pub taken: u64,
}

impl Restored {
    pub(super) fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// Its first error, without its own name.
    pub(super) fn error(&self) -> String {
        let lines = || self.said.lines().map(str::trim).filter(|line| !line.is_empty());
        let error = lines().find_map(|line| line.split_once("error: ")).map(|(_, error)| error);
        error.or_else(|| lines().next()).unwrap_or("it said nothing").to_owned()
    }

    /// Is that about what this pg_restore can read, and not about the archive?
    pub(super) fn too_old(&self) -> bool {
        // "unsupported version (1.16) in file header"; "this build does not support compression with zstd".
        let error = self.error();
        error.starts_with("unsupported version") || error.contains("does not support compression")
    }
}

/// What came of it.
pub(super) enum End {
    /// It ended by itself.
    Ran(Restored),
    /// What it was given is damaged; it was stopped.
    Damaged(Fault),
    /// It went on without reading or writing anything, and was stopped.
    Stuck(String),
}

/// Why it was stopped.
enum Stop {
    Client(ClientError),
    Damaged(Fault),
    Stuck,
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Runs pg_restore over these bytes, which are a tar or not. With `-f -` it writes the whole script, not only the data:
/// what it creates is wanted too.
pub(super) async fn restore(
    from: &mut Pieces,
    tar: bool,
    programs: &Programs,
    with: (&Clock, &Log),
) -> Result<(End, Contents), ClientError> {
    let tool = programs.find("pg_restore", None, with).await?;
    // Its words are read.
    let env = [("LC_ALL".to_owned(), "C".to_owned()), ("PG_COLOR".to_owned(), "never".to_owned())];
    let (argv, env) = tool.call(["-f", "-"].map(str::to_owned), &env, true);
    let mut program = Streaming::reading(Streamed { argv: &argv, env: &env, input: true }, with)?;
    let mut counter = Counter::default();
    let walk = tar.then(Walk::default);
    let given = Given::default();
    let ran = tokio::try_join!(
        give(from, &mut program.stdin, walk, &given),
        take(&mut program.stdout, &mut counter, &given)
    );
    let version = tool.version;
    let end = match ran {
        Ok(_) => {
            let taken = program.stdin.bytes;
            let end = program.end().await?;
            End::Ran(Restored { version, exit: end.exit, how: end.how, said: end.stderr, taken })
        }
        Err(Stop::Client(error)) => return Err(error),
        Err(Stop::Damaged(fault)) => End::Damaged(fault),
        Err(Stop::Stuck) => End::Stuck(version),
    };
    // What is left is read all the same, so that the stage before comes to its end.
    while from.next().await.is_some() {}
    Ok((end, counter.finish()))
}

/// How far the one side is, for the other.
#[derive(Default)]
struct Given {
    bytes: AtomicU64,
    /// Is the side that gives waiting for more, and not for pg_restore?
    waits: AtomicBool,
}

/// Gives it all there is. What it does not want is read all the same.
async fn give(from: &mut Pieces, to: &mut Input, mut walk: Option<Walk>, given: &Given) -> Result<(), Stop> {
    let mut wanted = true;
    loop {
        given.waits.store(true, Relaxed);
        let piece = from.next().await;
        given.waits.store(false, Relaxed);
        let Some(piece) = piece else { break };
        if let Some(walk) = &mut walk {
            walk.feed(&piece).map_err(Stop::Damaged)?;
        }
        wanted = wanted && to.write(&piece).await?;
        given.bytes.fetch_add(piece.len() as u64, Relaxed);
    }
    if let Some(walk) = walk {
        walk.finish().map_err(Stop::Damaged)?;
    }
    to.close();
    Ok(())
}

async fn take(from: &mut Output, counter: &mut Counter, given: &Given) -> Result<(), Stop> {
    let mut before = 0;
    loop {
        match timeout(STUCK, from.next()).await {
            Ok(read) => match read? {
                Some(piece) => counter.feed(&piece),
                None => return Ok(()),
            },
            Err(_) if given.waits.load(Relaxed) || given.bytes.load(Relaxed) != before => {
                before = given.bytes.load(Relaxed);
            }
            Err(_) => return Err(Stop::Stuck),
        }
    }
}
