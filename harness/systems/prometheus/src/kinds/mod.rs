//! The kinds of this system, one file per kind.

pub mod metrics;
pub mod prometheus_alerts;
pub mod prometheus_query;
pub mod prometheus_rules;
pub mod prometheus_series;
pub mod prometheus_status;
pub mod prometheus_targets;
