//! `try`: one check from the command line, against a real Prometheus and against nothing.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops where it is surprised")]

use assert_cmd::Command;
use fixtures::Prometheus;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

struct Ended {
    exit: i32,
    out: String,
    err: String,
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        fs::create_dir(folder.path().join("here")).unwrap();
        Self { folder }
    }

    fn here(&self) -> std::path::PathBuf {
        self.folder.path().join("here")
    }

    fn program(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::cargo_bin("proofmark").unwrap();
        command.args(arguments).current_dir(self.here()).env("TMPDIR", self.folder.path().join("tmp"));
        let output = command.env_remove("COLUMNS").output().unwrap();
        Ended {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `try …`; nothing is left of it.
    fn tries(&self, arguments: &[&str]) -> Ended {
        let ended = self.program(&[&["try"], arguments].concat());
        for folder in ["tmp", "here"] {
            assert_eq!(names(&self.folder.path().join(folder)), Vec::<String>::new(), "in {folder}");
        }
        ended
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The lines between a heading and the next empty line.
fn below<'t>(text: &'t str, heading: &str) -> &'t str {
    let from = text.find(heading).unwrap_or_else(|| panic!("no `{heading}` in:\n{text}")) + heading.len();
    text[from..].split("\n\n").next().unwrap()
}

#[test]
fn what_it_prints_asks_the_same_in_files() {
    let (bench, real) = (Bench::new(), Prometheus::start(""));
    let url = real.url();
    for query in ["vector(7)", "{__name__=~\"scalar|up\"} or vector(7)", "vector(7) # half: a comment"] {
        let ended = bench.tries(&["prometheus-query", &format!("query={query}"), "--url", &url]);
        assert_eq!(ended.exit, 0, "{query}: {}{}", ended.out, ended.err);
        assert_eq!(ended.err, "");
        assert!(ended.out.starts_with("PASSED  prometheus-query"), "{}", ended.out);
        let seen: Value = serde_json::from_str(below(&ended.out, "seen, as `$`:\n")).unwrap();
        assert_eq!(seen["samples"][0]["value"], 7, "{query}");

        let files = tempfile::tempdir().unwrap();
        let steps = below(&ended.out, "the same in a scenario:\n");
        fs::write(
            files.path().join("s.yaml"),
            format!("proofmark: v1\ntitle: One\nclaim: It is so.\n{steps}\n"),
        )
        .unwrap();
        let connections = below(&ended.out, "and in its environment file:\n");
        fs::write(files.path().join("e.yaml"), format!("proofmark: v1\n{connections}\n")).unwrap();
        let run = Command::cargo_bin("proofmark")
            .unwrap()
            .args(["run", "s.yaml", "--env", "e.yaml"])
            .current_dir(files.path())
            .output()
            .unwrap();
        assert_eq!(
            run.status.code(),
            Some(0),
            "{steps}\n{connections}\n{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
}

#[test]
fn it_exits_as_a_run_does() {
    let (bench, mut real) = (Bench::new(), Prometheus::start(""));
    let url = real.url();
    let failed = bench.tries(&["prometheus-query", "query=vector(7) < 5", "--url", &url]);
    assert_eq!(failed.exit, 1);
    assert!(failed.out.starts_with("FAILED  prometheus-query"), "{}", failed.out);
    assert!(failed.out.contains("at least one sample"), "{}", failed.out);

    let json = bench.tries(&["prometheus-query", "query=vector(7) < 5", "--url", &url, "--json"]);
    let told: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.exit, &told["exit"], &told["verdict"]), (1, &1.into(), &"failed".into()));
    assert_eq!(told["findings"][0]["what"], "at least one sample");
    assert!(told["observation"]["samples"].as_array().unwrap().is_empty());
    assert_eq!(told["requests"].as_array().unwrap().len(), 1);

    let page = bench.tries(&["http", "get=/-/ready", "--url", &url]);
    assert_eq!(page.exit, 0, "{}{}", page.out, page.err);
    assert!(page.out.contains("    via: http\n"), "{}", page.out);

    real.stop();
    let gone = bench.tries(&["prometheus-query", "query=vector(7)", "--url", &url]);
    assert_eq!(gone.exit, 3);
    assert!(gone.out.starts_with("UNVERIFIED  prometheus-query"), "{}", gone.out);
    assert!(gone.out.contains("Connection refused"), "{}", gone.out);
}

#[test]
fn a_mistake_is_told_as_in_a_file() {
    let bench = Bench::new();
    let lines: [&[&str]; 11] = [
        &["prometheus-query", "queery=up", "--url", "http://127.0.0.1:1"],
        &["prometheus-query", "--url", "http://127.0.0.1:1"],
        &["prometheus-query", "query=up"],
        &["prometheus-query", "query=up", "range={ last: soon, step: 1m }", "--url", "http://127.0.0.1:1"],
        &["prometheus-query", "query=up", "query=up", "--url", "http://127.0.0.1:1"],
        &["prometheus-query", "query=up", "--url", "localhost:9090"],
        &["prometheus-qeury", "query=up"],
        &["command", "argv=[ls]"],
        &["http", "method=POST", "url=http://127.0.0.1:1/"],
        &["http", "get=/ready"],
        &["file", "path=/etc/hostname", "--url", "http://127.0.0.1:1"],
    ];
    let mut told = String::new();
    for line in lines {
        let ended = bench.tries(line);
        assert_eq!((ended.exit, ended.out.as_str()), (2, ""), "{line:?}: {}", ended.err);
        let _ = write!(told, "$ proofmark try {}\n{}\n", line.join(" "), ended.err);
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "snapshots/command_line" }, {
        insta::assert_snapshot!("try_mistakes", told);
    });
}

#[test]
fn a_value_cannot_become_another_key() {
    let bench = Bench::new();
    let ended = bench.tries(&["file", "path=/nowhere\n    timeout: 1ms", "--json"]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.exit, 1);
    assert_eq!(told["observation"]["exists"], false);
    assert!(
        told["step"].as_str().unwrap().contains(r#"path: "/nowhere\n    timeout: 1ms""#),
        "{}",
        told["step"]
    );
}

#[test]
fn no_secret_is_shown() {
    let (bench, real) = (Bench::new(), Prometheus::start(""));
    let host = real.url().replace("http://", "");
    let lines: [&[&str]; 3] = [
        &["prometheus-query", "query=vector(7)", "--url", &format!("http://someone:topsecret@{host}")],
        &["http", &format!("get={}/-/ready", real.url()), "headers={ authorization: Bearer topsecret }"],
        &["postgres-query", "sql=select 1", "--url", "postgresql://someone:topsecret@127.0.0.1:1/shop"],
    ];
    for line in lines {
        for line in [line.to_vec(), [line, &["--json"]].concat()] {
            let ended = bench.tries(&line);
            assert!(ended.out.contains("try"), "{line:?}: {}", ended.err);
            assert!(!format!("{}{}", ended.out, ended.err).contains("topsecret"), "{line:?}: {}", ended.out);
        }
    }
}
