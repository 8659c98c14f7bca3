//! The report for CI: a test suite per scenario and a test case per step; failed → failure, unverified → error, skipped
//! → skipped.

use super::{RenderError, Report, ScenarioReport, StepReport, words};
use proofmark_model::{Finding, Verdict};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest value in a message, in characters; CI shows messages in a list.
const MESSAGE: usize = 160;
/// Longest value in a body, in characters.
const BODY: usize = 4000;

/// Renders the whole report as `JUnit` XML.
///
/// # Errors
/// When the XML writer fails.
pub fn render(report: &Report) -> Result<String, RenderError> {
    let mut junit = quick_junit::Report::new(format!("proofmark {}", words::line(&report.run)));
    // Parsed from text because quick-junit uses another time library.
    junit.timestamp = report.started.and_then(|at| at.to_string().parse().ok());
    junit.set_time(duration(report.seconds));
    junit.add_test_suites(report.scenarios.iter().map(|scenario| suite(report, scenario)));
    if !report.complete {
        // Without this suite, CI would be green for a run that died between two scenarios.
        junit.add_test_suite(lone("run", "complete", Verdict::Unverified, &words::headline(report)));
    } else if report.scenarios.iter().all(|s| s.verdict == Verdict::Passed) && report.exit.code() != 0 {
        let (meaning, _) = words::meaning(report);
        let why = format!("exit {}: {meaning}", report.exit.code());
        let verdict = if report.verdict == Verdict::Passed { Verdict::Failed } else { report.verdict };
        junit.add_test_suite(lone("run", "exit", verdict, &why));
    }
    Ok(junit.to_string()?)
}

fn suite(report: &Report, scenario: &ScenarioReport) -> TestSuite {
    let mut suite = TestSuite::new(words::line(&scenario.id));
    suite.set_time(duration(scenario.seconds));
    let texts = [
        ("title", Some(scenario.title.as_str())),
        ("claim", Some(scenario.claim.as_str())),
        ("does-not-prove", scenario.does_not_prove.as_deref()),
        ("reason", scenario.reason.as_deref()),
    ];
    let said = texts.into_iter().filter_map(|(name, text)| Some((name, words::line(text?))));
    let said = said.filter(|(_, text)| !text.is_empty());
    suite.add_properties(said.map(|(name, text)| quick_junit::Property::new(name, text)));
    suite.add_test_cases(scenario.steps.iter().map(|step| case(report, &scenario.id, step)));
    // A scenario that is worse than each of its steps, or has none, needs a test case of its own.
    let shown =
        scenario.verdict == Verdict::Passed || scenario.steps.iter().any(|s| s.verdict == scenario.verdict);
    if !shown {
        let reason =
            scenario.reason.clone().unwrap_or_else(|| format!("the scenario is {}", scenario.verdict.word()));
        suite.add_test_case(bare(&scenario.id, "scenario", scenario.verdict, &reason));
    }
    suite
}

fn case(report: &Report, scenario: &str, step: &StepReport) -> TestCase {
    let mut status = status(step.verdict);
    if step.verdict != Verdict::Passed {
        status.set_message(words::why(step, MESSAGE));
        status.set_type(step.verdict.word());
        if let Some(body) = body(report, step) {
            status.set_description(body);
        }
    }
    let name = step.title.as_deref().map_or_else(|| step.id.clone(), |title| format!("{}: {title}", step.id));
    let mut case = TestCase::new(words::line(&name), status);
    case.set_classname(words::line(scenario));
    case.set_time(duration(step.seconds));
    case.set_assertions(step.findings.len());
    if step.verdict == Verdict::Passed
        && let Some(body) = body(report, step)
    {
        case.set_system_out(body);
    }
    case
}

fn lone(suite: &str, name: &str, verdict: Verdict, why: &str) -> TestSuite {
    let mut lone = TestSuite::new(suite);
    lone.add_test_case(bare(suite, name, verdict, why));
    lone
}

fn bare(class: &str, name: &str, verdict: Verdict, why: &str) -> TestCase {
    let mut status = status(verdict);
    status.set_message(words::cut(&words::line(why), 2 * MESSAGE));
    status.set_type(verdict.word());
    let mut case = TestCase::new(name, status);
    case.set_classname(words::line(class));
    case
}

fn status(verdict: Verdict) -> TestCaseStatus {
    match verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Unverified => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Skipped => TestCaseStatus::skipped(),
    }
}

/// Every finding of a step, and the path of its evidence.
fn body(report: &Report, step: &StepReport) -> Option<String> {
    let mut body = String::new();
    for finding in &step.findings {
        let _ = writeln!(body, "{} {}", words::mark(finding.verdict), words::sentence(finding, BODY));
        help(&mut body, finding);
    }
    if let Some(reason) = &step.reason {
        let _ = writeln!(body, "{}", words::line(reason));
    }
    if let Some(file) = &step.file {
        let _ = writeln!(body, "evidence: {}", words::place(report, file));
    }
    (!body.is_empty()).then_some(body)
}

fn help(body: &mut String, finding: &Finding) {
    if let Some(help) = &finding.help {
        let _ = writeln!(body, "  help: {}", words::line(help));
    }
}

/// Converts seconds to a duration; values that are not a valid duration become zero.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
