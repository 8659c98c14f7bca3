//! Runs a plan: scenarios side by side, the steps of each in order, every look kept. It ends by reading nothing but what
//! it wrote.

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
use proofmark_evidence::undo::{Debt, Ledger};
use proofmark_model::clock::Clock;
use proofmark_model::{Event, Exit, Far, ScenarioInfo, Verdict};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a run needs besides its plan and its recorder.
pub struct World {
    /// The kinds of steps that there are.
    pub registry: Registry,
    /// The connections.
    pub systems: Arc<Systems>,
    /// What time it is.
    pub clock: Clock,
    /// Says when to stop.
    pub stop: Stop,
    /// What templates may name of the run.
    pub run: Map<String, Value>,
    /// How many scenarios run side by side; at least one does.
    pub jobs: usize,
    /// Is told how far a step of a scenario has come; nothing of it is kept.
    pub heard: Option<Hear>,
}

/// Hears of a scenario's step how far it has come.
pub type Hear = Arc<dyn Fn(&str, &str, &Far) + Send + Sync>;

/// How a run ended, as it was written.
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
    /// How often something was put back, or tried to be.
    reverts: AtomicU32,
    /// Held by the act that changes something; the others wait for it.
    turn: tokio::sync::Mutex<()>,
    /// Was it told why the run stops?
    told: AtomicBool,
}

/// Runs the plan and seals the folder.
///
/// # Errors
/// When evidence cannot be written; nothing more is begun then, and what was promised is put back.
pub async fn run(plan: &Plan, world: World, recorder: Recorder) -> Result<Ended, RecordError> {
    let runner = Runner::new(world, recorder, vec![]);
    let began = runner.begin(plan.scenarios.iter().map(Scenario::info).collect())?;
    let outcomes = runner.telling(runner.side_by_side(plan)).await;
    let swept = runner.keep(|_| true).await;
    let (mut outcomes, swept) = (outcomes?, swept?);
    // In the order of the plan, whichever came first.
    let plan = plan.scenarios.iter().filter_map(|scenario| outcomes.remove(scenario.id.as_str()));
    let swept = swept.map(|verdict| Outcome { verdict, failed: vec![], unverified: vec![] });
    runner.end(began, plan.chain(swept).collect())
}

/// Puts back what earlier runs owe, newest first, and seals the folder.
///
/// # Errors
/// When evidence cannot be written; everything was tried all the same.
pub async fn recover(debts: Vec<Debt>, world: World, recorder: Recorder) -> Result<Ended, RecordError> {
    let scenarios = sweep::owing(&debts);
    // The ledger hands out first what was entered last.
    let runner = Runner::new(world, recorder, debts.into_iter().rev().collect());
    let began = runner.begin(scenarios.clone())?;
    let outcomes = runner.recovered(&scenarios).await?;
    runner.end(began, outcomes)
}

impl Runner {
    fn new(world: World, recorder: Recorder, owed: Vec<Debt>) -> Self {
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
        // A signal after this comes too late to have interrupted anything.
        let by_signal = self.told.load(Relaxed) && self.world.stop.by_signal();
        let exit = Exit::of(verdict, !self.ledger.owed().is_empty(), by_signal);
        let seconds = self.seconds(began);
        self.event(Event::RunEnded { verdict, exit, failed, unverified, seconds }, &[])?;
        let folder = self.recorder().seal(verdict, exit)?;
        Ok(Ended { folder, exit })
    }

    /// Says why the run stops as soon as it is known: what was begun may take its time to end.
    async fn telling<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut stop) = (pin!(work), self.world.stop.clone());
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = stop.stopped() => {}
        }
        // Where it cannot be written, nothing can: the end of the run says that.
        self.interrupted().ok();
        work.await
    }

    /// Says why the run stops, once.
    fn interrupted(&self) -> Result<(), RecordError> {
        match self.world.stop.reason() {
            Some(by) if !self.told.swap(true, Relaxed) => self.event(Event::Interrupted { by }, &[]),
            _ => Ok(()),
        }
    }

    fn event(&self, event: Event, open: &[String]) -> Result<(), RecordError> {
        self.recorder().event(event, open)
    }

    /// Never held while something is waited for.
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
