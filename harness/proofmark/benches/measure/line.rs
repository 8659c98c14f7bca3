//! The line: the same work through Proofmark and through hurl, in turn, on one real Prometheus.

use super::side::{self, ROUNDS, Side};
use proofmark_lab::{World, WorldSpec, embedded};
use proofmark_model::clock::Clock;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// So many checks in the one scenario, and so many files for `validate`.
const MANY: usize = 1_000;

/// All of it.
pub fn measure(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::start(&quiet())).unwrap();
    // The first scrapes have to be there before they are asked for a thousand times.
    runtime.block_on(Clock::real().sleep(Duration::from_secs(8)));
    println!("Medians of {ROUNDS} rounds, both sides in turn, one warm-up before.\n");
    thousand_checks(&world, folder);
    thousand_files(folder);
    version(folder);
    runtime.block_on(world.stop());
}

/// The demo's world without what sends messages: nothing but Prometheus works beside what is measured.
fn quiet() -> WorldSpec {
    WorldSpec { alertmanager: None, rules: vec![], ..WorldSpec::parse(embedded::WORLD).unwrap() }
}

/// One scenario of a thousand queries with three expectations each, evidence kept; hurl does the same thousand.
fn thousand_checks(world: &World, folder: &Path) {
    let scenario = folder.join("thousand.yaml");
    fs::write(&scenario, scenario_text(MANY)).unwrap();
    let mut sides = vec![Side::run("proofmark", &scenario, Some(&world.environment()), MANY)];

    let hurl = PathBuf::from(std::env::var_os("HURL").unwrap_or_else(|| "hurl".into()));
    let found = Command::new(&hurl).arg("--version").output();
    if let Ok(version) = &found {
        let file = folder.join("thousand.hurl");
        fs::write(&file, hurl_text(&world.addresses()["prometheus"], MANY)).unwrap();
        let args = ["--test", "--report-json", "json", "--report-junit", "junit.xml", file.to_str().unwrap()];
        sides.push(Side::new("hurl", hurl, &args));
        let version = String::from_utf8_lossy(&version.stdout);
        println!("{}", version.lines().next().unwrap_or_default());
    }
    println!("{MANY} checks with three expectations each, evidence and reports kept:");
    side::measure(&mut sides, folder, ROUNDS);
    sides.iter().for_each(Side::print);
    match sides.as_slice() {
        [own, other] => {
            println!("  ratio {:.2} (bound 1.00), peak bound 64 MiB\n", own.median() / other.median());
        }
        _ => println!("  hurl is not installed, so there is no ratio: `make bench` installs it\n"),
    }
}

/// `validate` of a thousand files.
fn thousand_files(folder: &Path) {
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    for number in 0..MANY {
        fs::write(files.join(format!("f{number:04}.yaml")), scenario_text(3)).unwrap();
    }
    let mut sides =
        [Side::new("validate", env!("CARGO_BIN_EXE_proofmark"), &["validate", files.to_str().unwrap()])];
    println!("validate of {MANY} files with three steps each:");
    side::measure(&mut sides, folder, ROUNDS);
    sides[0].print();
    println!("  bound 500 ms\n");
}

fn version(folder: &Path) {
    let mut sides = [Side::new("--version", env!("CARGO_BIN_EXE_proofmark"), &["--version"])];
    println!("--version:");
    side::measure(&mut sides, folder, ROUNDS);
    sides[0].print();
    println!("  bound 10 ms");
}

fn scenario_text(steps: usize) -> String {
    let mut text =
        "proofmark: v1\ntitle: Many queries\nclaim: Prometheus scrapes itself.\nsteps:\n".to_owned();
    for step in 0..steps {
        let _ = write!(
            text,
            "  - id: s{step}\n    check:\n      prometheus-query: {{ query: 'up{{job=\"prometheus\"}}' }}\n    expect:\n      \
             - {{ at: $.samples, count: {{ equals: 1 }} }}\n      - {{ at: '$.samples[0].value', equals: 1 }}\n      \
             - {{ at: '$.samples[0].labels.job', equals: prometheus }}\n"
        );
    }
    text
}

fn hurl_text(prometheus: &str, entries: usize) -> String {
    let mut text = String::new();
    for _ in 0..entries {
        let _ = write!(
            text,
            "GET {prometheus}/api/v1/query?query=up%7Bjob%3D%22prometheus%22%7D\nHTTP 200\n[Asserts]\n\
             jsonpath \"$.data.result\" count == 1\njsonpath \"$.data.result[0].value[1]\" == \"1\"\n\
             jsonpath \"$.data.result[0].metric.job\" == \"prometheus\"\n\n"
        );
    }
    text
}
