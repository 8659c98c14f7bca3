//! Judges how far the alert has come: the first hop that it did not reach fails, by its name.

use super::{AlertDrill, AlertDrillObservation, Delivered, How, Refused, Through, grafana};
use crate::client::alertmanager::Alert as Held;
use jiff::Timestamp;
use proofmark_model::{Duration, Finding, Verdict};
use proofmark_prometheus::client::Rule;

pub(super) fn judge(drill: &AlertDrill, seen: &AlertDrillObservation, _at: Timestamp) -> Vec<Finding> {
    let mut findings = vec![];
    let hops: [fn(&AlertDrill, &AlertDrillObservation) -> Vec<Finding>; 7] = match drill.through {
        Through::Grafana(_) => {
            [before, grafana::taken, grafana::evaluated, grafana::fires, arrives, not_held_back, delivered]
        }
        Through::RuleFile(_) | Through::Command(_) => {
            [before, taken, evaluated, fires, arrives, not_held_back, delivered]
        }
    };
    for hop in hops {
        findings.extend(hop(drill, seen));
        if findings.iter().any(|finding| finding.verdict != Verdict::Passed) {
            break;
        }
    }
    findings
}

fn before(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let alert = &drill.alert;
    let failed = |what: &str, expected: &str, seen: String, help: &str| {
        let help = format!("nothing was changed; {help}");
        vec![Finding::judged(what, expected, seen, false).with_help(help)]
    };
    match &seen.refused {
        None => vec![Finding::judged(
            "nothing stood in the way before",
            "one healthy rule, not active",
            format!("{alert} is one healthy rule and was not active"),
            true,
        )],
        Some(Refused::ReloadFailedBefore(at)) => failed(
            "Prometheus runs what it was last given",
            "a last reload that succeeded",
            format!("a reload that failed; the rules of {} go on", time(*at)),
            "mend what it could not load: its log says what that is (`promtool check config`)",
        ),
        Some(Refused::NotOne(rules)) if rules.is_empty() => failed(
            "the rule is loaded",
            "one alert of that name and labels",
            format!("no alert {alert}"),
            "is the name right, and are its rules loaded?",
        ),
        Some(Refused::NotOne(rules)) => failed(
            "the rule is the only one of its name",
            "one alert of that name and labels",
            format!("{}: {}", rules.len(), rules.join("; ")),
            "say which one with `labels`",
        ),
        Some(Refused::RuleBroken(why)) => failed(
            "the rule is evaluated without error",
            "health ok",
            format!("health {}: {why}", if drill.in_grafana() { "error" } else { "err" }),
            "mend the rule: it cannot fire by itself",
        ),
        Some(Refused::InGrafana(why)) => {
            let (what, expected, seen, help) = grafana::refused(why);
            failed(what, expected, seen, help)
        }
        Some(Refused::ActiveBefore(state)) => failed(
            "the alert was not active before",
            "neither pending nor firing",
            state.clone(),
            "a drill would show nothing beside the real alert: mend its cause first",
        ),
    }
}

fn taken(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let what = "Prometheus took the changed rules";
    match &seen.not_taken {
        Some(why) => vec![
            Finding::judged(
                what,
                "a reload that succeeded",
                format!("the reload failed and the old rules go on: {why}"),
                false,
            )
            .with_help("its log says why (`promtool check rules`)"),
        ],
        // The user's programs trigger the reload, at once or later.
        None if matches!(drill.through, Through::Command(_)) => vec![],
        None => vec![Finding::judged(
            what,
            "a reload that succeeded",
            format!("loaded {}", after(seen, seen.hops.loaded)),
            true,
        )],
    }
}

fn evaluated(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = ("the drilled rule is evaluated without error", "health ok");
    let Some(rule) = &seen.rule else {
        let help = match drill.how {
            _ if matches!(drill.through, Through::Command(_)) => {
                "has `apply` changed the rule of this name and these labels, has Prometheus been made to load it (an operator takes up to 3 minutes), and did that reload succeed?"
            }
            How::TemporaryRule => {
                "does Prometheus read this very file, and does something rewrite the labels or the file?"
            }
            How::ChangeThreshold => "does something rewrite the file?",
        };
        return vec![Finding::judged(what, expected, "it is not loaded", false).with_help(help)];
    };
    match rule.health.as_str() {
        "ok" => vec![Finding::judged(what, expected, "ok", true)],
        "err" => vec![Finding::judged(what, expected, format!("err: {}", rule.last_error), false)],
        other => vec![
            Finding::undecided(what, expected, format!("{other}: not evaluated yet"))
                .with_help(format!("its group is evaluated every {}", rule.interval)),
        ],
    }
}

fn fires(_drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = ("the alert fires in Prometheus", "firing");
    let now = |state: &str| seen.alerts.iter().any(|alert| alert.state == state);
    if let (true, Some(at)) = (now("firing"), seen.hops.firing) {
        let pending =
            seen.hops.pending.map_or_else(String::new, |at| format!("pending {}, ", after(seen, Some(at))));
        let said = format!("{pending}firing {} (late by up to {})", after(seen, Some(at)), seen.precision);
        return vec![Finding::judged(what, expected, said, true)];
    }
    let (said, help) = if now("firing") {
        ("firing, but not yet in its samples".to_owned(), "look again: samples follow at once")
    } else if now("pending") {
        let rule = seen.rule.as_ref().and_then(|rule: &Rule| rule.pending).unwrap_or_default();
        let said = format!("pending only, {}; its rule waits {rule}", after(seen, seen.hops.pending));
        (said, "give the step a longer `within`, or the drill a shorter `for`")
    } else if seen.hops.firing.is_some() {
        (
            "it fired and does no longer".to_owned(),
            "the expression does not stay true: choose another threshold",
        )
    } else {
        (
            "neither pending nor firing".to_owned(),
            "the drilled expression gives nothing: try it as a query; with no series no threshold helps",
        )
    };
    vec![Finding::judged(what, expected, said, false).with_help(help)]
}

fn arrives(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let (what, expected) = (format!("{} has the alert", drill.holder()), "at least one");
    if seen.held.is_empty() {
        let (said, help) = if drill.in_grafana() {
            (
                "it fires in Grafana but is not in its Alertmanager",
                "does Grafana send its alerts to an Alertmanager elsewhere, and to that alone?",
            )
        } else {
            (
                "it fires in Prometheus but is not in Alertmanager",
                "does Prometheus know this Alertmanager (`/api/v1/alertmanagers`), can it reach it, and does no `alert_relabel_configs` drop or rename it?",
            )
        };
        return vec![Finding::judged(what, expected, said, false).with_help(help)];
    }
    let mut routes: Vec<&str> =
        seen.held.iter().flat_map(|alert| &alert.receivers).map(String::as_str).collect();
    routes.sort_unstable();
    routes.dedup();
    let said = format!("{}, routed to {}", seen.held.len(), routes.join(", "));
    vec![Finding::judged(what, expected, said, true)]
}

fn not_held_back(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let by = |of: fn(&Held) -> &[String]| {
        let mut all: Vec<&str> = seen.held.iter().flat_map(of).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all.join(", ")
    };
    let one = |what: &str, word: &str, by: &str, help: &str| {
        let said = if by.is_empty() { format!("not {word}") } else { format!("{word} by {by}") };
        Finding::judged(what, format!("not {word}"), said, by.is_empty()).with_help(help)
    };
    let muted: Vec<&str> =
        seen.held.iter().flat_map(|alert| alert.muted_by.iter().flatten()).map(String::as_str).collect();
    let mut findings = vec![
        one(
            "it is not silenced",
            "silenced",
            &by(|it| &it.silenced_by),
            "end the silence, or expect this: nobody is told while it lasts",
        ),
        one(
            "it is not inhibited",
            "inhibited",
            &by(|it| &it.inhibited_by),
            "another alert keeps it back: `inhibit_rules`",
        ),
    ];
    let untold = seen.held.iter().any(|alert| alert.muted_by.is_none());
    if untold && seen.posts.is_empty() {
        findings.push(
            Finding::undecided(
                "it is not muted",
                "not muted",
                "this Alertmanager does not say (before 0.28), and its configuration mutes at times",
            )
            .with_help("`delivered: receiver` shows it"),
        );
    } else {
        findings.push(one(
            "it is not muted",
            "muted",
            &muted.join(", "),
            "a time interval of its route keeps it back",
        ));
    }
    let open = seen.held.iter().any(|alert| alert.state == "unprocessed");
    if open {
        findings.push(Finding::undecided("it is processed", "active", "unprocessed"));
    }
    if drill.delivered == Delivered::No && !open {
        let state = seen.held.iter().map(|alert| alert.state.as_str()).collect::<Vec<_>>().join(", ");
        let active = seen.held.iter().all(|alert| alert.state == "active");
        let said = format!("{state}; delivery was not looked at (`delivered: no`)");
        findings.push(Finding::judged("it would be sent", "active", said, active));
    }
    findings
}

fn delivered(drill: &AlertDrill, seen: &AlertDrillObservation) -> Vec<Finding> {
    let never = format!("it is in {} but was never delivered", drill.holder());
    match drill.delivered {
        Delivered::No => vec![],
        Delivered::Receiver => {
            let (what, expected) = ("a message was delivered to the receiver", "at least one");
            let Some(first) = seen.posts.first() else {
                let help = "does its route lead to a receiver that posts to the `url` of the connection `receiver`, can it be reached from there, and is `group_wait` (or `group_interval`, where its group is known already) over?";
                return vec![Finding::judged(what, expected, never, false).with_help(help)];
            };
            let said = format!(
                "{} to {}, the first {}",
                seen.posts.len(),
                first.receiver,
                after(seen, seen.hops.delivered)
            );
            vec![Finding::judged(what, expected, said, true)]
        }
        Delivered::Counters => {
            let what = "Alertmanager counted a message that was sent";
            let each = seen
                .counters
                .iter()
                .map(|(name, it)| format!("{name}: {} tried, {} failed", it.tried, it.failed));
            let each = each.collect::<Vec<_>>().join("; ");
            let sent = seen.counters.values().any(|it| it.tried > it.failed);
            let said = if each.is_empty() { format!("{never}: no counter grew") } else { each };
            let help = "the counters do not say whose message it was; is `group_wait` over, and what does the log of Alertmanager say?";
            vec![Finding::judged(what, "at least one that did not fail", said, sent).with_help(help)]
        }
    }
}

pub(super) fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// Formats how long after the change something happened, and when.
pub(super) fn after(seen: &AlertDrillObservation, at: Option<Timestamp>) -> String {
    match (seen.hops.changed, at) {
        (Some(changed), Some(at)) => {
            let length = at.duration_since(changed).unsigned_abs();
            let whole =
                std::time::Duration::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            format!("{} after the change ({at})", Duration(whole))
        }
        _ => format!("at {}", time(at)),
    }
}
