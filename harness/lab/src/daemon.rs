//! A server of the Prometheus family as a throwaway process: it has a configuration, which it reads again on a signal.

use super::process::on_a_free_port;
use super::{LabError, Process};
use nix::sys::signal::Signal;
use proofmark_environment::{Connection, Systems};
use proofmark_model::clock::Clock;
use proofmark_net::Log;
use proofmark_net::http::Endpoint;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How long it may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// A program of the family, and how it says what it does.
#[derive(Debug)]
pub(super) struct Family {
    /// The program, which is the name of its package too.
    pub(super) program: &'static str,
    /// It answers requests.
    pub(super) ready: &'static str,
    /// It took its configuration.
    pub(super) reloaded: &'static str,
    /// It did not, and goes on with the old one.
    pub(super) not_reloaded: &'static str,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Daemon {
    family: &'static Family,
    process: Process,
    config: PathBuf,
    way: (Clock, Systems, Log, Connection),
    /// Its base URL, without a trailing slash.
    pub(super) url: String,
}

impl Daemon {
    /// Starts one at this address, or on a free port of 127.0.0.1, with the configuration `config` that is made of its address (`host:port`),
    /// and waits until it is ready.
    pub(super) async fn start(
        family: &'static Family,
        (file, at): (PathBuf, Option<&str>),
        config: impl Fn(&str) -> String,
        args: &[String],
    ) -> Result<Self, LabError> {
        on_a_free_port(async |free: String| {
            let address = at.map_or(free, str::to_owned);
            write(&file, &config(&address)).await?;
            let mut all = vec![
                format!("--config.file={}", file.display()),
                format!("--web.listen-address={address}"),
                "--log.level=info".to_owned(),
            ];
            all.extend_from_slice(args);
            let mut process = Process::start(family.program, &all)?;
            process.says(&[family.ready], STARTS_WITHIN).await?;
            let url = format!("http://{address}");
            let connection =
                Connection { name: family.program.into(), url: Some(url.clone()), ..Connection::default() };
            let way = (Clock::real(), Systems::default(), Log::default(), connection);
            Ok(Self { family, process, config: file.clone(), way, url })
        })
        .await
    }

    /// Writes `text` as its configuration and makes it read that; says whether it took it.
    pub(super) async fn reload(&mut self, text: &str) -> Result<bool, LabError> {
        write(&self.config, text).await?;
        self.read_again().await
    }

    /// Makes it read its configuration again; says whether it took it.
    pub(super) async fn read_again(&mut self) -> Result<bool, LabError> {
        self.process.signal(Signal::SIGHUP);
        let Family { reloaded, not_reloaded, .. } = self.family;
        Ok(self.process.says(&[not_reloaded, reloaded], STARTS_WITHIN).await? == *reloaded)
    }

    /// The way to it; what is exchanged is no evidence.
    pub(super) fn wire(&self) -> Endpoint<'_> {
        let (clock, systems, log, connection) = &self.way;
        log.take();
        Endpoint { clock, systems, log, connection: Some(connection), timeout: ANSWERS_WITHIN }
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.process.stop().await;
    }
}

pub(super) async fn write(path: &Path, text: &str) -> Result<(), LabError> {
    tokio::fs::write(path, text).await.map_err(LabError::io(format!("writing {}", path.display())))
}
