//! A made-up system: lamps, each a folder of files that hold `on` or `off`. All that the rest needs to know of it is in this
//! folder: the role with its words, a check, an act.

mod client;
mod role;
mod state;
mod switch;

use proofmark_engine::{ActKind, CheckKind, System};

/// Everything that a program knows of it.
pub const SYSTEM: System = System {
    name: "lamp",
    roles: &[&role::ROLE],
    checks: &[CheckKind::of::<state::LampState>()],
    acts: &[ActKind::of::<switch::LampSwitch>()],
    ..System::EMPTY
};
