//! Permits to change a system. A changing client call requires one: a [`Promise`], which exists only after the undo
//! data is on disk; an [`RevertPermit`], which fulfils a promise; a [`Final`], which declares that nothing will be put back; a
//! [`LabPermit`], for systems that the lab has started; or a [`NotificationPermit`], for a notification outside of any step.
//!
//! The undo is data, so it outlives the process: `journal.jsonl` holds every promise and its end, and a later process
//! can do what the run no longer could.

mod journal;
mod ledger;

pub use journal::{Promised, ReadError, Unfinished, unfinished};
pub use ledger::{Ledger, OpenPromise, PromiseContext, Promises};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The undo data of this change is on disk.
#[derive(Debug)]
pub struct Promise(u32);

/// A promise is being fulfilled.
#[derive(Debug)]
pub struct RevertPermit {
    begun: bool,
}

impl RevertPermit {
    /// Returns whether [`Promises::begins`] was called for the change. If a kind always calls that first, a change that
    /// was not begun was not made.
    pub fn begun(&self) -> bool {
        self.begun
    }
}

/// A change that is declared final: `plan` prints it, and nothing is put back.
#[derive(Debug)]
pub struct Final(());

/// The system is a throwaway started by the lab; every change in it disappears with it.
#[derive(Debug)]
pub struct LabPermit(());

impl LabPermit {
    /// Only for the lab; a test enforces this.
    pub fn of_the_lab() -> Self {
        Self(())
    }
}

/// A message to people about this program's own failure. It changes nothing that is observed, and it cannot be
/// withdrawn.
#[derive(Debug)]
pub struct NotificationPermit(());

impl NotificationPermit {
    /// Only for commands; a test enforces this.
    pub fn to_people() -> Self {
        Self(())
    }
}

/// The permit that a changing client call requires. Only this module makes one.
pub trait ChangePermit: sealed::Sealed + Sync {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! leave { ($($one:ty),+) => { $(impl sealed::Sealed for $one {} impl ChangePermit for $one {})+ } }
leave!(Promise, RevertPermit, Final, LabPermit, NotificationPermit);

/// When a promise is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// At the end of its step.
    #[default]
    Step,
    /// At the end of its scenario.
    Scenario,
}

/// The undo data of an act that promises nothing: the type has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Nothing {}
