//! `file`: checks one path on the machine that Proofmark runs on. A path that does not exist, or is not a file, fails;
//! a path that cannot be examined is unverified.

use jiff::Timestamp;
use proofmark_engine::settings::present;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_environment::document;
use proofmark_model::expect::{Matcher, Pattern};
use proofmark_model::redact::leak;
use proofmark_model::{Duration, ErrorCode, Exchange, Finding, SettingMistake};
use proofmark_net::files::{self, Content, FileType, Meta};
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How much of a file is read to search it, in bytes.
const SEARCHED: usize = 16 << 20;

/// The largest file that is parsed, in bytes.
const PARSED: usize = 8 << 20;

/// Checks a file. Symbolic links are followed. A relative path starts at the folder that Proofmark runs in, like `cwd`
/// of `command`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// The path. `~` and wildcards are ordinary characters.
    pub path: String,
    /// Whether the file must be executable by anyone (`true`) or must not be (`false`). Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    /// A regular expression, or a list of them, each of which must match somewhere in the content. They are unanchored;
    /// `(?m)` makes `^` and `$` match at lines. The first 16 MiB are searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Patterns>,
    /// The greatest age of the last change of the content, such as `1h`. Default: any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_than: Option<Duration>,
    /// Whether the file must have at least one byte. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_empty: bool,
    /// Whether the content must be JSON, at most 8 MiB. Its value is part of the observation. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub json: bool,
    /// Whether the content must be YAML, at most 8 MiB. Its value is part of the observation; several documents become
    /// a list. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub yaml: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// One regular expression or several.
#[derive(Debug, Clone)]
pub struct Patterns(pub Vec<Pattern>);

/// What is at the path. If there is nothing, only `exists` and possibly `link-to` are present.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileObservation {
    /// Whether anything exists at the path.
    pub exists: bool,
    /// The type of what is there, after following links.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FileType>,
    /// The target of the path, if the path is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_to: Option<String>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The permission bits as four octal digits: `0755`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether anyone may execute the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    /// When the content was last changed. RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub modified: Option<Timestamp>,
    /// The result of each expression of `matches`, in order. The matched text is not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Matches>,
    /// The content as JSON.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The content as YAML.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub yaml: Option<Value>,
    /// Why the content is not JSON or YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
    /// Why the content could not be read, or not completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// The result of one expression.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Matches {
    /// The expression.
    pub pattern: String,
    /// The number of matches, without overlaps.
    pub count: u64,
    /// The line of the first match, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Kind for File {
    const NAME: &'static str = "file";
    const EXAMPLE: &'static str =
        "file: { path: scripts/backup.sh, executable: true, matches: 'pg_dump', newer-than: 30d }";
    const JUDGES: &'static str = "It exists and is a file; then every setting: executable, fresh, not empty, parsed, every expression found. What could not be read is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = FileObservation;

    fn judge(&self, seen: &FileObservation, at: Timestamp) -> Vec<Finding> {
        let there = match seen.kind {
            _ if !seen.exists => "nothing",
            Some(kind) => kind.words(),
            None => "something",
        };
        let ok = seen.exists && seen.kind == Some(FileType::File);
        let help = match &seen.link_to {
            Some(target) if !seen.exists => format!("the path is a link that leads nowhere: to `{target}`"),
            _ => "a relative path starts at the folder that Proofmark runs in".to_owned(),
        };
        let mut findings = vec![Finding::judged("the file exists", "a file", there, ok).with_help(help)];
        if ok {
            findings.extend(self.judge_meta(seen, at));
            findings.extend(self.judge_content(seen));
        }
        findings
    }

    fn mistake(&self) -> Option<SettingMistake> {
        match self.path.as_str() {
            "" => Some(SettingMistake::new("`path` is empty").help("write where the file is")),
            home if home == "~" || home.starts_with("~/") => {
                Some(SettingMistake::new("`~` is not replaced by a home folder").help("write the whole path"))
            }
            _ if self.json && self.yaml => {
                Some(SettingMistake::new("a file is not parsed twice").help("write either `json` or `yaml`"))
            }
            _ => None,
        }
    }
}

impl Check for File {
    async fn observe(&self, cx: &Cx) -> Result<FileObservation, StepError> {
        let found = files::aside(&self.path, |path, _| files::look(path)).await?;
        let mut seen = FileObservation { link_to: found.link_to, ..FileObservation::default() };
        let Some(meta) = found.meta else { return Ok(seen) };
        seen.describe(&meta);
        let limit = match (&self.matches, self.json || self.yaml) {
            (Some(_), _) => SEARCHED,
            (None, true) => PARSED,
            (None, false) => 0,
        };
        if meta.kind != FileType::File || limit == 0 {
            return Ok(seen);
        }
        let started = cx.clock.elapsed();
        let read = files::aside(&self.path, move |path, given_up| files::read(path, limit, given_up)).await;
        let content = match read {
            Ok(content) => content,
            Err(error) => {
                seen.unread = Some(error.to_string());
                return Ok(seen);
            }
        };
        let seconds = cx.clock.elapsed().saturating_sub(started).as_secs_f64();
        cx.log.push(exchange(&self.path, &content, seconds));
        let (settings, log) = (self.clone(), cx.log.clone());
        let done = tokio::task::spawn_blocking(move || {
            log.keep(kept(&content));
            settings.read(seen, &content)
        });
        done.await.map_err(|error| StepError::new(ErrorCode::Internal, error.to_string()))?
    }
}

impl File {
    fn judge_meta(&self, seen: &FileObservation, at: Timestamp) -> Vec<Finding> {
        let mut findings = vec![];
        if let Some(wanted) = self.executable {
            let mode = seen.mode.clone().unwrap_or_default();
            let ok = seen.executable == Some(wanted);
            let expected = if wanted { "executable" } else { "not executable" };
            findings.push(Finding::judged("it is executable", expected, format!("mode {mode}"), ok));
        }
        if self.not_empty {
            let size = seen.size.unwrap_or_default();
            findings.push(Finding::judged("it is not empty", "at least 1 byte", size, size > 0));
        }
        if let (Some(age), Some(modified)) = (self.newer_than, seen.modified) {
            let modified = Value::String(modified.to_string());
            let answer = Matcher::NewerThan(age).answer(&modified, at);
            findings.push(answer.finding("it was changed lately", format!("within {age}"), modified));
        }
        findings
    }

    fn judge_content(&self, seen: &FileObservation) -> Vec<Finding> {
        let mut findings = vec![];
        for (index, Pattern(pattern)) in self.matches.iter().flat_map(|list| &list.0).enumerate() {
            let what = format!("the content matches {pattern}");
            let found = seen.matches.get(index).map(|found| found.count);
            findings.push(match (found, &seen.unread) {
                (Some(1..), _) => Finding::judged(what, "at least 1 match", found, true),
                (Some(0), None) => Finding::judged(what, "at least 1 match", 0, false)
                    .with_help("`^` and `$` mean lines only with `(?m)`"),
                (_, Some(why)) => Finding::undecided(what, "at least 1 match", why.clone()),
                (None, None) => Finding::undecided(what, "at least 1 match", "nobody looked"),
            });
        }
        for (name, asked, parsed) in [("JSON", self.json, &seen.json), ("YAML", self.yaml, &seen.yaml)] {
            let what = format!("it is {name}");
            findings.extend(asked.then(|| match (parsed, &seen.malformed, &seen.unread) {
                (Some(_), ..) => Finding::judged(what, name, name, true),
                (None, Some(why), _) => Finding::judged(what, name, why.clone(), false),
                (None, None, why) => {
                    Finding::undecided(what, name, why.clone().unwrap_or_else(|| "nobody looked".into()))
                }
            }));
        }
        findings
    }

    /// Searches and parses the content.
    fn read(&self, mut seen: FileObservation, content: &Content) -> Result<FileObservation, StepError> {
        if !content.whole {
            seen.unread = Some(format!("only its first {} MiB were read", content.bytes.len() >> 20));
        }
        for Pattern(pattern) in self.matches.iter().flat_map(|list| &list.0) {
            // The search works on bytes, so that the file need not be UTF-8.
            let bytes = Regex::new(pattern.as_str());
            let bytes = bytes.map_err(|error| StepError::new(ErrorCode::Internal, error.to_string()))?;
            seen.matches.push(search(&bytes, &content.bytes));
        }
        if self.json || self.yaml {
            match parsed(self.json, content) {
                Ok(Some(mut value)) => {
                    leak::conceal(&mut value);
                    *(if self.json { &mut seen.json } else { &mut seen.yaml }) = Some(value);
                }
                Ok(None) => {
                    let limit = PARSED >> 20;
                    seen.unread = Some(format!("it is larger than the {limit} MiB that are parsed"));
                }
                Err(why) => seen.malformed = Some(why),
            }
        }
        Ok(seen)
    }
}

impl FileObservation {
    fn describe(&mut self, meta: &Meta) {
        self.exists = true;
        self.kind = Some(meta.kind);
        self.size = Some(meta.size);
        self.mode = Some(format!("{:04o}", meta.mode));
        self.executable = Some(meta.kind == FileType::File && meta.mode & 0o111 != 0);
        self.modified = Some(meta.modified);
    }
}

fn search(pattern: &Regex, bytes: &[u8]) -> Matches {
    let mut found = pattern.find_iter(bytes);
    let first = found.next();
    let line = first.map(|first| memchr::memchr_iter(b'\n', &bytes[..first.start()]).count() + 1);
    let count = u64::from(first.is_some()) + found.count() as u64;
    Matches { pattern: pattern.as_str().to_owned(), count, line }
}

/// Returns what `evidence:` keeps: text without the secrets that are recognised by their form, because a file may hold
/// more than a query would have returned. Other bytes are kept unchanged.
fn kept(content: &Content) -> Arc<Vec<u8>> {
    match std::str::from_utf8(&content.bytes) {
        Ok(text) if leak::suspicious(&content.bytes) => Arc::new(leak::concealed(text).into_bytes()),
        _ => content.bytes.clone(),
    }
}

/// Returns the content as a value; `None` if it is too large to be parsed.
fn parsed(json: bool, content: &Content) -> Result<Option<Value>, String> {
    if !content.whole || content.bytes.len() > PARSED {
        return Ok(None);
    }
    let text = std::str::from_utf8(&content.bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    if json {
        return serde_json::from_str(text).map(Some).map_err(|error| error.to_string());
    }
    let mut documents = document::values(text)?;
    match documents.len() {
        0 => Err("it holds no document".into()),
        1 => Ok(Some(documents.remove(0))),
        _ => Ok(Some(Value::Array(documents))),
    }
}

fn exchange(path: &str, content: &Content, seconds: f64) -> Exchange {
    Exchange {
        method: "read".into(),
        target: files::shown(Path::new(path)),
        bytes: content.bytes.len() as u64,
        sha256: Some(content.sha256.clone()),
        seconds,
        ..Exchange::default()
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(s),
            several => s.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct OneOrList;
        impl<'de> Visitor<'de> for OneOrList {
            type Value = Patterns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a regular expression or a list of them")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Patterns, E> {
                let one = Pattern::deserialize(serde::de::value::StrDeserializer::<E>::new(text))?;
                Ok(Patterns(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = vec![];
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                if patterns.is_empty() {
                    return Err(A::Error::custom("a list of expressions needs at least one"));
                }
                Ok(Patterns(patterns))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Patterns, D::Error> {
                d.deserialize_any(OneOrList)
            }
        }
        // The name lets the document layer offer a sample for a template that is not filled in yet.
        d.deserialize_newtype_struct("$regex", OneOrList)
    }
}

impl JsonSchema for Patterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Patterns".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<Pattern>();
        schemars::json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}
