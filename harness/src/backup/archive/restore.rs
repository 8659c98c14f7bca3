//! An archive of pg_dump turned into SQL by PostgreSQL's own pg_restore, which reads it from its standard input, and
//! counted as it comes out. Nothing is written to disk and no server is asked.

use super::contents::Contents;
use super::count::Counter;
use super::pieces::Pieces;
use crate::clients::command::{Input, Output, Streamed, Streaming};
use crate::clients::postgres::programs::Programs;
use crate::clients::{ClientError, Log};
use crate::clock::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So much is read at once of what pg_restore says.
const CHUNK: usize = 128 << 10;

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

/// Runs pg_restore over these bytes. With `-f -` it writes the whole script, not only the data: what it creates is
/// wanted too.
pub(super) async fn restore(
    from: &mut Pieces,
    programs: &Programs,
    (clock, log): (&Clock, &Log),
) -> Result<(Restored, Contents), ClientError> {
    let tool = programs.find("pg_restore", None).await?;
    let argv = [&*tool.path.to_string_lossy(), "-f", "-"].map(str::to_owned);
    // Its words are read.
    let env = [("LC_ALL".to_owned(), "C".to_owned()), ("PG_COLOR".to_owned(), "never".to_owned())];
    let mut program = Streaming::reading(Streamed { argv: &argv, env: &env, input: true }, (clock, log))?;
    let (taken, contents) = tokio::join!(give(from, &mut program.stdin), take(&mut program.stdout));
    let (taken, contents) = (taken?, contents?);
    let end = program.end().await?;
    let restored = Restored { version: tool.version, exit: end.exit, how: end.how, said: end.stderr, taken };
    Ok((restored, contents))
}

/// Gives it all there is. What it does not want is read all the same, so that the stage before comes to its end.
async fn give(from: &mut Pieces, to: &mut Input) -> Result<u64, ClientError> {
    let mut wanted = true;
    while let Some(piece) = from.next().await {
        wanted = wanted && to.write(&piece).await?;
    }
    to.close();
    Ok(to.bytes)
}

async fn take(from: &mut Output) -> Result<Contents, ClientError> {
    let mut counter = Counter::default();
    let mut room = vec![0; CHUNK];
    loop {
        match from.read(&mut room).await? {
            0 => return Ok(counter.finish()),
            read => counter.feed(&room[..read]),
        }
    }
}
