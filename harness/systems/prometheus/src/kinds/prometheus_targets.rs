//! `prometheus-targets`: checks what Prometheus scrapes, and whether the scrapes succeed. Dropped targets never count:
//! the same answer lists them, but they are not scraped.

use crate::client::{self as prometheus, Target};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use proofmark_model::expect::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Checks the active targets of Prometheus.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusTargets {
    /// Only targets whose label `job` is exactly this. Default: all jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Only targets of exactly this scrape pool, such as `serviceMonitor/velero/velero/0`. Default: all pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The required number of targets, such as `{ equals: 3 }` or `{ min: 1, max: 5 }`. Default: at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The targets that match the settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusTargetsObservation {
    /// The active targets, sorted by job, pool, instance.
    pub targets: Vec<Target>,
    /// How many dropped targets would have matched. Counted only if no active target matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
}

impl Kind for PrometheusTargets {
    const NAME: &'static str = "prometheus-targets";
    const EXAMPLE: &'static str = "prometheus-targets: { job: velero, count: { min: 1 } }";
    const JUDGES: &'static str = "At least one target (or as many as `count` says), and every one is `up`. A target that was not scraped yet is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusTargetsObservation;

    fn judge(&self, seen: &PrometheusTargetsObservation, _at: Timestamp) -> Vec<Finding> {
        let mut findings = vec![self.judge_count(seen)];
        let mut up = 0_usize;
        for target in &seen.targets {
            match target.health.as_str() {
                "up" => up += 1,
                _ => findings.push(judge_health(target)),
            }
        }
        if up > 0 && up == seen.targets.len() {
            findings.push(Finding::judged(
                "every target is up",
                format!("{up} up"),
                format!("{up} up"),
                true,
            ));
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.targets")
    }
}

impl Check for PrometheusTargets {
    async fn observe(&self, cx: &Cx) -> Result<PrometheusTargetsObservation, StepError> {
        let wire = cx.wire("prometheus")?;
        let started = cx.clock.elapsed();
        let (job, pool) = (self.job.as_deref(), self.pool.as_deref());
        let targets = prometheus::targets(wire, job, pool).await?;
        let mut dropped = None;
        if targets.is_empty() && (job.is_some() || pool.is_some()) {
            // This is only for the advice: it is already known that there are no targets.
            dropped = prometheus::dropped(wire.since(started), job, pool).await.ok();
        }
        Ok(PrometheusTargetsObservation { targets, dropped })
    }
}

impl PrometheusTargets {
    fn judge_count(&self, seen: &PrometheusTargetsObservation) -> Finding {
        let help = match seen.dropped {
            Some(dropped) if dropped > 0 => format!(
                "{dropped} discovered targets of that name are dropped by relabelling: look at the ServiceMonitor's selector and port names"
            ),
            _ => "is the name spelt as in Prometheus, and has it had some seconds since its start or last reload?".into(),
        };
        let (what, count) = match &self.count {
            None => ("at least one target", &Count::AT_LEAST_ONE),
            Some(count) => ("number of targets", count),
        };
        count.judge(what, Some(seen.targets.len())).with_help(help)
    }
}

/// Judges a target that is not up.
fn judge_health(target: &Target) -> Finding {
    let what = format!("target {} of job {} is up", target.instance, target.job);
    match target.health.as_str() {
        "down" => Finding::judged(what, "up", format!("down: {}", target.last_error), false)
            .with_help(format!(
                "Prometheus cannot scrape {}: is it running, and can it be reached from where Prometheus runs?",
                target.url
            )),
        "unknown" => Finding::undecided(what, "up", "unknown: not scraped yet")
            .with_help("the first scrape comes within one scrape interval: give the step a `within`"),
        other => Finding::undecided(
            what,
            "up",
            format!("{other}: a health that this version of Proofmark does not know"),
        ),
    }
}
