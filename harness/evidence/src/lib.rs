//! Everything that a run writes: the recorder and its reader, the journal of promises, and the reports made from both.

pub mod record;
pub mod report;
pub mod undo;
