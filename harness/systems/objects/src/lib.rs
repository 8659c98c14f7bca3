//! Buckets of S3 servers, and folders that are used like buckets.

pub mod client;
mod kinds;

use proofmark_engine::{CheckKind, System};

/// The kinds and connections of this system.
pub const SYSTEM: System = System {
    name: "objects",
    roles: &[&client::ROLE],
    checks: &[CheckKind::of::<kinds::s3_bucket::S3Bucket>(), CheckKind::of::<kinds::s3_objects::S3Objects>()],
    ..System::EMPTY
};
