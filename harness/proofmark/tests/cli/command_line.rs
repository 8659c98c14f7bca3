//! What the program says of itself, and of files that are well: the help texts, `validate`, `list` and `plan`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use std::fs;
use std::path::Path;

/// What the command line prints to standard output, with nothing on standard error but `told`.
fn says(folder: &Path, line: &str, told: &str) -> String {
    let output = assert_cmd::Command::cargo_bin("proofmark")
        .unwrap()
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_remove("PROOFMARK_OPERATOR")
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), told, "{line}");
    assert_eq!(output.status.code(), Some(0), "{line}");
    format!("$ proofmark {line}\n{}", String::from_utf8(output.stdout).unwrap())
}

fn keep(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "snapshots/command_line" }, {
        insta::assert_snapshot!(name, text);
    });
}

/// The names below `Commands:` in a help text.
fn commands(text: &str) -> Vec<&str> {
    let listed =
        text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description that goes on stands deeper.
    let names =
        listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn help_of_every_command() {
    let here = Path::new(".");
    keep("help", &says(here, "--help", ""));
    let all = says(here, "help", "");
    let all = commands(&all);
    assert!(all.len() > 6, "{all:?}");
    for command in all {
        let text = says(here, &format!("{command} --help"), "");
        assert!(text.contains("\nExample"), "the help of {command} has no example");
        keep(&format!("help_{command}"), &text);
        for below in commands(&text) {
            let text = says(here, &format!("{command} {below} --help"), "");
            assert!(text.contains("\nExample"), "the help of {command} {below} has no example");
            keep(&format!("help_{command}_{below}"), &text);
        }
    }
}

/// Two scenarios in an order that is not that of their names, with a check of several candidates, and an act.
const FILES: [(&str, &str); 3] = [
    (
        "scenarios/shop/a-orders.yaml",
        "\
proofmark: v1
title: The shop takes orders
claim: New orders come in.
tags: [shop, wave1]
needs: [shop/z-targets]
vars: { path: /ready }
steps:
  - id: ready
    check: { http: { get: '{{ vars.path }}' } }
    via: shop
  - id: orders
    check: { first-of: [{ prometheus-query: { query: orders_total } }, { prometheus-query: { query: orders } }] }
    via: long-term
    within: 2m
    hold: 10s
    capture: { orders: '$.samples[0].value' }
  - id: tidy
    act: { command: { script: 'echo {{ captures.orders }}' } }
",
    ),
    (
        "scenarios/shop/z-targets.yaml",
        "\
proofmark: v1
title: The shop is scraped
claim: Prometheus sees it.
steps:
  - id: target
    check: { prometheus-targets: { job: shop } }
",
    ),
    (
        "environment.yaml",
        "\
proofmark: v1
connections:
  prometheus: { url: 'http://127.0.0.1:9' }
  long-term: { url: 'http://127.0.0.1:9' }
  shop: { url: 'http://127.0.0.1:9' }
",
    ),
];

#[test]
fn what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let says = |line| says(folder.path(), line, "");
    keep("validate", &says("validate --env environment.yaml"));
    keep("list", &says("list"));
    keep("plan", &says("plan --env environment.yaml"));
    keep("plan_without_environment", &says("plan"));
    keep("plan_of_one_step", &says("plan --env environment.yaml --only shop/a-orders#tidy"));
    fs::write(folder.path().join("strict.yaml"), FILES[2].1.to_owned() + "forbid: [exec]\n").unwrap();
    keep("plan_where_it_is_forbidden", &says("plan --env strict.yaml --tag shop"));
}

#[test]
fn validate_without_an_environment_says_what_it_did_not_look_at() {
    let told = "no environment was given (`--env FILE`), so the names of connections were not looked up\n";
    let text = says(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), "validate scenarios/demo", told);
    assert_eq!(text, "$ proofmark validate scenarios/demo\nvalid: 5 scenarios, 16 steps\n");
}
