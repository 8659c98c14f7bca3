//! The machine that Proofmark runs on: files, logs, programs and processes; and any server that speaks HTTP.

pub mod processes;
mod kinds;

use proofmark_engine::{ActKind, CheckKind, System};

/// The kinds and connections of this system.
pub const SYSTEM: System = System {
    name: "host",
    sources: &[&proofmark_net::command::SECRET],
    checks: &[
        CheckKind::of::<kinds::file::File>(),
        CheckKind::of::<kinds::http::Http>(),
        CheckKind::of::<kinds::log_lines::LogLines>(),
    ],
    acts: &[
        ActKind::of::<kinds::command::Command>(),
        ActKind::of::<kinds::http::change::HttpChange>(),
        ActKind::of::<kinds::process_stop::ProcessStop>(),
    ],
    ..System::EMPTY
};
