//! Schedules scenarios: each runs once those that it needs have ended, up to `jobs` side by side; its steps run in
//! order.

use super::Runner;
use crate::scenario::{Plan, Scenario, Step};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use proofmark_environment::document::Scope;
use proofmark_evidence::record::RecordError;
use proofmark_evidence::undo::{OpenPromise, Until};
use proofmark_model::{Event, Verdict};
use serde_json::Map;
use std::collections::BTreeMap;

/// The result of a scenario.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// `scenario#step` of its failed steps.
    pub(super) failed: Vec<String>,
    /// `scenario#step` of its undecided steps.
    pub(super) unverified: Vec<String>,
}

impl Outcome {
    /// Folds the verdicts of steps named `scenario#step`.
    pub(super) fn of(steps: impl IntoIterator<Item = (String, Verdict)>) -> Self {
        let (mut verdicts, mut failed, mut unverified) = (vec![], vec![], vec![]);
        for (name, verdict) in steps {
            verdicts.push(verdict);
            match verdict {
                Verdict::Failed => failed.push(name),
                Verdict::Unverified => unverified.push(name),
                Verdict::Passed | Verdict::Skipped => {}
            }
        }
        Self { verdict: Verdict::fold(verdicts), failed, unverified }
    }
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
            // If evidence cannot be written, nothing more is begun, but work in progress is completed: an act is never
            // cancelled.
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
        for step in &scenario.steps {
            let turn = if step.acts { self.turn().await } else { None };
            let verdict = match self.skip(step, &verdicts, &scope) {
                Some(skip) => self.skipped(scenario, step, skip)?,
                None => self.step(scenario, step, &mut scope, &verdicts).await?,
            };
            let own =
                |debt: &OpenPromise| debt.is_of(&scenario.id, &step.id) && debt.promised.until == Until::Step;
            let back = self.keep(own).await?;
            drop(turn);
            verdicts.insert(&step.id, Verdict::fold([verdict].into_iter().chain(back)));
        }
        let waited = |debt: &OpenPromise| debt.promised.until == Until::Scenario;
        if self.ledger.owed().iter().any(|debt| debt.promised.scenario == scenario.id && waited(debt)) {
            let _turn = self.turn().await;
            for step in scenario.steps.iter().rev().filter(|step| step.acts) {
                let own = |debt: &OpenPromise| debt.is_of(&scenario.id, &step.id) && waited(debt);
                if let Some(back) = self.keep(own).await? {
                    let verdict = verdicts.entry(&step.id).or_insert(back);
                    *verdict = Verdict::fold([*verdict, back]);
                }
            }
        }
        let named = |step: &Step| (format!("{}#{}", scenario.id, step.id), verdicts[step.id.as_str()]);
        Ok(Outcome::of(scenario.steps.iter().map(named)))
    }

    /// Waits until no other act is changing something that this one may observe. `None` when it is time to stop.
    async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let mut stop = self.world.stop.clone();
        tokio::select! {
            biased;
            () = stop.stopped() => None,
            turn = self.turn.lock() => Some(turn),
        }
    }
}

/// Why a need that has not passed keeps the scenario from running; the first one.
fn unmet(scenario: &Scenario, ended: &BTreeMap<&str, Outcome>) -> Option<String> {
    scenario.needs.iter().find_map(|(need, _)| {
        match ended.get(need.as_str()).map(|outcome| outcome.verdict) {
            Some(Verdict::Passed) => None,
            Some(verdict) => Some(format!("it needs `{need}`, which is {}", verdict.word())),
            None => Some(format!("it needs `{need}`, which was not run")),
        }
    })
}
