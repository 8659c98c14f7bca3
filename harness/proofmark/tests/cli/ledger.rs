//! What is changed is put back: at the end of the step or of the scenario, after a failure, a signal, a full disk, and
//! after `kill -9` by `recover`, from the evidence folder alone.

use fixtures::{Desk, Ended, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
const ALLOW: [&str; 2] = ["--allow", "exec,change"];

/// A desk whose scenario makes the file `changed`, promises to take it away again, and does `more`.
fn desk(more: &str) -> Desk {
    let desk = Desk::new(PROGRAM, &[]);
    let act = "{ id: change, act: { command: { argv: [touch, changed], undo: [rm, -f, changed] } } }";
    desk.scenario("one", "", &format!("  - {act}\n{more}"));
    desk
}

fn run(desk: &Desk, more: &[&str]) -> Ended {
    desk.run(&[&ALLOW, more].concat())
}

fn exists(desk: &Desk, name: &str) -> bool {
    desk.path(name).exists()
}

#[test]
fn a_change_is_promised_first_and_put_back_at_the_end_of_its_step() {
    let desk = desk("  - { id: gone, act: { command: { script: '! test -e changed' } } }\n");
    let plan = desk.call(&["plan", "--env", "environment.yaml"]);
    assert!(plan.stdout.contains("promises to put it back; needs --allow exec,change"), "{plan:?}");
    assert_eq!(desk.run(&["--allow", "exec"]).code, Some(2), "a promised change needs `change` too");
    assert!(!exists(&desk, "evidence"));
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    desk.sound(&ended);
    let journal = desk.journal();
    assert_eq!(journal.len(), 2, "{journal:?}");
    assert_eq!(journal[0]["promised"]["undo"]["argv"][0], "rm");
    assert_eq!(journal[0]["promised"]["step"], "change");
    assert_eq!(journal[1]["kept"]["promise"], 1);
    let report = desk.call(&["report", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let findings = report["scenarios"][0]["steps"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2, "its exit status, and that it was put back: {findings:?}");
}

#[test]
fn what_is_until_the_scenario_is_put_back_after_its_last_step_newest_first() {
    let desk = Desk::new(PROGRAM, &[]);
    let act = |id: &str| {
        format!(
            "  - {{ id: {id}, act: {{ command: {{ argv: [touch, {id}], undo: [sh, -c, 'rm -f {id}; echo {id} >> order'] }} }}, until: scenario }}\n"
        )
    };
    let there = "  - { id: there, act: { command: { script: 'test -e a; test -e b' } } }\n";
    desk.scenario("one", "", &format!("{}{}{there}", act("a"), act("b")));
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(desk.path("order")).unwrap(), "b\na\n");
    assert!(!exists(&desk, "a") && !exists(&desk, "b"));
    desk.sound(&ended);
}

#[test]
fn a_change_that_failed_half_way_is_put_back_too() {
    let desk = Desk::new(PROGRAM, &[]);
    let act = "command: { script: 'touch changed; exit 3', undo: [rm, -f, changed] }";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }} }}\n"));
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!exists(&desk, "changed"));
    desk.sound(&ended);
}

#[test]
fn what_cannot_be_put_back_is_exit_4_and_stands_in_the_way_until_it_is_recovered() {
    let desk = Desk::new(PROGRAM, &[]);
    // It can be put back once somebody has mended something.
    let act = "command: { argv: [touch, changed], undo: [sh, -c, 'test -e mended || { echo not yet >&2; exit 7; }; rm -f changed'] }";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }} }}\n"));
    desk.scenario("read", "", "  - { id: here, check: { file: { path: environment.yaml } } }\n");
    let ended = run(&desk, &["--only", "one"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("proofmark recover"), "{ended:?}");
    assert!(exists(&desk, "changed"));
    let back = &desk.kept("one/change~put-back-1")["findings"][0];
    assert_eq!(
        (&back["verdict"], &back["expected"], &back["seen"]),
        (&json!("failed"), &json!(0), &json!(7))
    );
    assert!(back["help"].as_str().unwrap().contains("not yet"), "{back}");
    desk.sound(&ended);

    let refused = run(&desk, &["--only", "one"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(
        refused.stderr.contains("has not been put back") && refused.stderr.contains("recover"),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(desk.path("evidence")).unwrap().count(), 1, "nothing was run");
    // Reading is as safe as ever.
    let told = desk.run(&["--only", "read"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("has not been put back"), "{told:?}");

    let early = desk.recover(4);
    desk.sound(&early);
    desk.write("mended", "");
    let recovered = desk.recover(0);
    assert!(!exists(&desk, "changed"));
    desk.sound(&recovered);
    let again = desk.recover(0);
    assert!(again.stdout.contains("nothing is owed"), "{again:?}");
    assert_eq!(run(&desk, &["--only", "one"]).code, Some(0), "the way is free again");
}

#[test]
fn kill_9_leaves_a_journal_that_recover_keeps_on_another_machine_too() {
    let desk = Desk::new(PROGRAM, &[]);
    let act = "command: { script: 'touch changed; touch begun; sleep 600', undo: [rm, -f, changed] }";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }}, timeout: 10m }}\n"));
    let running = desk.start_run(&ALLOW);
    until("it has changed something", || exists(&desk, "begun").then_some(()));

    // A second run beside a living one is not refused, and a living one is not recovered.
    desk.scenario(
        "two",
        "",
        "  - { id: other, act: { command: { argv: [touch, other], undo: [rm, -f, other] } } }\n",
    );
    let second = run(&desk, &["--only", "two"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    let lives = desk.recover(4);
    assert!(lives.stderr.contains("still lives"), "{lives:?}");

    running.signal(Signal::SIGKILL);
    running.wait();
    assert!(exists(&desk, "changed"));
    assert_eq!(run(&desk, &["--only", "two"]).code, Some(4), "now it stands in the way");
    let recovered = desk.recover(0);
    assert!(!exists(&desk, "changed"));
    desk.sound(&recovered);
    assert!(desk.recover(0).stdout.contains("nothing is owed"));
}

#[test]
fn a_signal_waits_for_the_change_and_puts_it_back() {
    let desk = Desk::new(PROGRAM, &[]);
    let act = "command: { script: 'touch changed; until test -e go; do sleep 0.01; done', undo: [rm, -f, changed] }";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }}, until: scenario }}\n  - {{ id: after, check: {{ file: {{ path: nowhere }} }}, within: 10m }}\n"));
    let running = desk.start_run(&ALLOW);
    until("it has changed something", || exists(&desk, "changed").then_some(()));
    running.signal(Signal::SIGTERM);
    desk.write("go", "");
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(!exists(&desk, "changed"));
    desk.sound(&ended);
}

#[test]
fn a_way_back_that_holds_a_secret_is_kept_apart_and_deleted_when_it_was_used() {
    let desk = Desk::with_secret(PROGRAM, "correct-horse-battery");
    let act = "command: { script: 'touch changed-correct-horse-battery; until test -e go; do sleep 0.01; done', undo: [rm, changed-correct-horse-battery] }";
    let use_it = "  - { id: asked, check: { prometheus-query: { query: up } } }\n";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }} }}\n{use_it}"));
    let running = desk.start_run(&ALLOW);
    let private = until("the way back is on disk", || {
        let newest = fs::read_dir(desk.path("evidence")).ok()?.next()?.ok()?.path();
        let file = newest.join("private/1.json");
        file.exists().then_some(file)
    });
    desk.write("go", "");
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "the query has no answer: {ended:?}");
    assert!(!private.exists(), "deleted when it was kept");
    desk.tells_none_of(&["correct-horse"]);
    let journal = desk.journal();
    assert_eq!(journal[0]["promised"]["private"], "private/1.json");
    desk.sound(&ended);
}

#[test]
fn after_kill_9_the_secret_way_back_is_used_once_and_readable_for_its_owner_only() {
    let desk = Desk::with_secret(PROGRAM, "correct-horse-battery");
    let act = "command: { script: 'touch changed-correct-horse-battery; sleep 600', undo: [rm, changed-correct-horse-battery] }";
    let use_it = "  - { id: asked, check: { prometheus-query: { query: up } } }\n";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }}, timeout: 10m }}\n{use_it}"));
    let running = desk.start_run(&ALLOW);
    until("it has changed something", || exists(&desk, "changed-correct-horse-battery").then_some(()));
    running.signal(Signal::SIGKILL);
    running.wait();
    let private = desk.path(&desk.newest()).join("private/1.json");
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    let away = private.with_extension("away");
    fs::rename(&private, &away).unwrap();
    let lost = desk.recover(4);
    assert!(lost.stdout.contains("private/1.json"), "{lost:?}");
    fs::rename(&away, &private).unwrap();
    desk.recover(0);
    assert!(!exists(&desk, "changed-correct-horse-battery") && !private.exists());
    // The recovery uses no connection with that secret, and knows it from the way back.
    desk.tells_none_of(&["correct-horse"]);
}

#[test]
fn nothing_is_changed_when_the_promise_cannot_be_written() {
    let mut desk = Desk::new(PROGRAM, &[]);
    // Everything before the promise fits below the limit, the promise does not.
    let long = "x".repeat(60_000);
    let act = format!("command: {{ argv: [touch, changed], undo: [sh, -c, 'rm -f changed # {long}'] }}");
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }} }}\n"));
    desk.limit("ulimit -f 40; trap '' XFSZ");
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(!exists(&desk, "changed"), "it was changed without a way back");
}

#[test]
fn a_disk_that_is_full_after_the_change_does_not_keep_it_from_being_put_back() {
    let mut desk = Desk::new(PROGRAM, &[]);
    let act = "command: { script: 'touch changed; touch begun; head -c 300000 /dev/zero | tr \\0 x', undo: [rm, -f, changed] }";
    desk.scenario("one", "", &format!("  - {{ id: change, act: {{ {act} }} }}\n"));
    desk.limit("ulimit -f 200; trap '' XFSZ");
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(exists(&desk, "begun") && !exists(&desk, "changed"), "{ended:?}");
    // Nobody could write down that it was put back, so it is looked at once more.
    desk.recover(0);
    assert!(desk.recover(0).stdout.contains("nothing is owed"));
}

#[test]
fn a_damaged_journal_stops_everything_that_would_change_something() {
    let desk = desk("");
    assert_eq!(run(&desk, &[]).code, Some(0));
    let file = desk.path(&desk.newest()).join("journal.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let name = format!("{}/journal.jsonl", desk.newest());
    desk.write(&name, text.replacen("promised", "promisd", 1));
    let ended = run(&desk, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("line 1"), "{ended:?}");
    desk.recover(5);
    assert_eq!(desk.call(&["verify"]).code, Some(5));
}
