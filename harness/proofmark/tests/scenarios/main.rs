//! The tests that are made of data, and those that need what not every machine has: every shipped scenario and every twin,
//! and what asks a MinIO, a Docker engine, a small disk or `strace`. What cannot be had is ignored and says why; nothing
//! passes for it.

#[path = "../ground"]
mod ground {
    #[expect(dead_code, reason = "the tests of what is noticed use more of it")]
    pub mod backups;
    #[expect(dead_code, reason = "the tests of poolers play its other trick")]
    pub mod between;
    pub mod docker;
    pub mod hook;
    pub mod lasting;
    #[expect(dead_code, reason = "the other tests reach a URL")]
    pub mod look;
    pub mod minio;
    pub mod objects;
    #[expect(dead_code, reason = "the tests of its ways use more of it")]
    pub mod postgres;
    pub mod program;
    pub mod proxy;
    pub mod store;
}

mod backup_container;
mod backup_minio;
mod backup_prune;
mod compliance;
mod full_disk;
mod minio;
mod objects;
mod shipped;
mod torture;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or_else(threads);
    let shipped = shipped::Worlds::start(&arguments);
    // What takes long comes first, so that nothing is waited for alone at the end.
    let mut trials = torture::trials();
    trials.extend(backup_minio::trials());
    trials.extend(compliance::trials());
    trials.extend(full_disk::trials());
    trials.extend(backup_container::trials(&arguments));
    trials.extend(objects::trials());
    trials.extend(backup_prune::trials());
    trials.extend(minio::trials());
    trials.extend(shipped.trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    shipped.stop();
    conclusion.exit_code()
}

/// How many tests run side by side: what the other test binaries heed too.
#[expect(clippy::disallowed_methods, reason = "how tests are run is no input of a run")]
fn threads() -> Option<usize> {
    std::env::var("RUST_TEST_THREADS").ok()?.parse().ok()
}

/// A test of a module; ignored where something is missing, with the reason as its kind.
fn trial(module: &str, name: &str, missing: Option<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let trial = Trial::test(format!("{module}::{name}"), move || {
        test();
        Ok(())
    });
    ignored(trial, missing)
}

/// The same for one that is made already.
fn ignored(trial: Trial, missing: Option<String>) -> Trial {
    match missing {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}

/// Will any test be run whose name begins so? What takes long to prepare is prepared for no other.
fn wanted(arguments: &Arguments, name: &str) -> bool {
    let skipped = arguments.skip.iter().any(|skip| name.contains(skip.as_str()));
    let filtered = match &arguments.filter {
        Some(filter) if arguments.exact => name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    !arguments.list && filtered && !skipped
}
