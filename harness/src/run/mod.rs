//! Runs a plan: scenarios side by side, the steps of each in order, every look kept. It ends by reading nothing but what
//! it wrote.

mod attempt;
mod order;
mod step;
mod stop;

pub use stop::Stop;

use crate::clock::Clock;
use crate::environment::Systems;
use crate::model::{Event, Exit, Verdict};
use crate::record::{RecordError, Recorder};
use crate::scenario::{Plan, Scenario};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a run needs besides its plan and its recorder.
pub struct World {
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
}

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
    recorder: Mutex<Recorder>,
    /// Held by the act that changes something; the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

/// Runs the plan and seals the folder.
///
/// # Errors
/// When evidence cannot be written; nothing more is begun then.
pub async fn run(plan: &Plan, world: World, recorder: Recorder) -> Result<Ended, RecordError> {
    let (began, run) = (world.clock.elapsed(), recorder.run.clone());
    let runner = Runner { world, recorder: Mutex::new(recorder), turn: tokio::sync::Mutex::default() };
    let scenarios = plan.scenarios.iter().map(Scenario::info).collect();
    runner.event(Event::RunStarted { run, scenarios }, &[])?;
    let mut outcomes = runner.side_by_side(plan).await?;
    let verdict = Verdict::fold(outcomes.values().map(|outcome| outcome.verdict));
    // Asked once: a signal after this comes too late to have interrupted anything.
    let (by, by_signal) = (runner.world.stop.reason(), runner.world.stop.by_signal());
    let by_signal = by.is_some() && by_signal;
    if let Some(by) = by {
        runner.event(Event::Interrupted { by }, &[])?;
    }
    let exit = Exit::of(verdict, false, by_signal);
    let seconds = runner.seconds(began);
    // In the order of the plan, whichever came first.
    let (mut failed, mut unverified) = (vec![], vec![]);
    for outcome in plan.scenarios.iter().filter_map(|scenario| outcomes.remove(scenario.id.as_str())) {
        failed.extend(outcome.failed);
        unverified.extend(outcome.unverified);
    }
    runner.event(Event::RunEnded { verdict, exit, failed, unverified, seconds }, &[])?;
    let recorder = runner.recorder.into_inner().unwrap_or_else(PoisonError::into_inner);
    let folder = recorder.seal(verdict, exit)?;
    Ok(Ended { folder, exit })
}

impl Runner {
    fn event(&self, event: Event, open: &[String]) -> Result<(), RecordError> {
        self.recorder().event(event, open)
    }

    /// Never held while something is waited for.
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seconds(&self, began: std::time::Duration) -> f64 {
        rounded((self.world.clock.elapsed().saturating_sub(began)).as_secs_f64())
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10_000.0).round() / 10_000.0
}
