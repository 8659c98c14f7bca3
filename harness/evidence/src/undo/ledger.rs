//! The promises of a run: written down before the change, remembered until they are fulfilled.

use super::journal::{Begun, Entry, Kept, Promised};
use super::{Final, Promise, RevertPermit, Until};
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

/// The step that makes a promise.
#[derive(Debug, Clone)]
pub struct PromiseContext {
    /// The scenario's id.
    pub scenario: String,
    /// The step's id.
    pub step: String,
    /// The kind's name.
    pub kind: &'static str,
    /// The connection for each role, where the step names one.
    pub via: BTreeMap<String, String>,
    /// Limits one attempt to put it back.
    pub timeout: Duration,
    /// When the promise is due.
    pub until: Until,
}

/// An open promise.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenPromise {
    /// The run that made it.
    pub run: String,
    /// That run's folder.
    pub folder: PathBuf,
    /// Whether the journal records that the change begins.
    pub begun: bool,
    /// The promise, as it was written down.
    pub promised: Promised,
    /// The undo data as it was given; `None` if its secret part is lost.
    pub undo: Option<Value>,
}

impl OpenPromise {
    /// Returns whether this step made the change.
    pub fn is_of(&self, scenario: &str, step: &str) -> bool {
        self.promised.scenario == scenario && self.promised.step == step
    }
}

/// Writes promises down and tracks which are open.
#[derive(Debug)]
pub struct Ledger {
    recorder: Arc<Mutex<Recorder>>,
    clock: Clock,
    /// The number of promises that this run has made.
    made: AtomicU32,
    open: Mutex<Vec<OpenPromise>>,
}

impl Ledger {
    /// The ledger of a run that starts with these open promises: none, or those of an earlier run.
    pub fn new(recorder: Arc<Mutex<Recorder>>, clock: Clock, open: Vec<OpenPromise>) -> Self {
        Self { recorder, clock, made: AtomicU32::new(0), open: Mutex::new(open) }
    }

    /// The open promises, newest first.
    pub fn owed(&self) -> Vec<OpenPromise> {
        self.open().iter().rev().cloned().collect()
    }

    /// Returns the permit to put this change back.
    pub fn leave(&self, debt: &OpenPromise) -> RevertPermit {
        RevertPermit { begun: debt.begun }
    }

    /// Writes down that the promise is fulfilled: the change was seen to be undone.
    ///
    /// # Errors
    /// A journal that cannot be written. The promise still counts as fulfilled in this run.
    pub fn kept(&self, debt: &OpenPromise) -> Result<(), RecordError> {
        let promise = debt.promised.promise;
        self.open().retain(|open| (&open.run, open.promised.promise) != (&debt.run, promise));
        let kept = Kept { run: debt.run.clone(), promise, at: self.clock.now() };
        self.recorder().journal(&Entry::Kept(kept))?;
        match &debt.promised.private {
            Some(name) => forget(&debt.folder, name),
            None => Ok(()),
        }
    }

    /// Writes the promise down and waits until it is synced to disk.
    fn promise(&self, by: &PromiseContext, undo: Value) -> Result<Promise, RecordError> {
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
            // The undo data must be restored byte for byte, so the secret original is kept in a separate file.
            let name = format!("private/{promise}.json");
            recorder.private(&name, &json!({ "proofmark": FORMAT, "undo": undo }))?;
            promised.private = Some(name);
        }
        recorder.journal(&Entry::Promised(promised.clone()))?;
        let (run, folder) = (recorder.run.clone(), recorder.folder().to_owned());
        self.open().push(OpenPromise { run, folder, begun: false, promised, undo: Some(undo) });
        Ok(Promise(promise))
    }

    fn begins(&self, promise: &Promise) -> Result<(), RecordError> {
        let mut recorder = self.recorder();
        recorder.journal(&Entry::Begun(Begun { promise: promise.0, at: self.clock.now() }))?;
        let own = |debt: &&mut OpenPromise| debt.run == recorder.run && debt.promised.promise == promise.0;
        self.open().iter_mut().filter(own).for_each(|debt| debt.begun = true);
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Vec<OpenPromise>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets an act request permits. `U` is the kind's undo data.
#[derive(Debug)]
pub struct Promises<'a, U> {
    ledger: &'a Ledger,
    by: &'a PromiseContext,
    undo: PhantomData<fn(U)>,
}

impl<'a, U: Serialize> Promises<'a, U> {
    /// The permits of one step.
    pub fn new(ledger: &'a Ledger, by: &'a PromiseContext) -> Self {
        Self { ledger, by, undo: PhantomData }
    }

    /// Promises to put the change back in every case. The change may be made only after this returns.
    ///
    /// # Errors
    /// When the promise could not be written to disk; the change must not be made then.
    pub fn promise(&self, undo: &U) -> Result<Promise, RecordError> {
        self.ledger.promise(self.by, serde_json::to_value(undo)?)
    }

    /// Writes down that the change is about to be made, for a kind that cannot always observe whether it was.
    ///
    /// # Errors
    /// When this could not be written to disk; the change must not be made then.
    pub fn begins(&self, promise: &Promise) -> Result<(), RecordError> {
        self.ledger.begins(promise)
    }

    /// Drops a promise whose change the system explicitly refused. The change was not made, and a user who may not make
    /// it often may not check for it either. If it is unknown whether the change was made, the promise stays open.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn refused(&self, promise: &Promise) -> Result<(), RecordError> {
        let of = |debt: &OpenPromise| debt.run == self.mark() && debt.promised.promise == promise.0;
        let debt = self.ledger.owed().into_iter().find(of);
        debt.map_or(Ok(()), |debt| self.ledger.kept(&debt))
    }

    /// Declares the change final.
    pub fn declare_final(&self) -> Final {
        Final(())
    }

    /// The mark for objects that this step creates, where the step matters too: a step acts once in its run.
    pub fn mark_of_step(&self) -> String {
        format!("{} {}#{}", self.mark(), self.by.scenario, self.by.step)
    }

    /// The mark for objects that this run creates, which distinguishes them from all others: the run's id.
    pub fn mark(&self) -> String {
        self.ledger.recorder().run.clone()
    }
}
