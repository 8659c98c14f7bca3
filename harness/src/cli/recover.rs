//! `recover`: puts back what runs that are dead still owe, from the evidence folder alone.

use super::run::{Kept, asked, conclude, teller, told_alone, unrecorded};
use super::{many, refuse, say, tell};
use crate::clock::Clock;
use crate::diag::{Diag, near_miss};
use crate::environment::{Environment, Systems, Uses, Variables};
use crate::kinds::{registry, vocabulary};
use crate::model::{Exit, Permission, RunInfo};
use crate::record::{ReadError as NoRun, Recorder, find, read};
use crate::redact::Redactor;
use crate::run::{Stop, World, recover as put_back};
use crate::undo::{Debt, Unfinished, unfinished};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

/// Which runs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// A run's folder, or its id in `--evidence`; without it the newest run that owes something
    #[arg(conflicts_with = "all")]
    run: Option<String>,
    /// Every run in `--evidence` that owes something
    #[arg(long)]
    all: bool,
    /// Environment file: where the systems are and how to log in
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    #[command(flatten)]
    kept: Kept,
}

/// What stands in the way of a run: changes that an earlier one has not put back. A run that changes nothing is told, and
/// goes on.
pub(super) fn in_the_way(kept: &Kept) -> Option<Exit> {
    let owing = match unfinished(&kept.evidence) {
        Ok(runs) => runs.into_iter().filter(|run| run.lock.is_some()).collect::<Vec<_>>(),
        Err(error) => return Some(unreadable(&error)),
    };
    let (first, wrong) = (owing.first()?, !kept.allow.is_empty());
    let message = format!(
        "{} in {} has not been put back by the run that made it, and that run is dead",
        many(owing.iter().map(|run| run.debts.len()).sum(), "change"),
        first.folder.display(),
    );
    let help = "`proofmark recover --all --env FILE` puts it back";
    if wrong {
        let diag = Diag::new("owed", message).help(help).render(std::io::stderr().is_terminal());
        tell(&format!("{diag}\n\nnothing was run: a change on top of another cannot be told apart from it"));
        return Some(Exit::Owed);
    }
    tell(&format!("note: {message}; {help}\n"));
    None
}

fn unreadable(error: &crate::undo::ReadError) -> Exit {
    let help = "look at it before anything is changed; move the run's folder away to go on without it";
    tell(&Diag::new("no-journal", error.to_string()).help(help).render(std::io::stderr().is_terminal()));
    Exit::Evidence
}

/// Puts back what is owed.
pub(super) async fn recover(options: &Options, clock: &Clock) -> Exit {
    let owing = match chosen(options) {
        Ok(owing) => owing,
        Err(exit) => return exit,
    };
    if let Some(lives) = owing.iter().find(|run| run.lock.is_none()) {
        let message = format!("the run {} still lives, and puts back itself what it owes", lives.run);
        refuse(&[Diag::new("lives", message).help("wait for its end, or stop it with SIGTERM")]);
        return Exit::Owed;
    }
    if owing.is_empty() {
        say("nothing is owed; nothing was done\n");
        return Exit::Passed;
    }
    let debts: Vec<Debt> = owing.iter().flat_map(|run| run.debts.clone()).collect();
    let redactor = Redactor::default();
    for debt in &debts {
        // The connection that a secret came from may not be used here.
        if let Some(undo) = &debt.undo {
            redactor.learn_masked(&debt.promised.undo, undo);
        }
    }
    let (environment, systems) = match systems(options, &debts, clock, redactor.clone()).await {
        Ok(ready) => ready,
        Err(wrong) => {
            refuse(&wrong);
            return Exit::Owed;
        }
    };
    // Listened to, so that they do not end it half way.
    let Ok(stop) = Stop::listen(clock, None) else {
        return refuse(&[Diag::new("no-signals", "signals cannot be listened to")]);
    };
    let operator = options.kept.operator();
    let recorded = async {
        let (tell, heard) = teller(options.kept.format, clock);
        let mut recorder = Recorder::create(&options.kept.evidence, clock, redactor, tell)?;
        let info = asked("recover", &environment, (&recorder.run, &operator, clock));
        recorder.info(&RunInfo { programs: systems.programs.clone(), ..info })?;
        let (systems, clock) = (Arc::new(systems), clock.clone());
        let world =
            World { registry: registry().clone(), systems, clock, stop, run: Map::new(), jobs: 1, heard };
        put_back(debts, world, recorder).await
    };
    match recorded.await {
        Ok(ended) => conclude(&options.kept, &[], &ended, told_alone),
        Err(error) => unrecorded(&error),
    }
}

/// The runs to put back; their locks are held until the end.
fn chosen(options: &Options) -> Result<Vec<Unfinished>, Exit> {
    let named = match &options.run {
        None => None,
        Some(name) => Some(find(Some(name), &options.kept.evidence).map_err(|error| no_run(&error))?),
    };
    // A run's folder may stand elsewhere; what a later recovery did stands beside it.
    let beside = named.as_ref().and_then(|folder| folder.parent()).unwrap_or(&options.kept.evidence);
    let mut owing = unfinished(beside).map_err(|error| unreadable(&error))?;
    match &named {
        Some(folder) => owing.retain(|run| run.folder.file_name() == folder.file_name()),
        None if options.all => {}
        None => owing.truncate(1),
    }
    Ok(owing)
}

fn no_run(error: &NoRun) -> Exit {
    let help = "name a run's folder, or its id below `--evidence DIR`";
    refuse(&[Diag::new("no-run", error.to_string()).help(help)])
}

/// The connections of runs that had no environment file either. Those on which two runs differ are left out.
fn of_their_runs(debts: &[Debt]) -> Environment {
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

/// The connections that the ways back use. Leave to run programs and to change systems was given with the promise.
async fn systems(
    options: &Options,
    debts: &[Debt],
    clock: &Clock,
    redactor: Redactor,
) -> Result<(Environment, Systems), Vec<Diag>> {
    let environment = options.env.as_deref().map_or_else(|| Ok(of_their_runs(debts)), super::load)?;
    let mut used = Uses::new();
    let mut wrong = vec![];
    for (promised, undo) in debts.iter().map(|debt| (&debt.promised, debt.undo.as_ref())) {
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
