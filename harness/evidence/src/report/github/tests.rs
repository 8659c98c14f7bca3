//! Properties of the workflow commands and the summary.

use super::super::{Format, fold, render as rendered, sample};
use super::*;
use proofmark_model::{Event, Exit, Finding};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn each_step_that_did_not_pass_stands_at_its_line() {
    insta::assert_snapshot!(render(&sample::failed()), @r#"
    ::error file=scenarios/phase5/velero-metrics.yaml,line=4,title=phase5/velero-metrics#target%3A The Velero target is up::every target is up: expected up, seen {"health":"down","instance":"10.0.0.7:8085","job":"velero","last-error":"connection refused"}%0Ahelp: Look at the target's last error: `kubectl -n velero get endpoints velero` shows where it points.%0Aevidence: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/target.json
    ::warning file=scenarios/phase5/velero-metrics.yaml,line=8,title=phase5/velero-metrics#attempts%3A Attempts are counted::at least one sample, not decided: a masked value cannot be compared%0Ahelp: Except the key `attempts` from masking.%0Aevidence: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/attempts.json
    "#);
}

#[test]
fn an_incomplete_run_says_so() {
    insta::assert_snapshot!(render(&sample::incomplete()), @r#"
    ::error title=proofmark%3A The run is incomplete%3A its end%2C or part of its events%2C is missing.::exit 3: the run is incomplete; safe to run again: yes
    ::warning file=scenarios/phase5/velero-metrics.yaml,line=4,title=phase5/velero-metrics#target%3A The Velero target is up::began and did not end; the last attempt said: every target is up
    ::warning file=scenarios/phase5/velero-metrics.yaml,line=8,title=phase5/velero-metrics#attempts%3A Attempts are counted::not reached
    ::warning file=scenarios/phase5/velero-metrics.yaml,line=12,title=phase5/velero-metrics#silence%3A A silence::not reached
    ::warning file=scenarios/phase5/rules.yaml,line=4,title=phase5/rules#rules%3A The rules are read::not reached
    ::warning file=scenarios/phase5/drill.yaml,line=4,title=phase5/drill#drill%3A Drill::not reached
    "#);
}

#[test]
fn a_run_that_passed_is_silent_unless_it_owes_something() {
    assert_eq!(render(&sample::passed()), "");
    let owed = render(&Report { exit: Exit::Owed, ..sample::passed() });
    let commands: Vec<_> = owed.lines().map(|line| command(line).unwrap()).collect();
    assert_eq!(commands.len(), 1);
    assert!(commands[0].data.starts_with("exit 4"), "{owed}");
}

#[test]
fn a_scenario_that_is_worse_than_its_steps_is_told() {
    let mut report = sample::passed();
    report.verdict = Verdict::Failed;
    report.scenarios[0].verdict = Verdict::Failed;
    report.scenarios[0].reason = Some("the world did not come back".to_owned());
    let told = render(&report);
    assert_eq!(told.lines().count(), 1);
    assert_eq!(command(told.trim_end()).unwrap().data, "the world did not come back");
}

#[test]
fn a_run_that_is_worse_than_what_it_looked_at_says_so_first() {
    let told = render(&Report { exit: Exit::Owed, ..many(30) });
    let errors: Vec<_> = told.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(errors.len(), SHOWN);
    assert!(command(errors[0]).unwrap().data.starts_with("exit 4"), "{told}");
    assert!(command(errors[9]).unwrap().data.starts_with("22 more"), "{told}");
}

/// A run of `number` failed steps and as many undecided ones.
fn many(number: usize) -> Report {
    let mut report = sample::failed();
    let steps = &mut report.scenarios[0].steps;
    let [failed, open] = [steps[0].clone(), steps[1].clone()];
    *steps = [vec![failed; number], vec![open; number]].concat();
    report
}

#[test]
fn no_more_is_told_than_github_shows() {
    for (number, told, last) in
        [(10, 10, None), (11, 10, Some("2 more steps ended failed")), (500, 10, Some("491 more"))]
    {
        let text = render(&many(number));
        let commands: Vec<_> = text.lines().map(|line| command(line).unwrap()).collect();
        for name in ["error", "warning"] {
            let of: Vec<_> = commands.iter().filter(|command| command.name == name).collect();
            assert_eq!(of.len(), told, "{name}");
            assert!(name == "warning" || last.is_none_or(|last| of[told - 1].data.starts_with(last)));
        }
    }
}

#[test]
fn older_evidence_has_no_lines_and_reads_all_the_same() {
    let mut lines = sample::lines(sample::events());
    let mut old = serde_json::to_value(&lines[0]).unwrap();
    for scenario in old["scenarios"].as_array_mut().unwrap() {
        scenario.as_object_mut().unwrap().remove("lines").unwrap();
    }
    lines[0] = serde_json::from_value(old).unwrap();
    let told = render(&fold(Some(&sample::info()), &lines, true));
    let first = command(told.lines().next().unwrap()).unwrap();
    assert_eq!(first.properties["file"], "scenarios/phase5/velero-metrics.yaml");
    assert!(!first.properties.contains_key("line"));
}

#[test]
fn a_step_keeps_its_line_when_it_ends() {
    let Event::RunStarted { scenarios, .. } = &sample::events()[0] else { panic!("the first event") };
    let report = sample::failed();
    let lines: Vec<_> = report.scenarios[0].steps.iter().map(|step| step.line.unwrap()).collect();
    assert_eq!(lines, scenarios[0].lines);
}

#[test]
fn a_summary_is_appended_until_github_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary");
    let (mut runs, report) = (0, many(400));
    let error = loop {
        match summarise(&report, &file) {
            Ok(()) => runs += 1,
            Err(error) => break error,
        }
    };
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(runs > 1 && text.len() as u64 <= SUMMARY, "{runs} runs, {} bytes", text.len());
    assert_eq!(text.matches("# ✗ FAILED").count(), runs);
    assert!(text.contains("left out for its size"));
    assert!(error.to_string().contains("1 MiB"), "{error}");
}

/// A command as GitHub's runner parses it.
#[derive(Debug)]
struct Command {
    name: String,
    properties: BTreeMap<String, String>,
    data: String,
}

/// Parses a line as GitHub's runner does, which knows two forms; `None` for plain text.
fn command(line: &str) -> Option<Command> {
    let both = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n");
    let property = |text: &str| both(text).replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
    let (head, data) = match line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::")) {
        Some(parts) => parts,
        None => line.split_once("##[")?.1.split_once(']')?,
    };
    let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
    let pairs = rest.split(',').filter_map(|pair| pair.split_once('='));
    Some(Command {
        name: name.to_owned(),
        properties: pairs.map(|(name, value)| (name.to_owned(), property(value))).collect(),
        data: both(data).replace("%25", "%"),
    })
}

/// Text that tries to be a command.
fn attack() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,6}",
        proptest::sample::select(vec![
            "\n", "\r", "::", ":", ",", "%", "%0A", "%0D", "%3A", " ", "\u{85}", "\u{2028}",
            "::stop-commands::x", "##[add-mask]e", "##", "[", "::error file=a,line=1::", "title=",
            "                                                                                                ",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The sample with this text in every place where a text may come from outside.
fn attacked(text: &str) -> Report {
    let hostile = serde_json::to_string(&sample::hostile()).unwrap();
    let known = sample::hostile().run;
    let [known, text] = [known.as_str(), text].map(|text| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    });
    let mut report: Report = serde_json::from_str(&hostile.replace(&known, &text)).unwrap();
    report.scenarios[0].source = Some(text.clone());
    let wide = Finding::judged(text.clone(), json!(text), json!({ "k": text }), false).with_help(text);
    report.scenarios[0].steps[0].findings.push(wide);
    report
}

proptest! {
    #[test]
    fn no_text_becomes_a_command_or_part_of_one(text in attack()) {
        let report = attacked(&text);
        let told = render(&report);
        let expected = render(&attacked("tame"));
        prop_assert_eq!(told.matches('\n').count(), expected.matches('\n').count());
        prop_assert!(!told.contains('\r'));
        for (line, tame) in told.lines().zip(expected.lines()) {
            let (command, tame) = (command(line).unwrap(), command(tame).unwrap());
            prop_assert_eq!(command.name, tame.name);
            prop_assert!(command.properties.keys().all(|name| ["file", "line", "title"].contains(&name.as_str())));
            prop_assert_eq!(command.properties.get("line"), tame.properties.get("line"));
        }
    }

    #[test]
    fn a_command_says_what_it_was_given(title in attack(), message in attack()) {
        let message = message.replace(['\u{85}', '\u{2028}'], "");
        let written = line("error", &[("title", &title)], &message);
        prop_assert_eq!(written.matches(['\n', '\r']).count(), 1);
        let read = command(written.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read.data, message);
        prop_assert_eq!(read.properties.get("title").cloned().unwrap_or_default(), title);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_other_report_holds_a_command(text in attack()) {
        let report = attacked(&text);
        for format in [Format::Text, Format::Html, Format::Junit, Format::Json, Format::Markdown] {
            let text = rendered(&report, format, false).unwrap();
            for line in text.split(['\n', '\r']) {
                prop_assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{format:?}: {line}");
            }
        }
    }
}
