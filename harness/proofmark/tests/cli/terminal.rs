//! What a run writes on a terminal and elsewhere: a live table only where people look, and nothing of it left behind.
//!
//! `script` of util-linux gives the program a terminal; `vt100` shows what would stand on it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops where it is surprised")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A scenario with a step that nobody will ever answer, polled for this long.
fn scenario(within: &str) -> (TempDir, PathBuf) {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.yaml");
    let text = format!(
        "proofmark: v1\ntitle: One\nclaim: One.\nsteps:\n  - id: polled\n    check: {{ http: {{ get: \"http://{nobody}/\" }} }}\n    within: {within}\n    every: 100ms\n"
    );
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// The program on a terminal of 30 lines and 100 columns.
fn on_a_terminal(within: &str, more: &str, env: &[(&str, &str)]) -> (TempDir, Child) {
    let (folder, path) = scenario(within);
    let program = env!("CARGO_BIN_EXE_proofmark");
    let line = format!("stty rows 30 cols 100; exec {program} run {} {more}", path.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(folder.path());
    for name in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    (folder, command.spawn().unwrap())
}

fn written(within: &str, more: &str, env: &[(&str, &str)]) -> String {
    let (_folder, mut child) = on_a_terminal(within, more, env);
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.wait().unwrap();
    String::from_utf8(out).unwrap()
}

/// What stands on the terminal in the end.
fn screen(written: &str) -> String {
    let mut terminal = vt100::Parser::new(30, 100, 1000);
    terminal.process(written.as_bytes());
    terminal.screen().contents()
}

/// Does a row of the table stand in this text?
fn has_a_row(text: &str) -> bool {
    text.contains("not yet:") || text.chars().any(|c| "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏".contains(c))
}

const ERASES: &str = "\u{1b}[2K";

#[test]
fn on_a_terminal_the_table_comes_and_goes() {
    let written = written("1s", "", &[]);
    assert!(written.contains(ERASES) && has_a_row(&written), "{written}");
    assert!(written.contains(", not yet: the system answered"), "{written}");
    assert!(written.contains("\u{1b}[33m"), "{written}");
    let screen = screen(&written);
    assert!(screen.starts_with("  ? one#polled"), "{screen}");
    assert!(screen.contains("\nUNVERIFIED  1 of 1 step"), "{screen}");
    assert!(!has_a_row(&screen), "{screen}");
}

#[test]
fn no_color_leaves_the_table_without_colours() {
    let written = written("1s", "", &[("NO_COLOR", "1")]);
    assert!(written.contains(ERASES) && has_a_row(&written), "{written}");
    let codes = written
        .split("\u{1b}[")
        .skip(1)
        .filter_map(|rest| rest.find(char::is_alphabetic).map(|at| &rest[..=at]));
    let colours: Vec<&str> = codes.filter(|code| code.ends_with('m')).collect();
    assert_eq!(colours, [] as [&str; 0]);
}

#[test]
fn where_nobody_looks_lines_are_plain() {
    for env in [("TERM", "dumb"), ("CI", "true")] {
        let written = written("300ms", "", &[env]);
        assert!(!written.contains(ERASES) && !has_a_row(&written), "{env:?}: {written}");
        assert!(written.contains("one#polled"), "{env:?}: {written}");
    }
    let (folder, path) = scenario("300ms");
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark"))
        .arg("run")
        .arg(path)
        .current_dir(folder.path())
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.is_empty() && !text.contains(&0x1b), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn jsonl_is_nothing_but_events_also_on_a_terminal() {
    let written = written("300ms", "--format jsonl", &[]);
    let events: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert_eq!(events.first().unwrap()["event"], "run-started");
    assert_eq!(events.last().unwrap()["event"], "run-ended");
    assert_eq!(events.last().unwrap()["exit"], 3);
}

#[test]
fn ctrl_c_leaves_the_terminal_clean() {
    let (_folder, mut child) = on_a_terminal("5m", "", &[]);
    let mut stdout = child.stdout.take().unwrap();
    let (mut written, mut part) = (String::new(), [0; 4096]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut asked = false;
    loop {
        let read = stdout.read(&mut part).unwrap();
        if read == 0 {
            break;
        }
        written.push_str(&String::from_utf8_lossy(&part[..read]));
        if written.contains("round 2") && !asked {
            child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
            asked = true;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it did not end: {written}");
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{written}");
    let screen = screen(&written);
    assert!(!has_a_row(&screen.replace("last attempt said", "")), "{screen}");
    assert!(screen.contains("Interrupted by SIGINT"), "{screen}");
    let hidden = written.matches("\u{1b}[?25l").count();
    assert_eq!(hidden, written.matches("\u{1b}[?25h").count(), "the cursor is shown again");
}
