//! Properties of the `JUnit` report.

use super::super::sample;
use super::*;
use proofmark_model::Exit;

#[test]
fn failed_unverified_and_skipped_are_failure_error_and_skipped() {
    insta::assert_snapshot!(render(&sample::failed()).unwrap(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="proofmark 20260216T020000Z-x7k2q9" tests="5" skipped="2" failures="1" errors="1" timestamp="2026-02-16T02:00:00.000+00:00" time="12.800">
        <testsuite name="phase5/velero-metrics" tests="3" skipped="1" errors="1" failures="1" time="12.300">
            <properties>
                <property name="title" value="Velero metrics are scraped"/>
                <property name="claim" value="A failed Velero backup shows in Prometheus."/>
                <property name="does-not-prove" value="That a Velero backup can be restored."/>
            </properties>
            <testcase name="target: The Velero target is up" classname="phase5/velero-metrics" assertions="2" time="0.020">
                <failure message="every target is up: expected up, seen {&quot;health&quot;:&quot;down&quot;,&quot;instance&quot;:&quot;10.0.0.7:8085&quot;,&quot;job&quot;:&quot;velero&quot;,&quot;last-error&quot;:&quot;connection refused&quot;}" type="failed">✓ at least one target: expected at least 1, seen 1
    ✗ every target is up: expected up, seen {&quot;health&quot;:&quot;down&quot;,&quot;instance&quot;:&quot;10.0.0.7:8085&quot;,&quot;job&quot;:&quot;velero&quot;,&quot;last-error&quot;:&quot;connection refused&quot;}
      help: Look at the target&apos;s last error: `kubectl -n velero get endpoints velero` shows where it points.
    evidence: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/target.json
    </failure>
            </testcase>
            <testcase name="attempts: Attempts are counted" classname="phase5/velero-metrics" assertions="1" time="0.020">
                <error message="at least one sample, not decided: a masked value cannot be compared" type="unverified">? at least one sample, not decided: a masked value cannot be compared
      help: Except the key `attempts` from masking.
    evidence: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/attempts.json
    </error>
            </testcase>
            <testcase name="silence: A silence" classname="phase5/velero-metrics" assertions="0" time="0.020">
                <skipped message="step `target` did not pass" type="skipped">step `target` did not pass
    evidence: evidence/20260216T020000Z-x7k2q9/phase5/velero-metrics/silence.json
    </skipped>
            </testcase>
        </testsuite>
        <testsuite name="phase5/rules" tests="1" skipped="0" errors="0" failures="0" time="0.400">
            <properties>
                <property name="title" value="Rules are healthy"/>
                <property name="claim" value="Every rule can fire."/>
                <property name="does-not-prove" value="That a Velero backup can be restored."/>
            </properties>
            <testcase name="rules: The rules are read" classname="phase5/rules" assertions="2" time="0.020">
                <system-out>✓ at least one rule: expected at least 1, seen 12
    ✓ every rule is healthy: expected ok, seen ok
    evidence: evidence/20260216T020000Z-x7k2q9/phase5/rules/rules.json
    </system-out>
            </testcase>
        </testsuite>
        <testsuite name="phase5/drill" tests="1" skipped="1" errors="0" failures="0" time="0.000">
            <properties>
                <property name="title" value="The alert drill"/>
                <property name="claim" value="An alert reaches a person."/>
                <property name="does-not-prove" value="That a Velero backup can be restored."/>
                <property name="reason" value="needs phase5/velero-metrics, which failed"/>
            </properties>
            <testcase name="drill: Drill" classname="phase5/drill" assertions="0" time="0.000">
                <skipped message="needs phase5/velero-metrics, which failed" type="skipped">needs phase5/velero-metrics, which failed
    </skipped>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn an_incomplete_run_is_an_error() {
    let report = Report { scenarios: vec![], ..sample::incomplete() };
    let parsed = read(&report);
    assert_eq!((parsed.tests, parsed.errors), (1, 1));
}

#[test]
fn a_run_that_passed_but_owes_something_is_not_green() {
    let report = Report { exit: Exit::Owed, ..sample::passed() };
    assert_eq!(read(&report).failures, 1);
    assert_eq!(read(&sample::passed()).failures, 0);
}

#[test]
fn a_scenario_without_steps_shows() {
    let mut report = sample::failed();
    report.scenarios[2].steps.clear();
    let parsed = read(&report);
    assert_eq!(parsed.skipped, 2);
}

#[test]
fn hostile_text_is_read_back_as_text() {
    let report = sample::hostile();
    let xml = render(&report).unwrap();
    assert!(!xml.contains("<script>"));
    assert!(!xml.contains(['\u{0}', '\u{1b}', '\u{ffff}']));
    let parsed = read(&report);
    assert_eq!(parsed.test_suites.len(), 3);
    assert!(parsed.test_suites[0].name.contains("<script>alert(1)</script>"));
}

fn read(report: &Report) -> quick_junit::Report {
    quick_junit::Report::deserialize_from_str(&render(report).unwrap()).unwrap()
}
