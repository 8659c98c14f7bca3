//! A small application that is watched: pages that answer JSON, and metrics that move with time.

use super::LabError;
use crate::clock::Clock;
use crate::model::Duration;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
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
    /// What `/metrics` says.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// One metric with one sample.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge`.
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
}

impl Metric {
    fn value(&self, clock: &Clock) -> f64 {
        match &self.age {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
            Some(age) => clock.now().as_second() as f64 - age.0.as_secs_f64(),
            None => self.value + (self.per_second * clock.elapsed().as_secs_f64()).floor(),
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
        let shared =
            Arc::new(Shared { spec: Mutex::new(spec), clock: Clock::real(), scrapes: watch::Sender::new(0) });
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

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let spec = shared.spec.lock().unwrap_or_else(PoisonError::into_inner);
    // Without this a scraper would go on over its open connection after the port was closed.
    let close = (header::CONNECTION, "close");
    if uri.path() == "/metrics" {
        let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
        shared.scrapes.send_modify(|count| *count += 1);
        return ([close, kind], exposition(&spec, &shared.clock)).into_response();
    }
    let kind = (header::CONTENT_TYPE, "application/json");
    match spec.pages.get(uri.path()) {
        Some(page) => ([close, kind], page.to_string()).into_response(),
        None => (StatusCode::NOT_FOUND, [close, kind], "{\"error\":\"not found\"}").into_response(),
    }
}

/// The metrics in the text format that Prometheus reads: the samples of one name stand together.
fn exposition(spec: &AppSpec, clock: &Clock) -> String {
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
            let labels: Vec<String> =
                metric.labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{labels} {}", metric.value(clock));
        }
    }
    text
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
            exposition(&spec, &clock)
                .contains("# HELP a_total A.\n# TYPE a_total counter\na_total 5\na_total{of=\"x\"} 0\n")
        );
        assert!(exposition(&spec, &clock).ends_with("# TYPE b gauge\nb 1767225600\n"));
        let later = tokio::runtime::Builder::new_current_thread().build().unwrap();
        later.block_on(clock.sleep(std::time::Duration::from_secs(3)));
        assert!(exposition(&spec, &clock).contains("\na_total 11\n"));
    }
}
