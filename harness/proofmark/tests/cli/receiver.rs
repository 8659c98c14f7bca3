//! The receiver that alerting systems post to: what it takes down, and that it is gone when nobody needs it any more.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{self, look};
use fixtures::Desk;
use proofmark_alerting::client::receiver::{Delivered, delivered, open};
use proofmark_engine::Cx;
use proofmark_evidence::undo::LabPermit;
use proofmark_lab::Alertmanager;
use proofmark_model::Verdict::Passed;
use proofmark_net::http::{Call, Changing, change};
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::time::Duration as Std;

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A context whose `prometheus` is the receiver at this address.
fn cx(address: &str) -> Cx {
    look::cx(&format!("http://{address}/hook"))
}

fn all(cx: &Cx) -> Vec<Delivered> {
    delivered(cx.wire("prometheus").unwrap(), |_| true).unwrap()
}

async fn post(cx: &Cx, body: &str) -> u16 {
    let call = Call { body: Some(body.to_owned()), ..Call::change(Changing::POST, "") };
    change(cx.wire("prometheus").unwrap(), &call, &LabPermit::of_the_lab()).await.unwrap().status
}

#[tokio::test]
async fn every_post_is_taken_down_in_its_order_and_answered() {
    let address = free();
    let cx = cx(&address);
    let wire = cx.wire("prometheus").unwrap();
    assert!(delivered(wire, |_| true).is_err(), "nobody listens yet");
    open(wire).await.unwrap();
    open(wire).await.unwrap();
    let message = |name: &str| {
        json!({"version": "4", "receiver": "platform", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": name}, "startsAt": "2026-02-16T02:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}]})
    };
    for body in [message("a").to_string(), "no message".into(), "{}".into(), message("b").to_string()] {
        assert_eq!(post(&cx, &body).await, 200, "whoever sends what we cannot read would send it again");
    }
    let seen = all(&cx);
    let names: Vec<&str> = seen.iter().map(|one| one.labels["alertname"].as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((seen[0].receiver.as_str(), seen[0].status.as_str()), ("platform", "firing"));
    assert!(seen[0].starts_at.is_some() && seen[0].at <= seen[1].at);
    drop(cx);
    // The runtime has to come to it.
    while TcpStream::connect(&address).is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let cx = cx(&taken.local_addr().unwrap().to_string());
    let error = open(cx.wire("prometheus").unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("listen: host:port") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_real_alertmanager_delivers_to_it() {
    let address = free();
    let cx = cx(&address);
    open(cx.wire("prometheus").unwrap()).await.unwrap();
    let config = json!({"route": {"receiver": "here", "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "here", "webhook_configs": [{"url": format!("http://{address}/hook")}]}]});
    let folder = tempfile::tempdir().unwrap();
    let real = Alertmanager::start(folder.path(), &config.to_string()).await.unwrap();
    let up = look(&look::cx(&real.url), json!({"alertmanager-status": {}})).await.unwrap();
    assert_eq!((up.verdict, &up.seen["receivers"]), (Passed, &json!(["here"])), "{:?}", up.findings);
    real.post("/api/v2/alerts", &json!([{ "labels": {"alertname": "Symptom"} }])).await.unwrap();
    let deadline = cx.clock.elapsed() + Std::from_secs(30);
    while all(&cx).is_empty() {
        assert!(cx.clock.elapsed() < deadline, "nothing came");
        cx.clock.sleep(Std::from_millis(50)).await;
    }
    let seen = all(&cx);
    assert_eq!((seen[0].receiver.as_str(), seen[0].status.as_str()), ("here", "firing"));
    assert_eq!(seen[0].labels["alertname"], "Symptom");
    assert!(seen[0].starts_at.is_some());
}

#[test]
fn where_to_listen_is_said_to_the_receiver_only() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    desk.write(
        "environment.yaml",
        "proofmark: v1\nconnections:\n  prometheus: { url: 'http://127.0.0.1:1', listen: '127.0.0.1:2' }\n",
    );
    desk.scenario("s", "", "  - { id: a, check: { prometheus-query: { query: up } } }\n");
    let ended = desk.run(&[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("does not read `listen`"), "{ended:?}");
    let _: Value = serde_json::from_str(&desk.call(&["schema", "environment"]).stdout).unwrap();
}
