//! The scenario file: reading, checking and planning; and the judgement.

mod find;
mod judge;
mod plan;
mod read;
mod schema;
mod step;

pub use find::{Found, find};
pub use judge::{Judged, acts, judge, judge_record};
pub use plan::{Plan, Selection, embedded, embedded_id, plan};
pub use read::{Overrides, Scenario, read};
pub use schema::schema;
pub use step::{ResolvedStep, Step, StepOperation};
