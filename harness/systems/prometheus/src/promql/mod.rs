//! What can be said of PromQL without asking: its selectors, its threshold, and whether it can ever hold.

pub mod liveness;
pub mod selectors;
pub mod threshold;
