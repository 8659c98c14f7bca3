//! PostgreSQL's own programs, on this machine or in a container: where they are and of which version.

use crate::clients::ClientError;
use crate::clients::docker::Container;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

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
pub async fn find(name: &str, major: Option<u32>) -> Result<Tool, ClientError> {
    Programs::of_this_machine().find(name, major).await
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
    pub async fn find(&self, name: &str, major: Option<u32>) -> Result<Tool, ClientError> {
        if let Place::Container(container) = &self.0 {
            return contained(container, name, major).await;
        }
        let mut found: Vec<Tool> = vec![];
        let mut silent = vec![];
        for path in self.candidates(name) {
            match asked(&path).await {
                Ok(tool) => found.push(tool),
                Err(why) => silent.push(format!("{}: {why}", path.display())),
            }
        }
        let right = found.iter().filter(|tool| major.is_none_or(|major| tool.major == major));
        // Of equal versions the first.
        let best = right.rev().max_by_key(|tool| numbers(&tool.version)).cloned();
        best.ok_or_else(|| self.missing(name, major, &found, &silent))
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
        ClientError::Unusable(format!(
            "expected to find `{name}`{wanted} in {places}, but {there}; install PostgreSQL's programs (Debian's package is `{package}`)"
        ))
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
async fn contained(container: &Container, name: &str, major: Option<u32>) -> Result<Tool, ClientError> {
    let said = container.ask(name, &["--version"]).await?;
    let place = &container.name;
    let unusable = |why: String| ClientError::Unusable(format!("`{name}` in the container `{place}`: {why}"));
    let (version, own) = read(&said).map_err(unusable)?;
    match major {
        Some(major) if major != own => Err(unusable(format!(
            "expected that of PostgreSQL {major}, as the server is, but it is {version}; is it the container that the server runs in?"
        ))),
        _ => Ok(Tool { path: name.into(), version, major: own, container: Some(container.clone()) }),
    }
}

/// Asks a program for its version.
async fn asked(path: &Path) -> Result<Tool, String> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(ANSWERS_WITHIN, command.output()).await;
    let output = output
        .map_err(|_| "it does not answer `--version`".to_owned())?
        .map_err(|error| error.to_string())?;
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

    #[test]
    fn versions_are_numbers() {
        let mut versions = ["15.9", "9.6.24", "17beta1", "15.18", "17.0", "17rc1"];
        versions.sort_by_key(|version| numbers(version));
        assert_eq!(versions, ["9.6.24", "15.9", "15.18", "17beta1", "17rc1", "17.0"]);
    }
}
