//! The compliance suite on every kind that this program has: a new kind gets all of it by being in the list.
//!
//! The rules are `proofmark_engine::testing::compliance`; here is what they need from the outside. A test is called
//! `compliance::<rule>::<kind>`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

mod acts;
mod example;
mod faults;
mod kept;
mod secrets;

use libtest_mimic::{Failed, Trial};
use proofmark::kinds::registry;
use proofmark_engine::testing::compliance::{Case, offline, reads_this_machine};

/// The checks that ask no system, and why.
const READS_THIS_MACHINE: &[(&str, &str)] = &[
    ("file", "it looks at a file: there is no server that could be broken"),
    ("log-lines", "it reads a file: there is no server that could be broken"),
];

pub fn trials() -> Vec<Trial> {
    let cases = offline(registry())
        .into_iter()
        .chain(reads_this_machine(registry(), READS_THIS_MACHINE))
        .chain(kept::cases())
        .chain(faults::cases());
    cases.map(trial).chain(secrets::trials()).chain(acts::trials()).collect()
}

fn trial(case: Case) -> Trial {
    Trial::test(format!("compliance::{case:?}"), move || (case.check)().map_err(Failed::from))
}
