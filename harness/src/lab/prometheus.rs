//! Prometheus as a throwaway process, with its data in a folder that goes away with it.

use super::{LabError, Process};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How often a port that someone else took in the meantime is replaced by another.
const PORTS: usize = 3;

const READY: &str = "Server is ready to receive web requests";
const RELOADED: &str = "Completed loading of configuration file";
const NOT_RELOADED: &str = "Error reloading config";

/// A running Prometheus that scrapes once a second.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    config: PathBuf,
    /// Its base URL, without a trailing slash.
    pub url: String,
}

impl Prometheus {
    /// Starts one below `folder` that scrapes itself and `jobs` (job name to `host:port`), and loads these files of rules.
    ///
    /// # Errors
    /// Where it is not installed, cannot be started, or is not ready within half a minute.
    pub async fn start(
        folder: &Path,
        jobs: &BTreeMap<String, Vec<String>>,
        rules: &[PathBuf],
    ) -> Result<Self, LabError> {
        let mut tries = 1;
        loop {
            match Self::try_start(folder, jobs, rules).await {
                Err(LabError::Ended { said, .. })
                    if said.contains("address already in use") && tries < PORTS =>
                {
                    tries += 1;
                }
                end => return end,
            }
        }
    }

    async fn try_start(
        folder: &Path,
        jobs: &BTreeMap<String, Vec<String>>,
        rules: &[PathBuf],
    ) -> Result<Self, LabError> {
        let address = free_address().map_err(LabError::io("looking for a free port"))?;
        let config = folder.join("prometheus.yml");
        write(&config, &configuration(&address, jobs, rules).to_string()).await?;
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=info".to_owned(),
        ];
        let mut process = Process::start("prometheus", &args)?;
        process.says(&[READY], STARTS_WITHIN).await?;
        Ok(Self { process, config, url: format!("http://{address}") })
    }

    /// Writes `text` as its configuration and makes it read that; says whether it took it.
    ///
    /// # Errors
    /// Where the file cannot be written, or it does not answer within half a minute.
    pub async fn reload(&mut self, text: &str) -> Result<bool, LabError> {
        write(&self.config, text).await?;
        self.read_again().await
    }

    /// Makes it read its configuration and rules again; says whether it took them.
    ///
    /// # Errors
    /// Where it does not answer within half a minute.
    pub async fn read_again(&mut self) -> Result<bool, LabError> {
        self.process.signal(Signal::SIGHUP);
        Ok(self.process.says(&[NOT_RELOADED, RELOADED], STARTS_WITHIN).await? == RELOADED)
    }

    /// Ends it.
    pub async fn stop(self) {
        self.process.stop().await;
    }
}

/// The configuration, as JSON: every JSON text is YAML.
fn configuration(address: &str, jobs: &BTreeMap<String, Vec<String>>, rules: &[PathBuf]) -> Value {
    let job = |name: &str, targets: &[String]| json!({ "job_name": name, "static_configs": [{ "targets": targets }] });
    let mut scrape = vec![job("prometheus", &[address.to_owned()])];
    scrape.extend(jobs.iter().map(|(name, targets)| job(name, targets)));
    json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": rules,
        "scrape_configs": scrape,
    })
}

/// An address that was free a moment ago. Someone else may take it before the program does.
fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

pub(super) async fn write(path: &Path, text: &str) -> Result<(), LabError> {
    tokio::fs::write(path, text).await.map_err(LabError::io(format!("writing {}", path.display())))
}
