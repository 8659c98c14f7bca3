//! What the tests of systems share. Not part of the program.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests fail by panicking")]

pub mod compliance;
mod judging;
mod kinds;

pub use judging::{Judge, but, lines, open};
pub use kinds::{
    SYSTEM, SampleChange, SampleChangeObservation, SampleMoment, SampleQuery, SampleQueryObservation,
    SampleUndo, registry,
};
