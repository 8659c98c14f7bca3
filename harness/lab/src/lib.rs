//! Throwaway systems and the environment that reaches them: real programs as child processes, in folders that go away.
//!
//! A [`World`] is described by a file, started, broken on purpose by a [`Twin`], and stopped. Everything listens on
//! 127.0.0.1 only, on ports that were free, and ends with the value that holds it.

pub mod embedded;

mod alertmanager;
mod app;
mod daemon;
mod file;
mod minio;
mod postgres;
mod process;
mod prometheus;
mod rules;
mod sealed;
mod service;
mod spoiler;
mod twin;
mod volume;
mod world;

pub use alertmanager::Alertmanager;
pub use app::{AppSpec, Metric};
pub use file::FileSpec;
pub use minio::{BucketSpec, Minio, MinioBreak, MinioSpec, Right};
pub use postgres::{Cluster, Postgres, PostgresSpec};
pub use process::{Process, has};
pub use prometheus::{Prometheus, Watches};
pub use service::ServiceSpec;
pub use twin::{Break, Failure, Outcome, Twin};
pub use world::{StoreSpec, World, WorldSpec};

use proofmark_model::diag::Diag;
use proofmark_net::ClientError;

/// Why a throwaway system could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The program, or the package of it, is not on this machine.
    #[error("`{0}` is not installed, or not on PATH")]
    Missing(String),
    /// The program ended before it was ready.
    #[error("`{program}` ended before it was ready: {said}")]
    Ended {
        /// Its name.
        program: String,
        /// The last that it wrote.
        said: String,
    },
    /// The program did not become ready in time.
    #[error("`{program}` did not say that it was ready within {seconds} s; it said: {said}")]
    Late {
        /// Its name.
        program: String,
        /// How long was waited.
        seconds: u64,
        /// The last that it wrote.
        said: String,
    },
    /// A file, a socket or a process could not be had.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system answered.
        error: std::io::Error,
    },
    /// The description of a world, a twin or a report does not fit.
    #[error("{0}")]
    Wrong(String),
}

impl LabError {
    /// An error of the file system, with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

impl From<ClientError> for LabError {
    fn from(error: ClientError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<&LabError> for Diag {
    fn from(error: &LabError) -> Self {
        let diag = Diag::new("lab", error.to_string());
        match error {
            LabError::Missing(program) => {
                diag.help(format!("`make demo` installs it; by hand: apt-get install {program}"))
            }
            _ => diag,
        }
    }
}
