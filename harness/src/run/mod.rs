//! Runs a plan: scenarios in order, the steps of each in order, every look kept. It ends by reading nothing but what
//! it wrote.

mod attempt;
mod stop;

pub use stop::Stop;

use crate::clients::Log;
use crate::clock::Clock;
use crate::document::Scope;
use crate::environment::Systems;
use crate::model::{Attempt, Event, Exit, FORMAT, Line, StepRecord, Verdict};
use crate::record::{RecordError, Recorder};
use crate::scenario::{Filled, Judged, Plan, Scenario, Step};
use crate::steps::Cx;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a run needs besides its plan and its recorder.
pub struct World<'a> {
    /// The connections.
    pub systems: Arc<Systems>,
    /// What time it is.
    pub clock: Clock,
    /// Says when to stop.
    pub stop: Stop,
    /// What templates may name of the run.
    pub run: Map<String, Value>,
    /// Is told every event as it was written.
    pub tell: Box<dyn FnMut(&Line) + Send + 'a>,
}

/// How a run ended, as it was written.
#[derive(Debug)]
pub struct Ended {
    /// The run's folder.
    pub folder: PathBuf,
    /// The last event.
    pub line: Line,
    /// The exit code.
    pub exit: Exit,
}

struct Runner<'a> {
    world: World<'a>,
    recorder: Recorder,
    failed: Vec<String>,
    unverified: Vec<String>,
}

/// Runs the plan and seals the folder.
///
/// # Errors
/// When evidence cannot be written; nothing more is run then.
pub async fn run(plan: &Plan, world: World<'_>, recorder: Recorder) -> Result<Ended, RecordError> {
    let mut runner = Runner { world, recorder, failed: vec![], unverified: vec![] };
    let began = runner.world.clock.elapsed();
    let scenarios = plan.scenarios.iter().map(Scenario::info).collect();
    let run = runner.recorder.run.clone();
    runner.event(Event::RunStarted { run, scenarios }, &[])?;
    let mut verdicts = BTreeMap::new();
    for scenario in &plan.scenarios {
        let verdict = runner.scenario(scenario, &verdicts).await?;
        verdicts.insert(scenario.id.as_str(), verdict);
    }
    let verdict = Verdict::fold(verdicts.into_values());
    // Asked once: a signal after this comes too late to have interrupted anything.
    let (by, by_signal) = (runner.world.stop.reason(), runner.world.stop.by_signal());
    let by_signal = by.is_some() && by_signal;
    if let Some(by) = by {
        runner.event(Event::Interrupted { by }, &[])?;
    }
    let exit = Exit::of(verdict, false, by_signal);
    let seconds = runner.seconds(began);
    let (failed, unverified) = (std::mem::take(&mut runner.failed), std::mem::take(&mut runner.unverified));
    let line = runner.event(Event::RunEnded { verdict, exit, failed, unverified, seconds }, &[])?;
    let folder = runner.recorder.seal(verdict, exit)?;
    Ok(Ended { folder, line, exit })
}

/// Why a step is not run.
enum Skip {
    /// It was left out on purpose.
    Skipped(String),
    /// Nobody came to it.
    NotReached(String),
}

impl Runner<'_> {
    fn event(&mut self, event: Event, open: &[String]) -> Result<Line, RecordError> {
        let line = self.recorder.event(event, open)?;
        (self.world.tell)(&line);
        Ok(line)
    }

    fn seconds(&self, began: std::time::Duration) -> f64 {
        rounded((self.world.clock.elapsed().saturating_sub(began)).as_secs_f64())
    }

    async fn scenario(
        &mut self,
        scenario: &Scenario,
        before: &BTreeMap<&str, Verdict>,
    ) -> Result<Verdict, RecordError> {
        let began = self.world.clock.elapsed();
        let id = scenario.id.clone();
        self.event(Event::ScenarioStarted { scenario: id.clone() }, &[])?;
        let broken = scenario.needs.iter().find_map(|(need, _)| match before.get(need.as_str()) {
            Some(Verdict::Passed) => None,
            Some(verdict) => Some(format!("it needs `{need}`, which is {}", verdict.word())),
            None => Some(format!("it needs `{need}`, which was not run")),
        });
        let (verdict, reason) = match (self.world.stop.reason(), broken) {
            (Some(by), _) => (Verdict::Unverified, Some(format!("not reached: {by}"))),
            (None, Some(reason)) => (Verdict::Skipped, Some(reason)),
            (None, None) => (self.steps(scenario).await?, None),
        };
        let seconds = self.seconds(began);
        self.event(Event::ScenarioEnded { scenario: id, verdict, reason, seconds }, &[])?;
        Ok(verdict)
    }

    async fn steps(&mut self, scenario: &Scenario) -> Result<Verdict, RecordError> {
        let mut scope =
            Scope { vars: scenario.vars.clone(), run: self.world.run.clone(), captures: Some(Map::new()) };
        let mut verdicts: BTreeMap<&str, Verdict> = BTreeMap::new();
        for step in &scenario.steps {
            let verdict = match self.skip(step, &verdicts, &scope) {
                Some(skip) => self.skipped(scenario, step, skip)?,
                None => self.step(scenario, step, &mut scope, &verdicts).await?,
            };
            match verdict {
                Verdict::Failed => self.failed.push(format!("{}#{}", scenario.id, step.id)),
                Verdict::Unverified => self.unverified.push(format!("{}#{}", scenario.id, step.id)),
                Verdict::Passed | Verdict::Skipped => {}
            }
            verdicts.insert(&step.id, verdict);
        }
        Ok(Verdict::fold(verdicts.into_values()))
    }

    /// After a step that did not pass, acts and the steps that use a capture it did not make are skipped.
    fn skip(&self, step: &Step, before: &BTreeMap<&str, Verdict>, scope: &Scope) -> Option<Skip> {
        if let Some(by) = self.world.stop.reason() {
            return Some(Skip::NotReached(format!("not reached: {by}")));
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

    fn skipped(&mut self, scenario: &Scenario, step: &Step, skip: Skip) -> Result<Verdict, RecordError> {
        let (verdict, reason) = match skip {
            Skip::Skipped(reason) => (Verdict::Skipped, reason),
            Skip::NotReached(reason) => (Verdict::Unverified, reason),
        };
        let kind = step.kinds.first().map(|kind| kind.name.to_owned()).unwrap_or_default();
        let mut record = self.record(scenario, step, &BTreeMap::new(), kind);
        record.verdict = verdict;
        record.reason = Some(reason);
        let clean = self.recorder.clean(&record, &step.not_secret)?;
        self.keep(scenario, step, record, &clean)
    }

    async fn step(
        &mut self,
        scenario: &Scenario,
        step: &Step,
        scope: &mut Scope,
        before: &BTreeMap<&str, Verdict>,
    ) -> Result<Verdict, RecordError> {
        let kind = step.kinds.first().map(|kind| kind.name.to_owned()).unwrap_or_default();
        let mut record = self.record(scenario, step, before, kind);
        let filled = step.fill(&scenario.document, scope);
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
            Ok(filled) => self.look(scenario, step, &filled, &mut record).await?,
            Err(wrong) => {
                let said: Vec<String> = wrong.iter().map(said).collect();
                record.attempts = vec![not_tried(record.started, said.join("; "))];
                self.judge(&record, step)?
            }
        };
        record.ended = self.world.clock.now();
        record.verdict = judged.verdict();
        record.findings = judged.findings;
        record.chosen = judged.chosen;
        if let Some(captures) = &mut scope.captures {
            captures.extend(judged.captures);
        }
        let clean = self.recorder.clean(&record, &step.not_secret)?;
        self.keep(scenario, step, record, &clean)
    }

    fn record(
        &self,
        scenario: &Scenario,
        step: &Step,
        before: &BTreeMap<&str, Verdict>,
        kind: String,
    ) -> StepRecord {
        let now = self.world.clock.now();
        let control = step.control.as_ref();
        StepRecord {
            proofmark: FORMAT.into(),
            scenario: scenario.id.clone(),
            step: step.id.clone(),
            title: step.title.clone(),
            kind,
            rules: BTreeMap::new(),
            settings: Value::Null,
            expect: vec![],
            capture: step.capture.iter().map(|(name, path)| (name.clone(), path.to_string())).collect(),
            control: control.and_then(|id| before.get(id.as_str()).map(|verdict| (id.clone(), *verdict))),
            hold: step.hold,
            started: now,
            ended: now,
            chosen: None,
            observation: Value::Null,
            findings: vec![],
            verdict: Verdict::Unverified,
            reason: None,
            attempts: vec![],
        }
    }

    fn context(&self, step: &Step, filled: &Filled) -> Cx {
        let via = step.named(&filled.doing.kinds());
        let world = &self.world;
        let (clock, systems) = (world.clock.clone(), world.systems.clone());
        Cx { clock, systems, via, log: Log::default(), timeout: step.timeout }
    }

    /// Judges a record as it will be kept: cleaned, serialised and read back.
    fn judge(&self, record: &StepRecord, step: &Step) -> Result<Judged, RecordError> {
        let clean = self.recorder.clean(record, &step.not_secret)?;
        Ok(crate::scenario::judge(&serde_json::to_vec(clean.get())?)?)
    }

    fn keep(
        &mut self,
        scenario: &Scenario,
        step: &Step,
        record: StepRecord,
        clean: &crate::redact::Clean,
    ) -> Result<Verdict, RecordError> {
        let (file, sha256) = self.recorder.step(&scenario.id, &step.id, clean)?;
        let millis = record.ended.as_millisecond() - record.started.as_millisecond();
        let took: f64 = record.attempts.iter().map(|attempt| attempt.seconds).sum();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one step fit")]
        let seconds = rounded(f64::max(millis as f64 / 1000.0, took));
        let verdict = record.verdict;
        let ended = Event::StepEnded {
            scenario: scenario.id.clone(),
            step: step.id.clone(),
            kind: record.kind,
            verdict,
            reason: record.reason,
            seconds,
            rounds: record.attempts.last().map_or(0, |attempt| attempt.round),
            file,
            sha256,
            findings: record.findings,
        };
        self.event(ended, &step.not_secret)?;
        Ok(verdict)
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10_000.0).round() / 10_000.0
}

fn said(diag: &crate::diag::Diag) -> String {
    let place = diag.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    let help = diag.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{place}{}{help}", diag.message)
}

fn not_tried(at: jiff::Timestamp, error: String) -> Attempt {
    Attempt {
        round: 1,
        candidate: None,
        at,
        seconds: 0.0,
        requests: vec![],
        error: Some(error),
        observation: None,
        same_as: None,
        verdict: Verdict::Unverified,
    }
}
