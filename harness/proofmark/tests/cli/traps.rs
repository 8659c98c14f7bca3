//! The traps of the Prometheus API: for each an answer, mostly a recorded one, on which a naive check passes wrongly.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{Look, cx, look};
use fixtures::{Answer, Server};
use proofmark_engine::StepError;
use proofmark_model::Verdict::{self, Failed, Passed, Unverified};
use proofmark_model::expect::Count;
use serde_json::{Value, json};

const VERSIONS: [&str; 3] = ["prometheus-2.42.0", "prometheus-2.53.3", "prometheus-3.5.3"];

/// Asks a stand-in that gives this answer to every query.
async fn query(answer: Answer) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v1/query", answer.clone()).on("/api/v1/query_range", answer);
    look(&cx(&server.url()), json!({"prometheus-query": {"query": "up"}})).await
}

/// Looks at the targets of a stand-in that gives this answer.
async fn targets(answer: Answer, settings: Value) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v1/targets", answer);
    look(&cx(&server.url()), json!({"prometheus-targets": settings})).await
}

fn recorded(version: &str, name: &str) -> Answer {
    Answer::recorded(&format!("{version}/{name}.json"))
}

fn values(look: &Look) -> Vec<&Value> {
    look.seen["samples"].as_array().unwrap().iter().map(|sample| &sample["value"]).collect()
}

#[tokio::test]
async fn an_empty_answer_is_a_failure_although_its_status_is_success() {
    // A misspelt metric, sums and counts of nothing, comparisons that filter, the future, too few points for a rate.
    let empty = [
        "query_empty",
        "query_sum_empty",
        "query_count_empty",
        "query_cmp_filter_empty",
        "query_future",
        "query_rate_short",
        "query_range_empty",
        "query_absent_empty",
    ];
    for version in VERSIONS {
        for name in empty {
            let look = query(recorded(version, name)).await.unwrap();
            assert_eq!(look.seen["samples"], json!([]), "{version} {name}");
            assert_eq!(look.verdict, Failed, "{version} {name}");
            assert!(look.findings[0].help.as_ref().unwrap().contains("misspelt"), "{:?}", look.findings);
        }
    }
}

#[tokio::test]
async fn order_is_the_same_although_servers_differ() {
    for name in ["query_vector", "query_nan_inf", "query_histq"] {
        let mut labels = Vec::new();
        for version in VERSIONS {
            let look = query(recorded(version, name)).await.unwrap();
            assert_eq!(look.verdict, Passed);
            let samples = look.seen["samples"].as_array().unwrap();
            labels.push(samples.iter().map(|sample| sample["labels"].clone()).collect::<Vec<_>>());
        }
        assert_eq!(labels[0], labels[1], "{name}");
        assert_eq!(labels[1], labels[2], "{name}");
    }
}

#[tokio::test]
async fn nan_and_infinities_are_text_and_large_numbers_are_numbers() {
    for version in VERSIONS {
        let look = query(recorded(version, "query_nan_inf")).await.unwrap();
        let value = |kind: &str| {
            let samples = look.seen["samples"].as_array().unwrap();
            samples.iter().find(|sample| sample["labels"]["kind"] == kind).unwrap()["value"].clone()
        };
        assert_eq!(value("nan"), json!("NaN"));
        assert_eq!(value("inf"), json!("+Inf"));
        assert_eq!(value("ninf"), json!("-Inf"));
        assert_eq!(value("big").as_f64(), Some(123_456_789_012_345_680.0), "beyond 2^53 it is a float");
        assert!(value("big").is_f64());
    }
}

#[tokio::test]
async fn scalars_strings_and_ranges_are_samples() {
    for version in VERSIONS {
        let look = query(recorded(version, "query_scalar")).await.unwrap();
        assert_eq!(values(&look), [&json!(1.5)]);
        assert_eq!(look.seen["samples"][0]["labels"], json!({}));
        assert!(look.seen["samples"][0]["at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(values(&query(recorded(version, "query_string")).await.unwrap()), [&json!("hello")]);
        let matrix = query(recorded(version, "query_matrix")).await.unwrap();
        assert_eq!(values(&matrix), [14, 14, 14, 3, 3, 3].map(|n| json!(n)).iter().collect::<Vec<_>>());
        assert!(
            query(recorded(version, "query_range_scalar")).await.unwrap().seen["samples"][0]["labels"]
                == json!({})
        );
    }
}

#[tokio::test]
async fn an_empty_label_value_is_an_absent_label() {
    for version in VERSIONS {
        let look = query(recorded(version, "query_empty_label_match")).await.unwrap();
        assert_eq!(look.seen["samples"][0]["labels"].get("schedule"), None, "{version}");
        assert_eq!(look.verdict, Passed);
    }
}

#[tokio::test]
async fn info_texts_do_not_change_the_verdict_with_the_version() {
    for version in VERSIONS {
        let look = query(recorded(version, "query_rate_gauge_info")).await.unwrap();
        assert_eq!((&look.seen["warnings"], look.verdict), (&json!([]), Passed), "{version}");
    }
    let look = query(Answer::recorded("prometheus-samples/query_with_infos.json")).await.unwrap();
    assert_eq!((&look.seen["warnings"], look.verdict), (&json!([]), Passed));
}

#[tokio::test]
async fn a_warning_of_the_server_is_never_silent() {
    for version in &VERSIONS[1..] {
        let look = query(recorded(version, "query_quantile_bad")).await.unwrap();
        assert_eq!(look.verdict, Unverified, "{version}");
    }
    let partial =
        query(Answer::recorded("prometheus-samples/query_with_warnings_truncated.json")).await.unwrap();
    assert_eq!(partial.verdict, Unverified);
    assert_eq!(partial.seen["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn a_native_histogram_is_not_dropped() {
    let look = query(Answer::recorded("prometheus-samples/query_native_histogram.json")).await.unwrap();
    let sum: f64 = "3.14".parse().unwrap();
    assert_eq!(look.seen["samples"][0]["value"], json!(42));
    assert_eq!(look.seen["samples"][0]["histogram"], json!({"count": 42, "sum": sum}));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let text = || Answer::new(404, "text/plain", "404 page not found\n");
    let overloaded = || Answer::recorded("prometheus-samples/error_503_timeout.json").status(503);
    let not_ready = || Answer::new(503, "text/plain", "Service Unavailable");
    for version in VERSIONS {
        let cases = [
            (recorded(version, "query_parse_error").status(400), "bad_data", false),
            (recorded(version, "query_range_too_many").status(400), "11,000 points", false),
            (recorded(version, "query_json_body").status(400), "no expression found", false),
            (recorded(version, "query_manytomany").status(422), "execution", false),
            // An envelope that says error is one, whatever the status says.
            (recorded(version, "query_manytomany").status(200), "execution", false),
            (text(), "404", false),
            (not_ready(), "starting, stopping or overloaded", true),
            (overloaded(), "timed out", true),
            (Answer::json("{}").status(401), "401", false),
            (Answer::json("{}").status(429), "429", true),
            (Answer::json("{\"status\":\"success\"}"), "data", false),
            (Answer::json("{\"status\":\"fine\",\"data\":{}}"), "Prometheus API", false),
            (Answer::json("null"), "Prometheus API", false),
            (Answer::json("[]"), "Prometheus API", false),
            (Answer::json(""), "Prometheus API", false),
        ];
        for (answer, word, transient) in cases {
            let error = query(answer).await.unwrap_err();
            assert!(error.to_string().contains(word), "{word}: {error}");
            assert!(error.to_string().contains("/api/v1/query"), "says where: {error}");
            assert_eq!(error.transient, transient, "{error}");
        }
    }
}

#[tokio::test]
async fn damaged_answers_are_errors_and_not_samples() {
    let wrong = [
        r#"{"metric":{},"value":[1,"nonsense"]}"#,
        r#"{"metric":{},"value":[1,"inf"]}"#,
        r#"{"metric":{}}"#,
        r#"{"metric":{},"value":[1e300,"1"]}"#,
        r#"{"metric":{},"value":["1","1"]}"#,
        r#"{"metric":{},"value":[1,1]}"#,
    ];
    for series in wrong {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
        assert!(!query(Answer::json(body)).await.unwrap_err().transient, "{series}");
    }
    let strange = r#"{"status":"success","data":{"resultType":"tensor","result":[]}}"#;
    assert!(query(Answer::json(strange)).await.unwrap_err().message.contains("tensor"));
}

#[tokio::test]
async fn no_targets_is_a_failure_however_it_came_about() {
    // Right after a start, and what a misspelt `state` or `scrapePool` gives: 200 and nothing.
    for version in VERSIONS {
        for name in ["targets_bogus_state", "targets_scrapePool_missing"] {
            assert_eq!(
                targets(recorded(version, name), json!({})).await.unwrap().verdict,
                Failed,
                "{version} {name}"
            );
        }
        let none = targets(recorded(version, "targets"), json!({"job": "velerro"})).await.unwrap();
        assert_eq!(none.verdict, Failed);
    }
    let start = targets(Answer::json(r#"{"status":"success","data":{"activeTargets":[]}}"#), json!({}))
        .await
        .unwrap();
    assert_eq!(start.verdict, Failed);
    let zero =
        targets(recorded("prometheus-3.5.3", "targets"), json!({"job": "velerro", "count": {"equals": 0}}));
    let zero = zero.await.unwrap();
    // A misspelt name gives zero too: the engine takes this back where no control has passed.
    assert!(zero.findings.iter().any(Count::is_absence));
}

#[tokio::test]
async fn a_dropped_target_is_no_target() {
    for version in VERSIONS {
        let look = targets(recorded(version, "targets"), json!({"job": "dropped-job"})).await.unwrap();
        assert_eq!((&look.seen["targets"], look.verdict), (&json!([]), Failed), "{version}");
        assert_eq!(look.seen["dropped"], json!(1));
        assert!(look.findings[0].help.as_ref().unwrap().contains("dropped by relabelling"));
        let all = targets(recorded(version, "targets"), json!({})).await.unwrap();
        let jobs =
            all.seen["targets"].as_array().unwrap().iter().map(|target| target["job"].as_str().unwrap());
        assert!(!jobs.clone().any(|job| job == "dropped-job"), "{version}");
        assert!(jobs.is_sorted());
        assert_eq!(all.verdict, Failed, "three of them are down");
    }
}

#[tokio::test]
async fn a_job_that_is_up_passes_and_one_that_is_down_says_why() {
    for version in VERSIONS {
        let up = targets(recorded(version, "targets"), json!({"job": "velero", "count": {"equals": 1}}))
            .await
            .unwrap();
        assert_eq!(up.verdict, Passed, "{version} {:?}", up.findings);
        let few = targets(recorded(version, "targets"), json!({"job": "velero", "count": {"min": 2}}))
            .await
            .unwrap();
        assert_eq!(few.verdict, Failed);
        let down = targets(recorded(version, "targets"), json!({"job": "notfound"})).await.unwrap();
        assert_eq!(down.verdict, Failed);
        assert!(down.findings[1].seen.to_string().contains("404 Not Found"), "{:?}", down.findings);
        let pool = json!({"pool": "serviceMonitor/velero/velero/0"});
        assert_eq!(
            targets(recorded(version, "targets"), pool).await.unwrap().seen["targets"][0]["job"],
            "velero"
        );
    }
}

#[tokio::test]
async fn a_target_before_its_first_scrape_is_undecided_and_was_never_scraped() {
    let look =
        targets(Answer::recorded("prometheus-samples/targets_unknown_health.json"), json!({})).await.unwrap();
    assert_eq!(look.verdict, Unverified);
    assert_eq!(look.seen["targets"][0]["last-scrape"], Value::Null);
    assert!(look.findings[1].help.as_ref().unwrap().contains("within"));
}

#[tokio::test]
async fn an_unknown_health_never_passes() {
    for (health, verdict) in
        [("up", Passed), ("UP", Unverified), ("", Unverified), ("degraded", Unverified), ("down", Failed)]
    {
        let body = format!(
            r#"{{"status":"success","data":{{"activeTargets":[{{"labels":{{"job":"a"}},"health":"{health}"}}]}}}}"#
        );
        assert_eq!(targets(Answer::json(body), json!({})).await.unwrap().verdict, verdict, "{health}");
    }
}

#[tokio::test]
async fn one_bad_target_among_good_ones_fails() {
    let target =
        |health: &str| format!(r#"{{"labels":{{"job":"a","instance":"{health}"}},"health":"{health}"}}"#);
    let body = |list: [&str; 2]| {
        let list = list.map(target).join(",");
        Answer::json(format!(r#"{{"status":"success","data":{{"activeTargets":[{list}]}}}}"#))
    };
    let verdict = async |list| -> Verdict { targets(body(list), json!({})).await.unwrap().verdict };
    assert_eq!(verdict(["up", "up"]).await, Passed);
    assert_eq!(verdict(["up", "down"]).await, Failed);
    assert_eq!(verdict(["up", "unknown"]).await, Unverified);
}

#[tokio::test]
async fn the_query_is_sent_as_a_form_with_its_times() {
    let answer = recorded("prometheus-3.5.3", "query_matrix");
    let server = Server::start().on("/api/v1/query", answer.clone()).on("/api/v1/query_range", answer);
    let cx = cx(&server.url());
    let at = "2026-02-16T02:00:00Z";
    look(&cx, json!({"prometheus-query": {"query": "a+b", "at": at}})).await.unwrap();
    look(&cx, json!({"prometheus-query": {"query": "a", "at": at, "range": {"last": "1h", "step": "1m"}}}))
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/api/v1/query"));
    assert_eq!(seen[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(seen[0].body, "query=a%2Bb&time=2026-02-16T02%3A00%3A00Z");
    assert_eq!(seen[1].body, "query=a&start=2026-02-16T01%3A00%3A00Z&end=2026-02-16T02%3A00%3A00Z&step=60");
}
