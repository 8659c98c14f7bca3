//! What the engine concludes, as only the whole program can show it: which steps run, how often, and what counts.

use crate::ground::program::{UP, desk, server};
use fixtures::{Answer, Server, until};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn first_of_takes_the_first_that_passes_and_counts_no_other() {
    let server = server();
    let desk = desk(&server);
    server.set("/api/v1/query", Answer::no_samples());
    let never = "prometheus-query: { query: never }";
    desk.ran(&format!("  - {{ id: a, check: {{ first-of: [{{ {never} }}, {{ {never} }}] }} }}\n"), 1);
    let none = desk.kept("s/a");
    assert_eq!((none["findings"].as_array().map(Vec::len), &none["chosen"]), (Some(2), &Value::Null));

    // The second passes; `expect` and `capture` are its own.
    let page = "http: { get: /page }";
    let steps = format!(
        "  - id: a
    check: {{ first-of: [{{ {never} }}, {{ {page} }}, {{ {never} }}] }}
    via: {{ http: pages }}
    expect: [{{ at: $.json.state, equals: ready }}]
    capture: {{ version: $.json.version }}
  - {{ id: b, check: {{ {page} }}, via: pages, expect: [{{ at: $.json.version, equals: '{{{{ captures.version }}}}' }}] }}
"
    );
    let before = server.seen().len();
    desk.ran(&steps, 0);
    let chosen = desk.kept("s/a");
    assert_eq!((&chosen["chosen"], chosen["findings"].as_array().map(Vec::len)), (&json!(1), Some(3)));
    assert_eq!(chosen["attempts"].as_array().map(Vec::len), Some(2), "the other is kept as an attempt");
    assert_eq!(server.seen().len() - before, 3, "the third was not asked");

    // What could not be decided stops the search: the page would pass.
    server.set("/api/v1/query", Answer::json("{}").status(503));
    let steps = format!(
        "  - {{ id: a, check: {{ first-of: [{{ {never} }}, {{ {page} }}] }}, via: {{ http: pages }} }}\n"
    );
    desk.ran(&steps, 3);
    assert_eq!(desk.kept("s/a")["chosen"], json!(0));
}

#[test]
fn zero_passes_only_beside_a_control_that_passed() {
    let server = server();
    let desk = desk(&server);
    let zero = "check: { prometheus-query: { query: gone } }, via: none, expect: [{ at: $.samples, count: { equals: 0 } }]";
    desk.ran(&format!("  - {{ id: zero, {zero} }}\n"), 3);
    let help = desk.kept("s/zero")["findings"][0]["help"].as_str().unwrap().to_owned();
    assert!(help.contains("control: STEP"), "{help}");
    desk.ran(&format!("  - {{ id: shown, {UP} }}\n  - {{ id: zero, control: shown, {zero} }}\n"), 0);
    desk.ran(
        &format!("  - {{ id: shown, {UP}, via: none }}\n  - {{ id: zero, control: shown, {zero} }}\n"),
        1,
    );
    assert_eq!(desk.kept("s/zero")["verdict"], "unverified");
    // `none` has no samples, but the page has an empty list: an absence like any other.
    let page = "check: { http: { get: /page } }, via: pages";
    desk.ran(
        &format!("  - {{ id: a, {page}, expect: [{{ at: '$.json.none', count: {{ max: 0 }} }}] }}\n"),
        3,
    );
    desk.ran(
        &format!("  - {{ id: a, {page}, expect: [{{ at: '$.json.list', count: {{ equals: 3 }} }}] }}\n"),
        0,
    );
}

#[test]
fn after_a_failure_checks_still_run_and_acts_and_users_of_captures_are_skipped() {
    let server = server();
    let desk = desk(&server);
    let steps = format!(
        "  - {{ id: bad, {UP}, via: none, capture: {{ n: '$.samples[0].value' }} }}
  - {{ id: look, {UP} }}
  - {{ id: change, act: {{ command: {{ argv: [touch, changed] }} }} }}
  - {{ id: use, check: {{ prometheus-query: {{ query: 'x > {{{{ captures.n }}}}' }} }} }}
  - {{ id: last, {UP} }}
"
    );
    let ended = desk.ran(&steps, 1);
    assert!(!desk.path("changed").exists(), "{ended:?}");
    let verdict = |step: &str| desk.kept(&format!("s/{step}"))["verdict"].clone();
    assert_eq!(
        ["bad", "look", "change", "use", "last"].map(verdict),
        ["failed", "passed", "skipped", "skipped", "passed"]
    );
    let reason = |step: &str| desk.kept(&format!("s/{step}"))["reason"].as_str().unwrap().to_owned();
    assert!(reason("change").contains("`bad` is failed"), "{}", reason("change"));
    assert!(reason("use").contains("the capture `n`, which no step made"), "{}", reason("use"));
    // The same where the first could not be decided.
    desk.ran(&steps.replace("via: none", "via: gone"), 3);
    assert!(!desk.path("changed").exists());
}

#[test]
fn what_needs_a_failed_scenario_is_skipped_and_says_so() {
    let server = server();
    let desk = desk(&server);
    desk.scenario("one", "", &format!("  - {{ id: none, {UP}, via: none }}\n"));
    desk.scenario("two", "needs: [one]", &format!("  - {{ id: up, {UP} }}\n"));
    assert_eq!(desk.run(&[]).code, Some(1));
    let run = desk.newest();
    let report: Value = serde_json::from_str(&desk.call(&["report", "--format", "json"]).stdout).unwrap();
    let two = &report["scenarios"][1];
    assert_eq!((&two["id"], &two["verdict"]), (&json!("two"), &json!("skipped")));
    assert_eq!(two["reason"], "it needs `one`, which is failed");
    assert!(!desk.files(&run).keys().any(|name| name.starts_with("two/")));
    // Only the scenario that needs another was asked for: the other is pulled in.
    assert_eq!(desk.run(&["--only", "two"]).code, Some(1));
}

#[test]
fn within_polls_until_it_passes_and_the_last_look_decides() {
    let server = server();
    let desk = desk(&server);
    server.set("/api/v1/query", Answer::no_samples());
    desk.scenario("s", "", &format!("  - {{ id: a, {UP}, within: 50s, every: 10ms }}\n"));
    let running = desk.start_run(&[]);
    let asked = || server.seen().len();
    until("it has polled", || (asked() >= 4).then_some(()));
    server.set("/api/v1/query", Answer::recorded("prometheus-3.5.3/query_vector.json"));
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let record = desk.kept("s/a");
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), asked());
    assert_eq!(
        (&attempts[0]["verdict"], &attempts.last().unwrap()["verdict"]),
        (&json!("failed"), &json!("passed"))
    );
    // Equal observations stand there once.
    let whole = attempts.iter().filter(|attempt| attempt.get("observation").is_some()).count();
    assert_eq!((whole, &attempts[1]["same-as"]), (1, &json!(0)));
    assert_eq!(desk.call(&["verify"]).code, Some(0));

    desk.ran(&format!("  - {{ id: a, {UP}, via: none, within: 300ms, every: 50ms }}\n"), 1);
    let rounds = desk.kept("s/a")["attempts"].as_array().unwrap().len();
    assert!((2..=7).contains(&rounds), "{rounds}");
}

#[test]
fn hold_asks_that_it_stays_true() {
    let server = server();
    let desk = desk(&server);
    desk.ran(&format!("  - {{ id: a, {UP}, hold: 300ms, every: 20ms }}\n"), 0);
    let record = desk.kept("s/a");
    let held = record["findings"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&held["what"], &held["expected"]), (&json!("it stayed true"), &json!("300ms")));
    assert!(record["attempts"].as_array().unwrap().len() >= 3);

    // One slow look shows one moment, however long it took.
    let slow = Answer::json(r#"{"state": "ready"}"#).after(Duration::from_millis(250));
    server.set("/slow", slow);
    desk.ran("  - { id: a, check: { http: { get: /slow } }, via: pages, hold: 200ms, every: 10ms }\n", 0);
    assert_eq!(desk.kept("s/a")["attempts"].as_array().map(Vec::len), Some(2));

    // It ceases while it should hold, and there is no time to begin again.
    desk.scenario("s", "", &format!("  - {{ id: a, {UP}, hold: 50s, every: 10ms }}\n"));
    let running = desk.start_run(&[]);
    let before = server.seen().len();
    until("it holds", || (server.seen().len() >= before + 3).then_some(()));
    server.set("/api/v1/query", Answer::no_samples());
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(desk.call(&["verify"]).code, Some(0));
}

#[test]
fn a_401_is_asked_for_once_however_long_there_is() {
    let server = server();
    let desk = desk(&server);
    for path in ["/api/v1/query", "/page"] {
        server.set(path, Answer::json("{}").status(401));
    }
    for (step, code) in [(UP.to_owned(), 3), ("check: { http: { get: /page } }, via: pages".to_owned(), 1)] {
        let before = server.seen().len();
        desk.ran(&format!("  - {{ id: a, {step}, within: 50s, every: 10ms }}\n"), code);
        assert_eq!(server.seen().len() - before, 1, "{step}");
    }
}

#[test]
fn a_timeout_bounds_one_attempt_of_a_check_and_of_an_act() {
    let server = Server::broken(fixtures::Fault::Hang);
    let desk = desk(&server);
    desk.ran(&format!("  - {{ id: a, {UP}, timeout: 200ms }}\n"), 3);
    let seen = desk.kept("s/a")["findings"][0]["seen"].as_str().unwrap().to_owned();
    assert!(seen.contains("within 200ms") && seen.contains("`timeout`"), "{seen}");
    let act = "act: { command: { script: 'sleep 1000 & echo $! > child; wait' } }";
    desk.ran(&format!("  - {{ id: a, {act}, timeout: 300ms }}\n"), 3);
    let child = std::fs::read_to_string(desk.path("child")).unwrap();
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.trim())).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    };
    until("the whole group of the command is gone", gone);
}

#[test]
fn an_earlier_answer_is_no_evidence_of_a_look_that_had_none() {
    let server = server();
    let desk = desk(&server);
    let never =
        "expect: [{ at: $.json.state, equals: never }], within: 50s, every: 10ms, evidence: page.json";
    desk.scenario(
        "s",
        "",
        &format!("  - {{ id: a, check: {{ http: {{ get: /page }} }}, via: pages, {never} }}\n"),
    );
    let running = desk.start_run(&[]);
    until("it has looked", || (server.seen().len() >= 2).then_some(()));
    // An error that no further look mends: it is the last.
    server.set("/page", Answer::new(302, "text/plain", "").header("location", "ftp://elsewhere/"));
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        !desk.files(&desk.newest()).contains_key("s/page.json"),
        "what was answered before stands for nothing"
    );
    assert_eq!(desk.call(&["verify"]).code, Some(0));
}
