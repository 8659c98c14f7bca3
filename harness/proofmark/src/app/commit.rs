//! The commit of the checkout that the scenarios are in.

use proofmark_model::Exchange;
use proofmark_model::clock::Clock;
use proofmark_net::Log;
use proofmark_net::command::{Program, ask};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Builder;

/// How long git may take. A checkout on a file system that does not answer keeps nobody from a run.
const LIMIT: Duration = Duration::from_secs(30);

/// The commit, and the program that was asked for it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CheckoutCommit {
    /// `None` where the scenarios are in no checkout, or git is not installed.
    pub(super) commit: Option<String>,
    /// Git's run, as evidence has it; `None` where it could not be started.
    pub(super) program: Option<Exchange>,
}

/// Asks git for the commit of the checkout that a file or folder is in. It blocks, with a runtime of its own.
pub(super) fn checkout_commit(scenarios: &Path, clock: &Clock) -> CheckoutCommit {
    let Ok(place) = std::path::absolute(scenarios) else { return CheckoutCommit::default() };
    let folder = if place.is_dir() { Some(place.as_path()) } else { place.parent() };
    let Some(folder) = folder else { return CheckoutCommit::default() };
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return CheckoutCommit::default();
    };
    let argv = ["git", "-C", &folder.to_string_lossy(), "rev-parse", "HEAD"].map(str::to_owned);
    let log = Log::default();
    let answer = runtime.block_on(ask(Program::new(&argv, LIMIT), (clock, &log)));
    let commit = answer.ok().filter(|answer| answer.status.success());
    let commit = commit.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    CheckoutCommit { commit, program: log.take().pop() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_model::sha256;

    #[test]
    fn git_is_kept_as_an_exchange_even_where_it_finds_no_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let asked = checkout_commit(&folder.path().join("missing.yaml"), &Clock::real());
        assert_eq!(asked.commit, None);
        let program = asked.program.unwrap();
        let target = format!("git -C {} rev-parse HEAD", folder.path().display());
        assert_eq!((program.method.as_str(), program.target, program.status), ("exec", target, Some(128)));
        assert_eq!((program.bytes, program.sha256), (0, Some(sha256(""))));
    }
}
