//! Restores a backup, anyone's, into a scratch database, and compares. A store and a server are enough; no file is needed.

use super::embedded::{CommandOptions, EmbeddedCommand, StepOutcome, events_setting, vars};
use super::environment;
use super::error::RunError;
use super::observer::RunObserver;
use proofmark_backup::drill::Drilled;
use proofmark_environment::{Environment, GivenPlace};
use proofmark_evidence::record::{Run, newest_first, read};
use proofmark_model::clock::Clock;
use proofmark_model::{Duration, RunInfo};
use proofmark_objects::client as objects;
use proofmark_postgres::client as postgres;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// How many earlier runs are searched for a drill of the same store.
const BEFORE: usize = 200;

/// Which backup to restore, where to, and what to expect.
#[derive(Debug, Clone)]
pub struct DrillCommand {
    /// The store (`s3://bucket/prefix`, or a folder) and the server to restore into (a URL, or `env:NAME` for the variable
    /// that holds it). Not looked at where there is an environment file.
    pub places: Option<(String, String)>,
    /// Where the bucket's server listens: `http://minio:9000`.
    pub endpoint: Option<String>,
    /// `newest`, `oldest`, or the name of an archive or a manifest.
    pub backup: String,
    /// Only backups whose names begin with this.
    pub prefix: Option<String>,
    /// `T2` counts rows, `T3` compares every row and the schema, `T4` also has to notice a row that is taken away.
    pub tier: String,
    /// The longest that it may take until the restored database can be used.
    pub rto: Option<Duration>,
    /// The oldest that the data in the backup may be.
    pub rpo: Option<Duration>,
    /// How many sessions restore.
    pub jobs: Option<usize>,
    /// A file that takes events, one JSON object a line.
    pub events_log: Option<PathBuf>,
    /// An environment file in place of `places`, and how to run.
    pub command: CommandOptions,
}

const DRILL: EmbeddedCommand = EmbeddedCommand {
    command: "drill",
    file: ("builtin/drill.yaml", include_str!("builtin/drill.yaml")),
    step: "drill",
};

/// Restores a backup into a scratch database, compares, and drops it again.
///
/// # Errors
/// A run that did not begin, or whose evidence could not be written or read back.
pub async fn drill(
    request: &DrillCommand,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<StepOutcome, RunError> {
    let DrillCommand { backup, prefix, tier, rto, rpo, jobs, events_log, command, .. } = request;
    let environment = match (&command.environment, &request.places) {
        (Some(file), _) => environment::load(file),
        (None, Some((store, into))) => {
            let endpoint = request.endpoint.as_deref();
            let store =
                GivenPlace { endpoint, ..environment::typed_place(objects::ROLE.name, "STORE", store) };
            environment::of_places(&[store, environment::typed_place(postgres::ROLE.name, "--into", into)])
        }
        (None, None) => Ok(Environment::default()),
    };
    let given = vars(&json!({
        "backup": backup, "prefix": prefix, "tier": tier, "rto": rto, "rpo": rpo, "jobs": jobs,
        "events": events_setting(events_log.as_deref()),
    }));
    DRILL.run(&command.run, &given, environment, (observer, clock)).await
}

/// What the newest drill before this run saw in the same store.
pub fn previous_drill(evidence: &Path, run: &Run) -> Option<Drilled> {
    let store = |info: &RunInfo| {
        let store = info.connections.get("store")?;
        Some((info.command.clone(), store.get("url")?.clone(), store.get("endpoint").cloned()))
    };
    let this = store(run.info.as_ref()?)?;
    let others =
        newest_first(evidence).into_iter().filter(|folder| folder.file_name() != run.folder.file_name());
    others.take(BEFORE).find_map(|folder| {
        let other = read(&folder).ok()?;
        let info = other
            .info
            .as_ref()
            .filter(|info| info.started <= run.info.as_ref().map_or(info.started, |this| this.started))?;
        (store(info)? == this).then_some(())?;
        let seen = Drilled::deserialize(other.observation(DRILL.scenario(), DRILL.step)?).ok()?;
        seen.comparison.is_some().then_some(seen)
    })
}
