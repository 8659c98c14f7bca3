//! Restores an archive into an empty database, by PostgreSQL's own programs, which stop at the first error: one that goes
//! on leaves a database that is not what was dumped, and says so only in a warning.

use super::BackupError;
use super::archive::{Format, Restricted};
use super::fetch::Fetched;
use crate::clients::ClientError;
use crate::clients::command::{Finished, Streamed, Streaming};
use crate::clients::http::Wire;
use crate::clients::postgres::libpq;
use crate::clients::postgres::programs;
use crate::undo::Leave;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Restores into the database that the wire's connection leads to, which has to be empty.
///
/// # Errors
/// When the programs are not there. That they fail is no error: see [`Loaded`].
pub async fn restore(
    fetched: &Fetched,
    (target, database): (Wire<'_>, &str),
    jobs: usize,
    leave: &impl Leave,
) -> Result<Loaded, BackupError> {
    let innermost = fetched.decoded.formats.last();
    let plain = !matches!(innermost, Some(Format::Custom(_) | Format::Tar));
    let name = if plain { "psql" } else { "pg_restore" };
    let tool = programs::find(name, None).await?;
    let way = libpq(target, Some(database))?;
    let path = fetched.path().display().to_string();
    let mut argv = vec![tool.path.display().to_string(), "--no-password".to_owned()];
    // What is packed is unpacked by us; an archive as it is can be read by several at once.
    let piped = plain || fetched.decoded.formats.len() > 1;
    if plain {
        argv.extend(PSQL.map(str::to_owned));
    } else {
        let words = ["--exit-on-error", "--no-owner", "--no-privileges"];
        argv.extend(words.map(str::to_owned));
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
        let mut said = vec![0; 64 << 10];
        let drain = async {
            while stdout.read(&mut said).await? > 0 {}
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
