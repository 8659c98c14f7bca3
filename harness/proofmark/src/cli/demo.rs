//! `proofmark demo`: a world where all is well, then the same files in one that is broken on purpose.
//!
//! The runs are made by this same program as a child process, as a user would start it. Green alone proves nothing, so
//! the demo succeeds only if the second run failed exactly where the twins say, and nowhere else. At the end an audit has
//! to find the alert of that world that can never fire.

use super::output::tell;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proofmark_lab::{Break, LabError, Outcome, Twin, World, WorldSpec, embedded};
use proofmark_model::diag::Diag;
use proofmark_model::{Exit, Verdict};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// How long a run may take to write its evidence after it was interrupted.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Where the demo leaves what it made.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoCommandArgs {
    /// Folder for the evidence of both runs
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub evidence: PathBuf,
    /// Folder for the reports of both runs
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports: PathBuf,
}

/// What is left out where a system cannot be had: its connection, and the scenario.
const NEEDS: [(&str, &str); 2] = [("alertmanager", "demo/page"), ("postgres", "demo/restore")];

/// How long an alert may take that is made to fire; it does within seconds here, or never.
const DRILLED: &str = "20s";

/// The alert of the demo's world that can never fire.
const DEAD: &str = "never BackupTooOld ";

/// What is run twice.
struct Played {
    scenarios: PathBuf,
    environment: PathBuf,
    /// The file of rules that the drill changes.
    rules: PathBuf,
    ids: Vec<String>,
}

/// Everything that has to be ended, however the demo ends.
#[derive(Default)]
struct Stage {
    run: Option<Child>,
    world: Option<World>,
}

/// How a part of the demo came to an early end.
enum Stop {
    /// Something could not be set up or read.
    Lab(LabError),
    /// A run ended in a way that is no verdict: usage, evidence, interrupted.
    Run(u8),
}

impl From<LabError> for Stop {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

/// Plays the demo. 0: the first run passed and the second failed exactly as named; 1: not so; 3: the world could not be
/// set up; 130: interrupted. A run that ended in another way passes its exit code on.
pub async fn conduct(options: &DemoCommandArgs) -> Exit {
    let mut stage = Stage::default();
    let interrupted = interruption();
    let end = tokio::select! {
        biased;
        signal = interrupted => Err(signal),
        end = play(options, &mut stage) => Ok(end),
    };
    if let Err(signal) = end {
        say("\nInterrupted: stopping everything that was started.");
        stage.interrupt(signal).await;
    }
    if let Some(world) = stage.world.take() {
        world.stop().await;
    }
    match end {
        Err(_) => Exit::Interrupted,
        Ok(Ok(exit)) => exit,
        Ok(Err(Stop::Run(code))) => Exit::try_from(code).unwrap_or(Exit::Failed),
        Ok(Err(Stop::Lab(error))) => {
            tell(&Diag::from(&error).render(true));
            Exit::Unverified
        }
    }
}

async fn play(options: &DemoCommandArgs, stage: &mut Stage) -> Result<Exit, Stop> {
    say(
        "Proofmark's demo: a small shop, watched by a real Prometheus, both started for this and stopped at the end.",
    );
    say("Nothing else is touched. It takes about a minute.\n");
    let (spec, missing) = WorldSpec::parse(embedded::WORLD)?.without_missing();
    let lacks = |system: &str| missing.iter().find(|(connection, _)| connection == system);
    let left_out = || NEEDS.into_iter().filter_map(|(system, id)| Some((lacks(system)?, id)));
    for ((system, package), id) in left_out() {
        say(&format!("There is no {system} on this machine (package {package}): {id} is left out.\n"));
    }
    let played = |id: &str| left_out().all(|(_, other)| other != id);
    let twins = twins_of_the_demo()?;
    let twins: Vec<&Twin> = twins.iter().filter(|twin| played(&twin.twin_of)).collect();
    let ids: Vec<String> = embedded_ids().into_iter().filter(|id| played(id)).collect();
    let world = World::start(&spec).await?;
    let environment = world.environment();
    let scenarios = scenarios(world.folder()).await?;
    let rules = world.rules().first().cloned().unwrap_or_default();
    say("1. A world where all is well");
    for (name, address) in world.addresses() {
        say(&format!("   {name:<12}{address}"));
    }
    stage.world = Some(world);

    let what = Played { scenarios, environment, rules, ids };
    let first = run(options, stage, &what).await?;
    let mut wrong = first.outcome.not_passed(&what.ids);
    if wrong.is_empty() {
        say("   Everything passed, as it should.\n");
    } else {
        report_wrong("   This world is well, but:", &wrong);
    }

    say("2. The same files, in a world that is broken on purpose");
    for twin in &twins {
        say(&format!("   - {}", twin.title));
    }
    if let Some(world) = stage.world.as_mut() {
        let breaks: Vec<Break> = twins.iter().flat_map(|twin| twin.breaks.clone()).collect();
        world.suffer(&breaks).await?;
    }
    let second = run(options, stage, &what).await?;
    say("3. What had to fail, and what did");
    for line in second.outcome.failures(&twins) {
        say(&format!("   {line}"));
    }
    let differences = second.outcome.differences(&twins);
    if differences.is_empty() {
        say("   Every failure that its twins name, and no other: these checks can fail.\n");
    } else {
        report_wrong("   Not as named:", &differences);
    }
    wrong.extend(differences);
    let audited = audit(options, stage, &what.environment).await?;
    wrong.extend(audited.without_the_dead());
    say("What it left");
    for (name, told) in [("all is well", &first), ("broken", &second), ("audit", &audited)] {
        say(&format!("   {name:<12}  {}", told.shown(options)));
    }
    Ok(if wrong.is_empty() { Exit::Passed } else { Exit::Failed })
}

/// One run, as its reports tell it.
struct Told {
    id: String,
    outcome: Outcome,
    /// What it printed; empty where that went straight through.
    stdout: String,
}

impl Told {
    /// What is wrong with an audit that did not find the alert.
    fn without_the_dead(&self) -> Option<String> {
        let found = self.stdout.lines().any(|line| line.starts_with(DEAD));
        if found {
            return None;
        }
        let wrong = "the audit did not find the alert that can never fire".to_owned();
        report_wrong("   Not found:", std::slice::from_ref(&wrong));
        Some(wrong)
    }

    fn shown(&self, options: &DemoCommandArgs) -> String {
        let evidence = options.evidence.join(&self.id);
        let report = options.reports.join(format!("{}.html", self.id));
        format!("{}  {}", report.display(), evidence.display())
    }
}

/// Runs the scenarios.
async fn run(options: &DemoCommandArgs, stage: &mut Stage, what: &Played) -> Result<Told, Stop> {
    let mut args = vec!["run".into(), what.scenarios.as_os_str().to_owned()];
    args.extend(["--env".into(), what.environment.as_os_str().to_owned()]);
    args.extend(["--allow".into(), "exec,change".into()]);
    args.extend(["--var".into(), format!("rule-file={}", what.rules.display()).into()]);
    args.extend(["--var".into(), format!("patience={DRILLED}").into()]);
    if what.ids.len() < embedded::SCENARIOS.len() {
        args.extend(what.ids.iter().flat_map(|id| ["--only".into(), id.into()]));
    }
    told(options, stage, args, Stdio::inherit()).await
}

/// Audits the monitoring, and shows what comes before the report.
async fn audit(options: &DemoCommandArgs, stage: &mut Stage, environment: &Path) -> Result<Told, Stop> {
    say("4. Without any file: what would the shop's Prometheus not tell?");
    let args = ["audit", "prometheus", "--env"].map(OsString::from).into_iter();
    let args = args.chain([environment.as_os_str().to_owned()]).collect();
    let told = told(options, stage, args, Stdio::piped()).await?;
    let words = [Verdict::Failed, Verdict::Unverified, Verdict::Passed].map(|it| it.word().to_uppercase());
    let report = |line: &&str| words.iter().any(|word| line.starts_with(word.as_str()));
    for line in told.stdout.lines().take_while(|line| !report(line)) {
        say(format!("   {line}").trim_end());
    }
    Ok(told)
}

/// Runs this same program, as a user would, and reads the report that it leaves.
async fn told(
    options: &DemoCommandArgs,
    stage: &mut Stage,
    mut args: Vec<OsString>,
    stdout: Stdio,
) -> Result<Told, Stop> {
    let before = reports(&options.reports).await?;
    args.extend(["--evidence".into(), options.evidence.as_os_str().to_owned()]);
    args.extend(["--reports".into(), options.reports.as_os_str().to_owned()]);
    let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    say(&format!("   proofmark {}\n", shown.join(" ")));

    let program = std::env::current_exe().map_err(LabError::io("looking for this program's own file"))?;
    let child = Command::new(program)
        .args(&args)
        .stdin(Stdio::null())
        .stdout(stdout)
        .process_group(0) // so that an interruption reaches it once, through us
        .kill_on_drop(true)
        .spawn()
        .map_err(LabError::io("starting a run"))?;
    let child = stage.run.insert(child);
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut printed).await.map_err(LabError::io("reading what a run prints"))?;
    }
    let status = child.wait().await.map_err(LabError::io("waiting for a run"))?;
    stage.run = None;
    say("");
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Evidence.code());
    if ![Exit::Passed, Exit::Failed, Exit::Unverified].map(Exit::code).contains(&code) {
        return Err(Stop::Run(code));
    }
    let after = reports(&options.reports).await?;
    let Some(id) = after.difference(&before).last() else {
        let folder = options.reports.display();
        return Err(LabError::Wrong(format!("the run left no report in {folder}")).into());
    };
    let path = options.reports.join(format!("{id}.json"));
    let text = tokio::fs::read_to_string(&path)
        .await
        .map_err(LabError::io(format!("reading {}", path.display())))?;
    Ok(Told { id: id.clone(), outcome: Outcome::parse(&text)?, stdout: printed })
}

/// The ids of the runs that have a JSON report in this folder.
async fn reports(folder: &Path) -> Result<BTreeSet<String>, LabError> {
    let mut found = BTreeSet::new();
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(LabError::io(format!("reading {}", folder.display()))(error)),
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        if let Some(id) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".json")) {
            found.insert(id.to_owned());
        }
    }
    Ok(found)
}

/// The folder to run: the checkout's own, if it holds the very files of this program; else a copy that goes away.
async fn scenarios(folder: &Path) -> Result<PathBuf, LabError> {
    let own = Path::new("scenarios/demo");
    let same =
        |(name, text): &(&str, &str)| std::fs::read_to_string(own.join(name)).is_ok_and(|it| it == *text);
    if embedded::SCENARIOS.iter().all(same) {
        return Ok(own.to_path_buf());
    }
    let copy = folder.join("scenarios").join("demo");
    tokio::fs::create_dir_all(&copy).await.map_err(LabError::io("copying the demo's scenarios"))?;
    for (name, text) in embedded::SCENARIOS {
        tokio::fs::write(copy.join(name), text)
            .await
            .map_err(LabError::io("copying the demo's scenarios"))?;
    }
    Ok(copy)
}

fn twins_of_the_demo() -> Result<Vec<Twin>, LabError> {
    let twins: Result<Vec<Twin>, LabError> =
        embedded::TWINS.iter().map(|(name, text)| Twin::parse(name, text)).collect();
    Ok(twins?.into_iter().filter(|twin| twin.in_demo).collect())
}

fn embedded_ids() -> Vec<String> {
    let stem = |name: &str| format!("demo/{}", name.trim_end_matches(".yaml"));
    embedded::SCENARIOS.iter().map(|(name, _)| stem(name)).collect()
}

impl Stage {
    /// Passes the signal on to the run, and lets it write its evidence.
    async fn interrupt(&mut self, signal: Signal) {
        let Some(mut run) = self.run.take() else { return };
        if let Some(pid) = run.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        if tokio::time::timeout(PATIENCE, run.wait()).await.is_err() {
            let _ = run.kill().await;
        }
    }
}

/// Ends with the first SIGINT or SIGTERM; waits for ever where none can be listened for.
fn interruption() -> impl Future<Output = Signal> {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => Signal::SIGINT,
            _ = terminate.recv() => Signal::SIGTERM,
        }
    }
}

fn report_wrong(title: &str, wrong: &[String]) {
    say(title);
    for line in wrong {
        say(&format!("   - {line}"));
    }
    say("");
}

/// A reader that went away is no reason to leave the world unstopped.
fn say(line: &str) {
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
