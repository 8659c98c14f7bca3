//! A world: applications, the Prometheus that watches them, and the environment file that reaches them all.

use super::app::App;
use super::rules::Rules;
use super::{AppSpec, Break, LabError, Prometheus};
use crate::clock::Clock;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Two scrapes and some: after so long Prometheus has seen what was changed.
const SEEN_AFTER: Duration = Duration::from_secs(3);

/// How long a fresh Prometheus may take until it has scraped everything twice.
const SCRAPED_WITHIN: Duration = Duration::from_secs(60);

/// The description of a world, as its file holds it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorldSpec {
    /// The applications by name; each becomes a connection of that name.
    pub apps: BTreeMap<String, AppSpec>,
    /// Files of rules for Prometheus.
    #[serde(default)]
    pub rules: Vec<PathBuf>,
}

impl WorldSpec {
    /// Reads a description.
    ///
    /// # Errors
    /// Where it does not fit.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        serde_saphyr::from_str(text)
            .map_err(|error| LabError::Wrong(format!("the world cannot be read: {error}")))
    }

    /// The same, where the files that it names lie below this folder.
    #[must_use]
    pub fn below(mut self, folder: &Path) -> Self {
        for file in &mut self.rules {
            *file = folder.join(&*file);
        }
        self
    }
}

/// A running world. Dropping it stops everything and removes its folder.
#[derive(Debug)]
pub struct World {
    // Programs end before the folder that holds their data goes: fields drop in this order.
    prometheus: Prometheus,
    rules: Rules,
    apps: BTreeMap<String, App>,
    addresses: BTreeMap<String, String>,
    folder: TempDir,
    clock: Clock,
}

impl World {
    /// Starts everything that the description names, and writes the environment file.
    ///
    /// # Errors
    /// Where Prometheus is not installed, or something cannot be started.
    pub async fn start(spec: &WorldSpec) -> Result<Self, LabError> {
        let folder = tempfile::Builder::new().prefix("proofmark-lab-").tempdir();
        let folder = folder.map_err(LabError::io("making a temporary folder"))?;
        let mut apps = BTreeMap::new();
        let mut jobs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, spec) in &spec.apps {
            let app = App::start(spec.clone()).await?;
            jobs.entry(spec.job.clone()).or_default().push(app.address.clone());
            apps.insert(name.clone(), app);
        }
        let rules = Rules::copy(&spec.rules, folder.path()).await?;
        let prometheus = Prometheus::start(folder.path(), &jobs, rules.files()).await?;
        let addresses = apps.iter().map(|(name, app)| (name.clone(), format!("http://{}", app.address)));
        let mut addresses: BTreeMap<String, String> = addresses.collect();
        addresses.insert("prometheus".to_owned(), prometheus.url.clone());
        let world = Self { prometheus, rules, apps, addresses, folder, clock: Clock::real() };
        let text = world.environment_text();
        tokio::fs::write(world.environment(), text)
            .await
            .map_err(LabError::io("writing the environment file"))?;
        Ok(world)
    }

    /// The environment file that reaches this world.
    pub fn environment(&self) -> PathBuf {
        self.folder.path().join("lab.yaml")
    }

    /// A folder that goes away with the world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Base URLs by connection name.
    pub fn addresses(&self) -> &BTreeMap<String, String> {
        &self.addresses
    }

    /// Breaks it once Prometheus has seen it whole, and waits until Prometheus has seen that.
    ///
    /// # Errors
    /// Where a break names something that this world does not have, or nobody scrapes it.
    pub async fn suffer(&mut self, breaks: &[Break]) -> Result<(), LabError> {
        for app in self.apps.values() {
            app.scraped(SCRAPED_WITHIN).await?;
        }
        for one in breaks {
            self.apply(one).await?;
        }
        self.clock.sleep(SEEN_AFTER).await;
        Ok(())
    }

    async fn apply(&mut self, one: &Break) -> Result<(), LabError> {
        let missing = |what: &str| LabError::Wrong(format!("this world has no {what}"));
        match one {
            Break::Stop(name) => self.apps.remove(name).map(drop).ok_or_else(|| missing(name)),
            Break::Page { app, path, becomes } => {
                let found = self.apps.get(app).ok_or_else(|| missing(app))?;
                let old = found.change(|spec| spec.pages.get_mut(path).map(|page| *page = becomes.clone()));
                old.ok_or_else(|| missing(&format!("page {path} in {app}")))
            }
            Break::Metric { app, name, becomes } => {
                let found = self.apps.get(app).ok_or_else(|| missing(app))?;
                let old = found.change(|spec| {
                    let metric = spec.metrics.iter_mut().find(|metric| metric.name == *name);
                    metric.map(|metric| *metric = becomes.clone())
                });
                old.ok_or_else(|| missing(&format!("metric {name} in {app}")))
            }
            Break::Rule { name, becomes } => {
                self.rules.change(name, becomes.as_deref()).await?;
                let taken = self.prometheus.read_again().await?;
                if taken {
                    Ok(())
                } else {
                    Err(LabError::Wrong(format!("Prometheus does not take the rule {name}")))
                }
            }
            Break::Reload(text) if self.prometheus.reload(text).await? => {
                Err(LabError::Wrong("Prometheus took the configuration that should be broken".into()))
            }
            Break::Reload(_) => Ok(()),
        }
    }

    /// Ends everything, in order.
    pub async fn stop(self) {
        drop(self.apps);
        self.prometheus.stop().await;
    }

    /// As JSON, which is YAML too.
    fn environment_text(&self) -> String {
        let connections = self.addresses.iter().map(|(name, url)| (name.clone(), json!({ "url": url })));
        let connections: serde_json::Map<_, _> = connections.collect();
        json!({ "proofmark": crate::model::FORMAT, "connections": connections }).to_string()
    }
}
