//! `log-lines`: goes through a log of any size once, and says which events it holds, whether its lines have what they
//! must have, and where secrets stand in it. What a secret is, is settled while reading; its value is never kept.

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

/// Reads a log file on the machine that Proofmark runs on. A relative path starts at the folder that Proofmark runs in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogLines {
    /// The path.
    pub path: String,
    /// `jsonl` (one JSON object a line), or `text`. `jsonl` if it is not said.
    #[serde(default)]
    pub format: Format,
    /// Events that must be there: a list of names, or a map from name to the fields that every such event must have,
    /// which are a list of names or a map from name to type. In `text`, names that stand in a line as a word.
    #[serde(default)]
    pub require: Require,
    /// Fields that every line must have: a list of names, or a map from name to type. Types: `any`, `time` (RFC 3339 in
    /// UTC; what `ts` is without a type), `string`, `number`, `integer`, `boolean`, `array`, `object`, `null`. A name with
    /// dots looks into objects.
    #[serde(default)]
    pub envelope: Fields,
    /// No line may hold a secret: a value under a key that is named like one and not masked, a token, a key, a password
    /// within a URL, or a secret that this run itself uses.
    #[serde(default)]
    pub no_secrets: bool,
    /// Keys that `no-secrets` passes over, with all below them: a name, or a path with dots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// The key that holds the name of the event.
    #[serde(default = "event_key")]
    pub event_key: String,
    /// The key that holds the time of the event, as RFC 3339 or Unix seconds.
    #[serde(default = "time_key")]
    pub time_key: String,
}

fn event_key() -> String {
    "event".into()
}

fn time_key() -> String {
    "ts".into()
}

/// What a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object.
    #[default]
    Jsonl,
    /// Text.
    Text,
}

/// What the log holds.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seen {
    /// Lines that are not blank.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// By name; the required ones, and a thousand others.
    pub events: Vec<Event>,
    /// Lines whose event is beyond those thousand.
    pub other_events: u64,
    /// Lines without an event.
    pub without_event: u64,
    /// What is wrong with lines, whatever their event.
    pub problems: Vec<Problem>,
    /// Lines of more than 1 MiB, which were not read.
    pub too_long: u64,
    /// The last line has no line feed and is no JSON object: someone may be writing it. It is not counted.
    pub unfinished: bool,
    /// What happened to the file while it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Where secrets stand, the first hundred; only there where `no-secrets` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<Vec<Leak>>,
    /// How many secrets there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak_count: Option<u64>,
}

/// All events of one name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// Its name.
    #[serde(rename = "event")]
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// The earliest time of one, RFC 3339 in UTC; `null` if none says a time.
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    /// The latest time of one.
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
    /// What is wrong with the fields that it must have.
    pub problems: Vec<Problem>,
}

/// Something wrong, however often.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Problem {
    /// The field, or `the line`.
    pub of: String,
    /// What is wrong with it.
    pub what: String,
    /// In how many lines.
    pub count: u64,
    /// The first of them, from 1.
    pub line: u64,
}

/// Where a secret stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Leak {
    /// The line, from 1.
    pub line: u64,
    /// The path of keys to it; empty where there is none.
    pub key: String,
    /// By which rule it is one: `key`, `learned`, `private-key`, `jwt`, `dsn-password`, `token`, `authorization`, `assignment`.
    pub rule: String,
}

impl Kind for LogLines {
    const NAME: &'static str = "log-lines";
    const EXAMPLE: &'static str = "log-lines: { path: app.jsonl, require: { rbac_deny: { actor: string } }, envelope: [event, ts], no-secrets: true }";
    const JUDGES: &'static str = "At least one line; in `jsonl` every line is one JSON object; then `require`, `envelope` and `no-secrets`. Lines that are too long and a file that is rotated meanwhile leave it undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = Seen;

    fn judge(&self, seen: &Seen, _at: Timestamp) -> Vec<Finding> {
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
    async fn observe(&self, cx: &Cx) -> Result<Seen, StepError> {
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
    fn judge_event(&self, name: &str, seen: &Seen) -> Vec<Finding> {
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

/// Passes where there is no problem, and else says the first ones.
fn sound(what: &str, expected: &str, problems: &[&Problem]) -> Finding {
    let say = |problem: &&Problem| {
        let Problem { of, what, count, line } = problem;
        format!("{of}: {what} ({count} lines, first {line})")
    };
    let said: Vec<_> = problems.iter().take(5).map(say).collect();
    let seen = if problems.is_empty() { "no problem".to_owned() } else { said.join("; ") };
    Finding::judged(what, expected, seen, problems.is_empty())
}

fn judge_leaks(seen: &Seen) -> Finding {
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
