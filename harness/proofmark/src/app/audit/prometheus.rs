//! Audits a Prometheus, and its Alertmanager where that is known. It is a run of embedded scenarios.

use super::guard::{WrittenGuard, free_to_write, write_guards};
use super::result::Audited;
use crate::app::commit::CheckoutCommit;
use crate::app::embedded::CommandOptions;
use crate::app::environment;
use crate::app::error::RunError;
use crate::app::execution::Execution;
use crate::app::observer::RunObserver;
use crate::app::outcome::RunOutcome;
use crate::kinds::registry;
use proofmark_engine::scenario::{Plan, embedded, embedded_id};
use proofmark_environment::Environment;
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What to audit.
#[derive(Debug, Clone, Default)]
pub struct AuditRequest {
    /// Where Prometheus listens: a URL, or `env:NAME` for the variable that holds it. Not looked at where there is an
    /// environment file.
    pub url: Option<String>,
    /// Where its Alertmanager listens, likewise. Default: the routes of alerts are not audited.
    pub alertmanager: Option<String>,
    /// The folder that gets scenarios which guard what is well. No file in it is overwritten.
    pub write: Option<PathBuf>,
    /// An environment file in place of the URLs, and how to run.
    pub command: CommandOptions,
}

/// The run, what it found, and what was written.
#[derive(Debug)]
pub struct AuditOutcome {
    /// The run; its exit code is 5 where the guards could not be written.
    pub outcome: RunOutcome,
    /// What was found.
    pub audited: Audited,
    /// The scenarios that were written. Empty where nothing is well enough; `None` where none were asked for.
    pub guards: Option<Vec<WrittenGuard>>,
    /// Why the scenarios could not be written.
    pub unwritten: Option<Diag>,
}

/// A role, and the scenario that asks its system.
const PROMETHEUS: (&str, &str, &str) =
    ("prometheus", "builtin/audit/prometheus.yaml", include_str!("../builtin/audit/prometheus.yaml"));
const ALERTMANAGER: (&str, &str, &str) =
    ("alertmanager", "builtin/audit/alertmanager.yaml", include_str!("../builtin/audit/alertmanager.yaml"));

/// Audits, and writes the guards if asked. It only reads the systems.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn audit(
    request: &AuditRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<AuditOutcome, RunError> {
    let options = &request.command.run;
    let inside = Some("builtin/audit/");
    let execution = Execution { command: "audit prometheus", options, jobs: 1, deadline: None, inside };
    let load = |scope: &Map<String, Value>| request.load(scope);
    let mut outcome = execution.perform(load, CheckoutCommit::default, (observer, clock)).await?;
    let audited = Audited::read(&outcome.run, embedded_id(PROMETHEUS.1), embedded_id(ALERTMANAGER.1));
    let at = outcome.run.info.as_ref().map(|info| info.started.to_string()).unwrap_or_default();
    let written = request.write.as_deref().map(|folder| write_guards(&audited, &at, folder));
    let (guards, unwritten) = match written.transpose() {
        Ok(guards) => (guards, None),
        Err(diag) => {
            outcome.exit = Exit::Evidence;
            (None, Some(diag))
        }
    };
    Ok(AuditOutcome { outcome, audited, guards, unwritten })
}

impl AuditRequest {
    fn load(&self, scope: &Map<String, Value>) -> Result<(Plan, Environment), Vec<Diag>> {
        let environment = self.environment()?;
        let known = |role: &str| environment.names().any(|name| name == role);
        let asked = [PROMETHEUS, ALERTMANAGER].into_iter();
        let mut plan = Plan { scenarios: vec![] };
        for (_, path, text) in asked.filter(|(role, ..)| *role == PROMETHEUS.0 || known(role)) {
            plan.scenarios.extend(embedded((path, text), &Map::new(), scope, registry())?.scenarios);
        }
        free_to_write(self.write.as_deref()).map_err(|diag| vec![diag])?;
        Ok((plan, environment))
    }

    fn environment(&self) -> Result<Environment, Vec<Diag>> {
        if let Some(file) = &self.command.environment {
            return environment::load(file);
        }
        let given = [(PROMETHEUS.0, &self.url), (ALERTMANAGER.0, &self.alertmanager)];
        let places: Vec<_> = given
            .iter()
            .filter_map(|(role, url)| Some(environment::typed_place(role, "--url", url.as_deref()?)))
            .collect();
        environment::of_places(&places)
    }
}
