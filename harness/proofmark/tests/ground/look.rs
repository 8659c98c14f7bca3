//! The ground that the tests of clients and kinds stand on: a context for one connection, and one look through a kind.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use proofmark::kinds::registry;
use proofmark_engine::{Cx, StepError};
use proofmark_environment::{Connection, Systems};
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, Finding, Verdict};
use proofmark_net::Log;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A context in which this connection serves the roles `prometheus` and `alertmanager`.
pub fn with(connection: Connection, timeout: Duration) -> Cx {
    let mut systems = Systems::default();
    systems.connections.insert("alertmanager".into(), connection.clone());
    systems.connections.insert("prometheus".into(), connection);
    Cx {
        clock: Clock::real(),
        systems: Arc::new(systems),
        via: BTreeMap::new(),
        log: Log::default(),
        timeout,
    }
}

/// The same for a connection that is only a URL.
pub fn cx(url: &str) -> Cx {
    let connection = Connection { name: "prometheus".into(), url: Some(url.into()), ..Connection::default() };
    with(connection, Duration::secs(5))
}

/// What one look saw and what was concluded from it.
#[derive(Debug)]
pub struct Look {
    pub seen: Value,
    pub findings: Vec<Finding>,
    pub verdict: Verdict,
}

/// Looks once, and judges what was written down of it: settings and observation go through JSON, as in a run.
pub async fn look(cx: &Cx, kind: Value) -> Result<Look, StepError> {
    let check = registry().check_of_json(&kind).unwrap();
    assert_eq!(check.mistake(), None);
    let written = check.settings().to_string();
    let seen = check.observe(cx).await?;
    let read = registry().check_of(check.info().name, &serde_json::from_str(&written).unwrap()).unwrap();
    let findings = read.judge(&serde_json::from_str(&seen.to_string()).unwrap(), cx.clock.now());
    let verdict = Verdict::fold(findings.iter().map(|finding| finding.verdict));
    Ok(Look { seen, findings, verdict })
}
