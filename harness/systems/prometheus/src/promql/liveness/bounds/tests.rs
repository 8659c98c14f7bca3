//! Tests which values expressions can take, and which expressions let nothing through.

use super::super::known::Known;
use super::super::range::Range;
use super::super::tests::looked;
use crate::client as prometheus;

/// Returns the range of an expression, and whether it lets nothing through.
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
        // One of the two rules that record this cannot be parsed.
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
fn what_is_calculated_from_parts_is_what_its_parts_come_to() {
    use std::f64::consts::PI;
    let from = |lo, hi| (Range::new(lo, hi), false);
    for (query, wanted) in [
        ("2 * x - x * 2", from(0.0, 0.0)),
        ("x / 2 - x * 0.5", from(0.0, 0.0)),
        ("up / 4", from(0.0, 0.25)),
        ("2 > bool up / up", (Range::SHARE, false)),
        ("(x or up > 5) - x", from(0.0, 0.0)),
        ("x * x", (Range::FROM_ZERO, false)),
        ("x % 7", from(-7.0, 7.0)),
        ("x atan2 y", from(-PI, PI)),
        ("quantile(0.5, up)", from(0.0, 1.0)),
        ("quantile(2, up)", (Range::ALL, false)),
        ("sum(vector(1))", from(1.0, f64::INFINITY)),
        ("hour() - max_over_time((hour())[12h:] offset 1h)", from(-23.0, 23.0)),
        ("count(x > 5) / count(x)", (Range::SHARE, false)),
        ("sum(up) / count(up)", (Range::SHARE, false)),
        ("sum(-up) / count(up)", (Range::new(f64::NEG_INFINITY, 0.0), false)),
    ] {
        assert_eq!(comes_to(query), wanted, "{query}");
    }
}

#[test]
fn what_never_holds_stays_so_within_something_else() {
    for dead in [
        "-(up > 5)",
        "up + on () (up > 5)",
        "up + (up > 5)",
        "(up > 5) + up",
        "max_over_time((up > 5)[1h:])",
        "max_over_time((up > 5)[1h:] @ 0)",
        "max_over_time((up > 5)[1h:] offset -1h)",
        "2 * x > x * 2",
        "x / 2 > x * 0.5",
        "x * x < 0",
        "up < 0",
        "x == x + 1",
        "(clamp(x, 0, 1) > 0) * 0 != 0",
        "(up != 5) * 0 != 0",
        // What is always present is never absent.
        "absent(sum(vector(1)))",
        "absent(x or vector(1))",
        "absent(vector(1) or x)",
        "absent(vector(1) + vector(1))",
    ] {
        assert!(comes_to(dead).1, "{dead}");
    }
    for alive in [
        "sum(group by (a) (x)) > 3",
        "quantile(2, up) > 5",
        "up >= 1",
        "up <= 0",
        "up == 1",
        "hour() - max_over_time((hour())[12h:] offset 1h) > 3",
        "absent(vector(1) + x)",
        // NaN is not equal to anything, not even to itself.
        "up / up != 1",
        "1 != up / up",
        "(clamp(x, 0, 1) != 5) * 0 != 0",
        "(x - x) * up != 0",
        "up * (x - x) != 0",
        "0 * clamp(x, 0, 1) != 0",
        "sum(up) * 0 != 0",
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
        // These count other series, form other groups, or have values other than 0 and 1.
        ("sum(x == bool 1) / count(x{a=\"b\"})", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / count(x > 0)", (Range::FROM_ZERO, false)),
        ("sum(x == bool 1) / count(y)", (Range::FROM_ZERO, false)),
        ("count(x) / count(x{a=\"b\" or c=\"d\"})", (Range::FROM_ZERO, false)),
        ("count(rate(x[1h]) > 0) / count(rate(x[5m]))", (Range::FROM_ZERO, false)),
        ("sum(rate(x{a=\"b\"}[1h])) / sum(rate(x[5m]))", (Range::FROM_ZERO, false)),
        ("sum(increase(x{a=\"b\"}[5m])) / sum(rate(x[5m]))", (Range::FROM_ZERO, false)),
        ("count by (a) (x > 5) / on (b) count by (a) (x)", (Range::FROM_ZERO, false)),
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
        // Series paired by some labels keep only these, and fall into other groups.
        ("sum by (a) (x == bool on (b) y) / count by (a) (x)", (Range::FROM_ZERO, false)),
        ("count by (a) (x > on (b) y) / count by (a) (x)", (Range::FROM_ZERO, false)),
        ("count by (a) (x > y) / count by (a) (x)", share),
    ] {
        assert_eq!(comes_to(query), wanted, "{query}");
    }
}
