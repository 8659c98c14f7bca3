//! The commit of the checkout that the scenarios are in.

use proofmark_model::clock::Clock;
use proofmark_model::{Exchange, sha256};
use proofmark_net::command::exchange;
use std::path::Path;
use std::process::Command;

/// The commit, and the program that was asked for it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CheckoutCommit {
    /// `None` where the scenarios are in no checkout, or git is not installed.
    pub(super) commit: Option<String>,
    /// Git's run, as evidence has it; `None` where it could not be started.
    pub(super) program: Option<Exchange>,
}

/// Asks git for the commit of the checkout that a file or folder is in.
pub(super) fn checkout_commit(scenarios: &Path, clock: &Clock) -> CheckoutCommit {
    let Ok(place) = std::path::absolute(scenarios) else { return CheckoutCommit::default() };
    let folder = if place.is_dir() { Some(place.as_path()) } else { place.parent() };
    let Some(folder) = folder else { return CheckoutCommit::default() };
    let began = clock.elapsed();
    let output = Command::new("git").arg("-C").arg(folder).args(["rev-parse", "HEAD"]).output();
    let Ok(output) = output else { return CheckoutCommit::default() };
    let seconds = clock.elapsed().saturating_sub(began).as_secs_f64();
    let argv = ["git", "-C", &folder.to_string_lossy(), "rev-parse", "HEAD"].map(str::to_owned);
    let ran = exchange(&argv, output.status.code(), output.stdout.len() as u64, seconds);
    let commit = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    CheckoutCommit { commit, program: Some(Exchange { sha256: Some(sha256(&output.stdout)), ..ran }) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
