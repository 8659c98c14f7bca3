//! Tests `alertmanager-routes`.

#![expect(clippy::needless_pass_by_value, reason = "settings are written where they are judged by")]

use proofmark_engine::testing::{Judge, lines, open};
use serde_json::{Value, json};

fn judge() -> Judge {
    Judge::new(&crate::SYSTEM, "2026-02-16T12:00:00Z")
}

#[test]
fn the_list_that_a_kind_counts_itself_is_named() {
    for (kind, list) in [("alertmanager-routes", Some("$.alerts")), ("alertmanager-status", None)] {
        assert_eq!(judge().counted(kind), list, "{kind}");
    }
}

fn lead(receiver: &str, certain: bool, by: &[&str]) -> Value {
    json!({"receiver": receiver, "certain": certain, "by": by})
}

fn seen(leads: &[(&str, Vec<Value>)]) -> Value {
    let alerts: Vec<Value> =
        leads.iter().map(|(name, leads)| json!({"name": name, "receivers": leads})).collect();
    json!({"alerts": alerts, "labels": {}, "sent-to": ["http://am/"], "relabelled": false, "receivers": [
        {"name": "mail", "integrations": ["email"]}, {"name": "nobody", "integrations": []}, {"name": "page", "integrations": ["webhook", "slack"]}]})
}

fn routes(settings: Value, seen: &Value) -> Vec<String> {
    lines(&judge().check(json!({"alertmanager-routes": settings}), seen))
}

#[test]
fn alerts_that_are_led_to_somebody_pass_together() {
    let well = seen(&[
        ("A", vec![lead("mail", true, &[])]),
        ("B", vec![lead("nobody", false, &["team"]), lead("page", true, &[])]),
        ("C", vec![lead("mail", false, &["team"]), lead("page", false, &["team"])]),
    ]);
    let all = [
        r#"passed | at least one alert | {"count":{"min":1}} | {"count":3}"#,
        "passed | Prometheus sends alerts to an Alertmanager | at least one Alertmanager | http://am/",
        "passed | every alert is led to somebody | 3 of 3 | 3 of 3",
    ];
    assert_eq!(routes(json!({}), &well), all);
    let names = routes(json!({"names": ["B", "X"]}), &well);
    assert_eq!(
        names[1..3],
        ["passed | alert B is loaded | loaded | loaded", "failed | alert X is loaded | loaded | not loaded"]
    );
    // No alert is judged if all are excepted, or none is loaded.
    let excepted = routes(json!({"except": {"A": "a", "B": "b", "C": "c"}}), &well);
    assert_eq!(excepted, all[..2]);
    let one = routes(json!({"except": {"A": "a", "B": "b"}}), &well);
    assert_eq!(one[2], "passed | every alert is led to somebody | 1 of 1 | 1 of 1");
    let none = routes(json!({}), &seen(&[]));
    assert!(none.len() == 2 && none[0].starts_with("failed | at least one alert"), "{none:?}");
    assert!(judge().mistake(json!({"alertmanager-routes": {"except": {"A": " "}}})).unwrap().contains("`A`"));
    assert_eq!(judge().mistake(json!({"alertmanager-routes": {"except": {"A": "why"}}})), None);
}

#[test]
fn an_alert_that_is_led_to_nobody_is_named() {
    let of =
        |leads: Vec<Value>| open(&judge().check(json!({"alertmanager-routes": {}}), &seen(&[("A", leads)])));
    let what = "alert A is led to somebody | a receiver that tells somebody |";
    assert_eq!(
        of(vec![lead("nobody", true, &[])]),
        [format!("failed | {what} only `nobody`, which tells nobody")]
    );
    assert_eq!(
        of(vec![lead("gone", false, &["x"]), lead("nobody", false, &["x"])]),
        [format!("failed | {what} only `gone`, `nobody`, which tells nobody")]
    );
    assert_eq!(
        of(vec![lead("mail", false, &["team", "area"]), lead("nobody", false, &["team"])]),
        [format!(
            "unverified | {what} `area`, `team` of its series decides between `mail` and `nobody`, which tells nobody"
        )]
    );
    let both = seen(&[("A", vec![lead("nobody", true, &[])]), ("B", vec![lead("mail", true, &[])])]);
    let all = routes(json!({}), &both);
    assert!(all.len() == 3 && all[2].starts_with("failed | alert A is led"), "{all:?}");
    let excepted = routes(json!({"except": {"A": "a"}}), &both);
    assert_eq!(excepted[2], "passed | every alert is led to somebody | 1 of 1 | 1 of 1");
}

#[test]
fn whether_prometheus_sends_and_changes_is_said() {
    let of = |sent: Value, relabelled: Value| {
        let mut seen = seen(&[("A", vec![lead("mail", true, &[])])]);
        (seen["sent-to"], seen["relabelled"]) = (sent, relabelled);
        open(&judge().check(json!({"alertmanager-routes": {}}), &seen))
    };
    let sends = "Prometheus sends alerts to an Alertmanager | at least one Alertmanager |";
    assert_eq!(of(json!([]), json!(false)), [format!("failed | {sends} ")]);
    assert_eq!(
        of(Value::Null, json!(false)),
        [format!("unverified | {sends} it does not tell to whom it sends, or not yet")]
    );
    let labels = "unverified | alerts leave Prometheus with the labels that they have there | no change but `external_labels` and `labeldrop` |";
    let well = json!(["http://am/"]);
    assert_eq!(
        of(well.clone(), json!(true)),
        [format!("{labels} `alert_relabel_configs` change labels or drop alerts")]
    );
    assert_eq!(
        of(well, Value::Null),
        [format!("{labels} its configuration cannot be read, which says which labels it adds")]
    );
}
