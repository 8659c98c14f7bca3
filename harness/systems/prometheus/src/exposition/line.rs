//! Parses one line of an exposition.

use super::{Exemplar, Format, NAME, Sample};
use crate::client::{self as prometheus, SampleValue};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The content of a line.
pub(super) enum Row<'a> {
    /// An empty line or a comment.
    Nothing,
    /// The line `# EOF`.
    End,
    Help(&'a str, String),
    Type(&'a str, &'a str),
    Unit(&'a str, &'a str),
    Sample(Sample),
}

pub(super) fn read(text: &str, format: Format) -> Result<Row<'_>, String> {
    let blank = [' ', '\t'];
    if text.ends_with('\r') {
        return Err("it ends in a carriage return, which Prometheus does not read either".into());
    }
    let trimmed = text.trim_start_matches(blank);
    let Some(comment) = trimmed.strip_prefix('#') else {
        let bare = trimmed.trim_end_matches(blank);
        return if bare.is_empty() { Ok(Row::Nothing) } else { sample(bare, format).map(Row::Sample) };
    };
    if comment.trim_matches(blank) == "EOF" {
        return Ok(Row::End);
    }
    let mut words = Cursor(comment.trim_start_matches(blank));
    let word = words.word();
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Ok(Row::Nothing);
    }
    words.skip();
    // This is the only place where a quoted name is not unescaped: no exporter writes names with escapes.
    let name = if words.0.starts_with('"') {
        let end = words.0[1..].find('"').ok_or("the quoted name does not end")? + 1;
        let name = &words.0[1..end];
        words.0 = &words.0[end + 1..];
        name
    } else {
        words.word()
    };
    if name.is_empty() {
        return Err(format!("`# {word}` names no metric"));
    }
    words.skip();
    Ok(match word {
        "HELP" => Row::Help(name, unescaped(words.0)),
        "TYPE" => Row::Type(name, words.0.trim_end_matches(blank)),
        _ => Row::Unit(name, words.0.trim_end_matches(blank)),
    })
}

fn sample(text: &str, format: Format) -> Result<Sample, String> {
    let mut rest = Cursor(text);
    let mut labels = BTreeMap::new();
    let name = rest.name(true);
    if !name.is_empty() {
        labels.insert(NAME.to_owned(), name.to_owned());
    }
    rest.skip();
    if rest.eat('{') {
        rest.labels(&mut labels)?;
    }
    if !labels.contains_key(NAME) {
        return Err("no name of a metric is found where one should be".into());
    }
    rest.skip();
    let value = number(rest.word())?;
    rest.skip();
    let mut at = None;
    if !rest.0.is_empty() && !rest.0.starts_with('#') {
        at = Some(time(rest.word(), format)?);
        rest.skip();
    }
    let exemplar = match (rest.0.strip_prefix('#'), format) {
        (Some(behind), Format::OpenMetrics) => Some(exemplar(behind)?),
        _ if rest.0.is_empty() => None,
        _ => return Err("something stands behind value and time".into()),
    };
    Ok(Sample { labels, value, at, exemplar })
}

fn exemplar(text: &str) -> Result<Exemplar, String> {
    let mut rest = Cursor(text);
    let mut labels = BTreeMap::new();
    rest.skip();
    if !rest.eat('{') {
        return Err("an exemplar begins with its labels".into());
    }
    rest.labels(&mut labels)?;
    rest.skip();
    let value = number(rest.word())?;
    rest.skip();
    let at = if rest.0.is_empty() { None } else { Some(time(rest.word(), Format::OpenMetrics)?) };
    rest.skip();
    if rest.0.is_empty() {
        Ok(Exemplar { labels, value, at })
    } else {
        Err("something stands behind the exemplar".into())
    }
}

/// Parses a value as Go writes it. Like Prometheus, it refuses values that overflow.
fn number(text: &str) -> Result<SampleValue, String> {
    let wrong =
        || if text.is_empty() { "there is no value".to_owned() } else { format!("`{text}` is no value") };
    let float: f64 = text.parse().map_err(|_| wrong())?;
    let spelt = match () {
        () if float.is_nan() => "NaN",
        () if float.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => return Err(wrong()),
        () if float == f64::INFINITY => "+Inf",
        () if float == f64::NEG_INFINITY => "-Inf",
        () => text,
    };
    SampleValue::read(spelt).ok_or_else(wrong)
}

/// Parses a timestamp: milliseconds in the Prometheus format, seconds in OpenMetrics.
fn time(text: &str, format: Format) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is no time");
    match format {
        Format::Prometheus => {
            let millis = text.parse().map_err(|_| wrong())?;
            Timestamp::from_millisecond(millis).map_err(|_| wrong())
        }
        Format::OpenMetrics => {
            let seconds = text.parse().map_err(|_| wrong())?;
            prometheus::time(seconds).map_err(|_| wrong())
        }
    }
}

/// Unescapes `\\`, `\n` and `\"`. Like Prometheus, it keeps any other backslash.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('\\' | 'n' | '"'))) => {
                chars.next();
                out.push(if next == 'n' { '\n' } else { next });
            }
            _ => out.push(c),
        }
    }
    out
}

/// The rest of a line.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn split(&mut self, end: usize) -> &'a str {
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// Returns the text up to the next blank.
    fn word(&mut self) -> &'a str {
        self.split(self.0.find([' ', '\t']).unwrap_or(self.0.len()))
    }

    /// Returns the name of a metric, which may contain colons, or of a label; empty if there is none.
    fn name(&mut self, colons: bool) -> &'a str {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (c == ':' && colons);
        let fits = |c: char| first(c) || c.is_ascii_digit();
        if !self.0.starts_with(first) {
            return "";
        }
        self.split(self.0.find(|c| !fits(c)).unwrap_or(self.0.len()))
    }

    /// Returns a quoted text.
    fn quoted(&mut self) -> Result<String, String> {
        if !self.eat('"') {
            return Err("text in double quotes is missing".into());
        }
        let mut escaped = false;
        let end = self.0.find(|c: char| {
            let end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            end
        });
        let text = self.split(end.ok_or("text in double quotes does not end")?);
        self.eat('"');
        Ok(unescaped(text))
    }

    /// Reads labels up to and including `}`. A quoted name without a value is the name of the metric.
    fn labels(&mut self, labels: &mut BTreeMap<String, String>) -> Result<(), String> {
        loop {
            self.skip();
            if self.eat('}') {
                return Ok(());
            }
            let quoted = self.0.starts_with('"');
            let name = if quoted { self.quoted()? } else { self.name(false).to_owned() };
            if name.is_empty() {
                return Err("the name of a label is missing".into());
            }
            self.skip();
            let (key, value) = if self.eat('=') {
                self.skip();
                (name, self.quoted()?)
            } else if quoted {
                (NAME.to_owned(), name)
            } else {
                return Err(format!("the label `{name}` has no value"));
            };
            if labels.contains_key(&key) {
                return Err(format!("the label `{key}` is there twice"));
            }
            labels.insert(key, value);
            self.skip();
            if !self.eat(',') && !self.0.starts_with('}') {
                return Err("the labels do not end".into());
            }
        }
    }
}
