//! Puts back what runs that are dead still owe, from the evidence folder alone.

use super::environment;
use super::error::RunError;
use super::info::run_info;
use super::observer::{RunObserver, RunSinks};
use super::options::RunOptions;
use super::outcome::{RunOutcome, conclude};
use super::owed::unreadable;
use crate::kinds::{registry, vocabulary};
use proofmark_engine::feature_advice;
use proofmark_engine::run::{Stop, World, recover as put_back};
use proofmark_environment::{Environment, Systems, Uses, Variables};
use proofmark_evidence::record::{Recorder, find, read};
use proofmark_evidence::undo::{OpenPromise, Promised, Unfinished, unfinished};
use proofmark_model::clock::Clock;
use proofmark_model::diag::{Diag, near_miss};
use proofmark_model::redact::Redactor;
use proofmark_model::{Permission, RunInfo};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Which runs to put back, and where their systems are.
#[derive(Debug, Clone, Default)]
pub struct RecoverRequest {
    /// A run's folder, or its id below `options.evidence`. Default: the newest run that owes something.
    pub run: Option<String>,
    /// Every run below `options.evidence` that owes something; `run` is not looked at then.
    pub all: bool,
    /// The environment file. Default: the connections of runs that had no environment file either.
    pub environment: Option<PathBuf>,
    /// The folders. Permissions are not needed: they were given with the promise.
    pub options: RunOptions,
}

/// Puts back what is owed. Returns `None` where nothing is owed; nothing was done then.
///
/// # Errors
/// A recovery that did not begin, or whose evidence could not be written or read back.
pub async fn recover(
    request: &RecoverRequest,
    observer: &dyn RunObserver,
    clock: &Clock,
) -> Result<Option<RunOutcome>, RunError> {
    // The locks of these runs are held until the end.
    let owing = chosen(request)?;
    if let Some(lives) = owing.iter().find(|run| run.lock.is_none()) {
        let message = format!("the run {} still lives, and puts back itself what it owes", lives.run);
        let diag = Diag::new("lives", message).help("wait for its end, or stop it with SIGTERM");
        return Err(RunError::NotRecovered(vec![diag]));
    }
    if owing.is_empty() {
        return Ok(None);
    }
    let debts: Vec<OpenPromise> = owing.iter().flat_map(|run| run.debts.clone()).collect();
    let redactor = Redactor::default();
    for debt in &debts {
        // The connection that a secret came from may not be used here.
        if let Some(undo) = &debt.undo {
            redactor.learn_masked(&debt.promised.undo, undo);
        }
    }
    let ready = systems(request, &debts, clock, redactor.clone()).await;
    let (environment, systems) = ready.map_err(RunError::NotRecovered)?;
    // Listened to, so that they do not end it half way.
    let Ok(stop) = Stop::listen(clock, None) else {
        return Err(RunError::Refused(vec![Diag::new("no-signals", "signals cannot be listened to")]));
    };
    let operator = request.options.operator();
    let RunSinks { events, progress } = observer.sinks();
    let mut recorder = Recorder::create(&request.options.evidence, clock, redactor, events)?;
    let info = run_info("recover", &environment, (&recorder.run, &operator, clock));
    recorder.info(&RunInfo { programs: systems.programs.clone(), ..info })?;
    let (systems, clock) = (Arc::new(systems), clock.clone());
    let world = World {
        registry: registry().clone(),
        systems,
        clock,
        stop,
        run: Map::new(),
        jobs: 1,
        heard: progress,
    };
    let ended = put_back(debts, world, recorder).await?;
    conclude(&request.options, &[], ended).map(Some)
}

/// The runs to put back, locked.
fn chosen(request: &RecoverRequest) -> Result<Vec<Unfinished>, RunError> {
    let evidence = &request.options.evidence;
    let named = request.run.as_ref().filter(|_| !request.all).map(|name| find(Some(name), evidence));
    let named = named.transpose().map_err(|error| {
        let help = "name a run's folder, or its id below `--evidence DIR`";
        RunError::Refused(vec![Diag::new("no-run", error.to_string()).help(help)])
    })?;
    // A run's folder may stand elsewhere; what a later recovery did stands beside it.
    let beside = named.as_ref().and_then(|folder| folder.parent()).unwrap_or(evidence);
    let mut owing = unfinished(beside).map_err(|error| unreadable(&error))?;
    match &named {
        Some(folder) => owing.retain(|run| run.folder.file_name() == folder.file_name()),
        None if request.all => {}
        None => owing.truncate(1),
    }
    Ok(owing)
}

/// The connections of runs that had no environment file either. Those on which two runs differ are left out.
fn of_their_runs(debts: &[OpenPromise]) -> Environment {
    let folders: BTreeSet<_> = debts.iter().map(|debt| &debt.folder).collect();
    let infos = folders.into_iter().filter_map(|folder| read(folder).ok()?.info);
    let (mut found, mut unlike) = (BTreeMap::new(), BTreeSet::new());
    for (name, connection) in
        infos.filter(|info| info.environment.is_none()).flat_map(|info| info.connections)
    {
        if found.insert(name.clone(), connection.clone()).is_some_and(|other| other != connection) {
            unlike.insert(name);
        }
    }
    found.retain(|name, _| !unlike.contains(name));
    Environment::of_run(vocabulary(), Variables::PROCESS, &found)
}

/// A change that this program cannot put back, because it lacks the kind that made it.
fn built_without(promised: &Promised, feature: &str) -> Diag {
    let Promised { scenario, step, kind, .. } = promised;
    let message = format!(
        "what `{scenario}#{step}` changed is put back by the kind `{kind}`; this program was built without `{feature}`"
    );
    Diag::new("built-without", message).help(feature_advice(feature))
}

/// The connections that the undo data use. The permission to run programs and to change systems was given with the promise.
async fn systems(
    request: &RecoverRequest,
    debts: &[OpenPromise],
    clock: &Clock,
    redactor: Redactor,
) -> Result<(Environment, Systems), Vec<Diag>> {
    let file = request.environment.as_deref();
    let environment = file.map_or_else(|| Ok(of_their_runs(debts)), environment::load)?;
    let mut used = Uses::new();
    let mut wrong = vec![];
    for (promised, undo) in debts.iter().map(|debt| (&debt.promised, debt.undo.as_ref())) {
        if let Some(feature) = registry().missing_feature(&promised.kind) {
            wrong.push(built_without(promised, feature));
            continue;
        }
        let roles = registry().roles_back(&promised.kind, undo).iter().map(|role| (*role).to_owned());
        for role in roles.chain(promised.via.keys().cloned()).collect::<BTreeSet<_>>() {
            let name = promised.via.get(&role).unwrap_or(&role).clone();
            if environment.names().any(|known| known == name) {
                used.entry(name).or_default().insert(role);
                continue;
            }
            let kind = registry().kind(&promised.kind, true);
            if kind.is_some_and(|kind| kind.optional.contains(&role.as_str())) && name == role {
                continue;
            }
            let message = format!(
                "what `{}#{}` changed is put back with the connection `{name}`, which is not there",
                promised.scenario, promised.step
            );
            let help = near_miss(&name, environment.names()).map_or_else(
                || "give the environment of that run: `--env FILE`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            wrong.push(Diag::new("unknown-connection", message).help(help));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let exec = !environment.forbid.contains(&Permission::Exec);
    let systems = environment.resolve(&used, exec, clock, redactor).await?;
    Ok((environment, systems))
}
