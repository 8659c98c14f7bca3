//! `prometheus-rules`: checks that rules are loaded *and* work. Being loaded proves little: a rule that cannot be
//! evaluated, or that names a metric that is not exported, is as quiet as a rule with nothing to report.

mod metrics;

use crate::client::{self as prometheus, Rule};
use crate::promql::liveness::CanFire;
use jiff::{SignedDuration, Timestamp};
use metrics::Metrics;
use proofmark_engine::settings::without_reason;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest difference between the server's clock and ours. With a larger one, fresh evaluations could appear stale,
/// or stale ones fresh.
const CLOCKS_AGREE: SignedDuration = SignedDuration::from_mins(2);

/// How far a last evaluation may be ahead of the server's own time, which is reported in whole seconds.
const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// Checks the rules that Prometheus has loaded.
///
/// With `names` or `groups` only those rules are checked, and each of them must be loaded; otherwise all rules are
/// checked. A rule must be healthy and have been evaluated within two of its intervals. A rule that has not been
/// evaluated yet is undecided: the first evaluation comes up to one interval after loading. A failed reload keeps the
/// old rules, which pass here; `prometheus-status` reports the failure.
///
/// With `metrics-exist` every selector of these rules must have series: now, or within its window if it has one, such
/// as `[6h]`. `offset` and `@` are kept; subqueries widen the window. Metrics that recording rules record are looked up
/// on the server like any other. Selectors in `absent(…)` or beside `or vector(0)` must have series too, unless
/// `except` gives a reason. A rule that Proofmark cannot parse (functions of a newer or older server) is undecided. The
/// server is asked one query for each distinct selector, ten at a time.
///
/// With `can-fire` each alert among these rules gets a finding of its own. Its `seen` is an object with the keys `alert`,
/// `group`, `class` (`living`, `never` or `undecided`), `reason` and `why`. *Never* fails if it was observed (a selector
/// without series and why, sides whose labels cannot join, a window that never holds two samples, a rule that is not
/// evaluated), and is unverified if it follows from the expression itself: a side whose possible values exclude the
/// threshold, such as `up > 5` or `x * 0 > 1`. *Living* is an alert that is pending or firing, was so within the last
/// hour, or has its series and a threshold that can be reached; `absent(…)` is living whether its series exist or not.
/// *Undecided* is every other alert, with the reason. A recorded metric is judged by its recording rule. Every quiet alert
/// costs one query, a dead alert several; each query is asked once even if several rules need it, four at a time, and all
/// of them are in the observation. A slow server is queried until four fifths of the step's `timeout` have passed. The
/// page "What your alerts cannot do" has an example of each.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusRules {
    /// Names of alerts or recorded metrics that must be loaded. Default: all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Names of groups that must be loaded. With `names`, those are looked up in these groups. Default: all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Whether every metric that these rules name must have series. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metrics_exist: bool,
    /// Whether every alert among these rules must be able to fire. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_fire: bool,
    /// What may be absent, each with the reason. The key is a metric (`kube_job_failed`), a selector as the findings
    /// write it, or the name of a rule, which covers everything it selects. For `can-fire` the key is the name of an
    /// alert that may be dead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub except: BTreeMap<String, String>,
}

/// The rules that were checked.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusRulesObservation {
    /// The rules, sorted by file, group and name.
    pub rules: Vec<Rule>,
    /// The number of all loaded rules.
    pub loaded: u64,
    /// The server's own time, from which ages are computed; `null` if the server does not report it. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub server_time: Option<Timestamp>,
    /// The selectors of the rules. Present only with `metrics-exist`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// What was asked about the alerts. Present only with `can-fire`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_fire: Option<CanFire>,
}

impl Kind for PrometheusRules {
    const NAME: &'static str = "prometheus-rules";
    const EXAMPLE: &'static str = "prometheus-rules: { names: [MinIOCapacityLow], metrics-exist: true, except: { velero_backup_failure_total: it comes with the first failure } }";
    const JUDGES: &'static str = "At least one rule; every one of `names` and `groups` is there; every rule is healthy and was evaluated within two of its intervals; with `metrics-exist`, every selector has series or is excepted. A rule that was not evaluated yet, or cannot be read, is undecided. With `can-fire`, every alert could fire or is excepted.";
    const RULES: u32 = 2;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusRulesObservation;

    fn judge(&self, seen: &PrometheusRulesObservation, at: Timestamp) -> Vec<Finding> {
        let help = format!("{} rules are loaded in all; are the names spelt as in Prometheus?", seen.loaded);
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one rule", Some(seen.rules.len())).with_help(help)];
        findings.extend(self.judge_names(seen));
        let now = seen.server_time.unwrap_or(at);
        findings.extend(judge_clock(now, at));
        let bad: Vec<Finding> = seen.rules.iter().filter_map(|rule| judge_rule(rule, now)).collect();
        if bad.is_empty() && !seen.rules.is_empty() {
            let what = "every rule is healthy and evaluated within 2 intervals";
            let good = format!("{} ok", seen.rules.len());
            findings.push(Finding::judged(what, good.as_str(), good.as_str(), true));
        }
        findings.extend(bad);
        if self.metrics_exist {
            findings.extend(match &seen.metrics {
                Some(metrics) => metrics.judge(self),
                None => {
                    vec![Finding::undecided("the metrics have series", "a look at them", "there was none")]
                }
            });
        }
        if self.can_fire {
            findings.extend(match &seen.can_fire {
                Some(can_fire) => can_fire.judge(&seen.rules, &self.except),
                None => vec![Finding::undecided("the alerts could fire", "a look at them", "there was none")],
            });
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.rules")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if !self.except.is_empty() && !self.metrics_exist && !self.can_fire {
            let mistake = SettingMistake::new("`except` says what may be absent or dead");
            return Some(mistake.help("it needs `metrics-exist: true` or `can-fire: true`"));
        }
        without_reason(&self.except, "be absent")
    }
}

impl Check for PrometheusRules {
    async fn observe(&self, cx: &Cx) -> Result<PrometheusRulesObservation, StepError> {
        let (wire, started) = (cx.wire("prometheus")?, cx.clock.elapsed());
        let loaded = prometheus::rules(wire).await?;
        let rules: Vec<Rule> = loaded.rules.iter().filter(|rule| self.wants(rule)).cloned().collect();
        let metrics =
            if self.metrics_exist { Some(Metrics::look(wire.since(started), &rules).await?) } else { None };
        let can_fire = if self.can_fire {
            Some(CanFire::look(wire.since(started), &rules, &loaded).await)
        } else {
            None
        };
        let (all, server_time) = (loaded.rules.len() as u64, loaded.server_time);
        Ok(PrometheusRulesObservation { rules, loaded: all, server_time, metrics, can_fire })
    }
}

impl PrometheusRules {
    fn wants(&self, rule: &Rule) -> bool {
        let among = |list: &Option<Vec<String>>, name| list.as_ref().is_none_or(|list| list.contains(name));
        among(&self.names, &rule.name) && among(&self.groups, &rule.group)
    }

    /// Returns one finding for each name and group in the settings.
    fn judge_names(&self, seen: &PrometheusRulesObservation) -> Vec<Finding> {
        let help = "is it spelt as in Prometheus, did the last reload succeed (`prometheus-status`), and does the `ruleSelector` of an operator match it?";
        let judge = |what: String, there: bool| {
            let word = if there { "loaded" } else { "not loaded" };
            Finding::judged(what, "loaded", word, there).with_help(help)
        };
        let names = self.names.iter().flatten().map(|name| {
            judge(format!("rule {name} is loaded"), seen.rules.iter().any(|rule| rule.name == *name))
        });
        let groups = self.groups.iter().flatten().map(|group| {
            judge(format!("group {group} is loaded"), seen.rules.iter().any(|rule| rule.group == *group))
        });
        names.chain(groups).collect()
    }
}

/// Returns a finding only if the clocks differ too much, because ages computed from them would be unreliable.
fn judge_clock(server: Timestamp, ours: Timestamp) -> Option<Finding> {
    let apart = server.duration_since(ours).abs();
    (apart > CLOCKS_AGREE).then(|| {
        let what = "the server's clock agrees with this machine's";
        Finding::undecided(what, format!("about {ours}"), server.to_string()).with_help(
            "one of the two clocks is wrong, or the answer comes from a cache: whether rules are evaluated in time cannot be told",
        )
    })
}

/// Returns a finding if the rule is not healthy.
fn judge_rule(rule: &Rule, now: Timestamp) -> Option<Finding> {
    let named = format!("rule {} of group {}", rule.name, rule.group);
    match rule.health.as_str() {
        "ok" => {}
        "err" => {
            let help = "it is loaded and cannot be evaluated, so it never fires, whatever its state says";
            let seen = format!("err: {}", rule.last_error);
            return Some(Finding::judged(format!("{named} is healthy"), "ok", seen, false).with_help(help));
        }
        "unknown" => {
            let help = format!(
                "its first evaluation comes up to one interval ({}) after it was loaded: give the step a `within`",
                rule.interval
            );
            let what = format!("{named} is healthy");
            return Some(Finding::undecided(what, "ok", "unknown: not evaluated yet").with_help(help));
        }
        other => {
            let seen = format!("{other}: a health that this version of Proofmark does not know");
            return Some(Finding::undecided(format!("{named} is healthy"), "ok", seen));
        }
    }
    judge_age(rule, now, &named)
}

/// Returns a finding if a healthy rule was not evaluated recently.
fn judge_age(rule: &Rule, now: Timestamp, named: &str) -> Option<Finding> {
    let (what, expected) =
        (format!("{named} is evaluated"), format!("within 2 intervals of {}", rule.interval));
    let Some(last) = rule.last_evaluation else {
        return Some(Finding::undecided(what, expected, "never").with_help("give the step a `within`"));
    };
    let age = now.duration_since(last);
    let limit = SignedDuration::try_from(rule.interval.0.saturating_mul(2)).unwrap_or(SignedDuration::MAX);
    if age < -AHEAD {
        let help = "the server's clock was set back, or several servers answer here";
        return Some(
            Finding::undecided(what, expected, format!("{last}, which is yet to come")).with_help(help),
        );
    }
    let help = "its group no longer runs, or takes longer than its interval";
    (age > limit).then(|| {
        Finding::judged(what, expected, format!("{last}, {} s ago", age.as_secs()), false).with_help(help)
    })
}
