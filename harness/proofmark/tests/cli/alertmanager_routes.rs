//! To whom alerts would go: on real servers, and where a server does not tell everything.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops where it is surprised")]

use crate::ground::look::{self, look};
use crate::live::until;
use fixtures::{Answer, Prometheus, Server};
use proofmark_engine::Cx;
use proofmark_environment::Connection;
use proofmark_lab::Alertmanager;
use proofmark_model::Verdict::{self, Failed, Passed, Unverified};
use serde_json::{Value, json};
use std::sync::Arc;

const RULES: &str = r#"
groups:
  - name: shop
    rules:
      - { record: "a:b", expr: vector(1) }
      - { alert: Paged, expr: vector(1) > 2, labels: { severity: critical } }
      - { alert: Sure, expr: vector(1) > 2, labels: { severity: critical, job: shop } }
      - { alert: Forgotten, expr: vector(1) > 2, labels: { severity: warning } }
      - { alert: ByInstance, expr: up == 0, labels: { severity: routed } }
      - { alert: Unlabelled, expr: up == 0 }
      - { alert: Labelled, expr: 'label_replace(up == 0, "severity", "critical", "job", ".*")' }
"#;

const ROUTES: &str = r#"
route:
  receiver: "null"
  routes:
  - { receiver: pager, matchers: ['severity="critical"', 'job!="lab"'] }
  - receiver: "null"
    matchers: ['severity="routed"']
    routes: [{ receiver: pager, matchers: ['instance="shop"'] }]
  - { receiver: "null", matchers: ['severity="warning"'] }
receivers:
- name: "null"
- { name: pager, webhook_configs: [{ url: "http://127.0.0.1:1/" }] }
"#;

/// A context with both servers.
fn both(prometheus: &str, alertmanager: &str) -> Cx {
    let mut cx = look::cx(prometheus);
    let url = Some(alertmanager.to_owned());
    let connection = Connection { name: "alertmanager".into(), url, ..Connection::default() };
    let systems = Arc::get_mut(&mut cx.systems).unwrap();
    systems.connections.insert("alertmanager".into(), connection);
    cx
}

fn asked(names: &[&str]) -> Value {
    json!({"alertmanager-routes": {"names": names}})
}

#[tokio::test]
async fn real_servers_say_who_would_hear_of_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Alertmanager::start(folder.path(), ROUTES).await.unwrap();
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, RULES).unwrap();
    let target = alertmanager.url.replace("http://", "");
    let mut real = Prometheus::start(&format!(
        "rule_files: ['{}']\nalerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['{target}'] }}] }}] }}\n",
        rules.display()
    ));
    let cx = both(&real.url(), &alertmanager.url);
    until(&cx, json!({"prometheus-query": {"query": "up"}}), Passed).await;
    let sure = until(&cx, asked(&["Sure"]), Passed).await;
    assert_eq!(sure.seen["sent-to"].as_array().unwrap().len(), 1);
    let (mut all, mut seen) = (vec![], Value::Null);
    for name in ["Forgotten", "ByInstance", "NoSuchAlert", "Unlabelled", "Labelled", "Paged"] {
        let look = look(&cx, asked(&[name])).await.unwrap();
        all.push(look.verdict);
        seen[name] = look.findings.last().unwrap().seen.clone();
    }
    assert_eq!(all, [Failed, Unverified, Failed, Failed, Unverified, Unverified]);
    assert_eq!(seen["Forgotten"], "only `null`, which tells nobody");
    assert_eq!(seen["Unlabelled"], "only `null`, which tells nobody", "no series has a severity");
    let decides = "`instance` of its series decides between `pager` and `null`, which tells nobody";
    assert_eq!(seen["ByInstance"], decides);

    let everything = look(&cx, json!({"alertmanager-routes": {}})).await.unwrap();
    assert_eq!(everything.verdict, Failed);
    assert_eq!(everything.seen["alerts"].as_array().unwrap().len(), 6, "a recording rule is no alert");
    let excepted =
        json!({"alertmanager-routes": {"names": ["Forgotten"], "except": {"Forgotten": "on purpose"}}});
    assert_eq!(look(&cx, excepted).await.unwrap().verdict, Passed);

    real.stop();
    look(&cx, asked(&["Paged"])).await.unwrap_err();
}

/// Stand-ins for a Prometheus with this configuration, and for an Alertmanager with these routes.
async fn stood_in(config: Option<&str>, sent_to: Option<&[&str]>) -> Verdict {
    loaded(config, sent_to, "2026-02-16T01:59:00Z").await
}

/// The same of one that was given its configuration at this time; it is two o'clock.
async fn loaded(config: Option<&str>, sent_to: Option<&[&str]>, loaded_at: &str) -> Verdict {
    let envelope = |data: Value| Answer::json(json!({"status": "success", "data": data}).to_string());
    let rule = json!({"name": "Paged", "type": "alerting", "query": "up", "health": "ok", "state": "inactive",
        "duration": 0, "labels": {"severity": "critical"}, "lastEvaluation": "2026-02-16T02:00:00Z"});
    let group = json!({"groups": [{"name": "g", "file": "f", "interval": 1, "rules": [rule]}]});
    let urls: Vec<Value> = sent_to.into_iter().flatten().map(|url| json!({"url": url})).collect();
    let forbidden = || Answer::new(403, "text/plain", "no");
    let server = Server::start()
        .on("/api/v1/rules", envelope(group))
        .on("/api/v1/status/config", config.map_or_else(forbidden, |yaml| envelope(json!({"yaml": yaml}))))
        .on(
            "/api/v1/alertmanagers",
            sent_to.map_or_else(forbidden, |_| envelope(json!({"activeAlertmanagers": urls}))),
        )
        .on(
            "/api/v1/status/runtimeinfo",
            envelope(json!({"reloadConfigSuccess": true, "lastConfigTime": loaded_at.to_string()}))
                .header("date", "Mon, 16 Feb 2026 02:00:00 GMT"),
        )
        .on("/api/v1/query", Answer::new(403, "text/plain", "no"))
        .on("/api/v2/status", Answer::json(json!({"config": {"original": ROUTES}}).to_string()));
    let url = server.url();
    look(&both(&url, &url), json!({"alertmanager-routes": {}})).await.unwrap().verdict
}

#[tokio::test]
async fn stand_in_what_prometheus_does_not_tell_is_not_taken_for_granted() {
    let lab = "global: { external_labels: { job: shop } }";
    let sent: &[&str] = &["http://a:9093/api/v2/alerts"];
    assert_eq!(stood_in(Some(lab), Some(sent)).await, Passed);
    assert_eq!(stood_in(Some("global: { external_labels: { job: lab } }"), Some(sent)).await, Failed);
    assert_eq!(stood_in(Some(lab), Some(&[])).await, Failed, "it is sent to nobody");
    assert_eq!(
        loaded(Some(lab), Some(&[]), "2026-02-16T01:59:58Z").await,
        Unverified,
        "it is looking for them"
    );
    assert_eq!(stood_in(None, Some(sent)).await, Unverified);
    assert_eq!(stood_in(Some(lab), None).await, Unverified);
    let drops = format!("{lab}\nalerting: {{ alert_relabel_configs: [{{ action: drop, regex: x }}] }}");
    assert_eq!(stood_in(Some(&drops), Some(sent)).await, Unverified);
}
