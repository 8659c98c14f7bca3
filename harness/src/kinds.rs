//! The one list of the systems that this program knows.

use crate::environment::Vocabulary;
use crate::steps::{ALERTING, BACKUP, HOST, OBJECTS, POSTGRES, PROMETHEUS, Registry, System};
use std::sync::LazyLock;

/// Every system that this program was built with.
pub const SYSTEMS: &[&System] = &[&HOST, &PROMETHEUS, &ALERTING, &POSTGRES, &OBJECTS, &BACKUP];

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
