//! How the world is talked to: one module per protocol. A client knows addresses, logins, limits and the shape of
//! answers; it does not know what it is used for. Every exchange is taken down in a [`Log`], the failed ones too.

pub mod command;
pub mod docker;
pub mod error;
pub mod files;
pub mod http;
pub mod machine;
pub mod tls;

pub use error::ClientError;

use proofmark_model::{Exchange, StepProgress};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The exchanges of an attempt. Cheap to clone; clones share what was taken down.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Entries>>);

/// A pattern that has to fit all of a label's value, as Prometheus and Alertmanager read theirs.
///
/// # Errors
/// A pattern that cannot be read.
pub fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?s:{pattern})$"))
}

/// Who hears how far it has come.
struct ProgressListener(Box<dyn Fn(&StepProgress) + Send>);

impl std::fmt::Debug for ProgressListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProgressListener")
    }
}

#[derive(Debug, Default)]
struct Entries {
    exchanges: Vec<Exchange>,
    sums: BTreeMap<String, Sum>,
    answer: Option<Arc<Vec<u8>>>,
    far: StepProgress,
    heard: Option<ProgressListener>,
}

/// What one entry stands for where it stands for many.
#[derive(Debug)]
struct Sum {
    at: usize,
    parts: usize,
    carried: u64,
}

impl Log {
    /// One that somebody listens to while it goes on.
    pub fn heard(by: impl Fn(&StepProgress) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Entries {
            heard: Some(ProgressListener(Box::new(by))),
            ..Entries::default()
        })))
    }

    /// Something that takes its time begins.
    pub fn begins(&self, what: &'static str) {
        self.far(|far| *far = StepProgress { what, ..StepProgress::default() });
    }

    /// How far it has come.
    pub fn far(&self, change: impl FnOnce(&mut StepProgress)) {
        let entries = &mut *self.entries();
        change(&mut entries.far);
        if let Some(ProgressListener(heard)) = &entries.heard {
            heard(&entries.far);
        }
    }

    /// Takes one exchange down.
    pub fn push(&self, exchange: Exchange) {
        self.entries().exchanges.push(exchange);
    }

    /// Takes down one of many that are alike, such as the parts of an upload: they are one entry, with the bytes that they
    /// carried and the seconds that they took in all. One that failed is to be pushed, so that it is seen.
    pub fn sum(&self, part: Exchange, carried: u64) {
        let Entries { exchanges, sums, .. } = &mut *self.entries();
        let of = format!("{} {} {:?}", part.method, part.target, part.status);
        let sum = sums.entry(of).or_insert(Sum { at: exchanges.len(), parts: 0, carried: 0 });
        (sum.parts, sum.carried) = (sum.parts + 1, sum.carried + carried);
        let sent = match sum.parts {
            1 => format!("({} bytes)", sum.carried),
            parts => format!("({} bytes in {parts} parts)", sum.carried),
        };
        match exchanges.get_mut(sum.at) {
            None => exchanges.push(Exchange { sent: Some(sent), ..part }),
            Some(all) => {
                (all.sent, all.server_date) = (Some(sent), part.server_date);
                (all.bytes, all.seconds) = (all.bytes + part.bytes, all.seconds + part.seconds);
            }
        }
    }

    /// Hands over all exchanges since the last call, oldest first.
    pub fn take(&self) -> Vec<Exchange> {
        let mut entries = self.entries();
        entries.sums.clear();
        std::mem::take(&mut entries.exchanges)
    }

    /// The status of the last exchange since they were handed over; `None` when there was no answer to it.
    pub fn last_status(&self) -> Option<i32> {
        self.entries().exchanges.last().and_then(|exchange| exchange.status)
    }

    /// Keeps an answer as it came, in place of an earlier one.
    pub fn keep(&self, answer: Arc<Vec<u8>>) {
        self.entries().answer = Some(answer);
    }

    /// Hands over the last answer as it came, unredacted: what `evidence:` asks for. A command's is its standard
    /// output. `None` when nothing was answered since the last call.
    pub fn take_answer(&self) -> Option<Arc<Vec<u8>>> {
        self.entries().answer.take()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
