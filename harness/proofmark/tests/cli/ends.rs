//! However a run ends (a signal, a deadline, `kill -9`, a full disk), what it leaves is complete or says that it is not.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Answer, Desk, Ended, Fault, Server, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
const UP: &str = "check: { prometheus-query: { query: up } }";

/// A stand-in that answers every query with samples, or with none.
fn server(samples: bool) -> Server {
    let recorded = "prometheus-3.5.3/query_vector.json";
    let answer = if samples { Answer::recorded(recorded) } else { Answer::no_samples() };
    Server::start().on("/api/v1/query", answer)
}

/// A scenario that waits for ten minutes, with a step after it, and a scenario after that.
fn waiting(url: &str) -> Desk {
    let desk = Desk::new(PROGRAM, &[("prometheus", url)]);
    let steps = format!(
        "  - {{ id: wait, {UP}, within: 10m, every: 20ms, timeout: 10m }}\n  - {{ id: after, {UP} }}\n"
    );
    desk.scenario("one", "", &steps);
    desk.scenario("two", "needs: [one]", &format!("  - {{ id: last, {UP} }}\n"));
    desk
}

fn told(desk: &Desk) -> Value {
    let ended = desk.call(&["report", "--format", "json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The folder is sealed, `verify` agrees, `report` exits as the run did, and three reports are there.
fn complete(desk: &Desk, ended: &Ended) -> Value {
    desk.sound(ended);
    let reports = desk.files("reports");
    let kinds: Vec<&str> = reports.keys().filter_map(|name| name.rsplit('.').next()).collect();
    assert_eq!(kinds, ["html", "json", "xml"]);
    let report = told(desk);
    assert_eq!(report["complete"], true);
    report
}

fn reason(report: &Value, scenario: usize, step: usize) -> &str {
    report["scenarios"][scenario]["steps"][step]["reason"].as_str().unwrap_or_default()
}

#[test]
fn a_signal_ends_a_poll_with_complete_evidence() {
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGTERM, "SIGTERM")] {
        let server = server(false);
        let desk = waiting(&server.url());
        let running = desk.start_run(&["--format", "jsonl"]);
        until("it polls", || (server.seen().len() >= 3).then_some(()));
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        let last: Value = serde_json::from_str(ended.last_line()).unwrap();
        assert_eq!((&last["event"], &last["exit"]), (&"run-ended".into(), &130.into()));
        let report = complete(&desk, &ended);
        assert_eq!(report["interrupted-by"], name);
        // The poll would have gone on, so what it saw last decides nothing.
        assert_eq!(report["scenarios"][0]["steps"][0]["verdict"], "unverified");
        let finding = &report["scenarios"][0]["steps"][0]["findings"][0];
        assert_eq!(finding["seen"], format!("interrupted: {name}"));
        assert_eq!(reason(&report, 0, 1), format!("not reached: {name}"));
        assert_eq!(report["scenarios"][1]["verdict"], "unverified");
    }
}

#[test]
fn a_signal_ends_a_request_that_hangs() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = Server::broken(Fault::Hang);
        let desk = waiting(&server.url());
        let running = desk.start_run(&[]);
        until("it has asked", || (!server.seen().is_empty()).then_some(()));
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        assert!(complete(&desk, &ended)["verdict"] == "unverified");
    }
}

#[test]
fn an_act_is_let_finish_however_many_signals_come() {
    let server = server(true);
    let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
    let script = "touch began; until [ -e go ]; do sleep 0.05; done; echo finished";
    let steps = format!(
        "  - {{ id: act, act: {{ command: {{ script: '{script}' }} }}, timeout: 50s }}\n  - {{ id: after, {UP} }}\n"
    );
    desk.scenario("one", "", &steps);
    let running = desk.start_run(&["--allow", "exec"]);
    until("the act has begun", || desk.path("began").exists().then_some(()));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        running.signal(signal);
    }
    // Who waits for the act is told at once, and not again at the end.
    let told = || {
        let run = std::fs::read_dir(desk.path("evidence")).ok()?.flatten().next()?;
        let events = std::fs::read_to_string(run.path().join("events.jsonl")).ok()?;
        Some(events.matches(r#""event":"interrupted""#).count()).filter(|times| *times > 0)
    };
    until("it is told", told);
    desk.write("go", "");
    let ended = running.wait();
    assert_eq!((ended.code, told()), (Some(130), Some(1)), "{ended:?}");
    let report = complete(&desk, &ended);
    assert_eq!(report["scenarios"][0]["steps"][0]["verdict"], "passed");
    let kept = desk.files(&desk.newest());
    assert!(String::from_utf8_lossy(&kept["one/act.json"]).contains("finished"));
    assert!(reason(&report, 0, 1).starts_with("not reached: SIG"));
    assert!(server.seen().is_empty());
}

#[test]
fn a_deadline_leaves_the_rest_unverified_and_is_no_interruption() {
    let server = server(false);
    let desk = waiting(&server.url());
    let ended = desk.run(&["--deadline", "1s"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let report = complete(&desk, &ended);
    assert_eq!(report["interrupted-by"], "the deadline is over");
    assert_eq!(report["scenarios"][0]["steps"][0]["verdict"], "unverified");
    assert_eq!(reason(&report, 0, 1), "not reached: the deadline is over");
    assert!(ended.stdout.contains("the deadline is over"), "{ended:?}");

    // A failure that was seen before stays one.
    desk.scenario("one", "", &format!("  - {{ id: seen, {UP} }}\n  - {{ id: wait, {UP}, within: 10m }}\n"));
    assert_eq!(desk.run(&["--deadline", "500ms"]).code, Some(1));
}

/// Reads a run that has no end, and holds that nobody calls it passed.
fn incomplete(desk: &Desk, run: &str) {
    let verified = desk.call(&["verify", run]);
    assert_eq!(verified.code, Some(3), "{verified:?}");
    assert!(verified.stdout.contains("did not come to its end"), "{verified:?}");
    for (format, word) in [("text", "incomplete"), ("html", "incomplete"), ("junit", "<error")] {
        let told = desk.call(&["report", run, "--format", format]);
        assert_eq!(told.code, Some(3), "{format}: {told:?}");
        assert!(told.stdout.to_lowercase().contains(word), "{format}: {told:?}");
    }
    let told = desk.call(&["report", run, "--format", "json"]);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((told.code, &report["complete"]), (Some(3), &false.into()), "{report}");
    assert_ne!(report["verdict"], "passed");
}

/// Two scenarios of several steps that pass, one of them with an answer kept.
fn passing(server: &Server) -> Desk {
    let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
    let steps = (0..6).map(|n| format!("  - {{ id: s{n}, {UP}, evidence: answer{n}.json }}\n"));
    let steps = steps.collect::<Vec<_>>().concat();
    desk.scenario("one", "", &steps);
    desk.scenario("two", "needs: [one]", &steps);
    desk
}

#[test]
fn a_killed_run_is_read_and_called_incomplete() {
    let server = server(true);
    let desk = passing(&server);
    assert_eq!(desk.run(&[]).code, Some(0));
    let whole = desk.files(&desk.newest())["events.jsonl"].len() as u64;
    let mut cut_short = 0;
    for moment in 0..40 {
        let desk = passing(&server);
        let running = desk.start_run(&[]);
        let length = || {
            let run = std::fs::read_dir(desk.path("evidence")).ok()?.flatten().next()?;
            Some(run.path().join("events.jsonl").metadata().map_or(0, |file| file.len()))
        };
        until("it has come so far", || (length()? >= whole * moment / 42).then_some(()));
        running.kill();
        // A manifest that was torn while it was written is none.
        let manifest = desk.files(&desk.newest()).remove("manifest.json").unwrap_or_default();
        if serde_json::from_slice::<Value>(&manifest).is_ok() {
            assert_eq!(desk.call(&["verify"]).code, Some(0));
        } else {
            cut_short += 1;
            incomplete(&desk, &desk.newest());
        }
    }
    assert!(cut_short >= 30, "only {cut_short} of the runs were killed before their end");
}

#[test]
fn no_beginning_of_a_run_panics_or_passes() {
    let server = server(true);
    let desk = passing(&server);
    assert_eq!(desk.run(&[]).code, Some(0));
    let name = desk.newest();
    let (events, manifest) = (format!("{name}/events.jsonl"), format!("{name}/manifest.json"));
    let files = desk.files(&name);
    let (whole, sealed) = (&files["events.jsonl"], &files["manifest.json"]);
    let open = |cut: usize| {
        desk.write(&events, &whole[..cut]);
        let run = proofmark_evidence::record::read(&desk.path(&name))
            .unwrap_or_else(|error| panic!("{cut}: {error}"));
        let report = proofmark_evidence::report::fold(run.info.as_ref(), &run.lines, run.manifest.is_some());
        assert!(!report.complete, "{cut}");
        assert_eq!(report.exit.code(), 3, "{cut}");
        assert_eq!(
            proofmark_engine::verify::verify(&run, proofmark::kinds::registry()).exit().code(),
            3,
            "{cut}"
        );
    };
    std::fs::remove_file(desk.path(&manifest)).unwrap();
    for cut in (0..=whole.len()).step_by(13).chain([whole.len() - 1, whole.len()]) {
        open(cut);
    }
    // Torn while the manifest was written.
    for cut in [0, 1, sealed.len() / 2, sealed.len() - 3] {
        desk.write(&manifest, &sealed[..cut]);
        open(whole.len());
    }
    incomplete(&desk, &name);
}

#[test]
fn a_torn_last_line_is_what_a_kill_leaves_and_a_torn_other_line_is_not() {
    let server = server(true);
    let desk = passing(&server);
    assert_eq!(desk.run(&[]).code, Some(0));
    let run = desk.newest();
    let whole = desk.files(&run)["events.jsonl"].clone();
    std::fs::remove_file(desk.path(&run).join("manifest.json")).unwrap();
    desk.write(&format!("{run}/events.jsonl"), &whole[..whole.len() - 20]);
    incomplete(&desk, &run);
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    desk.write(&format!("{run}/events.jsonl"), [&whole[..line - 9], &whole[line..]].concat());
    for command in ["report", "verify"] {
        let ended = desk.call(&[command, &run]);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains("damaged: line 1"), "{ended:?}");
    }
}

#[test]
fn a_run_killed_before_its_first_event_does_not_hide_behind_the_one_before() {
    let server = server(true);
    let desk = passing(&server);
    assert_eq!(desk.run(&[]).code, Some(0));
    std::fs::create_dir(desk.path("evidence/29990101T000000Z-abcdef")).unwrap();
    for command in ["report", "verify"] {
        assert_eq!(desk.call(&[command]).code, Some(3), "{command}");
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_passes() {
    let server = server(true);
    for blocks in [0, 1, 2, 3, 4, 6, 8, 12, 16, 24] {
        let mut desk = passing(&server);
        // An ignored SIGXFSZ turns the limit into the error that a full disk gives.
        desk.limit(format!("trap '' XFSZ; ulimit -f {blocks}"));
        let ended = desk.run(&[]);
        assert_eq!(ended.code, Some(5), "{blocks}: {ended:?}");
        assert!(ended.stderr.contains("could not be written"), "{blocks}: {ended:?}");
        assert!(ended.stderr.contains("File too large"), "says why: {ended:?}");
        if !desk.files(&desk.newest()).contains_key("manifest.json") {
            assert!(ended.stderr.contains("is the disk full"), "{ended:?}");
            assert_eq!(desk.call(&["report"]).code, Some(3));
        }
    }
    let mut desk = passing(&server);
    desk.limit("trap '' XFSZ; ulimit -f 400");
    assert_eq!(desk.run(&[]).code, Some(0), "the limit alone is no mistake");
}

fn refused(ended: &Ended, word: &str) {
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("could not be written") && ended.stderr.contains(word), "{ended:?}");
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let server = server(true);
    let desk = passing(&server);
    desk.write("taken", "a file");
    refused(&desk.run(&["--evidence", "taken"]), "taken");
    refused(&desk.run(&["--evidence", "taken/below"]), "taken");
    assert!(server.seen().is_empty(), "nothing is asked where nothing can be kept");
    refused(&desk.run(&["--reports", "taken"]), "reports");
    assert_eq!(desk.call(&["verify"]).code, Some(0), "the evidence is whole all the same");
    let ended = desk.run(&["--reports", "taken", "--format", "jsonl"]);
    let last: Value = serde_json::from_str(ended.last_line()).unwrap();
    assert_eq!((ended.code, &last["exit"]), (Some(5), &5.into()));
    refused(&desk.call(&["report", "--reports", "taken"]), "reports");
}

#[test]
fn evidence_that_is_taken_away_while_it_is_written_is_missed() {
    let server = server(true);
    let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
    let steps = format!(
        "  - id: rob\n    act: {{ command: {{ argv: [rm, -r, evidence] }} }}\n  - {{ id: after, {UP} }}\n"
    );
    desk.scenario("one", "", &steps);
    let ended = desk.run(&["--allow", "exec"]);
    refused(&ended, "evidence");
    assert!(!Path::new(&desk.path("reports")).exists(), "{ended:?}");
}

#[test]
fn a_reader_that_went_away_changes_nothing() {
    let server = server(true);
    for words in ["exec >/dev/full 2>/dev/full", "exec >&- 2>&-"] {
        let mut desk = passing(&server);
        for args in [&[][..], &["--format", "jsonl"]] {
            desk.limit(words);
            let ended = desk.run(args);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{words}");
            desk.limit(":");
            assert_eq!(desk.call(&["verify"]).code, Some(0));
            assert_eq!(told(&desk)["verdict"], "passed");
        }
    }
}
