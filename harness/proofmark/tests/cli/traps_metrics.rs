//! The traps of `metrics`: for each an answer, recorded where one could be had, on which a naive check passes wrongly.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{self, Look, cx, look};
use fixtures::{Answer, Fault, Pushgateway, Server, recording};
use proofmark_engine::StepError;
use proofmark_model::Verdict::{Failed, Passed, Unverified};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(answer: Answer) -> Result<Look, StepError> {
    let server = Server::start().on("/metrics", answer);
    let url = format!("{}/metrics", server.url());
    look(&cx(&server.url()), json!({"metrics": {"get": url}})).await
}

fn text(body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(200, TEXT, body)
}

fn family<'a>(look: &'a Look, name: &str) -> &'a Value {
    look.seen["families"].as_array().unwrap().iter().find(|family| family["name"] == name).unwrap()
}

#[tokio::test]
async fn real_pushgateways_are_read_whole() {
    for version in ["pushgateway-1.5.1", "pushgateway-1.11.2"] {
        let body = recording(&format!("{version}/metrics.txt"));
        // What a plain reading counts: every line that is no comment.
        let lines =
            String::from_utf8(body.clone()).unwrap().lines().filter(|line| !line.starts_with('#')).count();
        let look = metrics(text(body)).await.unwrap();
        assert_eq!(
            (look.verdict, &look.seen["sample-count"]),
            (Passed, &json!(lines)),
            "{version}: {:?}",
            look.findings
        );
        assert_eq!(family(&look, "go_info")["type"], json!("gauge"));
        assert_eq!(family(&look, "foo")["type"], json!("untyped"));
        assert_eq!(family(&look, "foo")["samples"][0]["labels"]["instance"], json!(""), "as it is exposed");
        let gc = family(&look, "go_gc_duration_seconds");
        assert_eq!((&gc["type"], gc["samples"].as_array().unwrap().len()), (&json!("summary"), 7));
        // The refused push is a group all the same: its success lies in 1970, which is no success.
        let refused = family(&look, "push_time_seconds")["samples"].as_array().unwrap();
        assert!(refused.iter().any(|sample| sample["value"] == json!(0)), "{version}");
    }
}

#[tokio::test]
async fn samples_of_other_systems_are_read() {
    for (name, metric, kind) in [
        ("velero", "velero_backup_attempt_total", "counter"),
        ("velero_after_restart", "velero_backup_attempt_total", "counter"),
        ("kube_state_metrics", "kube_job_failed", "gauge"),
        ("pushgateway", "pg_backup_last_success_timestamp_seconds", "gauge"),
    ] {
        let look = metrics(text(recording(&format!("exposition-samples/{name}.txt")))).await.unwrap();
        assert_eq!(look.verdict, Passed, "{name} {:?}", look.findings);
        assert_eq!(family(&look, metric)["type"], json!(kind));
    }
}

#[tokio::test]
async fn a_real_pushgateway_shows_what_was_pushed_and_what_was_refused() {
    assert!(
        Pushgateway::installed(),
        "install the package `prometheus-pushgateway`: this test wants a real one"
    );
    let gateway = Pushgateway::start();
    assert_eq!(
        gateway.push("/metrics/job/backup", "# TYPE backup_bytes gauge\nbackup_bytes{db=\"a\\\"b\"} 1e3\n"),
        200
    );
    assert_eq!(gateway.push("/metrics/job/cut", "backup_bytes 5"), 400, "the last line feed is missing");
    // A push of another type is refused, and yet there is a group.
    let other = "# TYPE backup_bytes counter\nbackup_bytes 5\n";
    assert_eq!(gateway.push("/metrics/job/broken", other), 400);
    let cx = cx(&gateway.url());
    let get = format!("{}/metrics", gateway.url());
    let look = look::look(&cx, json!({"metrics": {"get": get}})).await.unwrap();
    assert_eq!(look.verdict, Passed, "{:?}", look.findings);
    let pushed = family(&look, "backup_bytes")["samples"].as_array().unwrap();
    assert_eq!(pushed.len(), 1, "the refused one is not there");
    assert_eq!((&pushed[0]["value"], &pushed[0]["labels"]["db"]), (&json!(1000), &json!("a\"b")));
    let times = family(&look, "push_time_seconds")["samples"].as_array().unwrap();
    let broken = times.iter().find(|sample| sample["labels"]["job"] == "broken").unwrap();
    assert_eq!(broken["value"], json!(0));
    let only = look::look(&cx, json!({"metrics": {"get": get, "only": ["backup_bytes"]}})).await.unwrap();
    assert_eq!(only.seen["families"].as_array().unwrap().len(), 1);
    assert_eq!(only.seen["sample-count"], look.seen["sample-count"], "the others count");
    // Through a connection, as a path below it.
    let mut below = cx.clone();
    below.via.insert("metrics".into(), "prometheus".into());
    assert_eq!(look::look(&below, json!({"metrics": {"get": "/metrics"}})).await.unwrap().verdict, Passed);
    assert!(
        look::look(&below, json!({"metrics": {"get": get}})).await.is_err(),
        "a login is not sent elsewhere"
    );
    assert!(look::look(&cx, json!({"metrics": {"get": "/metrics"}})).await.is_err(), "below what?");
}

#[tokio::test]
async fn nothing_is_a_failure_although_the_status_is_200() {
    // MinIO answers so for a bucket that does not exist.
    for empty in ["", "\n", "# HELP a A.\n# TYPE a counter\n", "# a comment\n"] {
        assert_eq!(metrics(text(empty)).await.unwrap().verdict, Failed, "{empty:?}");
    }
    assert_eq!(metrics(Answer::new(200, OPEN, "# EOF\n")).await.unwrap().verdict, Failed);
}

#[tokio::test]
async fn a_family_without_samples_is_not_there() {
    // Client libraries declare a labelled counter before its first use; for Prometheus it does not exist.
    let look = metrics(text("# TYPE bookings_total counter\n# TYPE up gauge\nup 1\n")).await.unwrap();
    assert_eq!(look.seen["families"].as_array().unwrap().len(), 1);
    assert_eq!(look.seen["without-samples"], json!(["bookings_total"]));
}

#[tokio::test]
async fn what_is_no_exposition_is_unverified() {
    let page = "<!DOCTYPE html>\n<html><body>up 1</body></html>\n";
    let none = [
        Answer::new(200, "text/html", page),
        text(page),
        Answer::json("{\"status\":\"ok\"}"),
        text("up 1\nnot a line\n"),
        text("up 1\r\n"),
        text(b"up{a=\"\xff\"} 1\n".as_slice()),
        text([0x1f, 0x8b, 8, 0, 0].as_slice()),
        Answer::new(404, "text/plain", "404 page not found\n"),
        // A good body of a bad status is no answer either.
        text("up 1\n").status(500),
        text("up 1\n").status(401),
        Answer::new(200, OPEN, "up 1\n# EOF\nup 2\n"),
    ];
    for (number, answer) in none.into_iter().enumerate() {
        assert!(metrics(answer).await.is_err(), "{number}");
    }
}

#[tokio::test]
async fn a_cut_answer_does_not_pass_although_every_line_of_it_reads() {
    for (kind, body) in [(TEXT, "a 1\nb 12"), (OPEN, "a 1\n"), (OPEN, "a 1\n# EO")] {
        let look = metrics(Answer::new(200, kind, body)).await.unwrap();
        assert_eq!(look.verdict, Unverified, "{body:?}");
        assert!(look.findings[1].seen.to_string().contains("cut off"), "{:?}", look.findings);
    }
    let server = Server::broken(Fault::CutOff).on("/metrics", text("a 1\nb 2\n"));
    let url = format!("{}/metrics", server.url());
    assert!(look(&cx(&server.url()), json!({"metrics": {"get": url}})).await.unwrap_err().transient);
}

#[tokio::test]
async fn what_contradicts_itself_is_unverified() {
    for body in [
        "a{b=\"c\"} 1\na{b=\"c\"} 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n",
        "# TYPE h histogram\nh_sum 1\nh_count 3\n",
        "a 1\n# TYPE a counter\n",
    ] {
        assert_eq!(metrics(text(body)).await.unwrap().verdict, Unverified, "{body}");
    }
    let many = "a 1\n".repeat(5_000);
    let look = metrics(text(many)).await.unwrap();
    assert_eq!(
        (look.seen["problems"].as_array().unwrap().len(), &look.seen["problem-count"]),
        (20, &json!(4_999))
    );
}

#[tokio::test]
async fn labels_named_like_secrets_are_masked_and_values_are_not() {
    let body = "db_password_age_seconds{api_key=\"abcdef\",name=\"db_password\"} 7\n";
    let look = metrics(text(body)).await.unwrap();
    let clean = proofmark_model::redact::Redactor::default().clean(&look.seen, &[]).unwrap().into_inner();
    let sample = &clean["families"][0]["samples"][0];
    assert_eq!(sample["value"], json!(7));
    assert!(!clean.to_string().contains("abcdef"), "{clean}");
}

/// Prometheus's own reader and ours take and refuse the same texts.
#[tokio::test]
async fn promtool_agrees() {
    let texts = [
        "a 1\n",
        "a{b=\"c\"} 1 1000\n",
        "a{b=\"c\",} 1\n",
        " a { b = \"c\" } 1\n",
        "a +Inf\n",
        "a nan\n",
        "a 1e3\n",
        "a{} 1\n",
        "a\n",
        "a b\n",
        "a 1 b\n",
        "1a 1\n",
        "a{b} 1\n",
        "a{b=c} 1\n",
        "a{b=\"c} 1\n",
        "a 1 2 3\n",
        "<html>\n",
        "{\"a\": 1}\n",
        "a-b 1\n",
        "# TYPE a speed\na 1\n",
        "a 1e999\n",
        "a 1 1.5\n",
    ];
    for body in texts {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install the package `prometheus`: this test wants its promtool");
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        // 1: it cannot be read; 3: it can, but the names are not as they should be.
        let reads = child.wait().unwrap().code() != Some(1);
        assert_eq!(metrics(text(body)).await.is_ok(), reads, "{body:?}");
    }
}

#[test]
fn a_login_in_the_url_is_a_mistake() {
    let check = proofmark::kinds::registry()
        .check_of_json(&json!({"metrics": {"get": "http://a:b@host/metrics"}}))
        .unwrap();
    assert!(check.mistake().unwrap().to_string().contains("login"));
}
