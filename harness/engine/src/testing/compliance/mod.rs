//! The compliance suite: what every kind of a registry has to hold, as named cases. A kind gets all of them by being in
//! the list.
//!
//! [`offline`] needs nothing but the registry, [`kept`] the evidence of older programs, and [`broken`] a way to run a step
//! against a system that is broken. [`survives_death`] kills an act at the moments that it names. None of them knows a
//! system: what a case needs from the outside is a parameter.

mod broken;
mod deaths;
mod empty;
mod examples;
mod judging;
mod kept;
#[cfg(test)]
mod tests;

pub use broken::{Broken, Exception, Probe, asks_a_system, broken, reads_this_machine};
pub use deaths::{Mortal, survives_death};
pub use empty::empty_observations;
pub use examples::step;
pub use kept::kept;

use crate::{KindInfo, Registry};
use std::sync::Arc;

/// What a rule says of a kind: nothing, or why it does not hold.
pub type Held = Result<(), String>;

/// One rule on one kind.
pub struct Case {
    /// The rule, as a test is named: `example_comes_back`.
    pub rule: String,
    /// The kind; an act that shares its name with a check is told apart: `http-act`.
    pub kind: String,
    /// Checks it.
    pub check: Box<dyn FnOnce() -> Held + Send>,
}

impl Case {
    fn new(
        rule: &str,
        registry: &Registry,
        kind: &KindInfo,
        check: impl FnOnce() -> Held + Send + 'static,
    ) -> Self {
        Self { rule: rule.to_owned(), kind: label(registry, kind), check: Box::new(check) }
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.rule, self.kind)
    }
}

/// How a kind is named in a test.
pub fn label(registry: &Registry, kind: &KindInfo) -> String {
    let shared = kind.acts && registry.kind(kind.name, false).is_some();
    if shared { format!("{}-act", kind.name) } else { kind.name.to_owned() }
}

/// A rule that needs no more than the registry.
type Rule = fn(&Registry, &KindInfo) -> Held;

const OFFLINE: [(&str, Rule); 7] = [
    ("example_comes_back", examples::comes_back),
    ("unknown_setting_is_a_mistake", examples::refuses_unknown_settings),
    ("settings_and_observation_are_described", examples::is_described),
    ("empty_observation_never_passes", judging::empty_never_passes),
    ("no_observation_never_passes", judging::nothing_never_passes),
    ("unreadable_observation_is_undecided", judging::unreadable_is_undecided),
    ("same_observation_gives_same_findings", judging::same_again),
];

/// The rules that need no server and no evidence, on every kind.
pub fn offline(registry: &Registry) -> Vec<Case> {
    let of_rule = |(name, rule): (&'static str, Rule)| {
        let case = move |kind: &KindInfo| {
            let (registry, kind) = (registry.clone(), *kind);
            Case::new(name, &registry.clone(), &kind, move || rule(&registry, &kind))
        };
        registry.kinds().map(case).collect::<Vec<_>>()
    };
    OFFLINE.into_iter().flat_map(of_rule).collect()
}

/// Fails with this text unless `holds`.
fn ensure(holds: bool, why: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(why()) }
}

/// Cheap to clone, so that each case has its own.
type Shared<T> = Arc<T>;
