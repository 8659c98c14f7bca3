//! `prometheus-query`: what `PromQL` selects. An empty answer is the normal answer for a misspelt metric, so it fails
//! unless the step's `expect` counts the samples itself.

use crate::client::{self as prometheus, Query, Sample};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake, sampled};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// More points in a series are refused by every server.
const MAX_POINTS: u128 = 11_000;

/// Asks Prometheus a query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusQuery {
    /// `PromQL`.
    pub query: String,
    /// When it is evaluated: RFC 3339 such as `2026-02-16T02:00:00Z`. The server's now if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Evaluate over a range that ends at `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// A range of time that ends at `at`, or now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Range {
    /// How far it reaches back: `1h`.
    pub last: Duration,
    /// How far its points lie apart: `1m`. A range holds at most 11,000.
    pub step: Duration,
}

/// What the query selected.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seen {
    /// Sorted by labels, then time. A scalar or string is one sample without labels; a range has one entry per point.
    pub samples: Vec<Sample>,
    /// What the server warned of, `PromQL info:` left out (its versions differ on it). Sorted.
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
    type Seen = Seen;

    fn judge(&self, seen: &Seen, _at: Timestamp) -> Vec<Finding> {
        let help = "an empty answer is also what a misspelt metric or label gives; where none is right, say so with `expect: [{ at: $.samples, count: { equals: 0 } }]` and a `control`";
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one sample", Some(seen.samples.len())).with_help(help)];
        // A warning may mean that the answer is only a part: that must not pass in silence.
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
    async fn observe(&self, cx: &Cx) -> Result<Seen, StepError> {
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
        Ok(Seen { samples: seen.samples, warnings: seen.warnings })
    }
}
