//! Steps that are run against systems which are broken: a step that could not look is unverified.

use super::{Case, Held, Shared, ensure, label};
use crate::testing::lines;
use crate::{KindInfo, Registry};
use proofmark_model::{ErrorCode, StepRecord, Verdict};

/// Runs the example of a kind against one broken system, and hands back what was kept of the step; `None` where the kind
/// does not ask such a system.
pub type Probe = Box<dyn Fn(&KindInfo) -> Result<Option<StepRecord>, String> + Send + Sync>;

/// A way for a system to be broken.
pub struct Broken {
    /// The rule, as a test is named: `unreachable_is_unverified`.
    pub rule: &'static str,
    /// Runs a kind there.
    pub probe: Probe,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rule)
    }
}

/// A kind that decides what others do not.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// The kind.
    pub kind: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// What it concludes.
    pub verdict: Verdict,
    /// Why that is right.
    pub reason: &'static str,
}

/// Every check that asks a system is unverified where that system is broken. An exception that is not needed is a failure.
pub fn broken(registry: &Registry, ways: Vec<Broken>, exceptions: &'static [Exception]) -> Vec<Case> {
    let mut cases = vec![];
    for way in ways {
        let way = Shared::new(way);
        for kind in registry.list(false) {
            let (way, kind) = (way.clone(), *kind);
            let excepted = exceptions.iter().find(|it| (it.kind, it.rule) == (kind.name, way.rule));
            cases.push(Case::new(way.rule, registry, &kind, {
                let way = way.clone();
                move || match (way.probe)(&kind)? {
                    Some(record) => decided(&record, excepted),
                    None => ensure(excepted.is_none(), || "the exception is of no use".to_owned()),
                }
            }));
        }
    }
    cases
}

fn decided(record: &StepRecord, excepted: Option<&Exception>) -> Held {
    let expected = excepted.map_or(Verdict::Unverified, |it| it.verdict);
    ensure(record.verdict == expected, || {
        let (is, should) = (record.verdict.word(), expected.word());
        format!("it is {is}, not {should}: {:#?}", lines(&record.findings))
    })?;
    for attempt in record.attempts.iter().filter(|attempt| attempt.error.is_some()) {
        let why = || format!("{:?}: {:?}", attempt.code, attempt.error);
        ensure(attempt.code.is_some(), || format!("an error without a code: {}", why()))?;
        // It has to be the system that is broken, not what the test gave to the step.
        let own = [ErrorCode::MissingConnection, ErrorCode::BadSettings, ErrorCode::Internal];
        ensure(!attempt.code.is_some_and(|code| own.contains(&code)), || {
            format!("nothing was asked: {}", why())
        })?;
    }
    ensure(expected != Verdict::Unverified || !record.findings.is_empty(), || "without a finding".to_owned())
}

/// Does the example of this kind ask a system: has it a role, or an address?
pub fn asks_a_system(kind: &KindInfo) -> bool {
    !kind.roles.is_empty() || kind.example.contains("://")
}

/// The checks that ask no system. Each has to be named in `known` with
/// the reason, and each entry has to be such a check.
pub fn reads_this_machine(registry: &Registry, known: &'static [(&'static str, &'static str)]) -> Vec<Case> {
    let case = |kind: &KindInfo| {
        let kind = *kind;
        let name = label(registry, &kind);
        Case::new("a_check_without_a_system_is_named", registry, &kind, move || {
            let asks = asks_a_system(&kind);
            let named = known.iter().any(|(known, reason)| *known == name && !reason.is_empty());
            ensure(asks != named, || {
                if asks {
                    "it asks a system: take it off the list".to_owned()
                } else {
                    "it asks no system: say why".to_owned()
                }
            })
        })
    };
    registry.list(false).map(case).collect()
}
