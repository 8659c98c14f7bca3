//! Proofmark runs the checks of a plan against live systems, keeps what it saw as evidence, and stamps a verdict on it.

pub mod cli;
pub mod clients;
pub mod clock;
pub mod diag;
pub mod document;
pub mod environment;
pub mod expect;
pub mod lab;
pub mod model;
pub mod record;
pub mod redact;
pub mod report;
pub mod run;
pub mod scenario;
pub mod steps;
pub mod undo;
pub mod verify;
