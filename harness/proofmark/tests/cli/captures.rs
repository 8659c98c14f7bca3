//! Captures through the whole program: their paths may be made of `vars`, and of nothing that is known only later.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use std::fs;
use std::process::Output;

/// Runs a scenario whose first step captures by this path, and whose second wants the captured value to be 12.
fn run(path: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), r#"[{"name": "x", "value": 12}]"#).unwrap();
    let text = format!(
        "proofmark: v1\ntitle: T\nclaim: C\nvars: {{ name: x }}\nsteps:\n\
         - id: first\n  check:\n    file: {{ path: a.json, json: true }}\n  capture: {{ v: \"{path}\", w: \"$.size\" }}\n\
         - id: second\n  check:\n    file: {{ path: a.json, json: true }}\n  expect:\n  \
         - {{ at: \"$.json[0].value\", equals: \"{{{{ captures.v }}}}\" }}\n"
    );
    fs::write(folder.path().join("s.yaml"), text).unwrap();
    assert_cmd::Command::cargo_bin("proofmark")
        .unwrap()
        .current_dir(&folder)
        .args(["run", "s.yaml"])
        .output()
        .unwrap()
}

#[test]
fn a_path_is_filled_in_and_not_replaced_by_a_sample() {
    let ran = run("$.json[?@.name == '{{ vars.name }}'].value");
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[test]
fn a_path_that_is_known_only_later_is_a_mistake() {
    for late in ["$.json[?@.name == '{{ captures.w }}'].value", "$.{{ captures.w }}"] {
        let ran = run(late);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains("names a capture"), "{said}");
    }
}
