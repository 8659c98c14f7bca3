//! Alerts that can never fire beside alerts that can, on a real Prometheus.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{Look, cx, look};
use fixtures::{Answer, Prometheus, Server};
use proofmark_model::Verdict::{Failed, Passed, Unverified};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use tempfile::TempDir;

const METRICS: &str = r#"
# TYPE shop_orders_total counter
shop_orders_total{region="north"} 7
shop_orders_total{region="south"} 9
# TYPE shop_failures_total counter
shop_failures_total{region="north"} 0
# TYPE shop_requests_total counter
shop_requests_total{code="200",path="/"} 90
shop_requests_total{code="404",path="/"} 10
# TYPE shop_stock gauge
shop_stock{region="north",item="pen"} 5
# TYPE shop_size gauge
shop_size{place="town"} 5
# TYPE shop_temperature gauge
shop_temperature -5
# TYPE shop_build_info gauge
shop_build_info{version="1"} 1
# TYPE shop_level_info gauge
shop_level_info 7
# TYPE shop_wait_seconds histogram
shop_wait_seconds_bucket{le="1"} 3
shop_wait_seconds_bucket{le="+Inf"} 4
shop_wait_seconds_sum 5
shop_wait_seconds_count 4
# TYPE shop_last_backup_timestamp_seconds gauge
shop_last_backup_timestamp_seconds 1700000000
"#;

/// Expression, class, reason.
const DEAD: &[(&str, &str)] = &[
    // Nobody exports it.
    ("no_such_metric > 5", "metric-unknown"),
    ("rate(no_such_total[5m]) > 0", "metric-unknown"),
    ("shop_gone_now > 5", "gone"),
    ("shop_orders_total{country=\"de\"} > 5", "label-unknown"),
    ("shop_orders_total{region=\"nort\"} > 5", "value-unknown"),
    ("rate(shop_requests_total{code=~\"5..\"}[5m]) > 0", "value-unknown"),
    (
        "shop_requests_total{code=\"200\",path=\"/\"} > 5 and shop_requests_total{code=\"500\"}",
        "value-unknown",
    ),
    ("sum(rate(no_such_total[5m])) by (job) > 0 and on (job) up == 1", "metric-unknown"),
    ("no_such_metric > 5 or shop_orders_total{region=\"nort\"} > 5", "metric-unknown"),
    ("absent(up) and no_such_metric", "metric-unknown"),
    ("ALERTS{alertname=\"NoSuchAlert\"}", "no-such-alert"),
    ("shop_orders_total > scalar(no_such_metric)", "metric-unknown"),
    ("shop:missing:sum > 5", "metric-unknown"),
    ("max_over_time(rate(no_such_total[1m])[5m:1m]) > 0", "metric-unknown"),
    ("shop_orders_total offset 10w > 5", "too-far-back"),
    // The sides never find each other.
    ("shop_orders_total > 5 and shop_stock < 3", "labels-cannot-join"),
    ("shop_stock / shop_size > 0.9", "labels-cannot-join"),
    ("shop_orders_total > on (place) group_left () shop_size", "labels-cannot-join"),
    ("shop_orders_total > 100 and hour() > 8", "labels-cannot-join"),
    ("sum by (region) (shop_orders_total) > 90 and sum by (item) (shop_stock) < 3", "labels-cannot-join"),
    ("shop_requests_total{code=\"200\"} / shop_requests_total{code=\"404\"} > 100", "labels-cannot-join"),
    // Nothing comes out.
    ("rate(shop_orders_total[1s]) > 5", "window-too-short"),
    ("histogram_quantile(0.9, sum(rate(shop_wait_seconds_bucket[5m]))) > 5", "nothing-comes-out"),
    // What cannot be, whatever comes.
    ("up > 5", "out-of-range"),
    ("up{job=\"shop\"} > 1", "out-of-range"),
    ("shop_build_info > 1", "out-of-range"),
    ("avg(up) * 100 > 100", "out-of-range"),
    ("sum(up) / count(up) > 90", "out-of-range"),
    ("sum(shop_stock == bool 5) / count(shop_stock) > 1", "out-of-range"),
    ("100 * (sum(shop_stock < bool 3) / count(shop_stock)) > 100", "out-of-range"),
    ("count(up) < 1", "out-of-range"),
    ("count(up == 0) == 0", "out-of-range"),
    ("absent(up) > 1", "constant"),
    ("absent(up) == 0", "constant"),
    ("rate(shop_orders_total[5m]) < 0", "out-of-range"),
    ("changes(up[5m]) < 0", "out-of-range"),
    ("sum(up > bool 5) > 0", "constant"),
    ("clamp_max(shop_orders_total, 10) > 50", "out-of-range"),
    (
        "sum(rate(shop_requests_total{code=\"404\"}[5m])) / sum(rate(shop_requests_total[5m])) > 5",
        "out-of-range",
    ),
    ("time() - timestamp(shop_orders_total) > 90000", "out-of-range"),
    ("shop_orders_total > 5 < 3", "out-of-range"),
    ("shop_orders_total > 50 and shop_orders_total < 3", "out-of-range"),
    ("day_of_week() > 6", "out-of-range"),
    ("hour() == 24", "out-of-range"),
    ("shop_orders_total > 1 unless shop_orders_total", "out-of-range"),
    // Constants by construction.
    ("time() - (shop_stock * 0 + time()) > 90000", "constant"),
    ("vector(0) > 1", "constant"),
    ("process_cpu_seconds_total * 0 > 1", "constant"),
    ("process_cpu_seconds_total - process_cpu_seconds_total > 5", "constant"),
    ("prometheus_http_requests_total / prometheus_http_requests_total > 1", "constant"),
    ("shop:age > 90000", "constant"),
    ("scalar(shop_temperature) - shop_temperature > 5", "constant"),
    ("up * 0 != 0", "constant"),
    ("max(timestamp(shop_orders_total)) < time() - 600", "out-of-range"),
    ("clamp_min(shop_stock, 10) < 5", "out-of-range"),
    ("abs(shop_temperature) < 0", "out-of-range"),
    ("count(no_such_metric) == 0", "metric-unknown"),
    ("stddev_over_time(up[5m]) < 0", "out-of-range"),
    ("shop_stock > shop_stock", "constant"),
    ("shop_build_info * 0 == 1", "constant"),
    ("vector(time()) - time() > 60", "constant"),
    ("timestamp(vector(1)) - time() > 5", "constant"),
    ("(shop_stock > 1) * 0 > 1", "constant"),
    ("label_replace(vector(0), \"a\", \"b\", \"\", \"\") > 1", "constant"),
    ("avg_over_time(vector(3)[5m:1s]) > 5", "constant"),
    (
        "shop_orders_total{region=\"north\"} > 50 and shop_orders_total{region=\"south\"} > 50",
        "labels-cannot-join",
    ),
    ("shop_orders_total{region=\"north\",region=\"south\"} > 5", "labels-not-together"),
    ("shop_orders_total{region!~\".*\"} > 5", "value-unknown"),
    ("up{job=\"shop\",instance=\"wrong:1\"} == 0", "value-unknown"),
    ("increase(shop_orders_total[1h]) < -1", "out-of-range"),
    ("sum(count_over_time(up[5m])) < 1", "out-of-range"),
    ("present_over_time(up[5m]) == 0", "constant"),
    ("group(up) > 1", "constant"),
    ("(absent(up) or vector(0)) > 2", "out-of-range"),
    ("shop_orders_total > Inf", "out-of-range"),
    ("shop_orders_total == NaN", "out-of-range"),
    ("up < 0", "out-of-range"),
    ("sgn(shop_stock) > 1", "out-of-range"),
    ("ln(up) > 0", "out-of-range"),
    ("topk(3, up) > 1", "out-of-range"),
    ("quantile_over_time(0.5, up[5m]) > 1", "out-of-range"),
    ("up and on () vector(0) > 1", "constant"),
    ("absent(up{job=\"a\"}) and absent(up{job=\"b\"})", "labels-cannot-join"),
    ("time() - max_over_time(timestamp(shop_orders_total)[1h:1s]) > 90000", "out-of-range"),
    ("absent(vector(1))", "always-there"),
    ("shop_orders_total * on (job) shop_orders_total > 5", "unhealthy"),
];

const LIVING: &[&str] = &[
    "up == 0",
    "up < 1",
    "up != 1",
    "up{job=\"shop\"} == 0 or absent(up{job=\"shop\"})",
    "up{job=\"typo\"} == 0 or absent(up{job=\"typo\"})",
    "avg(up) < 0.5",
    "avg(up) * 100 < 100",
    "sum(up) > 50",
    "sum(shop_orders_total > bool 0) / count(shop_orders_total{region=\"north\"}) > 1",
    "sum(shop_orders_total > bool 0) / count(shop_stock) > 1",
    "sum(shop_orders_total > bool 0) / count by (region) (shop_orders_total) > 1 or up == 0",
    "sum(shop_stock == bool 7) / count(shop_stock) > 0.5",
    "100 * sum(shop_stock == bool 5) / count(shop_stock) > 1",
    "count(up) > 50",
    "count(up == 0) > 1",
    "count(up) < 2",
    "absent(up)",
    "absent(shop_orders_total{region=\"north\"})",
    "absent(no_such_metric)",
    "absent_over_time(no_such_metric[5m])",
    "shop_failures_total > 0",
    "rate(shop_failures_total[5m]) > 0",
    "increase(shop_failures_total[1h]) > 0",
    "sum(rate(shop_failures_total[5m])) / sum(rate(prometheus_http_requests_total[5m])) > 0.05",
    "sum(rate(shop_requests_total{code=\"404\"}[5m])) / sum(rate(shop_requests_total[5m])) > 0.5",
    "resets(process_cpu_seconds_total[1h]) > 0",
    "changes(process_start_time_seconds[1h]) > 3",
    "count(count by (instance) (process_cpu_seconds_total)) < 1.5",
    "floor(process_cpu_seconds_total / 1e9) > 5",
    "sum(process_cpu_seconds_total > bool 1e9) > 0",
    "time() - shop_last_backup_timestamp_seconds > 9e9",
    "time() - timestamp(shop_orders_total) > 60",
    "time() - process_start_time_seconds < 0.001",
    "shop_temperature > 40",
    "rate(shop_temperature[5m]) > 40",
    "shop_level_info > 9",
    "shop_orders_total > 50 and shop_stock < 3 or up == 0",
    "shop_orders_total > 50 and on (region) shop_stock < 3",
    "shop_orders_total * on (region) group_left (item) shop_stock > 500",
    "shop_orders_total > 50 and on () hour() > 8 < 18",
    "shop_orders_total > 50 unless on () (hour() < 8)",
    "shop_orders_total > 50 unless on (region) no_such_metric",
    "shop_orders_total > 50 unless shop_orders_total offset 1m",
    "sum(shop_orders_total) > scalar(sum(shop_orders_total offset 1s))",
    "topk(1, shop_orders_total) > 100",
    "topk(1, shop_orders_total) > 100 and on (region) shop_stock",
    "histogram_quantile(0.9, sum by (le) (rate(shop_wait_seconds_bucket[5m]))) > 5",
    "predict_linear(shop_stock[5m], 3600) < 0",
    "max_over_time(rate(shop_orders_total[1m])[5m:1m]) > 100",
    "shop_stock / on () group_left () shop_size > 90",
    "(shop_requests_total{code=\"404\"} == 99) * on (path) group_left () (shop_requests_total == 1)",
    "ALERTS{alertname=\"A100\",alertstate=\"firing\"} and on () up == 0",
    "shop:low:stock < 0.5",
    "shop:low:stock < 0.5 and on (region) shop_orders_total",
    "label_replace(shop_orders_total, \"zone\", \"$1\", \"region\", \"(.*)\") > 100",
    "vector(1)",
    "shop_orders_total > 5",
    "quantile(0.5, shop_orders_total) > 100",
    "count_values(\"version\", shop_build_info) > 1",
    "month() == 2 and on () day_of_month() == 30",
    "shop_orders_total % 2 == 0.5",
    "abs(shop_temperature) > 40",
    "shop_stock != shop_stock",
    "shop_temperature * 0 != 0",
    "min_over_time(up[5m]) == 0",
    "avg_over_time(up[5m]) < 0.9",
    "deriv(shop_stock[5m]) < -1",
    "-shop_stock > 5",
    "1 - up > 0",
    "stddev(shop_orders_total) > 100",
    "(sum(shop_failures_total) or vector(0)) > 5",
    "sum(shop_orders_total) by (job) > 100 and sum(up) by (job) < 1",
    "shop_orders_total{region=~\"north|south\"} > 100",
    "sum without (code) (rate(shop_requests_total[5m])) > 100",
    "max_over_time(up[1h]) - min_over_time(up[1h]) > 0",
    "up - up offset 1s < 0",
    "count(up) - count(up == 1) > 0",
    "count(up) != count(up == 1)",
    "sum(up) < count(up)",
    "rate(process_cpu_seconds_total[5m]) == 0",
    "floor((time() - process_start_time_seconds) / 86400) > 365",
    "prometheus_build_info != 1",
    "count(count by (version) (prometheus_build_info)) > 1",
    "up{job=~\"shop|typo\"} == 0",
    "shop_orders_total > 50 and on () absent(no_such_metric)",
    "shop_orders_total > 50 unless on () ALERTS{alertname=\"A1\"}",
    "count(ALERTS{alertstate=\"firing\"}) > 10",
    "shop_stock > on () group_left () (shop_size * 3)",
    "(shop_stock > bool 9) + on () (shop_size > bool 9) == 2",
    "(up == bool 0) * 2 > 1",
    "1 - (sum(rate(shop_requests_total{code=\"200\"}[5m])) / sum(rate(shop_requests_total[5m]))) > 0.5",
    "avg_over_time((up == bool 0)[5m:1s]) > 0.5",
    "max(timestamp(shop_orders_total)) < time() - 60",
    "hour() < 6 and on () day_of_week() == 9 - 3 and on () month() == 1",
    "sum(shop_failures_total) > sum(shop_orders_total)",
    "{job=\"shop\",__name__=~\"shop_fail.*\"} > 100",
    "clamp_min(shop_stock, 10) > 50",
    "shop_orders_total{region=\"north\"} > 50 and on (job) shop_orders_total{region=\"south\"} > 50",
    "rate(no_such_total[5m]) > 0 or rate(shop_orders_total[5m]) > 100",
    "up * 100 < 100",
    "scalar(up{job=\"shop\"}) * shop_stock > 100",
    "prometheus_tsdb_head_series - prometheus_tsdb_head_series offset 1s > 1e6",
    "delta(shop_stock[5m]) < -1",
    "bottomk(1, shop_orders_total) < 1",
    "rate(prometheus_http_requests_total[5m]) / on (handler, code) rate(prometheus_http_requests_total[5m] offset 1s) > 1e6",
    "{__name__=~\"shop_.*_total\"} > 1000",
];

/// Expression and reason.
const UNDECIDED: &[(&str, &str)] = &[
    ("(sum(rate(no_such_total[5m])) or vector(0)) > 5", "only-the-fallback"),
    ("shop_orders_total offset 30m > 5", "too-young"),
    ("shop_stock > scalar(shop_orders_total)", "scalar-of-many"),
    // Functions that newer parsers have forgotten.
    ("holt_winters(shop_stock[5m], 0.1, 0.2) > 5", "unread"),
];

const RECORDS: &str = r#"
      - { record: "shop:missing:sum", expr: 'sum(no_such_metric)' }
      - { record: "shop:age", expr: 'time() - (shop_stock * 0 + time())' }
      - { record: "shop:low:stock", expr: 'shop_stock < 1' }
"#;

struct Lab {
    // Ends before the folder that its rules are in goes.
    real: Prometheus,
    shop: Server,
    folder: TempDir,
}

fn page(more: &str) -> Answer {
    Answer::new(200, "text/plain; version=0.0.4", format!("{METRICS}{more}"))
}

impl Lab {
    #[expect(clippy::disallowed_methods, reason = "a test writes the rules that it loads")]
    fn start(rules: &str) -> Self {
        assert!(Prometheus::installed(), "install the package `prometheus`: this test wants a real one");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.yml");
        std::fs::write(&file, rules).unwrap();
        let shop = Server::start().on("/metrics", page("shop_gone_now 1\n"));
        let target = shop.url().replace("http://", "");
        let job = format!("  - job_name: shop\n    static_configs: [{{ targets: ['{target}'] }}]\n");
        let real = Prometheus::start(&format!("{job}rule_files: ['{}']\n", file.display()));
        Self { real, shop, folder }
    }
}

/// Rules of these expressions: `A0`, `A1`, ….
fn alerts<'a>(expressions: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!("groups:\n  - name: g\n    interval: 1s\n    rules:{RECORDS}");
    for (number, expression) in expressions.into_iter().enumerate() {
        let rule = json!({ "alert": format!("A{number}"), "expr": expression, "for": "1h" });
        writeln!(text, "      - {rule}").unwrap();
    }
    text
}

/// Class and reason of each alert.
fn classes(look: &Look) -> BTreeMap<String, (String, String, String)> {
    let of = |finding: &proofmark_model::Finding| {
        let name = finding.what.strip_prefix("alert ")?.split(' ').next()?.to_owned();
        let word = |key: &str| finding.seen[key].as_str().unwrap_or_default().to_owned();
        Some((name, (word("class"), word("reason"), word("why"))))
    };
    look.findings.iter().filter_map(of).collect()
}

/// With `PROOFMARK_RECORD` in the environment, what was seen and judged becomes what the tests of the judgement read.
#[expect(clippy::disallowed_methods, reason = "a recording is made where it is asked for")]
fn keep(look: &Look, folder: &std::path::Path) {
    if std::env::var_os("PROOFMARK_RECORD").is_none() {
        return;
    }
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recordings/can-fire");
    let seen = look.seen.to_string().replace(&format!("{}/", folder.display()), "");
    std::fs::write(place.join("observation.json"), seen + "\n").unwrap();
    let alerts = look.findings.iter().filter(|finding| finding.what.starts_with("alert "));
    let lines: Vec<String> = alerts.map(|finding| serde_json::to_string(finding).unwrap()).collect();
    std::fs::write(place.join("findings.json"), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
}

fn asks() -> Value {
    json!({"prometheus-rules": {"can-fire": true}})
}

#[tokio::test]
async fn the_dead_are_named_and_none_that_lives() {
    let named =
        |list: &'static [(&str, &str)], class| list.iter().map(move |(text, reason)| (*text, class, *reason));
    let living = LIVING.iter().map(|text| (*text, "living", ""));
    let expected: Vec<(&str, &str, &str)> =
        named(DEAD, "never").chain(named(UNDECIDED, "undecided")).chain(living).collect();
    let lab = Lab::start(&alerts(expected.iter().map(|(text, ..)| *text)));
    let cx = cx(&lab.real.url());
    let deadline = cx.clock.elapsed() + Duration::from_secs(90);
    // The metric was there, and goes.
    loop {
        let seen = look(&cx, json!({"prometheus-query": {"query": "shop_gone_now"}})).await.unwrap();
        if seen.verdict == Passed {
            break;
        }
        assert!(cx.clock.elapsed() < deadline);
        cx.clock.sleep(Duration::from_millis(100)).await;
    }
    lab.shop.set("/metrics", page(""));
    loop {
        let seen = look(&cx, asks()).await.unwrap();
        let classes = classes(&seen);
        let mut wrong = Vec::new();
        for (number, (expression, wanted, wanted_reason)) in expected.iter().enumerate() {
            let (class, reason, why) = &classes[&format!("A{number}")];
            if class != wanted || !(wanted_reason.is_empty() || reason == wanted_reason) {
                wrong.push(format!("{expression}\n    {class}: {reason}: {why}"));
            }
        }
        if wrong.is_empty() {
            assert_eq!(seen.verdict, Failed);
            keep(&seen, lab.folder.path());
            return;
        }
        assert!(cx.clock.elapsed() < deadline, "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
        cx.clock.sleep(Duration::from_secs(2)).await;
    }
}

#[test]
fn every_example_of_the_page_is_tried_above() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/what-your-alerts-cannot-do.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(examples.len() > 20, "{examples:?}");
    for example in examples {
        assert!(DEAD.iter().any(|(dead, _)| *dead == example), "{example}");
    }
    for (_, reason) in DEAD.iter().chain(UNDECIDED) {
        assert!(page.contains(&format!("`{reason}`")), "the page does not explain {reason}");
    }
}

/// A stand-in whose rules are these, and which answers queries as it is told.
fn stand_in(expressions: &[&str], query: Answer) -> Server {
    let rule = |(number, query): (usize, &&str)| {
        json!({"name": format!("A{number}"), "query": query, "type": "alerting", "duration": 0, "state": "inactive",
            "health": "ok", "lastEvaluation": "2026-11-20T16:51:55Z", "labels": {}})
    };
    let rules: Vec<Value> = expressions.iter().enumerate().map(rule).collect();
    let body = json!({"status": "success", "data": {"groups": [{"name": "g", "file": "f", "interval": 30, "rules": rules}]}});
    Server::start().on("/api/v1/rules", Answer::json(body.to_string())).on("/api/v1/query", query)
}

#[tokio::test]
async fn what_a_stand_in_forbids_is_undecided_and_the_rest_is_said_all_the_same() {
    let expressions = ["up > 5", "shop_orders_total > 5", "shop_orders_total > 7", "vector(0) > 1"];
    let forbidden = Answer::new(403, "text/plain", "you may not");
    let server = stand_in(&expressions, forbidden);
    let seen = look(&cx(&server.url()), asks()).await.unwrap();
    let classes = classes(&seen);
    let short = |name: &str| (classes[name].0.as_str(), classes[name].1.as_str());
    assert_eq!(short("A0"), ("never", "out-of-range"), "{classes:?}");
    assert_eq!(short("A1"), ("undecided", "unseen"));
    assert!(classes["A1"].2.contains("403"), "{classes:?}");
    assert_eq!(short("A3"), ("never", "constant"));
    let unwell = seen.findings.iter().filter(|finding| finding.verdict == Failed).count();
    assert_eq!(unwell, 4, "all were evaluated two days ago, and nothing else is sure: {:#?}", seen.findings);
}

#[tokio::test]
async fn a_stand_in_that_lets_nobody_ask_is_not_asked_a_thousand_times() {
    let expressions: Vec<String> = (0..500).map(|n| format!("metric_{n} > 5")).collect();
    let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let server = stand_in(&expressions, Answer::new(401, "text/plain", "who are you?"));
    look(&cx(&server.url()), asks()).await.unwrap();
    let asked = server.seen().iter().filter(|it| it.target == "/api/v1/query").count();
    assert!(asked <= 40, "{asked}");
}

#[tokio::test]
async fn a_stand_in_that_is_slow_gives_what_it_can_within_the_time_of_the_step() {
    let expressions: Vec<String> = (0..60).map(|n| format!("metric_{n} > 5")).collect();
    let mut expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    expressions.push("vector(0) > 1");
    let one =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"3"]}]}}"#;
    let server = stand_in(&expressions, Answer::json(one).after(Duration::from_millis(500)));
    let cx = cx(&server.url());
    let started = cx.clock.elapsed();
    let seen = look(&cx, asks()).await.unwrap();
    assert!(cx.clock.elapsed() < started + Duration::from_secs(5), "the step has five seconds");
    let classes = classes(&seen);
    let count = |class: &str| classes.values().filter(|it| it.0 == class).count();
    assert!(count("living") > 10 && count("undecided") > 10, "{classes:?}");
    assert_eq!(classes["A60"].0, "never");
    assert!(classes.values().any(|it| it.2.contains("time was over")), "{classes:?}");
}

#[tokio::test]
async fn each_question_is_asked_once_of_a_stand_in_and_never_more_than_one_for_a_quiet_alert() {
    let expressions: Vec<String> =
        (0..40).map(|n| format!("metric_{n} / metric_x > {n} and up == 0")).collect();
    let mut expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    expressions.extend(["up == 0", "up < 1", "up != 1"]);
    let one =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"3"]}]}}"#;
    let server = stand_in(&expressions, Answer::json(one));
    let seen = look(&cx(&server.url()), asks()).await.unwrap();
    let asked: Vec<_> = server.seen().into_iter().filter(|it| it.target == "/api/v1/query").collect();
    assert_eq!(asked.len(), 41, "{:#?}", seen.seen["can-fire"]["answers"]);
    assert_eq!(seen.seen["can-fire"]["answers"].as_array().unwrap().len(), 41);
}

#[tokio::test]
async fn the_placeholder_of_the_plan_is_found_and_its_sisters_live() {
    let rules =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/rules/freshtrack.yml"));
    let lab = Lab::start(&rules.unwrap());
    let metrics = "node_filesystem_files_free{mountpoint=\"/tmp\"} 126000\n\
        container_last_seen{name=\"freshtrack-postgres-backup\"} 1700000000\n\
        minio_bucket_usage_object_total{bucket=\"postgres-backups\"} 30\n";
    lab.shop.set("/metrics", page(metrics));
    let cx = cx(&lab.real.url());
    let deadline = cx.clock.elapsed() + Duration::from_secs(150);
    loop {
        let seen = look(&cx, asks()).await.unwrap();
        let classes = classes(&seen);
        let of = |name: &str| classes[name].0.as_str();
        if ["BackupContainerDown", "BackupStorageHigh"].map(of) == ["living"; 2]
            && of("BackupAgeTooOld") == "never"
        {
            let (_, reason, why) = &classes["BackupAgeTooOld"];
            assert_eq!(reason, "constant");
            assert!(why.contains("always 0") && why.contains("90000"), "{why}");
            let finding = seen.findings.iter().find(|it| it.what.contains("BackupAgeTooOld")).unwrap();
            assert_eq!(finding.verdict, Unverified);
            let except = json!({"BackupAgeTooOld": "the plan calls it a placeholder"});
            let excepted = json!({"prometheus-rules": {"can-fire": true, "except": except}});
            assert_eq!(look(&cx, excepted).await.unwrap().verdict, Passed);
            return;
        }
        assert!(cx.clock.elapsed() < deadline, "{classes:#?}");
        cx.clock.sleep(Duration::from_millis(500)).await;
    }
}
