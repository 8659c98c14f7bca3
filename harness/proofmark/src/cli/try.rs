//! `try`: one check without a file.

use super::output::{give, note_password, say, tell};
use super::terminal::show_error;
use crate::app;
use crate::app::error::RunError;
use crate::app::observer::Silent;
use crate::app::r#try::{CheckOutcome, CheckRequest};
use proofmark_evidence::report::text;
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, Exit, Permission};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = include_str!("try.txt").trim_ascii();

#[derive(Debug, Clone, clap::Args)]
pub(super) struct TryCommandArgs {
    /// The kind of check, such as `prometheus-query`
    kind: String,
    /// Its settings; each value is read as YAML
    #[arg(value_name = "SETTING=VALUE", value_parser = super::arguments::pair)]
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

/// So many elements of a list are shown to people, and so many characters of a text.
const SHOWN: usize = 20;
const LONG: usize = 2000;

/// Looks once, and tells what was seen.
pub(super) async fn try_one(options: &TryCommandArgs, clock: &Clock) -> Exit {
    options.url.iter().for_each(|url| note_password("--url", url));
    let request = CheckRequest {
        kind: options.kind.clone(),
        settings: options.settings.clone(),
        url: options.url.clone(),
        endpoint: options.endpoint.clone(),
        environment: options.env.clone(),
        via: options.via.clone(),
        timeout: options.timeout,
        allow: options.allow.iter().copied().collect(),
    };
    let outcome = match app::r#try::check(&request, &Silent, clock).await {
        Ok(outcome) => outcome,
        Err(RunError::ReadBack(error)) => {
            tell(&error.diagnostic.render(false));
            return error.exit;
        }
        Err(error) => return show_error(&error),
    };
    if options.json {
        give(&format!("{:#}\n", as_json(&outcome)));
    } else {
        say(&as_text(&outcome));
    }
    outcome.exit
}

fn as_json(outcome: &CheckOutcome) -> Value {
    let CheckOutcome { exit, record, seconds, step, connections } = outcome;
    json!({
        "kind": record.kind,
        "verdict": record.verdict,
        "exit": exit,
        "seconds": seconds,
        "findings": record.findings,
        "observation": record.observation,
        "requests": record.attempts.iter().flat_map(|attempt| &attempt.requests).collect::<Vec<_>>(),
        "step": step,
        "connections": connections,
    })
}

fn as_text(outcome: &CheckOutcome) -> String {
    let CheckOutcome { exit, record, seconds, step, connections } = outcome;
    let mut out = text::alone(record, *seconds, *exit, std::io::stdout().is_terminal());
    if !record.observation.is_null() {
        let mut seen = record.observation.clone();
        shorten(&mut seen);
        let _ = write!(out, "\nseen, as `$`:\n{seen:#}\n");
    }
    let _ = write!(out, "\nthe same in a scenario:\nsteps:\n{step}");
    if !connections.is_empty() {
        let _ = write!(out, "\nand in its environment file:\nconnections:\n{connections}");
    }
    out
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
