//! The promises of a run: written down before the change, remembered until they are kept.

use super::journal::{Begun, Entry, Kept, Promised};
use super::{Final, Owed, Promise, Until};
use crate::record::{RecordError, Recorder, forget};
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, FORMAT};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who promises.
#[derive(Debug, Clone)]
pub struct By {
    /// The scenario's id.
    pub scenario: String,
    /// The step's id.
    pub step: String,
    /// The kind's name.
    pub kind: &'static str,
    /// Which connection serves which role, where the step says.
    pub via: BTreeMap<String, String>,
    /// Bounds one attempt to put it back.
    pub timeout: Duration,
    /// When it is kept.
    pub until: Until,
}

/// A promise that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    /// The run that made it.
    pub run: String,
    /// That run's folder.
    pub folder: PathBuf,
    /// Was it written down that the change begins?
    pub begun: bool,
    /// What was promised, as it was written down.
    pub promised: Promised,
    /// The way back as it was given; `None` where its secret part is lost.
    pub undo: Option<Value>,
}

impl Debt {
    /// Did this step change it?
    pub fn is_of(&self, scenario: &str, step: &str) -> bool {
        self.promised.scenario == scenario && self.promised.step == step
    }
}

/// Writes promises down, and knows which are open.
#[derive(Debug)]
pub struct Ledger {
    recorder: Arc<Mutex<Recorder>>,
    clock: Clock,
    /// How many promises this run has made.
    made: AtomicU32,
    open: Mutex<Vec<Debt>>,
}

impl Ledger {
    /// Of a run that begins owing this: nothing, or what an earlier one left.
    pub fn new(recorder: Arc<Mutex<Recorder>>, clock: Clock, open: Vec<Debt>) -> Self {
        Self { recorder, clock, made: AtomicU32::new(0), open: Mutex::new(open) }
    }

    /// What is owed, newest first.
    pub fn owed(&self) -> Vec<Debt> {
        self.open().iter().rev().cloned().collect()
    }

    /// Leave to put back what is owed.
    pub fn leave(&self, debt: &Debt) -> Owed {
        Owed { begun: debt.begun }
    }

    /// Writes down that the promise was kept: the world was seen to be back.
    ///
    /// # Errors
    /// A journal that cannot be written. It counts as kept in this run all the same.
    pub fn kept(&self, debt: &Debt) -> Result<(), RecordError> {
        let promise = debt.promised.promise;
        self.open().retain(|open| (&open.run, open.promised.promise) != (&debt.run, promise));
        let kept = Kept { run: debt.run.clone(), promise, at: self.clock.now() };
        self.recorder().journal(&Entry::Kept(kept))?;
        match &debt.promised.private {
            Some(name) => forget(&debt.folder, name),
            None => Ok(()),
        }
    }

    /// Writes the promise down and waits until the disk has it.
    fn promise(&self, by: &By, undo: Value) -> Result<Promise, RecordError> {
        let mut recorder = self.recorder();
        let promise = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let mut promised = Promised {
            proofmark: FORMAT.into(),
            promise,
            at: self.clock.now(),
            scenario: by.scenario.clone(),
            step: by.step.clone(),
            kind: by.kind.to_owned(),
            via: by.via.clone(),
            timeout: by.timeout,
            until: by.until,
            private: None,
            undo: undo.clone(),
        };
        let clean = recorder.clean(&promised, &[])?;
        if clean.get()["undo"] != undo {
            // It has to come back byte for byte, so what may not be shown is kept apart.
            let name = format!("private/{promise}.json");
            recorder.private(&name, &json!({ "proofmark": FORMAT, "undo": undo }))?;
            promised.private = Some(name);
        }
        recorder.journal(&Entry::Promised(promised.clone()))?;
        let (run, folder) = (recorder.run.clone(), recorder.folder().to_owned());
        self.open().push(Debt { run, folder, begun: false, promised, undo: Some(undo) });
        Ok(Promise(promise))
    }

    fn begins(&self, promise: &Promise) -> Result<(), RecordError> {
        let mut recorder = self.recorder();
        recorder.journal(&Entry::Begun(Begun { promise: promise.0, at: self.clock.now() }))?;
        let own = |debt: &&mut Debt| debt.run == recorder.run && debt.promised.promise == promise.0;
        self.open().iter_mut().filter(own).for_each(|debt| debt.begun = true);
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Vec<Debt>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an act is given to ask for leave with. `U` is the kind's way back.
#[derive(Debug)]
pub struct Promises<'a, U> {
    ledger: &'a Ledger,
    by: &'a By,
    undo: PhantomData<fn(U)>,
}

impl<'a, U: Serialize> Promises<'a, U> {
    /// For one step.
    pub fn new(ledger: &'a Ledger, by: &'a By) -> Self {
        Self { ledger, by, undo: PhantomData }
    }

    /// Promises to put the change back, whatever happens. Only then may it be made.
    ///
    /// # Errors
    /// When the promise could not be written to disk: nothing may be changed then.
    pub fn promise(&self, undo: &U) -> Result<Promise, RecordError> {
        self.ledger.promise(self.by, serde_json::to_value(undo)?)
    }

    /// Writes down that the change is made now, for a kind that cannot always see whether it was.
    ///
    /// # Errors
    /// When that could not be written to disk: nothing may be changed then.
    pub fn begins(&self, promise: &Promise) -> Result<(), RecordError> {
        self.ledger.begins(promise)
    }

    /// Lets go of a promise whose change was refused in so many words: it was not made, and who may not make it may often not
    /// look for it either. Where it is not known whether it was made, the promise stands.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn refused(&self, promise: &Promise) -> Result<(), RecordError> {
        let of = |debt: &Debt| debt.run == self.mark() && debt.promised.promise == promise.0;
        let debt = self.ledger.owed().into_iter().find(of);
        debt.map_or(Ok(()), |debt| self.ledger.kept(&debt))
    }

    /// Declares the change final.
    pub fn declare_final(&self) -> Final {
        Final(())
    }

    /// Marks what this step makes, where the step of a run matters too: a step acts once in its run.
    pub fn mark_of_step(&self) -> String {
        format!("{} {}#{}", self.mark(), self.by.scenario, self.by.step)
    }

    /// Marks what this run makes, so that it is known as ours and as nobody else's: the run's id.
    pub fn mark(&self) -> String {
        self.ledger.recorder().run.clone()
    }
}
