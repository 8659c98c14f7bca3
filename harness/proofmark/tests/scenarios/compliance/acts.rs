//! Every act is killed by a test of its own, and recovered. What every act has to survive is shown on a made-up one, in the
//! engine; here no real act is forgotten.

use crate::trial;
use libtest_mimic::{Failed, Trial};
use proofmark::kinds::registry;
use proofmark_engine::testing::compliance::label;
use std::path::Path;

/// The act, the file below `tests`, and the test in it.
const KILLED: &[(&str, &str, &str)] = &[
    ("alert-drill", "cli/alert_drill.rs", "kill_9_at_some_moments_of_a_drill"),
    (
        "alert-drill",
        "cli/alert_drill_grafana_stand_in.rs",
        "after_kill_9_recover_brings_back_the_rule_and_silence",
    ),
    (
        "alert-silence",
        "cli/alert_silence.rs",
        "kill_9_before_the_answer_leaves_a_silence_that_recover_finds_by_its_mark",
    ),
    ("backup", "cli/backup_kills.rs", "kill_9_at_some_moments_of_a_backup_and_its_drill"),
    ("backup-prune", "scenarios/backup_prune.rs", "half_a_backup_is_deleted_after_kill_9"),
    ("command", "scenarios/torture.rs", "kill_9_at_some_points_of_the_ledger_of_{what}"),
    ("command", "cli/ledger.rs", "kill_9_leaves_a_journal_that_recover_keeps_on_another_machine_too"),
    ("http-act", "cli/http_act.rs", "after_kill_9_it_is_put_back_with_the_login_of_the_connection"),
    (
        "process-stop",
        "cli/process_stop.rs",
        "kill_9_while_it_is_stopped_leaves_it_to_recover_which_starts_it_once",
    ),
    ("restore-drill", "cli/backup_kills.rs", "kill_9_at_some_moments_of_a_backup_and_its_drill"),
    ("restore-drill", "cli/backup_kills.rs", "kill_9_at_some_moments_of_a_drill_in_place"),
];

pub fn trials() -> Vec<Trial> {
    let acts = registry().list(true).map(|kind| label(registry(), kind));
    let of_act =
        |act: String| Trial::test(format!("compliance::a_test_kills_it::{act}"), move || killed(&act));
    let mut trials: Vec<Trial> = acts.map(of_act).collect();
    trials.push(trial("compliance", "the_table_of_tests_that_kill_names_acts_only", None, only_acts));
    trials
}

/// Is there a test of this name in the file's text: a function, or the name of a trial?
fn has_test(text: &str, test: &str) -> bool {
    text.contains(&format!("fn {test}(")) || text.contains(&format!("\"{test}\""))
}

fn killed(act: &str) -> Result<(), Failed> {
    let mut own = KILLED.iter().filter(|(kind, ..)| *kind == act).peekable();
    if own.peek().is_none() {
        return Err("no test kills a run of it: write one, and name it in `KILLED`".into());
    }
    for (_, file, test) in own {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        if !has_test(&text, test) {
            return Err(format!("{file} has no test `{test}`").into());
        }
    }
    Ok(())
}

fn only_acts() {
    let acts: Vec<String> = registry().list(true).map(|kind| label(registry(), kind)).collect();
    let unknown: Vec<_> = KILLED.iter().filter(|(kind, ..)| !acts.iter().any(|act| act == kind)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(killed("no-such-act").is_err() && !has_test("fn other() {}", "test"), "what is missing is seen");
}
