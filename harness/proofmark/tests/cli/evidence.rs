//! What a run leaves: that `verify` notices whatever is changed in it, that `report` tells it again, and that it keeps what was
//! expected and seen.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::program::{UP, desk, server};
use fixtures::{Desk, Server};
use proofmark_model::sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run with a passed and a failed step, an answer kept, and a scenario that is skipped.
fn failed(server: &Server) -> Desk {
    let desk = desk(server);
    let steps =
        format!("  - {{ id: up, {UP}, evidence: answer.json }}\n  - {{ id: none, {UP}, via: none }}\n");
    desk.scenario("one", "", &steps);
    desk.scenario("two", "needs: [one]", &format!("  - {{ id: up, {UP} }}\n"));
    assert_eq!(desk.run(&[]).code, Some(1));
    desk
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn verify_notices_every_changed_byte() {
    let server = server();
    let desk = failed(&server);
    let run = desk.newest();
    assert_eq!(desk.call(&["verify"]).code, Some(0));
    let files = desk.files(&run);
    assert_eq!(files.len(), 6, "{:?}", files.keys());
    for (name, bytes) in files {
        let path = format!("{run}/{name}");
        for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1).chain([bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            desk.write(&path, &changed);
            let ended = desk.call(&["verify", &run]);
            assert_eq!(ended.code, Some(5), "{name} at {at}: {ended:?}");
        }
        desk.write(&path, [&bytes[..], b"\n"].concat());
        assert_eq!(desk.call(&["verify", &run]).code, Some(5), "{name}: a line at its end");
        desk.write(&path, &bytes);
    }
    assert_eq!(desk.call(&["verify", &run]).code, Some(0), "as it was");
}

#[test]
fn verify_notices_files_that_came_and_went() {
    let server = server();
    let desk = failed(&server);
    let run = desk.newest();
    for added in ["more.json", "one/more.json", "blobs/x", "new/x"] {
        desk.write(&format!("{run}/{added}"), "{}");
        let ended = desk.call(&["verify"]);
        assert_eq!(ended.code, Some(5), "{added}");
        assert!(ended.stdout.contains(&format!("{added}: the manifest does not name it")), "{ended:?}");
        std::fs::remove_file(desk.path(&run).join(added)).unwrap();
    }
    for (name, bytes) in desk.files(&run) {
        std::fs::remove_file(desk.path(&run).join(&name)).unwrap();
        let ended = desk.call(&["verify"]);
        let expected = if name == "manifest.json" { 3 } else { 5 };
        assert_eq!(ended.code, Some(expected), "{name}: {ended:?}");
        assert!(ended.stdout.contains(&name), "names it: {ended:?}");
        if ["manifest.json", "events.jsonl"].contains(&name.as_str()) {
            assert_eq!(desk.call(&["report"]).code, Some(3), "{name}");
        }
        desk.write(&format!("{run}/{name}"), bytes);
    }
    assert_eq!(desk.call(&["verify"]).code, Some(0));
}

/// Changes a step's file and the events, and makes every hash fit again, as one would who wants it to be believed.
fn forge(desk: &Desk, step: &str, mut change: impl FnMut(&mut Value), mut event: impl FnMut(&mut Value)) {
    let run = desk.newest();
    let mut files = desk.files(&run);
    let name = format!("{step}.json");
    let mut record = json_of(&files[&name]);
    change(&mut record);
    let bytes = serde_json::to_vec(&record).unwrap();
    let hash = sha256(&bytes);
    let mut lines = String::new();
    for line in files["events.jsonl"].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut line = json_of(line);
        if line["event"] == "step-ended" && line["file"] == name.as_str() {
            line["sha256"] = json!(hash);
            line["findings"] = record["findings"].clone();
            line["verdict"] = record["verdict"].clone();
        }
        event(&mut line);
        lines.extend([line.to_string(), "\n".to_owned()]);
    }
    let mut manifest: proofmark_model::Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
    files.insert(name, bytes);
    files.insert("events.jsonl".into(), lines.into_bytes());
    files.remove("manifest.json");
    manifest.files = files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
    let ended = files["events.jsonl"].split(|byte| *byte == b'\n').rev().nth(1).map(json_of).unwrap();
    manifest.verdict = serde_json::from_value(ended["verdict"].clone()).unwrap();
    manifest.exit = serde_json::from_value(ended["exit"].clone()).unwrap();
    for (name, bytes) in &files {
        desk.write(&format!("{run}/{name}"), bytes);
    }
    let manifest = serde_json::to_string_pretty(&manifest).unwrap();
    desk.write(&format!("{run}/manifest.json"), format!("{manifest}\n"));
}

fn pass(record: &mut Value) {
    record["verdict"] = json!("passed");
    for finding in record["findings"].as_array_mut().unwrap() {
        finding["verdict"] = json!("passed");
    }
}

fn all_passed(line: &mut Value) {
    if ["scenario-ended", "run-ended"].contains(&line["event"].as_str().unwrap()) {
        line["verdict"] = json!("passed");
    }
    if line["event"] == "run-ended" {
        (line["exit"], line["failed"]) = (json!(0), json!([]));
    }
}

#[test]
fn a_forged_verdict_is_judged_again_although_every_hash_fits() {
    let server = server();
    let different = |desk: &Desk, word: &str| {
        let ended = desk.call(&["verify"]);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stdout.contains(word), "{word}: {ended:?}");
        assert!(!ended.stdout.contains("SHA-256"), "every hash fits: {ended:?}");
    };
    let untouched = failed(&server);
    forge(&untouched, "one/none", |_| {}, |_| {});
    assert_eq!(untouched.call(&["verify"]).code, Some(0), "the forger's own work is not what is found");

    let desk = failed(&server);
    forge(&desk, "one/none", pass, all_passed);
    different(&desk, "one#none: judged again");

    let desk = failed(&server);
    forge(&desk, "one/none", |record| record["findings"][0]["expected"] = json!("no sample"), |_| {});
    different(&desk, "one#none: judged again");

    let desk = failed(&server);
    forge(&desk, "one/up", |record| record["settings"]["query"] = json!("down"), |_| {});
    assert_eq!(desk.call(&["verify"]).code, Some(0), "a setting that no judgement reads");
    forge(&desk, "one/up", |record| record["observation"]["samples"] = json!([]), |_| {});
    different(&desk, "one#up: judged again");

    let desk = failed(&server);
    forge(&desk, "one/up", |_| {}, all_passed);
    different(&desk, "one: its verdict does not follow from its steps");

    // The event alone.
    let desk = failed(&server);
    forge(
        &desk,
        "one/up",
        |_| {},
        |line| {
            if line["event"] == "step-ended" && line["step"] == "none" {
                pass(line);
            }
        },
    );
    different(&desk, "one#none: its event says something else");
}

#[test]
fn a_step_that_vanished_from_the_events_is_missed() {
    let server = server();
    let desk = failed(&server);
    let run = desk.newest();
    std::fs::remove_file(desk.path(&format!("{run}/one/none.json"))).unwrap();
    let lines = String::from_utf8(desk.files(&run)["events.jsonl"].clone()).unwrap();
    let mut left: Vec<Value> = lines.lines().map(|line| json_of(line.as_bytes())).collect();
    left.retain(|line| line["step"] != "none" && line["scenario"] != "two");
    for (seq, line) in left.iter_mut().enumerate() {
        line["seq"] = json!(seq);
    }
    let text: Vec<String> = left.iter().map(Value::to_string).collect();
    desk.write(&format!("{run}/events.jsonl"), text.join("\n") + "\n");
    forge(&desk, "one/up", |_| {}, all_passed);
    assert_eq!(desk.call(&["verify"]).code, Some(5));
    assert_eq!(desk.call(&["report"]).code, Some(3));
}

#[test]
fn other_rules_are_said_and_not_taken_for_a_difference() {
    let server = server();
    let desk = failed(&server);
    forge(&desk, "one/up", |record| record["rules"]["prometheus-query"] = json!(2), |_| {});
    let ended = desk.call(&["verify"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let rules = "hashes hold; prometheus-query was judged by rules 2, this program has 1";
    assert!(ended.stdout.contains(rules), "{ended:?}");
}

#[test]
fn a_newer_format_is_refused_and_an_unknown_one_is_damage() {
    let server = server();
    let desk = failed(&server);
    let run = desk.newest();
    for name in ["run.json", "manifest.json"] {
        let text = String::from_utf8(desk.files(&run)[name].clone()).unwrap();
        for (version, code, word) in [("v2", 2, "newer than this program: upgrade"), ("x1", 5, "damaged")] {
            let other = text.replace("\"proofmark\": \"v1\"", &format!("\"proofmark\": \"{version}\""));
            assert_ne!(other, text);
            desk.write(&format!("{run}/{name}"), other);
            for command in ["report", "verify"] {
                let ended = desk.call(&[command]);
                assert_eq!(ended.code, Some(code), "{name} {version}: {ended:?}");
                assert!(ended.stderr.contains(word) && ended.stdout.is_empty(), "{ended:?}");
            }
        }
        desk.write(&format!("{run}/{name}"), text);
    }
}

#[test]
fn report_exits_as_the_run_did_and_takes_the_newest() {
    let server = server();
    let desk = desk(&server);
    let mut runs = BTreeMap::new();
    for (steps, code) in [
        (format!("  - {{ id: a, {UP} }}\n"), 0),
        (format!("  - {{ id: a, {UP}, via: none }}\n"), 1),
        ("  - { id: a, check: { http: { get: 'http://127.0.0.1:1/' } } }\n".to_owned(), 3),
    ] {
        desk.ran(&steps, code);
        runs.insert(desk.newest(), code);
        assert_eq!(desk.call(&["report"]).code, Some(code), "the newest");
    }
    for (run, code) in runs {
        let id = run.strip_prefix("evidence/").unwrap();
        for name in [run.as_str(), id] {
            let ended = desk.call(&["report", name]);
            assert_eq!(ended.code, Some(code), "{ended:?}");
            assert!(ended.stdout.contains(id), "{ended:?}");
        }
    }
    for (args, word) in [(["report", "nowhere"], "no run `nowhere`"), (["verify", "scenarios"], "no run")] {
        let ended = desk.call(&args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(word), "{ended:?}");
    }
}

#[test]
fn the_last_line_of_jsonl_says_how_it_ended() {
    let server = server();
    let desk = failed(&server);
    let ended = desk.run(&["--format", "jsonl"]);
    let lines: Vec<Value> = ended.stdout.lines().map(|line| json_of(line.as_bytes())).collect();
    let last = lines.last().unwrap();
    let evidence = last["evidence"].as_str().unwrap();
    assert!(evidence.starts_with("evidence/") && desk.path(evidence).join("manifest.json").is_file());
    let expected = json!({"event": "run-ended", "verdict": "failed", "exit": 1, "evidence": evidence, "failed": ["one#none"]});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&last[key], value, "{last}");
    }
    // All lines but for the word about the folder are those that are kept.
    let kept = String::from_utf8(desk.files(evidence)["events.jsonl"].clone()).unwrap();
    let mut kept: Vec<Value> = kept.lines().map(|line| json_of(line.as_bytes())).collect();
    kept.last_mut().unwrap()["evidence"] = json!(evidence);
    assert_eq!(lines, kept);
}

#[test]
fn every_finding_keeps_what_was_expected_and_seen() {
    let server = server();
    let desk = desk(&server);
    let steps = format!(
        "  - id: all
    check: {{ http: {{ get: /page, status: 200 }} }}
    via: pages
    expect:
      - {{ at: $.json.state, equals: ready }}
      - {{ at: $.json.version, max: 3 }}
      - {{ at: $.json.nothing, every: {{ min: 1 }} }}
  - {{ id: up, {UP} }}
"
    );
    desk.ran(&steps, 1);
    let findings = desk.kept("s/all")["findings"].clone();
    let verdicts: Vec<&Value> = findings.as_array().unwrap().iter().map(|f| &f["verdict"]).collect();
    assert_eq!(verdicts, ["passed", "passed", "failed", "unverified"]);
    for finding in
        [findings, desk.kept("s/up")["findings"].clone()].iter().flat_map(|f| f.as_array().unwrap())
    {
        for key in ["what", "expected", "seen"] {
            assert!(!finding[key].is_null(), "{key}: {finding}");
        }
    }
}
