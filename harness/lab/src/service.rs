//! A program of a world that a scenario may stop and start again. What is started again is no child of ours, so it is known
//! by the folder that it runs in.

use super::process::{free_address, running_in};
use super::{LabError, Process};
use nix::sys::signal::{Signal, kill};
use proofmark_model::clock::Clock;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked whether it answers.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// A service, as the world's file holds it. It is started with `sh NAME/run`, a file of the world: a script that goes to its
/// folder, writes its number to `pid` there, and becomes a program that listens on what stands in `address` there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The job that Prometheus scrapes it under.
    pub job: String,
    /// The program that has to be on this machine, which is the name of its package too.
    pub program: String,
}

/// A running service. Dropping it ends everything that runs in its folder.
#[derive(Debug)]
pub(super) struct Service {
    process: Option<Process>,
    folder: PathBuf,
    /// `host:port`.
    pub(super) address: String,
}

impl Service {
    /// Starts the service of this name below a world's folder, and waits until it answers.
    pub(super) async fn start(world: &Path, name: &str, clock: &Clock) -> Result<Self, LabError> {
        let (folder, address) = (world.join(name), free_address()?);
        super::daemon::write(&folder.join("address"), &address).await?;
        let folder = folder.canonicalize().map_err(LabError::io(format!("looking for {name}")))?;
        let process = Some(Process::start("sh", &[folder.join("run").display().to_string()])?);
        let service = Self { process, folder, address };
        let deadline = clock.elapsed() + STARTS_WITHIN;
        while tokio::net::TcpStream::connect(&service.address).await.is_err() {
            if clock.elapsed() > deadline {
                let (program, seconds) = (name.to_owned(), STARTS_WITHIN.as_secs());
                return Err(LabError::Late { program, seconds, said: String::new() });
            }
            clock.sleep(LOOKS_EVERY).await;
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.take());
        for pid in running_in(&self.folder) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
