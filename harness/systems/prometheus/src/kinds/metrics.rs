//! `metrics`: reads directly what an application exposes for Prometheus. An answer that does not parse as an exposition
//! from the first to the last line is unverified, because Prometheus would not accept it as a scrape either.

use crate::exposition::{self, Exposition, Family, Format, Problem};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError, target};
use proofmark_model::expect::Count;
use proofmark_model::{Finding, SettingMistake};
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Call, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `Accept` header. The plain text format comes first, because its names are the ones that queries use.
const ACCEPT: &str =
    "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// At most this number of problems is kept.
const KEPT: usize = 20;

/// Reads the metrics at an absolute URL, or at a path below the connection that `via` names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metrics {
    /// What to get: an absolute URL, or a path that begins with `/`, usually `/metrics`.
    pub get: String,
    /// Names of the families to keep. Other families are counted but not kept. Default: all families.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

/// What the endpoint exposes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricsObservation {
    /// The URL that answered, after redirects.
    pub url: String,
    /// The text format of the answer.
    pub format: Format,
    /// The families that have samples, sorted by name.
    pub families: Vec<Family>,
    /// The names of families that are declared but have no samples. For Prometheus they do not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_samples: Vec<String>,
    /// The number of samples in all families, kept or not.
    pub sample_count: usize,
    /// The first twenty statements that can be parsed but cannot be true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The number of problems in all.
    pub problem_count: usize,
    /// The time from the first request to the end of the answer, in seconds.
    pub seconds: f64,
}

impl Kind for Metrics {
    const NAME: &'static str = "metrics";
    const EXAMPLE: &'static str = "metrics: { get: http://localhost:8080/metrics }";
    const JUDGES: &'static str =
        "At least one sample. What contradicts itself or may have been cut off is undecided.";
    const RULES: u32 = 1;
    // An absolute URL needs no connection; a path uses the connection that `via` names.
    const ROLES: &'static [&'static str] = &[];
    type Seen = MetricsObservation;

    fn judge(&self, seen: &MetricsObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "an empty answer is what some servers give for a path or a part that they do not have";
        let count = Count::AT_LEAST_ONE.judge("at least one sample", Some(seen.sample_count)).with_help(help);
        let mut findings = vec![count];
        if let Some(first) = seen.problems.first() {
            let what = "the exposition can be believed";
            let all = format!("{}: {} ({} in all)", first.of, first.what, seen.problem_count);
            findings.push(
                Finding::undecided(what, "no problem", all)
                    .with_help("`problems` in the observation lists the first of them"),
            );
        }
        findings
    }

    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        target::via_mistake(&self.get, named)
    }

    fn mistake(&self) -> Option<SettingMistake> {
        target::login_mistake(&self.get)
    }
}

impl Check for Metrics {
    async fn observe(&self, cx: &Cx) -> Result<MetricsObservation, StepError> {
        let wire = target::wire(cx, Self::NAME, &self.get)?;
        let mut call = Call::get(&self.get);
        call.headers.insert("accept".into(), ACCEPT.into());
        let answer = fetch(wire, &call).await?;
        if !answer.is_success() {
            return Err(answer.refused("metrics").into());
        }
        let said = answer.content_type().to_ascii_lowercase();
        let open = said.starts_with("application/openmetrics-text");
        let format = if open { Format::OpenMetrics } else { Format::Prometheus };
        let read = exposition::read(&answer.body, format).map_err(|why| unread(&answer, why))?;
        Ok(self.seen(read, format, &answer))
    }
}

impl Metrics {
    fn seen(&self, read: Exposition, format: Format, answer: &Answer) -> MetricsObservation {
        let sample_count = read.families.iter().map(|family| family.samples.len()).sum();
        let asked = |family: &Family| self.only.is_empty() || self.only.contains(&family.name);
        let (families, empty): (Vec<_>, Vec<_>) =
            read.families.into_iter().filter(asked).partition(|family| !family.samples.is_empty());
        let problem_count = read.problems.len();
        MetricsObservation {
            url: answer.url.clone(),
            format,
            families,
            without_samples: empty.into_iter().map(|family| family.name).collect(),
            sample_count,
            problems: read.problems.into_iter().take(KEPT).collect(),
            problem_count,
            seconds: answer.seconds,
        }
    }
}

fn unread(answer: &Answer, why: String) -> StepError {
    let error = ClientError::Shape {
        at: answer.url.clone(),
        expected: "metrics in the text format of Prometheus or OpenMetrics",
        content_type: answer.content_type(),
        why,
        excerpt: answer.excerpt(),
    };
    error.into()
}
