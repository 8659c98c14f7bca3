//! Every matcher answers yes, no, and "the question does not fit" where it should.

#![expect(clippy::needless_pass_by_value, reason = "tables of literals read better without references")]

use super::*;
use crate::Verdict::{self, Failed, Passed, Unverified};

fn time() -> Timestamp {
    "2026-02-16T02:00:00Z".parse().unwrap()
}

fn verdict(expect: Value, observation: Value) -> Verdict {
    let expect: Expect = serde_json::from_value(expect).unwrap();
    let again: Expect = serde_json::from_value(serde_json::to_value(&expect).unwrap()).unwrap();
    assert_eq!(expect, again);
    expect.judge(&observation, time()).verdict
}

#[test]
fn each_matcher() {
    let table = [
        (json!({"at": "$.v", "equals": 1}), json!({"v": 1.0}), Passed),
        (json!({"at": "$.v", "equals": {"a": [1]}}), json!({"v": {"a": [1.0]}}), Passed),
        (json!({"at": "$.v", "equals": "1"}), json!({"v": 1}), Failed),
        (json!({"at": "$.v", "equals": null}), json!({"v": null}), Passed),
        (json!({"at": "$.v", "equals": null}), json!({}), Failed),
        (
            json!({"at": "$.v", "equals": 9_007_199_254_740_993_u64}),
            json!({"v": 9_007_199_254_740_992_u64}),
            Failed,
        ),
        (json!({"at": "$.v", "one-of": [200, 204]}), json!({"v": 204}), Passed),
        (json!({"at": "$.v", "one-of": []}), json!({"v": 204}), Failed),
        (json!({"at": "$.v", "matches": "ad"}), json!({"v": "ready"}), Passed),
        (json!({"at": "$.v", "matches": "^ad"}), json!({"v": "ready"}), Failed),
        (json!({"at": "$.v", "matches": "a"}), json!({"v": ["a"]}), Failed),
        (json!({"at": "$.v", "min": 1}), json!({"v": 1}), Passed),
        (json!({"at": "$.v", "min": 1}), json!({"v": 0.5}), Failed),
        (json!({"at": "$.v", "min": 1}), json!({"v": "+Inf"}), Passed),
        (json!({"at": "$.v", "min": 1}), json!({"v": "NaN"}), Failed),
        (json!({"at": "$.v", "max": 1}), json!({"v": "NaN"}), Failed),
        (json!({"at": "$.v", "max": 1}), json!({"v": 1}), Passed),
        (json!({"at": "$.v", "max": 1}), json!({"v": 2}), Failed),
        (json!({"at": "$.v", "not": {"min": 1}}), json!({"v": "NaN"}), Unverified),
        (json!({"at": "$.v", "not": {"min": 1}}), json!({"v": "a"}), Unverified),
        (json!({"at": "$.v", "not": {"min": 1}}), json!({}), Unverified),
        (json!({"at": "$.v", "not": {"min": 1}}), json!({"v": 0}), Passed),
        (json!({"at": "$.v", "not": {"min": 1}}), json!({"v": 1}), Failed),
        (json!({"at": "$.v", "near": {"value": 100.0, "within": 5.0}}), json!({"v": 95}), Passed),
        (json!({"at": "$.v", "near": {"value": 100.0, "within": 5.0}}), json!({"v": 94.9}), Failed),
        (json!({"at": "$.v", "near": {"value": -200.0, "within": "5%"}}), json!({"v": -210}), Passed),
        (json!({"at": "$.v", "near": {"value": 200.0, "within": "5%"}}), json!({"v": 211}), Failed),
        (json!({"at": "$.v", "near": {"value": 1.0, "within": 5.0}}), json!({"v": "+Inf"}), Failed),
        (json!({"at": "$.v", "type": "number"}), json!({"v": "NaN"}), Passed),
        (json!({"at": "$.v", "type": "integer"}), json!({"v": 1.5}), Failed),
        (json!({"at": "$.v", "type": "integer"}), json!({"v": 2}), Passed),
        (json!({"at": "$.v", "type": "string"}), json!({"v": 1}), Failed),
        (json!({"at": "$.v", "type": "boolean"}), json!({"v": false}), Passed),
        (json!({"at": "$.v", "type": "array"}), json!({"v": {}}), Failed),
        (json!({"at": "$.v", "type": "object"}), json!({"v": {}}), Passed),
        (json!({"at": "$.v", "type": "null"}), json!({"v": null}), Passed),
    ];
    for (expect, observation, wanted) in table {
        assert_eq!(verdict(expect.clone(), observation.clone()), wanted, "{expect} on {observation}");
    }
}

#[test]
fn newer_than_shows_a_time_and_its_age() {
    let seen = |ask: Value, v: Value| {
        let expect: Expect = serde_json::from_value(ask).unwrap();
        expect.judge(&json!({"v": v}), "2026-02-16T02:00:00Z".parse().unwrap()).seen
    };
    let plain = json!({"at": "$.v", "newer-than": "25h"});
    for (value, shown) in [
        (json!(1_771_120_800), "2026-02-15T02:00:00Z, 1d old"),
        (json!("2026-02-12T23:00:00Z"), "2026-02-12T23:00:00Z, 3d 3h old"),
        (json!("2026-02-16T01:54:55Z"), "2026-02-16T01:54:55Z, 5m 5s old"),
        (json!("2026-02-16T05:01:00Z"), "2026-02-16T05:01:00Z, 3h 1m in the future"),
        (json!("yesterday"), "yesterday"),
    ] {
        assert_eq!(seen(plain.clone(), value), json!(shown));
    }
    let every = json!({"at": "$.v", "every": {"not": {"newer-than": "25h"}}});
    assert_eq!(seen(every, json!([1_771_120_800])), json!("2026-02-15T02:00:00Z, 1d old"));
    assert_eq!(seen(json!({"at": "$.v", "max": 1}), json!(1_771_120_800)), json!(1_771_120_800));
}

#[test]
fn newer_than_reads_times_and_distrusts_the_future() {
    let ask = |v: Value| verdict(json!({"at": "$.v", "newer-than": "25h"}), json!({"v": v}));
    assert_eq!(ask(json!("2026-02-15T01:00:00Z")), Passed);
    assert_eq!(ask(json!("2026-02-15T00:59:59Z")), Failed);
    assert_eq!(ask(json!(1_771_120_800)), Passed);
    assert_eq!(ask(json!("0001-01-01T00:00:00Z")), Failed);
    assert_eq!(ask(json!(0)), Failed);
    assert_eq!(ask(json!(4_771_120_800_u64)), Unverified);
    assert_eq!(ask(json!("2026-02-16T02:00:59Z")), Passed);
    assert_eq!(ask(json!("2026-02-16T02:01:01Z")), Unverified);
    assert_eq!(ask(json!(1_771_120_800_000_u64)), Failed);
    assert_eq!(ask(json!("yesterday")), Failed);
}

#[test]
fn counts_elements_of_a_singular_path_and_else_nodes() {
    let count = |at: &str, n: u64, v: Value| verdict(json!({"at": at, "count": {"equals": n}}), v);
    assert_eq!(count("$.s", 2, json!({"s": [1, 2]})), Passed);
    assert_eq!(count("$.s", 1, json!({"s": {"a": 1}})), Passed);
    assert_eq!(count("$.s[*]", 2, json!({"s": [1, 2]})), Passed);
    assert_eq!(count("$.s[?@ > 1]", 1, json!({"s": [1, 2]})), Passed);
    assert_eq!(count("$.s", 0, json!({})), Unverified);
    assert_eq!(count("$.s", 0, json!({"s": 7})), Unverified);
    assert_eq!(verdict(json!({"at": "$.s", "count": {"min": 1, "max": 2}}), json!({"s": [1, 2, 3]})), Failed);
    assert!(serde_json::from_value::<Expect>(json!({"at": "$", "count": {}})).is_err());
}

#[test]
fn every_and_any_never_pass_on_nothing() {
    let ask = |how: &str, at: &str, v: Value| verdict(json!({"at": at, how: {"min": 1}}), v);
    for how in ["every", "any"] {
        assert_eq!(ask(how, "$.s[*]", json!({"s": []})), Unverified);
        assert_eq!(ask(how, "$.s", json!({"s": []})), Unverified);
        assert_eq!(ask(how, "$.typo[*]", json!({"s": [1]})), Unverified);
    }
    assert_eq!(ask("every", "$.s[*]", json!({"s": [1, 2]})), Passed);
    assert_eq!(ask("every", "$.s[*]", json!({"s": [1, 0]})), Failed);
    assert_eq!(ask("every", "$.s", json!({"s": [1, 0]})), Failed);
    assert_eq!(ask("any", "$.s[*]", json!({"s": [1, 0]})), Passed);
    assert_eq!(ask("any", "$.s[*]", json!({"s": [0, 0]})), Failed);
    assert_eq!(ask("any", "$.s[*]", json!({"s": ["x"]})), Failed);
}

#[test]
fn several_values_need_every_or_any_and_masks_decide_nothing() {
    let expect: Expect = serde_json::from_value(json!({"at": "$.s[*]", "min": 0})).unwrap();
    let finding = expect.judge(&json!({"s": [1, 2]}), time());
    assert_eq!(finding.verdict, Unverified);
    assert!(finding.help.unwrap().contains("every"));
    let expect: Expect = serde_json::from_value(json!({"at": "$.json.token", "equals": "[masked]"})).unwrap();
    let finding = expect.judge(&json!({"json": {"token": "[masked]"}}), time());
    assert_eq!(finding.verdict, Unverified);
    assert!(finding.help.unwrap().contains("not-secret: [token]"));
}

#[test]
fn mistakes_are_named() {
    let wrong = |v: Value| serde_json::from_value::<Expect>(v).unwrap_err().to_string();
    assert!(wrong(json!({"at": "$", "min": 1, "max": 2})).contains("write two"));
    assert!(wrong(json!({"at": "$"})).contains("asks nothing"));
    assert!(wrong(json!({"at": "$", "mim": 1})).contains("unknown field `mim`"));
    assert!(wrong(json!({"at": "samples", "min": 1})).contains("does not start with `$`"));
    assert!(wrong(json!({"at": "$.samples[", "min": 1})).contains("no JSONPath"));
    assert!(wrong(json!({"at": "$", "matches": "("})).contains("no regular expression"));
    assert!(wrong(json!({"min": 1})).contains("at"));
}
