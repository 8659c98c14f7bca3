//! Proofmark runs the checks of a plan against live systems, keeps what it saw as evidence, and stamps a verdict on it.

pub mod clients;
pub mod clock;
pub mod diag;
pub mod environment;
pub mod model;
pub mod redact;
pub mod steps;
pub mod undo;
