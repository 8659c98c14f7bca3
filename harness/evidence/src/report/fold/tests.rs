//! Properties of the fold.

use super::super::sample;
use super::*;
use proptest::prelude::*;

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::Passed, Verdict::Failed, Verdict::Unverified, Verdict::Skipped])
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop::sample::select(vec![
        Finding::judged("it", "up", "up", true),
        Finding::judged("it", "up", "up", true),
        Finding::judged("it", "up", "down", false),
        Finding::undecided("it", "up", "nothing"),
    ])
}

type Step = (Verdict, Option<String>, Vec<Finding>);
type Scenario = (Vec<Step>, Verdict, Option<String>);

fn any_reason() -> impl Strategy<Value = Option<String>> {
    prop::option::of(Just("because".to_owned()))
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let step = (any_verdict(), any_reason(), prop::collection::vec(any_finding(), 0..3));
    (prop::collection::vec(step, 0..4), any_verdict(), any_reason())
}

/// The events of a whole run, which may record any verdict for itself.
fn events(scenarios: &[Scenario], said: Verdict) -> Vec<Event> {
    let listed = |at: usize, scenario: &Scenario| {
        let mut info = sample::scenario(&format!("s{at}"), "", "", &[]);
        info.steps = (0..scenario.0.len()).map(|step| (format!("t{step}"), None)).collect();
        info
    };
    let scenarios_listed = scenarios.iter().enumerate().map(|(at, s)| listed(at, s)).collect();
    let mut events = vec![Event::RunStarted { run: "r".to_owned(), scenarios: scenarios_listed }];
    for (at, (steps, verdict, reason)) in scenarios.iter().enumerate() {
        let scenario = format!("s{at}");
        events.push(Event::ScenarioStarted { scenario: scenario.clone() });
        for (at, (verdict, reason, findings)) in steps.iter().enumerate() {
            let step = format!("t{at}");
            events.push(Event::StepStarted {
                scenario: scenario.clone(),
                step: step.clone(),
                kind: "k".into(),
            });
            events.push(Event::StepEnded {
                scenario: scenario.clone(),
                step,
                kind: "k".into(),
                verdict: *verdict,
                reason: reason.clone(),
                seconds: 0.1,
                rounds: 1,
                file: "f".into(),
                sha256: "h".into(),
                findings: findings.clone(),
            });
        }
        events.push(Event::ScenarioEnded {
            scenario,
            verdict: *verdict,
            reason: reason.clone(),
            seconds: 1.0,
        });
    }
    let exit = Exit::of(said, false, false);
    events.push(Event::RunEnded { verdict: said, exit, failed: vec![], unverified: vec![], seconds: 2.0 });
    events
}

fn findings(report: &Report) -> impl Iterator<Item = &Finding> {
    report.scenarios.iter().flat_map(|scenario| &scenario.steps).flat_map(|step| &step.findings)
}

proptest! {
    #[test]
    fn whatever_the_run_says_findings_decide(
        scenarios in prop::collection::vec(any_scenario(), 0..4), said in any_verdict(),
    ) {
        let report = fold(None, &sample::lines(events(&scenarios, said)), true);
        prop_assert!(report.complete);
        let has = |verdict| findings(&report).any(|finding| finding.verdict == verdict);
        if report.verdict == Verdict::Passed {
            prop_assert!(has(Verdict::Passed) && !has(Verdict::Failed) && !has(Verdict::Unverified));
            prop_assert_eq!(said, Verdict::Passed);
        }
        if has(Verdict::Failed) {
            prop_assert_eq!(report.verdict, Verdict::Failed);
        }
        prop_assert_eq!(report.exit == Exit::Passed, report.verdict == Verdict::Passed);
        prop_assert_eq!(report.exit == Exit::Failed, report.verdict == Verdict::Failed);
        for step in report.scenarios.iter().flat_map(|scenario| &scenario.steps) {
            prop_assert!(step.verdict != Verdict::Passed || step.findings.iter().any(|f| f.verdict == Verdict::Passed));
            prop_assert!(step.verdict != Verdict::Skipped || step.reason.is_some() || !step.findings.is_empty());
        }
    }

    #[test]
    fn a_run_that_tells_the_truth_is_believed(parts in prop::collection::vec(any_finding(), 1..6)) {
        let steps: Vec<Step> = parts.into_iter().map(|f| (f.verdict, None, vec![f])).collect();
        let whole = Verdict::fold(steps.iter().map(|step| step.0));
        let report = fold(None, &sample::lines(events(&[(steps, whole, None)], whole)), true);
        prop_assert_eq!((report.verdict, report.exit), (whole, Exit::of(whole, false, false)));
        prop_assert!(report.scenarios[0].steps.iter().all(|step| step.reason.is_none()));
    }

    #[test]
    fn a_run_cut_short_is_incomplete_and_never_passes(
        scenarios in prop::collection::vec(any_scenario(), 1..4), said in any_verdict(),
        cut in any::<prop::sample::Index>(), manifest: bool,
    ) {
        let lines = sample::lines(events(&scenarios, said));
        let cut = cut.index(lines.len());
        let whole = fold(None, &lines, true);
        let report = fold(None, &lines[..cut], manifest);
        prop_assert!(!report.complete);
        prop_assert_eq!(report.exit, Exit::Unverified);
        prop_assert!(matches!(report.verdict, Verdict::Failed | Verdict::Unverified));
        // A line missing from the middle is noticed as well, and so is a missing manifest.
        let mut hole = lines.clone();
        hole.remove(cut);
        prop_assert!(!fold(None, &hole, true).complete);
        prop_assert!(!fold(None, &lines, false).complete);
        // A scenario that was listed but not reached is shown.
        if cut > 0 {
            prop_assert_eq!(report.counts.steps.total(), whole.counts.steps.total());
        }
    }
}

#[test]
fn what_was_not_reached_is_shown_as_such() {
    let report = sample::incomplete();
    let reasons: Vec<_> =
        report.scenarios.iter().flat_map(|s| &s.steps).map(|s| s.reason.as_deref().unwrap()).collect();
    assert_eq!(
        reasons,
        [
            "began and did not end; the last attempt said: every target is up",
            "not reached",
            "not reached",
            "not reached",
            "not reached"
        ]
    );
    assert_eq!(report.counts.steps.unverified, 5);
    assert!((report.seconds - 1.5).abs() < 1e-9);
}

#[test]
fn the_steps_of_a_skipped_scenario_are_skipped_with_its_reason() {
    let report = sample::failed();
    let step = &report.scenarios[2].steps[0];
    assert_eq!(step.verdict, Verdict::Skipped);
    assert_eq!(step.reason.as_deref(), Some("needs phase5/velero-metrics, which failed"));
    assert_eq!(report.scenarios[2].verdict, Verdict::Skipped);
    assert_eq!((report.verdict, report.exit, report.complete), (Verdict::Failed, Exit::Failed, true));
}

#[test]
fn an_exit_that_says_more_than_the_verdict_stands() {
    for exit in [Exit::Owed, Exit::Evidence, Exit::Interrupted] {
        let mut events = sample::events();
        if let Some(Event::RunEnded { exit: said, .. }) = events.last_mut() {
            *said = exit;
        }
        assert_eq!(fold(None, &sample::lines(events), true).exit, exit);
    }
}

#[test]
fn a_step_that_says_better_than_its_findings_is_not_believed() {
    let down = Finding::judged("up", "up", "down", false);
    let up = Finding::judged("up", "up", "up", true);
    for (said, findings, verdict, reason) in [
        (
            Verdict::Passed,
            vec![down.clone()],
            Verdict::Failed,
            "the run said passed, its findings say failed",
        ),
        (Verdict::Skipped, vec![down], Verdict::Failed, "the run said skipped, its findings say failed"),
        (Verdict::Failed, vec![up], Verdict::Failed, "the run said failed, its findings say passed"),
        (Verdict::Passed, vec![], Verdict::Unverified, "the run said passed, but there are no findings"),
        (Verdict::Unverified, vec![], Verdict::Unverified, "no findings"),
        (Verdict::Skipped, vec![], Verdict::Unverified, "skipped without a reason"),
    ] {
        assert_eq!(weigh(said, None, &findings), (verdict, Some(reason.to_owned())));
    }
}

#[test]
fn a_step_that_ends_twice_keeps_the_findings_of_both() {
    let mut events = sample::events();
    let good = vec![Finding::judged("every target is up", "up", "up", true)];
    events.insert(5, sample::ended("phase5/velero-metrics", "target", "k", Verdict::Passed, good));
    let report = fold(None, &sample::lines(events), true);
    let step = &report.scenarios[0].steps[0];
    assert_eq!((step.verdict, step.findings.len()), (Verdict::Failed, 3));
    assert_eq!(step.title.as_deref(), Some("The Velero target is up"));
}

#[test]
fn no_events_at_all_are_no_run() {
    let report = fold(None, &[], true);
    assert_eq!(
        (report.verdict, report.exit, report.complete),
        (Verdict::Unverified, Exit::Unverified, false)
    );
}
