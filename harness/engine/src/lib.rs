//! Defines what a kind of step is, the registry of kinds, and everything that is done with steps of any kind: scenarios
//! are read, run and judged, and runs are verified. This crate names no kind.

pub mod run;
pub mod scenario;
pub mod settings;
pub mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;

mod erased;
mod kind;
mod registry;

pub use erased::{
    ActKind, AnyAct, AnyCheck, CheckKind, ErasedAct, ErasedCheck, ErasedKind, KindInfo, Memory,
};
pub use kind::{Act, Check, Cx, Kind, StepError};
pub use registry::{Optional, Registry, System, feature_advice};
