//! Prometheus as a throwaway process, with its data in a folder that goes away with it.

use super::LabError;
use super::daemon::{Daemon, Family};
use proofmark_prometheus::client as prometheus;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FAMILY: Family = Family {
    program: "prometheus",
    ready: "Server is ready to receive web requests",
    reloaded: "Completed loading of configuration file",
    not_reloaded: "Error reloading config",
};

/// What a Prometheus works with.
#[derive(Debug, Clone, Copy)]
pub struct Watches<'a> {
    /// What it scrapes beside itself: job name to `host:port`.
    pub jobs: &'a BTreeMap<String, Vec<String>>,
    /// Its files of rules.
    pub rules: &'a [PathBuf],
    /// The Alertmanagers that it sends alerts to, as `host:port`.
    pub alertmanagers: &'a [String],
}

/// A running Prometheus that scrapes and evaluates once a second.
#[derive(Debug)]
pub struct Prometheus {
    daemon: Daemon,
    /// Its base URL, without a trailing slash.
    pub url: String,
}

impl Prometheus {
    /// Starts one below `folder`.
    ///
    /// # Errors
    /// Where it is not installed, cannot be started, or is not ready within half a minute.
    pub async fn start(folder: &Path, watches: Watches<'_>) -> Result<Self, LabError> {
        Self::start_on(folder, watches, None).await
    }

    /// Starts one below `folder` at this address (`host:port`), such as one that was stopped.
    ///
    /// # Errors
    /// As for [`Self::start`]; also where someone else has taken the address.
    pub async fn start_at(folder: &Path, watches: Watches<'_>, address: &str) -> Result<Self, LabError> {
        Self::start_on(folder, watches, Some(address)).await
    }

    async fn start_on(folder: &Path, watches: Watches<'_>, address: Option<&str>) -> Result<Self, LabError> {
        let config = |address: &str| configuration(address, watches).to_string();
        let args = [
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            // An alert that fires before Alertmanager is known goes nowhere, and is sent again after this.
            "--rules.alert.resend-delay=2s".to_owned(),
            "--web.enable-lifecycle".to_owned(),
        ];
        let daemon = Daemon::start(&FAMILY, (folder.join("prometheus.yml"), address), config, &args).await?;
        Ok(Self { url: daemon.url.clone(), daemon })
    }

    /// Writes `text` as its configuration and makes it read that; says whether it took it.
    ///
    /// # Errors
    /// Where the file cannot be written, or it does not answer within half a minute.
    pub async fn reload(&mut self, text: &str) -> Result<bool, LabError> {
        self.daemon.reload(text).await
    }

    /// Makes it read its configuration and rules again; says whether it took them.
    ///
    /// # Errors
    /// Where it does not answer within half a minute.
    pub async fn read_again(&mut self) -> Result<bool, LabError> {
        self.daemon.read_again().await
    }

    /// The names of the alerts that fire.
    pub(super) async fn firing(&self) -> Result<BTreeSet<String>, LabError> {
        let alerts = prometheus::alerts(self.daemon.wire()).await?;
        Ok(alerts.into_iter().filter(|alert| alert.state == "firing").map(|alert| alert.name).collect())
    }

    /// Ends it.
    pub async fn stop(self) {
        self.daemon.stop().await;
    }
}

/// The configuration, as JSON: every JSON text is YAML.
fn configuration(address: &str, watches: Watches<'_>) -> Value {
    let job = |name: &str, targets: &[String]| json!({ "job_name": name, "static_configs": [{ "targets": targets }] });
    let mut scrape = vec![job("prometheus", &[address.to_owned()])];
    scrape.extend(watches.jobs.iter().map(|(name, targets)| job(name, targets)));
    json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": watches.rules,
        "scrape_configs": scrape,
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": watches.alertmanagers }] }] },
    })
}
