//! Analyses PromQL without querying the server: its selectors, its threshold, and whether it can ever hold.

pub mod liveness;
pub mod selectors;
pub mod threshold;
