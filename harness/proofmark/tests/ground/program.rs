//! The ground that the tests of whole runs stand on: a stand-in with a recorded answer and a page, and a desk that knows it.

use fixtures::{Answer, Desk, Server};

/// A check that passes at this desk, and fails at it with `via: none`.
pub const UP: &str = "check: { prometheus-query: { query: up } }";

pub fn server() -> Server {
    Server::start()
        .on("/api/v1/query", Answer::recorded("prometheus-3.5.3/query_vector.json"))
        .on("/none/api/v1/query", Answer::no_samples())
        .on("/page", Answer::json(r#"{"state": "ready", "version": 7, "list": [1, 2, 3], "none": []}"#))
}

/// A desk that knows a Prometheus, one that has nothing, one that is not there, and some pages.
pub fn desk(server: &Server) -> Desk {
    let url = server.url();
    let none = format!("{url}/none");
    let connections =
        [("prometheus", url.as_str()), ("pages", &url), ("none", &none), ("gone", "http://127.0.0.1:1")];
    Desk::new(env!("CARGO_BIN_EXE_proofmark"), &connections)
}
