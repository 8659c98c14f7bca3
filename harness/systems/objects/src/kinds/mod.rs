//! The kinds of this system, one file per kind.

pub mod s3_bucket;
pub mod s3_objects;
#[cfg(test)]
pub mod judgements;
