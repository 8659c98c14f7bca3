//! A real Prometheus and a real Alertmanager that look once a second, and a desk whose scenario drills an alert of them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Desk, Ended, Running, get, until};
use proofmark_lab::{Alertmanager, Prometheus, Watches};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use tempfile::TempDir;

/// What a file says of one rule, to be changed by someone else.
pub const CRITICAL: &str = "severity: critical";

/// Rules with comments, an alert that never fires, and some that no drill can be made of.
pub const RULES: &str = r#"# Rules of a test; whoever changes them keeps this comment.
groups:
  - name: one
    rules:
      - alert: High   # 85 is never reached
        expr: up{job="prometheus"} > 85
        labels: { severity: critical }
        annotations: { summary: "{{ $value }} of ä" }
      - alert: Always
        expr: vector(1)
      - { alert: Twice, expr: up > 3 }
      - { alert: Twice, expr: up > 4 }
      - alert: Broken
        expr: up * on() {__name__=~"prometheus_t.*"} > 0
      - alert: Absent
        expr: absent(up)
"#;

pub struct Pair {
    pub prometheus: Option<Prometheus>,
    alertmanager: Option<Alertmanager>,
    addresses: [String; 2],
    pub desk: Desk,
    folder: TempDir,
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

impl Pair {
    /// With these rules, and an Alertmanager that posts to the receiver unless `config` says otherwise.
    pub async fn start(rules: &str, config: Value) -> Self {
        Self::of(rules, Some(config)).await
    }

    /// With an Alertmanager that Prometheus does not know.
    pub async fn without_alertmanager(rules: &str) -> Self {
        Self::of(rules, None).await
    }

    async fn of(rules: &str, config: Option<Value>) -> Self {
        let (folder, receiver, known) = (tempfile::tempdir().unwrap(), free(), config.is_some());
        let mut whole = json!({
            "route": {"receiver": "here", "group_wait": "0s", "group_interval": "1s", "group_by": ["alertname"]},
            "receivers": [{"name": "here", "webhook_configs": [{"url": format!("http://{receiver}/hook")}]}],
        });
        for (key, value) in config.unwrap_or_default().as_object().into_iter().flatten() {
            whole[key] = value.clone();
        }
        let alertmanager = Alertmanager::start(folder.path(), &whole.to_string()).await.unwrap();
        let to = alertmanager.url.trim_start_matches("http://").to_owned();
        let desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
        desk.write("rules.yml", rules);
        let mut pair = Self {
            prometheus: None,
            alertmanager: Some(alertmanager),
            addresses: [String::new(), to.clone()],
            desk,
            folder,
        };
        pair.start_on(known.then_some(to)).await;
        pair.desk.write(
            "environment.yaml",
            json!({"proofmark": "v1", "connections": {
                "prometheus": {"url": format!("http://{}", pair.addresses[0])},
                "alertmanager": {"url": format!("http://{}", pair.addresses[1])},
                "receiver": {"url": format!("http://{receiver}/")},
            }})
            .to_string(),
        );
        if known {
            until("Alertmanager has been told of what always fires", || {
                pair.alertmanager_says("/api/v2/alerts").contains("Always").then_some(())
            });
        }
        until("every rule was evaluated", || {
            (!pair.prometheus_says("/api/v1/rules").contains("\"health\":\"unknown\"")).then_some(())
        });
        pair
    }

    async fn start_on(&mut self, alertmanager: Option<String>) {
        let (rules, alertmanagers) = ([self.rules()], Vec::from_iter(alertmanager));
        let watches = Watches { jobs: &BTreeMap::new(), rules: &rules, alertmanagers: &alertmanagers };
        let prometheus = match self.addresses[0].as_str() {
            "" => Prometheus::start(self.folder.path(), watches).await.unwrap(),
            address => Prometheus::start_at(self.folder.path(), watches, address).await.unwrap(),
        };
        prometheus.url.trim_start_matches("http://").clone_into(&mut self.addresses[0]);
        self.prometheus = Some(prometheus);
    }

    pub async fn stop_prometheus(&mut self) {
        self.prometheus.take().unwrap().stop().await;
    }

    /// Starts it again where it was.
    pub async fn start_prometheus(&mut self) {
        let alertmanager = self.addresses[1].clone();
        self.start_on(Some(alertmanager)).await;
    }

    pub async fn silence(&self, alert: &str) {
        let labels = BTreeMap::from([("alertname".to_owned(), alert.to_owned())]);
        self.alertmanager.as_ref().unwrap().silence(&labels).await.unwrap();
    }

    pub fn rules(&self) -> PathBuf {
        self.desk.path("rules.yml")
    }

    /// The scenario with a drill of `High`, or of the `alert:` that these settings name.
    pub fn write(&self, more: &str, within: &str) {
        let alert = if more.contains("alert: ") { "" } else { "alert: High, " };
        let through = if more.contains("through: ") { "" } else { ", through: { rule-file: rules.yml }" };
        let kind = format!("alert-drill: {{ {alert}{more}{through} }}");
        self.desk.scenario("s", "", &format!("  - {{ id: fires, act: {{ {kind} }}, within: {within} }}\n"));
    }

    /// Programs of a user's that change the rules and put them back: `apply SED` and `revert`.
    pub fn programs(&self, sed: &str) -> String {
        let port = self.addresses[0].rsplit(':').next().unwrap();
        let reload = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port}\nprintf 'POST /-/reload HTTP/1.0\\r\\n\\r\\n' >&3\ngrep -q 200 <&3\n"
        );
        self.desk.write("apply", format!("set -e\ncp rules.yml kept.yml\n{sed}\n{reload}"));
        self.desk.write(
            "revert",
            format!("set -e\ntest ! -e kept.yml || mv kept.yml rules.yml\necho >> reverts\n{reload}"),
        );
        "through: { command: { apply: [bash, apply], revert: [bash, revert] } }".into()
    }

    pub fn begin(&self) -> Running {
        self.desk.start_run(&["--allow", "change,exec"])
    }

    pub fn drill(&self, more: &str, within: &str) -> Ended {
        self.write(more, within);
        self.begin().wait()
    }

    pub fn recover(&self) -> Ended {
        self.desk.start_recover().wait()
    }

    pub fn sound(&self, ended: &Ended) {
        self.desk.sound(ended);
    }

    /// The file is as it was, nothing is beside it, and neither system knows of a drill.
    pub fn as_before(&self) {
        assert_eq!(fs::read_to_string(self.rules()).unwrap(), RULES);
        let entries = fs::read_dir(self.rules().parent().unwrap()).unwrap().flatten();
        let left: Vec<_> = entries
            .map(|entry| entry.file_name())
            .filter(|it| it.to_string_lossy().starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        for said in [
            self.prometheus_says("/api/v1/rules"),
            self.prometheus_says("/api/v1/alerts"),
            self.alertmanager_says("/api/v2/alerts"),
        ] {
            assert!(!said.contains("proofmark") && !said.contains("\"alertname\":\"High\""), "{said}");
        }
        assert!(self.prometheus_says("/api/v1/rules").contains("\\u003e 85"));
    }

    pub fn journal(&self) -> Vec<Value> {
        self.desk.journal()
    }

    pub fn prometheus_says(&self, path: &str) -> String {
        get(&self.addresses[0], path)
    }

    pub fn alertmanager_says(&self, path: &str) -> String {
        get(&self.addresses[1], path)
    }
}
