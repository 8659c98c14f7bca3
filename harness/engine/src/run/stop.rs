//! When to stop: Ctrl-C, SIGTERM, or the deadline. Waiting tasks are woken; a task checks before it begins something.

use proofmark_model::clock::Clock;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A stop signal. Cheap to clone; all clones stop together.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<&'static str>>);

const DEADLINE: &str = "the deadline is over";

impl Stop {
    /// A signal that never occurs.
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// Stops at SIGINT, SIGTERM, or when the deadline is over.
    ///
    /// # Errors
    /// When the signals cannot be received.
    pub fn listen(clock: &Clock, deadline: Option<Duration>) -> std::io::Result<Self> {
        let (tell, stop) = watch::channel(None);
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let clock = clock.clone();
        tokio::spawn(async move {
            let late = async {
                match deadline {
                    Some(deadline) => clock.sleep(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let by = tokio::select! {
                _ = int.recv() => "SIGINT",
                _ = term.recv() => "SIGTERM",
                () = late => DEADLINE,
            };
            // No receiver is left: the run is over.
            let _ = tell.send(Some(by));
            std::future::pending::<()>().await;
        });
        Ok(Self(stop))
    }

    /// The reason to stop, if there is one.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().map(str::to_owned)
    }

    /// Returns whether the reason is a signal and not the deadline.
    pub fn by_signal(&self) -> bool {
        self.0.borrow().is_some_and(|by| by != DEADLINE)
    }

    /// Returns when it is time to stop.
    pub async fn stopped(&mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
