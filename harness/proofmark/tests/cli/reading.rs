//! Whatever stands in a file, reading it ends in a plan or in mistakes that can be shown, and never in a panic. What the
//! program documents as an example is read.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use proofmark::kinds::{registry, vocabulary};
use proofmark_engine::scenario::{Plan, Selection, plan};
use proofmark_environment::Environment;
use proofmark_model::diag::Diag;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Map;
use std::fs;
use std::path::Path;

const SCENARIO: &str = "\
proofmark: v1
title: Velero metrics are scraped
claim: A failed Velero backup shows in Prometheus.
does-not-prove: That a Velero backup can be restored.
tags: [phase5, wave1]
vars: { job: velero, status: 200 }
steps:
  - id: target
    title: The Velero target is up
    check:
      prometheus-targets: { job: \"{{ vars.job }}\" }
    within: 2m
    evidence: targets.json
  - id: attempts
    check:
      first-of:
        - prometheus-query: { query: velero_backup_attempt_total }
        - prometheus-query: { query: '{__name__=~\"velero_.*attempt_total\"}', range: { last: 1h, step: 1m } }
    expect:
      - { at: \"$.samples\", count: { min: 1 } }
      - { at: \"$.samples[*].value\", every: { near: { value: 3, within: 5% } } }
    capture: { first: \"$.samples[0].value\" }
  - id: page
    check: { http: { get: /healthz, status: \"{{ vars.status }}\", headers: { accept: text/plain } } }
    via: api
    control: attempts
    expect:
      - { at: $.json.ready, not: { equals: \"{{ captures.first }}\" } }
  - id: clean
    act:
      command: { argv: [echo, done] }
    timeout: 10s
";

const ENVIRONMENT: &str = "\
proofmark: v1
connections:
  prometheus:
    url: { env: PROMETHEUS }
    basic: { username: admin, password: { file: secrets/password } }
    tls: { ca: ca.pem, server-name: prometheus, insecure: false }
  api: { url: \"http://127.0.0.1:8080\", bearer: { command: [cat, token] }, headers: { x-team: shop } }
forbid: [destroy]
";

/// What people and their editors leave in a file.
const LITTER: &[&str] = &[
    "{{",
    "}}",
    "{{ vars.job }}",
    "{{ captures.x }}",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    ",",
    "\"",
    "'",
    "\n",
    "  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "!!int ",
    "|",
    ">",
    "---\n",
    "...\n",
    "<<: ",
    "~",
    "yes",
    "0x1F",
    "1e999",
    ".nan",
    "-1",
    "2m",
    "é",
    "🦀",
    "\u{feff}",
    "\0",
    "\r",
    "\u{2028}",
    "$..",
    "(?",
    "id: target",
    "steps:",
    "99999999999999999999",
];

fn read(text: &[u8]) -> Result<Plan, Vec<Diag>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    fs::write(&path, text).unwrap();
    plan(&Selection { paths: vec![path], ..Selection::default() }, &Map::new(), registry())
}

fn load(text: &[u8]) -> Result<Environment, Vec<Diag>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("environment.yaml");
    fs::write(&path, text).unwrap();
    Environment::load(&path, vocabulary())
}

/// Every mistake says what is wrong and how to mend it, and stands at a place that the file has.
fn shown<T>(read: Result<T, Vec<Diag>>) -> Result<(), TestCaseError> {
    let Err(wrong) = read else { return Ok(()) };
    prop_assert!(!wrong.is_empty());
    for diag in wrong {
        prop_assert!(
            !diag.message.is_empty() && diag.help.as_ref().is_some_and(|help| !help.is_empty()),
            "{diag:?}"
        );
        let place = diag.place.as_ref();
        prop_assert!(place.is_some(), "{diag:?}");
        let place = place.unwrap();
        if place.line > 0 {
            let line = place.source.lines().nth(usize::try_from(place.line).unwrap() - 1);
            prop_assert!(line.is_some(), "no line {}: {}", place.line, diag.message);
            let line = line.unwrap();
            let columns = line.chars().count() as u64 + 1;
            prop_assert!((1..=columns).contains(&place.column), "{place} of {columns}: {}", diag.message);
        }
        let rendered = diag.render(false);
        prop_assert!(rendered.contains(&place.source.path), "{rendered}");
    }
    Ok(())
}

/// One way to spoil a text, at a place in it.
#[derive(Debug, Clone)]
enum Spoil {
    Insert(Index, &'static str),
    Remove(Index, usize),
    Double(Index),
    Drop(Index),
    Move(Index, Index),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        (any::<Index>(), select(LITTER)).prop_map(|(at, litter)| Spoil::Insert(at, litter)),
        (any::<Index>(), 1..12_usize).prop_map(|(at, length)| Spoil::Remove(at, length)),
        any::<Index>().prop_map(Spoil::Double),
        any::<Index>().prop_map(Spoil::Drop),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoil::Move(from, to)),
    ]
}

impl Spoil {
    fn on(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let mut chars: Vec<char> = text.chars().collect();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        match self {
            Spoil::Insert(at, litter) => {
                let at = at.index(chars.len());
                chars.splice(at..at, litter.chars());
                return chars.into_iter().collect();
            }
            Spoil::Remove(at, length) => {
                let at = at.index(chars.len());
                chars.drain(at..(at + length).min(chars.len()));
                return chars.into_iter().collect();
            }
            Spoil::Double(at) => lines.insert(at.index(lines.len()), lines[at.index(lines.len())]),
            Spoil::Drop(at) => drop(lines.remove(at.index(lines.len()))),
            Spoil::Move(from, to) => {
                let (from, to) = (from.index(lines.len()), to.index(lines.len()));
                lines.swap(from, to);
            }
        }
        lines.concat()
    }
}

fn spoilt(text: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(spoil(), 1..5)
        .prop_map(|spoils| spoils.iter().fold(text.to_owned(), |text, s| s.on(&text)))
}

#[test]
fn what_is_spoilt_below_is_well() {
    assert_eq!(read(SCENARIO.as_bytes()).unwrap().steps().count(), 4);
    assert_eq!(load(ENVIRONMENT.as_bytes()).unwrap().names().count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        shown(read(&bytes))?;
        shown(load(&bytes))?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC|[\n\t {}\\[\\]:,'\"&*|>#!%@`-]){0,120}") {
        shown(read(text.as_bytes()))?;
        shown(load(text.as_bytes()))?;
    }

    #[test]
    fn a_spoilt_scenario_is_read_or_refused(text in spoilt(SCENARIO)) {
        shown(read(text.as_bytes()))?;
    }

    #[test]
    fn a_spoilt_environment_is_read_or_refused(text in spoilt(ENVIRONMENT)) {
        shown(load(text.as_bytes()))?;
    }
}

#[test]
fn the_example_of_every_kind_is_planned() {
    let checks = registry().list(false).map(|kind| ("check", kind));
    let acts = registry().list(true).map(|kind| ("act", kind));
    for (key, kind) in checks.chain(acts) {
        let head = "proofmark: v1\ntitle: An example\nclaim: It is read.\nsteps:\n  - id: example\n";
        let example = kind.example.replace('\n', "\n      ");
        let text = format!("{head}    {key}:\n      {example}\n");
        let plan = read(text.as_bytes()).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", kind.name));
        let (_, step) = plan.steps().next().unwrap();
        assert_eq!(step.kinds[0].name, kind.name);
    }
}

#[test]
fn every_shipped_scenario_is_planned() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let plan =
        plan(&Selection { paths: vec![shipped], ..Selection::default() }, &Map::new(), registry()).unwrap();
    assert_ne!(plan.steps().count(), 0);
}
