//! Runs a plan: scenarios side by side, the steps of each in order. Every attempt is recorded, and a run's result is
//! read only from what it wrote.

mod attempt;
mod order;
mod step;
mod stop;
mod sweep;

pub use stop::Stop;

use crate::Registry;
use crate::scenario::{Plan, Scenario};
use order::Outcome;
use proofmark_environment::Systems;
use proofmark_evidence::record::{RecordError, Recorder};
use proofmark_evidence::undo::{Ledger, OpenPromise};
use proofmark_model::clock::Clock;
use proofmark_model::{Event, Exit, ScenarioInfo, StepProgress, Verdict};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a run needs besides its plan and its recorder.
pub struct World {
    /// The kinds of steps.
    pub registry: Registry,
    /// The connections.
    pub systems: Arc<Systems>,
    /// The source of the current time.
    pub clock: Clock,
    /// Signals when to stop.
    pub stop: Stop,
    /// Facts about the run for templates.
    pub run: Map<String, Value>,
    /// The number of scenarios that run side by side; at least one does.
    pub jobs: usize,
    /// Receives the progress of a scenario's step; nothing of it is recorded.
    pub heard: Option<ProgressSink>,
}

/// Receives the scenario, the step and its progress.
pub type ProgressSink = Arc<dyn Fn(&str, &str, &StepProgress) + Send + Sync>;

/// The end of a run, as it was recorded.
#[derive(Debug)]
pub struct Ended {
    /// The run's folder.
    pub folder: PathBuf,
    /// The exit code.
    pub exit: Exit,
}

struct Runner {
    world: World,
    recorder: Arc<Mutex<Recorder>>,
    ledger: Ledger,
    /// The number of attempts to put something back.
    reverts: AtomicU32,
    /// Held by an act while it changes something; other acts wait for it.
    turn: tokio::sync::Mutex<()>,
    /// Whether the reason for stopping was recorded.
    told: AtomicBool,
}

/// Runs the plan and seals the folder.
///
/// # Errors
/// When evidence cannot be written; nothing more is begun then, and promises are fulfilled.
pub async fn run(plan: &Plan, world: World, recorder: Recorder) -> Result<Ended, RecordError> {
    let runner = Runner::new(world, recorder, vec![]);
    let began = runner.begin(plan.scenarios.iter().map(Scenario::info).collect())?;
    let outcomes = runner.telling(runner.side_by_side(plan)).await;
    let swept = runner.keep(|_| true).await;
    let (mut outcomes, swept) = (outcomes?, swept?);
    // In the order of the plan, not in the order of completion.
    let plan = plan.scenarios.iter().filter_map(|scenario| outcomes.remove(scenario.id.as_str()));
    let swept = swept.map(|verdict| Outcome { verdict, failed: vec![], unverified: vec![] });
    runner.end(began, plan.chain(swept).collect())
}

/// Puts back what earlier runs owe, newest first, and seals the folder.
///
/// # Errors
/// When evidence cannot be written; every change was still attempted.
pub async fn recover(
    debts: Vec<OpenPromise>,
    world: World,
    recorder: Recorder,
) -> Result<Ended, RecordError> {
    let scenarios = sweep::owing(&debts);
    // The ledger returns the last entry first.
    let runner = Runner::new(world, recorder, debts.into_iter().rev().collect());
    let began = runner.begin(scenarios.clone())?;
    let outcomes = runner.recovered(&scenarios).await?;
    runner.end(began, outcomes)
}

impl Runner {
    fn new(world: World, recorder: Recorder, owed: Vec<OpenPromise>) -> Self {
        let recorder = Arc::new(Mutex::new(recorder));
        let ledger = Ledger::new(recorder.clone(), world.clock.clone(), owed);
        let (reverts, turn, told) = (AtomicU32::new(0), tokio::sync::Mutex::default(), false.into());
        Self { world, recorder, ledger, reverts, turn, told }
    }

    fn begin(&self, scenarios: Vec<ScenarioInfo>) -> Result<Duration, RecordError> {
        let run = self.recorder().run.clone();
        self.event(Event::RunStarted { run, scenarios }, &[])?;
        Ok(self.world.clock.elapsed())
    }

    fn end(self, began: Duration, outcomes: Vec<Outcome>) -> Result<Ended, RecordError> {
        let verdict = Verdict::fold(outcomes.iter().map(|outcome| outcome.verdict));
        let (failed, unverified): (Vec<_>, Vec<_>) =
            outcomes.into_iter().map(|outcome| (outcome.failed, outcome.unverified)).unzip();
        let (failed, unverified) = (failed.concat(), unverified.concat());
        self.interrupted()?;
        // A signal after this point comes too late to interrupt anything.
        let by_signal = self.told.load(Relaxed) && self.world.stop.by_signal();
        let exit = Exit::of(verdict, !self.ledger.owed().is_empty(), by_signal);
        let seconds = self.seconds(began);
        self.event(Event::RunEnded { verdict, exit, failed, unverified, seconds }, &[])?;
        let folder = self.recorder().seal(verdict, exit)?;
        Ok(Ended { folder, exit })
    }

    /// Records why the run stops as soon as that is known, because work in progress may take long to end.
    async fn telling<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut stop) = (pin!(work), self.world.stop.clone());
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = stop.stopped() => {}
        }
        // If this cannot be written, nothing can; the end of the run reports the error.
        self.interrupted().ok();
        work.await
    }

    /// Records once why the run stops.
    fn interrupted(&self) -> Result<(), RecordError> {
        match self.world.stop.reason() {
            Some(by) if !self.told.swap(true, Relaxed) => self.event(Event::Interrupted { by }, &[]),
            _ => Ok(()),
        }
    }

    fn event(&self, event: Event, open: &[String]) -> Result<(), RecordError> {
        self.recorder().event(event, open)
    }

    /// The guard must not be held across an await.
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seconds(&self, began: Duration) -> f64 {
        rounded((self.world.clock.elapsed().saturating_sub(began)).as_secs_f64())
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10_000.0).round() / 10_000.0
}
