//! The one list of the systems that this program knows.

use proofmark_engine::{Registry, System};
use proofmark_environment::Vocabulary;
use std::sync::LazyLock;

/// Every system that this program was built with.
pub const SYSTEMS: &[&System] = &[
    &proofmark_host::SYSTEM,
    &proofmark_prometheus::SYSTEM,
    &proofmark_alerting::SYSTEM,
    &proofmark_postgres::SYSTEM,
    &proofmark_objects::SYSTEM,
    &proofmark_backup::SYSTEM,
];

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(SYSTEMS.iter().copied()));

/// Every kind that this program was built with.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

/// Every role and source of secrets that an environment may name.
pub fn vocabulary() -> &'static Vocabulary {
    REGISTRY.vocabulary()
}

#[cfg(test)]
mod tests;
