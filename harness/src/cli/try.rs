//! `try`: one check without a file. The command line is written down as a scenario of one step, which is run like any
//! other in a folder that is gone afterwards.

use super::run::{Format, Kept, Order};
use super::{both, give, note_password, of_places, say, tell, typed_place};
use crate::clock::Clock;
use crate::diag::Diag;
use crate::document;
use crate::environment::{Environment, GivenPlace};
use crate::kinds::{registry, vocabulary};
use crate::model::{Duration, Exit, Permission, RunInfo, StepRecord};
use crate::record::read;
use crate::redact::{MASK, is_masked};
use crate::report::text;
use crate::scenario::{Plan, embedded};
use crate::steps::KindInfo;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = include_str!("builtin/try.txt").trim_ascii();

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// The kind of check, such as `prometheus-query`
    kind: String,
    /// Its settings; each value is read as YAML
    #[arg(value_name = "SETTING=VALUE", value_parser = super::pair)]
    settings: Vec<(String, String)>,
    /// Where the system is: a URL, or `env:NAME` for the variable that holds it
    #[arg(long, value_name = "URL", conflicts_with = "env")]
    url: Option<String>,
    /// Where the server of a bucket listens: `http://minio:9000`
    #[arg(long, value_name = "URL", requires = "url")]
    endpoint: Option<String>,
    /// Environment file: where the systems are and how to log in
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// The connection of the environment file to use, where it has not the name of its role
    #[arg(long, value_name = "CONNECTION", requires = "env")]
    via: Option<String>,
    /// How long it may take
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// `exec` lets the environment file's secrets come from programs
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Permission>,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
}

/// The scenario and its step.
const NAME: &str = "try";

/// So many elements of a list are shown to people, and so many characters of a text.
const SHOWN: usize = 20;
const LONG: usize = 2000;

impl Options {
    fn info(&self) -> Option<&'static KindInfo> {
        registry().kinds().find(|kind| kind.name == self.kind && !kind.acts)
    }

    /// The connection that the step has to name: one that is given, or the one that `--url` is for a kind without roles.
    fn via(&self) -> Option<&str> {
        let unnamed = |kind: &KindInfo| kind.roles.is_empty() && self.url.is_some();
        self.via.as_deref().or_else(|| self.info().filter(|kind| unnamed(kind)).map(|kind| kind.name))
    }

    fn environment(&self) -> Result<Environment, Vec<Diag>> {
        match (&self.env, &self.url, self.info()) {
            (Some(file), ..) => super::load(file),
            (None, Some(url), Some(kind)) => {
                let endpoint = self.endpoint.as_deref();
                let reads = |role: &&str| vocabulary().role(role).keys.contains(&"endpoint");
                if endpoint.is_some() && !kind.takes().iter().all(reads) {
                    let message = "`--endpoint` is for a bucket, and no bucket is read here";
                    return Err(vec![Diag::new("bad-place", message).help("leave it out")]);
                }
                let typed = |role| GivenPlace { endpoint, ..typed_place(role, "--url", url) };
                of_places(&kind.takes().into_iter().map(typed).collect::<Vec<_>>())
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

    /// The mistakes of a file are told to somebody who wrote none.
    fn advised(&self, diag: Diag) -> Diag {
        let help = match diag.code {
            "wrong-list" => {
                "`try` takes checks only: nothing is changed without a scenario and a promise".into()
            }
            "bad-via" if self.url.is_some() => "leave `--url` out".into(),
            "bad-via" if self.env.is_none() => "write the whole URL, or say with `--url` below what".into(),
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

/// Looks once, and tells what was seen.
pub(super) async fn try_one(options: &Options, clock: &Clock) -> Exit {
    options.url.iter().for_each(|url| note_password("--url", url));
    let folder = match tempfile::Builder::new().prefix("proofmark-try-").tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            let diag = Diag::new("no-folder", format!("there is no place to work in: {error}"));
            tell(&diag.help("set TMPDIR to a folder that can be written").render(false));
            return Exit::Evidence;
        }
    };
    let evidence = folder.path().to_owned();
    let (allow, operator) = (options.allow.clone(), None);
    let kept =
        Kept { allow, reports: evidence.clone(), evidence, export: None, operator, format: Format::Human };
    let order = Order { command: NAME, kept: &kept, jobs: 1, deadline: None, inside: None, confirm: None };
    let told: crate::record::Tell = Box::new(|_| {});
    let ended = match order.perform(|scope| options.load(scope), || None, (clock, || (told, None))).await {
        Ok((ended, _)) => ended,
        Err(stopped) => return stopped.exit,
    };
    let read = read(&ended.folder).ok();
    let record = read.as_ref().and_then(|run| run.step(NAME, NAME));
    let (Some(run), Some(record)) = (read, record) else {
        tell(&Diag::new("no-record", "what was seen could not be read back").render(false));
        return Exit::Evidence;
    };
    let shown = Shown { options, record: &record, info: run.info.as_ref(), exit: ended.exit };
    if options.json {
        give(&format!("{:#}\n", shown.json()));
    } else {
        say(&shown.text());
    }
    ended.exit
}

/// What came of it.
struct Shown<'a> {
    options: &'a Options,
    record: &'a StepRecord,
    info: Option<&'a RunInfo>,
    exit: Exit,
}

impl Shown<'_> {
    /// The lines of a scenario that ask the same. A secret in a setting is masked in the record, and so here.
    fn step(&self) -> String {
        let kept = |name: &str| self.record.settings.get(name).filter(|value| holds_mask(value));
        self.options.step(|name, value| {
            kept(name).map_or_else(|| self.options.written(name, value), ToString::to_string)
        })
    }

    /// The connections that go with them, where no file has them.
    fn connections(&self) -> String {
        let given = self.info.filter(|_| self.options.url.is_some());
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

    fn seconds(&self) -> f64 {
        self.record.attempts.iter().map(|attempt| attempt.seconds).sum()
    }

    fn json(&self) -> Value {
        json!({
            "kind": self.record.kind,
            "verdict": self.record.verdict,
            "exit": self.exit,
            "seconds": self.seconds(),
            "findings": self.record.findings,
            "observation": self.record.observation,
            "requests": self.record.attempts.iter().flat_map(|attempt| &attempt.requests).collect::<Vec<_>>(),
            "step": self.step(),
            "connections": self.connections(),
        })
    }

    fn text(&self) -> String {
        let mut out = text::alone(self.record, self.seconds(), self.exit, std::io::stdout().is_terminal());
        if !self.record.observation.is_null() {
            let mut seen = self.record.observation.clone();
            shorten(&mut seen);
            let _ = write!(out, "\nseen, as `$`:\n{seen:#}\n");
        }
        let _ = write!(out, "\nthe same in a scenario:\nsteps:\n{}", self.step());
        let connections = self.connections();
        if !connections.is_empty() {
            let _ = write!(out, "\nand in its environment file:\nconnections:\n{connections}");
        }
        out
    }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_mask),
        Value::Object(map) => map.values().any(holds_mask),
        Value::String(text) => is_masked(value) || text.contains(MASK),
        _ => false,
    }
}

/// Cuts what people would not read to its end.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => {
            let more = items.len().saturating_sub(SHOWN);
            items.truncate(SHOWN);
            items.iter_mut().for_each(shorten);
            if more > 0 {
                items.push(format!("… {more} more; `--json` shows all").into());
            }
        }
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(LONG) {
                let more = text.chars().count() - LONG;
                text.truncate(end);
                let _ = write!(text, "… {more} characters more; `--json` shows all");
            }
        }
        _ => {}
    }
}
