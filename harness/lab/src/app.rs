//! A small application that is watched: pages that answer JSON, and metrics that move with time.

use super::LabError;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use proofmark_model::Duration;
use proofmark_model::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// What an application answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppSpec {
    /// The job that Prometheus scrapes it under.
    pub job: String,
    /// JSON bodies by path; each is answered with status 200.
    #[serde(default)]
    pub pages: BTreeMap<String, Value>,
    /// A path that keeps what is posted to it, and gives it back: `{"posts": [{"query": …, "json": …}]}`.
    pub keeps: Option<String>,
    /// What `/metrics` says.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// One metric with one series.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge`, `histogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The help text; none leaves the line out.
    pub help: Option<String>,
    /// Its value when the application starts.
    #[serde(default)]
    pub value: f64,
    /// How much it grows in a second.
    #[serde(default)]
    pub per_second: f64,
    /// Instead of a value: a time that always lies so far back, as Unix seconds.
    pub age: Option<Duration>,
    /// Grows by one with each request for this path.
    pub counts: Option<String>,
    /// The bounds of a histogram, whose observations (as many as its value) are all below the first.
    #[serde(default)]
    pub buckets: Vec<f64>,
}

impl Metric {
    fn value(&self, clock: &Clock, asked: &BTreeMap<String, f64>) -> f64 {
        let counted = self.counts.as_ref().and_then(|path| asked.get(path)).copied().unwrap_or_default();
        match &self.age {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
            Some(age) => clock.now().as_second() as f64 - age.0.as_secs_f64(),
            None => self.value + counted + (self.per_second * clock.elapsed().as_secs_f64()).floor(),
        }
    }
}

/// A running application. Dropping it closes its port.
#[derive(Debug)]
pub(super) struct App {
    shared: Arc<Shared>,
    /// Ends the server by being dropped.
    _stop: oneshot::Sender<()>,
    /// `host:port`.
    pub(super) address: String,
}

#[derive(Debug)]
struct Shared {
    spec: Mutex<AppSpec>,
    /// How often each path was asked for.
    asked: Mutex<BTreeMap<String, f64>>,
    /// What was posted.
    posts: Mutex<Vec<Value>>,
    clock: Clock,
    /// How often its metrics were read.
    scrapes: watch::Sender<u64>,
}

impl App {
    /// Starts one on a free port of 127.0.0.1.
    pub(super) async fn start(spec: AppSpec) -> Result<Self, LabError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(LabError::io("opening a port"))?;
        let address = listener.local_addr().map_err(LabError::io("opening a port"))?.to_string();
        let shared = Arc::new(Shared {
            spec: Mutex::new(spec),
            asked: Mutex::default(),
            posts: Mutex::default(),
            clock: Clock::real(),
            scrapes: watch::Sender::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        });
        Ok(Self { shared, _stop: stop, address })
    }

    /// Waits until its metrics were read twice: whoever reads them has stored the first answer by then.
    pub(super) async fn scraped(&self, within: std::time::Duration) -> Result<(), LabError> {
        let mut scrapes = self.shared.scrapes.subscribe();
        let late = |_| LabError::Wrong(format!("nobody has scraped {} within {within:?}", self.address));
        let seen = tokio::time::timeout(within, scrapes.wait_for(|count| *count >= 2)).await;
        seen.map(drop).map_err(late)
    }

    /// Changes what it answers from now on.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut AppSpec) -> T) -> T {
        change(&mut self.shared.spec.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let spec = shared.spec.lock().unwrap_or_else(PoisonError::into_inner);
    let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
    *asked.entry(uri.path().to_owned()).or_default() += 1.0;
    // Without this a scraper would go on over its open connection after the port was closed.
    let close = (header::CONNECTION, "close");
    if uri.path() == "/metrics" {
        let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
        shared.scrapes.send_modify(|count| *count += 1);
        return ([close, kind], exposition(&spec, &shared.clock, &asked)).into_response();
    }
    let kind = (header::CONTENT_TYPE, "application/json");
    if spec.keeps.as_deref() == Some(uri.path()) {
        let mut posts = shared.posts.lock().unwrap_or_else(PoisonError::into_inner);
        if method == Method::POST {
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            let posted = serde_json::from_slice(&body).unwrap_or_else(|_| text());
            posts.push(json!({ "query": uri.query(), "json": posted }));
        }
        return ([close, kind], json!({ "posts": *posts }).to_string()).into_response();
    }
    match spec.pages.get(uri.path()) {
        Some(page) => ([close, kind], page.to_string()).into_response(),
        None => (StatusCode::NOT_FOUND, [close, kind], "{\"error\":\"not found\"}").into_response(),
    }
}

/// The metrics in the text format that Prometheus reads: the samples of one name stand together.
fn exposition(spec: &AppSpec, clock: &Clock, asked: &BTreeMap<String, f64>) -> String {
    let mut families: Vec<(&str, Vec<&Metric>)> = Vec::new();
    for metric in &spec.metrics {
        match families.iter_mut().find(|(name, _)| *name == metric.name) {
            Some((_, samples)) => samples.push(metric),
            None => families.push((&metric.name, vec![metric])),
        }
    }
    let mut text = String::new();
    for (name, samples) in families {
        if let Some(help) = samples.iter().find_map(|metric| metric.help.as_ref()) {
            let _ = writeln!(text, "# HELP {name} {help}");
        }
        let _ = writeln!(text, "# TYPE {name} {}", samples[0].kind);
        for metric in samples {
            series(&mut text, metric, metric.value(clock, asked));
        }
    }
    text
}

/// The one sample of a metric, or the many of a histogram.
fn series(text: &mut String, metric: &Metric, value: f64) {
    let (name, labels) = (&metric.name, braces(metric, None));
    let Some(first) = metric.buckets.first() else {
        let _ = writeln!(text, "{name}{labels} {value}");
        return;
    };
    for bound in metric.buckets.iter().map(f64::to_string).chain(["+Inf".to_owned()]) {
        let _ = writeln!(text, "{name}_bucket{} {value}", braces(metric, Some(&bound)));
    }
    let _ = writeln!(text, "{name}_sum{labels} {}\n{name}_count{labels} {value}", first * value);
}

/// The labels as they stand behind a name.
fn braces(metric: &Metric, bound: Option<&str>) -> String {
    let own = metric.labels.iter().map(|(key, value)| format!("{key}={value:?}"));
    let all: Vec<_> = own.chain(bound.map(|bound| format!("le={bound:?}"))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_move_with_the_clock() {
        let spec: AppSpec = serde_saphyr::from_str(
            "job: shop\nmetrics:\n  - { name: a_total, type: counter, help: A., value: 5, per-second: 2 }\n  \
             - { name: b, type: gauge, age: 1h }\n  - { name: a_total, type: counter, labels: { of: x } }\n",
        )
        .unwrap();
        let clock = Clock::told("2026-01-01T01:00:00Z".parse().unwrap());
        assert!(
            exposition(&spec, &clock, &BTreeMap::new())
                .contains("# HELP a_total A.\n# TYPE a_total counter\na_total 5\na_total{of=\"x\"} 0\n")
        );
        assert!(exposition(&spec, &clock, &BTreeMap::new()).ends_with("# TYPE b gauge\nb 1767225600\n"));
        let later = tokio::runtime::Builder::new_current_thread().build().unwrap();
        later.block_on(clock.sleep(std::time::Duration::from_secs(3)));
        assert!(exposition(&spec, &clock, &BTreeMap::new()).contains("\na_total 11\n"));
    }

    #[test]
    fn series_have_labels_buckets_and_count_requests() {
        let spec: AppSpec = serde_saphyr::from_str(
            "job: a\nmetrics:\n  - { name: h, type: histogram, value: 2, counts: /x, labels: { m: GET }, buckets: [0.5, 1] }\n",
        )
        .unwrap();
        let clock = Clock::told("2026-01-01T01:00:00Z".parse().unwrap());
        assert_eq!(
            exposition(&spec, &clock, &BTreeMap::from([("/x".into(), 1.0)])),
            "# TYPE h histogram\nh_bucket{m=\"GET\",le=\"0.5\"} 3\nh_bucket{m=\"GET\",le=\"1\"} 3\n\
             h_bucket{m=\"GET\",le=\"+Inf\"} 3\nh_sum{m=\"GET\"} 1.5\nh_count{m=\"GET\"} 3\n"
        );
    }
}
