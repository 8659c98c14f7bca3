//! The client for Grafana's alerting against the stand-in of 9.4.0-pre: a rule is put back as who made it, what cannot be
//! changed is refused in words, and only a bare `Alerting` fires.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::cx;
use fixtures::Grafana;
use proofmark_alerting::client::grafana::{
    Instance, Provenance, Rule, RuleState, alerts, create, delete, replace, rule, states,
};
use proofmark_engine::Cx;
use proofmark_evidence::record::Recorder;
use proofmark_evidence::undo::{Final, Ledger, Nothing, PromiseContext, Promises, Until};
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn stand_in() -> (Grafana, Cx) {
    let grafana = Grafana::start(Duration::from_millis(100), Duration::from_millis(200));
    let cx = cx(&grafana.url());
    (grafana, cx)
}

/// A permit to change the stand-in for good.
fn leave() -> Final {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::real());
    let recorder = Recorder::create(folder.path(), &clock, Redactor::default(), Box::new(|_| {})).unwrap();
    let ledger = Ledger::new(Arc::new(Mutex::new(recorder)), clock, vec![]);
    let by = PromiseContext {
        scenario: "s".into(),
        step: "t".into(),
        kind: "k",
        via: BTreeMap::new(),
        timeout: proofmark_model::Duration::secs(5),
        until: Until::Step,
    };
    Promises::<Nothing>::new(&ledger, &by).declare_final()
}

async fn get(cx: &Cx, uid: &str) -> Rule {
    rule(cx.wire("prometheus").unwrap(), uid).await.unwrap().unwrap()
}

/// The same rule with another threshold.
fn lowered(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    let place = rule.0["data"].as_array_mut().unwrap().last_mut().unwrap();
    *place.pointer_mut("/model/conditions/0/evaluator/params/0").unwrap() = (-1).into();
    rule
}

async fn state(cx: &Cx, name: &str) -> RuleState {
    let mut states = states(cx.wire("prometheus").unwrap(), |rule| rule.name == name).await.unwrap().rules;
    assert_eq!(states.len(), 1, "filtered here, for the server filters nothing");
    states.remove(0)
}

/// Looks until the rule is in this state.
async fn until(cx: &Cx, name: &str, wanted: &str) -> RuleState {
    loop {
        let state = state(cx, name).await;
        if state.state == wanted {
            return state;
        }
        assert!(cx.clock.elapsed() < Duration::from_secs(30), "{state:?}");
        cx.clock.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_rule_is_changed_and_put_back_as_who_made_it() {
    let (grafana, cx) = stand_in();
    for (uid, provenance) in [("lab-api-1", Provenance::Api), ("lab-ui-1", Provenance::Pages)] {
        let before = get(&cx, uid).await;
        assert_eq!(before.provenance(), provenance);
        let wire = cx.wire("prometheus").unwrap();
        replace(wire, &lowered(&before), &leave()).await.unwrap();
        assert!(!get(&cx, uid).await.same_as(&before), "it was changed");
        replace(wire, &before, &leave()).await.unwrap();
        let after = get(&cx, uid).await;
        assert!(after.same_as(&before), "all but when it was written: {after:?}");
        assert_ne!(after.0["updated"], before.0["updated"]);
        assert_eq!(
            grafana.rule(uid).unwrap().get("provenance"),
            before.0.get("provenance"),
            "nobody is locked out"
        );
    }
}

#[tokio::test]
async fn a_rule_from_a_file_says_so_and_a_change_is_refused_in_words() {
    let (_grafana, cx) = stand_in();
    let file = get(&cx, "lab-file-old").await;
    assert_eq!(file.provenance(), Provenance::Other);
    let wire = cx.wire("prometheus").unwrap();
    let error = replace(wire, &file, &leave()).await.unwrap_err();
    assert!(error.to_string().contains("provenance"), "{error}");
    assert_eq!(rule(wire, "nope").await.unwrap(), None, "500 with words, on this version");
}

#[tokio::test]
async fn a_made_rule_goes_through_its_states_and_away() {
    let (grafana, cx) = stand_in();
    let mut made = lowered(&get(&cx, "lab-api-1").await);
    made.0.insert("uid".into(), "drill-1".into());
    made.0.insert("title".into(), "LabApi drill".into());
    let wire = cx.wire("prometheus").unwrap();
    assert_eq!(state(&cx, "LabApi").await.state, "inactive");
    create(wire, &made, &leave()).await.unwrap();
    assert!(create(wire, &made, &leave()).await.is_err(), "a title stands once");
    let pending = until(&cx, "LabApi drill", "pending").await;
    assert!(!pending.instances[0].fires());
    let mine = |alert: &proofmark_alerting::client::alertmanager::Alert| alert.name == "LabApi drill";
    assert_eq!(alerts(wire, mine).await.unwrap(), [], "a pending one is told to nobody");
    let firing = until(&cx, "LabApi drill", "firing").await;
    assert!(firing.instances[0].fires() && firing.last_evaluation.is_some() && firing.health == "ok");
    let held = alerts(wire, mine).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].muted_by, Some(vec![]), "its configuration mutes at no time, so nothing is muted");
    delete(wire, "drill-1", &leave()).await.unwrap();
    delete(wire, "drill-1", &leave()).await.unwrap();
    assert_eq!(grafana.rules().len(), 3);
}

#[tokio::test]
async fn a_rule_that_only_says_alerting_because_it_cannot_see_does_not_fire() {
    let recorded = fixtures::Answer::json(
        serde_json::from_slice::<serde_json::Value>(&fixtures::recording(
            "grafana-9.4.0-pre/rules_4_alerting.json",
        ))
        .unwrap()["response"]["json"]
            .to_string(),
    );
    let server = fixtures::Server::start().on("/api/prometheus/grafana/api/v1/rules", recorded);
    let cx = cx(&server.url());
    let all = states(cx.wire("prometheus").unwrap(), |_| true).await.unwrap().rules;
    let named = |name: &str| all.iter().find(|rule| rule.name == name).unwrap();
    for blind in ["LabErrAlerting", "LabNoDataAlerting"] {
        let rule = named(blind);
        assert!(rule.state == "firing" && !rule.instances.iter().any(Instance::fires), "{rule:?}");
    }
    assert!(named("LabApi").instances[0].fires());
    assert_eq!(named("LabUi").instances[0].active_at, None, "the year 1 is no time");
    assert!(named("LabFileBroken").last_error.contains("connection refused"));
}
