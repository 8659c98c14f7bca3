//! The schemas say of the files what the program says of them.

#![expect(clippy::unwrap_used, reason = "a test runs the program on its own input")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn schema(of: &str) -> jsonschema::Validator {
    let output = assert_cmd::Command::cargo_bin("proofmark").unwrap().args(["schema", of]).output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    files.chain(folders.iter().flat_map(|folder| yaml_files(folder))).collect()
}

fn problems(schema: &jsonschema::Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_shipped_scenario_is_valid() {
    let schema = schema("scenario");
    let files = yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios"));
    assert!(files.len() > 2);
    for file in files {
        let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(problems(&schema, &value), [""; 0], "{}", file.display());
    }
}

fn scenario(step: &Value) -> Value {
    json!({ "proofmark": "v1", "title": "t", "claim": "c", "steps": [step] })
}

#[test]
fn a_template_may_stand_wherever_one_is_filled_in() {
    let schema = schema("scenario");
    let t = "{{ vars.x }}";
    let steps = [
        json!({ "id": "a", "check": { "http": { "get": t, "status": t, "max-bytes": t, "tls": { "insecure": t } } } }),
        json!({ "id": "a", "check": { "http": { "get": "/", "status": [t, 200] } } }),
        json!({ "id": "a", "check": { "prometheus-targets": { "job": t, "count": { "min": t } } } }),
        json!({ "id": "a", "check": { "first-of": [{ "prometheus-query": { "query": t, "range": { "last": t, "step": t } } }] } }),
        json!({ "id": "a", "act": { "command": { "argv": ["echo", t] } }, "expect": [
            { "at": "$.exit", "equals": t }, { "at": "$.seconds", "min": t }, { "at": "$.x", "count": { "max": t } },
            { "at": "$.x", "every": { "near": { "value": t, "within": t } } }, { "at": "$.x", "newer-than": t },
        ] }),
    ];
    for step in steps {
        assert_eq!(problems(&schema, &scenario(&step)), [""; 0], "{step}");
    }
}

#[test]
fn a_mistake_is_underlined() {
    let schema = schema("scenario");
    let steps = [
        json!({ "id": "a" }),
        json!({ "id": "a", "check": { "htpp": { "get": "/" } } }),
        json!({ "id": "a", "check": { "http": { "gett": "/" } } }),
        json!({ "id": "a", "check": { "http": { "get": "/" }, "prometheus-targets": {} } }),
        json!({ "id": "a", "check": { "http": { "get": "/" } }, "act": { "command": { "argv": ["x"] } } }),
        json!({ "id": "a", "check": { "command": { "argv": ["x"] } } }),
        json!({ "id": "a", "check": { "prometheus-query": {} } }),
        json!({ "id": "a", "check": { "prometheus-query": { "query": 7 } } }),
        json!({ "id": "a", "check": { "http": { "get": "/" } }, "within": "two minutes" }),
        json!({ "id": "a", "check": { "http": { "get": "/" } }, "expect": [{ "at": "$.x", "min": "much" }] }),
        json!({ "id": "a", "check": { "http": { "get": "/" } }, "expect": [{ "at": "$.x" }] }),
        json!({ "id": "a", "check": { "http": { "get": "/" } }, "expect": [{ "at": "$.x", "min": 1, "max": 2 }] }),
    ];
    for step in steps {
        assert!(!schema.is_valid(&scenario(&step)), "{step}");
    }
    assert!(!schema.is_valid(&json!({ "proofmark": "v2", "title": "t", "claim": "c", "steps": [] })));
}

#[test]
fn environments_are_told_too() {
    let schema = schema("environment");
    let good = json!({ "proofmark": "v1", "forbid": ["destroy"], "connections": {
        "prometheus": { "url": "http://127.0.0.1:9090", "bearer": { "env": "TOKEN" }, "tls": { "insecure": true } },
        "grafana": { "url": { "env": "URL" }, "basic": { "username": "u", "password": { "file": "p" } } },
    } });
    assert_eq!(problems(&schema, &good), [""; 0]);
    for wrong in [
        json!({ "proofmark": "v1", "forbid": ["everything"] }),
        json!({ "proofmark": "v1", "connections": { "a": { "urll": "x" } } }),
        json!({ "proofmark": "v1", "connections": { "a": { "bearer": "in clear" } } }),
    ] {
        assert!(!schema.is_valid(&wrong), "{wrong}");
    }
}
