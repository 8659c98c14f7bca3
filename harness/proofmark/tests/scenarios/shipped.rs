//! Every shipped scenario in a world where all is well, and every twin in its broken world, as a test named by id.
//!
//! The program itself is run, as a user runs it. What this machine does not have is ignored with the reason as the
//! test's kind, and never counted as passed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use crate::{ignored, wanted};
use futures_util::future::join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use proofmark_lab::{self as lab, Outcome, Twin, World, WorldSpec};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, RwLock};
use tokio::runtime::Runtime;

/// Who runs them.
const OPERATOR: &str = "the tests of scenarios";

/// What they are allowed.
const ALL: &str = "exec,change,destroy";

/// By these words is a step known that needs `destroy`.
const DESTROY: [&str; 3] = ["truncate:", "into: recreate", "backup-prune:"];

/// What a test of a scenario asks of its file; the program reads the rest.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Shipped {
    claim: String,
    does_not_prove: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
}

/// A scenario or a twin: its id, its folder below the root, its text.
struct Found {
    id: String,
    folder: String,
    text: String,
}

/// A world where all is well, which the scenarios of a folder share. One that changes it has it for itself.
struct Well {
    world: World,
    turn: RwLock<()>,
}

/// Is there a Prometheus on this machine? It is asked once, for it takes a moment to say so.
static PROMETHEUS: LazyLock<bool> = LazyLock::new(|| lab::has("prometheus"));

/// A world as far as it can be had here.
struct Prepared {
    spec: WorldSpec,
    /// What cannot be had: connection and package.
    missing: Vec<(String, String)>,
}

impl Prepared {
    fn of(spec: WorldSpec) -> Self {
        let (spec, missing) = spec.without_missing();
        Self { spec, missing }
    }

    /// Why this scenario cannot be run here. A kind asks the systems of its roles; what is watched is named by its job.
    fn reason(&self, scenario: &str) -> Option<String> {
        let forms = ["via: {}", "store: {}", "job: {}"];
        let asks = |name: &str| {
            let kinds = proofmark::kinds::registry().kinds().filter(|kind| kind.roles.contains(&name));
            let starts: Vec<String> = kinds.map(|kind| format!("{}:", kind.name)).collect();
            let mut lines = scenario.lines().map(|line| line.trim_start().trim_start_matches("- "));
            lines.any(|line| starts.iter().any(|start| line.starts_with(start.as_str())))
        };
        let uses =
            |name: &str| asks(name) || forms.iter().any(|it| scenario.contains(&it.replace("{}", name)));
        let missing = self
            .missing
            .iter()
            .filter(|(connection, _)| uses(connection))
            .map(|(_, package)| package.as_str());
        let prometheus = (!*PROMETHEUS).then_some("prometheus");
        let all: BTreeSet<&str> = prometheus.into_iter().chain(missing).collect();
        let all: Vec<&str> = all.into_iter().collect();
        (!all.is_empty()).then(|| format!("ignored: not installed, see make setup: {}", all.join(", ")))
    }
}

/// What is shipped, and the worlds that its tests share.
pub struct Worlds {
    runtime: Arc<Runtime>,
    scenarios: Vec<Found>,
    specs: BTreeMap<String, Prepared>,
    twins: Vec<(Found, Twin)>,
    wells: BTreeMap<String, Arc<Well>>,
}

impl Worlds {
    /// Reads what is shipped. Starts the worlds that are asked for side by side: here and not in a test, because every
    /// scenario of a folder shares one, and the kernel ends a program with the thread that started it.
    pub fn start(arguments: &Arguments) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
        let scenarios = files("scenarios");
        let (specs, twins): (Vec<Found>, Vec<Found>) =
            files("fixtures/twins").into_iter().partition(|found| found.id.ends_with("/world"));
        let prepared = |found: &Found| Prepared::of(WorldSpec::parse(&found.text).unwrap().below(&root()));
        let specs: BTreeMap<String, Prepared> =
            specs.into_iter().map(|found| (found.folder.clone(), prepared(&found))).collect();
        let twin = |found: &Found| Twin::parse(&found.id, &found.text).unwrap().below(&root());
        let twins = twins.into_iter().map(|found| (twin(&found), found)).map(|(twin, found)| (found, twin));
        let asked = specs.iter().filter(|(folder, prepared)| {
            let mut own = scenarios.iter().filter(|found| found.folder == **folder);
            prepared.reason("").is_none()
                && own.any(|found| wanted(arguments, &format!("passes {}", found.id)))
        });
        let wells = asked.map(async |(folder, prepared)| {
            let world = World::start(&prepared.spec).await.unwrap();
            (folder.clone(), Arc::new(Well { world, turn: RwLock::default() }))
        });
        let wells = runtime.block_on(join_all(wells)).into_iter().collect();
        let twins = twins.collect();
        Self { runtime, scenarios, specs, twins, wells }
    }

    /// A test for each scenario, twin and world.
    pub fn trials(&self) -> Vec<Trial> {
        let Self { runtime, scenarios, specs, twins, wells } = self;
        let mut trials: Vec<Trial> = scenarios.iter().map(|found| shipped(found, twins)).collect();
        for found in scenarios {
            let reason = match specs.get(&found.folder) {
                None => Some("ignored: its systems cannot be had here".into()),
                Some(prepared) => prepared.reason(&found.text),
            };
            let well = wells.get(&found.folder).cloned();
            trials.push(passes(found, changes(found, scenarios), well, reason));
        }
        for (found, twin) in twins {
            let prepared = specs.get(&found.folder);
            let text = scenarios.iter().find(|one| one.id == twin.twin_of).map_or("", |one| &one.text);
            let reason = prepared.and_then(|prepared| prepared.reason(text));
            let spec = prepared.map(|prepared| prepared.spec.clone());
            trials.push(fails(found, twin.clone(), spec, reason, runtime));
        }
        for (folder, prepared) in specs {
            trials.push(leaves_nothing(folder, prepared.spec.clone(), prepared.reason(""), runtime));
        }
        trials
    }

    /// Ends the worlds.
    pub fn stop(self) {
        for well in self.wells.into_values().filter_map(Arc::into_inner) {
            self.runtime.block_on(well.world.stop());
        }
    }
}

/// A shipped scenario says what it does not prove, and has a twin.
fn shipped(found: &Found, twins: &[(Found, Twin)]) -> Trial {
    let has_twin = twins.iter().any(|(_, twin)| twin.twin_of == found.id);
    let (id, text) = (found.id.clone(), found.text.clone());
    Trial::test(format!("shipped {id}"), move || {
        let shipped: Shipped = serde_saphyr::from_str(&text)?;
        let limits = shipped.does_not_prove.as_deref().unwrap_or_default();
        ensure(!shipped.claim.trim().is_empty() && !limits.trim().is_empty(), || {
            "it needs `claim` and `does-not-prove`".into()
        })?;
        ensure(has_twin, || "no twin in fixtures/twins names it, so nothing shows that it can fail".into())
    })
}

/// Does it change its world, or does one that it needs?
fn changes(found: &Found, all: &[Found]) -> bool {
    let needs =
        serde_saphyr::from_str::<Shipped>(&found.text).map(|shipped| shipped.needs).unwrap_or_default();
    let needed = all.iter().filter(|other| needs.contains(&other.id));
    found.text.contains(" act:") || needed.into_iter().any(|other| changes(other, all))
}

/// In a world where all is well it passes, and its evidence judges the same again.
fn passes(found: &Found, changes: bool, well: Option<Arc<Well>>, reason: Option<String>) -> Trial {
    let (id, folder) = (found.id.clone(), found.folder.clone());
    let destroys = DESTROY.iter().any(|words| found.text.contains(words));
    let trial = Trial::test(format!("passes {id}"), move || {
        let well = well.ok_or("its world was not started")?;
        let alone = changes.then(|| well.turn.write());
        let beside = (!changes).then(|| well.turn.read());
        if destroys {
            refuses(&well.world, &folder, &id)?;
        }
        let (code, outcome) = run(&well.world, &folder, &id, "30s")?;
        drop((alone, beside));
        let wrong = outcome.not_passed(&[id]);
        ensure(code == 0 && wrong.is_empty(), || format!("exit {code}; {}", wrong.join("; ")))
    });
    ignored(trial, reason)
}

/// In the twin's world the same file fails where the twin says, and nowhere else.
fn fails(
    found: &Found,
    twin: Twin,
    spec: Option<WorldSpec>,
    reason: Option<String>,
    runtime: &Arc<Runtime>,
) -> Trial {
    let (folder, runtime) = (found.folder.clone(), Arc::clone(runtime));
    let trial = Trial::test(format!("twin {} of {}", found.id, twin.twin_of), move || {
        let spec = spec.ok_or("there is no world.yaml beside it")?;
        let world = runtime.block_on(async {
            let mut world = World::start(&spec).await?;
            world.suffer(&twin.breaks).await.map(|()| world)
        })?;
        let result = run(&world, &folder, &twin.twin_of, "5s");
        runtime.block_on(world.stop());
        let (code, outcome) = result?;
        let wrong = outcome.differences(&[&twin]);
        ensure(code == 1 && wrong.is_empty(), || format!("exit {code}; {}", wrong.join("; ")))
    });
    ignored(trial, reason)
}

/// A world that ended, in order or not, leaves no folder and no open port behind.
fn leaves_nothing(folder: &str, spec: WorldSpec, reason: Option<String>, runtime: &Arc<Runtime>) -> Trial {
    let runtime = Arc::clone(runtime);
    let trial = Trial::test(format!("lab: the world of {folder} leaves nothing behind"), move || {
        for in_order in [true, false] {
            let world = runtime.block_on(World::start(&spec))?;
            let folder = world.folder().to_path_buf();
            let addresses: Vec<String> = world.addresses().values().cloned().collect();
            let authority = |url: &String| url.split('/').nth(2).unwrap_or_default().to_owned();
            let open = |url: &String| std::net::TcpStream::connect(authority(url)).is_ok();
            ensure(addresses.iter().all(open), || format!("not all of {addresses:?} are open"))?;
            let guard = runtime.enter();
            if in_order {
                runtime.block_on(world.stop());
            } else {
                drop(world);
            }
            drop(guard);
            // A killed process needs a moment until the kernel has closed its sockets.
            let mut looks = 0;
            while addresses.iter().any(open) && looks < 1_000_000 {
                std::thread::yield_now();
                looks += 1;
            }
            ensure(!folder.exists(), || format!("{} is still there", folder.display()))?;
            ensure(!addresses.iter().any(open), || format!("one of {addresses:?} is still open"))?;
        }
        Ok(())
    });
    ignored(trial, reason)
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// Runs one scenario, and what it needs, as a user would; then has the evidence judged again. Scenarios that let their
/// user say how long to wait, with a variable `patience`, wait no longer than a throwaway world needs.
fn run(world: &World, folder: &str, id: &str, patience: &str) -> Result<(i32, Outcome), Failed> {
    let kept = tempfile::tempdir()?;
    let (evidence, reports) = (kept.path().join("evidence"), kept.path().join("reports"));
    let ran = asked((world, folder, id), patience, ALL, kept.path())?.output()?;
    let told = || format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let report = fs::read_dir(&reports)
        .ok()
        .and_then(|entries| {
            entries
                .filter_map(Result::ok)
                .map(|it| it.path())
                .find(|it| it.extension() == Some("json".as_ref()))
        })
        .ok_or_else(|| format!("it left no report:\n{}", told()))?;
    let report = fs::read_to_string(report)?;
    let outcome = Outcome::parse(&report)?;
    let said: serde_json::Value = serde_json::from_str(&report)?;
    ensure(said["operator"] == OPERATOR && said["started"].is_string(), || {
        format!("the report does not say who ran it, and when: {} {}", said["operator"], said["started"])
    })?;
    let verified = proofmark().arg("verify").arg("--evidence").arg(&evidence).output()?;
    ensure(verified.status.success(), || {
        format!("its evidence does not verify: {}", String::from_utf8_lossy(&verified.stdout))
    })?;
    let code = ran.status.code().ok_or("it was killed")?;
    if code > 1 {
        return Err(format!("exit {code}:\n{}", told()).into());
    }
    Ok((code, outcome))
}

/// The program that runs it, allowed to do so much.
fn asked(
    (world, folder, id): (&World, &str, &str),
    patience: &str,
    allow: &str,
    kept: &Path,
) -> Result<Command, Failed> {
    let text = fs::read_to_string(root().join("scenarios").join(format!("{id}.yaml")))?;
    let patient = text.contains("vars.patience");
    // A drill goes through several hops.
    let patience = if text.contains("vars.rule-file") { "20s" } else { patience };
    let mut command = proofmark();
    command
        .arg("run")
        .args(patient.then(|| format!("--var=patience={patience}")))
        .args(world.vars().iter().map(|(name, value)| format!("--var={name}={value}")))
        .arg(root().canonicalize()?.join("scenarios").join(folder))
        // Relative paths of a scenario are the world's.
        .current_dir(world.folder())
        .args(["--only", id, "--allow", allow, "--operator", OPERATOR, "--env"])
        .arg(world.environment())
        .arg("--evidence")
        .arg(kept.join("evidence"))
        .arg("--reports")
        .arg(kept.join("reports"));
    Ok(command)
}

/// Without the permission to destroy nothing of a scenario that needs it is run.
fn refuses(world: &World, folder: &str, id: &str) -> Result<(), Failed> {
    let kept = tempfile::tempdir()?;
    let ran = asked((world, folder, id), "1s", "exec,change", kept.path())?.output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure(ran.status.code() == Some(2) && said.contains("destroy"), || format!("not refused: {said}"))?;
    ensure(!kept.path().join("evidence").exists(), || "something was run".into())
}

fn proofmark() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proofmark"));
    command.current_dir(root());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every YAML file below a folder of the checkout, sorted by id.
fn files(below: &str) -> Vec<Found> {
    let top = root().join(below);
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let relative = path.strip_prefix(&top).unwrap().with_extension("");
                let id = relative.to_str().unwrap().to_owned();
                let folder = relative.parent().and_then(Path::to_str).unwrap_or_default().to_owned();
                found.push(Found { id, folder, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}
