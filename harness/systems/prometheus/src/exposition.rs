//! The text in which metrics are exposed: Prometheus 0.0.4 and OpenMetrics 1.0, as the same plain data.
//!
//! Own code, because of what the crates for it do with damage: `prometheus-parse` drops lines it cannot read,
//! `prometheus-scraper` goes on behind them and folds samples into one another, `nom-openmetrics` reads no timestamps,
//! `openmetrics-parser` is LGPL. One line that cannot be read makes the whole unreadable here, as in Prometheus itself.

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

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.
    #[serde(rename = "openmetrics")]
    OpenMetrics,
}

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Family {
    /// The name of its `TYPE` line, which has no `_bucket`, `_sum`, `_count` (and in OpenMetrics no `_total`).
    pub name: String,
    /// `counter`, `gauge`, `histogram`, `summary`; `untyped` where nothing is said; in OpenMetrics also `unknown`, `info`,
    /// `stateset`, `gaugehistogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The unit, which only OpenMetrics has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Sorted by labels, then time.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sample {
    /// Every label as it is exposed, also one whose value is empty; `__name__` is the name that stands in the line.
    pub labels: BTreeMap<String, String>,
    /// A number; `"NaN"`, `"+Inf"`, `"-Inf"`.
    pub value: SampleValue,
    /// The time that the line says, if it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Only in OpenMetrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemplar: Option<Exemplar>,
}

/// One observation that stands for others, with the labels of its trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exemplar {
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// What was observed.
    pub value: SampleValue,
    /// When, if it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// What can be read, but not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Problem {
    /// Of which metric, or of the whole.
    pub of: String,
    /// What is wrong.
    pub what: String,
}

/// What an endpoint exposes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// Sorted by name. A family that is declared but has no samples is here too.
    pub families: Vec<Family>,
    /// In the order in which they were seen.
    pub problems: Vec<Problem>,
}

/// Reads a whole exposition.
///
/// # Errors
/// The first line that cannot be read, by its number, and why.
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
    // Prometheus itself adds the missing line feed; to the reader of a cut answer `12` and `123` look alike.
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

    /// The family of this name, made where there is none.
    fn family(&mut self, name: &str) -> &mut Family {
        let place = *self.places.entry(name.to_owned()).or_insert_with(|| {
            let (kind, samples) = (UNSAID.to_owned(), vec![]);
            self.families.push(Family { name: name.to_owned(), kind, help: None, unit: None, samples });
            self.families.len() - 1
        });
        &mut self.families[place]
    }

    /// Where a sample of this name belongs: to the family of its name without the ending that its type gives it.
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

/// The type of a family of which no `TYPE` line was seen yet.
const UNSAID: &str = "";

#[cfg(test)]
mod tests;
