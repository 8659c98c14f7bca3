//! `prometheus-query`: runs a `PromQL` query. A misspelt metric gives an empty answer, so an empty answer fails unless
//! the step's `expect` counts the samples itself.

use crate::client::{self as prometheus, Query, Sample};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake, sampled};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Every server refuses ranges with more points per series.
const MAX_POINTS: u128 = 11_000;

/// Runs a `PromQL` query in Prometheus.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusQuery {
    /// The `PromQL` expression.
    pub query: String,
    /// The time of evaluation, in RFC 3339, such as `2026-02-16T02:00:00Z`. Default: the server's current time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Evaluates the query over a range that ends at `at`. Default: a single evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// A time range that ends at `at`, or now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Range {
    /// The length of the range, such as `1h`.
    pub last: Duration,
    /// The distance between points, such as `1m`. A range has at most 11,000 points.
    pub step: Duration,
}

/// The result of the query.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusQueryObservation {
    /// The samples, sorted by labels, then time. A scalar or a string is one sample without labels; a range has one
    /// entry per point.
    pub samples: Vec<Sample>,
    /// The server's warnings, sorted. `PromQL info:` is left out, because server versions differ in it.
    pub warnings: Vec<String>,
}

fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    let text = sampled(d, "$timestamp")?;
    let wrong =
        |_| SettingMistake::new(format!("`{text}` is no time")).help("write RFC 3339: 2026-02-16T02:00:00Z");
    text.parse().map(Some).map_err(wrong).map_err(serde::de::Error::custom)
}

impl Kind for PrometheusQuery {
    const NAME: &'static str = "prometheus-query";
    const EXAMPLE: &'static str = "prometheus-query: { query: 'up{job=\"velero\"}' }";
    const JUDGES: &'static str = "At least one sample.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusQueryObservation;

    fn judge(&self, seen: &PrometheusQueryObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "an empty answer is also what a misspelt metric or label gives; where none is right, say so with `expect: [{ at: $.samples, count: { equals: 0 } }]` and a `control`";
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one sample", Some(seen.samples.len())).with_help(help)];
        // A warning may mean that the answer is incomplete, which must be reported.
        if !seen.warnings.is_empty() {
            let warnings = seen.warnings.join("; ");
            let help =
                "the server doubts its own answer, which may be partial or mixed up: mend what it warns of";
            findings.push(
                Finding::undecided("the server warns of nothing", "no warnings", warnings).with_help(help),
            );
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.samples")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if self.query.trim().is_empty() {
            return Some(SettingMistake::new("`query` is empty").help("write PromQL: `up{job=\"velero\"}`"));
        }
        let range = self.range.as_ref()?;
        let (last, step) = (range.last.0.as_millis(), range.step.0.as_millis());
        match step {
            0 => Some(
                SettingMistake::new("`range.step` is zero").help("write how far the points lie apart: 1m"),
            ),
            _ if last / step >= MAX_POINTS => Some(
                SettingMistake::new(format!(
                    "{} every {} are more than {MAX_POINTS} points, which every server refuses",
                    range.last, range.step
                ))
                .help("make `step` longer or `last` shorter"),
            ),
            _ => None,
        }
    }
}

impl Check for PrometheusQuery {
    async fn observe(&self, cx: &Cx) -> Result<PrometheusQueryObservation, StepError> {
        let range = match &self.range {
            None => None,
            Some(range) => {
                let end = self.at.unwrap_or_else(|| cx.clock.now());
                let start = end.checked_sub(range.last.0);
                let start = start.map_err(|_| {
                    StepError::new(ErrorCode::BadSettings, "`range.last` reaches before the year -9999")
                })?;
                Some((start, end, range.step.0.as_secs_f64()))
            }
        };
        let query = Query { query: &self.query, at: self.at, range, aside: false };
        let seen = prometheus::query(cx.wire("prometheus")?, &query).await?;
        Ok(PrometheusQueryObservation { samples: seen.samples, warnings: seen.warnings })
    }
}
