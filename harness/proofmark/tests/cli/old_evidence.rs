//! Evidence of an older program (`fixtures/evidence`) verifies and reports as it did when it was made.
//!
//! The runs, what `verify` said of them and their JSON reports are kept byte for byte. A difference here is one that users
//! would see in evidence that they keep for years: the program is wrong, not the fixture.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test changes a copy of evidence")]

use proofmark_engine::verify::verify;
use proofmark_evidence::record::read;
use proofmark_model::{Exit, StepRecord, Verdict};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The checks of the program that made the evidence. Kinds that came later are not in it.
const CHECKS: [&str; 19] = [
    "alertmanager-alerts",
    "alertmanager-routes",
    "alertmanager-status",
    "backup-catalogue",
    "backup-verify",
    "file",
    "http",
    "log-lines",
    "metrics",
    "postgres-query",
    "postgres-tables",
    "prometheus-alerts",
    "prometheus-query",
    "prometheus-rules",
    "prometheus-series",
    "prometheus-status",
    "prometheus-targets",
    "s3-bucket",
    "s3-objects",
];

/// Its acts. Of each there is also the file of a change that was put back.
const ACTS: [&str; 8] = [
    "alert-drill",
    "alert-silence",
    "backup",
    "backup-prune",
    "command",
    "http",
    "process-stop",
    "restore-drill",
];

/// A run, and what the program that made it said of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    run: String,
    /// The exit code of `verify`.
    verify: i32,
    /// Files whose hash was the same.
    files: usize,
    /// Judgements that were the same.
    judgements: usize,
    /// The exit code of `report`.
    report: i32,
}

/// Where the fixture is: in the checkout that this crate belongs to.
fn fixture() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find_map(|folder| Some(folder.join("fixtures/evidence")).filter(|it| it.is_dir())).unwrap()
}

fn table() -> Vec<Kept> {
    serde_json::from_slice(&fs::read(fixture().join("runs.json")).unwrap()).unwrap()
}

fn named(name: &str) -> Kept {
    table().into_iter().find(|kept| kept.name == name).unwrap()
}

/// What the program says in a folder that holds `runs/`.
fn said(folder: &Path, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_proofmark"));
    program.args(args).args(["--evidence", "runs"]).current_dir(folder).output().unwrap()
}

/// How a run verifies otherwise than the table says, by the library.
fn library_differs(folder: &Path, kept: &Kept) -> Option<String> {
    let run = match read(&folder.join("runs").join(&kept.run)) {
        Ok(run) => run,
        Err(error) => return Some(error.to_string()),
    };
    let verified = verify(&run, proofmark::kinds::registry());
    let exit = match verified.exit() {
        Exit::Passed => 0,
        Exit::Unverified => 3,
        _ => 5,
    };
    let same = (exit, verified.files, verified.steps) == (kept.verify, kept.files, kept.judgements);
    (!same).then(|| format!("exit {exit}: {verified:?}"))
}

/// The same by the program; the last line that it prints has the two numbers.
fn program_differs(folder: &Path, kept: &Kept) -> Option<String> {
    let Output { status, stdout, .. } = said(folder, &["verify", &kept.run]);
    let text = String::from_utf8(stdout).unwrap();
    let last = text.lines().last().unwrap_or_default();
    let words = last.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
    let same = status.code() == Some(kept.verify)
        && text.lines().next().is_some_and(|line| line.ends_with(": the same")) == (kept.verify == 0)
        && numbers == [kept.files, kept.judgements];
    (!same).then(|| format!("{status}: {text}"))
}

/// How its JSON report, and how `report` ends, differ from those that were kept.
fn report_differs(folder: &Path, kept: &Kept) -> Option<String> {
    let then = fs::read_to_string(fixture().join("reports").join(format!("{}.json", kept.run))).unwrap();
    let Output { status, stdout, .. } = said(folder, &["report", &kept.run, "--format", "json"]);
    let now = String::from_utf8(stdout).unwrap();
    let other = now.lines().zip(then.lines()).find(|(now, then)| now != then);
    let same = now == then && status.code() == Some(kept.report);
    (!same).then(|| format!("{status}: {other:?}"))
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|below| name.join(below)));
        } else {
            found.push(name);
        }
    }
    found
}

/// A copy of a run, in a folder of its own that has it where the fixture does.
fn copied(kept: &Kept) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let (from, to) = (fixture().join("runs").join(&kept.run), copy.path().join("runs").join(&kept.run));
    for name in files(&from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    copy
}

/// The steps' own files of a run, and those of what was put back.
fn records(kept: &Kept) -> Vec<(PathBuf, StepRecord)> {
    let folder = fixture().join("runs").join(&kept.run);
    let record = |name: PathBuf| {
        let bytes = fs::read(folder.join(&name)).unwrap();
        serde_json::from_slice(&bytes).ok().map(|record| (name, record))
    };
    files(&folder).into_iter().filter_map(record).collect()
}

/// Which of these checks and acts no step of the records has looked with; of acts, also those of which nothing was put back.
fn unused<'a>(checks: &[&'a str], acts: &[&'a str], records: &[(PathBuf, StepRecord)]) -> Vec<&'a str> {
    let looked = records.iter().map(|(_, record)| record).filter(|record| !record.observation.is_null());
    let used: BTreeSet<(&str, bool, bool)> = looked
        .flat_map(|it| it.rules.keys().map(|kind| (kind.as_str(), it.acts, it.owed.is_some())))
        .collect();
    let check = |kind: &&&str| !used.contains(&(**kind, false, false));
    let act = |kind: &&&str| [false, true].iter().any(|back| !used.contains(&(**kind, true, *back)));
    checks.iter().filter(check).chain(acts.iter().filter(act)).copied().collect()
}

#[test]
fn every_run_is_in_the_table() {
    let of_table: BTreeSet<PathBuf> = table().iter().map(|kept| PathBuf::from(&kept.run)).collect();
    let folders = fs::read_dir(fixture().join("runs")).unwrap();
    let there: BTreeSet<PathBuf> = folders.map(|entry| entry.unwrap().file_name().into()).collect();
    assert_eq!(there, of_table);
}

#[test]
fn the_library_verifies_it_as_it_did() {
    for kept in table() {
        assert_eq!(library_differs(&fixture(), &kept), None, "{}", kept.name);
    }
}

#[test]
fn the_program_verifies_it_as_it_did() {
    for kept in table() {
        assert_eq!(program_differs(&fixture(), &kept), None, "{}", kept.name);
    }
}

#[test]
fn its_report_is_the_one_of_then() {
    for kept in table() {
        assert_eq!(report_differs(&fixture(), &kept), None, "{}", kept.name);
    }
}

#[test]
fn every_kind_of_then_is_in_one_run() {
    let records = records(&named("every-kind"));
    assert_eq!(unused(&CHECKS, &ACTS, &records), [] as [&str; 0]);
    // Without the one scenario that has them these are missed.
    let rest: Vec<_> = records.into_iter().filter(|(name, _)| !name.ends_with("stop.json")).collect();
    assert_eq!(unused(&CHECKS, &ACTS, &rest), ["process-stop"]);
}

#[test]
fn it_has_every_way_in_which_a_step_can_end() {
    let all: Vec<StepRecord> = table().iter().flat_map(records).map(|(_, record)| record).collect();
    let has = |what: &str, is: fn(&StepRecord) -> bool| assert!(all.iter().any(is), "{what}");
    has("passed", |it| it.verdict == Verdict::Passed && !it.findings.is_empty());
    has("failed", |it| it.verdict == Verdict::Failed && it.owed.is_none());
    has("not decided, by an error", |it| {
        it.verdict == Verdict::Unverified
            && it.attempts.iter().any(|one| one.error.as_ref().is_some_and(|why| why.contains("refused")))
    });
    has("skipped", |it| it.verdict == Verdict::Skipped && it.reason.is_some());
    has("the second of first-of", |it| it.kind == "first-of" && it.chosen == Some(1));
    has("several attempts", |it| it.attempts.len() > 2 && it.verdict == Verdict::Passed);
    has("hold", |it| it.hold.is_some());
    has("capture", |it| !it.capture.is_empty());
    has("control", |it| it.control.is_some());
    has("masked", |it| it.observation.to_string().contains("[masked]"));
    has("put back", |it| it.owed.is_some() && it.verdict == Verdict::Passed);
    has("not put back", |it| it.owed.is_some() && it.verdict == Verdict::Failed);
}

#[test]
fn one_byte_that_is_another_is_noticed() {
    for kept in table() {
        let copy = copied(&kept);
        let folder = copy.path().join("runs").join(&kept.run);
        assert_eq!(library_differs(copy.path(), &kept), None, "{}: a copy is as good", kept.name);
        // Without a manifest nothing says what the other files were.
        let whole = folder.join("manifest.json").exists();
        let steps: BTreeSet<PathBuf> = records(&kept).into_iter().map(|(name, _)| name).collect();
        let mut named: Vec<PathBuf> = files(&folder);
        named.retain(|name| whole || steps.contains(name));
        named.sort();
        // `harness/tests/evidence.rs` changes every file of a small run; here some of each are enough.
        for name in named.iter().step_by(named.len() / 12 + 1) {
            let bytes = fs::read(folder.join(name)).unwrap();
            let mut changed = bytes.clone();
            changed[bytes.len() / 2] ^= 1;
            fs::write(folder.join(name), changed).unwrap();
            assert!(library_differs(copy.path(), &kept).is_some(), "{}: {}", kept.name, name.display());
            fs::write(folder.join(name), bytes).unwrap();
        }
        let events = fs::read_to_string(folder.join("events.jsonl")).unwrap();
        fs::write(folder.join("events.jsonl"), events.replacen(r#""title":""#, r#""title":"~"#, 1)).unwrap();
        assert!(report_differs(copy.path(), &kept).is_some(), "{}: another title", kept.name);
        if whole {
            assert!(program_differs(copy.path(), &kept).is_some(), "{}: another title", kept.name);
        }
    }
}
