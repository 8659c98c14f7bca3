//! Every construct of `PromQL` is judged without panic and without end, whatever the server answers, and what it is
//! asked can be read again.

use super::bare::bare;
use super::range::Range;
use super::*;
use crate::clients::prometheus::SampleValue;
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

fn looked(records: &[(&str, &str)]) -> CanFire {
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

/// Some answer to a query, always the same one.
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
            prop_assert!(prometheus::tree(&text).is_ok(), "{text} of {query}");
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
                prop_assert!(prometheus::tree(&asked).is_ok(), "{asked} of {query}: {:?}", prometheus::tree(&asked));
                prop_assert!(seen.answers.iter().all(|answer| answer.query != asked), "{asked} is asked twice");
                seen.answers.push(answer(asked, seed));
            }
        }
        let findings = seen.judge(&rules, &PrometheusRules::default());
        prop_assert_eq!(findings.len(), 1);
        prop_assert!(!findings[0].seen.to_string().contains("unasked"), "{}", query);
    }

    #[test]
    fn text_that_is_no_expression_is_no_panic(query in ".{0,60}") {
        let rules = [rule(&query)];
        let findings = looked(&[]).judge(&rules, &PrometheusRules::default());
        prop_assert_eq!(findings.len(), 1);
    }
}

/// Class and reason, by the finding of the rule.
fn judged(query: &str, seen: &CanFire) -> (String, String) {
    let found = seen.judge(&[rule(query)], &PrometheusRules::default()).remove(0);
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

/// The range of an expression, and whether it lets nothing through.
fn comes_to(query: &str) -> (Range, bool) {
    let seen = looked(&[
        ("a:up", "up"),
        ("a:dead", "up > 5"),
        ("loop:a", "loop:a + 1"),
        ("b:half", "up"),
        ("b:half", "holt_winters(x[5m], 0.1, 0.2)"),
    ]);
    let (known, records, names) = (Known::of(&[]), seen.read_records(), seen.names());
    let value = seen.round(&known, (&records, &names)).ground.bounds().of(&prometheus::tree(query).unwrap());
    (value.range(), value.dead.is_some())
}

#[test]
fn what_an_expression_can_come_to() {
    let from = |lo, hi| (Range::new(lo, hi), false);
    for (query, wanted) in [
        ("up", from(0.0, 1.0)),
        ("1 - avg(up)", from(0.0, 1.0)),
        ("100 * (1 - avg(up))", from(0.0, 100.0)),
        ("up * on (job) group_left () kube_pod_info", from(0.0, 1.0)),
        ("sum(up)", (Range::FROM_ZERO, false)),
        ("-count(x)", from(f64::NEG_INFINITY, -1.0)),
        ("rate(hits[5m]) / (rate(hits[5m]) + rate(misses[5m]))", from(0.0, 1.0)),
        ("x - x offset 5m", (Range::ALL, false)),
        ("x - on (job) x", (Range::ALL, false)),
        ("time() - max(timestamp(x))", from(0.0, 300.0)),
        ("time() - max_over_time(timestamp(x)[1h:])", from(0.0, 3900.0)),
        ("time() - max_over_time(timestamp(x)[1h:] offset 1h)", from(3600.0, 7500.0)),
        ("time() - timestamp(x offset 1h)", from(3600.0, 3900.0)),
        ("time() - timestamp(x @ 0)", (Range::ALL, false)),
        ("max_over_time(vector(time())[1h:]) - time()", from(-3600.0, 0.0)),
        ("hour() - max_over_time((hour())[12h:])", from(-23.0, 23.0)),
        ("count_over_time(up[5m])", from(1.0, f64::INFINITY)),
        ("a:up", from(0.0, 1.0)),
        ("loop:a", (Range::ALL, false)),
        ("x ^ 2", (Range::FROM_ZERO, false)),
        ("clamp_min(clamp_max(x, 10), 2)", from(2.0, 10.0)),
        ("x > 5 < 10", from(5.0, 10.0)),
        ("sum(rate(x{a=\"b\"}[5m])) / sum(rate(x[5m]))", from(0.0, 1.0)),
        ("sum(rate(x{a=\"b\"}[5m])) / sum(rate(x{c=\"d\"}[5m]))", (Range::FROM_ZERO, false)),
        ("sum(x{a=\"b\"}) / sum(x)", (Range::ALL, false)),
        ("sum by (a) (up) / count by (a) (up)", from(0.0, 1.0)),
        ("sum by (a) (up) / count by (b) (up)", (Range::FROM_ZERO, false)),
        ("up / 0", (Range::ALL, false)),
        // Of what is recorded in two ways one cannot be read.
        ("b:half", (Range::ALL, false)),
    ] {
        assert_eq!(comes_to(query), wanted, "{query}");
    }
    for dead in [
        "a:dead",
        "x unless x",
        "x > 3 unless on (a) x",
        "x > 5 and x < 3",
        "absent(vector(1))",
        "count(x > NaN)",
    ] {
        assert!(comes_to(dead).1, "{dead}");
    }
    for alive in [
        "x > 5 and on (a) x < 3",
        "x unless x > 3",
        "x unless y",
        "x > on (a) y unless x",
        "absent(up > 5)",
        "x * 0 != 0",
        "up > 5 or up",
    ] {
        assert!(!comes_to(alive).1, "{alive}");
    }
}

#[test]
fn nought_or_one_for_each_series_is_no_more_than_their_count() {
    let share = (Range::SHARE, false);
    for (query, wanted) in [
        ("sum(x == bool 1) / count(x)", share),
        ("sum by (a) (3 < bool x) / count by (a) (x)", share),
        ("sum without (a) ((x{b=\"c\"} > 3) == bool 5) / count without (a) (x)", share),
        ("count((x == bool 1) == 1) / count(x)", share),
        ("sum(rate(x[5m]) > bool 1) / count(rate(x[5m]))", share),
        ("sum(x == bool 1) / count(x == bool 1)", share),
        ("100 * (sum(x == bool 1) / count(x))", (Range::new(0.0, 100.0), false)),
        // Others are counted, other groups are made, or they are not nought and one.
        ("sum(x == bool 1) / count(x{a=\"b\"})", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / count(x > 0)", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / count(y)", (Range::FROM_ZERO, false)),
        ("sum(x offset 1h == bool 1) / count(x)", (Range::FROM_ZERO, false)),
        ("sum(x{a=\"b\"} == bool 1 or y == bool 1) / count(x)", (Range::FROM_ZERO, false)),
        ("sum by (a) (x == bool 1) / count by (b) (x)", (Range::FROM_ZERO, false)),
        ("sum by (a) (x == bool 1) / on () group_left () count(x)", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / count by (a) (x)", (Range::FROM_ZERO, false)),
        ("sum(2 * (x == bool 1)) / count(x)", (Range::FROM_ZERO, false)),
        ("2 * sum(x == bool 1) / count(x)", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / sum(x)", (Range::ALL, false)),
        ("sum(x) / count(x)", (Range::ALL, false)),
        ("count(x == bool 1) / sum(x == bool 1)", (Range::FROM_ZERO, false)),
        // What is paired by some labels comes out with these alone, and falls into other groups.
        ("sum by (a) (x == bool on (b) y) / count by (a) (x)", (Range::FROM_ZERO, false)),
        ("count by (a) (x > on (b) y) / count by (a) (x)", (Range::FROM_ZERO, false)),
        ("count by (a) (x > y) / count by (a) (x)", share),
    ] {
        assert_eq!(comes_to(query), wanted, "{query}");
    }
}

/// What a real Prometheus was asked about the alerts of `tests/can_fire.rs` and said, and what was judged of it then. That
/// test makes it anew with `PROOFMARK_RECORD=1`.
const SEEN: &str = include_str!("../../../../../fixtures/recordings/can-fire/observation.json");
const JUDGED: &str = include_str!("../../../../../fixtures/recordings/can-fire/findings.json");

#[test]
fn what_was_recorded_is_judged_again_as_it_was_and_asked_again_as_it_was() {
    let seen: super::super::Seen = serde_json::from_str(SEEN).unwrap();
    let judged: Vec<Finding> = serde_json::from_str(JUDGED).unwrap();
    let mut can_fire = seen.can_fire.unwrap();
    let findings = can_fire.judge(&seen.rules, &PrometheusRules::default());
    assert!(judged.len() > 180, "{}", judged.len());
    assert_eq!(findings.len(), judged.len());
    for (finding, judged) in findings.iter().zip(&judged) {
        assert_eq!(finding, judged);
    }
    // From nothing, with the same answers: no question is left out, and none is new.
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
