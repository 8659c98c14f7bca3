//! Every event that can be written reads back unchanged: the judged data is the kept data.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Text as servers may send it, including characters that people do not type.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", "[\"\\\\\n\t\u{0}\u{2028}{}]{0,6}", Just("NaN".to_owned())]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(vec![Verdict::Passed, Verdict::Failed, Verdict::Unverified, Verdict::Skipped])
}

fn code() -> impl Strategy<Value = Option<ErrorCode>> {
    of(select(ErrorCode::TABLE.iter().map(|row| row.0).collect::<Vec<_>>()))
}

fn finding() -> impl Strategy<Value = Finding> {
    (text(), value(), value(), verdict(), of(text()), code()).prop_map(
        |(what, expected, seen, verdict, help, code)| Finding { what, expected, seen, verdict, help, code },
    )
}

fn scenario() -> impl Strategy<Value = ScenarioInfo> {
    (vec(text(), 5), of(text()), vec((text(), of(text())), 0..3), vec(any::<u64>(), 0..3)).prop_map(
        |(mut words, does_not_prove, steps, lines)| {
            let mut word = || words.pop().unwrap_or_default();
            ScenarioInfo {
                id: word(),
                title: word(),
                claim: word(),
                does_not_prove,
                file: word(),
                sha256: word(),
                steps,
                lines,
            }
        },
    )
}

fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..1e9, Just(0.1 + 0.2), Just(f64::MIN_POSITIVE)]
}

fn reverted() -> impl Strategy<Value = Event> {
    (
        (text(), text(), text(), text(), text(), text()),
        verdict(),
        seconds(),
        any::<(u32, u32)>(),
        vec(finding(), 0..3),
    )
        .prop_map(
            |((scenario, step, kind, of, file, sha256), verdict, seconds, (rounds, promise), findings)| {
                Event::Reverted {
                    scenario,
                    step,
                    kind,
                    of,
                    promise,
                    verdict,
                    seconds,
                    rounds,
                    file,
                    sha256,
                    findings,
                }
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    let exit = select(Exit::TABLE.map(|row| row.0).to_vec());
    prop_oneof![
        (text(), vec(scenario(), 0..3)).prop_map(|(run, scenarios)| Event::RunStarted { run, scenarios }),
        text().prop_map(|scenario| Event::ScenarioStarted { scenario }),
        (text(), text(), text()).prop_map(|(scenario, step, kind)| Event::StepStarted {
            scenario,
            step,
            kind
        }),
        (text(), text(), any::<u32>(), verdict(), text(), code()).prop_map(
            |(scenario, step, round, verdict, why, code)| {
                Event::Attempted { scenario, step, round, verdict, why, code }
            }
        ),
        (
            (text(), text(), text(), text(), text()),
            verdict(),
            of(text()),
            seconds(),
            any::<u32>(),
            vec(finding(), 0..3)
        )
            .prop_map(
                |((scenario, step, kind, file, sha256), verdict, reason, seconds, rounds, findings)| {
                    Event::StepEnded {
                        scenario,
                        step,
                        kind,
                        verdict,
                        reason,
                        seconds,
                        rounds,
                        file,
                        sha256,
                        findings,
                    }
                }
            ),
        reverted(),
        (text(), verdict(), of(text()), seconds()).prop_map(|(scenario, verdict, reason, seconds)| {
            Event::ScenarioEnded { scenario, verdict, reason, seconds }
        }),
        text().prop_map(|by| Event::Interrupted { by }),
        (verdict(), exit, vec(text(), 0..3), vec(text(), 0..3), seconds()).prop_map(
            |(verdict, exit, failed, unverified, seconds)| Event::RunEnded {
                verdict,
                exit,
                failed,
                unverified,
                seconds
            }
        ),
    ]
}

/// A new event fails to compile here until the strategy above produces it and its number is counted below.
fn number(event: &Event) -> usize {
    match event {
        Event::RunStarted { .. } => 0,
        Event::ScenarioStarted { .. } => 1,
        Event::StepStarted { .. } => 2,
        Event::Attempted { .. } => 3,
        Event::StepEnded { .. } => 4,
        Event::ScenarioEnded { .. } => 5,
        Event::Interrupted { .. } => 6,
        Event::RunEnded { .. } => 7,
        Event::Reverted { .. } => 8,
    }
}

proptest! {
    #[test]
    fn an_event_is_read_back_as_it_was_written(
        seq in any::<u64>(),
        second in -1_000_000_000_i64..10_000_000_000,
        nano in 0..1_000_000_000_i32,
        event in event(),
    ) {
        let at = Timestamp::new(second, nano).unwrap_or(Timestamp::UNIX_EPOCH);
        let line = Line { seq, at, event };
        let written = serde_json::to_string(&line).unwrap();
        prop_assert!(!written.contains('\n'), "one event is one line");
        let read: Line = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&read, &line);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }
}

#[test]
fn the_strategy_makes_every_event() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let made: std::collections::BTreeSet<usize> =
        (0..500).map(|_| number(&event().new_tree(&mut runner).unwrap().current())).collect();
    assert_eq!(made, (0..9).collect());
}
