//! Scans the file once, in bounded memory whatever it contains: a limited number of events, problems and leaks is kept,
//! the rest is counted.

use super::fields::{FieldType, Fields, Shape, says_utc};
use super::line::{self, Keys, Read};
use super::{Event, Format, Leak, LogLines, LogLinesObservation, Problem};
use foldhash::fast::RandomState;
use jiff::Timestamp;
use proofmark_model::redact::{Seeker, leak};
use proofmark_net::ClientError;
use proofmark_net::files::{GivenUp, Line, Lines};
use regex::bytes::Regex;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The longest line that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How many event names are counted separately, besides the required ones.
const EVENTS: usize = 1_000;

/// How many leaks are listed.
const LEAKS: usize = 100;

/// The longest part of a name that is kept, in bytes.
const NAME: usize = 200;

pub struct Scan<'a> {
    settings: &'a LogLines,
    seeker: Seeker,
    keys: Keys,
    /// The names to find as words in lines of text.
    words: Vec<(String, Regex)>,
    nested: bool,
    events: HashMap<Box<str>, Event, RandomState>,
    seen: LogLinesObservation,
}

impl<'a> Scan<'a> {
    pub fn new(settings: &'a LogLines, seeker: Seeker) -> Self {
        let required = settings.require.0.iter();
        let fields = required.clone().flat_map(|(_, fields)| fields.0.keys());
        let names = settings.envelope.0.keys().chain(fields).chain([&settings.event_key, &settings.time_key]);
        let keys = Keys::new(names.clone().map(String::as_str), settings.no_secrets);
        let nested = names.into_iter().any(|name| name.contains('.'));
        let events = required.clone().map(|(name, _)| (name.as_str().into(), Event::new(name))).collect();
        let word = |name: &String| {
            let whole = format!(r"(?-u)(?:^|[^A-Za-z0-9_]){}(?:$|[^A-Za-z0-9_])", regex::escape(name));
            Regex::new(&whole).ok().map(|regex| (name.clone(), regex))
        };
        let words = required.filter_map(|(name, _)| word(name)).collect();
        let mut seen = LogLinesObservation::default();
        if settings.no_secrets {
            (seen.leaks, seen.leak_count) = (Some(vec![]), Some(0));
        }
        Self { settings, seeker, keys, words, nested, events, seen }
    }

    /// Reads the file to its end.
    pub fn run(mut self, path: &Path, given_up: &GivenUp) -> Result<LogLinesObservation, ClientError> {
        let mut lines = Lines::open(path, LONGEST)?;
        let mut number = 0;
        loop {
            if number % 1024 == 0 {
                given_up.check(path)?;
            }
            number += 1;
            match lines.next()? {
                None => break,
                Some(Line::Whole(bytes)) => self.line(number, bytes, true),
                Some(Line::Unfinished(bytes)) => self.line(number, bytes, false),
                Some(Line::TooLong(head)) => {
                    self.seen.lines += 1;
                    self.seen.too_long += 1;
                    self.search_text(number, head);
                }
            }
        }
        let ending = lines.ending();
        self.seen.bytes = ending.bytes;
        self.seen.changed = match (ending.shrunk, ending.replaced) {
            (true, _) => Some("it became shorter while it was read".into()),
            (_, true) => Some("another file stands at its path since, or none".into()),
            _ => None,
        };
        Ok(self.finish())
    }

    fn line(&mut self, number: u64, bytes: &[u8], ended: bool) {
        let bytes = if number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return;
        }
        if self.settings.format == Format::Text {
            self.seen.lines += 1;
            self.text_line(number, bytes);
            return;
        }
        let suspicious = self.suspicious(bytes);
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.unreadable(number, bytes, ended, "it is not UTF-8");
        };
        // The keys are taken out of `self`, so that the line does not borrow from it while it is tallied.
        let mut keys = std::mem::replace(&mut self.keys, Keys::new([], false));
        let read = line::read(text, &mut keys);
        self.keys = keys;
        let Some(read) = read else {
            return self.unreadable(number, bytes, ended, "it is no JSON object");
        };
        self.seen.lines += 1;
        let whole =
            if suspicious || read.suspicious || self.nested { serde_json::from_str(text).ok() } else { None };
        self.tally(number, &read, whole.as_ref());
        if self.settings.no_secrets && (suspicious || read.suspicious) {
            let before = self.seen.leak_count;
            if let Some(whole) = &whole {
                self.search(number, "", whole);
            }
            // The secret is not in a single text value, but elsewhere in the line: in a key or a number.
            if self.seen.leak_count == before && self.seeker.finds(bytes) {
                self.leaked(number, "", leak::LEARNED);
            }
        }
    }

    /// Handles a line that is not a JSON object. The last line may be still being written, so it does not count yet.
    fn unreadable(&mut self, number: u64, bytes: &[u8], ended: bool, why: &'static str) {
        self.search_text(number, bytes);
        if ended {
            self.seen.lines += 1;
            tally(&mut self.seen.problems, "the line", why, number);
        } else {
            self.seen.unfinished = true;
        }
    }

    fn text_line(&mut self, number: u64, bytes: &[u8]) {
        self.search_text(number, bytes);
        for (name, word) in &self.words {
            if word.is_match(bytes) {
                let first = bytes.split(u8::is_ascii_whitespace).next().unwrap_or_default();
                let time = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok());
                if let Some(event) = self.events.get_mut(name.as_str()) {
                    event.count(time);
                }
            }
        }
    }

    /// Counts a line's event and checks its required fields.
    fn tally(&mut self, number: u64, read: &Read<'_>, whole: Option<&Value>) {
        let shape = |name: &str| -> Option<Shape<'_>> {
            let flat = self.keys.slot(name).and_then(|slot| read.shapes[slot].as_ref());
            match (flat, whole) {
                (Some(flat), _) => Some(flat.borrowed()),
                (None, Some(whole)) if name.contains('.') => deep(whole, name).map(Shape::of),
                _ => None,
            }
        };
        let time = shape(&self.settings.time_key).and_then(|shape| shape.time());
        // The time of the event is parsed only once, because it is the most expensive part of a line.
        let known = |name: &str, shape: Option<&Shape<'_>>| {
            let text = matches!(shape, Some(Shape::Text(text)) if says_utc(text));
            text && time.is_some() && name == self.settings.time_key
        };
        check(&mut self.seen.problems, &self.settings.envelope, number, shape, known);
        if read.twice.is_some() {
            tally(&mut self.seen.problems, "the line", "one of its keys stands there twice", number);
        }
        let Some(Shape::Text(name)) = shape(&self.settings.event_key) else {
            self.seen.without_event += 1;
            return;
        };
        if !self.events.contains_key(name.as_ref()) {
            if self.events.len() >= EVENTS + self.settings.require.0.len() || name.len() > NAME {
                self.seen.other_events += 1;
                return;
            }
            self.events.insert(name.as_ref().into(), Event::new(&name));
        }
        let Some(event) = self.events.get_mut(name.as_ref()) else { return };
        event.count(time);
        if let Some(fields) = self.settings.require.0.get(name.as_ref()) {
            check(&mut event.problems, fields, number, shape, known);
        }
    }

    fn suspicious(&self, bytes: &[u8]) -> bool {
        self.settings.no_secrets && (leak::suspicious(bytes) || self.seeker.finds(bytes))
    }

    /// Searches bytes that have no keys.
    fn search_text(&mut self, number: u64, bytes: &[u8]) {
        if self.suspicious(bytes) {
            let text = String::from_utf8_lossy(bytes);
            let learned = self.seeker.finds(bytes).then_some(leak::LEARNED);
            if let Some(rule) = learned.or_else(|| leak::in_text(&text)) {
                self.leaked(number, "", rule);
            }
        }
    }

    /// Searches a value and everything below it. `key` is the path of keys that leads to it.
    fn search(&mut self, number: u64, key: &str, value: &Value) {
        match value {
            Value::String(text) if self.seeker.finds(text.as_bytes()) => {
                self.leaked(number, key, leak::LEARNED);
            }
            Value::String(text) => {
                if let Some(rule) = leak::in_text(text) {
                    self.leaked(number, key, rule);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.search(number, key, item)),
            Value::Object(map) => {
                for (name, value) in map {
                    let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    let excepted =
                        self.settings.except.iter().any(|except| except == name || *except == below);
                    if excepted {
                        continue;
                    }
                    if proofmark_model::redact::is_secret_key(name) && leak::by_key(value) {
                        self.leaked(number, &below, leak::BY_KEY);
                    } else {
                        self.search(number, &below, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn leaked(&mut self, line: u64, key: &str, rule: &str) {
        let (Some(leaks), Some(count)) = (&mut self.seen.leaks, &mut self.seen.leak_count) else { return };
        *count += 1;
        if leaks.len() < LEAKS {
            let key = if leak::in_text(key).is_some() {
                proofmark_model::redact::MASK.to_owned()
            } else {
                cut(key)
            };
            leaks.push(Leak { line, key, rule: rule.to_owned() });
        }
    }

    fn finish(mut self) -> LogLinesObservation {
        let mut events: Vec<Event> = self.events.into_values().collect();
        for event in &mut events {
            if leak::in_text(&event.name).is_some() {
                proofmark_model::redact::MASK.clone_into(&mut event.name);
            }
        }
        events.sort_by(|a, b| a.name.cmp(&b.name));
        self.seen.events = events;
        self.seen
    }
}

impl Event {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), count: 0, first: None, last: None, problems: vec![] }
    }

    fn count(&mut self, time: Option<Timestamp>) {
        self.count += 1;
        if let Some(time) = time {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
    }
}

/// Checks the fields of a line. `known` returns which of them are already known to be times in UTC.
fn check<'a>(
    problems: &mut Vec<Problem>,
    fields: &Fields,
    number: u64,
    shape: impl Fn(&str) -> Option<Shape<'a>>,
    known: impl Fn(&str, Option<&Shape<'a>>) -> bool,
) {
    for (name, kind) in &fields.0 {
        let shape = shape(name);
        if *kind == FieldType::Time && known(name, shape.as_ref()) {
            continue;
        }
        if let Some(why) = kind.problem(shape.as_ref()) {
            tally(problems, name, why, number);
        }
    }
}

/// Counts a problem. The number of distinct problems depends on the fields and kinds of mistakes, not on the length of
/// the file.
fn tally(problems: &mut Vec<Problem>, of: &str, what: &str, line: u64) {
    match problems.iter_mut().find(|problem| problem.of == of && problem.what == what) {
        Some(problem) => problem.count += 1,
        None => problems.push(Problem { of: of.to_owned(), what: what.to_owned(), count: 1, line }),
    }
}

/// Returns the value at `a.b`.
fn deep<'v>(whole: &'v Value, name: &str) -> Option<&'v Value> {
    name.split('.').try_fold(whole, |value, key| value.get(key))
}

fn cut(name: &str) -> String {
    name.char_indices().nth(NAME).map_or(name, |(end, _)| &name[..end]).to_owned()
}
