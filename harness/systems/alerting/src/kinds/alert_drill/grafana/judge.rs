//! Judges how far the alert has come in Grafana, up to its firing; the later hops are judged as without Grafana.

use super::super::judge::{after, time};
use super::super::{AlertDrill, AlertDrillObservation};
use super::{InGrafana, Refused};
use proofmark_model::Finding;

/// Returns what was expected, what was found instead, and how to fix it, for a drill that changed nothing.
pub(crate) fn refused(why: &Refused) -> (&'static str, &'static str, String, &'static str) {
    match why {
        Refused::NoRule(uid) => (
            "the rule is there",
            "a rule of this uid",
            format!("no rule `{uid}`"),
            "is the uid right (it stands in the address of the rule's page), and is this the right organisation?",
        ),
        Refused::OtherRule(found) => (
            "the rule is the one that is meant",
            "the title and the labels that the drill names",
            found.clone(),
            "`alert` is the rule's title, and `labels` some of its own labels, as it has them",
        ),
        Refused::Asleep(why) => (
            "the rule is evaluated",
            "an alert that is evaluated",
            why.clone(),
            "it cannot fire by itself: is it paused, is its folder there, and may this login read the folder and query the rule's datasources?",
        ),
    }
}

pub(crate) fn taken(_drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = ("Grafana has the drilled rule", "the rule as the drill asks for it");
    let failed = |said: &str| {
        let help = "does something else write this rule: a person, a pipeline, an operator?";
        vec![Finding::judged(what, expected, said, false).with_help(help)]
    };
    match &seen.grafana {
        None => vec![Finding::undecided(what, expected, "nobody looked")],
        Some(rule) if rule.pending.is_none() => failed("there is no such rule: someone has taken it away"),
        Some(rule) if !rule.as_drilled => failed("someone has changed it back, or to something else"),
        Some(_) => {
            vec![Finding::judged(what, expected, format!("written {}", after(seen, seen.hops.loaded)), true)]
        }
    }
}

pub(crate) fn evaluated(_drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = ("the drilled rule is evaluated without error", "health ok");
    let Some(state) = seen.grafana.as_ref().and_then(|rule| rule.state.as_ref()) else {
        let help =
            "is its folder there, and may this login read the folder and query the rule's datasources?";
        return vec![Finding::judged(what, expected, "Grafana does not evaluate it", false).with_help(help)];
    };
    let since = seen.hops.loaded.or(seen.hops.changed);
    if state.last_evaluation.is_none_or(|at| since.is_some_and(|since| at < since)) {
        let said = format!("not evaluated since the change; last at {}", time(state.last_evaluation));
        let help = format!("its group is evaluated every {}", seen.precision);
        return vec![Finding::undecided(what, expected, said).with_help(help)];
    }
    match state.health.as_str() {
        "ok" => vec![Finding::judged(what, expected, "ok", true)],
        "error" => vec![Finding::judged(what, expected, format!("error: {}", state.last_error), false)],
        "nodata" => {
            let help = "its query gives nothing, or cannot be read as one: with no series no threshold helps";
            vec![Finding::judged(what, expected, "nodata: it sees nothing", false).with_help(help)]
        }
        other => vec![Finding::undecided(what, expected, other)],
    }
}

pub(crate) fn fires(_drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = ("the alert fires in Grafana", "Alerting");
    let pending =
        seen.hops.pending.map_or_else(String::new, |at| format!("pending {}, ", after(seen, Some(at))));
    if let Some(at) = seen.hops.firing {
        let said = format!("{pending}firing {} (late by up to {})", after(seen, Some(at)), seen.precision);
        return vec![Finding::judged(what, expected, said, true)];
    }
    let (said, help) = not_firing(seen);
    vec![Finding::judged(what, expected, said, false).with_help(help)]
}

fn not_firing(seen: &AlertDrillObservation) -> (String, &'static str) {
    let rule = seen.grafana.as_ref();
    let words: Vec<&str> = rule.iter().flat_map(|rule| states(rule)).collect();
    let blind = words.iter().find(|word| word.contains("NoData") || word.contains("Error"));
    if words.contains(&"Pending") {
        let waits = rule.and_then(|rule| rule.pending.clone()).unwrap_or_default();
        let said = format!("pending only, {}; its rule waits {waits}", after(seen, seen.hops.pending));
        return (said, "give the step a longer `within`, or the drill a shorter `for`");
    }
    if let Some(word) = blind {
        return (
            format!("{word}: it cannot see what it asks for"),
            "an alert that comes because nothing could be seen says nothing about its threshold: mend its query or its datasource",
        );
    }
    if words.iter().any(|word| word.starts_with("Alerting")) {
        let help = "look at its page in Grafana: only an alert that began after the change counts";
        return (words.join(", "), help);
    }
    (
        "neither pending nor firing".to_owned(),
        "the drilled condition is not met: try its query; with no series no threshold helps",
    )
}

fn states(rule: &InGrafana) -> impl Iterator<Item = &str> {
    rule.state.iter().flat_map(|state| &state.instances).map(|instance| instance.state.as_str())
}
