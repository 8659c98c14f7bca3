//! What is known of a run when it begins: what templates may name, and what `run.json` keeps.

use proofmark_environment::Environment;
use proofmark_model::clock::Clock;
use proofmark_model::{FORMAT, RunInfo};
use proofmark_net::machine::host;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What templates may name of a run.
pub(super) fn run_scope(clock: &Clock, operator: &str) -> Map<String, Value> {
    let now = clock.now();
    let scope = json!({ "started": now.to_string(), "date": now.strftime("%Y-%m-%d").to_string(), "operator": operator });
    scope.as_object().cloned().unwrap_or_default()
}

/// Describes a run that begins now, as far as it does not depend on a plan.
pub(super) fn run_info(
    command: &str,
    environment: &Environment,
    (run, operator, clock): (&str, &str, &Clock),
) -> RunInfo {
    RunInfo {
        proofmark: FORMAT.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        run: run.to_owned(),
        started: clock.now(),
        command: command.into(),
        environment: environment.file(),
        connections: environment.written(),
        scenarios: vec![],
        vars: BTreeMap::new(),
        allow: vec![],
        commit: None,
        programs: vec![],
        host: host(),
        operator: operator.to_owned(),
    }
}
