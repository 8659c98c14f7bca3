//! Programs in a running container, by the program `docker`: it knows contexts, remote engines and every version of their
//! API. What it is given as a variable is named in its arguments and never written there.

use super::command::{Program, ProgramAnswer, ProgramFailure, ask};
use super::{ClientError, Log};
use proofmark_environment::{Connection, Role};
use proofmark_model::clock::Clock;
use proofmark_model::{CodedError, ErrorCode, SettingMistake};
use std::io::ErrorKind;
use std::time::Duration;

const PROGRAM: &str = "docker";

/// The engine that containers run on.
pub const ROLE: Role = Role {
    name: "docker",
    keys: &[],
    schemes: &["unix", "tcp", "ssh", "http", "https"],
    wants: "is a Docker engine",
    help: "write `unix:///var/run/docker.sock`, `tcp://host:2375` or `ssh://user@host`",
    ..Role::HTTP
};

/// How long the engine may take over a question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A container that is expected to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name or id.
    pub name: String,
    /// Where its engine is; what the program `docker` uses by itself if it is not said.
    engine: Option<String>,
}

/// What is wrong with the name of a container, which stands among arguments.
pub fn mistake(name: &str) -> Option<SettingMistake> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!begins || !name.chars().all(fits)).then(|| {
        SettingMistake::new(format!("`{name}` is no name of a container"))
            .help("`docker ps` lists the names, of letters, digits and `_.-`")
    })
}

impl Container {
    /// Of the engine that the connection leads to.
    pub fn new(name: &str, engine: Option<&Connection>) -> Self {
        Self { name: name.to_owned(), engine: engine.and_then(|connection| connection.url.clone()) }
    }

    /// What to run on this machine so that these words run in there; and with which variables, some of which are meant for
    /// in there. `input`: does it read its standard input?
    pub fn inside(
        &self,
        words: impl IntoIterator<Item = String>,
        env: &[(String, String)],
        input: bool,
    ) -> (Vec<String>, Vec<(String, String)>) {
        let mut argv = vec![PROGRAM.to_owned(), "exec".to_owned()];
        argv.extend(input.then(|| "--interactive".to_owned()));
        argv.extend(env.iter().flat_map(|(name, _)| ["-e".to_owned(), name.clone()]));
        argv.push(self.name.clone());
        argv.extend(words);
        let engine = self.engine.iter().map(|url| ("DOCKER_HOST".to_owned(), url.clone()));
        (argv, env.iter().cloned().chain(engine).collect())
    }

    /// What a program in there says to these words.
    ///
    /// # Errors
    /// When it cannot be run in there: said with what to do about it.
    pub async fn ask(
        &self,
        program: &str,
        words: &[&str],
        with: (&Clock, &Log),
    ) -> Result<String, ClientError> {
        let words = words.iter().map(|word| (*word).to_owned());
        let (argv, _) = self.inside([program.to_owned()].into_iter().chain(words), &[], false);
        let output = self.said(&argv, with).await?;
        let said = all(&output);
        if output.status.success() {
            return Ok(said);
        }
        let name = &self.name;
        let lacks = ["executable file not found", "no such file or directory"];
        Err(if is_gone(&said) {
            CodedError::new(ErrorCode::NotFound, format!("there is no container `{name}`"))
                .help("`docker ps` lists those that run")
        } else if said.contains("is not running") {
            CodedError::new(ErrorCode::NotFound, format!("the container `{name}` does not run"))
                .help(format!("`docker start {name}` starts it"))
        } else if lacks.iter().any(|words| said.contains(words)) {
            let message = format!("there is no `{program}` in the PATH of the container `{name}`");
            CodedError::new(ErrorCode::ProgramMissing, message).help("is it the one that the server runs in?")
        } else {
            let status = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            let message = format!("`{}` ended with {status}: {said}", argv.join(" "));
            CodedError::new(ErrorCode::ProgramFailed, message)
        }
        .into())
    }

    /// Does it run? Where it does not, nothing runs in it.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn runs(&self, with: (&Clock, &Log)) -> Result<bool, ClientError> {
        let argv = [PROGRAM, "container", "inspect", "--format", "{{.State.Running}}", &self.name];
        let output = self.said(&argv.map(str::to_owned), with).await?;
        let said = all(&output);
        match (output.status.success(), said.as_str()) {
            (true, running) => Ok(running != "false"),
            (false, said) if is_gone(said) => Ok(false),
            (false, said) => {
                Err(ClientError::new(ErrorCode::ProgramFailed, format!("`{}`: {said}", argv.join(" "))))
            }
        }
    }

    /// What comes of it, once the engine was asked.
    async fn said(&self, argv: &[String], with: (&Clock, &Log)) -> Result<ProgramAnswer, ClientError> {
        let env: Vec<_> = self.engine.iter().map(|url| ("DOCKER_HOST".to_owned(), url.clone())).collect();
        let program = Program { env: &env, ..Program::new(argv, ANSWERS_WITHIN) };
        let output = ask(program, with).await.map_err(|failure| self.unasked(&failure))?;
        let said = all(&output);
        let nobody =
            ["annot connect to the Docker daemon", "error during connect", "permission denied while trying"];
        if !output.status.success() && nobody.iter().any(|words| said.contains(words)) {
            let said = said.trim_end_matches(" Is the docker daemon running?");
            let forbidden = said.contains("permission denied");
            let code = if forbidden { ErrorCode::Forbidden } else { ErrorCode::Unreachable };
            let error = self.unusable(code, &format!("the Docker engine cannot be asked: {said}"));
            return Err(error.help("is it running, and may this user talk to it?").into());
        }
        Ok(output)
    }

    /// Why the program `docker` gave no answer.
    fn unasked(&self, failure: &ProgramFailure) -> CodedError {
        match failure {
            ProgramFailure::TimedOut(limit) => {
                let why = format!("the Docker engine did not answer within {} s", limit.as_secs());
                self.unusable(ErrorCode::Timeout, &why)
            }
            ProgramFailure::Io(error) if error.kind() == ErrorKind::NotFound => {
                let why = format!("expected to run `{PROGRAM}`, but it is not in PATH");
                let help = "install Docker's program (Debian's package is `docker.io`)";
                self.unusable(ErrorCode::ProgramMissing, &why).help(help)
            }
            ProgramFailure::Io(error) => {
                let why = format!("expected to run `{PROGRAM}`, but: {error}");
                self.unusable(ErrorCode::of_start(error.kind()), &why)
            }
            ProgramFailure::TooLong => {
                self.unusable(ErrorCode::TooLarge, &format!("`{PROGRAM}` answered too much: {failure}"))
            }
        }
    }

    fn unusable(&self, code: ErrorCode, why: &str) -> CodedError {
        CodedError::new(code, format!("the container `{}`: {why}", self.name))
    }
}

fn is_gone(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("no such container") || said.contains("no container with name")
}

/// Both streams: what the engine could not start it says on the program's own standard output.
fn all(output: &ProgramAnswer) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let texts = [&*stdout, &output.stderr].map(|text| text.trim().to_owned());
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_in_no_argument() {
        let env = [("PGPASSWORD".to_owned(), "word".to_owned())];
        let container = Container { name: "db".into(), engine: Some("unix:///sock".into()) };
        let (argv, env) = container.inside(["pg_dump", "--version"].map(str::to_owned), &env, true);
        assert_eq!(argv.join(" "), "docker exec --interactive -e PGPASSWORD db pg_dump --version");
        assert_eq!(env.len(), 2);
        assert_eq!(env[1], ("DOCKER_HOST".into(), "unix:///sock".into()));
    }

    #[test]
    fn a_name_is_no_option_and_no_path() {
        for name in ["db", "shop-postgres-1", "0a1b", "a.b_c"] {
            assert_eq!(mistake(name), None, "{name}");
        }
        for name in ["", "-e", "--privileged", "a b", "a/b", "/db", "a;b", "ü"] {
            assert!(mistake(name).is_some(), "{name}");
        }
    }
}
