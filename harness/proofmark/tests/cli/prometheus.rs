//! The traps of rules, alerts, series and status of Prometheus: for each an answer, mostly a recorded one, on which a
//! naive check passes wrongly. A real Prometheus shows them in `prometheus_live.rs`.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{self, Look, cx, look};
use fixtures::{Answer, Server};
use proofmark::kinds::registry;
use proofmark_engine::{Cx, StepError};
use proofmark_model::Verdict::{self, Failed, Passed, Unverified};
use proofmark_model::clock::Clock;
use proofmark_model::expect::Count;
use serde_json::{Value, json};

const VERSIONS: [&str; 3] = ["prometheus-2.42.0", "prometheus-2.53.3", "prometheus-3.5.3"];

/// When the three servers were recorded: their last evaluations are some seconds old then.
const RECORDED: &str = "2026-11-20T16:51:56Z";

fn recorded(version: &str, name: &str) -> Answer {
    Answer::recorded(&format!("{version}/{name}.json"))
}

/// A context of the time when the recordings were made.
fn then(server: &Server) -> Cx {
    Cx { clock: Clock::told(RECORDED.parse().unwrap()), ..cx(&server.url()) }
}

/// The same answer, dated as the recordings are.
fn dated(answer: Answer) -> Answer {
    answer.header("date", "Fri, 20 Nov 2026 16:51:56 GMT")
}

async fn rules(answer: Answer, settings: Value) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v1/rules", dated(answer));
    look(&then(&server), json!({"prometheus-rules": settings})).await
}

async fn alerts(answer: Answer, settings: Value) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v1/alerts", answer);
    look(&cx(&server.url()), json!({"prometheus-alerts": settings})).await
}

/// One rule in one group of a recorded shape.
fn one_rule(fields: &str) -> Answer {
    let rule = format!(
        r#"{{"name":"R","query":"up","type":"alerting","duration":0,"labels":{{}},"annotations":{{}},"alerts":[],{fields}}}"#
    );
    Answer::json(format!(
        r#"{{"status":"success","data":{{"groups":[{{"name":"g","file":"f","interval":30,"rules":[{rule}]}}]}}}}"#
    ))
}

fn finding<'a>(look: &'a Look, word: &str) -> &'a proofmark_model::Finding {
    let found = look.findings.iter().find(|finding| finding.what.contains(word));
    found.unwrap_or_else(|| panic!("no finding with `{word}` in {:#?}", look.findings))
}

#[tokio::test]
async fn no_rule_is_a_failure() {
    let empty = Answer::recorded("prometheus-samples/rules_empty.json");
    assert_eq!(rules(empty, json!({})).await.unwrap().verdict, Failed);
    for version in VERSIONS {
        // A misspelt name: new servers answer with nothing, 2.42 ignores the filter and answers with everything.
        let look =
            rules(recorded(version, "rules_name_missing"), json!({"names": ["NoSuchRule"]})).await.unwrap();
        assert_eq!((&look.seen["rules"], look.verdict), (&json!([]), Failed), "{version}");
        assert_eq!(finding(&look, "rule NoSuchRule is loaded").verdict, Failed);
    }
}

#[tokio::test]
async fn one_missing_name_among_good_ones_fails() {
    for version in VERSIONS {
        let names = json!({"names": ["MinIOCapacityLow", "backup:velero_attempts:sum"]});
        let good = rules(recorded(version, "rules"), names).await.unwrap();
        assert_eq!(good.verdict, Passed, "{version} {:#?}", good.findings);
        assert_eq!(good.seen["rules"].as_array().unwrap().len(), 2);
        let names = json!({"names": ["MinIOCapacityLow", "MinIOCapacityLo"]});
        let look = rules(recorded(version, "rules"), names).await.unwrap();
        assert_eq!(finding(&look, "rule MinIOCapacityLo is loaded").verdict, Failed);
        let groups = json!({"groups": ["backup.records"]});
        assert_eq!(rules(recorded(version, "rules"), groups).await.unwrap().verdict, Passed);
        let groups = json!({"groups": ["backup.records", "backup"]});
        assert_eq!(rules(recorded(version, "rules"), groups).await.unwrap().verdict, Failed);
        // A rule of that name, but in another group.
        let both = json!({"groups": ["backup.records"], "names": ["MinIOCapacityLow"]});
        assert_eq!(rules(recorded(version, "rules"), both).await.unwrap().verdict, Failed);
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_fails_although_it_is_loaded_and_inactive() {
    for version in VERSIONS {
        let look = rules(recorded(version, "rules"), json!({"names": ["BrokenManyToMany"]})).await.unwrap();
        assert_eq!(look.seen["rules"][0]["state"], "inactive");
        let wrong = finding(&look, "BrokenManyToMany of group backup.alerts is healthy");
        assert_eq!((look.verdict, wrong.verdict), (Failed, Failed), "{version}");
        assert!(wrong.seen.to_string().contains("many-to-many"), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_rule_before_its_first_evaluation_is_undecided_and_was_never_evaluated() {
    let newer = Answer::recorded("prometheus-samples/rules_v3.8plus_unknown_state.json");
    let mut answers: Vec<Answer> = VERSIONS.iter().map(|version| recorded(version, "rules")).collect();
    answers.push(newer);
    for answer in answers {
        let look = rules(answer, json!({"names": ["SlowGroupAlert"]})).await.unwrap();
        let rule = &look.seen["rules"][0];
        assert_eq!((&rule["last-evaluation"], &rule["state"]), (&Value::Null, &json!("unknown")));
        assert_eq!(look.verdict, Unverified);
        assert!(
            finding(&look, "is healthy").help.as_ref().unwrap().contains("within"),
            "{:?}",
            look.findings
        );
        assert!(finding(&look, "is healthy").help.as_ref().unwrap().contains("1h"));
    }
}

#[tokio::test]
async fn a_healthy_rule_that_is_no_longer_evaluated_fails() {
    let at = |time: &str| one_rule(&format!(r#""health":"ok","state":"inactive","lastEvaluation":"{time}""#));
    for (time, verdict) in [
        ("2026-11-20T16:51:55.5Z", Passed),
        ("2026-11-20T16:50:57Z", Passed),
        ("2026-11-20T16:50:55Z", Failed),
        ("2026-11-19T16:51:55Z", Failed),
        ("2026-11-20T16:51:57Z", Passed),
        ("2026-11-20T16:53:00Z", Unverified),
        ("0001-01-01T00:00:00Z", Unverified),
        ("", Unverified),
    ] {
        assert_eq!(rules(at(time), json!({})).await.unwrap().verdict, verdict, "{time}");
    }
    assert!(rules(at("yesterday"), json!({})).await.unwrap_err().message.contains("lastEvaluation"));
}

#[tokio::test]
async fn an_age_is_reckoned_by_the_servers_clock_and_two_clocks_that_differ_decide_nothing() {
    let answer = |date: &str| {
        one_rule(r#""health":"ok","state":"inactive","lastEvaluation":"2026-11-20T15:00:00Z""#)
            .header("date", date)
    };
    let seen = async |date: &str, ours: &str| {
        let server = Server::start().on("/api/v1/rules", answer(date));
        let cx = Cx { clock: Clock::told(ours.parse().unwrap()), ..cx(&server.url()) };
        look(&cx, json!({"prometheus-rules": {}})).await.unwrap()
    };
    let right = seen("Fri, 20 Nov 2026 15:00:20 GMT", "2026-11-20T15:01:30Z").await;
    assert_eq!(right.verdict, Passed, "{:?}", right.findings);
    assert_eq!(right.seen["server-time"], "2026-11-20T15:00:20Z");
    let cached = seen("Fri, 20 Nov 2026 15:00:20 GMT", "2026-11-20T17:00:00Z").await;
    assert_eq!((cached.verdict, finding(&cached, "clock").verdict), (Unverified, Unverified));
}

#[tokio::test]
async fn an_unknown_health_of_a_rule_never_passes() {
    let health = |word: &str| {
        one_rule(&format!(r#""health":"{word}","state":"inactive","lastEvaluation":"2026-11-20T16:51:55Z""#))
    };
    for (word, verdict) in
        [("ok", Passed), ("OK", Unverified), ("", Unverified), ("unknown", Unverified), ("err", Failed)]
    {
        assert_eq!(rules(health(word), json!({})).await.unwrap().verdict, verdict, "{word}");
    }
}

#[tokio::test]
async fn rules_are_seen_the_same_whatever_the_version() {
    let mut seen = Vec::new();
    for version in VERSIONS {
        let mut rules = rules(recorded(version, "rules"), json!({})).await.unwrap().seen["rules"].take();
        for rule in rules.as_array_mut().unwrap() {
            // Three servers, each with its own file and its own times.
            assert!(rule["file"].as_str().unwrap().starts_with("/srv/lab/rules-"));
            rule["file"] = Value::Null;
            rule["last-evaluation"] = json!(rule["last-evaluation"].is_string());
            rule["last-error"] = json!(rule["last-error"].as_str().unwrap().contains("many-to-many"));
        }
        seen.push(rules);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    let minio = seen[0].as_array().unwrap().iter().find(|rule| rule["name"] == "MinIOCapacityLow").unwrap();
    assert_eq!(
        (&minio["for"], &minio["interval"], &minio["type"]),
        (&json!("10s"), &json!("5s"), &json!("alerting"))
    );
    let record = seen[0].as_array().unwrap().iter().find(|rule| rule["type"] == "recording").unwrap();
    assert_eq!(
        (&record["for"], &record["state"], &record["labels"]),
        (&Value::Null, &Value::Null, &json!({}))
    );
}

/// A stand-in with these rules, in which every metric has `series` series.
fn with_metrics(queries: &[&str], count: Answer) -> Server {
    let rule = |(number, query): (usize, &&str)| {
        json!({"name": format!("R{number}"), "query": query, "type": "alerting", "duration": 0, "state": "inactive",
            "health": "ok", "lastEvaluation": "2026-11-20T16:51:55Z", "labels": {}})
    };
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let groups = json!([{"name": "g", "file": "f", "interval": 30, "rules": rules}]);
    let body = json!({"status": "success", "data": {"groups": groups}});
    Server::start().on("/api/v1/rules", dated(Answer::json(body.to_string()))).on("/api/v1/query", count)
}

fn counted(series: u64) -> Answer {
    let result =
        if series == 0 { String::new() } else { format!(r#"{{"metric":{{}},"value":[1,"{series}"]}}"#) };
    Answer::json(format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
}

async fn exist(server: &Server, except: Value) -> Look {
    let settings = json!({"metrics-exist": true, "except": except});
    look(&then(server), json!({"prometheus-rules": settings})).await.unwrap()
}

#[tokio::test]
async fn a_rule_on_a_metric_that_nobody_exports_fails_although_it_is_ok() {
    let server = with_metrics(&["time() - velero_backup_last_successful_timestamp > 93600"], counted(0));
    let healthy = look(&then(&server), json!({"prometheus-rules": {}})).await.unwrap();
    assert_eq!(healthy.verdict, Passed, "this is what a naive check sees");
    let look = exist(&server, json!({})).await;
    let absent = finding(&look, "velero_backup_last_successful_timestamp has series (rule R0)");
    assert_eq!((look.verdict, absent.verdict), (Failed, Failed));
    let there = exist(&with_metrics(&["up > 0", "up < 1"], counted(3)), json!({})).await;
    assert_eq!(there.verdict, Passed, "{:#?}", there.findings);
    let once = json!([{"selector": "up", "bare": "up", "metric": "up", "rules": ["R0", "R1"], "series": 3}]);
    assert_eq!(there.seen["metrics"]["selectors"], once);
}

#[tokio::test]
async fn absence_is_excepted_by_metric_selector_or_rule_with_its_reason_and_by_nothing_else() {
    let server =
        with_metrics(&["increase(f{n=\"m\",a=\"b\"}[6h]) > 0", "absent(g) or vector(0)"], counted(0));
    assert_eq!(exist(&server, json!({})).await.findings.iter().filter(|it| it.verdict == Failed).count(), 2);
    for (key, other) in
        [("f", "g"), ("f{n=\"m\",a=\"b\"}", "R1"), ("f{a=\"b\",n=\"m\"}[6h]", "g"), ("R0", "R1")]
    {
        let half = exist(&server, json!({key: "no failure yet"})).await;
        assert_eq!(half.verdict, Failed, "{key}");
        let excepted = finding(&half, "f{a=\"b\",n=\"m\"}[6h] has series");
        assert_eq!(excepted.verdict, Passed);
        assert_eq!(excepted.expected, json!({"may be absent": "no failure yet"}));
        let whole = exist(&server, json!({key: "no failure yet", other: "not deployed"})).await;
        assert_eq!(whole.verdict, Passed, "{key} {other}: {:#?}", whole.findings);
    }
    for key in ["f{}", "f[6h]", "R", "F", "{a=\"b\"}"] {
        assert_eq!(exist(&server, json!({key: "no", "g": "not deployed"})).await.verdict, Failed, "{key}");
    }
    // Another rule that needs the same metric is not excepted with the one.
    let shared = with_metrics(&["f > 0", "f > 1"], counted(0));
    assert_eq!(exist(&shared, json!({"R0": "no failure yet"})).await.verdict, Failed);
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_here_is_undecided() {
    let server = with_metrics(&["up > 0", "holt_winters(up[5m], 0.1, 0.2) > 0"], counted(1));
    let look = exist(&server, json!({})).await;
    let unread = finding(&look, "the metrics of rule R1");
    assert_eq!((look.verdict, unread.verdict), (Unverified, Unverified));
    assert!(unread.seen.to_string().contains("holt_winters"), "{unread:?}");
    assert_eq!(exist(&server, json!({"R1": "looked at by hand"})).await.verdict, Passed);
    // Rules that name no metric at all give nothing to conclude from.
    assert_eq!(exist(&with_metrics(&["vector(1)"], counted(1)), json!({})).await.verdict, Unverified);
}

#[tokio::test]
async fn a_query_that_is_refused_decides_nothing_and_one_that_is_lost_is_asked_again() {
    let refused = Answer::recorded("prometheus-3.5.3/query_manytomany.json").status(422);
    let look = exist(&with_metrics(&["up"], refused), json!({})).await;
    assert_eq!(look.verdict, Unverified, "{:#?}", look.findings);
    assert!(finding(&look, "up has series").seen.to_string().contains("many-to-many"));
    let partial =
        r#"{"status":"success","warnings":["store down"],"data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(exist(&with_metrics(&["up"], Answer::json(partial)), json!({})).await.verdict, Unverified);
    let overloaded = Answer::recorded("prometheus-samples/error_503_timeout.json").status(503);
    let server = with_metrics(&["up"], overloaded);
    let error =
        look::look(&then(&server), json!({"prometheus-rules": {"metrics-exist": true}})).await.unwrap_err();
    assert!(error.transient, "{error}");
}

#[tokio::test]
async fn each_selector_is_asked_once_and_the_rules_stay_the_answer() {
    let queries: Vec<String> =
        (0..40).map(|n| format!("m{n} > 1 and m{n}{{a=\"b\"}} > rate(up[5m])")).collect();
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let server = with_metrics(&queries, counted(1));
    let cx = then(&server);
    look(&cx, json!({"prometheus-rules": {"metrics-exist": true}})).await.unwrap();
    assert_eq!(server.seen().iter().filter(|it| it.target == "/api/v1/query").count(), 81);
    assert_eq!(cx.log.take().len(), 82, "each is taken down");
    assert!(String::from_utf8_lossy(&cx.log.take_answer().unwrap()).contains("\"groups\""));
}

#[tokio::test]
async fn alerts_are_seen_the_same_whatever_the_version_and_none_is_a_failure() {
    let mut seen = Vec::new();
    for version in VERSIONS {
        let mut look = alerts(recorded(version, "alerts"), json!({})).await.unwrap();
        assert_eq!(look.verdict, Passed);
        for alert in look.seen["alerts"].as_array_mut().unwrap() {
            assert!(alert["active-at"].is_string());
            alert["active-at"] = Value::Null;
        }
        seen.push(look.seen);
        let pending = json!({"name": "PostgresBackupJobFailed", "state": "firing"});
        let look = alerts(recorded(version, "alerts"), pending).await.unwrap();
        assert_eq!(look.verdict, Failed, "pending is not firing");
        let by_label = json!({"labels": {"severity": "warning", "team": ""}, "state": "firing"});
        let look = alerts(recorded(version, "alerts"), by_label).await.unwrap();
        let minio = &look.seen["alerts"][0];
        let share: f64 = "0.08".parse().unwrap();
        assert_eq!((&minio["name"], &minio["value"]), (&json!("MinIOCapacityLow"), &json!(share)));
        assert_eq!(look.seen["alerts"].as_array().unwrap().len(), 1);
        // Alertmanager has this label, Prometheus itself does not.
        let external =
            alerts(recorded(version, "alerts"), json!({"labels": {"cluster": "lab"}})).await.unwrap();
        assert_eq!(external.verdict, Failed);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    assert_eq!(
        seen[0]["alerts"][2]["value"].to_string(),
        "1",
        "a whole number, although it travels as 1e+00"
    );
    let none = alerts(Answer::recorded("prometheus-samples/alerts_empty.json"), json!({})).await.unwrap();
    assert_eq!(none.verdict, Failed);
    assert!(none.findings.iter().any(Count::is_at_least_one), "so that a `count` can take its place");
}

#[tokio::test]
async fn an_alert_that_is_only_kept_firing_says_so() {
    let look =
        alerts(recorded("prometheus-3.5.3-experiments", "keep_firing_alerts"), json!({"state": "firing"}));
    let look = look.await.unwrap();
    let kept = |name: &str| {
        let alerts = look.seen["alerts"].as_array().unwrap();
        alerts.iter().find(|alert| alert["name"] == name).unwrap()["kept-firing-since"].clone()
    };
    assert_eq!(kept("MinIOCapacityLow"), "2026-11-20T17:05:44.296112283Z");
    assert_eq!(kept("VeleroBackupLocationAvailableDemo"), Value::Null);
}

/// Lists series of a stand-in; a count of them gives `alive`.
async fn series(listed: Answer, alive: Answer) -> Result<Look, StepError> {
    let server = Server::start().on("/api/v1/series", listed).on("/api/v1/query", alive);
    look(&cx(&server.url()), json!({"prometheus-series": {"match": "velero_backup_attempt_total"}})).await
}

#[tokio::test]
async fn series_and_their_labels_are_sorted_and_none_is_a_failure() {
    for version in VERSIONS {
        let look = series(recorded(version, "series"), counted(3)).await.unwrap();
        assert_eq!(look.verdict, Passed, "{version}");
        let keys: Vec<&str> =
            look.seen["labels"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap()).collect();
        assert!(keys.is_sorted() && keys.contains(&"schedule"), "{keys:?}");
        let schedule =
            look.seen["labels"].as_array().unwrap().iter().find(|it| it["key"] == "schedule").unwrap();
        assert_eq!(schedule["values"], json!(["daily-full"]), "an empty value is an absent label");
        assert_eq!(series(recorded(version, "series_empty"), counted(0)).await.unwrap().verdict, Failed);
        let nothing =
            series(recorded(version, "series_emptymatcher").status(400), counted(0)).await.unwrap_err();
        assert!(nothing.message.contains("non-empty matcher"), "{nothing}");
    }
}

#[tokio::test]
async fn series_that_died_are_still_listed_and_do_not_pass() {
    let look = series(recorded("prometheus-3.5.3", "series"), counted(0)).await.unwrap();
    assert_eq!((look.seen["series"].as_array().unwrap().len(), look.verdict), (3, Failed));
    assert_eq!(finding(&look, "has a sample now").verdict, Failed);
}

#[tokio::test]
async fn a_list_that_was_cut_is_undecided() {
    for version in &VERSIONS[1..] {
        let look = series(recorded(version, "series_limit"), counted(1)).await.unwrap();
        assert_eq!(look.verdict, Unverified, "{version}");
    }
}

#[tokio::test]
async fn series_are_asked_for_within_their_window() {
    let server = Server::start()
        .on("/api/v1/series", recorded("prometheus-3.5.3", "series"))
        .on("/api/v1/query", counted(1));
    let cx = then(&server);
    look(&cx, json!({"prometheus-series": {"match": "a{b=\"c\"}"}})).await.unwrap();
    look(&cx, json!({"prometheus-series": {"match": "a", "last": "1h"}})).await.unwrap();
    let bodies: Vec<String> = server.seen().into_iter().map(|it| it.body.replace("%3A", ":")).collect();
    assert!(bodies[0].ends_with("&start=2026-11-20T16:46:56Z&end=2026-11-20T16:51:56Z"), "{bodies:?}");
    assert!(bodies[0].starts_with("match%5B%5D=a%7Bb"));
    assert_eq!(bodies[1], "query=count%28a%7Bb%3D%22c%22%7D%29");
    assert!(bodies[2].contains("start=2026-11-20T15:51:56Z"));
    assert_eq!(bodies[3], "query=count%28last_over_time%28a%5B1h%5D%29%29");
    assert!(
        String::from_utf8_lossy(&cx.log.take_answer().unwrap()).contains("velero"),
        "the list is the answer"
    );
}

async fn status(version: &str, runtime: Answer, settings: Value) -> Look {
    let server = Server::start()
        .on("/api/v1/status/runtimeinfo", runtime)
        .on("/api/v1/status/buildinfo", recorded(version, "status_buildinfo"));
    look(&cx(&server.url()), json!({"prometheus-status": settings})).await.unwrap()
}

#[tokio::test]
async fn a_failed_reload_fails_although_all_rules_are_loaded() {
    let failed = recorded("prometheus-3.5.3-experiments", "e1_runtimeinfo_after_bad");
    let look = status("prometheus-3.5.3", failed, json!({})).await;
    assert_eq!((&look.seen["reload-ok"], look.verdict), (&json!(false), Failed));
    let help = finding(&look, "the last reload").help.clone().unwrap();
    assert!(help.contains("2026-11-20T16:50:27Z"), "{help}");
    for (version, wanted, other) in [
        ("prometheus-2.42.0", "2.42", ">=2.44"),
        ("prometheus-2.53.3", "2.53.3", "2.5"),
        ("prometheus-3.5.3", ">=3, <4", "3.5.4"),
    ] {
        let runtime = || recorded(version, "status_runtimeinfo");
        let look = status(version, runtime(), json!({"version": wanted})).await;
        assert_eq!(look.verdict, Passed, "{version} {:#?}", look.findings);
        assert_eq!(look.seen["storage"], json!({"retention": "15d", "corruptions": 0}));
        assert_eq!(status(version, runtime(), json!({"version": other})).await.verdict, Failed, "{version}");
    }
}

#[tokio::test]
async fn mistakes_in_settings_are_found_before_anything_runs() {
    for (kind, word) in [
        (json!({"prometheus-rules": {"except": {"up": "why"}}}), "metrics-exist"),
        (json!({"prometheus-rules": {"metrics-exist": true, "except": {"up": " "}}}), "reason"),
        (json!({"prometheus-series": {"match": " "}}), "empty"),
        (json!({"prometheus-series": {"match": "up", "last": "0s"}}), "zero"),
    ] {
        let check = registry().check_of_json(&kind).unwrap();
        assert!(check.mistake().unwrap().to_string().contains(word), "{kind}");
    }
    for kind in [
        json!({"prometheus-rules": {"can-fire": "yes"}}),
        json!({"prometheus-rules": {"name": "x"}}),
        json!({"prometheus-alerts": {"state": "inactive"}}),
        json!({"prometheus-series": {}}),
        json!({"prometheus-status": {"version": "newest"}}),
    ] {
        assert!(registry().check_of_json(&kind).is_err(), "{kind}");
    }
}

#[tokio::test]
async fn damaged_answers_are_errors_and_not_observations() {
    let wrap = |data: &str| Answer::json(format!(r#"{{"status":"success","data":{data}}}"#));
    for data in [
        "{}",
        "[]",
        "null",
        r#"{"groups":[{}]}"#,
        r#"{"groups":[{"name":"g","interval":-1,"rules":[{"name":"a","type":"alerting","query":"up"}]}]}"#,
    ] {
        assert!(!rules(wrap(data), json!({})).await.unwrap_err().transient, "{data}");
    }
    for data in ["{}", r#"{"alerts":[{}]}"#, r#"{"alerts":[{"labels":{},"state":"firing","value":"x"}]}"#] {
        assert!(!alerts(wrap(data), json!({})).await.unwrap_err().transient, "{data}");
    }
    assert!(series(wrap("{}"), counted(1)).await.is_err());
    let missing = Server::start().on("/api/v1/status/runtimeinfo", wrap(r#"{"reloadConfigSuccess":null}"#));
    let error = look(&cx(&missing.url()), json!({"prometheus-status": {}})).await.unwrap_err();
    assert!(error.to_string().contains("runtimeinfo"), "{error}");
    let verdict: Verdict = rules(Answer::new(404, "text/plain", "404 page not found"), json!({}))
        .await
        .map_or(Unverified, |it| it.verdict);
    assert_eq!(verdict, Unverified);
}
