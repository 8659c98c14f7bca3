//! What a run leaves: the recorder and its reader, the journal of promises, and reports made of both.

pub mod record;
pub mod report;
pub mod undo;
