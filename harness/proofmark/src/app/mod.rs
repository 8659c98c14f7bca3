//! What a run is: plan → secrets → permissions → recorder → run → read back → report, as library functions.
//!
//! The command line calls them, and so can a server, a test, or another crate. A function takes a plain struct
//! ([`RunRequest`](run::RunRequest)) and returns values: the folder of evidence, the exit code, the report, diagnostics.
//! Nothing in here prints, reads standard input, or ends the process. What a caller wants to see while a run goes on, and
//! what it wants to be asked, is a [`RunObserver`](observer::RunObserver); [`Silent`](observer::Silent) sees nothing and
//! agrees to everything.
//!
//! ```no_run
//! use proofmark::app::observer::Silent;
//! use proofmark::app::run::{RunRequest, run};
//! use proofmark::engine::scenario::Selection;
//! use proofmark::model::clock::Clock;
//!
//! # async fn example() -> Result<(), proofmark::app::error::RunError> {
//! let selection = Selection { paths: vec!["scenarios".into()], ..Selection::default() };
//! let request = RunRequest { selection, environment: Some("lab.yaml".into()), ..RunRequest::default() };
//! let outcome = run(&request, &Silent, &Clock::real()).await?;
//! println!("{:?}: {}", outcome.report.verdict, outcome.folder.display());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "alerting")]
pub mod audit;
#[cfg(feature = "backup")]
pub mod backup;
mod commit;
mod environment;
#[cfg(feature = "backup")]
pub mod drill;
#[cfg(any(feature = "alerting", feature = "backup"))]
pub mod embedded;
pub mod error;
mod execution;
mod info;
pub mod observer;
pub mod options;
pub mod outcome;
mod owed;
pub mod plan;
pub mod recover;
pub mod report;
pub mod run;
pub mod r#try;
pub mod verify;
