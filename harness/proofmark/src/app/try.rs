//! One check without a file. The request is written as a scenario of one step, which is run like any other in a folder that
//! is deleted afterwards.

use super::commit::CheckoutCommit;
use super::environment;
use super::error::{OpenError, RunError};
use super::execution::Execution;
use super::observer::RunObserver;
use super::options::RunOptions;
use super::plan::both;
use crate::kinds::{registry, vocabulary};
use proofmark_engine::KindInfo;
use proofmark_engine::scenario::{Plan, embedded};
use proofmark_environment::document;
use proofmark_environment::{Environment, GivenPlace};
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::redact::{MASK, is_masked};
use proofmark_model::{Duration, Exit, Permission, RunInfo, StepRecord};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A check, and where its system is.
#[derive(Debug, Clone, Default)]
pub struct CheckRequest {
    /// The kind of check, such as `http`.
    pub kind: String,
    /// Its settings by name; each value is read as YAML.
    pub settings: Vec<(String, String)>,
    /// Where the system is: a URL, or `env:NAME` for the variable that holds it. Not looked at where there is an
    /// environment file.
    pub url: Option<String>,
    /// Where the server of a bucket listens.
    pub endpoint: Option<String>,
    /// The environment file.
    pub environment: Option<PathBuf>,
    /// The connection to use, where its name is not that of its role.
    pub via: Option<String>,
    /// How long the check may take.
    pub timeout: Option<Duration>,
    /// `exec` lets the environment file's secrets come from programs.
    pub allow: BTreeSet<Permission>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct CheckOutcome {
    /// The exit code of the run.
    pub exit: Exit,
    /// The step's record, secrets masked.
    pub record: StepRecord,
    /// How long all attempts took.
    pub seconds: f64,
    /// The lines of a scenario file that make the same check. A secret in a setting is masked.
    pub step: String,
    /// The lines of an environment file that go with them; empty where there is one already.
    pub connections: String,
}

/// The scenario and its step.
const NAME: &str = "try";

/// Makes one check, and returns what it saw.
///
/// # Errors
/// A check that did not begin, or whose record could not be written or read back.
pub async fn check(
    request: &CheckRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<CheckOutcome, RunError> {
    let folder = tempfile::Builder::new().prefix("proofmark-try-").tempdir().map_err(|error| {
        let diag = Diag::new("no-folder", format!("there is no place to work in: {error}"));
        unread(diag.help("set TMPDIR to a folder that can be written"))
    })?;
    let evidence = folder.path().to_owned();
    let options =
        RunOptions { allow: request.allow.clone(), evidence, reports: None, export: None, operator: None };
    let execution = Execution { command: NAME, options: &options, jobs: 1, deadline: None, inside: None };
    let load = |scope: &Map<String, Value>| request.load(scope);
    let unreadable = || unread(Diag::new("no-record", "what was seen could not be read back"));
    let ended = execution.perform(load, CheckoutCommit::default, (observer, clock)).await;
    let outcome = ended.map_err(|error| match error {
        RunError::ReadBack(_) => unreadable(),
        error => error,
    })?;
    let record = outcome.run.step(NAME, NAME).ok_or_else(unreadable)?;
    Ok(CheckOutcome {
        exit: outcome.exit,
        seconds: record.attempts.iter().map(|attempt| attempt.seconds).sum(),
        step: request.masked_step(&record),
        connections: request.connections(outcome.run.info.as_ref()),
        record,
    })
}

fn unread(diagnostic: Diag) -> RunError {
    RunError::ReadBack(OpenError { exit: Exit::Evidence, diagnostic })
}

impl CheckRequest {
    fn info(&self) -> Option<&'static KindInfo> {
        registry().kind(&self.kind, false)
    }

    /// The connection that the step has to name: one that is given, or the one that `--url` is for a kind without roles.
    fn via(&self) -> Option<&str> {
        let unnamed = |kind: &KindInfo| kind.roles.is_empty() && self.url.is_some();
        self.via.as_deref().or_else(|| self.info().filter(|kind| unnamed(kind)).map(|kind| kind.name))
    }

    fn environment(&self) -> Result<Environment, Vec<Diag>> {
        match (&self.environment, &self.url, self.info()) {
            (Some(file), ..) => environment::load(file),
            (None, Some(url), Some(kind)) => {
                let endpoint = self.endpoint.as_deref();
                let reads = |role: &&str| vocabulary().role(role).keys.contains(&"endpoint");
                if endpoint.is_some() && !kind.takes().iter().all(reads) {
                    let message = "`--endpoint` is for a bucket, and no bucket is read here";
                    return Err(vec![Diag::new("bad-place", message).help("leave it out")]);
                }
                let typed = |role| GivenPlace { endpoint, ..environment::typed_place(role, "--url", url) };
                environment::of_places(&kind.takes().into_iter().map(typed).collect::<Vec<_>>())
            }
            (None, None, Some(kind)) if !kind.roles.is_empty() => {
                let roles = kind.roles.join("`, `");
                let message = format!("`{}` looks at a `{roles}`, and nothing says where it is", kind.name);
                let help = "add `--url URL`, or `--env FILE` for a file with `connections:`";
                Err(vec![Diag::new("unknown-connection", message).help(help)])
            }
            _ => Ok(Environment::default()),
        }
    }

    /// The step as it stands in a scenario, with these values in the place of those that were given.
    fn step(&self, value: impl Fn(&str, &str) -> String) -> String {
        let mut lines = format!("  - id: {NAME}\n    check:\n      {}:", scalar(&self.kind));
        for (name, given) in &self.settings {
            let _ = write!(lines, "\n        {}: {}", scalar(name), value(name, given));
        }
        lines += if self.settings.is_empty() { " {}\n" } else { "\n" };
        if let Some(via) = self.via() {
            let _ = writeln!(lines, "    via: {}", scalar(via));
        }
        if let Some(timeout) = self.timeout {
            let _ = writeln!(lines, "    timeout: {timeout}");
        }
        lines
    }

    fn load(&self, scope: &Map<String, Value>) -> Result<(Plan, Environment), Vec<Diag>> {
        let step = self.step(|name, value| self.written(name, value));
        let text = format!("proofmark: v1\ntitle: One check\nclaim: It passes.\nsteps:\n{step}");
        let plan = embedded((NAME, &text), &Map::new(), scope, registry());
        let advised = |wrong: Vec<Diag>| wrong.into_iter().map(|diag| self.advised(diag)).collect();
        both(plan, self.environment()).map_err(advised)
    }

    /// Help for a mistake in a scenario, for a user who wrote no file.
    fn advised(&self, diag: Diag) -> Diag {
        let help = match diag.code {
            "wrong-list" => {
                "`try` takes checks only: nothing is changed without a scenario and a promise".into()
            }
            "bad-via" if self.url.is_some() => "leave `--url` out".into(),
            "bad-via" if self.environment.is_none() => {
                "write the whole URL, or say with `--url` below what".into()
            }
            "unknown-name" => format!("`proofmark explain {}` lists the settings", self.kind),
            _ => return diag,
        };
        Diag { help: Some(help), ..diag }
    }

    /// A value as it stands in a file: as it was typed where that is one value, else as text in quotes. A selector,
    /// `{job="shop"}`, looks like a map and is text where nothing but text is taken.
    fn written(&self, name: &str, value: &str) -> String {
        let read = document::values(&format!("value: {value}\n")).unwrap_or_default();
        let fits = match read.as_slice() {
            [Value::Object(map)] if map.len() == 1 && !value.contains('\n') => map
                .get("value")
                .is_some_and(|value| !((value.is_object() || value.is_array()) && self.takes_text(name))),
            _ => false,
        };
        if fits { value.to_owned() } else { json!(value).to_string() }
    }

    /// The lines of a scenario that make the same check. A secret in a setting is masked in the record, and so here.
    fn masked_step(&self, record: &StepRecord) -> String {
        let kept = |name: &str| record.settings.get(name).filter(|value| holds_mask(value));
        self.step(|name, value| kept(name).map_or_else(|| self.written(name, value), ToString::to_string))
    }

    /// The connections that go with them, where no file has them.
    fn connections(&self, info: Option<&RunInfo>) -> String {
        let given = info.filter(|_| self.url.is_some());
        let lines = given.into_iter().flat_map(|info| &info.connections);
        let mut out = String::new();
        for (name, written) in lines {
            let _ = writeln!(out, "  {}:", scalar(name));
            for (key, value) in written.as_object().into_iter().flatten() {
                let _ = writeln!(out, "    {key}: {value}");
            }
        }
        out
    }

    fn takes_text(&self, name: &str) -> bool {
        self.info().is_some_and(|kind| {
            let schema = (kind.settings)();
            let takes = &schema.as_value()["properties"][name]["type"];
            *takes == "string" || *takes == json!(["string", "null"])
        })
    }
}

/// A name in YAML, in quotes where it is no plain one.
fn scalar(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { json!(name).to_string() }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_mask),
        Value::Object(map) => map.values().any(holds_mask),
        Value::String(text) => is_masked(value) || text.contains(MASK),
        _ => false,
    }
}
