//! Tests that every construct of `PromQL` is judged without panic and in finite time, whatever the server answers, and
//! that the queries can be parsed again.

use super::bare::bare;
use super::*;
use crate::client::SampleValue;
use proptest::prelude::*;
use std::hash::{Hash as _, Hasher as _};

fn selector() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["up", "x", "y_total", "z_info", "rec:a", "ALERTS", "{__name__=~\"x.*\"}"]);
    let matchers = prop::sample::select(vec![
        "",
        "{a=\"b\"}",
        "{a!=\"b\",c=~\"d|e\"}",
        "{a=\"q\\\"\\\\d\\n$1\"}",
        "{alertname=\"A0\"}",
        "{a=\"b\" or c=\"d\"}",
    ]);
    let modifier = prop::sample::select(vec!["", " offset 5m", " offset -1h", " @ 1609746000", " @ end()"]);
    (name, matchers, modifier).prop_map(|(name, matchers, modifier)| {
        let matchers = if name.starts_with('{') { "" } else { matchers };
        format!("{name}{matchers}{modifier}")
    })
}

fn number() -> impl Strategy<Value = String> {
    let numbers = vec![
        "0",
        "1",
        "-3",
        "90",
        "1e9",
        "0x1F",
        "Inf",
        "NaN",
        "0.5",
        "1e300",
        "time()",
        "scalar(x)",
        "pi()",
    ];
    prop::sample::select(numbers).prop_map(str::to_owned)
}

fn window() -> impl Strategy<Value = String> {
    let range = prop::sample::select(vec!["[5m]", "[1h30m] offset 5m", "[15s] @ start()"]);
    let name = prop::sample::select(vec!["up", "x{a=\"b\"}", "y_total", "rec:a"]);
    (name, range).prop_map(|(name, range)| format!("{name}{range}"))
}

fn leaf() -> impl Strategy<Value = String> {
    let over = prop::sample::select(vec![
        "rate",
        "increase",
        "irate",
        "delta",
        "idelta",
        "deriv",
        "changes",
        "resets",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "sum_over_time",
        "count_over_time",
        "last_over_time",
        "present_over_time",
        "stddev_over_time",
        "absent_over_time",
    ]);
    let times =
        prop::sample::select(vec!["hour()", "day_of_week()", "month()", "minute()", "days_in_month()"]);
    prop_oneof![
        3 => selector(),
        2 => (over, window()).prop_map(|(over, window)| format!("{over}({window})")),
        1 => window().prop_map(|window| format!("predict_linear({window}, 3600)")),
        1 => window().prop_map(|window| format!("quantile_over_time(0.9, {window})")),
        1 => number().prop_map(|number| format!("vector({number})")),
        1 => times.prop_map(str::to_owned),
    ]
}

const SETS: [&str; 3] = ["and", "or", "unless"];

const OPERATORS: [&str; 15] =
    ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool"];

/// Two expressions and an operator between them.
fn pair(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let plain = || prop::sample::select(OPERATORS.to_vec());
    let ways = vec![
        "",
        " on (a)",
        " ignoring (b)",
        " on ()",
        " on (a) group_left (b)",
        " ignoring (b) group_right ()",
    ];
    let matching = prop::sample::select(ways);
    let any = prop::sample::select([&OPERATORS[..], &SETS[..]].concat());
    prop_oneof![
        (inner.clone(), any, matching, inner.clone()).prop_map(|(l, op, matching, r)| {
            let grouped = matching.split(" group").next().unwrap_or_default();
            let matching = if SETS.contains(&op) { grouped } else { matching };
            format!("({l}) {op}{matching} ({r})")
        }),
        (inner.clone(), plain(), number()).prop_map(|(l, op, r)| format!("({l}) {op} {r}")),
        (number(), plain(), inner).prop_map(|(l, op, r)| format!("{l} {op} ({r})")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(5, 40, 3, |inner| {
        let one = prop::sample::select(vec![
            "abs",
            "ceil",
            "floor",
            "exp",
            "sqrt",
            "ln",
            "sgn",
            "timestamp",
            "absent",
            "sort",
            "hour",
            "deg",
            "sin",
            "histogram_count",
            "-",
            "",
        ]);
        let aggregation = prop::sample::select(vec![
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "group",
            "stddev",
            "sum by (a)",
            "max without (b, c)",
            "count by ()",
            "sum by (\"a.b\")",
        ]);
        let with = vec!["topk(3, ", "bottomk(1, ", "quantile(0.5, ", "count_values(\"v\", ", "limitk(2, "];
        let replaced = |inner| format!("label_replace({inner}, \"a\", \"$1\", \"b\", \"(.*)\")");
        prop_oneof![
            3 => pair(inner.clone().boxed()),
            1 => (one, inner.clone()).prop_map(|(one, inner)| format!("{one}({inner})")),
            1 => (aggregation, inner.clone()).prop_map(|(op, inner)| format!("{op} ({inner})")),
            1 => (prop::sample::select(with), inner.clone()).prop_map(|(op, inner)| format!("{op}{inner})")),
            1 => inner.clone().prop_map(|inner| format!("max_over_time(({inner})[1h:1m] offset 1d)")),
            1 => inner.clone().prop_map(|inner| format!("clamp({inner}, 0, scalar({inner}))")),
            1 => inner.clone().prop_map(replaced),
            1 => inner.clone().prop_map(|inner| format!("histogram_quantile(0.9, {inner})")),
            1 => inner.prop_map(|inner| format!("round({inner}, 0.1)")),
        ]
    })
}

fn rule(query: &str) -> Rule {
    Rule {
        name: "A0".into(),
        group: "g".into(),
        file: "f".into(),
        kind: "alerting".into(),
        query: query.to_owned(),
        health: "ok".into(),
        state: Some("inactive".into()),
        interval: Duration::secs(30),
        pending: None,
        labels: BTreeMap::new(),
        last_evaluation: Some(Timestamp::UNIX_EPOCH),
        last_error: String::new(),
    }
}

pub(super) fn looked(records: &[(&str, &str)]) -> CanFire {
    CanFire {
        at: Some(Timestamp::from_second(2_000_000_000).unwrap()),
        loaded_at: Some(Timestamp::from_second(1_999_000_000).unwrap()),
        retention: Some("15d".into()),
        lookback: Some(Duration::secs(300)),
        alerts: vec!["A0".into()],
        records: records
            .iter()
            .map(|(name, query)| Record { name: (*name).into(), query: (*query).into() })
            .collect(),
        answers: Vec::new(),
    }
}

/// Returns some answer to a query, always the same for a query and seed.
fn answer(query: String, seed: u64) -> Answer {
    let mut hasher = std::hash::DefaultHasher::new();
    (&query, seed).hash(&mut hasher);
    let draw = hasher.finish() % 8;
    let doubt = (draw < 2 && seed.is_multiple_of(2)).then(|| "no".to_owned());
    let given = known::Given { labels: BTreeMap::new(), value: SampleValue((draw * 3).into()) };
    let result = if doubt.is_some() || draw < 4 { Vec::new() } else { vec![given] };
    Answer { query, result, refused: doubt.is_some() && draw == 0, doubt }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]
    #[test]
    fn every_construct_is_judged_and_what_is_asked_can_be_read(query in expression(), seed in 0_u64..50) {
        let rules = [rule(&query)];
        let mut seen = looked(&[("rec:a", "sum(x) > 1"), ("rec:a", "rec:a + 1")]);
        let alerts = read(&rules);
        let tree = alerts[0].tree.as_ref();
        prop_assert!(tree.is_ok(), "{query}: {tree:?}");
        for softly in [false, true] {
            let text = tree.map(|tree| bare(tree, softly).to_string()).unwrap_or_default();
            prop_assert!(super::tree(&text).is_ok(), "{text} of {query}");
        }
        let (records, names) = (seen.read_records(), seen.names());
        let mut open: Vec<&Read<'_>> = alerts.iter().collect();
        let mut rounds = 0;
        loop {
            let wanted = seen.questions(&mut open, (&records, &names));
            if wanted.is_empty() {
                break;
            }
            rounds += 1;
            prop_assert!(rounds < ROUNDS, "{query}");
            for asked in wanted {
                prop_assert!(super::tree(&asked).is_ok(), "{asked} of {query}: {:?}", super::tree(&asked));
                prop_assert!(seen.answers.iter().all(|answer| answer.query != asked), "{asked} is asked twice");
                seen.answers.push(answer(asked, seed));
            }
        }
        let findings = seen.judge(&rules, &Reasons::default());
        prop_assert_eq!(findings.len(), 1);
        prop_assert!(!findings[0].seen.to_string().contains("unasked"), "{}", query);
    }

    #[test]
    fn text_that_is_no_expression_is_no_panic(query in ".{0,60}") {
        let rules = [rule(&query)];
        let findings = looked(&[]).judge(&rules, &Reasons::default());
        prop_assert_eq!(findings.len(), 1);
    }
}

/// Returns the class and the reason in the finding for the rule.
fn judged(query: &str, seen: &CanFire) -> (String, String) {
    let found = seen.judge(&[rule(query)], &Reasons::default()).remove(0);
    let word = |key: &str| found.seen[key].as_str().unwrap_or_default().to_owned();
    (word("class"), word("reason"))
}

#[test]
fn what_fills_in_numbers_is_not_taken_apart() {
    let mut seen = looked(&[("b:filled", "x + fill (0) y")]);
    seen.loaded_at = None;
    for query in ["up > fill (9) y", "sum(up > 5 and on () (x + fill_left (0) y)) > 1"] {
        assert_eq!(judged(query, &seen), ("undecided".into(), "unread".into()), "{query}");
    }
    let empty = ["count(b:filled)", "count(b:filled > 5)"].map(|query| Answer {
        query: query.into(),
        result: Vec::new(),
        doubt: None,
        refused: false,
    });
    seen.answers.extend(empty);
    assert_eq!(judged("b:filled > 5", &seen), ("undecided".into(), "unread".into()));
}

/// Builds an observation whose rules were loaded this number of seconds ago; the given alert has fired since.
fn loaded(ago: i64, fired: Option<&str>) -> CanFire {
    let mut seen = looked(&[]);
    seen.loaded_at = seen.at.map(|at| at - SignedDuration::from_secs(ago));
    let labels = |name: &str| BTreeMap::from([("alertname".to_owned(), name.to_owned())]);
    let given = fired.map(|name| Given { labels: labels(name), value: SampleValue(1.into()) });
    let query = format!("count by (alertname) (last_over_time(ALERTS[{}s]))", ago.min(FIRED_WITHIN));
    seen.answers = vec![Answer { query, result: given.into_iter().collect(), doubt: None, refused: false }];
    seen
}

#[test]
fn a_rule_that_was_never_evaluated_is_waited_for_and_then_dead() {
    let never = [Rule { last_evaluation: None, ..rule("x > 5") }];
    let reason = |seen: &CanFire| seen.judge(&never, &Reasons::default())[0].seen["reason"].clone();
    for (ago, wanted) in [(59, "not-evaluated"), (60, "not-evaluated"), (61, "never-evaluated")] {
        assert_eq!(reason(&loaded(ago, None)), wanted, "{ago}");
    }
    assert_eq!(reason(&CanFire { loaded_at: None, ..looked(&[]) }), "not-evaluated");
}

#[test]
fn an_alert_has_fired_if_it_alone_has_its_name_and_that_was_seen() {
    for (other, name, ago, wanted) in [
        ("A1", "A0", 600, true),
        ("A1", "A0", 7200, true),
        // It is unknown which of the two fired.
        ("A0", "A0", 600, false),
        ("A1", "A1", 600, false),
        // The rule was loaded just now.
        ("A1", "A0", 0, false),
    ] {
        let mut seen = loaded(ago, Some(name));
        seen.alerts.push(other.to_owned());
        let (known, records, names) = (Known::of(&seen.answers), seen.read_records(), seen.names());
        let fired = seen.has_fired("A0", &seen.round(&known, (&records, &names)));
        assert_eq!(fired, Ok(wanted), "{other} {name} {ago}");
    }
}

/// The queries and answers of a real Prometheus about the alerts of `tests/can_fire.rs`, and the judgement of that
/// time. With `PROOFMARK_RECORD=1` that test records them again.
const SEEN: &str = include_str!("../../../../../../fixtures/recordings/can-fire/observation.json");
const JUDGED: &str = include_str!("../../../../../../fixtures/recordings/can-fire/findings.json");

#[test]
fn what_was_recorded_is_judged_again_as_it_was_and_asked_again_as_it_was() {
    let seen: crate::kinds::prometheus_rules::PrometheusRulesObservation =
        serde_json::from_str(SEEN).unwrap();
    let judged: Vec<Finding> = serde_json::from_str(JUDGED).unwrap();
    let mut can_fire = seen.can_fire.unwrap();
    let findings = can_fire.judge(&seen.rules, &Reasons::default());
    assert!(judged.len() > 180, "{}", judged.len());
    assert_eq!(findings.len(), judged.len());
    for (finding, judged) in findings.iter().zip(&judged) {
        assert_eq!(finding, judged);
    }
    // Starting empty and given the same answers, the analysis asks every one of these queries and no other.
    let said = std::mem::take(&mut can_fire.answers);
    let (alerts, records, names) = (read(&seen.rules), can_fire.read_records(), can_fire.names());
    let mut open: Vec<&Read<'_>> = alerts.iter().collect();
    for _ in 0..ROUNDS {
        for asked in can_fire.questions(&mut open, (&records, &names)) {
            let answer = said.iter().find(|answer| answer.query == asked);
            can_fire.answers.push(answer.unwrap_or_else(|| panic!("{asked} was not asked")).clone());
        }
    }
    let queries = |answers: &[Answer]| answers.iter().map(|it| it.query.clone()).collect::<BTreeSet<_>>();
    assert_eq!(queries(&can_fire.answers), queries(&said));
    assert_eq!(can_fire.answers.len(), said.len(), "each is asked once");
}
