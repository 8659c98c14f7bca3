//! An error of a run has a code beside its text: in the step's file, in `--format jsonl` and in the JSON report. The tables
//! of codes name what the sources use, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test reads its own files")]

use crate::ground::house::product;
use fixtures::{Answer, Desk, Ended, Fault, Server};
use proofmark_model::ErrorCode;
use proofmark_model::diag::CODES;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

fn lines(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs one step, which is `unverified` because of an error with this code wherever the run is told.
fn coded(desk: &Desk, step: &str, code: &str) {
    desk.scenario("s", "", &format!("  - {{ id: a, {step} }}\n"));
    let ended = desk.run(&["--allow", "exec", "--format", "jsonl"]);
    assert_eq!(ended.code, Some(3), "{code}: {ended:#?}");
    let record = desk.kept("s/a");
    let attempt = &record["attempts"][0];
    assert!(attempt["error"].is_string(), "{record}");
    assert_eq!(attempt["code"], code, "{record}");
    assert_eq!(record["findings"][0]["code"], code, "{record}");
    let lines = lines(&ended);
    let step = lines.iter().find(|line| line["event"] == "step-ended").unwrap();
    assert_eq!(step["findings"][0]["code"], code, "{step}");
    let report = desk.call(&["report", "--format", "json"]).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["scenarios"][0]["steps"][0]["findings"][0]["code"], code, "{report}");
    desk.sound(&ended);
}

const QUERY: &str = "check: { prometheus-query: { query: up } }";

#[test]
fn a_server_that_gives_no_answer_has_a_code() {
    for (fault, code) in [
        (Fault::Refused, "connection-refused"),
        (Fault::Hang, "timeout"),
        (Fault::CutOff, "cut-off"),
        (Fault::Status500, "server-error"),
        (Fault::Html, "unexpected-answer"),
        (Fault::BadCertificate, "tls"),
        (Fault::RedirectLoop, "redirect-loop"),
    ] {
        let server = Server::broken(fault);
        let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
        coded(&desk, &format!("{QUERY}, timeout: 2s"), code);
    }
}

#[test]
fn a_status_that_refuses_has_a_code() {
    for (status, code) in
        [(401, "unauthorized"), (403, "forbidden"), (404, "not-found"), (429, "rate-limited")]
    {
        let answer = Answer::new(status, "text/plain", "no");
        let server = Server::start().on("/api/v1/query", answer);
        let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
        coded(&desk, QUERY, code);
    }
    let answer = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let server = Server::start().on("/api/v1/query", Answer::json(answer).status(400));
    coded(&Desk::new(PROGRAM, &[("prometheus", &server.url())]), QUERY, "rejected");
}

#[test]
fn names_databases_programs_and_sizes_have_codes() {
    let closed = Server::broken(Fault::Refused).url().replace("http://", "postgresql://user@") + "/app";
    let large = Server::broken(Fault::Oversized);
    let connections =
        [("prometheus", "http://no-such-host.invalid:9090"), ("postgres", &closed), ("large", &large.url())];
    let desk = Desk::new(PROGRAM, &connections);
    coded(&desk, QUERY, "name-not-resolved");
    coded(&desk, "check: { postgres-tables: {} }", "connection-refused");
    coded(&desk, "act: { command: { argv: [no-such-program-here] } }", "program-missing");
    coded(&desk, "act: { command: { argv: [sleep, '60'] } }, timeout: 200ms", "timeout");
    coded(&desk, "check: { http: { get: /, max-bytes: 10 } }, via: large", "too-large");
    desk.write("folder/x", "");
    let folder = desk.path("folder").display().to_string();
    coded(&desk, &format!("act: {{ command: {{ argv: [ls], cwd: '{folder}/no' }} }}"), "not-found");
}

#[test]
fn an_attempt_that_is_made_again_tells_its_code() {
    let server = Server::broken(Fault::Refused);
    let desk = Desk::new(PROGRAM, &[("prometheus", &server.url())]);
    desk.scenario("s", "", &format!("  - {{ id: a, {QUERY}, within: 300ms, every: 100ms }}\n"));
    let ended = desk.run(&["--format", "jsonl"]);
    let lines = lines(&ended);
    let attempted = lines.iter().find(|line| line["event"] == "attempted").unwrap();
    assert_eq!(attempted["code"], "connection-refused", "{attempted}");
    desk.sound(&ended);
}

#[test]
fn what_passes_or_fails_has_no_code() {
    let server = Server::start().on("/ok", Answer::json("{}")).on("/no", Answer::json("{}").status(500));
    let desk = Desk::new(PROGRAM, &[("page", &server.url())]);
    let step = |id| format!("  - {{ id: {id}, check: {{ http: {{ get: /{id} }} }}, via: page }}\n");
    desk.scenario("s", "", &[step("ok"), step("no")].concat());
    let ended = desk.run(&["--format", "jsonl"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(!ended.stdout.contains(r#""code""#), "{}", ended.stdout);
    for id in ["s/ok", "s/no"] {
        assert!(!desk.kept(id).to_string().contains(r#""code""#), "{id}");
    }
}

#[test]
fn every_code_of_an_error_is_used() {
    let sources = product();
    for (code, ..) in ErrorCode::TABLE {
        let name = Regex::new(&format!(r"ErrorCode::{code:?}\b|Self::{code:?}\b")).unwrap();
        let used = |(path, text): &&(String, String)| {
            // There it is also a name in the table, once.
            let in_table = usize::from(path.ends_with("model/src/code.rs"));
            name.find_iter(text).count() > 0
                && (in_table == 0 || text.contains(&format!("=> Self::{code:?}")))
        };
        assert!(sources.iter().any(|source| used(&source)), "nothing has the code `{code}`");
    }
}

/// The codes of mistakes: what stands where one is made. The first text of a call is its code.
fn used() -> BTreeSet<String> {
    let call = r"(?:Diag::new|Diag::at|\.diag|\.say|Mistake::new|misfit|Self::unknown|Self::new|Err\()\(";
    let calls =
        Regex::new(&format!(r#"{call}[^";\[]*?"([a-z]+(?:-[a-z]+)*)"(?: \}} else \{{ "([a-z-]+)" \}})?,"#));
    let calls = calls.unwrap();
    let fields = Regex::new(r#"code: "([a-z-]+)""#).unwrap();
    // The readers of YAML and of templates hand over a code, a message and advice.
    let tuples = Regex::new(r#"\(\s*"([a-z]+(?:-[a-z]+)*)",\s*(?:format!|"|message)"#).unwrap();
    let mut out = BTreeSet::new();
    for (path, text) in product() {
        if path.ends_with("src/diag.rs") {
            continue;
        }
        let patterns: &[&Regex] =
            if path.contains("src/document/") { &[&calls, &fields, &tuples] } else { &[&calls, &fields] };
        for found in patterns.iter().flat_map(|pattern| pattern.captures_iter(&text)) {
            out.extend(found.iter().skip(1).flatten().map(|code| code.as_str().to_owned()));
        }
    }
    out
}

#[test]
fn the_table_of_mistakes_names_what_the_sources_use() {
    let table: BTreeSet<String> = CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(table.len(), CODES.len(), "each once");
    assert_eq!(used(), table);
    assert!(CODES.is_sorted_by_key(|(code, _)| *code));
}
