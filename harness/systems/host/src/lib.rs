//! This machine: files, logs, programs, processes; and whatever answers over HTTP.

pub mod processes;
mod kinds;

use proofmark_engine::{ActKind, CheckKind, System};

/// Everything that a program knows of it.
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
