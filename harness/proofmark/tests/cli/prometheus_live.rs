//! A real Prometheus with rules and an application that comes and goes: what the traps look like on it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{cx, look};
use crate::live::until;
use fixtures::{Answer, Prometheus, Server};
use proofmark_engine::Cx;
use proofmark_model::Verdict::{self, Failed, Passed, Unverified};
use serde_json::{Value, json};
use tempfile::TempDir;

const RULES: &str = r#"
groups:
  - name: fast
    interval: 1s
    rules:
      - { record: "self:up", expr: 'up{job="self"}' }
      - { alert: SelfUp, expr: '(self:up == 1) and on() (max_over_time(up[10m]) > 0)', labels: { severity: info } }
      - { alert: ShopSells, expr: 'shop_orders_total > 0', for: 1h }
      - { alert: NoSuchMetric, expr: 'rate(no_such_metric_total[5m]) > 0' }
  - name: broken
    interval: 1s
    rules:
      - { alert: ManyToMany, expr: 'prometheus_http_requests_total * on (job) prometheus_http_requests_total' }
  - name: slow
    interval: 1h
    rules:
      - { alert: Slow, expr: vector(1) }
"#;

struct Lab {
    // Ends before the folder that its rules are in goes.
    real: Prometheus,
    shop: Server,
    cx: Cx,
    _folder: TempDir,
}

impl Lab {
    #[expect(clippy::disallowed_methods, reason = "a test writes the rules that it loads")]
    fn start() -> Self {
        assert!(Prometheus::installed(), "install the package `prometheus`: this test wants a real one");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.yml");
        std::fs::write(&file, RULES).unwrap();
        let metrics = "# TYPE shop_orders_total counter\nshop_orders_total{region=\"north\"} 7\n";
        let shop = Server::start().on("/metrics", Answer::new(200, "text/plain; version=0.0.4", metrics));
        let target = shop.url().replace("http://", "");
        let job = format!("  - job_name: shop\n    static_configs: [{{ targets: ['{target}'] }}]\n");
        let real = Prometheus::start(&format!("{job}rule_files: ['{}']\n", file.display()));
        let cx = cx(&real.url());
        Self { real, shop, cx, _folder: folder }
    }

    async fn until(&self, kind: Value, wanted: Verdict) -> Value {
        until(&self.cx, kind, wanted).await.seen
    }

    async fn verdict(&self, kind: Value) -> Verdict {
        look(&self.cx, kind).await.unwrap().verdict
    }
}

#[tokio::test]
async fn rules_are_loaded_and_work_or_do_not() {
    let mut lab = Lab::start();
    let named =
        json!({"prometheus-rules": {"names": ["self:up", "SelfUp", "ShopSells"], "metrics-exist": true}});
    let seen = lab.until(named.clone(), Passed).await;
    let windows: Vec<&Value> =
        seen["metrics"]["selectors"].as_array().unwrap().iter().map(|it| &it["selector"]).collect();
    assert_eq!(windows, ["self:up", "shop_orders_total", "up[10m]", "up{job=\"self\"}"]);
    lab.until(json!({"prometheus-rules": {"groups": ["broken"]}}), Failed).await;
    assert_eq!(lab.verdict(json!({"prometheus-rules": {"names": ["Slow"]}})).await, Unverified);

    let fast = json!({"prometheus-rules": {"groups": ["fast"]}});
    assert_eq!(lab.verdict(fast.clone()).await, Passed, "loaded, healthy, and one can never fire");
    let exist = |except: Value| json!({"prometheus-rules": {"groups": ["fast"], "metrics-exist": true, "except": except}});
    let absent = look(&lab.cx, exist(json!({}))).await.unwrap();
    let failed: Vec<&str> =
        absent.findings.iter().filter(|it| it.verdict == Failed).map(|it| it.what.as_str()).collect();
    assert_eq!(failed, ["no_such_metric_total[5m] has series (rule NoSuchMetric)"]);
    assert_eq!(lab.verdict(exist(json!({"no_such_metric_total": "made up"}))).await, Passed);
    // An exporter that is gone takes the rules on it with it.
    lab.shop.set("/metrics", Answer::new(404, "text/plain", "gone"));
    lab.until(named, Failed).await;

    lab.real.stop();
    assert!(look(&lab.cx, fast).await.unwrap_err().transient);
}

#[tokio::test]
async fn alerts_are_pending_or_firing() {
    let mut lab = Lab::start();
    let firing = json!({"name": "SelfUp", "labels": {"severity": "info"}, "state": "firing"});
    let seen = lab.until(json!({"prometheus-alerts": firing}), Passed).await;
    assert_eq!(seen["alerts"][0]["value"], json!(1));
    let sells = |state: &str| json!({"prometheus-alerts": {"name": "ShopSells", "state": state}});
    lab.until(sells("pending"), Passed).await;
    assert_eq!(lab.verdict(sells("firing")).await, Failed);
    assert_eq!(lab.verdict(json!({"prometheus-alerts": {"name": "NoSuchMetric"}})).await, Failed);
    lab.real.stop();
    assert!(look(&lab.cx, sells("pending")).await.unwrap_err().transient);
}

#[tokio::test]
async fn series_stay_listed_when_they_have_died() {
    let mut lab = Lab::start();
    let orders = json!({"prometheus-series": {"match": "shop_orders_total"}});
    let alive = lab.until(orders.clone(), Passed).await;
    assert!(alive["labels"].as_array().unwrap().contains(&json!({"key": "region", "values": ["north"]})));
    lab.shop.set("/metrics", Answer::new(404, "text/plain", "gone"));
    let dead = lab.until(orders.clone(), Failed).await;
    assert_eq!(dead["series"].as_array().map(Vec::len), Some(1), "the index still lists it");
    let hour = json!({"prometheus-series": {"match": "shop_orders_total", "last": "1h"}});
    assert_eq!(lab.verdict(hour).await, Passed);
    assert_eq!(lab.verdict(json!({"prometheus-series": {"match": "shop_orders"}})).await, Failed);
    lab.real.stop();
    assert!(look(&lab.cx, orders).await.unwrap_err().transient);
}

#[tokio::test]
async fn a_failed_reload_shows_in_the_status_alone() {
    let mut lab = Lab::start();
    let (status, rules) = (
        json!({"prometheus-status": {"version": ">=2.42"}}),
        json!({"prometheus-rules": {"groups": ["fast"]}}),
    );
    assert_eq!(lab.verdict(status.clone()).await, Passed);
    lab.real.reload("rule_files: 7\n");
    lab.until(status.clone(), Failed).await;
    lab.until(rules, Passed).await;
    lab.real.stop();
    assert!(look(&lab.cx, status).await.unwrap_err().transient);
}
