//! Leave to change the world. A changing client call demands one: a [`Promise`], which exists only once the way back is
//! on disk; an [`Owed`], with which a promise is kept; a [`Final`], which says that nothing will be put back; a
//! [`Throwaway`], for what the lab has started itself; or a [`Message`], for a word to people outside of any step.
//!
//! The way back is data, so it outlives the process: `journal.jsonl` holds every promise and its end, and whoever reads
//! it later can do what the run no longer could.

mod journal;
mod ledger;

pub use journal::{Promised, ReadError, Unfinished, unfinished};
pub use ledger::{By, Debt, Ledger, Promises};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way back of this change is on disk.
#[derive(Debug)]
pub struct Promise(u32);

/// A promise is being kept.
#[derive(Debug)]
pub struct Owed {
    begun: bool,
}

impl Owed {
    /// Was [`Promises::begins`] called for it? Where a kind always calls that first, a change that was not begun was not made.
    pub fn begun(&self) -> bool {
        self.begun
    }
}

/// A change that is declared final: `plan` prints it, and nothing is put back.
#[derive(Debug)]
pub struct Final(());

/// The system is a throwaway of our own and goes away with all that is changed in it.
#[derive(Debug)]
pub struct Throwaway(());

impl Throwaway {
    /// Only for the lab; a test holds that.
    pub fn of_the_lab() -> Self {
        Self(())
    }
}

/// A message to people about this program's own failure. It changes nothing that is looked at, and nobody can take it back.
#[derive(Debug)]
pub struct Message(());

impl Message {
    /// Only for commands; a test holds that.
    pub fn to_people() -> Self {
        Self(())
    }
}

/// What a changing client call asks for. Only this module makes one.
pub trait Leave: sealed::Sealed + Sync {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! leave { ($($one:ty),+) => { $(impl sealed::Sealed for $one {} impl Leave for $one {})+ } }
leave!(Promise, Owed, Final, Throwaway, Message);

/// When a promise is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// At the end of its step.
    #[default]
    Step,
    /// At the end of its scenario.
    Scenario,
}

/// The way back of an act that promises nothing: there is no such value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Nothing {}
