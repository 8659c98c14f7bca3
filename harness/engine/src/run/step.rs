//! Runs one step and writes its file.

use super::attempt::{Operation, PollPolicy};
use super::{Runner, rounded};
use crate::scenario::{Judged, ResolvedStep, Scenario, Step, StepOperation};
use crate::{Cx, Memory};
use proofmark_environment::document::Scope;
use proofmark_evidence::record::RecordError;
use proofmark_evidence::undo::PromiseContext;
use proofmark_model::{Attempt, CodedError, ErrorCode, Event, StepRecord, Verdict};
use proofmark_net::Log;
use serde_json::json;
use std::collections::BTreeMap;

/// Why a step does not run.
pub(super) enum Skip {
    /// It is skipped on purpose.
    Skipped(String),
    /// The run did not reach it.
    NotReached(String),
}

impl Runner {
    /// Decides whether to skip a step. It skips steps that use a capture that no step made, and acts after a step that
    /// did not pass.
    pub(super) fn skip(&self, step: &Step, before: &BTreeMap<&str, Verdict>, scope: &Scope) -> Option<Skip> {
        if let Some(by) = self.world.stop.reason() {
            return Some(Skip::NotReached(format!("not reached: {by}")));
        }
        let now = self.world.clock.now();
        if let Some(left_out) = step.skip.as_ref().filter(|left_out| now < left_out.until) {
            return Some(Skip::Skipped(format!("{} (until {})", left_out.reason, left_out.until)));
        }
        let made =
            |name: &String| scope.captures.as_ref().is_some_and(|captures| captures.contains_key(name));
        if let Some(missing) = step.uses.iter().find(|name| !made(name)) {
            return Some(Skip::Skipped(format!("it uses the capture `{missing}`, which no step made")));
        }
        if !step.acts {
            return None;
        }
        let broken =
            before.iter().find(|(_, verdict)| matches!(verdict, Verdict::Failed | Verdict::Unverified));
        let (id, verdict) = broken?;
        Some(Skip::Skipped(format!(
            "nothing is changed after a step that did not pass: `{id}` is {}",
            verdict.word()
        )))
    }

    pub(super) fn skipped(
        &self,
        scenario: &Scenario,
        step: &Step,
        skip: Skip,
    ) -> Result<Verdict, RecordError> {
        let (verdict, reason) = match skip {
            Skip::Skipped(reason) => (Verdict::Skipped, reason),
            Skip::NotReached(reason) => (Verdict::Unverified, reason),
        };
        let kind = step.kinds.first().map(|kind| kind.name.to_owned()).unwrap_or_default();
        let mut record = self.record(scenario, step, &BTreeMap::new(), kind);
        record.verdict = verdict;
        record.reason = Some(reason);
        let clean = self.recorder().clean(&record, &step.not_secret)?;
        self.close(scenario, step, record, clean)
    }

    pub(super) async fn step(
        &self,
        scenario: &Scenario,
        step: &Step,
        scope: &mut Scope,
        before: &BTreeMap<&str, Verdict>,
    ) -> Result<Verdict, RecordError> {
        let kind = step.kinds.first().map(|kind| kind.name.to_owned()).unwrap_or_default();
        let mut record = self.record(scenario, step, before, kind);
        let filled = step.fill(&scenario.document, scope, &self.world.registry);
        if let Ok(filled) = &filled {
            record.kind = filled.kind();
            record.rules =
                filled.doing.kinds().iter().map(|kind| (kind.name.to_owned(), kind.rules)).collect();
            record.settings = filled.settings();
            record.expect = filled.expect.iter().map(|expect| json!(expect)).collect();
        }
        let started = Event::StepStarted {
            scenario: scenario.id.clone(),
            step: step.id.clone(),
            kind: record.kind.clone(),
        };
        self.event(started, &step.not_secret)?;
        let judged = match filled {
            Ok(filled) => self.looked(scenario, step, &filled, &mut record).await?,
            Err(wrong) => {
                let said: Vec<String> = wrong.iter().map(said).collect();
                let error = CodedError::new(ErrorCode::BadSettings, said.join("; "));
                record.attempts = vec![not_tried(record.started, &error)];
                self.judge(&record, &step.not_secret)?
            }
        };
        record.ended = self.world.clock.now();
        record.verdict = judged.verdict();
        record.findings = judged.findings;
        record.chosen = judged.chosen;
        if let Some(captures) = &mut scope.captures {
            captures.extend(judged.captures);
        }
        let clean = self.recorder().clean(&record, &step.not_secret)?;
        self.close(scenario, step, record, clean)
    }

    async fn looked(
        &self,
        scenario: &Scenario,
        step: &Step,
        filled: &ResolvedStep,
        record: &mut StepRecord,
    ) -> Result<Judged, RecordError> {
        let timeout = step.timeout.unwrap_or(filled.doing.timeout());
        let mut pace = PollPolicy {
            within: step.within,
            hold: step.hold,
            every: step.every,
            timeout,
            via: step.named(&filled.doing.kinds()),
            evidence: step.evidence.as_deref(),
            not_secret: &step.not_secret,
        };
        match &filled.doing {
            StepOperation::Check(checks) => {
                self.look(&pace, Operation::Check { checks, first_of: filled.first_of }, record).await
            }
            StepOperation::Act(act) => {
                pace.within = pace.within.or(act.within());
                let by = PromiseContext {
                    scenario: scenario.id.clone(),
                    step: step.id.clone(),
                    kind: act.info().name,
                    via: pace.via.clone(),
                    timeout,
                    until: step.until.unwrap_or(act.until()),
                };
                self.look(
                    &pace,
                    Operation::Act { act: act.as_ref(), by: &by, done: None, memory: Memory::default() },
                    record,
                )
                .await
            }
        }
    }

    fn record(
        &self,
        scenario: &Scenario,
        step: &Step,
        before: &BTreeMap<&str, Verdict>,
        kind: String,
    ) -> StepRecord {
        let control = step.control.as_ref();
        StepRecord {
            title: step.title.clone(),
            acts: step.acts,
            capture: step.capture.iter().map(|(name, path)| (name.clone(), path.to_string())).collect(),
            control: control.and_then(|id| before.get(id.as_str()).map(|verdict| (id.clone(), *verdict))),
            hold: step.hold,
            ..StepRecord::begun(&scenario.id, &step.id, kind, self.world.clock.now())
        }
    }

    pub(super) fn context(&self, pace: &PollPolicy<'_>, record: &StepRecord) -> Cx {
        let (clock, systems) = (self.world.clock.clone(), self.world.systems.clone());
        let log = self.world.heard.clone().map_or_else(Log::default, |heard| {
            let (scenario, step) = (record.scenario.clone(), record.step.clone());
            Log::heard(move |far| heard(&scenario, &step, far))
        });
        Cx { clock, systems, via: pace.via.clone(), log, timeout: pace.timeout }
    }

    /// Judges a record as it will be kept: cleaned, serialised and read back.
    pub(super) fn judge(&self, record: &StepRecord, not_secret: &[String]) -> Result<Judged, RecordError> {
        let clean = self.recorder().clean(record, not_secret)?;
        Ok(crate::scenario::judge(&serde_json::to_vec(clean.get())?, &self.world.registry)?)
    }

    fn close(
        &self,
        scenario: &Scenario,
        step: &Step,
        record: StepRecord,
        clean: proofmark_model::redact::Clean,
    ) -> Result<Verdict, RecordError> {
        let seconds = took(&record);
        let verdict = record.verdict;
        let ended = Event::StepEnded {
            scenario: scenario.id.clone(),
            step: step.id.clone(),
            kind: record.kind,
            verdict,
            reason: record.reason,
            seconds,
            rounds: record.attempts.last().map_or(0, |attempt| attempt.round),
            file: String::new(),
            sha256: String::new(),
            findings: record.findings,
        };
        let name = format!("{}/{}.json", scenario.id, step.id);
        self.recorder().step(name, clean, ended, &step.not_secret)?;
        Ok(verdict)
    }
}

/// The duration of a step in seconds: from its start to its end, or the sum of its attempts, whichever is longer.
pub(super) fn took(record: &StepRecord) -> f64 {
    let millis = record.ended.as_millisecond() - record.started.as_millisecond();
    let took: f64 = record.attempts.iter().map(|attempt| attempt.seconds).sum();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one step fit")]
    rounded(f64::max(millis as f64 / 1000.0, took))
}

fn said(diag: &proofmark_model::diag::Diag) -> String {
    let place = diag.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    let help = diag.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{place}{}{help}", diag.message)
}

pub(super) fn not_tried(at: jiff::Timestamp, error: &CodedError) -> Attempt {
    Attempt {
        round: 1,
        candidate: None,
        at,
        seconds: 0.0,
        requests: vec![],
        error: Some(error.to_string()),
        code: Some(error.code),
        observation: None,
        same_as: None,
        verdict: Verdict::Unverified,
    }
}
