//! The traps of the Alertmanager API, on recorded answers of three versions, and a real Alertmanager that shows them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{Look, cx, look};
use crate::live::until;
use fixtures::{Answer, Server};
use proofmark_engine::StepError;
use proofmark_lab::Alertmanager;
use proofmark_model::Verdict::{Failed, Passed, Unverified};
use proofmark_model::expect::Count;
use serde_json::{Value, json};

const VERSIONS: [&str; 3] = ["alertmanager-0.25.0", "alertmanager-0.28.1", "alertmanager-0.33.1"];

/// An alert that is routed to the receiver `platform` and inhibits the other one.
const ACTIVE: &str = "VeleroBackupLocationAvailableDemo";
const INHIBITED: &str = "MinIOCapacityLow";

fn recorded(version: &str, name: &str) -> Answer {
    Answer::recorded(&format!("{version}/{name}.json"))
}

/// Looks at a stand-in that answers with these alerts, and otherwise as that version was recorded.
async fn alerts(version: &str, alerts: Answer, settings: Value) -> Result<Look, StepError> {
    let server =
        Server::start().on("/api/v2/alerts", alerts).on("/api/v2/status", recorded(version, "status"));
    look(&cx(&server.url()), json!({"alertmanager-alerts": settings})).await
}

async fn named(version: &str, answer: &str, name: &str) -> Look {
    let settings = json!({"name": name, "notifying": true});
    alerts(version, recorded(version, answer), settings).await.unwrap()
}

#[tokio::test]
async fn alerts_are_seen_the_same_whatever_the_version() {
    let mut seen = Vec::new();
    for version in VERSIONS {
        let mut look = alerts(version, recorded(version, "alerts"), json!({})).await.unwrap();
        assert_eq!(look.verdict, Passed);
        let list = look.seen["alerts"].as_array_mut().unwrap();
        // The hourly group of one of the three had been evaluated by then.
        list.retain(|alert| alert["name"] != "SlowGroupAlert");
        for alert in list {
            assert!(alert["starts-at"].is_string());
            alert["starts-at"] = Value::Null;
        }
        seen.push(look.seen);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    let inhibited = &seen[0]["alerts"][0];
    assert_eq!((&inhibited["name"], &inhibited["state"]), (&json!(INHIBITED), &json!("suppressed")));
    assert_eq!(inhibited["muted-by"], json!([]));
    assert_eq!(
        inhibited["labels"]["cluster"], "lab",
        "an external label, which Prometheus itself does not show"
    );
}

#[tokio::test]
async fn an_alert_that_is_held_back_does_not_notify_although_it_is_there() {
    for version in VERSIONS {
        let inhibited = named(version, "alerts", INHIBITED).await;
        assert_eq!(inhibited.verdict, Failed, "{version}");
        assert!(inhibited.findings[1].seen.to_string().contains("inhibited by a1efbd09a1bc9758"));
        let there = alerts(version, recorded(version, "alerts"), json!({"name": INHIBITED})).await.unwrap();
        assert_eq!(there.verdict, Passed, "it arrived");
        assert_eq!(named(version, "alerts", ACTIVE).await.verdict, Passed, "{version}");
        let silenced = named(version, "alerts_silenced", ACTIVE).await;
        assert_eq!(silenced.verdict, Failed, "{version}");
        assert!(silenced.findings[1].seen.to_string().contains("silenced by"), "{:?}", silenced.findings);
    }
    let unprocessed = Answer::recorded("alertmanager-samples/alerts_unprocessed.json");
    let look = alerts(VERSIONS[2], unprocessed, json!({"notifying": true})).await.unwrap();
    assert_eq!(look.verdict, Unverified, "its lists are empty because nobody has filled them yet");
}

#[tokio::test]
async fn an_alert_that_is_muted_does_not_notify_and_an_old_server_cannot_tell() {
    let body = String::from_utf8(fixtures::recording("alertmanager-0.33.1/alerts.json")).unwrap();
    let muted = body.replace("\"mutedBy\":[]", "\"mutedBy\":[\"nights\"]");
    // As they may come while a time interval mutes them.
    for state in ["active", "suppressed"] {
        let muted = Answer::json(muted.replace("\"state\":\"active\"", &format!("\"state\":\"{state}\"")));
        let look = alerts(VERSIONS[2], muted, json!({"name": ACTIVE, "notifying": true})).await.unwrap();
        assert_eq!(look.verdict, Failed, "{state}");
        assert!(look.findings[1].seen.to_string().contains("muted by nights"));
    }
    // 0.25 says `active` and nothing of muting: that counts only where its configuration mutes nothing.
    let old = VERSIONS[0];
    let status = String::from_utf8(fixtures::recording("alertmanager-0.25.0/status.json")).unwrap();
    for key in ["mute_time_intervals:", "active_time_intervals:"] {
        let status = Answer::json(status.replace("group_wait: 1s", key));
        let server =
            Server::start().on("/api/v2/alerts", recorded(old, "alerts")).on("/api/v2/status", status);
        let kind = json!({"alertmanager-alerts": {"name": ACTIVE, "notifying": true}});
        let look = look(&cx(&server.url()), kind).await.unwrap();
        assert_eq!((&look.seen["alerts"][0]["muted-by"], look.verdict), (&Value::Null, Unverified), "{key}");
    }
    let alone = Server::start().on("/api/v2/alerts", recorded(old, "alerts"));
    let kind = json!({"alertmanager-alerts": {"name": ACTIVE, "notifying": true}});
    assert_eq!(look(&cx(&alone.url()), kind).await.unwrap().verdict, Unverified, "it could not be looked up");
}

#[tokio::test]
async fn no_alert_is_a_failure_however_it_came_about() {
    for version in VERSIONS {
        for name in ["alerts_filter_none", "alerts_receiver_missing"] {
            let look = alerts(version, recorded(version, name), json!({"notifying": true})).await.unwrap();
            assert_eq!((&look.seen["alerts"], look.verdict), (&json!([]), Failed), "{version} {name}");
            assert!(look.findings.iter().any(Count::is_at_least_one));
        }
        // `?active=maybe` hid the active alert, with status 200: this is why nothing is filtered by the server.
        let hidden =
            alerts(version, recorded(version, "alerts_bad_bool"), json!({"name": ACTIVE})).await.unwrap();
        assert_eq!(hidden.verdict, Failed, "{version}");
        let label = |value: &str| json!({"name": ACTIVE, "labels": {"team": value, "pool": ""}});
        for (value, verdict) in [("platform", Passed), ("plat", Failed), ("", Failed)] {
            assert_eq!(
                alerts(version, recorded(version, "alerts"), label(value)).await.unwrap().verdict,
                verdict
            );
        }
    }
    let server = Server::start().on("/api/v2/alerts", recorded(VERSIONS[2], "alerts"));
    look(&cx(&server.url()), json!({"alertmanager-alerts": {"name": "a\"b"}})).await.unwrap();
    assert_eq!(server.seen()[0].target, "/api/v2/alerts");
}

#[tokio::test]
async fn errors_come_in_many_shapes_and_are_told_apart() {
    for (answer, word, transient) in [
        (recorded(VERSIONS[0], "alerts_filter_bad").status(400), "bad matcher format", false),
        (recorded(VERSIONS[2], "unknown").status(404), "was not found", false),
        (Answer::recorded("alertmanager-samples/error_410_v1_removed.json").status(410), "deprecated", false),
        (Answer::recorded("alertmanager-samples/error_422_object.json").status(422), "602", false),
        (Answer::new(503, "text/plain", "Service Unavailable"), "503", true),
        (Answer::json("{}").status(401), "401", false),
        (Answer::new(200, "text/html", "<title>Sign in</title>"), "Sign in", false),
        (recorded(VERSIONS[0], "v1_status"), "cannot be read", false),
        (Answer::json("null"), "cannot be read", false),
        (Answer::json("[{}]"), "cannot be read", false),
    ] {
        let error = alerts(VERSIONS[2], answer, json!({})).await.unwrap_err();
        assert!(
            error.to_string().contains(word) && error.to_string().contains("/api/v2/alerts"),
            "{word}: {error}"
        );
        assert_eq!(error.transient, transient, "{error}");
    }
}

async fn status(status: Answer, ready: Answer, receivers: Answer) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v2/status", status);
    let server = server.on("/-/ready", ready).on("/api/v2/receivers", receivers);
    look(&cx(&server.url()), json!({"alertmanager-status": {}})).await
}

#[tokio::test]
async fn a_single_one_is_ready_although_its_cluster_is_disabled() {
    let ready = || Answer::new(200, "text/plain", "OK");
    for version in VERSIONS {
        let look =
            status(recorded(version, "status"), ready(), recorded(version, "receivers")).await.unwrap();
        assert_eq!(look.verdict, Passed, "{version} {:#?}", look.findings);
        let number = version.trim_start_matches("alertmanager-");
        assert!(look.seen["version"].as_str().unwrap().starts_with(number), "{:?}", look.seen["version"]);
        assert_eq!(look.seen["cluster"], json!({"status": "disabled", "peers": []}));
        assert_eq!(look.seen["receivers"], json!(["null", "platform"]), "0.33 has more to say of them");
    }
    let sample = String::from_utf8(fixtures::recording("alertmanager-samples/status.json")).unwrap();
    for (word, verdict) in [("ready", Passed), ("settling", Unverified), ("lost", Unverified)] {
        let cluster = Answer::json(sample.replace("\"ready\"", &format!("\"{word}\"")));
        let look = status(cluster, ready(), recorded(VERSIONS[2], "receivers")).await.unwrap();
        assert_eq!(look.verdict, verdict, "{word}");
        assert_eq!(look.seen["cluster"]["peers"][0]["address"], "10.42.1.22:9094");
    }
    let body = || recorded(VERSIONS[2], "status");
    let receivers = || recorded(VERSIONS[2], "receivers");
    let starting = Answer::new(503, "text/plain", "Service Unavailable");
    assert_eq!(status(body(), starting, receivers()).await.unwrap().verdict, Failed);
    assert!(status(body(), Answer::new(404, "text/plain", "no"), receivers()).await.is_err());
}

const CONFIG: &str = r#"
route:
  receiver: nobody
  group_wait: 1s
  routes: [{ matchers: ['team="platform"'], receiver: platform }]
inhibit_rules: [{ source_matchers: ['alertname="Outage"'], target_matchers: ['alertname="Symptom"'] }]
receivers: [{ name: nobody }, { name: platform }]
"#;

fn asked(name: &str, notifying: bool) -> Value {
    json!({"alertmanager-alerts": {"name": name, "notifying": notifying}})
}

async fn post_alert(real: &Alertmanager, labels: Value) {
    real.post("/api/v2/alerts", &json!([{ "labels": labels }])).await.unwrap();
}

#[tokio::test]
async fn a_real_alertmanager_is_read_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let real = Alertmanager::start(folder.path(), CONFIG).await.unwrap();
    let cx = cx(&real.url);
    let up = look(&cx, json!({"alertmanager-status": {}})).await.unwrap();
    assert_eq!((up.verdict, &up.seen["receivers"]), (Passed, &json!(["nobody", "platform"])));
    assert_eq!(look(&cx, asked("Symptom", false)).await.unwrap().verdict, Failed);

    post_alert(&real, json!({"alertname": "Symptom", "team": "platform"})).await;
    let active = until(&cx, asked("Symptom", true), Passed).await;
    assert_eq!(active.seen["alerts"][0]["receivers"], json!(["platform"]));
    post_alert(&real, json!({"alertname": "Outage"})).await;
    let inhibited = until(&cx, asked("Symptom", true), Failed).await;
    assert_eq!(inhibited.seen["alerts"][0]["state"], "suppressed");
    assert_eq!(look(&cx, asked("Symptom", false)).await.unwrap().verdict, Passed, "it is there all the same");

    until(&cx, asked("Outage", true), Passed).await;
    real.silence(&[("alertname".to_owned(), "Outage".to_owned())].into()).await.unwrap();
    let silenced = until(&cx, asked("Outage", true), Failed).await;
    assert!(silenced.findings[1].seen.to_string().contains("silenced by"), "{silenced:?}");

    real.stop().await;
    for kind in [asked("Outage", false), json!({"alertmanager-status": {}})] {
        let gone = look(&cx, kind).await.unwrap_err();
        assert!(gone.transient, "{gone}");
    }
}

#[tokio::test]
async fn a_real_alertmanager_that_mutes_never_passes_as_notifying() {
    let always = "time_intervals: [{ name: always, time_intervals: [{ times: [{ start_time: '00:00', end_time: '24:00' }] }] }]\n";
    let config =
        CONFIG.replace("receiver: platform }", "receiver: platform, mute_time_intervals: [always] }");
    let folder = tempfile::tempdir().unwrap();
    let real = Alertmanager::start(folder.path(), &format!("{config}{always}")).await.unwrap();
    let cx = cx(&real.url);
    post_alert(&real, json!({"alertname": "Symptom", "team": "platform"})).await;
    let arrived = until(&cx, asked("Symptom", false), Passed).await;
    let muted = look(&cx, asked("Symptom", true)).await.unwrap();
    // Up to 0.27 it is `active` and no word of it; from 0.28 on the interval is named.
    assert_ne!(muted.verdict, Passed, "{arrived:?}");
}
