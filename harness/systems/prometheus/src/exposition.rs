//! Parses the text formats in which metrics are exposed, Prometheus 0.0.4 and OpenMetrics 1.0, into the same plain
//! data.
//!
//! This is our own code because of how the existing crates treat damaged input: `prometheus-parse` drops lines it
//! cannot read, `prometheus-scraper` continues after them and merges samples, `nom-openmetrics` does not read
//! timestamps, and `openmetrics-parser` is LGPL. Here, as in Prometheus itself, one unreadable line makes the whole
//! exposition unreadable.

mod line;
mod sound;

use crate::client::SampleValue;
use jiff::Timestamp;
use line::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The label that holds a sample's name.
pub const NAME: &str = "__name__";

/// The text format of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.
    #[serde(rename = "openmetrics")]
    OpenMetrics,
}

/// The metrics of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Family {
    /// The name in the `TYPE` line, without `_bucket`, `_sum` or `_count` (and in OpenMetrics without `_total`).
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `summary`; `untyped` if the exposition does not give a type; in OpenMetrics
    /// also `unknown`, `info`, `stateset` or `gaugehistogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The unit. Only OpenMetrics has units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The samples, sorted by labels, then time.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sample {
    /// All labels as they are exposed, including those with an empty value; `__name__` is the name in the line.
    pub labels: BTreeMap<String, String>,
    /// A number, or `"NaN"`, `"+Inf"` or `"-Inf"`.
    pub value: SampleValue,
    /// The timestamp in the line, if the line has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The exemplar. Only OpenMetrics has exemplars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemplar: Option<Exemplar>,
}

/// An exemplar: one observation that represents others, with the labels of its trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exemplar {
    /// The exemplar's own labels.
    pub labels: BTreeMap<String, String>,
    /// The observed value.
    pub value: SampleValue,
    /// When it was observed, if the exposition says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// A statement in an exposition that can be parsed but cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Problem {
    /// The metric that the problem concerns, or the whole exposition.
    pub of: String,
    /// What is wrong.
    pub what: String,
}

/// What an endpoint exposes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// The families, sorted by name. They include families that are declared but have no samples.
    pub families: Vec<Family>,
    /// The problems, in the order in which they were found.
    pub problems: Vec<Problem>,
}

/// Parses a whole exposition.
///
/// # Errors
/// The number of the first line that cannot be parsed, and why.
pub fn read(bytes: &[u8], format: Format) -> Result<Exposition, String> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("it is packed with gzip, and no `Content-Encoding` says so".into());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    let mut reader = Reader { format, ..Reader::new() };
    for (index, row) in text.split_terminator('\n').enumerate() {
        reader.take(row).map_err(|why| format!("line {}: {why}", index + 1))?;
    }
    // Prometheus itself adds a missing line feed. Without one, a truncated answer cannot be detected: `12` may be the
    // start of `123`.
    if !text.is_empty() && !text.ends_with('\n') {
        reader.problem("the whole", "the last line has no line feed: it may have been cut off".into());
    }
    if format == Format::OpenMetrics && !reader.ended {
        reader.problem("the whole", "there is no `# EOF` at the end: it may have been cut off".into());
    }
    Ok(reader.finish())
}

/// The types that a family may have.
const TYPES: [&str; 9] =
    ["counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram"];

struct Reader {
    format: Format,
    families: Vec<Family>,
    places: HashMap<String, usize>,
    problems: Vec<Problem>,
    ended: bool,
}

impl Reader {
    fn new() -> Self {
        let (families, places, problems) = (vec![], HashMap::new(), vec![]);
        Self { format: Format::Prometheus, families, places, problems, ended: false }
    }

    fn problem(&mut self, of: &str, what: String) {
        self.problems.push(Problem { of: of.to_owned(), what });
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        if self.ended {
            return Err("something stands behind `# EOF`".into());
        }
        match line::read(text, self.format)? {
            Row::Nothing => {}
            Row::End => self.ended = self.format == Format::OpenMetrics,
            Row::Help(name, help) => self.family(name).help = Some(help),
            Row::Unit(name, unit) => self.family(name).unit = Some(unit.to_owned()),
            Row::Type(name, kind) => self.declare(name, kind)?,
            Row::Sample(sample) => {
                let name = sample.labels[NAME].clone();
                let place = self.home(&name);
                let family = match place {
                    Some(place) => &mut self.families[place],
                    None => self.family(&name),
                };
                family.samples.push(sample);
            }
        }
        Ok(())
    }

    fn declare(&mut self, name: &str, kind: &str) -> Result<(), String> {
        if !TYPES.contains(&kind) {
            return Err(format!("`{kind}` is no type of metric"));
        }
        let family = self.family(name);
        let late = !family.samples.is_empty();
        let twice = family.kind != UNSAID;
        kind.clone_into(&mut family.kind);
        if late || twice {
            let what = if twice { "its type is said twice" } else { "its type is said behind its samples" };
            self.problem(name, what.into());
        }
        Ok(())
    }

    /// Returns the family of this name, and creates it if it does not exist.
    fn family(&mut self, name: &str) -> &mut Family {
        let place = *self.places.entry(name.to_owned()).or_insert_with(|| {
            let (kind, samples) = (UNSAID.to_owned(), vec![]);
            self.families.push(Family { name: name.to_owned(), kind, help: None, unit: None, samples });
            self.families.len() - 1
        });
        &mut self.families[place]
    }

    /// Returns the family that a sample of this name belongs to: that of the name without the suffix that its type
    /// adds.
    fn home(&self, name: &str) -> Option<usize> {
        let endings = ["_bucket", "_sum", "_count", "_total", "_created", "_info", "_gcount", "_gsum"];
        let family = |ending: &str| {
            let place = *self.places.get(name.strip_suffix(ending)?)?;
            let fits = match self.families[place].kind.as_str() {
                "histogram" => matches!(ending, "_bucket" | "_sum" | "_count"),
                "summary" => matches!(ending, "_sum" | "_count"),
                "gaugehistogram" => matches!(ending, "_bucket" | "_gsum" | "_gcount"),
                "counter" => ending == "_total" && self.format == Format::OpenMetrics,
                "info" => ending == "_info",
                _ => false,
            };
            let created = ending == "_created" && self.format == Format::OpenMetrics;
            (fits || created).then_some(place)
        };
        endings.into_iter().find_map(family)
    }

    fn finish(mut self) -> Exposition {
        for family in &mut self.families {
            if family.kind == UNSAID {
                "untyped".clone_into(&mut family.kind);
            }
            family.samples.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.at.cmp(&b.at)));
            self.problems.extend(sound::problems(family));
        }
        self.families.sort_by(|a, b| a.name.cmp(&b.name));
        Exposition { families: self.families, problems: self.problems }
    }
}

/// The type of a family whose `TYPE` line has not been seen yet.
const UNSAID: &str = "";

#[cfg(test)]
mod tests;
