//! Every program that Proofmark starts is an exchange in the evidence, without passwords, and is started in one place.

#![expect(clippy::disallowed_methods, reason = "a test puts a program of its own before those of PATH")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups::{BACKUP, DRILL, desk, server, store};
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use fixtures::Desk;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The only files of the product that start a program, and why each of them may.
const STARTERS: [(&str, &str); 6] = [
    ("net/src/command/process.rs", "the runner: what it starts is an exchange"),
    ("lab/src/process.rs", "the servers of the lab are no evidence"),
    ("lab/src/volume.rs", "the servers of the lab are no evidence"),
    ("lab/src/postgres.rs", "the servers of the lab are no evidence"),
    ("lab/src/minio.rs", "the servers of the lab are no evidence"),
    ("proofmark/src/cli/demo.rs", "it starts Proofmark itself, which keeps evidence of its own"),
];

/// The password as it is in a URL.
const ENCODED: &str = "top%2Fsecret";

/// Does this code start programs, or could it?
fn starts_programs(text: &str) -> bool {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let imported = code.split("process::{").skip(1).filter_map(|rest| rest.split('}').next());
    ["Command::new(", "process::Command"].iter().any(|word| code.contains(word))
        || imported.into_iter().any(|names| names.split(',').any(|name| name.trim().starts_with("Command")))
}

fn gather(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, root, found);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("tests.rs")
            && starts_programs(&fs::read_to_string(&path).unwrap())
        {
            found.insert(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

#[test]
fn programs_are_started_in_one_place() {
    for code in [
        "use std::process::Command;",
        "use tokio::process::{Child, Command as Process};",
        "let child = tokio::process::Command::from(other);",
        "Command::new(name)",
    ] {
        assert!(starts_programs(code), "{code}");
    }
    for code in ["// Command::new(", "use std::process::{ExitCode, Stdio};", "std::process::id()"] {
        assert!(!starts_programs(code), "{code}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut found, mut crates) = (BTreeSet::new(), 0);
    for parent in [root.to_owned(), root.join("systems")] {
        for entry in fs::read_dir(parent).unwrap() {
            let sources = entry.unwrap().path().join("src");
            if sources.is_dir() {
                crates += 1;
                gather(&sources, root, &mut found);
            }
        }
    }
    assert!(crates >= 13, "the sources were found");
    assert_eq!(found, STARTERS.map(|(file, _)| file.to_owned()).into(), "see `proofmark_net::command`");
}

/// The exchanges of all attempts at a step of the newest run that started a program: command lines and exit statuses.
fn programs(desk: &Desk, step: &str) -> Vec<(String, Option<i64>)> {
    let kept = desk.kept(step);
    let attempts = kept["attempts"].as_array().unwrap().iter();
    let exchanges = attempts.flat_map(|attempt| attempt["requests"].as_array().cloned().unwrap_or_default());
    lines(&exchanges.collect::<Vec<_>>())
}

fn lines(exchanges: &[Value]) -> Vec<(String, Option<i64>)> {
    let started = exchanges.iter().filter(|exchange| exchange["method"] == "exec");
    started.map(|one| (one["target"].as_str().unwrap().to_owned(), one["status"].as_i64())).collect()
}

/// One that ended well has these words in its command line, after the path of the program.
fn assert_ran(programs: &[(String, Option<i64>)], program: &str, words: &str) {
    let is = |line: &str| {
        line.split(' ').next().is_some_and(|path| Path::new(path).ends_with(program)) && line.contains(words)
    };
    let ran = programs.iter().any(|(line, status)| is(line) && *status == Some(0));
    assert!(ran, "{program} {words}: {programs:#?}");
}

/// What ran before the first step of the newest run.
fn programs_of_run(desk: &Desk) -> Vec<Value> {
    let run: Value = serde_json::from_slice(&desk.files(&desk.newest())["run.json"]).unwrap();
    run["programs"].as_array().unwrap().clone()
}

fn small() -> Postgres {
    server("CREATE TABLE bookings AS SELECT n AS id FROM generate_series(1, 20) n")
}

fn no_password(desk: &Desk) {
    desk.tells_none_of(&[POSTGRES_PASSWORD, ENCODED]);
}

#[test]
fn the_programs_of_a_backup_and_of_a_drill_are_exchanges() {
    let server = small();
    let desk = desk(&server);
    desk.scenario("s", "", &format!("{BACKUP}{DRILL}"));
    desk.runs("change", 0);
    let made = programs(&desk, "s/backup");
    assert_ran(&made, "pg_dump", "--version");
    assert_ran(&made, "pg_dump", "--snapshot=");
    assert_ran(&made, "pg_restore", "--version");
    assert_ran(&made, "pg_restore", "-f -");
    let drilled = programs(&desk, "s/drill");
    assert_ran(&drilled, "pg_restore", "--version");
    assert_ran(&drilled, "pg_restore", "--exit-on-error");
    no_password(&desk);

    // What psql restores has a command line of its own.
    let plain = crate::ground::backups::dump(&server, "pg_dump", &[&server.name("app")]);
    store(&desk, &[("app.sql".to_owned(), plain)].into());
    desk.scenario("s", "", DRILL);
    desk.runs("change", 0);
    let drilled = programs(&desk, "s/drill");
    assert_ran(&drilled, "psql", "--version");
    assert_ran(&drilled, "psql", "--set=ON_ERROR_STOP=1");
    no_password(&desk);
}

#[test]
fn the_program_docker_is_an_exchange() {
    let server = small();
    let mut desk = desk(&server);
    // The container is this machine: the words after its name are run here.
    desk.program(
        "bin/docker",
        "#!/bin/sh\nwhile [ \"$1\" != here ]; do [ $# -gt 0 ] || exit 9; shift; done; shift\nexec \"$@\"\n",
    );
    let path = std::env::var("PATH").unwrap();
    desk.set("PATH", &format!("{}:{path}", desk.path("bin").display()));
    desk.scenario("s", "", "  - { id: backup, act: { backup: { container: here } } }\n");
    desk.runs("change", 0);
    let made = programs(&desk, "s/backup");
    assert_ran(&made, "docker", "exec here pg_dump --version");
    assert_ran(&made, "docker", "-e PGPASSWORD ");
    assert_ran(&made, "docker", "here pg_dump --snapshot=");
    no_password(&desk);

    // One that refuses is an exchange too, with its exit status.
    desk.program("bin/docker", "#!/bin/sh\necho 'Error: No such container: here' >&2; exit 1\n");
    desk.runs("change", 1);
    let refused = ("docker exec here pg_dump --version".to_owned(), Some(1));
    assert!(programs(&desk, "s/backup").contains(&refused), "{:?}", programs(&desk, "s/backup"));
}

/// Runs git in the desk's folder, without anything of the user's.
fn git(desk: &Desk, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-C"]).arg(desk.path("")).args(words);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn git_is_an_exchange_of_a_run_in_a_checkout() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    git(&desk, &["init", "--quiet"]);
    desk.scenario("s", "", "  - { id: yes, act: { command: { argv: ['true'] } } }\n");
    git(&desk, &["add", "."]);
    git(&desk, &["commit", "--quiet", "--message", "Add a scenario"]);
    desk.runs("exec", 0);
    let run: Value = serde_json::from_slice(&desk.files(&desk.newest())["run.json"]).unwrap();
    assert_eq!(run["commit"], git(&desk, &["rev-parse", "HEAD"]));
    let programs = programs_of_run(&desk);
    assert_ran(&lines(&programs), "git", "rev-parse HEAD");
    assert_eq!((programs.len(), &programs[0]["bytes"]), (1, &Value::from(41)));
    assert!(programs[0]["sha256"].is_string());
}

#[test]
fn a_command_for_a_secret_is_an_exchange_without_its_output() {
    let server = small();
    let desk = desk(&server);
    let url = server.url("app");
    desk.program("bin/url", &format!("#!/bin/sh\necho '{url}'\n"));
    desk.write(
        "environment.yaml",
        "proofmark: v1\nconnections:\n  postgres: { url: { command: [bin/url, --of, app] } }\n",
    );
    // A step whose command line holds the password is masked like any other.
    let said = format!("  - {{ id: said, act: {{ command: {{ argv: [echo, '{POSTGRES_PASSWORD}'] }} }} }}\n");
    desk.scenario(
        "s",
        "",
        &format!("  - {{ id: one, check: {{ postgres-query: {{ sql: SELECT 1 AS one }} }} }}\n{said}"),
    );
    desk.runs("exec", 0);
    let programs = programs_of_run(&desk);
    let secret = programs.iter().find(|one| one["target"] == "bin/url --of app").unwrap();
    assert_eq!((&secret["status"], &secret["bytes"]), (&Value::from(0), &Value::from(0)));
    assert!(secret.get("sha256").is_none(), "{secret}");
    let said = self::programs(&desk, "s/said");
    assert_ran(&said, "echo", "");
    assert!(!said[0].0.contains(POSTGRES_PASSWORD), "{said:?}");
    no_password(&desk);
}
