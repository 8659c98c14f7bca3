//! Properties of the text report.

use super::super::{Tally, sample};
use super::*;
use serde_json::json;

#[test]
fn a_failed_run_says_first_what_failed_and_what_to_do() {
    insta::assert_snapshot!(render(&sample::failed(), Some(Path::new("reports/20260216T020000Z-x7k2q9.html")), false), @r#"
    FAILED  1 of 5 steps in 3 scenarios failed.
    run 20260216T020000Z-x7k2q9  12.8s  exit 1: at least one finding failed

    ✗ phase5/velero-metrics#target  The Velero target is up
        every target is up
          expected  up
          seen      {"health":"down","instance":"10.0.0.7:8085","job":"velero","last-error":"connection refused"}
          help      Look at the target's last error: `kubectl -n velero get endpoints velero` shows where it points.
          evidence  evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/target.json

    ? phase5/velero-metrics#attempts  Attempts are counted
        at least one sample (not decided)
          expected  at least 1
          seen      a masked value cannot be compared
          help      Except the key `attempts` from masking.
          evidence  evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/attempts.json

    – phase5/velero-metrics#silence  step `target` did not pass
    – phase5/drill#drill  needs phase5/velero-metrics, which failed

    ✗ phase5/velero-metrics  1 failed, 1 unverified, 1 skipped  12.3s  Velero metrics are scraped
    ✓ phase5/rules           1 passed                           0.40s  Rules are healthy
    – phase5/drill           1 skipped                          0.00s  The alert drill

    3 scenarios: 1 failed, 1 skipped, 1 passed
    5 steps: 1 failed, 1 unverified, 2 skipped, 1 passed

    next: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/target.json  holds what was asked, what was seen, every attempt
          proofmark run … --only phase5/velero-metrics                        after a mend: runs again what did not pass
          reports/20260216T020000Z-x7k2q9.html                                the whole report, with what passed
    "#);
}

#[test]
fn a_passed_run_is_short() {
    insta::assert_snapshot!(render(&sample::passed(), None, false), @r#"
    PASSED  1 step in 1 scenario, all passed.
    run 20260216T020000Z-x7k2q9  12.8s  exit 0: everything selected passed

    ✓ phase5/rules  1 passed  0.40s  Rules are healthy

    1 scenario: 1 passed
    1 step: 1 passed

    next: proofmark verify 20260216T020000Z-x7k2q9                    judges the kept evidence again
          proofmark report 20260216T020000Z-x7k2q9 --reports reports  writes the whole report: HTML, JUnit, JSON
    "#);
}

#[test]
fn an_incomplete_run_says_so() {
    insta::assert_snapshot!(render(&sample::incomplete(), None, false), @r#"
    UNVERIFIED  The run is incomplete: its end, or part of its events, is missing.
    run 20260216T020000Z-x7k2q9  1.50s  exit 3: the run is incomplete

    ? phase5/velero-metrics#target  began and did not end; the last attempt said: every target is up
    ? phase5/velero-metrics#attempts  not reached
    ? phase5/velero-metrics#silence  not reached
    ? phase5/rules#rules  not reached
    ? phase5/drill#drill  not reached

    ? phase5/velero-metrics  3 unverified  0.00s  Velero metrics are scraped
    ? phase5/rules           1 unverified  0.00s  Rules are healthy
    ? phase5/drill           1 unverified  0.00s  The alert drill

    3 scenarios: 3 unverified
    5 steps: 5 unverified

    next: proofmark run …                                             what is there decides nothing, and nothing is owed
          proofmark report 20260216T020000Z-x7k2q9 --reports reports  writes the whole report: HTML, JUnit, JSON
    "#);
}

#[test]
fn progress_lines() {
    let lines: Vec<_> = sample::events().iter().filter_map(|event| event_line(event, 28, false)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ✗ phase5/velero-metrics#target   0.02s  every target is up: expected up, seen {"health":"down","instance":"10.0.0.7:8085","job":"velero","last-error":"connection refused"} (3 rounds)
    ? phase5/velero-metrics#attempts   0.02s  at least one sample, not decided: a masked value cannot be compared
    – phase5/velero-metrics#silence   0.02s  step `target` did not pass
    ✓ phase5/rules#rules             0.02s  prometheus-rules, 2 findings
    – phase5/drill                          needs phase5/velero-metrics, which failed
    "#);
    let interrupted = event_line(&Event::Interrupted { by: "SIGINT".to_owned() }, 0, false).unwrap();
    assert_eq!(
        interrupted,
        "  ! interrupted by SIGINT: what changes something comes to its end, what is left is not looked at"
    );
}

#[test]
fn colour_only_adds_codes() {
    for report in [sample::failed(), sample::passed(), sample::incomplete()] {
        let (plain, coloured) = (render(&report, None, false), render(&report, None, true));
        assert!(coloured.contains("\u{1b}["));
        assert!(!plain.contains('\u{1b}'));
        let stripped = anstream::adapter::strip_str(&coloured).to_string();
        let trimmed: Vec<_> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }
}

#[test]
fn hostile_text_cannot_move_the_cursor_or_break_a_line() {
    let report = sample::hostile();
    let text = render(&report, None, false);
    assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
    assert_eq!(
        text.lines().count(),
        render(&Report { interrupted_by: None, ..report }, None, false).lines().count()
    );
    let line = step_line("a\nb", &sample::hostile().scenarios[0].steps[0], 0, false);
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn long_values_are_cut() {
    let mut report = sample::failed();
    let step = &mut report.scenarios[0].steps[0];
    step.findings[1].seen = json!("ü".repeat(5000));
    step.findings[1].what = "w".repeat(5000);
    let text = render(&report, None, false);
    assert!(text.lines().all(|line| line.chars().count() < 200), "{text}");
    assert!(text.contains('…'));
}

#[test]
fn many_findings_are_counted_not_listed() {
    let mut report = sample::failed();
    let finding = report.scenarios[0].steps[0].findings[1].clone();
    report.scenarios[0].steps[0].findings = vec![finding; 40];
    let text = render(&report, None, false);
    assert_eq!(text.matches("every target is up").count(), FINDINGS);
    assert!(text.contains("… and 35 more"));
}

#[test]
fn a_scenario_that_is_worse_than_its_steps_shows() {
    let mut report = sample::passed();
    report.scenarios[0].verdict = Verdict::Failed;
    report.scenarios[0].reason = Some("the world did not come back".to_owned());
    report.verdict = Verdict::Failed;
    report.counts.scenarios = Tally::of([Verdict::Failed]);
    assert!(render(&report, None, false).contains("✗ phase5/rules  the world did not come back"));
}
