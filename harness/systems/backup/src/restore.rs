//! Restores an archive into an empty database, by PostgreSQL's own programs, which stop at the first error: one that goes
//! on leaves a database that is not what was dumped, and says so only in a warning.

use super::BackupError;
use super::archive::{Format, Restricted};
use super::fetch::Fetched;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::command::{Finished, Streamed, Streaming};
use proofmark_net::http::Endpoint;
use proofmark_postgres::client::libpq;
use proofmark_postgres::client::programs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd;

/// How much of what the programs said on standard error is kept, in characters.
const SAID: usize = 2000;

/// A psql that nothing of the user's surroundings changes, and that stops at the first error.
pub(super) const PSQL: [&str; 4] = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];

/// How a restore ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Loaded {
    /// The program and its version.
    pub program: String,
    /// How it ended: `0`, another status, or a signal.
    pub exit: String,
    /// What it said on standard error, the end of it.
    pub said: String,
}

impl Loaded {
    /// Did it come to its end without an error?
    pub fn is_whole(&self) -> bool {
        self.exit == "0"
    }
}

/// How it is restored.
#[derive(Debug, Clone, Copy)]
pub struct RestoreOptions {
    /// How many sessions restore.
    pub jobs: usize,
    /// Do objects get their owners and privileges again? The roles have to be there.
    pub owners: bool,
}

/// Restores into the database that the wire's connection leads to, which has to be empty.
///
/// # Errors
/// When the programs are not there. That they fail is no error: see [`Loaded`].
pub async fn restore(
    fetched: &Fetched,
    (target, database): (Endpoint<'_>, &str),
    RestoreOptions { jobs, owners }: RestoreOptions,
    leave: &impl ChangePermit,
) -> Result<Loaded, BackupError> {
    let innermost = fetched.decoded.formats.last();
    let plain = !matches!(innermost, Some(Format::Custom(_) | Format::Tar));
    let name = if plain { "psql" } else { "pg_restore" };
    let tool = programs::find(name, None, (target.clock, target.log)).await?;
    let way = libpq(target, Some(database))?;
    let path = fetched.path().display().to_string();
    let mut argv = vec![tool.path.display().to_string(), "--no-password".to_owned()];
    // What is packed is unpacked by us; an archive as it is can be read by several at once.
    let piped = plain || fetched.decoded.formats.len() > 1;
    if plain {
        argv.extend(PSQL.map(str::to_owned));
    } else {
        argv.push("--exit-on-error".to_owned());
        if !owners {
            argv.extend(["--no-owner", "--no-privileges"].map(str::to_owned));
        }
        argv.push(format!("--dbname={database}"));
        if !piped && matches!(innermost, Some(Format::Custom(_))) {
            argv.push(format!("--jobs={jobs}"));
        }
        argv.extend((!piped).then_some(path));
    }
    let started = Streamed { argv: &argv, env: &way.variables, input: piped };
    let mut running = Streaming::changing(started, (target.clock, target.log), leave)?;
    if piped {
        let Streaming { stdin, stdout, .. } = &mut running;
        let drain = async {
            while stdout.next().await?.is_some() {}
            Ok::<(), ClientError>(())
        };
        let unfenced =
            fetched.decoded.contents.as_ref().is_some_and(|held| held.restricted == Restricted::No);
        let feed = async {
            if plain && unfenced && knows_restrict(&tool.version) {
                // Of what was read as data nothing is taken for a command of psql, whatever was overlooked.
                stdin.write(format!("\\restrict {:016x}\n", rand::random::<u64>()).as_bytes()).await?;
            }
            fetched.feed(stdin).await?;
            stdin.close();
            Ok::<(), BackupError>(())
        };
        let (fed, drained) = tokio::join!(feed, drain);
        fed?;
        drained?;
    }
    let ended = running.end().await?;
    Ok(loaded(format!("{name} {}", tool.version), &ended))
}

/// What pg_restore says of an archive, on its standard output.
///
/// # Errors
/// When it is not there, or does not read the archive.
pub(super) async fn told(
    fetched: &Fetched,
    words: &[&str],
    wire: Endpoint<'_>,
) -> Result<String, BackupError> {
    let tool = programs::find("pg_restore", None, (wire.clock, wire.log)).await?;
    let mut argv = vec![tool.path.display().to_string()];
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    argv.push(fetched.path().display().to_string());
    let mut running =
        Streaming::reading(Streamed { argv: &argv, env: &[], input: false }, (wire.clock, wire.log))?;
    let mut text = vec![];
    while let Some(piece) = running.stdout.next().await? {
        text.extend_from_slice(&piece);
    }
    let ended = running.end().await?;
    if ended.exit == Some(0) {
        return Ok(String::from_utf8_lossy(&text).into_owned());
    }
    Err(BackupError::new(ErrorCode::ProgramFailed, ended.failed("pg_restore")))
}

/// Lines of an archive's list in a file without a name, for as long as it is held, and the word that names it to
/// pg_restore.
pub(super) fn use_list(lines: &str) -> Result<(File, String), BackupError> {
    let no_file = |error: std::io::Error| {
        let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable);
        BackupError::new(code, format!("a temporary file: {error}"))
    };
    let mut list = tempfile::tempfile().map_err(no_file)?;
    list.write_all(lines.as_bytes()).map_err(no_file)?;
    let word = format!("--use-list=/proc/{}/fd/{}", std::process::id(), list.as_raw_fd());
    Ok((list, word))
}

/// Does this psql know `\restrict`? It came with a minor version of each.
fn knows_restrict(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let since = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];
    major > 17 || since.iter().any(|(of, first)| major == *of && minor >= *first)
}

/// What became of a program that writes.
pub(super) fn loaded(program: String, ended: &Finished) -> Loaded {
    let said = ended.stderr.trim();
    let from = said.char_indices().rev().nth(SAID).map_or(0, |(at, _)| at);
    Loaded { program, exit: ended.how.clone(), said: said[from..].to_owned() }
}
