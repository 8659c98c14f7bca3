//! Runs `PromQL` queries and returns their result as samples.

use super::{doubts, open, shape, time};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The largest integer up to which a float holds every integer exactly.
const EXACT: i64 = 1 << 53;

/// One value of one series at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sample {
    /// All labels, including `__name__`. Prometheus omits a label whose value is empty.
    pub labels: BTreeMap<String, String>,
    /// A number, or `"NaN"`, `"+Inf"` or `"-Inf"`; the text of a string result; the count of a native histogram.
    pub value: SampleValue,
    /// The time of evaluation, not of the scrape: the value may be up to 5 minutes older. RFC 3339 in UTC, to the
    /// millisecond.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Present only for native histograms. Their buckets are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// A native histogram without its buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Histogram {
    /// The number of observations.
    pub count: SampleValue,
    /// The sum of the observations.
    pub sum: SampleValue,
}

/// A sample value: a number if it is finite, otherwise text. Integers up to 2^53 are written as integers; larger ones
/// are written as floats, because Prometheus does not hold them exactly either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleValue(pub Value);

impl JsonSchema for SampleValue {
    fn schema_name() -> Cow<'static, str> {
        "SampleValue".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"], "description": "a number, or NaN, +Inf, -Inf, text" })
    }
}

impl SampleValue {
    /// Parses the text in which the API sends sample values.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if matches!(text, "NaN" | "+Inf" | "-Inf") {
            return Some(Self(text.into()));
        }
        if let Ok(whole) = text.parse::<i64>()
            && (-EXACT..=EXACT).contains(&whole)
        {
            return Some(Self(whole.into()));
        }
        let number: f64 = text.parse().ok()?;
        // Alerts carry their values with an exponent, even when the value is an integer.
        let whole = (number.fract() == 0.0).then(|| format!("{number:.0}").parse::<i64>().ok()).flatten();
        match whole {
            Some(whole) if (-EXACT..=EXACT).contains(&whole) => Some(Self(whole.into())),
            _ => Number::from_f64(number).map(|number| Self(number.into())),
        }
    }
}

/// A query to run.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    /// The `PromQL` expression.
    pub query: &'a str,
    /// The time of evaluation. Default: the server's current time.
    pub at: Option<Timestamp>,
    /// Start, end and step in seconds of a range query, which ignores `at`.
    pub range: Option<(Timestamp, Timestamp, f64)>,
    /// Whether this is an auxiliary query whose answer is not the one that the step asks for.
    pub aside: bool,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Queried {
    /// Sorted by labels, then time, because servers do not guarantee an order.
    pub samples: Vec<Sample>,
    /// The server's warnings, sorted.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data<'a> {
    #[serde(borrow)]
    Vector(Vec<Series<'a>>),
    #[serde(borrow)]
    Matrix(Vec<Series<'a>>),
    #[serde(borrow)]
    Scalar((f64, &'a str)),
    String((f64, String)),
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(borrow)]
    value: Option<(f64, &'a str)>,
    #[serde(borrow, default)]
    values: Vec<(f64, &'a str)>,
    #[serde(borrow)]
    histogram: Option<(f64, Counted<'a>)>,
    #[serde(borrow, default)]
    histograms: Vec<(f64, Counted<'a>)>,
}

#[derive(Deserialize)]
struct Counted<'a> {
    count: &'a str,
    sum: &'a str,
}

/// Runs a query.
///
/// # Errors
/// The server cannot be reached or refuses the request: `bad_data` for `PromQL` that cannot be parsed, `execution` for
/// `PromQL` that cannot be evaluated.
pub async fn query(wire: Endpoint<'_>, query: &Query<'_>) -> Result<Queried, ClientError> {
    let mut form = vec![("query", query.query.to_owned())];
    let path = match &query.range {
        None => {
            form.extend(query.at.map(|at| ("time", at.to_string())));
            "/api/v1/query"
        }
        Some((start, end, step)) => {
            form.extend([("start", start.to_string()), ("end", end.to_string()), ("step", step.to_string())]);
            "/api/v1/query_range"
        }
    };
    let answer = fetch(wire, &Call { aside: query.aside, ..Call::form(path, &form) }).await?;
    let envelope = open::<Data<'_>>(&answer)?;
    let data = envelope.data.ok_or_else(|| shape(&answer, "there is no `data`"))?;
    let mut samples = samples(data).map_err(|why| shape(&answer, &why))?;
    samples.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.at.cmp(&b.at)));
    Ok(Queried { samples, warnings: doubts(envelope.warnings) })
}

/// How many series a selection holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The number of series; `None` if the server did not answer.
    pub series: Option<u64>,
    /// Why the server did not answer, in its words.
    pub doubt: Option<String>,
}

/// Asks how many series an expression selects; `count` is the query that counts them. If the server refuses this one
/// query, that is an answer and not an error, because many other queries may follow. The answer is not kept for
/// `evidence:`.
///
/// # Errors
/// The server cannot be reached, or another attempt may succeed.
pub async fn held(wire: Endpoint<'_>, count: &str) -> Result<Held, ClientError> {
    let queried = match query(wire, &Query { query: count, aside: true, ..Query::default() }).await {
        Ok(queried) => queried,
        Err(error @ ClientError::Api { .. }) if !error.is_transient() => {
            return Ok(Held { series: None, doubt: Some(error.to_string()) });
        }
        Err(error) => return Err(error),
    };
    // Prometheus returns no sample for a count of zero.
    let series = queried.samples.first().map_or(Some(0), |sample| sample.value.0.as_u64());
    match (series, queried.warnings.is_empty()) {
        // A warning may mean that part of the data was not queried. Series that were found count nevertheless; finding
        // none proves nothing.
        (Some(0) | None, false) => Ok(Held { series: None, doubt: Some(queried.warnings.join("; ")) }),
        (None, true) => Ok(Held { series: None, doubt: Some("its count is no whole number".into()) }),
        (found, _) => Ok(Held { series: found, doubt: None }),
    }
}

fn samples(data: Data<'_>) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    match data {
        Data::Scalar((at, text)) => samples.push(sample(&BTreeMap::new(), at, text)?),
        Data::String((at, text)) => {
            let value = SampleValue(text.into());
            samples.push(Sample { labels: BTreeMap::new(), value, at: time(at)?, histogram: None });
        }
        Data::Vector(list) | Data::Matrix(list) => {
            for series in list {
                let before = samples.len();
                for (at, text) in series.value.into_iter().chain(series.values) {
                    samples.push(sample(&series.metric, at, text)?);
                }
                for (at, counted) in series.histogram.into_iter().chain(series.histograms) {
                    samples.push(histogram(&series.metric, at, &counted)?);
                }
                if samples.len() == before {
                    return Err(format!("the series {:?} has neither values nor histograms", series.metric));
                }
            }
        }
    }
    Ok(samples)
}

fn sample(labels: &BTreeMap<String, String>, at: f64, text: &str) -> Result<Sample, String> {
    Ok(Sample { labels: labels.clone(), value: value(text)?, at: time(at)?, histogram: None })
}

fn histogram(labels: &BTreeMap<String, String>, at: f64, counted: &Counted<'_>) -> Result<Sample, String> {
    let histogram = Histogram { count: value(counted.count)?, sum: value(counted.sum)? };
    let value = histogram.count.clone();
    Ok(Sample { labels: labels.clone(), value, at: time(at)?, histogram: Some(histogram) })
}

fn value(text: &str) -> Result<SampleValue, String> {
    SampleValue::read(text).ok_or_else(|| format!("`{text}` is no sample value"))
}
