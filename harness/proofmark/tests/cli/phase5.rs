//! The plan of phase 5 as its user runs it: its waves, its post-change checklist, and the evidence folder that it names.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Desk, Ended};
use proofmark_lab::{self as lab, World, WorldSpec};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

const WORLD: &str = include_str!("../../../../fixtures/twins/phase5/world.yaml");

/// Below `.sisyphus/evidence`, as the plan names them.
const PLANNED: [&str; 8] = [
    "phase5-alerts/firing.json",
    "phase5-alerts/query-minio-percent.json",
    "phase5-alerts/rules.json",
    "phase5-alerts/series-kube-job-failed.json",
    "phase5-minio/query-capacity.json",
    "phase5-minio/query-up.json",
    "phase5-velero/query-velero_backup_attempt_total.json",
    "phase5-velero/targets.json",
];

/// These too, by kinds for Kubernetes and Grafana, which do not exist yet.
const LATER: [&str; 2] = ["phase5-grafana/cms.txt", "phase5-grafana/search.json"];

/// The plan asks for what these hold without naming a file for it.
const OURS: [&str; 5] = [
    "phase5-alerts/series-kube-cronjob.json",
    "phase5-alert-path/alertmanager-alerts.json",
    "phase5-alert-path/alertmanager-status.json",
    "phase5-alert-path/prometheus-alerts.json",
    "phase5-alert-route/alertmanager-alerts.json",
];

/// The world of phase 5 and a desk to run the shipped scenarios at.
struct Phase {
    // The world's programs end before the runtime that serves its applications.
    world: World,
    desk: Desk,
    _runtime: Runtime,
}

impl Phase {
    fn start() -> Self {
        assert!(lab::has("prometheus"), "install the package `prometheus`: this test wants a real one");
        let runtime = Runtime::new().unwrap();
        let spec = WorldSpec::parse(WORLD).unwrap().below(&root());
        let world = runtime.block_on(World::start(&spec)).unwrap();
        Self { world, desk: Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]), _runtime: runtime }
    }

    /// Runs the folder of the phase with these further arguments.
    fn run(&self, args: &[&str]) -> Ended {
        let (scenarios, environment) = (root().join("scenarios/phase5"), self.world.environment());
        let checkout = format!("folder={}", self.world.folder().display());
        let fixed = ["run", scenarios.to_str().unwrap(), "--env", environment.to_str().unwrap()];
        let rules = format!("rule-file={}", self.world.folder().join("rules-0.yml").display());
        let vars = ["--var", &checkout, "--var", &rules, "--var", "wait=1s"];
        let fixed = [&fixed[..], &["--export", ".sisyphus/evidence"], &vars].concat();
        self.desk.call(&[&fixed, args].concat())
    }

    fn exported(&self) -> Vec<String> {
        self.desk.files(".sisyphus/evidence").into_keys().collect()
    }

    /// Event and scenario of each scenario that began or ended in the newest run, in order.
    fn bounds(&self) -> Vec<(String, String)> {
        let bytes = &self.desk.files(&self.desk.newest())["events.jsonl"];
        let events = String::from_utf8_lossy(bytes).into_owned();
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let events = events.map(|event| (word(&event, "event"), word(&event, "scenario")));
        events.filter(|(event, _)| event.starts_with("scenario-")).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn the_phase_runs_in_waves_and_fills_the_folder_that_the_plan_names() {
    let phase = Phase::start();
    // Side by side is what may run at once, not what happens to fit.
    let ended = phase.run(&["--allow", "exec,change", "--jobs", "16"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(phase.desk.call(&["verify"]).code, Some(0));

    let exported = phase.exported();
    let mut expected = [&PLANNED[..], &OURS[..]].concat();
    expected.sort_unstable();
    assert_eq!(exported, expected);
    assert!(LATER.iter().all(|later| !expected.contains(later)), "what is there is no longer to come");
    for (name, bytes) in phase.desk.files(".sisyphus/evidence") {
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        // Alertmanager answers without an envelope.
        let whole = name.contains("alertmanager") || answer["status"] == "success";
        assert!(whole, "{name} is what the server answered");
    }
    let built = phase.desk.kept("phase5/manifests/build");
    let seen = &built["observation"];
    assert_eq!((&seen["exit"], seen["seconds"].is_f64()), (&0.into(), true), "{seen}");
    assert!(seen["stdout"].as_str().unwrap().starts_with("built "), "{seen}");

    // What needs nothing begins before anything has ended; what needs others begins when the last of them has.
    let bounds = phase.bounds();
    let at = |event: &str, id: &str| {
        let here = |bound: &(String, String)| bound.0 == event && bound.1 == format!("phase5/{id}");
        bounds.iter().position(here).unwrap_or_else(|| panic!("no {event} of {id} in {bounds:?}"))
    };
    let first_end = bounds.iter().position(|(event, _)| event == "scenario-ended").unwrap();
    for id in ["kube-labels", "manifests", "minio-metrics", "velero-metrics"] {
        assert!(at("scenario-started", id) < first_end, "{bounds:?}");
    }
    for id in ["minio-metrics", "velero-metrics"] {
        assert!(at("scenario-ended", id) < at("scenario-started", "alert-rules"), "{bounds:?}");
    }
}

#[test]
fn the_checklist_is_one_command_with_one_verdict() {
    let phase = Phase::start();
    let checklist = ["--tag", "checklist", "--allow", "exec", "--format", "jsonl"];
    let scenarios = root().join("scenarios/phase5");
    let listed = phase.desk.call(&["list", scenarios.to_str().unwrap(), "--tag", "checklist"]);
    // The points 1 to 4 of the plan's list; 5 is Grafana's dashboards. 6, the controlled fire, tells people something and
    // is asked for by itself.
    let mut ids: Vec<_> = listed.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ids.sort_unstable();
    let all = ["phase5/alert-rules", "phase5/manifests", "phase5/minio-metrics", "phase5/velero-metrics"];
    assert_eq!(ids, all, "{listed:?}");

    // A program is run, so the user has to say that it may be.
    let ended = phase.run(&["--tag", "checklist"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--allow exec") && phase.exported().is_empty(), "{ended:?}");

    let verdict = |code: i32| {
        let ended = phase.run(&checklist);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let last: Value = serde_json::from_str(ended.last_line()).unwrap();
        (last["verdict"].clone(), last["failed"].clone())
    };
    assert_eq!(verdict(0), ("passed".into(), serde_json::json!([])));
    let seen = phase.exported();

    // One point fails: so does the list, and the other points are looked at all the same.
    std::fs::remove_file(phase.world.folder().join("manifests/velero.yaml")).unwrap();
    assert_eq!(verdict(1), ("failed".into(), serde_json::json!(["phase5/manifests#build"])));
    assert_eq!(phase.exported(), seen);
}
