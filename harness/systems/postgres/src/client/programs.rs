//! PostgreSQL's own programs, on this machine or in a container: where they are and of which version.

use futures_util::future::join_all;
use proofmark_model::clock::Clock;
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::command::{Program, ProgramFailure, ask};
use proofmark_net::docker::Container;
use proofmark_net::{ClientError, Log};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where distributions keep one folder of programs per version: before `bin`, behind what.
const VERSIONS: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// How long a program may take to say its version.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Where it is.
    pub path: PathBuf,
    /// Its version as it says it, such as `15.18` or `17beta1`.
    pub version: String,
    /// The first number of that.
    pub major: u32,
    /// The container that it is in; else it is on this machine.
    pub container: Option<Container>,
}

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs(Place);

#[derive(Debug, Clone)]
enum Place {
    Machine,
    Folders(Vec<PathBuf>),
    Container(Container),
}

impl Tool {
    /// What to run on this machine, and with which variables, so that it runs with these arguments and variables. `input`:
    /// does it read its standard input?
    pub fn call(
        &self,
        arguments: impl IntoIterator<Item = String>,
        env: &[(String, String)],
        input: bool,
    ) -> (Vec<String>, Vec<(String, String)>) {
        let words = [self.path.display().to_string()].into_iter().chain(arguments);
        match &self.container {
            Some(container) => container.inside(words, env, input),
            None => (words.collect(), env.to_vec()),
        }
    }
}

/// Finds `pg_dump`, `pg_restore` or `psql` on this machine, as [`Programs::find`] does.
///
/// # Errors
/// It is not there, or not of that version.
pub async fn find(name: &str, major: Option<u32>, with: (&Clock, &Log)) -> Result<Tool, ClientError> {
    Programs::of_this_machine().find(name, major, with).await
}

impl Programs {
    /// In the folders of the distributions, which have several versions side by side, then in PATH.
    pub fn of_this_machine() -> Self {
        Self(Place::Machine)
    }

    /// Only in these folders.
    pub fn only_in(folders: Vec<PathBuf>) -> Self {
        Self(Place::Folders(folders))
    }

    /// In the PATH of this container.
    pub fn inside(container: Container) -> Self {
        Self(Place::Container(container))
    }

    /// The newest there is, or the newest of this major version.
    ///
    /// # Errors
    /// It is not there, or not of that version; said with what is there and how to get the other.
    pub async fn find(
        &self,
        name: &str,
        major: Option<u32>,
        with: (&Clock, &Log),
    ) -> Result<Tool, ClientError> {
        if let Place::Container(container) = &self.0 {
            return contained(container, (name, major), with).await;
        }
        let other =
            |path: &PathBuf| major.is_some_and(|major| folder_says(path).is_some_and(|it| it != major));
        let (others, likely): (Vec<PathBuf>, _) = self.candidates(name).into_iter().partition(other);
        let (mut found, mut silent): (Vec<Tool>, _) = (vec![], vec![]);
        // Those in a folder of another version are asked only to say what there is.
        for paths in [likely, others] {
            let answers = join_all(paths.iter().map(|path| asked(path, with))).await;
            for (answer, path) in answers.into_iter().zip(&paths) {
                match answer {
                    Ok(tool) => found.push(tool),
                    Err(why) => silent.push(format!("{}: {why}", path.display())),
                }
            }
            let right = found.iter().filter(|tool| major.is_none_or(|major| tool.major == major));
            // Of equal versions the first.
            if let Some(best) = right.rev().max_by_key(|tool| numbers(&tool.version)) {
                return Ok(best.clone());
            }
        }
        Err(self.missing(name, major, &found, &silent))
    }

    fn candidates(&self, name: &str) -> Vec<PathBuf> {
        let below = |folders: &[PathBuf]| folders.iter().map(|folder| folder.join(name)).collect::<Vec<_>>();
        let everywhere = || {
            let in_path = which::which_all(name).into_iter().flatten();
            below(&folders()).into_iter().chain(in_path).collect()
        };
        let paths: Vec<PathBuf> = match &self.0 {
            Place::Folders(folders) => below(folders),
            _ => everywhere(),
        };
        let mut seen = BTreeSet::new();
        // Debian's script in PATH only runs one of those in its folders, by a cluster's configuration, and takes its time.
        let script = |path: &Path| path.ends_with("pg_wrapper");
        let real = |path: &Path| fs::canonicalize(path).ok().filter(|path| path.is_file() && !script(path));
        paths.into_iter().filter(|path| real(path).is_some_and(|real| seen.insert(real))).collect()
    }

    fn missing(&self, name: &str, major: Option<u32>, found: &[Tool], silent: &[String]) -> ClientError {
        let places = match &self.0 {
            Place::Folders(folders) => {
                folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
            }
            _ => "/usr/lib/postgresql/*/bin, /usr/pgsql-*/bin or PATH".to_owned(),
        };
        let wanted = major.map_or(String::new(), |major| format!(" of PostgreSQL {major}"));
        let there = match (found, silent) {
            ([], []) => "there is none".to_owned(),
            ([], silent) => format!("none says its version ({})", silent.join("; ")),
            (found, _) => {
                let each = found.iter().map(|tool| format!("{} ({})", tool.version, tool.path.display()));
                format!("there is only {}", each.collect::<Vec<_>>().join(", "))
            }
        };
        let package = major
            .map_or_else(|| "postgresql-client".to_owned(), |major| format!("postgresql-client-{major}"));
        let message = format!("expected to find `{name}`{wanted} in {places}, but {there}");
        let help = format!("install PostgreSQL's programs (Debian's package is `{package}`)");
        CodedError::new(ErrorCode::ProgramMissing, message).help(help).into()
    }
}

/// The folders of the distributions that are there.
fn folders() -> Vec<PathBuf> {
    let below = |(parent, before): (&str, &str)| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(parent) else { return vec![] };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let of_a_version = names.filter(|name| {
            name.strip_prefix(before).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        of_a_version.map(|name| Path::new(parent).join(name).join("bin")).collect()
    };
    VERSIONS.into_iter().flat_map(below).collect()
}

/// The one in a container, which has to be of this major version.
async fn contained(
    container: &Container,
    (name, major): (&str, Option<u32>),
    with: (&Clock, &Log),
) -> Result<Tool, ClientError> {
    let said = container.ask(name, &["--version"], with).await?;
    let place = &container.name;
    let unusable = |why: String| {
        CodedError::new(ErrorCode::ProgramMissing, format!("`{name}` in the container `{place}`: {why}"))
    };
    let (version, own) = read(&said).map_err(unusable)?;
    match major {
        Some(major) if major != own => {
            let why = format!("expected that of PostgreSQL {major}, as the server is, but it is {version}");
            Err(unusable(why).help("is it the container that the server runs in?").into())
        }
        _ => Ok(Tool { path: name.into(), version, major: own, container: Some(container.clone()) }),
    }
}

/// The major version that a distribution's folder has in its name; `None` for a program that is in none of them.
fn folder_says(program: &Path) -> Option<u32> {
    let folder = program.parent().filter(|bin| bin.ends_with("bin"))?.parent()?;
    let (_, before) = VERSIONS.into_iter().find(|(parent, _)| folder.parent() == Some(Path::new(parent)))?;
    numbers(folder.file_name()?.to_str()?.strip_prefix(before)?).first().copied().filter(|it| *it != u32::MAX)
}

/// Asks a program for its version.
async fn asked(path: &Path, with: (&Clock, &Log)) -> Result<Tool, String> {
    let argv = [path.display().to_string(), "--version".to_owned()];
    let output = ask(Program::new(&argv, ANSWERS_WITHIN), with).await.map_err(|failure| match failure {
        ProgramFailure::TimedOut(_) => "it does not answer `--version`".to_owned(),
        other => other.to_string(),
    })?;
    let (version, major) = read(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Tool { path: path.to_owned(), version, major, container: None })
}

/// The version that a program says, and the first number of it.
fn read(said: &str) -> Result<(String, u32), String> {
    let version = said.split_once("(PostgreSQL) ").and_then(|(_, rest)| rest.split_whitespace().next());
    let read = version.and_then(|version| Some((version.to_owned(), *numbers(version).first()?)));
    read.ok_or_else(|| format!("it answers `--version` with: {}", said.trim()))
}

/// The numbers of a version, so that 15.18 is above 15.9. What comes before a release is below it.
fn numbers(version: &str) -> Vec<u32> {
    let whole = version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let mut numbers: Vec<u32> = whole.split('.').filter_map(|number| number.parse().ok()).collect();
    if whole.len() == version.len() {
        numbers.push(u32::MAX);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn versions_are_numbers() {
        let mut versions = ["15.9", "9.6.24", "17beta1", "15.18", "17.0", "17rc1"];
        versions.sort_by_key(|version| numbers(version));
        assert_eq!(versions, ["9.6.24", "15.9", "15.18", "17beta1", "17rc1", "17.0"]);
    }

    #[test]
    fn the_folder_of_a_distribution_says_a_major_version() {
        let cases = [
            ("/usr/lib/postgresql/15/bin/pg_dump", Some(15)),
            ("/usr/lib/postgresql/9.6/bin/pg_dump", Some(9)),
            ("/usr/pgsql-17/bin/pg_dump", Some(17)),
            ("/usr/bin/pg_dump", None),
            ("/usr/local/bin/pg_dump", None),
            ("/usr/local/15/bin/pg_dump", None),
            ("/usr/lib/postgresql/15/lib/pg_dump", None),
            ("/usr/pgsql-/bin/pg_dump", None),
        ];
        for (path, major) in cases {
            assert_eq!(folder_says(Path::new(path)), major, "{path}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes the programs that it asks")]
    fn versions_are_asked_side_by_side_and_of_equal_ones_the_first_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..3).map(|each| place.path().join(each.to_string())).collect();
        for (folder, version) in folders.iter().zip(["15.9", "15.18", "15.18"]) {
            fs::create_dir(folder).unwrap();
            // Each answers only once all were asked.
            let script = format!(
                "#!/bin/sh\n: > {0}.asked\nuntil [ $(ls {1}/*.asked | wc -l) = 3 ]; do :; done\necho 'pg_dump (PostgreSQL) {version}'\n",
                folder.display(),
                place.path().display()
            );
            fs::write(folder.join("pg_dump"), script).unwrap();
            fs::set_permissions(folder.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let programs = Programs::only_in(folders.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (clock, log) = (Clock::real(), Log::default());
        let tool = runtime.block_on(programs.find("pg_dump", Some(15), (&clock, &log))).unwrap();
        assert_eq!((tool.path, tool.version.as_str()), (folders[1].join("pg_dump"), "15.18"));
        let mut lines: Vec<String> = log.take().into_iter().map(|probe| probe.target).collect();
        lines.sort();
        let asked = |folder: &PathBuf| format!("{} --version", folder.join("pg_dump").display());
        assert_eq!(lines, folders.iter().map(asked).collect::<Vec<_>>());
    }
}
