//! The way in measured: an audit of a thousand rules over a hundred thousand series beside what these rules cost the
//! server itself, and one `try` beside the request that it makes.

use super::side::{self, ROUNDS, Side, median};
use fixtures::{Answer, Prometheus, Server};
use proofmark_environment::{Connection, Systems};
use proofmark_model::clock::Clock;
use proofmark_net::Log;
use proofmark_net::http::Endpoint;
use proofmark_prometheus::client::{self as prometheus, Query};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SHARDS: usize = 1_000;
/// Of each shard: so many counters, and so many gauges.
const SERIES: usize = 50;
/// So often an audit is measured; each is thousands of queries.
const AUDITS: usize = 3;

/// All of it.
pub fn measure(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (odd, even) = (page(1), page(2));
    let shop = Arc::new(Server::start().on("/metrics", odd.clone()));
    let (fed, clock) = (shop.clone(), Clock::real());
    // The counters move, so that a rate is one.
    let feeder = runtime.spawn(async move {
        loop {
            for page in [&even, &odd] {
                clock.sleep(Duration::from_secs(10)).await;
                fed.set("/metrics", page.clone());
            }
        }
    });
    let rules = folder.join("rules.yml");
    fs::write(&rules, text()).unwrap();
    let real = Prometheus::start(&format!(
        "  - job_name: shop\n    scrape_interval: 10s\n    scrape_timeout: 9s\n    static_configs: [{{ targets: ['{}'] }}]\nrule_files: ['{}']\n",
        shop.url().replace("http://", ""),
        rules.display()
    ));
    let url = real.url();
    let cost = runtime.block_on(settled(&url));
    audited(&url, cost, folder);
    tried(&runtime, &url, folder);
    feeder.abort();
}

/// A page of a hundred thousand series.
fn page(value: usize) -> Answer {
    let mut text = String::new();
    for shard in 0..SHARDS {
        for n in 0..SERIES {
            let code = if n % 10 == 0 { 500 } else { 200 };
            let _ = writeln!(
                text,
                "requests_total{{shard=\"{shard}\",path=\"/{n}\",code=\"{code}\"}} {}",
                value * 7 + n
            );
            let _ = writeln!(text, "queue{{shard=\"{shard}\",worker=\"{n}\"}} {}", value + n);
        }
    }
    Answer::new(200, "text/plain; version=0.0.4", text)
}

/// A rule for each shard, of five forms.
fn text() -> String {
    let mut text = "groups:\n".to_owned();
    for shard in 0..SHARDS {
        if shard % 20 == 0 {
            let _ = write!(text, "  - name: g{shard}\n    interval: 10s\n    rules:\n");
        }
        let of = |more: &str| format!("{{shard=\"{shard}\"{more}}}");
        let expr = match shard % 5 {
            0 => format!(
                "sum by (shard) (rate(requests_total{}[1m])) / sum by (shard) (rate(requests_total{}[1m])) > 0.5",
                of(",code=\"500\""),
                of("")
            ),
            1 => format!("max by (instance) (queue{}) > 900", of("")),
            2 => format!("increase(requests_total{}[1m]) == 0", of("")),
            3 => format!("absent(requests_total{})", of("")),
            _ => format!("avg_over_time(queue{}[1m]) > 800 and on (instance) up == 1", of("")),
        };
        let _ = writeln!(text, "      - {{ alert: A{shard}, expr: '{expr}' }}");
    }
    text
}

/// What one evaluation of all rules costs the server, in seconds, once it has samples to work on: the median of some.
async fn settled(url: &str) -> f64 {
    let clock = Clock::real();
    let all = f64::from(u32::try_from(2 * SHARDS * SERIES).unwrap());
    while number(url, "count(requests_total) + count(queue)").await < Some(all) {
        assert!(clock.elapsed().as_secs() < 120, "the series are not there after two minutes");
        clock.sleep(Duration::from_millis(500)).await;
    }
    clock.sleep(Duration::from_secs(80)).await;
    let mut costs = Vec::new();
    for _ in 0..5 {
        costs.push(number(url, "sum(prometheus_rule_group_last_duration_seconds)").await.unwrap());
        clock.sleep(Duration::from_secs(10)).await;
    }
    median(costs)
}

async fn number(url: &str, query: &str) -> Option<f64> {
    let (clock, systems, log) = (Clock::real(), Systems::default(), Log::default());
    let connection = Connection { name: "prometheus".into(), url: Some(url.into()), ..Connection::default() };
    let wire = Endpoint {
        clock: &clock,
        systems: &systems,
        log: &log,
        connection: Some(&connection),
        timeout: Duration::from_secs(60),
    };
    let asked = Query { query, at: None, range: None, aside: true };
    prometheus::query(wire, &asked).await.unwrap().samples.first()?.value.0.as_f64()
}

fn audited(url: &str, cost: f64, folder: &Path) {
    let args = ["audit", "prometheus", "--url", url];
    let mut sides = [Side::new("audit", env!("CARGO_BIN_EXE_proofmark"), &args)];
    println!("An audit of {SHARDS} rules over {} series, medians of {AUDITS} rounds:", 2 * SHARDS * SERIES);
    side::measure(&mut sides, folder, AUDITS);
    sides.iter().for_each(Side::print);
    println!("  one evaluation costs the server {:.1} ms", cost * 1e3);
    let over = (sides[0].median() - 2.0).max(0.0);
    println!("  {:.1} times that and 2 s (bound 20), peak bound 64 MiB\n", over / cost);
}

fn tried(runtime: &tokio::runtime::Runtime, url: &str, folder: &Path) {
    let args = ["try", "prometheus-query", "query=up", "--url", url];
    let mut sides = [Side::new("try", env!("CARGO_BIN_EXE_proofmark"), &args)];
    side::measure(&mut sides, folder, ROUNDS);
    let mut requests = Vec::new();
    for _ in 0..ROUNDS {
        let clock = Clock::real();
        runtime.block_on(number(url, "up"));
        requests.push(clock.elapsed().as_secs_f64());
    }
    println!("One `try` beside the request that it makes, medians of {ROUNDS} rounds:");
    sides.iter().for_each(Side::print);
    let request = median(requests);
    println!("  the request {:.1} ms", request * 1e3);
    println!("  {:.1} ms more (bound 20)\n", (sides[0].median() - request) * 1e3);
}
