//! An act survives death: whatever moment the run ends at, a recovery puts the world back, and the next finds nothing.
//!
//! A run dies when it is dropped: nothing of it is told to stop, and all that is left of it is what is on disk.

use super::{Held, ensure, examples};
use crate::run::{Ended, Stop, World, recover, run};
use crate::scenario::embedded;
use crate::verify::verify;
use crate::{KindInfo, Registry};
use proofmark_environment::Systems;
use proofmark_evidence::record::{RecordError, Recorder, read};
use proofmark_evidence::undo::{Unfinished, unfinished};
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use serde_json::Map;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a run may take to come to the moment at which it dies.
const PATIENCE: Duration = Duration::from_secs(60);

/// An act that stops at chosen moments, and the world that it changes.
pub trait Mortal {
    /// The act and its settings, `name: { … }`, that stops at each of these moments once, for ever.
    fn stops_at(&self, moments: &[&str]) -> String;
    /// Has it stopped at this moment?
    fn has_stopped(&self, moment: &str) -> bool;
    /// Is the world as it was before the act?
    fn is_back(&self) -> bool;
}

/// Runs an act that dies at the first of these moments, and recoveries that die at the others; then a recovery that does
/// not. `evidence` is a folder of its own.
///
/// # Errors
/// What does not hold: the run ended by itself, nothing was promised, the world is not back, something is still owed, or
/// the evidence of the recovery does not verify.
pub async fn survives_death(
    (registry, kind): (&Registry, &KindInfo),
    systems: Arc<Systems>,
    evidence: &Path,
    (act, moments): (&dyn Mortal, &[&str]),
) -> Held {
    let dead = Deaths { registry, systems, evidence, clock: Clock::real() };
    let steps = examples::step(kind, "change", &act.stops_at(moments), "");
    let text = format!("proofmark: v1\ntitle: It dies\nclaim: It is put back.\nsteps:\n{steps}");
    let plan = embedded(("dies.yaml", &text), &Map::new(), &Map::new(), registry)
        .map_err(|wrong| format!("{text}\n{wrong:?}"))?;
    for (number, moment) in moments.iter().enumerate() {
        let recorder = dead.recorder()?;
        if number == 0 {
            dead.dies(run(&plan, dead.world(), recorder), act, moment).await?;
        } else {
            let owed = dead.owed()?;
            let debts = owed.iter().flat_map(|run| run.debts.clone()).collect();
            dead.dies(recover(debts, dead.world(), recorder), act, moment).await?;
        }
        ensure(dead.owed()?.len() == 1, || format!("killed at `{moment}`, nothing is owed"))?;
    }
    let owed = dead.owed()?;
    let debts = owed.iter().flat_map(|run| run.debts.clone()).collect();
    let ended = recover(debts, dead.world(), dead.recorder()?).await.map_err(|error| error.to_string())?;
    drop(owed);
    ensure(ended.exit == Exit::Passed, || format!("the recovery ends with {:?}", ended.exit))?;
    ensure(act.is_back(), || format!("killed at {moments:?}, the world is not back"))?;
    ensure(dead.owed()?.is_empty(), || "something is owed after the recovery".to_owned())?;
    let verified = verify(&read(&ended.folder).map_err(|error| error.to_string())?, registry);
    ensure(verified.exit() == Exit::Passed && verified.steps > 0, || format!("{verified:?}"))
}

/// What runs and recoveries share.
struct Deaths<'a> {
    registry: &'a Registry,
    systems: Arc<Systems>,
    evidence: &'a Path,
    clock: Clock,
}

impl Deaths<'_> {
    fn world(&self) -> World {
        World {
            registry: self.registry.clone(),
            systems: self.systems.clone(),
            clock: self.clock.clone(),
            stop: Stop::never(),
            run: Map::new(),
            jobs: 1,
            heard: None,
        }
    }

    fn recorder(&self) -> Result<Recorder, String> {
        let made = Recorder::create(self.evidence, &self.clock, Redactor::default(), Box::new(|_| ()));
        made.map_err(|error| error.to_string())
    }

    /// The runs that owe something and are dead: their locks are free.
    fn owed(&self) -> Result<Vec<Unfinished>, String> {
        let owed = unfinished(self.evidence).map_err(|error| error.to_string())?;
        ensure(owed.iter().all(|run| run.lock.is_some()), || "a run that was killed still lives".to_owned())?;
        Ok(owed)
    }

    /// Drops it once the act has stopped.
    async fn dies(
        &self,
        life: impl Future<Output = Result<Ended, RecordError>>,
        act: &dyn Mortal,
        moment: &str,
    ) -> Held {
        let began = self.clock.elapsed();
        let stopped = async {
            while !act.has_stopped(moment) && self.clock.elapsed().saturating_sub(began) < PATIENCE {
                self.clock.sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            ended = life => Err(format!("it ended before `{moment}`: {ended:?}")),
            () = stopped => ensure(act.has_stopped(moment), || format!("it never came to `{moment}`")),
        }
    }
}
