//! Checks that the metrics named in rules exist. A rule on a metric that is not exported is `ok` and `inactive`, and
//! can never fire.

use super::PrometheusRules;
use crate::client::{self as prometheus, Rule};
use crate::promql::selectors::{Selector, selectors};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use proofmark_model::Finding;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// At most this number of queries runs at the same time. The server allows twenty, and its other clients need some of
/// them.
const SIDE_BY_SIDE: usize = 10;

/// The selectors of the rules that were checked.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metrics {
    /// The selectors, each once even if several rules use it; sorted.
    pub selectors: Vec<Looked>,
    /// The rules whose expression the server accepted but Proofmark could not parse; sorted.
    pub unread: Vec<Unread>,
}

/// A selector and the number of its series.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Looked {
    /// The selector with the window that its rule applies to it: `x{a="b"}[6h]`.
    pub selector: String,
    /// The same selector without the window.
    pub bare: String,
    /// The name of the metric; `null` for a pattern over names.
    pub metric: Option<String>,
    /// The names of the rules that use the selector; sorted.
    pub rules: Vec<String>,
    /// How many series have a sample now, or within the window; `null` if the server did not answer.
    pub series: Option<u64>,
    /// Why the server did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// A rule whose expression could not be parsed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Unread {
    /// The name of the rule.
    pub rule: String,
    /// The message of the parser.
    pub why: String,
}

impl Metrics {
    /// Asks how many series each selector has, once per selector.
    ///
    /// It uses an instant query, not `/api/v1/series`, which lists series that ended hours ago and does not know
    /// windows. It uses `count`, because the answer has one line however many series there are. A window of days is
    /// expensive nevertheless, but the rule costs the server as much at every evaluation.
    pub(super) async fn look(wire: Endpoint<'_>, rules: &[Rule]) -> Result<Self, ClientError> {
        let mut named: BTreeMap<Selector, BTreeSet<String>> = BTreeMap::new();
        let mut unread = Vec::new();
        for rule in rules {
            match selectors(&rule.query) {
                Ok(found) => {
                    for selector in found {
                        named.entry(selector).or_default().insert(rule.name.clone());
                    }
                }
                Err(why) => unread.push(Unread { rule: rule.name.clone(), why }),
            }
        }
        let started = wire.clock.elapsed();
        let looks = named.into_iter().map(|(selector, rules)| async move {
            let held = prometheus::held(wire.since(started), &selector.count).await?;
            let rules = rules.into_iter().collect();
            let Selector { text, bare, metric, .. } = selector;
            Ok::<_, ClientError>(Looked {
                selector: text,
                bare,
                metric,
                rules,
                series: held.series,
                doubt: held.doubt,
            })
        });
        // The answers are collected in order of arrival; the order of the list does not depend on it.
        let looked = stream::iter(looks).buffer_unordered(SIDE_BY_SIDE);
        let mut selectors: Vec<Looked> = looked.try_collect().await?;
        selectors.sort_by(|a, b| a.selector.cmp(&b.selector));
        unread.sort_by(|a, b| a.rule.cmp(&b.rule));
        Ok(Self { selectors, unread })
    }

    pub(super) fn judge(&self, settings: &PrometheusRules) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut there = 0_usize;
        for looked in &self.selectors {
            match looked.series {
                Some(1..) => there += 1,
                series => findings.push(looked.judge_absent(series, settings)),
            }
        }
        findings.extend(self.unread.iter().map(|unread| unread.judge(settings)));
        if self.selectors.is_empty() && self.unread.is_empty() {
            let help = "the rules select nothing that could be looked for; leave `metrics-exist` out";
            let what = "the rules name a metric";
            findings.push(Finding::undecided(what, "at least 1 selector", "none").with_help(help));
        } else if there > 0 {
            let what = if findings.is_empty() {
                "every metric that a rule names has series"
            } else {
                "the other metrics that rules name have series"
            };
            let seen = format!("{there} of {} selectors", self.selectors.len());
            findings.push(Finding::judged(what, "series for each", seen, true));
        }
        findings
    }
}

impl Looked {
    /// Judges a selector for which no series was found.
    fn judge_absent(&self, series: Option<u64>, settings: &PrometheusRules) -> Finding {
        let what = format!("{} has series (rule {})", self.selector, self.rules.join(", "));
        if let Some(reason) = self.excepted(settings) {
            let seen = if series.is_some() { "no series" } else { "unknown" };
            return Finding::judged(what, json!({ "may be absent": reason }), seen, true);
        }
        let expected = "at least 1 series";
        match &self.doubt {
            None => Finding::judged(what, expected, "no series", false).with_help(
                "the rule is loaded and can never fire on it: is it spelt as the exporter spells it, with these labels, and is the exporter scraped? What may rightly be absent stands in `except`, with the reason",
            ),
            Some(doubt) => Finding::undecided(what, expected, doubt.as_str())
                .with_help("the server did not answer the query for it"),
        }
    }

    /// Returns why the selector may be absent: `except` names its text, its metric, or each of its rules.
    fn excepted<'a>(&self, settings: &'a PrometheusRules) -> Option<&'a str> {
        let reason = |key: &str| settings.except.get(key).map(String::as_str);
        let names = |key: &str| {
            // The author may write the matchers in any order.
            let read = selectors(key).ok().filter(|read| read.len() == 1);
            let text = read.map_or_else(|| key.to_owned(), |mut read| read.remove(0).text);
            text == self.selector || text == self.bare || self.metric.as_deref() == Some(key)
        };
        let own = settings.except.iter().find(|(key, _)| names(key)).map(|(_, reason)| reason.as_str());
        let by_rules = || {
            let reasons: Option<Vec<&str>> = self.rules.iter().map(|rule| reason(rule)).collect();
            reasons?.first().copied()
        };
        own.or_else(by_rules)
    }
}

impl Unread {
    fn judge(&self, settings: &PrometheusRules) -> Finding {
        let what = format!("the metrics of rule {} have series", self.rule);
        match settings.except.get(&self.rule) {
            Some(reason) => Finding::judged(what, json!({ "may be absent": reason }), "unknown", true),
            None => Finding::undecided(what, "PromQL that can be read", self.why.as_str()).with_help(
                "this version of Proofmark cannot read the rule's text, so nothing was looked for: look by hand, and put the rule's name into `except`, with the reason",
            ),
        }
    }
}
