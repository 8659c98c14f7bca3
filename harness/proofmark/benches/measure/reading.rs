//! Reading measured: a targets answer of 20 MB beside parsing it into a generic value, and a thousand rules whose
//! metrics must exist beside the plain rules and the queries they need.

#![expect(clippy::cast_precision_loss, reason = "sizes of some megabytes are exact in a float")]

use super::side::{self, ROUNDS, Side, median};
use fixtures::{Answer, Prometheus, Server};
use futures_util::stream::{self, StreamExt as _};
use proofmark::kinds::registry;
use proofmark_engine::Cx;
use proofmark_environment::{Connection, Systems};
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, Verdict};
use proofmark_net::Log;
use proofmark_prometheus::client as prometheus;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const TARGETS: usize = 20_000;
const RULES: usize = 1_000;

/// Asks this program to be the other side of a comparison: what `parse` does.
pub const PARSE: &str = "--parse";

/// Reads a file into a generic value.
pub fn parse(file: &Path) {
    let value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert!(value.is_object());
}

/// All of it.
pub fn measure(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("Medians of {ROUNDS} rounds, both sides in turn, one warm-up before.\n");
    let answer = targets_answer();
    let server = Server::start().on("/api/v1/targets", Answer::json(answer.clone()));
    runtime.block_on(targets_beside_a_generic_value(&server, &answer));
    targets_in_a_whole_run(&server, &answer, folder);
    runtime.block_on(a_thousand_rules(folder));
}

/// A context in which this URL is `prometheus`.
fn context(url: String) -> Cx {
    let mut systems = Systems::default();
    let connection = Connection { name: "prometheus".into(), url: Some(url), ..Connection::default() };
    systems.connections.insert("prometheus".into(), connection);
    let (clock, log) = (Clock::real(), Log::default());
    Cx { clock, systems: Arc::new(systems), via: BTreeMap::new(), log, timeout: Duration::secs(60) }
}

/// One look and its judgement, as a run makes them; how long that took.
async fn look(cx: &Cx, kind: Value) -> (f64, Verdict, Value) {
    let check = registry().check_of_json(&kind).unwrap();
    let clock = Clock::real();
    let seen = check.observe(cx).await.unwrap();
    let findings = check.judge(&seen, cx.clock.now());
    let verdict = Verdict::fold(findings.iter().map(|finding| finding.verdict));
    let seconds = clock.elapsed().as_secs_f64();
    cx.log.take();
    cx.log.take_answer();
    (seconds, verdict, seen)
}

/// Twenty thousand targets as a service discovery of Kubernetes labels them.
fn targets_answer() -> Vec<u8> {
    let target = |n: usize| {
        let mut discovered = String::new();
        for label in 0..12 {
            let _ =
                write!(discovered, r#""__meta_kubernetes_pod_label_number_{label}":"value {n} of {label}","#);
        }
        format!(
            r#"{{"discoveredLabels":{{{discovered}"__address__":"10.0.0.1:{n}","job":"node"}},"labels":{{"instance":"10.0.0.1:{n}","job":"node","namespace":"monitoring","pod":"node-exporter-{n}"}},"scrapePool":"serviceMonitor/monitoring/node/0","scrapeUrl":"http://10.0.0.1:{n}/metrics","globalUrl":"http://10.0.0.1:{n}/metrics","lastError":"","lastScrape":"2026-11-20T16:51:52.638834005Z","lastScrapeDuration":0.004187923,"health":"up","scrapeInterval":"30s","scrapeTimeout":"10s"}}"#
        )
    };
    let list = (0..TARGETS).map(target).collect::<Vec<_>>().join(",");
    format!(r#"{{"status":"success","data":{{"activeTargets":[{list}],"droppedTargets":[]}}}}"#).into_bytes()
}

async fn targets_beside_a_generic_value(server: &Server, answer: &[u8]) {
    let cx = context(server.url());
    let (mut own, mut generic) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (seconds, verdict, _) =
            look(&cx, json!({ "prometheus-targets": { "count": { "equals": TARGETS } } })).await;
        assert_eq!(verdict, Verdict::Passed);
        let clock = Clock::real();
        let value: Value = serde_json::from_slice(answer).unwrap();
        let parsed = clock.elapsed().as_secs_f64();
        assert!(value.is_object());
        if round > 0 {
            own.push(seconds);
            generic.push(parsed);
        }
    }
    let (own, generic) = (median(own), median(generic));
    println!("a targets answer of {:.1} MB with {TARGETS} targets:", answer.len() as f64 / 1e6);
    println!("  fetched, read and judged  {:>8.1} ms", own * 1e3);
    println!("  parsed generically        {:>8.1} ms", generic * 1e3);
    println!("  ratio {:.2} (bound 3.00)\n", own / generic);
}

/// The same in a whole run that keeps evidence and reports, with the memory that it takes.
fn targets_in_a_whole_run(server: &Server, answer: &[u8], folder: &Path) {
    let (scenario, environment, body) =
        (folder.join("targets.yaml"), folder.join("environment.yaml"), folder.join("targets.json"));
    let text = "proofmark: v1\ntitle: Targets\nclaim: They are up.\nsteps:\n  - id: targets\n    check:\n      prometheus-targets: {}\n    timeout: 60s\n";
    fs::write(&scenario, text).unwrap();
    fs::write(
        &environment,
        json!({"proofmark": "v1", "connections": {"prometheus": {"url": server.url()}}}).to_string(),
    )
    .unwrap();
    fs::write(&body, answer).unwrap();
    let this = std::env::current_exe().unwrap();
    let mut sides = [
        Side::run("proofmark", &scenario, Some(&environment), 1),
        Side::new("generic", this, &[PARSE, body.to_str().unwrap()]),
    ];
    println!(
        "the same as a whole run with evidence and reports, beside reading the file into a generic value:"
    );
    side::measure(&mut sides, folder, ROUNDS);
    sides.iter().for_each(Side::print);
    println!(
        "  peak {:.1} times the answer (bound 6.0)\n",
        sides[0].peak_mib() as f64 * 1_048_576.0 / answer.len() as f64
    );
}

/// Rules on a real Prometheus, two selectors in each, most of them its own.
async fn a_thousand_rules(folder: &Path) {
    let mut text = "groups:\n".to_owned();
    for group in 0..RULES / 20 {
        let _ = write!(text, "  - name: g{group}\n    interval: 10s\n    rules:\n");
        for rule in 0..20 {
            let n = group * 20 + rule;
            let _ = writeln!(
                text,
                "      - {{ alert: A{n}, expr: 'rate(prometheus_http_requests_total{{job!=\"j{n}\"}}[5m]) > {n} and on() up{{job!=\"k{n}\"}} == 0' }}"
            );
        }
    }
    let file = folder.join("rules.yml");
    fs::write(&file, text).unwrap();
    let real = Prometheus::start(&format!("rule_files: ['{}']\n", file.display()));
    let cx = context(real.url());
    let exist = json!({ "prometheus-rules": { "metrics-exist": true } });
    let clock = Clock::real();
    while look(&cx, exist.clone()).await.1 != Verdict::Passed {
        assert!(clock.elapsed().as_secs() < 60, "the rules are not well after a minute");
        clock.sleep(std::time::Duration::from_millis(500)).await;
    }
    let seen = look(&cx, exist.clone()).await.2;
    let rules =
        seen["rules"].as_array().unwrap().iter().map(|rule| rule["query"].as_str().unwrap().to_owned());
    let queries: BTreeSet<String> = rules
        .flat_map(|query| proofmark_prometheus::promql::selectors::selectors(&query).unwrap())
        .map(|it| it.count)
        .collect();
    let (mut own, mut plain, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let whole = look(&cx, exist.clone()).await.0;
        let rules = look(&cx, json!({ "http": { "get": format!("{}/api/v1/rules", real.url()) } })).await.0;
        let clock = Clock::real();
        let wire = cx.wire("prometheus").unwrap();
        let held = stream::iter(&queries).map(|query| prometheus::held(wire, query)).buffer_unordered(10);
        assert_eq!(held.count().await, queries.len());
        let needed = clock.elapsed().as_secs_f64();
        cx.log.take();
        if round > 0 {
            own.push(whole);
            plain.push(rules);
            asked.push(needed);
        }
    }
    let (own, plain, asked) = (median(own), median(plain), median(asked));
    println!("{RULES} rules with {} different selectors that must have series:", queries.len());
    println!("  looked at and judged      {:>8.1} ms", own * 1e3);
    println!("  plain /api/v1/rules       {:>8.1} ms", plain * 1e3);
    println!("  the queries, ten at once  {:>8.1} ms", asked * 1e3);
    println!("  ratio {:.2} of (3 x plain + queries) (bound 1.00)", own / (3.0 * plain + asked));
}
