//! One run, from its plan to its outcome.

use super::commit::CheckoutCommit;
use super::error::RunError;
use super::info::{run_info, run_scope};
use super::observer::{RunObserver, RunSinks};
use super::options::RunOptions;
use super::outcome::{RunOutcome, conclude};
use super::owed::refuse_while_owed;
use crate::kinds::registry;
use proofmark_engine::run::{Stop, World};
use proofmark_engine::scenario::{Plan, Scenario};
use proofmark_environment::{Environment, Systems};
use proofmark_evidence::record::Recorder;
use proofmark_model::clock::Clock;
use proofmark_model::diag::{Diag, Place};
use proofmark_model::redact::Redactor;
use proofmark_model::{Duration, FileHash, Permission, RunInfo};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A run of scenarios, whatever they come from.
pub(super) struct Execution<'a> {
    /// What `run.json` calls it.
    pub(super) command: &'a str,
    pub(super) options: &'a RunOptions,
    /// How many scenarios run side by side.
    pub(super) jobs: usize,
    pub(super) deadline: Option<Duration>,
    /// What the paths of scenarios that are part of the program begin with. A user cannot fix them, so no diagnostic
    /// shows a place in them.
    pub(super) inside: Option<&'a str>,
}

impl Execution<'_> {
    /// Plans, runs, reads back and reports. `load` gets what templates may name of the run; `commit` is called late, so
    /// that git can work in the meantime.
    pub(super) async fn perform(
        &self,
        load: impl FnOnce(&Map<String, Value>) -> Result<(Plan, Environment), Vec<Diag>>,
        commit: impl FnOnce() -> CheckoutCommit,
        (observer, clock): (&dyn RunObserver, &Clock),
    ) -> Result<RunOutcome, RunError> {
        let operator = self.options.operator();
        let scope = run_scope(clock, &operator);
        let redactor = Redactor::default();
        let ready = async {
            let (plan, environment) = load(&scope)?;
            let systems = self.systems(&plan, &environment, clock, redactor.clone()).await?;
            observer.confirm(&systems).map_err(|diag| vec![diag])?;
            Ok::<_, Vec<Diag>>((plan, environment, systems))
        };
        let (plan, environment, systems) = ready.await.map_err(|wrong| self.refused(wrong))?;
        refuse_while_owed(self.options, observer)?;
        let stop = Stop::listen(clock, self.deadline.map(|deadline| deadline.0)).map_err(|error| {
            self.refused(vec![Diag::new("no-signals", format!("signals cannot be listened to: {error}"))])
        })?;
        let RunSinks { events, progress } = observer.sinks();
        let mut recorder = Recorder::create(&self.options.evidence, clock, redactor, events)?;
        let info = self.info(&plan, &environment, (&recorder.run, &operator, clock));
        let CheckoutCommit { commit, program } = commit();
        let programs = systems.programs.iter().cloned().chain(program).collect();
        recorder.info(&RunInfo { commit, programs, ..info })?;
        let mut run = scope;
        run.insert("id".into(), json!(recorder.run));
        let (systems, clock) = (Arc::new(systems), clock.clone());
        let registry = registry().clone();
        let world = World { registry, systems, clock, stop, run, jobs: self.jobs, heard: progress };
        let ended = proofmark_engine::run::run(&plan, world, recorder).await?;
        conclude(self.options, &plan.exports(), ended)
    }

    fn refused(&self, wrong: Vec<Diag>) -> RunError {
        let shown = |place: &Place| self.inside.is_none_or(|inside| !place.source.path.starts_with(inside));
        let without_place = |diag: Diag| Diag { place: diag.place.filter(shown), ..diag };
        RunError::Refused(wrong.into_iter().map(without_place).collect())
    }

    async fn systems(
        &self,
        plan: &Plan,
        environment: &Environment,
        clock: &Clock,
        redactor: Redactor,
    ) -> Result<Systems, Vec<Diag>> {
        let allow = &self.options.allow;
        let (uses, mut wrong) = plan.connections(environment);
        wrong.extend(plan.permissions(allow, &environment.forbid).err().into_iter().flatten());
        let exec = allow.contains(&Permission::Exec) && !environment.forbid.contains(&Permission::Exec);
        if !wrong.is_empty() && exec {
            // A secret may come from a program, and nothing is to be touched.
            return Err(wrong);
        }
        match environment.resolve(&uses, exec, clock, redactor).await {
            Ok(systems) if wrong.is_empty() => Ok(systems),
            resolved => Err(wrong.into_iter().chain(resolved.err().into_iter().flatten()).collect()),
        }
    }

    fn info(&self, plan: &Plan, environment: &Environment, of: (&str, &str, &Clock)) -> RunInfo {
        let hash = |scenario: &Scenario| FileHash {
            path: scenario.document.source.path.clone(),
            sha256: scenario.sha256.clone(),
        };
        RunInfo {
            scenarios: plan.scenarios.iter().map(hash).collect(),
            vars: plan.scenarios.iter().map(|s| (s.id.clone(), Value::Object(s.vars.clone()))).collect(),
            allow: self.options.allow.iter().map(|permission| permission.word().to_owned()).collect(),
            ..run_info(self.command, environment, of)
        }
    }
}
