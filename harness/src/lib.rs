//! Proofmark runs the checks of a plan against live systems, keeps what it saw as evidence, and stamps a verdict on it.

pub mod redact;
pub mod clock;
pub mod model;
pub mod diag;
pub mod document;
pub mod expect;
pub mod environment;
pub mod record;
pub mod report;
pub mod undo;
pub mod clients;
pub mod steps;
pub mod scenario;
pub mod run;
pub mod verify;
pub mod lab;
pub mod cli;
