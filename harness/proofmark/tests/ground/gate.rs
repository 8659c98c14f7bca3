//! A gate before a real server: it forbids some paths, is slow on others, and counts how many requests are under way.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a gate is slow on purpose")]

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// What the gate does.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Paths that are answered with 403.
    pub forbidden: Vec<&'static str>,
    /// Paths that are answered only after this time.
    pub slow: Option<(&'static str, Duration)>,
}

#[derive(Debug)]
struct Kept {
    server: String,
    rules: Rules,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// A running gate; gone when it is dropped.
pub struct Gate {
    pub url: String,
    kept: Arc<Kept>,
    task: JoinHandle<()>,
}

impl Gate {
    pub async fn before(server: &str, rules: Rules) -> Self {
        // Another gate of this process may have.
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (under_way, most) = Default::default();
        let kept = Arc::new(Kept { server: server.to_owned(), rules, under_way, most });
        let app = axum::Router::new().fallback(pass).with_state(kept.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, kept, task }
    }

    /// The most requests that were ever under way at once.
    pub fn most(&self) -> usize {
        self.kept.most.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(kept): State<Arc<Kept>>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    if kept.rules.forbidden.iter().any(|forbidden| path.starts_with(forbidden)) {
        return Response::builder().status(403).body(Body::from("not for you")).unwrap();
    }
    let now = kept.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    kept.most.fetch_max(now, Ordering::SeqCst);
    if let Some((_, time)) = kept.rules.slow.filter(|(slow, _)| path.starts_with(slow)) {
        tokio::time::sleep(time).await;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let client = reqwest::Client::new().request(parts.method, format!("{}{path}", kept.server));
    let asked = client.header("content-type", "application/x-www-form-urlencoded").body(body);
    let answer = asked.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "date"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    let body = answer.bytes().await.unwrap();
    kept.under_way.fetch_sub(1, Ordering::SeqCst);
    response.body(Body::from(body)).unwrap()
}
