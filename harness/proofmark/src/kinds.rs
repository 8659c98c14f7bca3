//! The one list of the systems that this program knows. Each but the first is a feature of the same name.

use proofmark_engine::{Registry, System};
use proofmark_environment::Vocabulary;
use std::sync::LazyLock;

/// Every system that this program was built with.
pub const SYSTEMS: &[&System] = &[
    &proofmark_host::SYSTEM,
    #[cfg(feature = "prometheus")]
    &proofmark_prometheus::SYSTEM,
    #[cfg(feature = "alerting")]
    &proofmark_alerting::SYSTEM,
    #[cfg(feature = "postgres")]
    &proofmark_postgres::SYSTEM,
    #[cfg(feature = "objects")]
    &proofmark_objects::SYSTEM,
    #[cfg(feature = "backup")]
    &proofmark_backup::SYSTEM,
];

/// The kinds of systems that a program can be built without, by feature. A program that lacks one can still say which.
pub const OPTIONAL: &[(&str, &[&str])] = &[
    (
        "prometheus",
        &[
            "metrics",
            "prometheus-alerts",
            "prometheus-query",
            "prometheus-rules",
            "prometheus-series",
            "prometheus-status",
            "prometheus-targets",
        ],
    ),
    (
        "alerting",
        &[
            "alert-drill",
            "alert-silence",
            "alertmanager-alerts",
            "alertmanager-routes",
            "alertmanager-status",
        ],
    ),
    ("postgres", &["postgres-query", "postgres-tables"]),
    ("objects", &["s3-bucket", "s3-objects"]),
    ("backup", &["backup", "backup-catalogue", "backup-prune", "backup-verify", "restore-drill"]),
];

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(SYSTEMS.iter().copied(), OPTIONAL));

/// Every kind that this program was built with.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

/// Every role and source of secrets that an environment may name.
pub fn vocabulary() -> &'static Vocabulary {
    REGISTRY.vocabulary()
}

#[cfg(test)]
mod features;
#[cfg(all(test, feature = "backup"))]
mod tests;
