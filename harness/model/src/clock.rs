//! Reads the time, measures durations and waits: with the machine's clock, or with one that a test sets.

#![expect(clippy::disallowed_methods, reason = "this is the clock that everything else has to ask")]

use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock. Cheap to clone; clones of a set clock share their time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clocks: wall time for `now`, monotonic time for `elapsed`.
    Real {
        /// What `elapsed` counts from.
        origin: Instant,
    },
    /// A clock that moves only when it is set forward or slept on.
    Told(Arc<Mutex<Told>>),
}

/// The state of a set clock.
#[derive(Debug)]
pub struct Told {
    start: Timestamp,
    passed: Duration,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Self::Real { origin: Instant::now() }
    }

    /// A clock set to `start`.
    pub fn told(start: Timestamp) -> Self {
        Self::Told(Arc::new(Mutex::new(Told { start, passed: Duration::ZERO })))
    }

    /// Wall time in UTC, truncated to milliseconds, the precision that evidence keeps.
    pub fn now(&self) -> Timestamp {
        let exact = match self {
            Self::Real { .. } => Timestamp::now(),
            Self::Told(told) => {
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.start + told.passed
            }
        };
        Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
    }

    /// Time since this clock was made; never decreases.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Real { origin } => origin.elapsed(),
            Self::Told(told) => told.lock().unwrap_or_else(PoisonError::into_inner).passed,
        }
    }

    /// Waits. On a set clock it moves the time forward and returns at once.
    pub async fn sleep(&self, length: Duration) {
        match self {
            Self::Real { .. } => tokio::time::sleep(length).await,
            Self::Told(told) => {
                told.lock().unwrap_or_else(PoisonError::into_inner).passed += length;
                tokio::task::yield_now().await;
            }
        }
    }
}
