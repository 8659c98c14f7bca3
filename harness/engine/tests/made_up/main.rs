//! A system is one folder and one entry in a list: lamps, which nothing else here knows, are read, planned, run, verified
//! and recovered by the engine as it is.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

mod lamp;

use proofmark_engine::run::{Ended, Stop, World, recover, run};
use proofmark_engine::scenario::{Plan, Selection, plan};
use proofmark_engine::verify::verify;
use proofmark_engine::{Registry, System};
use proofmark_environment::{Environment, Systems};
use proofmark_evidence::record::{Recorder, Run, read};
use proofmark_evidence::undo::unfinished;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_model::{Event, Exit, Permission};
use serde_json::Map;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The list: the one place that names the system.
const SYSTEMS: &[&System] = &[&lamp::SYSTEM];

fn registry() -> Registry {
    Registry::new(SYSTEMS.iter().copied(), &[])
}

/// Lights the lamp, and looks at it.
const STEPS: &str = "  - { id: light, act: { lamp-switch: { lamp: hall } } }\n  - { id: lit, check: { lamp-state: { lamp: hall } } }\n";

/// A folder with a lamp that is off, a scenario of these steps, and an environment.
struct Hall(TempDir);

impl Hall {
    fn new(steps: &str) -> Self {
        let hall = Self(tempfile::tempdir().unwrap());
        for folder in ["scenarios", "lamps"] {
            fs::create_dir(hall.path(folder)).unwrap();
        }
        fs::write(hall.path("lamps/hall"), "off").unwrap();
        let head = "proofmark: v1\ntitle: The hall\nclaim: Its lamp can be lit.\nsteps:\n";
        fs::write(hall.path("scenarios/hall.yaml"), [head, steps].concat()).unwrap();
        hall.connect(&format!("lamp://{}", hall.path("lamps").display()));
        hall
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn connect(&self, url: &str) {
        let text = format!("proofmark: v1\nconnections: {{ lamps: {{ url: '{url}' }} }}\n");
        fs::write(self.path("environment.yaml"), text).unwrap();
    }

    fn lamp(&self) -> String {
        fs::read_to_string(self.path("lamps/hall")).unwrap()
    }

    /// The plan, or every mistake in it and in the environment.
    fn plan(&self) -> Result<Plan, String> {
        let selection = Selection { paths: vec![self.path("scenarios")], ..Selection::default() };
        let told = |wrong: Vec<proofmark_model::diag::Diag>| {
            wrong.iter().map(|diag| diag.render(false)).collect::<Vec<_>>().join("\n")
        };
        let plan = plan(&selection, &Map::new(), &registry()).map_err(told)?;
        let (_, wrong) = plan.connections(&self.environment());
        if wrong.is_empty() { Ok(plan) } else { Err(told(wrong)) }
    }

    fn environment(&self) -> Environment {
        Environment::load(&self.path("environment.yaml"), registry().vocabulary()).unwrap()
    }

    async fn world(&self) -> World {
        let (uses, _) = self.plan().unwrap().connections(&self.environment());
        let systems = self.environment().resolve(&uses, false, &Clock::real(), Redactor::default()).await;
        let systems: Arc<Systems> = Arc::new(systems.unwrap());
        let (clock, stop) = (Clock::real(), Stop::never());
        World { registry: registry(), systems, clock, stop, run: Map::new(), jobs: 1, heard: None }
    }

    fn recorder(&self) -> Recorder {
        let root = self.path("evidence");
        Recorder::create(&root, &Clock::real(), Redactor::default(), Box::new(|_| ())).unwrap()
    }

    async fn run(&self) -> (Run, Exit) {
        let ended = run(&self.plan().unwrap(), self.world().await, self.recorder()).await.unwrap();
        read_back(&ended)
    }
}

/// The evidence, which verifies.
fn read_back(ended: &Ended) -> (Run, Exit) {
    let run = read(&ended.folder).unwrap();
    let verified = verify(&run, &registry());
    assert_eq!(verified.exit(), Exit::Passed, "{verified:?}");
    assert_ne!(verified.steps, 0);
    (run, ended.exit)
}

#[tokio::test]
async fn its_scenarios_are_run_put_back_and_verified() {
    let hall = Hall::new(STEPS);
    let (run, exit) = hall.run().await;
    assert_eq!((exit, hall.lamp().as_str()), (Exit::Passed, "off"));
    assert_eq!(run.observation("hall", "lit").unwrap()["lit"], true, "it was lit in between");
    let back = run.lines.iter().filter(|line| matches!(line.event, Event::Reverted { .. })).count();
    assert_eq!(back, 1);

    let dark = Hall::new("  - { id: lit, check: { lamp-state: { lamp: hall } } }\n");
    assert_eq!(dark.run().await.1, Exit::Failed);
    fs::remove_file(dark.path("lamps/hall")).unwrap();
    assert_eq!(dark.run().await.1, Exit::Unverified);
}

#[tokio::test]
async fn what_it_cannot_put_back_is_owed_and_recovered() {
    let hall = Hall::new(STEPS);
    fs::write(hall.path("lamps/stuck"), "").unwrap();
    assert_eq!(hall.run().await.1, Exit::Owed);
    fs::remove_file(hall.path("lamps/stuck")).unwrap();

    let owed = unfinished(&hall.path("evidence")).unwrap();
    let debts: Vec<_> = owed.iter().flat_map(|run| run.debts.clone()).collect();
    assert_eq!((debts.len(), hall.lamp().as_str()), (1, "on"));
    assert_eq!(registry().roles_back(&debts[0].promised.kind, debts[0].undo.as_ref()), ["lamps"]);
    let ended = recover(debts, hall.world().await, hall.recorder()).await.unwrap();
    drop(owed);
    assert_eq!((read_back(&ended).1, hall.lamp().as_str()), (Exit::Passed, "off"));
    assert!(unfinished(&hall.path("evidence")).unwrap().is_empty());
}

#[test]
fn its_mistakes_are_told_in_its_words() {
    let wrong = Hall::new(&STEPS.replace("lamp: hall", "lmap: hall")).plan().unwrap_err();
    assert!(wrong.contains("lmap") && wrong.contains("did you mean `lamp`"), "{wrong}");
    let hall = Hall::new(STEPS);
    hall.connect("http://hall");
    let wrong = hall.plan().unwrap_err();
    assert!(wrong.contains("is a folder of lamps") && wrong.contains("lamp:///folder"), "{wrong}");
    let plan = Hall::new(STEPS).plan().unwrap();
    let refused = plan.permissions(&BTreeSet::new(), &BTreeSet::new()).unwrap_err();
    assert!(refused[0].message.contains("needs the permission `change`"), "{refused:?}");
    assert!(plan.permissions(&[Permission::Change].into(), &BTreeSet::new()).is_ok());
}
