//! Tests the two formats line by line: what is parsed, what is refused and what is reported as a problem.

use super::*;
use serde_json::{Value, json};

fn prometheus(text: &str) -> Exposition {
    read(text.as_bytes(), Format::Prometheus).unwrap()
}

fn family<'a>(exposition: &'a Exposition, name: &str) -> &'a Family {
    exposition.families.iter().find(|family| family.name == name).unwrap()
}

fn values(family: &Family) -> Vec<Value> {
    family.samples.iter().map(|sample| sample.value.0.clone()).collect()
}

#[test]
fn the_example_of_the_format_is_read() {
    let text = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.99"} NaN
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"#;
    let seen = prometheus(text);
    assert_eq!(seen.problems, []);
    let requests = family(&seen, "http_requests_total");
    assert_eq!((requests.kind.as_str(), values(requests)), ("counter", vec![json!(1027), json!(3)]));
    assert_eq!(requests.samples[0].at.unwrap().to_string(), "2014-03-17T14:26:03Z");
    let file = &family(&seen, "msdos_file_access_time_seconds").samples[0];
    assert_eq!(file.labels["error"], "Cannot find file:\n\"FILE.TXT\"");
    assert_eq!(file.labels["path"], r"C:\DIR\FILE.TXT");
    assert_eq!(family(&seen, "metric_without_timestamp_and_labels").kind, "untyped");
    assert_eq!(values(family(&seen, "something_weird")), [json!("+Inf")]);
    assert_eq!(family(&seen, "http_request_duration_seconds").samples.len(), 4);
    assert_eq!(values(family(&seen, "rpc_duration_seconds"))[0], json!("NaN"));
    assert_eq!(seen.families.len(), 6);
}

#[test]
fn openmetrics_has_exemplars_units_times_in_seconds_and_an_end() {
    let text = "# TYPE acme_http_router_request_seconds histogram\n# UNIT acme_http_router_request_seconds seconds\n\
        acme_http_router_request_seconds_bucket{le=\"+Inf\"} 3 1.5 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.789\n\
        acme_http_router_request_seconds_sum 9\nacme_http_router_request_seconds_count 3\n\
        # TYPE foo counter\nfoo_total 17.0\nfoo_created 1520872607.123\n# TYPE bar info\nbar_info{a=\"b\"} 1\n# EOF\n";
    let seen = read(text.as_bytes(), Format::OpenMetrics).unwrap();
    assert_eq!(seen.problems, []);
    let histogram = family(&seen, "acme_http_router_request_seconds");
    assert_eq!(histogram.unit.as_deref(), Some("seconds"));
    let exemplar = histogram.samples.iter().find_map(|sample| sample.exemplar.as_ref()).unwrap();
    assert_eq!((exemplar.labels["trace_id"].as_str(), &exemplar.value.0), ("KOO5S4vxi0o", &json!(0.67)));
    assert_eq!(exemplar.at.unwrap().to_string(), "2018-03-12T18:33:27.789Z");
    assert_eq!(family(&seen, "foo").samples.len(), 2, "`_total` and `_created` are of the counter");
    assert_eq!(family(&seen, "bar").samples.len(), 1);
    // A truncated answer still parses line by line.
    let cut = read(text.replace("# EOF\n", "").as_bytes(), Format::OpenMetrics).unwrap();
    assert_eq!(cut.problems.len(), 1);
    assert!(
        read(format!("{text}a 1\n").as_bytes(), Format::OpenMetrics).is_err(),
        "nothing stands behind the end"
    );
    // In the Prometheus format the same line is a comment.
    assert!(prometheus("# EOF\na 1\n").problems.is_empty());
}

#[test]
fn one_line_that_cannot_be_read_makes_the_whole_unreadable() {
    let wrong = [
        "a",
        "a b",
        "a 1 2 3",
        "a 1 2.5",
        "1a 2",
        "a{ 1",
        "a{b} 1",
        "a{b=\"c} 1",
        "a{b=c} 1",
        "a{b=\"c\"",
        "a{b=\"1\",b=\"2\"} 1",
        "a{=\"b\"} 1",
        "a{b=\"1\"c=\"2\"} 1",
        "{} 1",
        "a 1e999",
        "a 0x1p3",
        "a 1_000",
        "a 1\r",
        "# TYPE a speed",
        "# TYPE",
        "a 1 # {b=\"c\"} 1",
        "<!DOCTYPE html>",
        "{\"status\": \"up\"}",
        "a-b 1",
        "a{b-c=\"d\"} 1",
        "a 1 99999999999999999999",
    ];
    for line in wrong {
        let text = format!("good 1\n{line}\ngood2 2\n");
        let error = read(text.as_bytes(), Format::Prometheus).unwrap_err();
        assert!(error.starts_with("line 2: "), "{line}: {error}");
    }
    assert!(read(b"a{b=\"\xff\"} 1\n", Format::Prometheus).unwrap_err().contains("UTF-8"));
    assert!(read(&[0x1f, 0x8b, 8], Format::Prometheus).unwrap_err().contains("gzip"));
}

#[test]
fn odd_but_right_lines_are_read() {
    let seen = prometheus(
        "a{} 1\n\tb { c = \"d\" , } 2 \n{\"my.metric\",\"a b\"=\"c\"} 3\n:r:s 4\nnan nan\ninf Inf\nneg -inf\nbig 1e+20\n",
    );
    let all: Vec<_> =
        seen.families.iter().map(|family| (family.name.as_str(), values(family)[0].clone())).collect();
    let want = [
        (":r:s", json!(4)),
        ("a", json!(1)),
        ("b", json!(2)),
        ("big", json!(1e20)),
        ("inf", json!("+Inf")),
        ("my.metric", json!(3)),
        ("nan", json!("NaN")),
        ("neg", json!("-Inf")),
    ];
    assert_eq!(all, want);
    assert_eq!(family(&seen, "my.metric").samples[0].labels["a b"], "c");
    assert_eq!(prometheus("# a comment\n# HELP x\n").families[0].samples, []);
    assert_eq!(prometheus("").families, []);
}

#[test]
fn what_can_be_read_but_not_believed_is_a_problem() {
    let problem = |text: &str| {
        let seen = prometheus(text);
        seen.problems.iter().map(|problem| problem.what.clone()).collect::<Vec<_>>().join("; ")
    };
    assert!(problem("a{b=\"c\"} 1\na{b=\"c\"} 2\n").contains("twice"));
    assert_eq!(problem("a{b=\"c\"} 1 1000\na{b=\"c\"} 2 2000\n"), "");
    assert!(problem("a 1\na 12").contains("cut off"));
    assert!(problem("# TYPE a counter\n# TYPE a gauge\na 1\n").contains("said twice"));
    assert!(problem("a 1\n# TYPE a gauge\n").contains("behind its samples"));
    assert!(problem("# TYPE a counter\na -1\n").contains("below zero"));
    let histogram = |buckets: &str| problem(&format!("# TYPE h histogram\n{buckets}h_sum 1\nh_count 3\n"));
    assert_eq!(histogram("h_bucket{le=\"1\"} 1\nh_bucket{le=\"10\"} 2\nh_bucket{le=\"+Inf\"} 3\n"), "");
    assert!(histogram("h_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 3\n").contains("+Inf"));
    assert!(histogram("").contains("+Inf"), "a histogram without buckets is none");
    assert!(histogram("h_bucket{le=\"1\"} 9\nh_bucket{le=\"+Inf\"} 3\n").contains("shrink"));
    assert!(histogram("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 4\n").contains("counts 3"));
    assert!(histogram("h_bucket 3\n").contains("`le`"));
}
