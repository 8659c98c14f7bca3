//! Prometheus, and servers that speak its API or its exposition format.

pub mod client;
pub mod exposition;
pub mod promql;
mod kinds;

use proofmark_engine::{CheckKind, System};

/// The kinds and connections of this system.
pub const SYSTEM: System = System {
    name: "prometheus",
    checks: &[
        CheckKind::of::<kinds::metrics::Metrics>(),
        CheckKind::of::<kinds::prometheus_alerts::PrometheusAlerts>(),
        CheckKind::of::<kinds::prometheus_query::PrometheusQuery>(),
        CheckKind::of::<kinds::prometheus_rules::PrometheusRules>(),
        CheckKind::of::<kinds::prometheus_series::PrometheusSeries>(),
        CheckKind::of::<kinds::prometheus_status::PrometheusStatus>(),
        CheckKind::of::<kinds::prometheus_targets::PrometheusTargets>(),
    ],
    ..System::EMPTY
};
