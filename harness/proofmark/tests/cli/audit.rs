//! `audit`: what a real Prometheus and a real Alertmanager would not tell, and scenarios that guard what is well.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops where it is surprised")]

use crate::ground::gate::{Gate, Rules};
use assert_cmd::Command;
use fixtures::Prometheus;
use proofmark_lab::Alertmanager;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RULES: &str = r#"
groups:
  - name: "the shop's"
    interval: 1s
    rules:
      - { record: "job:up", expr: "sum by (job) (up)" }
      - { alert: Down, expr: "up == 0", labels: { severity: page } }
      - { alert: Quiet, expr: "prometheus_tsdb_head_series > 1e9", labels: { severity: page } }
      - { alert: Forgotten, expr: "prometheus_tsdb_head_chunks > 1e12" }
      - { alert: Misspelt, expr: "rate(no_such_metric_total[5m]) > 0" }
      - { alert: Swapped, expr: "up > 5", labels: { severity: page } }
"#;

const ROUTES: &str = r#"
route: { receiver: nobody, routes: [{ receiver: pager, matchers: ['severity="page"'] }] }
receivers: [{ name: nobody }, { name: pager, webhook_configs: [{ url: "http://127.0.0.1:1/" }] }]
"#;

struct World {
    folder: tempfile::TempDir,
    alertmanager: Alertmanager,
    prometheus: Prometheus,
    config: String,
}

struct Ended {
    exit: i32,
    out: String,
    err: String,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let alertmanager = Alertmanager::start(folder.path(), ROUTES).await.unwrap();
        fs::write(folder.path().join("rules.yml"), RULES).unwrap();
        let target = alertmanager.url.replace("http://", "");
        let config = format!(
            "  - {{ job_name: gone, static_configs: [{{ targets: ['127.0.0.1:1'] }}] }}\nrule_files: ['{}']\nalerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['{target}'] }}] }}] }}\n",
            folder.path().join("rules.yml").display()
        );
        let prometheus = Prometheus::start(&config);
        Self { folder, alertmanager, prometheus, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::cargo_bin("proofmark").unwrap();
        let output =
            command.args(arguments).current_dir(self.folder.path()).env_remove("COLUMNS").output().unwrap();
        Ended {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Audits until every target was scraped and every rule evaluated.
    fn audit(&self, more: &[&str]) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(60);
        let url = self.prometheus.url();
        let line = ["audit", "prometheus", "--url", &url, "--alertmanager", &self.alertmanager.url];
        loop {
            let ended = self.program(&[&line, more].concat());
            let settled = lines(&ended.out, "living ") == ["Down", "Forgotten", "Quiet"]
                && ended.out.contains("1 target is down");
            if settled || !more.contains(&"--all") {
                return ended;
            }
            assert!(Instant::now() < deadline, "{}{}", ended.out, ended.err);
        }
    }

    fn environment(&self) -> String {
        let text = format!(
            "proofmark: v1\nconnections:\n  prometheus: {{ url: '{}' }}\n  alertmanager: {{ url: '{}' }}\n",
            self.prometheus.url(),
            self.alertmanager.url
        );
        let path = self.path("environment.yaml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// The names on the lines that begin with this word.
fn lines<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(word)?.split_whitespace().next()).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_what_is_dead_and_guards_what_lives() {
    let world = World::start().await;
    let seen = world.audit(&["--all"]);
    assert_eq!(seen.exit, 1, "{}{}", seen.out, seen.err);
    let head = "2 of 5 alerts can never fire, 1 target is down, 2 alerts go to no receiver";
    assert_eq!(seen.out.lines().next().unwrap(), head);
    assert_eq!(lines(&seen.out, "never "), ["Misspelt", "Swapped"]);
    assert_eq!(lines(&seen.out, "undecided "), Vec::<&str>::new());
    assert_eq!(lines(&seen.out, "living "), ["Down", "Forgotten", "Quiet"]);
    assert!(seen.out.contains("no_such_metric_total"), "{}", seen.out);

    let written = world.audit(&["--write", "guard"]);
    assert_eq!(lines(&written.out, "living "), Vec::<&str>::new(), "only with `--all`");
    assert_eq!(files(&world.path("guard")), ["alerts.yaml", "routes.yaml", "server.yaml", "targets.yaml"]);
    let for_machines = world.audit(&["--write", "the-same", "--format", "jsonl"]);
    assert_eq!(files(&world.path("the-same")), files(&world.path("guard")), "{}", for_machines.err);
    let environment = world.environment();
    let guard = |world: &World| world.program(&["run", "guard", "--env", &environment]);
    let passed = guard(&world);
    assert_eq!(passed.exit, 0, "{}{}", passed.out, passed.err);

    // Nothing is written over.
    let again = world.audit(&["--write", "guard"]);
    assert_eq!((again.exit, again.out.as_str()), (2, ""));
    assert!(again.err.contains("server.yaml is there already"), "{}", again.err);

    // A rule is taken away.
    for (what, rules) in [
        ("an alert", RULES.replace("      - { alert: Quiet", "      # - { alert: Quiet")),
        ("a recording rule", RULES.replace("      - { record:", "      # - { record:")),
        ("an alert dies", RULES.replace("prometheus_tsdb_head_series >", "no_such_series >")),
    ] {
        fs::write(world.path("rules.yml"), &rules).unwrap();
        world.prometheus.reload(&format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: self\n    static_configs: [{{ targets: ['{}'] }}]\n{}",
            world.prometheus.url().replace("http://", ""),
            world.config
        ));
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let failed = guard(&world);
            if failed.exit == 1 && failed.out.contains("alerts#the-shop-s") {
                break;
            }
            assert!(Instant::now() < deadline, "{what}: {}{}", failed.out, failed.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_not_decided_and_the_rest_is_seen() {
    let world = World::start().await;
    world.audit(&["--all"]);
    let server = world.prometheus.url();
    let told = async |rules: Rules| {
        let gate = Gate::before(&server, rules).await;
        let url = gate.url.clone();
        let ended = tokio::task::block_in_place(|| {
            world.program(&[
                "audit",
                "prometheus",
                "--url",
                &url,
                "--alertmanager",
                &world.alertmanager.url,
                "--json",
            ])
        });
        assert!(gate.most() <= 4, "{} questions at once", gate.most());
        (ended.exit, serde_json::from_str::<Value>(&ended.out).unwrap_or_else(|_| panic!("{}", ended.err)))
    };
    let forbidden = |path| Rules { forbidden: vec![path], slow: None };
    let (exit, seen) = told(forbidden("/api/v1/targets")).await;
    assert_eq!((exit, &seen["targets"]["verdict"]), (1, &"unverified".into()));
    assert!(seen["headline"].as_str().unwrap().contains("the targets could not be seen"), "{seen:#}");
    assert!(seen["headline"].as_str().unwrap().contains("2 of 5 alerts can never fire"), "{seen:#}");

    let (exit, seen) = told(forbidden("/api/v1/rules")).await;
    assert_eq!((exit, &seen["targets"]["verdict"]), (1, &"failed".into()));
    assert!(seen["headline"].as_str().unwrap().starts_with("the alerts could not be seen"), "{seen:#}");

    // Nothing can be asked of the series, so nothing is said of those that cannot be seen to be dead by themselves.
    let (_, seen) = told(forbidden("/api/v1/query")).await;
    let classes = |class: &str| {
        let alerts = seen["alerts"].as_array().unwrap().iter().filter(|alert| alert["class"] == class);
        alerts.map(|alert| alert["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(classes("never"), ["Swapped"], "{seen:#}");
    assert_eq!(classes("living"), ["Down"], "it is firing");
    assert_eq!(classes("undecided").len(), 3);

    let slow = Rules { slow: Some(("/api/v1/query", Duration::from_millis(300))), forbidden: vec![] };
    let (exit, seen) = told(slow).await;
    assert_eq!(exit, 1);
    assert!(seen["headline"].as_str().unwrap().starts_with("2 of 5 alerts can never fire"), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_no_healthy_server() {
    let mut world = World::start().await;
    world.prometheus.stop();
    let ended = world.audit(&["--write", "guard"]);
    assert_eq!(ended.exit, 3, "{}{}", ended.out, ended.err);
    assert!(
        ended.out.starts_with("the alerts could not be seen, the targets could not be seen"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("nothing is well enough to be guarded"), "{}", ended.out);
    assert!(!world.path("guard").exists());
}
