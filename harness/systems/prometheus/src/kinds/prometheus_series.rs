//! `prometheus-series`: lists the labels of a metric. The list comes from the index, which keeps dead series for hours,
//! so a second query checks whether one of them is alive.

use crate::client as prometheus;
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake};
use proofmark_net::ClientError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far back Prometheus itself looks for a current sample.
const LOOKBACK: Duration = Duration::secs(300);

/// Lists the series of a selector and their labels.
///
/// The list comes from the index, where a series stays for hours after its last sample. A separate query checks for
/// data: `alive` counts the series that have a sample now, or within `last`, and zero is a failure.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusSeries {
    /// A selector, such as `kube_job_failed{namespace="apps"}`. At least one matcher must not match the empty text.
    #[serde(rename = "match")]
    pub selector: String,
    /// How far back to look, such as `1h`. Default: series that are current (5 minutes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Duration>,
}

/// What the selector selects.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusSeriesObservation {
    /// The labels of each series, including `__name__`; sorted.
    pub series: Vec<BTreeMap<String, String>>,
    /// Every label key of these series; sorted.
    pub labels: Vec<Label>,
    /// How many series have a sample now, or within `last`; `null` if the server does not answer.
    pub alive: Option<u64>,
    /// The server's warnings, sorted.
    pub warnings: Vec<String>,
}

/// A label key and its values.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Label {
    /// The key.
    pub key: String,
    /// The values, sorted, each once.
    pub values: Vec<String>,
}

impl Kind for PrometheusSeries {
    const NAME: &'static str = "prometheus-series";
    const EXAMPLE: &'static str =
        "prometheus-series: { match: 'kube_job_failed{namespace=\"apps\"}', last: 1h }";
    const JUDGES: &'static str = "At least one series, and one of them has a sample now, or within `last`. A list that the server says is cut is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusSeriesObservation;

    fn judge(&self, seen: &PrometheusSeriesObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "an empty list is also what a misspelt metric or label gives; `last` looks further back";
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one series", Some(seen.series.len())).with_help(help)];
        if !seen.series.is_empty() {
            findings.extend(self.judge_alive(seen));
        }
        if !seen.warnings.is_empty() {
            let warnings = seen.warnings.join("; ");
            let help = "the list may be only a part: narrow the selector";
            findings.push(
                Finding::undecided("the server warns of nothing", "no warnings", warnings).with_help(help),
            );
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.series")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if self.selector.trim().is_empty() {
            return Some(SettingMistake::new("`match` is empty"));
        }
        let zero = self.last.is_some_and(|last| last.0.is_zero());
        zero.then(|| SettingMistake::new("`last` is zero").help("write how far to look back: 1h"))
    }
}

impl Check for PrometheusSeries {
    async fn observe(&self, cx: &Cx) -> Result<PrometheusSeriesObservation, StepError> {
        let (wire, started, end) = (cx.wire("prometheus")?, cx.clock.elapsed(), cx.clock.now());
        let start = end.checked_sub(self.last.unwrap_or(LOOKBACK).0);
        let start = start
            .map_err(|_| StepError::new(ErrorCode::BadSettings, "`last` reaches before the year -9999"))?;
        let listed = prometheus::series(wire, &self.selector, (start, end)).await?;
        let count = match self.last {
            None => format!("count({})", self.selector),
            Some(last) => format!("count(last_over_time({}[{last}]))", self.selector),
        };
        let alive = match prometheus::held(wire.since(started), &count).await {
            Ok(held) => held.series,
            // This store lists series but does not answer queries.
            Err(ClientError::Status { status: 404, .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(PrometheusSeriesObservation {
            labels: labels(&listed.series),
            series: listed.series,
            alive,
            warnings: listed.warnings,
        })
    }
}

impl PrometheusSeries {
    fn judge_alive(&self, seen: &PrometheusSeriesObservation) -> Option<Finding> {
        let alive = seen.alive?;
        let what = match self.last {
            None => "a listed series has a sample now".to_owned(),
            Some(last) => format!("a listed series has a sample within {last}"),
        };
        let help = "the index still lists series whose exporter no longer gives them: look at its target";
        let (expected, ok) = ("at least 1", alive > 0);
        Some(Finding::judged(what, expected, format!("{alive} of {}", seen.series.len()), ok).with_help(help))
    }
}

fn labels(series: &[BTreeMap<String, String>]) -> Vec<Label> {
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in series.iter().flatten() {
        keys.entry(key).or_default().insert(value);
    }
    let label = |(key, values): (&str, BTreeSet<&str>)| Label {
        key: key.to_owned(),
        values: values.into_iter().map(str::to_owned).collect(),
    };
    keys.into_iter().map(label).collect()
}
