//! Buckets of S3 servers, and folders that are used like one.

pub mod client;
mod kinds;

use proofmark_engine::{CheckKind, System};

/// Everything that a program knows of it.
pub const SYSTEM: System = System {
    name: "objects",
    roles: &[&client::ROLE],
    checks: &[CheckKind::of::<kinds::s3_bucket::S3Bucket>(), CheckKind::of::<kinds::s3_objects::S3Objects>()],
    ..System::EMPTY
};
