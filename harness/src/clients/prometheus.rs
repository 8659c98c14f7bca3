//! The HTTP API of Prometheus 2.42 to 3.x: queries and targets, as the same plain data whatever the version.
//!
//! Answers are read typed and borrowed from their bytes: a targets answer of 20 MB is mostly labels nobody asks for.

use super::ClientError;
use super::http::{Answer, Call, Wire, fetch};
use jiff::{SignedDuration, Timestamp, Unit};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the API answers with, in words.
const ENVELOPE: &str = "the JSON of the Prometheus API";

/// The largest whole number that a float holds exactly.
const EXACT: i64 = 1 << 53;

/// One value of one series at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sample {
    /// Every label, `__name__` too. An empty label value is an absent label: Prometheus leaves the key out.
    pub labels: BTreeMap<String, String>,
    /// A number; `"NaN"`, `"+Inf"`, `"-Inf"`; the text of a string result; for a native histogram its count.
    pub value: SampleValue,
    /// RFC 3339 in UTC, to the millisecond: the time of evaluation, not of the scrape (the value may be 5 minutes older).
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Only on native histograms, whose buckets are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// A native histogram without its buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Histogram {
    /// Observations in it.
    pub count: SampleValue,
    /// Their sum.
    pub sum: SampleValue,
}

/// A number where it is finite, else text. Whole numbers up to 2^53 are written as such; above, Prometheus itself is
/// not exact and a float says so.
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
    /// Reads the text in which sample values travel.
    pub(super) fn read(text: &str) -> Option<Self> {
        if matches!(text, "NaN" | "+Inf" | "-Inf") {
            return Some(Self(text.into()));
        }
        if let Ok(whole) = text.parse::<i64>()
            && (-EXACT..=EXACT).contains(&whole)
        {
            return Some(Self(whole.into()));
        }
        Number::from_f64(text.parse().ok()?).map(|number| Self(number.into()))
    }
}

/// A query to ask.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// `PromQL`.
    pub query: &'a str,
    /// When; the server's now if it is not said.
    pub at: Option<Timestamp>,
    /// Start, end and step in seconds of a range query, which does not look at `at`.
    pub range: Option<(Timestamp, Timestamp, f64)>,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Queried {
    /// Sorted by labels, then time: no server promises an order.
    pub samples: Vec<Sample>,
    /// Sorted. Without `PromQL info:`, which 2.42 does not say, 2.53 says here and 3.x says elsewhere.
    pub warnings: Vec<String>,
}

/// An active target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// Label `job`, after relabelling.
    pub job: String,
    /// Scrape pool: the job's name in the configuration, `serviceMonitor/<ns>/<name>/<index>` under the operator.
    pub pool: String,
    /// Label `instance`.
    pub instance: String,
    /// The URL that is scraped.
    pub url: String,
    /// `up`, `down`, `unknown` (not scraped yet).
    pub health: String,
    /// RFC 3339 in UTC; `null` when it was never scraped.
    #[schemars(with = "Option<String>")]
    pub last_scrape: Option<Timestamp>,
    /// Why the last scrape failed; empty if it did not.
    pub last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default = "Option::default")]
    data: Option<T>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets<'a> {
    #[serde(borrow)]
    active_targets: Option<Vec<Active<'a>>>,
    #[serde(borrow)]
    dropped_targets: Option<Vec<Dropped<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active<'a> {
    #[serde(borrow)]
    labels: Identity<'a>,
    #[serde(borrow, default)]
    scrape_pool: Cow<'a, str>,
    #[serde(borrow, default)]
    scrape_url: Cow<'a, str>,
    #[serde(borrow, default)]
    last_error: Cow<'a, str>,
    #[serde(borrow, default)]
    last_scrape: Cow<'a, str>,
    #[serde(borrow, default)]
    health: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dropped<'a> {
    #[serde(borrow)]
    discovered_labels: Identity<'a>,
    /// From 3.3 on.
    #[serde(borrow)]
    scrape_pool: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default)]
    job: Cow<'a, str>,
    #[serde(borrow, default)]
    instance: Cow<'a, str>,
}

/// Asks a query.
///
/// # Errors
/// When the server cannot be reached or says no: `bad_data` for `PromQL` that cannot be read, `execution` for `PromQL` that
/// cannot be evaluated.
pub async fn query(wire: Wire<'_>, query: &Query<'_>) -> Result<Queried, ClientError> {
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
    let answer = fetch(wire, &Call::form(path, &form)).await?;
    let envelope = open::<Data<'_>>(&answer)?;
    let data = envelope.data.ok_or_else(|| shape(&answer, "there is no `data`"))?;
    let mut samples = samples(data).map_err(|why| shape(&answer, &why))?;
    samples.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.at.cmp(&b.at)));
    let mut warnings = envelope.warnings.unwrap_or_default();
    warnings.retain(|warning| !warning.starts_with("PromQL info:"));
    warnings.sort();
    warnings.dedup();
    Ok(Queried { samples, warnings })
}

/// The active targets of a job and a pool (all of them when neither is given), sorted by job, pool, instance and URL.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn targets(
    wire: Wire<'_>,
    job: Option<&str>,
    pool: Option<&str>,
) -> Result<Vec<Target>, ClientError> {
    let answer = fetch(wire, &Call::get(targets_path("active", pool))).await?;
    let data = open::<Targets<'_>>(&answer)?.data.ok_or_else(|| shape(&answer, "there is no `data`"))?;
    let active = data.active_targets.ok_or_else(|| shape(&answer, "there is no `activeTargets`"))?;
    // Filtered here too: an old server does not know `scrapePool` and answers with everything.
    let wanted = active.iter().filter(|target| {
        job.is_none_or(|job| target.labels.job == job) && pool.is_none_or(|pool| target.scrape_pool == pool)
    });
    let mut targets =
        wanted.map(target).collect::<Result<Vec<_>, _>>().map_err(|why| shape(&answer, &why))?;
    let key = |target: &Target| {
        (target.job.clone(), target.pool.clone(), target.instance.clone(), target.url.clone())
    };
    targets.sort_by_cached_key(key);
    Ok(targets)
}

/// How many dropped targets would have been of that job or pool, as far as the server tells (pools from 3.3 on; the job
/// is the one before relabelling).
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn dropped(wire: Wire<'_>, job: Option<&str>, pool: Option<&str>) -> Result<u64, ClientError> {
    let call = Call { aside: true, ..Call::get(targets_path("dropped", pool)) };
    let answer = fetch(wire, &call).await?;
    let data = open::<Targets<'_>>(&answer)?.data.ok_or_else(|| shape(&answer, "there is no `data`"))?;
    let of = |target: &&Dropped<'_>| {
        job.is_none_or(|job| target.discovered_labels.job == job)
            && pool.is_none_or(|pool| target.scrape_pool.as_ref().is_some_and(|known| known == pool))
    };
    Ok(data.dropped_targets.iter().flatten().filter(of).count() as u64)
}

fn targets_path(state: &str, pool: Option<&str>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("state", state);
    if let Some(pool) = pool {
        form.append_pair("scrapePool", pool);
    }
    format!("/api/v1/targets?{}", form.finish())
}

fn target(active: &Active<'_>) -> Result<Target, String> {
    let last_scrape = match active.last_scrape.as_ref() {
        // Go's zero time: never.
        "" | "0001-01-01T00:00:00Z" => None,
        text => Some(text.parse().map_err(|error| format!("`lastScrape`: {error}"))?),
    };
    Ok(Target {
        job: active.labels.job.to_string(),
        pool: active.scrape_pool.to_string(),
        instance: active.labels.instance.to_string(),
        url: active.scrape_url.to_string(),
        health: active.health.to_string(),
        last_scrape,
        last_error: active.last_error.to_string(),
    })
}

/// Opens the envelope: a success, or the error that the server names. Errors may come as plain text.
fn open<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<Envelope<'a, T>, ClientError> {
    if answer.is_success()
        && let Ok(envelope) = serde_json::from_slice::<Envelope<'_, T>>(&answer.body)
        && envelope.status == "success"
    {
        return Ok(envelope);
    }
    // Read again without `data`, which an error does not have to have in any known shape.
    match serde_json::from_slice::<Envelope<'_, IgnoredAny>>(&answer.body) {
        Ok(envelope) if envelope.status == "error" => Err(refusal(answer, envelope)),
        _ if !answer.is_success() => Err(answer.refused(ENVELOPE)),
        _ => {
            let why = serde_json::from_slice::<Envelope<'_, T>>(&answer.body).err();
            Err(shape(
                answer,
                &why.map_or_else(|| "its `status` is not `success`".into(), |error| error.to_string()),
            ))
        }
    }
}

fn refusal(answer: &Answer, envelope: Envelope<'_, IgnoredAny>) -> ClientError {
    let hint = match envelope.error_type.as_str() {
        "bad_data" => "; mend the query: PromQL is checked by the server",
        "execution" => "; the query can be read but not evaluated",
        "timeout" => "; the query is too heavy or the server is overloaded",
        _ => "",
    };
    let (at, status) = (answer.url.clone(), answer.status);
    ClientError::Api { at, status, kind: envelope.error_type, message: envelope.error, hint }
}

fn shape(answer: &Answer, why: &str) -> ClientError {
    ClientError::Shape {
        at: answer.url.clone(),
        expected: ENVELOPE,
        content_type: answer.content_type(),
        why: why.to_owned(),
        excerpt: answer.excerpt(),
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

/// Unix seconds as a float, which is exact to the millisecond that Prometheus means.
pub(super) fn time(seconds: f64) -> Result<Timestamp, String> {
    let length = SignedDuration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let exact = Timestamp::from_duration(length).map_err(|error| error.to_string())?;
    exact.round(Unit::Millisecond).map_err(|error| error.to_string())
}
