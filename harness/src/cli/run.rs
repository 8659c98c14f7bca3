//! `run`: plan, run, read back, report.

use super::report::{opened, told};
use super::{Chosen, allowed, give, refuse, run_scope, say, tell};
use crate::clients::processes::host;
use crate::clock::Clock;
use crate::diag::{Diag, Place};
use crate::environment::{Environment, Systems};
use crate::model::{Duration, Event, Exit, FORMAT, FileHash, Line, Permission, RunInfo};
use crate::record::{Export, RecordError, Recorder, Run, Tell, export};
use crate::redact::Redactor;
use crate::report::progress::Progress;
use crate::report::{Report, github};
use crate::run::{Ended, Hear, Stop, World};
use crate::scenario::Plan;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run, and where to leave what was seen.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    kept: Kept,
    /// How many scenarios run side by side
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: usize,
    /// Stop when the whole run takes longer than this; what is left is unverified
    #[arg(long, value_name = "DURATION")]
    deadline: Option<Duration>,
}

/// What every command that is a run takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Kept {
    /// What a run may do besides reading: run programs, change systems, destroy data
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(super) allow: Vec<Permission>,
    /// Folder that gets a folder for this run
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(super) evidence: PathBuf,
    /// Folder that gets the reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(super) reports: PathBuf,
    /// Folder that also gets the files that steps keep with `evidence:`, in a folder for each scenario
    #[arg(long, value_name = "DIR")]
    pub(super) export: Option<PathBuf>,
    /// Who runs it; kept in the evidence
    #[arg(long, value_name = "NAME", env = "PROOFMARK_OPERATOR")]
    pub(super) operator: Option<String>,
    /// How to tell it while it runs: for people, or one JSON event per line
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
}

impl Kept {
    /// Who runs it: as given, else the user.
    pub(super) fn operator(&self) -> String {
        let user = || nix::unistd::User::from_uid(nix::unistd::getuid());
        let name = || user().ok().flatten().map_or_else(|| "unknown".to_owned(), |user| user.name);
        self.operator.clone().unwrap_or_else(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Human,
    /// One JSON event per line
    Jsonl,
}

/// Runs what was chosen.
pub(super) async fn run(options: &Options, clock: &Clock) -> Exit {
    // Asked for while the scenarios are read.
    let paths = options.chosen.paths.clone();
    let commit = std::thread::spawn(move || commit(paths.first()?));
    let (jobs, deadline) = (options.jobs, options.deadline);
    let order = Order { command: "run", kept: &options.kept, jobs, deadline, inside: None, confirm: None };
    let load = |scope: &Map<String, Value>| options.chosen.load(scope);
    let telling = || teller(options.kept.format, clock);
    match order.perform(load, || commit.join().ok().flatten(), (clock, telling)).await {
        Ok((ended, exports)) => conclude(&options.kept, &exports, &ended, told_alone),
        Err(stopped) => stopped.exit,
    }
}

/// A run that did not begin, or could not be kept.
pub(super) struct Stopped {
    pub(super) exit: Exit,
    /// In words; told already.
    pub(super) why: String,
}

/// Is told what happens, and how far it has come.
pub(super) type Telling = (Tell, Option<Hear>);

/// Asks whether to go on.
pub(super) type Confirm = fn(&Systems) -> Result<(), Diag>;

/// A run of scenarios: what it is called, and where what it sees is kept.
pub(super) struct Order<'a> {
    pub(super) command: &'a str,
    pub(super) kept: &'a Kept,
    pub(super) jobs: usize,
    pub(super) deadline: Option<Duration>,
    /// What the paths begin with of files that stand in the program: nobody can mend it, so no place in it is shown.
    pub(super) inside: Option<&'a str>,
    /// Is asked before anything is touched, of the systems as they are known then.
    pub(super) confirm: Option<Confirm>,
}

impl Order<'_> {
    fn refuse(&self, wrong: Vec<Diag>) -> Stopped {
        let shown = |place: &Place| self.inside.is_none_or(|inside| !place.source.path.starts_with(inside));
        let told = |diag: Diag| Diag { place: diag.place.filter(shown), ..diag };
        let wrong: Vec<Diag> = wrong.into_iter().map(told).collect();
        let why = wrong.iter().map(|diag| diag.message.as_str()).collect::<Vec<_>>().join("; ");
        Stopped { exit: refuse(&wrong), why }
    }

    /// Plans and runs, and hands back the folder of evidence. `load` gets what templates may name of the run; `commit` is
    /// asked for late, and `telling` once nobody is asked anything any more.
    pub(super) async fn perform(
        &self,
        load: impl FnOnce(&Map<String, Value>) -> Result<(Plan, Environment), Vec<Diag>>,
        commit: impl FnOnce() -> Option<String>,
        (clock, telling): (&Clock, impl FnOnce() -> Telling),
    ) -> Result<(Ended, Vec<Export>), Stopped> {
        let operator = self.kept.operator();
        let scope = run_scope(clock, &operator);
        let redactor = Redactor::default();
        let ready = async {
            let (plan, environment) = load(&scope)?;
            let systems = self.systems(&plan, &environment, clock, redactor.clone()).await?;
            self.confirm.map_or(Ok(()), |confirm| confirm(&systems)).map_err(|diag| vec![diag])?;
            Ok::<_, Vec<Diag>>((plan, environment, systems))
        };
        let (plan, environment, systems) = ready.await.map_err(|wrong| self.refuse(wrong))?;
        if let Some(exit) = super::recover::in_the_way(self.kept) {
            return Err(Stopped { exit, why: "a run that is dead owes a change".to_owned() });
        }
        let stop = Stop::listen(clock, self.deadline.map(|deadline| deadline.0)).map_err(|error| {
            self.refuse(vec![Diag::new("no-signals", format!("signals cannot be listened to: {error}"))])
        })?;
        let recorded = async {
            let (tell, heard) = telling();
            let mut recorder = Recorder::create(&self.kept.evidence, clock, redactor, tell)?;
            let info = self.info(&plan, &environment, (&recorder.run, &operator, clock));
            recorder.info(&RunInfo { commit: commit(), programs: systems.programs.clone(), ..info })?;
            let mut run = scope;
            run.insert("id".into(), json!(recorder.run));
            let (systems, jobs) = (Arc::new(systems), self.jobs);
            let registry = crate::kinds::registry().clone();
            let world = World { registry, systems, clock: clock.clone(), stop, run, jobs, heard };
            crate::run::run(&plan, world, recorder).await
        };
        let ended =
            recorded.await.map_err(|error| Stopped { exit: unrecorded(&error), why: error.to_string() })?;
        Ok((ended, plan.exports()))
    }

    async fn systems(
        &self,
        plan: &Plan,
        environment: &Environment,
        clock: &Clock,
        redactor: Redactor,
    ) -> Result<Systems, Vec<Diag>> {
        let allow = allowed(&self.kept.allow);
        let (uses, mut wrong) = plan.connections(environment);
        wrong.extend(plan.permissions(&allow, &environment.forbid).err().into_iter().flatten());
        let exec = allow.contains(&Permission::Exec) && !environment.forbid.contains(&Permission::Exec);
        if !wrong.is_empty() && exec {
            // A secret may come from a program, and nothing is to be touched.
            return Err(wrong);
        }
        match environment.resolve(&uses, exec, clock, redactor).await {
            Ok(systems) if wrong.is_empty() => Ok(systems),
            resolved => Err(wrong.into_iter().chain(resolved.err().into_iter().flatten()).collect()),
        }
    }

    fn info(&self, plan: &Plan, environment: &Environment, of: (&str, &str, &Clock)) -> RunInfo {
        let hash = |s: &crate::scenario::Scenario| FileHash {
            path: s.document.source.path.clone(),
            sha256: s.sha256.clone(),
        };
        RunInfo {
            scenarios: plan.scenarios.iter().map(hash).collect(),
            vars: plan.scenarios.iter().map(|s| (s.id.clone(), Value::Object(s.vars.clone()))).collect(),
            allow: allowed(&self.kept.allow).iter().map(|permission| permission.word().to_owned()).collect(),
            ..asked(self.command, environment, of)
        }
    }
}

/// What is known of every run.
pub(super) fn asked(
    command: &str,
    environment: &Environment,
    (run, operator, clock): (&str, &str, &Clock),
) -> RunInfo {
    RunInfo {
        proofmark: FORMAT.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        run: run.to_owned(),
        started: clock.now(),
        command: command.into(),
        environment: environment.file(),
        connections: environment.written(),
        scenarios: vec![],
        vars: BTreeMap::new(),
        allow: vec![],
        commit: None,
        host: host(),
        operator: operator.to_owned(),
        programs: vec![],
    }
}

/// The commit of the checkout that the scenarios stand in.
fn commit(scenarios: &Path) -> Option<String> {
    let place = std::path::absolute(scenarios).ok()?;
    let folder = if place.is_dir() { place.as_path() } else { place.parent()? };
    let output =
        std::process::Command::new("git").arg("-C").arg(folder).args(["rev-parse", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Tells the events while they happen: to people on standard error, to machines on standard output.
pub(super) fn teller(format: Format, clock: &Clock) -> Telling {
    match format {
        Format::Human => {
            let mut progress = Progress::start(clock);
            let heard = progress.heard();
            (Box::new(move |line| progress.take(line)), Some(Arc::new(heard)))
        }
        Format::Jsonl => {
            let tell = |line: &Line| {
                // The last line also says where the evidence is; it follows when that is sealed.
                if !matches!(line.event, Event::RunEnded { .. }) {
                    give(&crate::report::json::line(&json!(line)));
                }
            };
            (Box::new(tell), None)
        }
    }
}

/// The job of GitHub Actions that this runs in.
struct Actions {
    /// The file that becomes the step's part of the job's summary.
    summary: Option<PathBuf>,
}

impl Actions {
    /// None outside of one.
    #[expect(
        clippy::disallowed_methods,
        reason = "GitHub says in variables that it is there, and what it reads"
    )]
    fn here() -> Option<Self> {
        let there = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        there.then(|| Self { summary: summary.map(PathBuf::from) })
    }

    /// Annotations, and the summary. What GitHub shows beside the result changes nothing of it.
    fn told(&self, report: &Report) {
        give(&github::render(report));
        if let Some(file) = &self.summary
            && let Err(error) = github::summarise(report, file)
        {
            let message = format!("the job's summary {} could not be written: {error}", file.display());
            let help = "the verdict, the evidence and the reports are not touched by it";
            tell(&Diag::new("no-summary", message).help(help).render(false));
        }
    }
}

/// What is told to people of a run.
pub(super) enum Told {
    /// This, before the report.
    Before(String),
    /// This, in the place of the report.
    Alone(Value),
}

/// The report says it all.
pub(super) fn told_alone(_: &Run) -> Told {
    Told::Before(String::new())
}

/// Reads the run's own evidence back, and reports it.
pub(super) fn conclude(
    kept: &Kept,
    exports: &[Export],
    ended: &Ended,
    tells: impl FnOnce(&Run) -> Told,
) -> Exit {
    let (folder, mut exit) = (ended.folder.as_path(), ended.exit);
    let Ok(run) = opened(folder.to_str(), &kept.evidence) else { return Exit::Evidence };
    let report = told(&run);
    let written = crate::report::write(&report, &kept.reports);
    if let Err(error) = &written {
        tell(&Diag::new("no-report", format!("the reports could not be written: {error}")).render(false));
        exit = Exit::Evidence;
    }
    if let Some(Err(error)) = kept.export.as_ref().map(|to| export(folder, to, exports)) {
        tell(&Diag::new("no-export", error.to_string()).render(false));
        exit = Exit::Evidence;
    }
    let page = written.as_ref().ok().and_then(|paths| paths.first());
    match kept.format {
        Format::Human => match tells(&run) {
            Told::Alone(value) => {
                give(&format!("{value:#}\n"));
                tell(&format!("evidence  {}", folder.display()));
            }
            Told::Before(text) => {
                say(&text);
                for_people(&report, folder, page.map(PathBuf::as_path));
            }
        },
        Format::Jsonl => {
            let mut line = json!(run.lines.last());
            line["evidence"] = json!(folder);
            line["exit"] = json!(exit);
            give(&crate::report::json::line(&line));
        }
    }
    exit
}

fn for_people(report: &Report, folder: &Path, page: Option<&Path>) {
    say(&crate::report::text::render(report, page, std::io::stdout().is_terminal()));
    say(&format!("\nevidence  {}\n", folder.display()));
    if let Some(page) = page {
        say(&format!("reports   {}\n", page.with_extension("{html,xml,json}").display()));
    }
    if let Some(actions) = Actions::here() {
        actions.told(report);
    }
}

pub(super) fn unrecorded(error: &RecordError) -> Exit {
    let diag = Diag::new("no-evidence", error.to_string());
    let help = "nothing more was run; is the disk full, or the folder read-only?";
    tell(&diag.help(help).render(std::io::stderr().is_terminal()));
    Exit::Evidence
}
