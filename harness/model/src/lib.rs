//! Data types of everything that is written down: events, step records, findings, verdicts, exit codes, error codes.
//!
//! Plain data with serde; no I/O, no clock. Every file in `evidence/` has its shape defined here.

mod code;
pub mod clock;
pub mod diag;
pub mod expect;
pub mod redact;

mod event;
mod far;
mod step;
mod verdict;

pub use code::{CodedError, ErrorCode, SettingMistake};
pub use event::{Event, FileHash, Line, Manifest, RunInfo, ScenarioInfo};
pub use far::StepProgress;
pub use step::{Attempt, Duration, Exchange, OwedChange, StepRecord, sampled};
pub use verdict::{Exit, Finding, Permission, Verdict};

use sha2::{Digest, Sha256};

/// The version of every format that Proofmark reads and writes.
pub const FORMAT: &str = "v1";

/// SHA-256 in lower-case hex, the form of every hash in evidence.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}
