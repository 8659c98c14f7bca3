//! When to stop: Ctrl-C, SIGTERM, or the deadline. Whoever waits is woken; whoever begins something asks first.

use proofmark_model::clock::Clock;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Cheap to clone; all clones stop together.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<&'static str>>);

const DEADLINE: &str = "the deadline is over";

impl Stop {
    /// Never stops.
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// Stops at SIGINT, SIGTERM, or when the deadline is over.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
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
            // Nobody listens any more: the run is over.
            let _ = tell.send(Some(by));
            std::future::pending::<()>().await;
        });
        Ok(Self(stop))
    }

    /// Why to stop, if so.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().map(str::to_owned)
    }

    /// Was it a signal, not the deadline?
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
