//! The suite on made-up kinds: the good ones hold, and each bad one is caught by the rule that is about it.

use super::*;
use crate::testing::{SampleMoment, SampleQuery, registry};
use crate::{CheckKind, Kind, System};
use proofmark_environment::Systems;
use proofmark_model::{Finding, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn made_up_kinds_hold_every_rule() {
    let cases = offline(&registry());
    assert_eq!(cases.len(), OFFLINE.len() * 2);
    for case in cases {
        let name = format!("{case:?}");
        assert_eq!((case.check)(), Ok(()), "{name}");
    }
}

/// What is wrong with a kind is a number, so that one type has every fault.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Bad<const FAULT: u8> {
    /// Written with another name than it is read with, where that is the fault.
    value: Option<String>,
}

/// What it sees.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct BadObservation {
    /// A list.
    list: Vec<Value>,
    undescribed: bool,
}

static TIMES: AtomicU32 = AtomicU32::new(0);

const PASSES_EMPTY: u8 = 1;
const CHANGES_ITS_MIND: u8 = 2;
const WRONG_EXAMPLE: u8 = 3;

impl<const FAULT: u8> Kind for Bad<FAULT> {
    const NAME: &'static str = "bad";
    const EXAMPLE: &'static str =
        if FAULT == WRONG_EXAMPLE { "bad: { value: [text] }" } else { "bad: { value: text }" };
    const JUDGES: &'static str = "Nothing well.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = BadObservation;

    fn judge(&self, seen: &BadObservation, _at: jiff::Timestamp) -> Vec<Finding> {
        let times = if FAULT == CHANGES_ITS_MIND { TIMES.fetch_add(1, Ordering::Relaxed) } else { 0 };
        vec![Finding::judged("list", times, seen.list.len(), FAULT == PASSES_EMPTY)]
    }
}

impl<const FAULT: u8> crate::Check for Bad<FAULT> {
    async fn observe(&self, _cx: &crate::Cx) -> Result<BadObservation, crate::StepError> {
        Ok(BadObservation::default())
    }
}

/// The rules that a kind with this fault breaks.
fn broken_rules<const FAULT: u8>() -> Vec<String> {
    let kinds: &'static [CheckKind] = Box::leak(Box::new([CheckKind::of::<Bad<FAULT>>()]));
    let system = System { name: "bad", checks: kinds, ..System::EMPTY };
    let cases = offline(&Registry::new([&system], &[]));
    let broken = cases.into_iter().map(|case| (case.rule, (case.check)()));
    broken.filter(|(_, held)| held.is_err()).map(|(rule, _)| rule).collect()
}

#[test]
fn each_fault_is_found_by_its_rule() {
    // It takes any setting and any field, and one field has no description.
    let (setting, described) = ("unknown_setting_is_a_mistake", "settings_and_observation_are_described");
    let unreadable = "unreadable_observation_is_undecided";
    assert_eq!(broken_rules::<0>(), [setting, described, unreadable]);
    let empty = ["empty_observation_never_passes", "no_observation_never_passes"];
    assert_eq!(broken_rules::<PASSES_EMPTY>(), [setting, described, empty[0], empty[1], unreadable]);
    assert_eq!(
        broken_rules::<CHANGES_ITS_MIND>(),
        [setting, described, unreadable, "same_observation_gives_same_findings"]
    );
    assert!(broken_rules::<WRONG_EXAMPLE>().contains(&"example_comes_back".to_owned()));
}

/// A record of a step that saw this and concluded that.
fn record(seen: Value, findings: Vec<Finding>) -> (String, proofmark_model::StepRecord) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut record = proofmark_model::StepRecord::begun("s", "a", SampleQuery::NAME.into(), now);
    record.rules.insert(SampleQuery::NAME.into(), SampleQuery::RULES);
    record.settings = json!({ "query": "up" });
    record.observation = seen;
    record.verdict = Verdict::fold(findings.iter().map(|finding| finding.verdict));
    record.findings = findings;
    let attempt = json!({ "round": 1, "at": now, "seconds": 0.0, "same-as": -1, "verdict": "failed" });
    record.attempts = vec![serde_json::from_value(attempt).unwrap()];
    ("s/a.json".to_owned(), record)
}

#[test]
fn a_kept_observation_is_judged_as_it_was_or_told() {
    let registry = Registry::new([&System { acts: &[], ..crate::testing::SYSTEM }], &[]);
    let held = |records, missing| kept(&registry, records, missing).into_iter().map(|case| (case.check)());
    let seen = json!({ "samples": [], "warnings": [] });
    let check = registry.check_of(SampleQuery::NAME, &json!({ "query": "up" })).unwrap();
    let findings = check.judge(&seen, jiff::Timestamp::UNIX_EPOCH);
    let good = record(seen.clone(), findings.clone());
    assert!(held(vec![good.clone()], &[]).all(|held| held.is_ok()));
    assert!(held(vec![good], &["sample-query"]).all(|held| held.is_err()), "the list shrinks");
    assert!(held(vec![], &[]).all(|held| held.unwrap_err().contains("no observation of `sample-query`")));
    assert!(held(vec![], &["sample-query"]).all(|held| held.is_ok()));
    let mut other = findings;
    other[0].seen = json!(7);
    assert!(held(vec![record(seen, other)], &[]).all(|held| held.unwrap_err().contains("concluded")));
}

fn ways(verdict: Verdict) -> Vec<Broken> {
    let probe = move |_: &KindInfo| {
        let mut record = record(json!({}), vec![Finding::undecided("it answered", "an answer", "none")]).1;
        record.verdict = verdict;
        Ok(Some(record))
    };
    vec![Broken { rule: "unreachable_is_unverified", probe: Box::new(probe) }]
}

#[test]
fn a_step_that_asked_nothing_shows_nothing() {
    let held = |code: Value| {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let attempt = json!({ "round": 1, "at": at, "seconds": 0.0, "verdict": "unverified", "error": "no", "code": code });
        let probe = move |_: &KindInfo| {
            let mut record =
                record(Value::Null, vec![Finding::undecided("it answered", "an answer", "no")]).1;
            record.attempts = vec![serde_json::from_value(attempt.clone()).unwrap()];
            Ok(Some(record))
        };
        let way = Broken { rule: "unreachable_is_unverified", probe: Box::new(probe) };
        (broken(&registry(), vec![way], &[]).remove(0).check)()
    };
    assert_eq!(held(json!("unreachable")), Ok(()));
    assert!(held(json!("missing-connection")).unwrap_err().contains("nothing was asked"));
    assert!(held(Value::Null).unwrap_err().contains("without a code"));
}

#[test]
fn what_could_not_look_is_unverified_or_an_exception() {
    const EXCEPTION: &[Exception] = &[Exception {
        kind: "sample-query",
        rule: "unreachable_is_unverified",
        verdict: Verdict::Failed,
        reason: "it is made up",
    }];
    let held = |verdict, exceptions| {
        let mut cases = broken(&registry(), ways(verdict), exceptions);
        assert_eq!(cases.len(), 1, "checks only");
        (cases.remove(0).check)()
    };
    assert_eq!(held(Verdict::Unverified, &[]), Ok(()));
    assert!(held(Verdict::Passed, &[]).is_err() && held(Verdict::Failed, &[]).is_err());
    assert_eq!(held(Verdict::Failed, EXCEPTION), Ok(()));
    assert!(held(Verdict::Unverified, EXCEPTION).is_err(), "an exception that is not needed");
}

#[test]
fn the_emptiest_observations_follow_the_schema() {
    let schema = json!({
        "type": "object", "required": ["list", "kind", "at", "part", "number"],
        "properties": {
            "list": { "type": "array", "items": { "type": "string" } },
            "kind": { "enum": ["good", "bad"] },
            "at": { "type": "string", "format": "date-time" },
            "part": { "$ref": "#/$defs/Part" },
            "number": { "type": ["integer", "null"] },
            "more": { "type": "string" },
        },
        "$defs": { "Part": { "type": "object", "additionalProperties": true } },
    });
    let least =
        json!({ "list": [], "kind": "good", "at": "1970-01-01T00:00:00Z", "part": {}, "number": null });
    let mut more = least.clone();
    more["more"] = json!("");
    let made = empty_observations(&schema).unwrap();
    assert_eq!(made.len(), 6, "each word, without the field that may be left out and with two texts in it");
    assert!(made.contains(&least) && made.contains(&more));
    assert!(empty_observations(&json!({ "$ref": "#" })).unwrap_err().contains("without an end"));
}

/// The file that the made-up act changes.
struct Switch<'a>(&'a Path);

impl Switch<'_> {
    fn path(&self) -> String {
        self.0.join("switch.txt").display().to_string()
    }
}

impl Mortal for Switch<'_> {
    fn stops_at(&self, moments: &[&str]) -> String {
        json!({ "sample-change": { "path": self.path(), "text": "on", "stops": moments } }).to_string()
    }

    fn has_stopped(&self, moment: &str) -> bool {
        let at = SampleMoment::ALL.into_iter().find(|it| json!(it) == moment).unwrap();
        Path::new(&at.mark(&self.path())).exists()
    }

    fn is_back(&self) -> bool {
        std::fs::read_to_string(self.path()).is_ok_and(|text| text == "off")
    }
}

/// Runs the made-up act dead at these moments.
async fn killed_at(moments: &[&str]) -> Held {
    let folder = tempfile::tempdir().unwrap();
    let switch = Switch(folder.path());
    #[expect(clippy::disallowed_methods, reason = "this file is the system that is changed")]
    std::fs::write(switch.path(), "off").unwrap();
    let registry = registry();
    let kind = *registry.kind("sample-change", true).unwrap();
    let evidence = folder.path().join("evidence");
    survives_death((&registry, &kind), Arc::new(Systems::default()), &evidence, (&switch, moments)).await
}

#[tokio::test]
async fn an_act_survives_death_at_every_moment() {
    for moment in ["promised", "changed", "observed", "reverting", "reverted"] {
        assert_eq!(killed_at(&[moment]).await, Ok(()), "{moment}");
    }
    for first in ["promised", "changed", "observed"] {
        let all = [first, "reverting", "reverted"];
        assert_eq!(killed_at(&all).await, Ok(()), "{all:?}: so do its recoveries");
    }
}

#[tokio::test]
async fn a_death_that_does_not_come_is_told() {
    let twice = killed_at(&["changed", "observed"]).await;
    assert!(twice.unwrap_err().contains("it ended before `observed`"), "a recovery does not look again");
}
