//! What a run tells the CI job that it runs in: annotations and a summary for GitHub Actions, paths that exist.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Answer, Desk, Ended, Server};
use std::fs;
use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
/// What a system answers that wants to command GitHub's runner: at the start of a line, also of one that was wrapped.
const ATTACK: &str = "::stop-commands::x\n##[add-mask]e\n::error file=a::b";

/// A run in which a step passes, one fails and one cannot be decided; as a job of GitHub Actions or not.
fn desk(server: &Server, github: Option<&str>) -> Desk {
    let mut desk = Desk::new(PROGRAM, &[("web", &server.url())]);
    if let Some(value) = github {
        desk.set("GITHUB_ACTIONS", value);
        desk.set("GITHUB_STEP_SUMMARY", desk.path("summary.md").to_str().unwrap());
    }
    let get = "check: { http: { get: /text } }, via: web";
    let steps = [
        format!("  - {{ id: passes, {get} }}"),
        format!(
            "  - {{ id: fails, title: 'It is 100% well, is it: yes', {get}, expect: [{{ at: $.text, equals: well }}] }}"
        ),
        format!("  - {{ id: open, {get}, expect: [{{ at: '$.nothing[*]', every: {{ min: 1 }} }}] }}"),
    ];
    desk.scenario("s", "", &format!("{}\n", steps.join("\n")));
    desk
}

fn server() -> Server {
    let wide = format!("{}{ATTACK}", "x".repeat(90) + " ");
    Server::start().on("/text", Answer::new(200, "text/plain", format!("{ATTACK}\n{wide} {wide}")))
}

/// The lines that GitHub's runner would take for commands.
fn commands(text: &str) -> Vec<&str> {
    let lines = text.split(['\n', '\r']);
    lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

fn failed(ended: &Ended) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(commands(&ended.stderr), [""; 0], "{ended:?}");
}

#[test]
fn a_job_of_github_actions_gets_annotations_and_a_summary() {
    let server = server();
    let desk = desk(&server, Some("true"));
    desk.write("summary.md", "what was there before");
    let ended = desk.run(&[]);
    failed(&ended);
    let told = commands(&ended.stdout);
    assert_eq!(told.len(), 2, "{ended:?}");
    // `%`, `,` and `:` of the title are escaped.
    let file = fs::read_to_string(desk.path("scenarios/s.yaml")).unwrap();
    assert!(file.lines().nth(6).unwrap().contains("id: fails"), "{file}");
    let error =
        "::error file=scenarios/s.yaml,line=7,title=s#fails%3A It is 100%25 well%2C is it%3A yes::$.text: ";
    assert!(told[0].starts_with(error), "{told:?}");
    assert!(told[1].starts_with("::warning file=scenarios/s.yaml,line=8,title=s#open::"), "{told:?}");
    for (line, step) in told.iter().zip(["fails", "open"]) {
        let evidence = line.rsplit("%0Aevidence: ").next().unwrap();
        assert!(evidence.ends_with(&format!("/s/{step}.json")) && desk.path(evidence).is_file(), "{line}");
    }

    let summary = fs::read_to_string(desk.path("summary.md")).unwrap();
    let markdown = desk.call(&["report", "--format", "markdown"]);
    assert_eq!(markdown.code, Some(1));
    assert_eq!(summary, format!("what was there before\n{}", markdown.stdout));
    assert!(summary.contains("\n# ✗ FAILED\n") && commands(&summary).is_empty(), "{summary}");

    let annotations = desk.call(&["report", "--format", "github"]);
    assert_eq!((annotations.code, annotations.stdout.lines().collect()), (Some(1), told));
    // The reports are the same as anywhere.
    let kinds = desk.files("reports").into_keys().map(|name| name.rsplit('.').next().unwrap().to_owned());
    assert_eq!(kinds.collect::<Vec<_>>(), ["html", "json", "xml"]);
}

#[test]
fn elsewhere_and_for_machines_nothing_is_added() {
    let server = server();
    for github in [None, Some("false"), Some("")] {
        let desk = desk(&server, github);
        let ended = desk.run(&[]);
        failed(&ended);
        assert_eq!(commands(&ended.stdout), [""; 0], "{ended:?}");
        assert!(!desk.path("summary.md").exists());
    }
    let desk = desk(&server, Some("true"));
    let ended = desk.run(&["--format", "jsonl"]);
    failed(&ended);
    assert_eq!(commands(&ended.stdout), [""; 0], "{ended:?}");
    assert!(!desk.path("summary.md").exists());
    let seen: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        seen.iter().any(|line| line.to_string().contains("##[add-mask]e")),
        "nothing is lost of what was seen"
    );
    for format in ["text", "html", "junit", "json", "markdown"] {
        let told = desk.call(&["report", "--format", format]);
        assert_eq!(commands(&told.stdout), [""; 0], "{format}");
    }
}

#[test]
fn what_stands_in_files_is_no_command_either() {
    let mut desk = Desk::new(PROGRAM, &[]);
    desk.set("GITHUB_ACTIONS", "true");
    let quoted = serde_json::to_string(ATTACK).unwrap();
    let good = "steps: [{ id: a, check: { http: { get: 'http://127.0.0.1:1/' } } }]";
    let head = format!("proofmark: v1\ntitle: {quoted}\nclaim: {quoted}\ntags: [{quoted}]\n");
    let named = format!("scenarios/a\n{}\r::x.yaml", ATTACK.replace('/', ""));
    desk.write(&named, format!("{head}{good}\n"));
    for args in [&["list"][..], &["plan"], &["validate"], &["validate", "::error::x"]] {
        let ended = desk.call(args);
        assert_eq!(
            [commands(&ended.stdout), commands(&ended.stderr)],
            [[""; 0], [""; 0]],
            "{args:?}: {ended:?}"
        );
    }
    // In a file's name, in its text, in what the message and the help say of both.
    desk.write(&named, format!("{head}{quoted}: 1\nneeds: [{quoted}]\n{good}\n"));
    desk.write("scenarios/b.yaml", format!("{head}vars: {{ x: {quoted} }}\nsteps: [{{ id: '{{{{ vars.x }}}}', check: {{ command: {{}} }} }}]\n"));
    desk.write(
        "scenarios/c.yaml",
        format!("{head}steps: [{{ id: a, check: {{ http: {{ get: / }} }}, via: {quoted} }}]\n"),
    );
    for args in [&["run"][..], &["validate"], &["run", "--tag", "::error::x"], &["run", "--only", ATTACK]] {
        let ended = desk.call(args);
        assert_eq!((ended.code, commands(&ended.stderr)), (Some(2), vec![]), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("mistake"), "{ended:?}");
    }
    desk.write("scenarios/b.yaml", "");
    desk.write("out\r::error::x", "a file in the way");
    let ended = desk.run(&["--evidence", "out\r::error::x"]);
    assert_eq!(commands(&ended.stderr), [""; 0], "{ended:?}");
}

#[test]
fn a_summary_that_cannot_be_written_is_said_and_changes_no_verdict() {
    let server = server();
    let mut desk = desk(&server, Some("true"));
    desk.set("GITHUB_STEP_SUMMARY", desk.path("no/such/folder.md").to_str().unwrap());
    let ended = desk.run(&["--only", "s#passes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("could not be written"), "{ended:?}");
    assert_eq!(commands(&ended.stdout), [""; 0]);
}

#[test]
fn junit_names_evidence_by_a_path_that_exists() {
    let server = server();
    let desk = desk(&server, None);
    failed(&desk.run(&["--evidence", "kept/here", "--reports", "out"]));
    let (_, xml) = desk
        .files("out")
        .into_iter()
        .find(|(name, _)| Path::new(name).extension().unwrap() == "xml")
        .unwrap();
    let xml = String::from_utf8(xml).unwrap();
    let paths: Vec<&str> = xml.lines().filter_map(|line| line.strip_prefix("evidence: ")).collect();
    assert_eq!(paths.len(), 3, "{xml}");
    for path in paths {
        assert!(path.starts_with("kept/here/") && desk.path(path).is_file(), "{path}");
    }
}
