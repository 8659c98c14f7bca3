//! A world: applications, the Prometheus that watches them, an Alertmanager and a database where it asks for them, and
//! the environment file that reaches them all.

use super::app::App;
use super::process::free_address;
use super::rules::Rules;
use super::service::{Service, ServiceSpec};
use super::spoiler::Spoiler;
use super::{
    Alertmanager, AppSpec, Break, Cluster, FileSpec, LabError, Minio, MinioBreak, MinioSpec, Postgres,
    PostgresSpec, Prometheus, Watches, alertmanager, daemon, has, minio, postgres,
};
use proofmark_model::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Two scrapes and some: after so long Prometheus has seen what was changed.
const SEEN_AFTER: Duration = Duration::from_secs(3);

/// Prometheus looks for Alertmanagers every five seconds, and then sends again what fires.
const ARRIVED_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// How long a fresh Prometheus may take until it has scraped everything twice.
const SCRAPED_WITHIN: Duration = Duration::from_secs(60);

/// The connections to the systems that a world may have.
const ALERTMANAGER: &str = "alertmanager";
const POSTGRES: &str = "postgres";

/// The file of its URL, which holds a password.
const POSTGRES_URL: &str = "postgres.url";

/// The connection to a store, and its folder.
const STORE: &str = "store";

/// The connection that Alertmanager posts to, where its configuration has this word for `host:port`.
const RECEIVER: &str = "receiver";
const RECEIVER_ADDRESS: &str = "RECEIVER";

/// The description of a world, as its file holds it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorldSpec {
    /// The applications by name; each becomes a connection of that name.
    #[serde(default)]
    pub apps: BTreeMap<String, AppSpec>,
    /// Programs that a scenario may stop; each becomes a connection of its name.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceSpec>,
    /// What stands here in the place of the same `vars` of scenarios. `<name>` stands for the URL of an application.
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    /// Files by their path below the world's folder, in which scenarios are run.
    #[serde(default)]
    pub files: BTreeMap<String, FileSpec>,
    /// Files of rules for Prometheus: of this world, or elsewhere.
    #[serde(default)]
    pub rules: Vec<PathBuf>,
    /// The configuration of an Alertmanager that Prometheus sends its alerts to; none: there is no Alertmanager. The word
    /// `RECEIVER` in it stands for `host:port` of the connection `receiver`, where only a scenario that needs it listens.
    pub alertmanager: Option<Value>,
    /// A database; none: there is no PostgreSQL.
    pub postgres: Option<PostgresSpec>,
    /// The folder `store` as the connection of that name, with what `files` put there; none: there is no store.
    pub store: Option<StoreSpec>,
    /// A MinIO with buckets, each a connection; none: there is no MinIO.
    pub minio: Option<MinioSpec>,
}

/// A store of a world. There is nothing to say of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {}

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
        let objects = self.minio.iter_mut().flat_map(|minio| minio.objects.values_mut());
        self.files.values_mut().chain(objects).for_each(|file| file.below(folder));
        let sql = self.postgres.iter_mut().flat_map(|postgres| &mut postgres.sql);
        let files = &self.files;
        for file in
            self.rules.iter_mut().chain(sql).filter(|file| !files.contains_key(&*file.to_string_lossy()))
        {
            *file = folder.join(&*file);
        }
        self
    }

    /// The same without the systems that cannot be had on this machine, and those: connection and package.
    #[must_use]
    pub fn without_missing(mut self) -> (Self, Vec<(String, String)>) {
        let mut missing = Vec::new();
        let mut lacks =
            |connection: &str, package: &str| missing.push((connection.to_owned(), package.to_owned()));
        self.services.retain(|name, service| {
            let there = has(&service.program);
            if !there {
                lacks(name, &service.program);
            }
            there
        });
        let program = alertmanager::FAMILY.program;
        if !has(program) && self.alertmanager.take().is_some() {
            lacks(ALERTMANAGER, program);
        }
        if !Cluster::installed() && self.postgres.take().is_some() {
            lacks(POSTGRES, postgres::PACKAGE);
        }
        if let Some(minio) = self.minio.take_if(|_| !Minio::installed()) {
            minio.stores.keys().for_each(|store| lacks(store, minio::PACKAGE));
        }
        (self, missing)
    }
}

/// A running world. Dropping it stops everything and removes its folder.
#[derive(Debug)]
pub struct World {
    // Programs end before the folder that holds their data goes: fields drop in this order.
    prometheus: Prometheus,
    alertmanager: Option<Alertmanager>,
    postgres: Option<Postgres>,
    minio: Option<Minio>,
    spoiler: Option<Spoiler>,
    rules: Rules,
    apps: BTreeMap<String, App>,
    services: BTreeMap<String, Service>,
    vars: BTreeMap<String, String>,
    addresses: BTreeMap<String, String>,
    receiver: String,
    /// Stores by name, as the environment file has them.
    stores: BTreeMap<String, Value>,
    folder: TempDir,
    clock: Clock,
}

impl World {
    /// Starts everything that the description names, and writes the environment file.
    ///
    /// # Errors
    /// Where a program is not installed, or something cannot be started.
    pub async fn start(spec: &WorldSpec) -> Result<Self, LabError> {
        let folder = tempfile::Builder::new().prefix("proofmark-lab-").tempdir();
        let folder = folder.map_err(LabError::io("making a temporary folder"))?;
        let (place, clock) = (folder.path(), Clock::real());
        furnish(spec, place, &clock).await?;
        let (apps, services) = started(spec, place, &clock).await?;
        let (mut jobs, mut addresses) = (BTreeMap::<String, Vec<String>>::new(), BTreeMap::new());
        let of_apps = apps.iter().map(|(name, app)| (name, &spec.apps[name].job, &app.address));
        let of_services = services.iter().map(|(name, one)| (name, &spec.services[name].job, &one.address));
        for (name, job, address) in of_apps.chain(of_services) {
            jobs.entry(job.clone()).or_default().push(address.clone());
            addresses.insert(name.clone(), format!("http://{address}"));
        }
        let receiver = free_address()?;
        let alertmanager = match &spec.alertmanager {
            // As JSON, which is YAML too.
            Some(config) => {
                let config = config.to_string().replace(RECEIVER_ADDRESS, &receiver);
                Some(Alertmanager::start(place, &config).await?)
            }
            None => None,
        };
        let alertmanagers: Vec<String> = alertmanager.iter().map(|one| authority(&one.url)).collect();
        if let Some(one) = &alertmanager {
            jobs.insert(ALERTMANAGER.to_owned(), alertmanagers.clone());
            addresses.insert(ALERTMANAGER.to_owned(), one.url.clone());
        }
        let here = |file: &PathBuf| {
            let own = spec.files.contains_key(&*file.to_string_lossy());
            if own { place.join(file) } else { file.clone() }
        };
        let postgres = Box::pin(database(place, spec.postgres.as_ref(), here)).await?;
        addresses.extend(postgres.iter().map(|one| (POSTGRES.to_owned(), one.address())));
        let (minio, stores) = Box::pin(stores(place, spec)).await?;
        let buckets = spec.minio.iter().flat_map(|minio| minio.stores.keys());
        addresses
            .extend(minio.iter().flat_map(|one| buckets.clone().map(|name| (name.clone(), one.url.clone()))));
        let rules = Rules::copy(&spec.rules.iter().map(here).collect::<Vec<_>>(), place).await?;
        let watches = Watches { jobs: &jobs, rules: rules.files(), alertmanagers: &alertmanagers };
        let prometheus = Prometheus::start(place, watches).await?;
        addresses.insert("prometheus".to_owned(), prometheus.url.clone());
        let vars = filled_in(&spec.vars, &addresses);
        let world = Self {
            prometheus,
            alertmanager,
            postgres,
            minio,
            spoiler: None,
            rules,
            apps,
            services,
            vars,
            addresses,
            receiver,
            stores,
            folder,
            clock,
        };
        world.write_environment().await?;
        Ok(world)
    }

    /// Its files of rules, which Prometheus reads.
    pub fn rules(&self) -> &[PathBuf] {
        self.rules.files()
    }

    /// What stands here in the place of the same `vars` of scenarios.
    pub fn vars(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// The environment file that reaches this world.
    pub fn environment(&self) -> PathBuf {
        self.folder.path().join("lab.yaml")
    }

    /// A folder that goes away with the world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Base URLs by connection name, without logins.
    pub fn addresses(&self) -> &BTreeMap<String, String> {
        &self.addresses
    }

    /// Breaks it once Prometheus has seen it whole, and waits until Prometheus has seen that, and Alertmanager what fires.
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
        match &self.alertmanager {
            Some(alertmanager) => self.told(alertmanager).await,
            None => Ok(()),
        }
    }

    /// Waits until Alertmanager holds every alert that fires.
    async fn told(&self, alertmanager: &Alertmanager) -> Result<(), LabError> {
        let deadline = self.clock.elapsed() + ARRIVED_WITHIN;
        loop {
            let (firing, held) = (self.prometheus.firing().await?, alertmanager.holds().await?);
            let missing: Vec<&str> = firing.difference(&held).map(String::as_str).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if self.clock.elapsed() > deadline {
                let missing = missing.join(", ");
                return Err(LabError::Wrong(format!("Alertmanager has not heard of {missing}")));
            }
            self.clock.sleep(LOOKS_EVERY).await;
        }
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
            Break::File { path, becomes } => {
                let path = self.folder.path().join(path);
                tokio::fs::remove_file(&path)
                    .await
                    .map_err(LabError::io(format!("removing {}", path.display())))?;
                match becomes {
                    Some(file) => file.write(&path, &self.clock).await,
                    None => Ok(()),
                }
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
            Break::Alertmanager(config) => {
                let found = self.alertmanager.as_mut().ok_or_else(|| missing(ALERTMANAGER))?;
                let taken = found.reload(&config.to_string()).await?;
                taken
                    .then_some(())
                    .ok_or_else(|| LabError::Wrong("Alertmanager does not take its configuration".into()))
            }
            Break::Silence(labels) => {
                self.alertmanager.as_ref().ok_or_else(|| missing(ALERTMANAGER))?.silence(labels).await
            }
            Break::Minio(one) => Box::pin(self.spoil(one)).await,
            Break::Sql(text) => self.postgres.as_ref().ok_or_else(|| missing(POSTGRES))?.sql(text).await,
        }
    }

    /// Breaks MinIO, or puts before it what does.
    async fn spoil(&mut self, one: &MinioBreak) -> Result<(), LabError> {
        let missing = || LabError::Wrong("this world has no MinIO".into());
        let minio = self.minio.as_ref().ok_or_else(missing)?;
        let MinioBreak::CutsShort { bucket, after } = one else { return minio.suffer(one).await };
        let spoiler = Spoiler::start(minio.owner(), bucket, *after).await?;
        let (own, through) = (json!(minio.url), json!(spoiler.url));
        for store in self.stores.values_mut().filter(|store| store["endpoint"] == own) {
            store["endpoint"] = through.clone();
        }
        self.spoiler = Some(spoiler);
        self.write_environment().await
    }

    /// Ends everything, in order.
    pub async fn stop(self) {
        drop(self.apps);
        drop(self.services);
        self.prometheus.stop().await;
        if let Some(alertmanager) = self.alertmanager {
            alertmanager.stop().await;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
        if let Some(mut minio) = self.minio {
            minio.stop().await;
        }
    }

    /// As JSON, which is YAML too. Passwords stand in files of their own.
    async fn write_environment(&self) -> Result<(), LabError> {
        let connections = self.addresses.iter().map(|(name, url)| (name.clone(), json!({ "url": url })));
        let mut connections: BTreeMap<String, Value> = connections.collect();
        connections.insert(RECEIVER.to_owned(), json!({ "url": format!("http://{}", self.receiver) }));
        if self.postgres.is_some() {
            let secret = self.folder.path().join(POSTGRES_URL);
            connections.insert(POSTGRES.to_owned(), json!({ "url": { "file": secret } }));
        }
        connections.extend(self.stores.clone());
        let text = json!({ "proofmark": proofmark_model::FORMAT, "connections": connections });
        daemon::write(&self.environment(), &text.to_string()).await
    }
}

/// Its files.
async fn furnish(spec: &WorldSpec, folder: &Path, clock: &Clock) -> Result<(), LabError> {
    for (path, file) in &spec.files {
        file.write(&folder.join(path), clock).await?;
    }
    Ok(())
}

/// The MinIO of a world, and all its stores by name, as the environment file has them.
async fn stores(
    folder: &Path,
    spec: &WorldSpec,
) -> Result<(Option<Minio>, BTreeMap<String, Value>), LabError> {
    let mut all = BTreeMap::new();
    if spec.store.is_some() {
        let store = folder.join(STORE);
        let made = tokio::fs::create_dir_all(&store).await;
        made.map_err(LabError::io("making a folder for the store"))?;
        all.insert(STORE.to_owned(), json!({ "url": format!("file://{}", store.display()) }));
    }
    let Some(spec) = &spec.minio else { return Ok((None, all)) };
    let place = folder.join("minio");
    let made = tokio::fs::create_dir_all(&place).await;
    made.map_err(LabError::io(format!("making {}", place.display())))?;
    let minio = Minio::start(&place, ("owner", &hex::encode(rand::random::<[u8; 16]>()))).await?;
    for (login, secret) in minio.furnish(spec).await? {
        postgres::write_private(&place.join(format!("{login}.access")), &login)?;
        postgres::write_private(&place.join(format!("{login}.secret")), &secret)?;
    }
    all.extend(spec.stores.iter().map(|(name, store)| (name.clone(), minio.connection(store, &place))));
    Ok((Some(minio), all))
}

/// The applications and the services of a world, by name.
async fn started(
    spec: &WorldSpec,
    folder: &Path,
    clock: &Clock,
) -> Result<(BTreeMap<String, App>, BTreeMap<String, Service>), LabError> {
    let (mut apps, mut services) = (BTreeMap::new(), BTreeMap::new());
    for (name, spec) in &spec.apps {
        apps.insert(name.clone(), App::start(spec.clone()).await?);
    }
    for name in spec.services.keys() {
        services.insert(name.clone(), Service::start(folder, name, clock).await?);
    }
    Ok((apps, services))
}

/// The variables of a world, with addresses in the place of names.
fn filled_in(
    vars: &BTreeMap<String, String>,
    addresses: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let filled = |text: &String| {
        addresses.iter().fold(text.clone(), |text, (name, url)| text.replace(&format!("<{name}>"), url))
    };
    vars.iter().map(|(name, text)| (name.clone(), filled(text))).collect()
}

/// `host:port` of a base URL.
fn authority(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// A database below the world's folder, which its server may only pass through.
async fn database(
    folder: &Path,
    spec: Option<&PostgresSpec>,
    here: impl Fn(&PathBuf) -> PathBuf,
) -> Result<Option<Postgres>, LabError> {
    let Some(spec) = spec else { return Ok(None) };
    let place = folder.join(POSTGRES);
    let made = tokio::fs::create_dir(&place).await;
    made.map_err(LabError::io(format!("making {}", place.display())))?;
    let open = tokio::fs::set_permissions(folder, Permissions::from_mode(0o711)).await;
    open.map_err(LabError::io(format!("opening {}", folder.display())))?;
    let sql = spec.sql.iter().map(here).collect();
    let postgres = Postgres::start(&place, &PostgresSpec { sql, ..spec.clone() }).await?;
    postgres::write_private(&folder.join(POSTGRES_URL), &postgres.url())?;
    Ok(Some(postgres))
}
