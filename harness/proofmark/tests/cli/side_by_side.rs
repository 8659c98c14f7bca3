//! What runs when, what is left out, and what is handed on: `--jobs`, `skip`, `--export`.

use fixtures::{Answer, Desk, Server, until};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

fn desk(server: &Server) -> Desk {
    Desk::new(PROGRAM, &[("pages", &server.url())])
}

/// A check of one page.
fn page(id: &str, path: &str, more: &str) -> String {
    format!("  - {{ id: {id}, check: {{ http: {{ get: {path} }} }}, via: pages{more} }}\n")
}

fn asked(server: &Server, path: &str) -> bool {
    server.seen().iter().any(|seen| seen.target == path)
}

/// The names of the events of the newest run, with their scenarios.
fn events(desk: &Desk) -> Vec<(String, String)> {
    let bytes = &desk.files(&desk.newest())["events.jsonl"];
    let lines = String::from_utf8_lossy(bytes).into_owned();
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    lines.map(|line| (word(&line, "event"), word(&line, "scenario"))).collect()
}

#[test]
fn scenarios_run_side_by_side_and_wait_for_what_they_need() {
    let server = Server::start().on("/b", Answer::json("{}")).on("/c", Answer::json("{}"));
    let desk = desk(&server);
    desk.scenario("a", "", &page("a", "/a", ", within: 60s, every: 20ms"));
    desk.scenario("b", "", &page("b", "/b", ""));
    desk.scenario("c", "needs: [a]", &page("c", "/c", ""));
    let running = desk.start_run(&["--jobs", "2"]);
    until("the second is asked while the first still looks", || asked(&server, "/b").then_some(()));
    assert!(!asked(&server, "/c"), "what it needs has not ended");
    server.set("/a", Answer::json("{}"));
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(asked(&server, "/c"));
    assert_eq!(desk.call(&["verify"]).code, Some(0));
}

#[test]
fn with_one_job_each_waits_for_the_one_before() {
    let server = Server::start().on("/a", Answer::json("{}"));
    let desk = desk(&server);
    for id in ["a", "b", "c"] {
        desk.scenario(id, "", &page(id, "/a", ""));
    }
    assert_eq!(desk.run(&["--jobs", "1"]).code, Some(0));
    let events = events(&desk);
    let bounds = events.iter().filter(|(event, _)| event.starts_with("scenario-"));
    let order: Vec<&str> = bounds.map(|(_, scenario)| scenario.as_str()).collect();
    assert_eq!(order, ["a", "a", "b", "b", "c", "c"]);
}

#[test]
fn what_failed_is_named_in_the_order_of_the_plan() {
    let server = Server::start();
    let desk = desk(&server);
    desk.scenario("a", "", &page("a", "/none", ", within: 300ms"));
    desk.scenario("b", "", &page("b", "/none", ""));
    let ended = desk.run(&["--format", "jsonl"]);
    let last: Value = serde_json::from_str(ended.last_line()).expect("the last event");
    assert_eq!(last["failed"], json!(["a#a", "b#b"]));
}

#[test]
fn acts_take_turns() {
    let server = Server::start();
    let desk = desk(&server);
    // Two at once: the second cannot make the folder.
    let act = "  - { id: act, act: { command: { script: 'mkdir busy; sleep 0.2; rmdir busy' } } }\n";
    for id in ["a", "b", "c", "d"] {
        desk.scenario(id, "", act);
    }
    let ended = desk.run(&["--jobs", "4", "--allow", "exec"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_step_is_left_out_for_a_reason_and_until_a_day() {
    let server = Server::start().on("/a", Answer::json("{}"));
    let desk = desk(&server);
    let skip = |until: &str| format!(", skip: {{ reason: the pager is replaced, until: {until} }}");
    let left_out = page("b", "/b", &skip("2999-01-01"));
    desk.ran(&(page("a", "/a", "") + &left_out), 0);
    assert!(!asked(&server, "/b"));
    let kept = desk.kept("s/b");
    assert_eq!(kept["verdict"], "skipped");
    let reason = kept["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("the pager is replaced") && reason.contains("2999-01-01"), "{reason}");

    // Alone it shows nothing.
    desk.ran(&left_out, 3);
    // Its time is over: it runs again, and there is no such page.
    desk.ran(&(page("a", "/a", "") + &page("b", "/b", &skip("2001-01-01T08:00:00Z"))), 1);
    assert!(asked(&server, "/b"));
}

#[test]
fn what_uses_the_capture_of_a_step_that_was_left_out_is_left_out_too() {
    let server = Server::start().on("/a", Answer::json(r#"{"n": 1}"#));
    let desk = desk(&server);
    let more = ", capture: { n: $.json.n }, skip: { reason: later, until: 2999-01-01 }";
    let user = "  - { id: c, check: { http: { get: '/a?n={{ captures.n }}' } }, via: pages }\n";
    desk.ran(&(page("a", "/a", "") + &page("b", "/a", more) + user), 0);
    assert_eq!(desk.kept("s/c")["verdict"], "skipped");
}

#[test]
fn kept_files_are_exported_and_older_ones_do_not_stay() {
    let server = Server::start().on("/a", Answer::json(r#"{"password": "hunter22"}"#));
    let desk = desk(&server);
    desk.scenario("p/x", "", &page("a", "/a", ", evidence: page-a.json"));
    desk.scenario("p/y", "export: plan/phase5-y", &page("b", "/b", ", within: 1ms, evidence: page-b.json"));
    let export = |code| {
        let ended = desk.run(&["--export", "out"]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        desk.files("out")
    };
    let files = export(1);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["p-x/page-a.json", "plan/phase5-y/page-b.json"]);
    let kept = desk.files(&desk.newest());
    assert_eq!(files["p-x/page-a.json"], kept["p/x/page-a.json"]);
    assert!(!String::from_utf8_lossy(&files["p-x/page-a.json"]).contains("hunter22"));

    // This time nothing was answered, so nothing may look as if it had been.
    desk.write("environment.yaml", "proofmark: v1\nconnections:\n  pages: { url: 'http://127.0.0.1:1' }\n");
    assert_eq!(export(3).keys().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_no_success() {
    let server = Server::start().on("/a", Answer::json("{}"));
    let desk = desk(&server);
    desk.scenario("s", "", &page("a", "/a", ", evidence: page-a.json"));
    desk.write("out", "a file stands in the way");
    let ended = desk.run(&["--export", "out"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
}
