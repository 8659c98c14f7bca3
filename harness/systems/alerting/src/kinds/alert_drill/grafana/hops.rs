//! Observes how far the alert has come in Grafana. The times are the server's own, and as precise as the rule's
//! evaluation interval.

use super::super::{AlertDrill, AlertDrillObservation, Delivered, Done, DrillMemory};
use super::{InGrafana, UID, plain};
use crate::client::alertmanager::Alert;
use crate::client::grafana::{self, Instance};
use crate::client::receiver;
use proofmark_engine::{Cx, StepError};
use proofmark_model::Duration;
use std::collections::BTreeMap;
use std::time::Duration as Std;

pub(crate) async fn look(
    drill: &AlertDrill,
    done: &Done,
    cx: &Cx,
    memory: &mut DrillMemory,
) -> Result<AlertDrillObservation, StepError> {
    let mut seen = AlertDrillObservation::begun(done);
    let (Some(changed), Some(drilled)) = (done.changed, &done.grafana) else { return Ok(seen) };
    let wire = cx.wire("grafana")?;
    let rule = grafana::rule(wire, &drilled.uid).await?;
    let ours = |alert: &Alert| alert.labels.get(UID) == Some(&drilled.uid) && alert.starts_at >= changed;
    let mut held = grafana::alerts(wire, ours).await?;
    // This is the last query, because its answer is the one that is kept.
    let states = grafana::states(wire, |state| drilled.is(state)).await?;
    let state = states.rules.into_iter().next();
    let instances = || state.iter().flat_map(|state| &state.instances);
    let since = |instance: &Instance| instance.active_at.filter(|at| *at >= changed);
    let firing = || instances().filter(|it| it.fires() && since(it).is_some());
    seen.hops.firing = firing().filter_map(since).min();
    let pending = instances().filter(|it| it.state == "Pending").filter_map(since).min();
    memory.pending = memory.pending.into_iter().chain(pending).min();
    seen.hops.pending = memory.pending;
    // An alert that fires because of missing data has other labels.
    let fires: Vec<_> = firing().map(|it| plain(&it.labels)).collect();
    let is_one = |labels: &BTreeMap<String, String>| fires.contains(&plain(labels));
    held.retain(|alert| is_one(&alert.labels));
    seen.hops.in_alertmanager = (!held.is_empty()).then(|| cx.clock.now());
    seen.hops.loaded = rule.as_ref().and_then(grafana::Rule::updated);
    if drill.delivered == Delivered::Receiver {
        let wanted = |post: &receiver::Delivered| {
            post.status == "firing" && is_one(&post.labels) && post.starts_at.is_some_and(|at| at >= changed)
        };
        seen.posts = receiver::delivered(cx.wire("receiver")?, wanted)?;
        seen.hops.delivered = seen.posts.iter().map(|post| post.at).min();
    }
    if let Some(state) = &state {
        seen.precision = Duration(Std::try_from_secs_f64(state.interval).unwrap_or_default());
    }
    seen.held = held;
    seen.grafana = Some(InGrafana {
        uid: drilled.uid.clone(),
        title: drilled.title.clone(),
        pending: rule.as_ref().map(|rule| rule.text("for").to_owned()),
        as_drilled: rule.is_some_and(|rule| drilled.places.iter().all(|place| place.is_drilled(&rule))),
        state,
    });
    Ok(seen)
}
