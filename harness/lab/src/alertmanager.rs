//! Alertmanager as a throwaway process, with its data in a folder that goes away with it.

use super::LabError;
use super::daemon::{Daemon, Family};
use proofmark_alerting::client::alertmanager;
use proofmark_evidence::undo::LabPermit;
use proofmark_model::clock::Clock;
use proofmark_net::http::{Call, Changing, change};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

pub(super) const FAMILY: Family = Family {
    program: "prometheus-alertmanager",
    ready: "Listening on",
    reloaded: "Completed loading of configuration file",
    not_reloaded: "Loading configuration file failed",
};

/// How long a silence lasts: longer than any world.
const SILENT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A running Alertmanager without peers.
#[derive(Debug)]
pub struct Alertmanager {
    daemon: Daemon,
    /// Its base URL, without a trailing slash.
    pub url: String,
}

impl Alertmanager {
    /// Starts one below `folder` with this configuration.
    ///
    /// # Errors
    /// Where it is not installed, does not take the configuration, or is not ready within half a minute.
    pub async fn start(folder: &Path, config: &str) -> Result<Self, LabError> {
        let args = [
            format!("--storage.path={}", folder.join("alertmanager").display()),
            // Without an address for its peers it does not look for any, and is ready at once.
            "--cluster.listen-address=".to_owned(),
        ];
        let file = folder.join("alertmanager.yml");
        let daemon = Daemon::start(&FAMILY, (file, None), |_| config.to_owned(), &args).await?;
        Ok(Self { url: daemon.url.clone(), daemon })
    }

    /// Writes `text` as its configuration and makes it read that; says whether it took it.
    ///
    /// # Errors
    /// Where the file cannot be written, or it does not answer within half a minute.
    pub async fn reload(&mut self, text: &str) -> Result<bool, LabError> {
        self.daemon.reload(text).await
    }

    /// Silences every alert with these labels, from now on.
    ///
    /// # Errors
    /// Where it does not take that.
    pub async fn silence(&self, labels: &BTreeMap<String, String>) -> Result<(), LabError> {
        let matcher = |(name, value): (&String, &String)| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true });
        let matchers: Vec<Value> = labels.iter().map(matcher).collect();
        let now = Clock::real().now();
        let silence = json!({
            "matchers": matchers, "startsAt": now, "endsAt": now + SILENT_FOR,
            "createdBy": "proofmark", "comment": "a throwaway world",
        });
        self.post("/api/v2/silences", &silence).await
    }

    /// Posts JSON to a path of its API.
    ///
    /// # Errors
    /// Where it does not take that.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(), LabError> {
        let call = Call::change(Changing::POST, path).json(body);
        let wrong = |why: String| LabError::Wrong(format!("Alertmanager does not take {body}: {why}"));
        let answer = change(self.daemon.wire(), &call, &LabPermit::of_the_lab()).await;
        let answer = answer.map_err(|error| wrong(error.to_string()))?;
        if answer.is_success() { Ok(()) } else { Err(wrong(answer.excerpt())) }
    }

    /// The names of the alerts that it holds, also of those that it does not tell anyone.
    pub(super) async fn holds(&self) -> Result<BTreeSet<String>, LabError> {
        let alerts = alertmanager::alerts(self.daemon.wire(), |_| true).await?;
        Ok(alerts.into_iter().map(|alert| alert.name).collect())
    }

    /// Ends it.
    pub async fn stop(self) {
        self.daemon.stop().await;
    }
}
