//! Which scenario runs when: each once those that it needs have ended, up to `jobs` side by side; its steps in order.

use super::Runner;
use crate::document::Scope;
use crate::model::{Event, Verdict};
use crate::record::RecordError;
use crate::scenario::{Plan, Scenario};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::Map;
use std::collections::BTreeMap;

/// What became of a scenario.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// `scenario#step` of its steps that failed.
    pub(super) failed: Vec<String>,
    /// Likewise of those that could not be decided.
    pub(super) unverified: Vec<String>,
}

impl Runner {
    /// Runs every scenario of the plan.
    pub(super) async fn side_by_side<'p>(
        &self,
        plan: &'p Plan,
    ) -> Result<BTreeMap<&'p str, Outcome>, RecordError> {
        let mut waiting: Vec<&Scenario> = plan.scenarios.iter().collect();
        let (mut ended, mut broken) = (BTreeMap::<&str, Outcome>::new(), None);
        let mut running = FuturesUnordered::new();
        loop {
            while broken.is_none() && running.len() < self.world.jobs.max(1) {
                let runs = |need: &str| plan.scenarios.iter().any(|scenario| scenario.id == need);
                let ready = |scenario: &&Scenario| {
                    let needs = &scenario.needs;
                    needs.iter().all(|(need, _)| ended.contains_key(need.as_str()) || !runs(need))
                };
                let Some(next) = waiting.iter().position(ready) else { break };
                let scenario = waiting.remove(next);
                let unmet = unmet(scenario, &ended);
                running.push(async move { (scenario, self.scenario(scenario, unmet).await) });
            }
            // Where evidence cannot be written nothing more is begun, but what is under way comes to its end: an act is
            // never cancelled.
            match running.next().await {
                Some((scenario, Ok(outcome))) => drop(ended.insert(scenario.id.as_str(), outcome)),
                Some((_, Err(error))) => broken = broken.or(Some(error)),
                None => return broken.map_or(Ok(ended), Err),
            }
        }
    }

    async fn scenario(&self, scenario: &Scenario, unmet: Option<String>) -> Result<Outcome, RecordError> {
        let began = self.world.clock.elapsed();
        let id = scenario.id.clone();
        self.event(Event::ScenarioStarted { scenario: id.clone() }, &[])?;
        let nothing = |verdict| Outcome { verdict, failed: vec![], unverified: vec![] };
        let (outcome, reason) = match (self.world.stop.reason(), unmet) {
            (Some(by), _) => (nothing(Verdict::Unverified), Some(format!("not reached: {by}"))),
            (None, Some(reason)) => (nothing(Verdict::Skipped), Some(reason)),
            (None, None) => (self.steps(scenario).await?, None),
        };
        let (seconds, verdict) = (self.seconds(began), outcome.verdict);
        self.event(Event::ScenarioEnded { scenario: id, verdict, reason, seconds }, &[])?;
        Ok(outcome)
    }

    async fn steps(&self, scenario: &Scenario) -> Result<Outcome, RecordError> {
        let mut scope =
            Scope { vars: scenario.vars.clone(), run: self.world.run.clone(), captures: Some(Map::new()) };
        let mut verdicts: BTreeMap<&str, Verdict> = BTreeMap::new();
        let (mut failed, mut unverified) = (vec![], vec![]);
        for step in &scenario.steps {
            let turn = if step.acts { self.turn().await } else { None };
            let verdict = match self.skip(step, &verdicts, &scope) {
                Some(skip) => self.skipped(scenario, step, skip)?,
                None => self.step(scenario, step, &mut scope, &verdicts).await?,
            };
            drop(turn);
            match verdict {
                Verdict::Failed => failed.push(format!("{}#{}", scenario.id, step.id)),
                Verdict::Unverified => unverified.push(format!("{}#{}", scenario.id, step.id)),
                Verdict::Passed | Verdict::Skipped => {}
            }
            verdicts.insert(&step.id, verdict);
        }
        Ok(Outcome { verdict: Verdict::fold(verdicts.into_values()), failed, unverified })
    }

    /// An act keeps other acts waiting: what one changes another may look at. None when it is time to stop.
    async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let mut stop = self.world.stop.clone();
        tokio::select! {
            biased;
            () = stop.stopped() => None,
            turn = self.turn.lock() => Some(turn),
        }
    }
}

/// The first need that keeps a scenario from running.
fn unmet(scenario: &Scenario, ended: &BTreeMap<&str, Outcome>) -> Option<String> {
    scenario.needs.iter().find_map(|(need, _)| {
        match ended.get(need.as_str()).map(|outcome| outcome.verdict) {
            Some(Verdict::Passed) => None,
            Some(verdict) => Some(format!("it needs `{need}`, which is {}", verdict.word())),
            None => Some(format!("it needs `{need}`, which was not run")),
        }
    })
}
