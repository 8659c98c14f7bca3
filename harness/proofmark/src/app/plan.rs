//! Reads scenarios and an environment, without touching anything.

use super::environment;
use super::info::run_scope;
use crate::kinds::registry;
use proofmark_engine::scenario::{Plan, Selection};
use proofmark_environment::Environment;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use serde_json::{Map, Value};
use std::path::Path;

/// Reads the plan and the environment as a run would, and checks the names of connections where an environment is given.
///
/// # Errors
/// Every mistake of every file.
pub fn plan(
    selection: &Selection,
    environment: Option<&Path>,
    clock: &Clock,
) -> Result<(Plan, Environment), Vec<Diag>> {
    let (plan, read) = load(selection, environment, &run_scope(clock, ""))?;
    // Without an environment there is nothing to compare the names with.
    if environment.is_some() {
        let (_, wrong) = plan.connections(&read);
        if !wrong.is_empty() {
            return Err(wrong);
        }
    }
    Ok((plan, read))
}

/// Reads the scenarios and the environment; `scope` is what templates may name of the run.
pub(super) fn load(
    selection: &Selection,
    file: Option<&Path>,
    scope: &Map<String, Value>,
) -> Result<(Plan, Environment), Vec<Diag>> {
    let read = file.map_or_else(|| Ok(Environment::default()), environment::load);
    both(proofmark_engine::scenario::plan(selection, scope, registry()), read)
}

/// A plan and its environment, or every mistake of both.
pub(super) fn both(
    plan: Result<Plan, Vec<Diag>>,
    environment: Result<Environment, Vec<Diag>>,
) -> Result<(Plan, Environment), Vec<Diag>> {
    match (plan, environment) {
        (Ok(plan), Ok(environment)) => Ok((plan, environment)),
        (plan, environment) => Err(plan.err().into_iter().chain(environment.err()).flatten().collect()),
    }
}
