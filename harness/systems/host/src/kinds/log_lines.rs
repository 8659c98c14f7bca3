//! `log-lines`: reads a log of any size once, and reports which events it contains, whether its lines have the required
//! fields, and where it contains secrets. Secrets are recognised while reading; their values are never kept.

mod fields;
mod line;
mod scan;

use fields::{Fields, Require};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Exchange, Finding, SettingMistake};
use proofmark_net::files;
use scan::{LONGEST, Scan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Checks a log file on the machine that Proofmark runs on. A relative path starts at the folder that Proofmark runs
/// in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogLines {
    /// The path of the log file.
    pub path: String,
    /// `jsonl` (one JSON object per line) or `text`. Default: `jsonl`.
    #[serde(default)]
    pub format: Format,
    /// Events that must occur: a list of names, or a map from name to the fields that every such event must have, which
    /// are a list of names or a map from name to type. In `text`, the names must occur in a line as a word. Default:
    /// none.
    #[serde(default)]
    pub require: Require,
    /// Fields that every line must have: a list of names, or a map from name to type. Types: `any`, `time` (RFC 3339 in
    /// UTC; the type of `ts` if none is given), `string`, `number`, `integer`, `boolean`, `array`, `object`, `null`. A
    /// name with dots refers to a field within objects. Default: none.
    #[serde(default)]
    pub envelope: Fields,
    /// Whether lines must not contain secrets: an unmasked value under a key named like a secret, a token, a key, a
    /// password within a URL, or a secret that this run itself uses. Default: false.
    #[serde(default)]
    pub no_secrets: bool,
    /// Keys that `no-secrets` skips, including everything below them: a name, or a path with dots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// The key that holds the name of the event. Default: `event`.
    #[serde(default = "event_key")]
    pub event_key: String,
    /// The key that holds the time of the event, as RFC 3339 or Unix seconds. Default: `ts`.
    #[serde(default = "time_key")]
    pub time_key: String,
}

fn event_key() -> String {
    "event".into()
}

fn time_key() -> String {
    "ts".into()
}

/// The format of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object.
    #[default]
    Jsonl,
    /// Text.
    Text,
}

/// What the log contains.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogLinesObservation {
    /// The number of lines that are not blank.
    pub lines: u64,
    /// The number of bytes read.
    pub bytes: u64,
    /// The events, by name: the required ones, and at most a thousand others.
    pub events: Vec<Event>,
    /// The number of lines whose event is beyond those thousand.
    pub other_events: u64,
    /// The number of lines without an event.
    pub without_event: u64,
    /// The problems of lines, whatever their event.
    pub problems: Vec<Problem>,
    /// The number of lines of more than 1 MiB, which were not read.
    pub too_long: u64,
    /// Whether the last line has no line feed and is not a JSON object: it may be still being written. It is not
    /// counted.
    pub unfinished: bool,
    /// What happened to the file while it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// The positions of the first hundred secrets. Present only with `no-secrets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<Vec<Leak>>,
    /// The number of secrets. Present only with `no-secrets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak_count: Option<u64>,
}

/// All events of one name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// The name of the event.
    #[serde(rename = "event")]
    pub name: String,
    /// The number of events.
    pub count: u64,
    /// The time of the earliest event; `null` if none has a time. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    /// The time of the latest event; `null` if none has a time. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
    /// The problems of the required fields.
    pub problems: Vec<Problem>,
}

/// A problem, however often it occurs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Problem {
    /// The field that the problem concerns, or `the line`.
    pub of: String,
    /// What is wrong with it.
    pub what: String,
    /// The number of lines with this problem.
    pub count: u64,
    /// The first such line, counted from 1.
    pub line: u64,
}

/// The position of a secret.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Leak {
    /// The line, counted from 1.
    pub line: u64,
    /// The path of keys to the secret; empty if there is none.
    pub key: String,
    /// The rule that recognised it: `key`, `learned`, `private-key`, `jwt`, `dsn-password`, `token`, `authorization`,
    /// `assignment`.
    pub rule: String,
}

impl Kind for LogLines {
    const NAME: &'static str = "log-lines";
    const EXAMPLE: &'static str = "log-lines: { path: app.jsonl, require: { rbac_deny: { actor: string } }, envelope: [event, ts], no-secrets: true }";
    const JUDGES: &'static str = "At least one line; in `jsonl` every line is one JSON object; then `require`, `envelope` and `no-secrets`. Lines that are too long and a file that is rotated meanwhile leave it undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = LogLinesObservation;

    fn judge(&self, seen: &LogLinesObservation, _at: Timestamp) -> Vec<Finding> {
        let lines = usize::try_from(seen.lines).ok();
        let mut findings = vec![Count::AT_LEAST_ONE.judge("at least one line", lines)];
        if let Some(what) = &seen.changed {
            let finding =
                Finding::undecided("the file was read whole", "the same file to its end", what.clone());
            findings.push(finding.with_help("it was rotated or cut: look again, with `within`"));
        }
        if seen.too_long > 0 {
            let longest = format!("at most {LONGEST} bytes");
            let all = format!("{} longer lines", seen.too_long);
            findings.push(Finding::undecided("every line was read", longest, all));
        }
        if seen.lines > 0 {
            let (lines, fields): (Vec<_>, Vec<_>) =
                seen.problems.iter().partition(|problem| problem.of == "the line");
            if self.format == Format::Jsonl {
                findings.push(sound("every line is one JSON object", "no problem", &lines));
            }
            if !self.envelope.0.is_empty() {
                let names: Vec<_> = self.envelope.0.keys().map(String::as_str).collect();
                findings.push(sound("every line has its envelope", &names.join(", "), &fields));
            }
        }
        findings.extend(self.require.0.keys().flat_map(|name| self.judge_event(name, seen)));
        findings.extend(self.no_secrets.then(|| judge_leaks(seen)));
        findings
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let fields = self.require.0.values().any(|fields| !fields.0.is_empty());
        let types = self.require.0.values().chain([&self.envelope]).flat_map(|fields| fields.0.values());
        match self.format {
            _ if self.path.is_empty() => {
                Some(SettingMistake::new("`path` is empty").help("write where the log is"))
            }
            Format::Text if fields || !self.envelope.0.is_empty() => Some(
                SettingMistake::new("lines of text have no fields")
                    .help("take `envelope` and the fields of `require` out, or write `format: jsonl`"),
            ),
            _ if types.clone().any(|kind| *kind == fields::FieldType::Masked) => {
                Some(SettingMistake::new("a mask is no type of a field").help("write `any`, or what it is"))
            }
            _ if !self.except.is_empty() && !self.no_secrets => Some(
                SettingMistake::new("`except` is for `no-secrets`")
                    .help("write `no-secrets: true` beside it, or take it out"),
            ),
            _ => None,
        }
    }
}

impl Check for LogLines {
    async fn observe(&self, cx: &Cx) -> Result<LogLinesObservation, StepError> {
        let started = cx.clock.elapsed();
        let (settings, seeker) = (self.clone(), cx.systems.redactor.seeker());
        let scan = move |path: &Path, given_up: &_| Scan::new(&settings, seeker).run(path, given_up);
        let seen = files::aside(&self.path, scan).await?;
        cx.log.push(Exchange {
            method: "read".into(),
            target: files::shown(Path::new(&self.path)),
            bytes: seen.bytes,
            seconds: cx.clock.elapsed().saturating_sub(started).as_secs_f64(),
            ..Exchange::default()
        });
        Ok(seen)
    }
}

impl LogLines {
    fn judge_event(&self, name: &str, seen: &LogLinesObservation) -> Vec<Finding> {
        let event = seen.events.iter().find(|event| event.name == name);
        let count = event.map_or(0, |event| event.count);
        let help = match self.format {
            Format::Jsonl => format!("the name is looked for under the key `{}`", self.event_key),
            Format::Text => "the name is looked for as a whole word".to_owned(),
        };
        let counted = Count::AT_LEAST_ONE.judge(format!("event {name}"), usize::try_from(count).ok());
        let mut findings = vec![counted.with_help(help)];
        if let (Some(event), Some(fields)) = (event, self.require.0.get(name))
            && count > 0
            && !fields.0.is_empty()
        {
            let names: Vec<_> = fields.0.keys().map(String::as_str).collect();
            let problems: Vec<_> = event.problems.iter().collect();
            findings.push(sound(&format!("every {name} has its fields"), &names.join(", "), &problems));
        }
        findings
    }
}

/// Passes if there are no problems; otherwise lists the first ones.
fn sound(what: &str, expected: &str, problems: &[&Problem]) -> Finding {
    let say = |problem: &&Problem| {
        let Problem { of, what, count, line } = problem;
        format!("{of}: {what} ({count} lines, first {line})")
    };
    let said: Vec<_> = problems.iter().take(5).map(say).collect();
    let seen = if problems.is_empty() { "no problem".to_owned() } else { said.join("; ") };
    Finding::judged(what, expected, seen, problems.is_empty())
}

fn judge_leaks(seen: &LogLinesObservation) -> Finding {
    let what = "no secret stands in it";
    let (Some(leaks), Some(count)) = (&seen.leaks, seen.leak_count) else {
        return Finding::undecided(what, 0, "nobody looked");
    };
    let say = |leak: &Leak| format!("line {} {} ({})", leak.line, leak.key, leak.rule);
    let first: Vec<_> = leaks.iter().take(5).map(say).collect();
    let seen = if count == 0 { "none".to_owned() } else { format!("{count}: {}", first.join("; ")) };
    Finding::judged(what, "none", seen, count == 0)
        .with_help("`except` names keys that hold no secret; masked values (`***`, `[REDACTED]`) are none")
}
