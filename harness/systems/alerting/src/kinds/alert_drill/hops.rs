//! Observes how far the alert has come. The times are those of the server's own samples, of the receiver, and of
//! Proofmark's observations if a system does not report a time.

use super::{AlertDrill, AlertDrillObservation, Counter, Delivered, Done, Hops, Mark, alerts, has, is_meant};
use crate::client::{alertmanager, receiver};
use jiff::Timestamp;
use proofmark_engine::{Cx, StepError};
use proofmark_model::ErrorCode;
use proofmark_net::http::{Call, fetch};
use proofmark_prometheus::client::{self as prometheus, Query, Rule, Sample};
use proofmark_prometheus::exposition::{self, Format, NAME};
use proofmark_prometheus::promql::threshold::same_expression;
use std::collections::BTreeMap;

/// Alertmanager counts the attempts of each integration, and those that failed.
const TRIED: &str = "alertmanager_notification_requests_total";
const FAILED: &str = "alertmanager_notification_requests_failed_total";

impl AlertDrillObservation {
    /// Returns what is known before the first observation.
    pub(super) fn begun(done: &Done) -> Self {
        Self {
            refused: done.refused.clone(),
            mark: done.mark.clone(),
            not_taken: done.not_taken.clone(),
            rule: None,
            grafana: None,
            alerts: vec![],
            held: vec![],
            posts: vec![],
            counters: BTreeMap::new(),
            hops: Hops { changed: done.changed, loaded: done.loaded, ..Hops::default() },
            precision: done.interval,
        }
    }
}

pub(super) async fn look(
    drill: &AlertDrill,
    done: &Done,
    cx: &Cx,
) -> Result<AlertDrillObservation, StepError> {
    let mark = Mark::of(done.mark.as_deref(), done.other_than.is_some());
    let mut seen = AlertDrillObservation::begun(done);
    let (Some(changed), None, None) = (done.changed, &done.refused, &done.not_taken) else { return Ok(seen) };
    let loaded = prometheus::rules(cx.wire("prometheus")?).await?;
    let now = loaded.server_time.unwrap_or_else(|| cx.clock.now());
    let drilled = |rule: &Rule| match &done.other_than {
        None => true,
        Some((_, Some(wanted))) => same_expression(&rule.query, wanted),
        Some((old, None)) => !same_expression(&rule.query, old),
    };
    let is_it = |rule: &Rule| is_meant(rule, &drill.alert, &drill.labels, mark) && drilled(rule);
    seen.rule = loaded.rules.into_iter().find(is_it);
    if seen.rule.is_some() && seen.hops.loaded.is_none() {
        // Prometheus was made to reload at this time or a little later.
        let reloaded = prometheus::runtime(cx.wire("prometheus")?).await?.reloaded_at;
        seen.hops.loaded = reloaded.filter(|at| *at >= changed);
    }
    let ours = |labels: &BTreeMap<String, String>| {
        labels.get("alertname") == Some(&drill.alert) && has(labels, &drill.labels, mark)
    };
    seen.held = alertmanager::alerts(cx.wire("alertmanager")?, |alert| ours(&alert.labels)).await?;
    seen.hops.in_alertmanager = (!seen.held.is_empty()).then(|| cx.clock.now());
    for sample in samples(drill, cx, now.duration_since(changed).as_secs()).await? {
        let hop = match sample.labels.get("alertstate").map(String::as_str) {
            Some("pending") => &mut seen.hops.pending,
            Some("firing") => &mut seen.hops.firing,
            _ => continue,
        };
        if ours(&sample.labels) && sample.at >= changed {
            *hop = Some(hop.map_or(sample.at, |first| first.min(sample.at)));
        }
    }
    // This is the last query, because its answer is the one that is kept.
    seen.alerts = alerts(cx, (&drill.alert, &drill.labels), mark).await?;
    if drill.delivered == Delivered::Receiver {
        // Alerts that began before the change do not belong to the drill, even if they arrive late.
        let began = |at: Option<Timestamp>| matches!(mark, Mark::Is(_)) || at.is_some_and(|at| at >= changed);
        let wanted = |post: &receiver::Delivered| {
            post.status == "firing" && ours(&post.labels) && began(post.starts_at)
        };
        seen.posts = receiver::delivered(cx.wire("receiver")?, wanted)?;
        seen.hops.delivered = seen.posts.iter().map(|post| post.at).min();
    }
    seen.counters = grown(&done.counters, counters(drill, cx).await?);
    Ok(seen)
}

/// Returns the samples that Prometheus recorded of its alerts since the change. Each has the time of its evaluation.
async fn samples(drill: &AlertDrill, cx: &Cx, seconds: i64) -> Result<Vec<Sample>, StepError> {
    let name = serde_json::Value::from(drill.alert.as_str());
    let query = format!("ALERTS{{alertname={name}}}[{}s]", seconds.max(0) + 2);
    let asked = Query { query: &query, aside: true, ..Query::default() };
    Ok(prometheus::query(cx.wire("prometheus")?, &asked).await?.samples)
}

/// Returns Alertmanager's counters by integration, if the drill uses them.
pub(super) async fn counters(drill: &AlertDrill, cx: &Cx) -> Result<BTreeMap<String, Counter>, StepError> {
    let mut out = BTreeMap::<String, Counter>::new();
    if drill.delivered != Delivered::Counters {
        return Ok(out);
    }
    let answer = fetch(cx.wire("alertmanager")?, &Call { aside: true, ..Call::get("/metrics") }).await?;
    if !answer.is_success() {
        return Err(answer.refused("the metrics of Alertmanager").into());
    }
    let read = exposition::read(&answer.body, Format::Prometheus)
        .map_err(|why| format!("the metrics of Alertmanager cannot be read: {why}"))
        .map_err(|message| StepError::new(ErrorCode::UnexpectedAnswer, message))?;
    for sample in read.families.iter().flat_map(|family| &family.samples) {
        let (name, integration) = (sample.labels.get(NAME), sample.labels.get("integration"));
        let (Some(name), Some(integration), Some(value)) = (name, integration, sample.value.0.as_f64())
        else {
            continue;
        };
        let counter = out.entry(integration.clone()).or_default();
        match name.as_str() {
            TRIED => counter.tried += value,
            FAILED => counter.failed += value,
            _ => {}
        }
    }
    Ok(out)
}

/// Returns the increase of the counters. A counter that is smaller than before was reset to zero.
fn grown(before: &BTreeMap<String, Counter>, now: BTreeMap<String, Counter>) -> BTreeMap<String, Counter> {
    let added = |now: f64, before: f64| if now < before { now } else { now - before };
    let one = |(name, now): (String, Counter)| {
        let before = before.get(&name).copied().unwrap_or_default();
        let counter =
            Counter { tried: added(now.tried, before.tried), failed: added(now.failed, before.failed) };
        (counter.tried > 0.0).then_some((name, counter))
    };
    now.into_iter().filter_map(one).collect()
}
