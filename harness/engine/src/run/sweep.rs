//! Fulfils promises, newest first: at the end of a step or its scenario, and at the end of the run those that could not
//! be fulfilled before. Neither a signal nor a full disk stops it.

use super::attempt::{Operation, PollPolicy};
use super::order::Outcome;
use super::step::took;
use super::{Runner, rounded};
use crate::Memory;
use proofmark_evidence::record::RecordError;
use proofmark_evidence::undo::OpenPromise;
use proofmark_model::{Duration, Event, OwedChange, ScenarioInfo, StepRecord, Verdict};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// The owed changes as the scenarios of a recovery: newest first, each step once.
pub(super) fn owing(debts: &[OpenPromise]) -> Vec<ScenarioInfo> {
    let mut out: Vec<ScenarioInfo> = vec![];
    for promised in debts.iter().map(|debt| &debt.promised) {
        let at = out.iter().position(|scenario| scenario.id == promised.scenario).unwrap_or_else(|| {
            out.push(ScenarioInfo {
                id: promised.scenario.clone(),
                title: format!("Put back what {} changed", promised.scenario),
                claim: "What was changed and promised to be put back is as it was before.".into(),
                does_not_prove: None,
                file: String::new(),
                sha256: String::new(),
                steps: vec![],
                lines: vec![],
            });
            out.len() - 1
        });
        if !out[at].steps.iter().any(|(step, _)| *step == promised.step) {
            out[at].steps.push((promised.step.clone(), None));
        }
    }
    out
}

impl Runner {
    /// Puts back what earlier runs owe, newest first, and records it as scenarios whose steps are those that made the
    /// changes.
    pub(super) async fn recovered(&self, scenarios: &[ScenarioInfo]) -> Result<Vec<Outcome>, RecordError> {
        let began = self.world.clock.elapsed();
        for scenario in scenarios {
            self.event(Event::ScenarioStarted { scenario: scenario.id.clone() }, &[])?;
        }
        let mut verdicts = BTreeMap::<String, Verdict>::new();
        for debt in self.ledger.owed() {
            let back = self.keep(|open| *open == debt).await?;
            let name = format!("{}#{}", debt.promised.scenario, debt.promised.step);
            let before = verdicts.get(&name).copied();
            verdicts.insert(name, Verdict::fold(before.into_iter().chain(back)));
        }
        let mut outcomes = vec![];
        for scenario in scenarios {
            let names = scenario.steps.iter().map(|(step, _)| format!("{}#{step}", scenario.id));
            let outcome = Outcome::of(names.map(|name| {
                let verdict = verdicts.get(&name).copied().unwrap_or(Verdict::Unverified);
                (name, verdict)
            }));
            let (scenario, verdict) = (scenario.id.clone(), outcome.verdict);
            let seconds = self.seconds(began);
            self.event(Event::ScenarioEnded { scenario, verdict, reason: None, seconds }, &[])?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Puts back every open change for which `which` holds, newest first, and returns whether they are undone; `None`
    /// if nothing was owed.
    ///
    /// # Errors
    /// When evidence cannot be written. Every change was still attempted.
    pub(super) async fn keep(
        &self,
        which: impl Fn(&OpenPromise) -> bool,
    ) -> Result<Option<Verdict>, RecordError> {
        let (mut verdicts, mut broken) = (vec![], None);
        for debt in self.ledger.owed().iter().filter(|debt| which(debt)) {
            match self.put_back(debt).await {
                Ok(verdict) => verdicts.push(verdict),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        match broken {
            Some(error) => Err(error),
            None => Ok((!verdicts.is_empty()).then(|| Verdict::fold(verdicts))),
        }
    }

    async fn put_back(&self, debt: &OpenPromise) -> Result<Verdict, RecordError> {
        let promised = &debt.promised;
        let mut record = self.owing(debt);
        let patience = debt.undo.as_ref().map(|undo| self.world.registry.patience(&promised.kind, undo));
        let pace = PollPolicy {
            within: patience,
            hold: None,
            every: Duration::secs(1),
            timeout: promised.timeout,
            via: promised.via.clone(),
            evidence: None,
            not_secret: &[],
        };
        let judged =
            self.look(&pace, Operation::Revert { debt, memory: Memory::default() }, &mut record).await?;
        record.ended = self.world.clock.now();
        record.verdict = judged.verdict();
        record.findings = judged.findings;
        let kept = if record.verdict == Verdict::Passed { self.ledger.kept(debt) } else { Ok(()) };
        let clean = self.recorder().clean(&record, &[])?;
        let number = self.reverts.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}/{}~put-back-{number}.json", record.scenario, record.step);
        let ended = Event::Reverted {
            seconds: rounded(took(&record)),
            rounds: record.attempts.last().map_or(0, |attempt| attempt.round),
            scenario: record.scenario,
            step: record.step,
            kind: record.kind,
            of: debt.run.clone(),
            promise: promised.promise,
            verdict: record.verdict,
            file: String::new(),
            sha256: String::new(),
            findings: record.findings,
        };
        kept.and(self.recorder().step(name, clean, ended, &[])).map(|()| record.verdict)
    }

    fn owing(&self, debt: &OpenPromise) -> StepRecord {
        let (promised, now) = (&debt.promised, self.world.clock.now());
        let kind = self.world.registry.kind(&promised.kind, true);
        let undo = debt.undo.clone().unwrap_or_else(|| promised.undo.clone());
        StepRecord {
            acts: true,
            rules: kind.map(|kind| (kind.name.to_owned(), kind.rules)).into_iter().collect(),
            owed: Some(OwedChange { run: debt.run.clone(), promise: promised.promise, undo }),
            ..StepRecord::begun(&promised.scenario, &promised.step, promised.kind.clone(), now)
        }
    }
}
