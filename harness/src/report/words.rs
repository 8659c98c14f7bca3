//! How every rendering says the same things: the mark of a verdict, a length of time, a value cut to size, why a
//! step is as it is, and what to do next.

use super::{Report, StepReport, Tally};
use crate::model::{Exit, Finding, Verdict};
use serde_json::Value;

/// Verdicts in the order in which people need them.
pub(super) const ORDER: [Verdict; 4] =
    [Verdict::Failed, Verdict::Unverified, Verdict::Skipped, Verdict::Passed];

/// The sign of a verdict; differs in shape, so that it can be read without colour.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✗",
        Verdict::Unverified => "?",
        Verdict::Skipped => "–",
    }
}

/// A length of time: `0.02s`, `12.3s`, `2m 05s`, `1h 02m`.
pub(super) fn seconds(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is never negative"
    )]
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds.is_nan() || seconds < 0.0 => "0.00s".to_owned(),
        _ if seconds < 9.995 => format!("{seconds:.2}s"),
        _ if seconds < 59.95 => format!("{seconds:.1}s"),
        0..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// Text on one line without anything that could move a cursor, hide text or break a file: white space becomes one
/// space, other control and direction characters become `�`.
pub(super) fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { harmless(c) }).collect();
    clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Text whose lines are kept, otherwise as [`line`].
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { c } else { harmless(c) }).collect()
}

fn harmless(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let nothing = matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{feff}');
    if c.is_control() || turns || nothing { '\u{fffd}' } else { c }
}

/// At most so many characters; what was cut shows as `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A value on one line, as JSON.
pub(super) fn value(value: &Value, width: usize) -> String {
    cut(&line(&value.to_string()), width)
}

/// A finding as one sentence.
pub(super) fn sentence(finding: &Finding, width: usize) -> String {
    let (expected, seen) = (value(&finding.expected, width), value(&finding.seen, width));
    format!("{}: expected {expected}, seen {seen}", cut(&line(&finding.what), width))
}

/// Why a step is as it is, in one sentence: its telling finding, its reason, or that nothing says why.
pub(super) fn why(step: &StepReport, width: usize) -> String {
    let reason = step.reason.as_deref().map(|reason| cut(&line(reason), width));
    match (step.telling(), reason) {
        (Some(finding), _) => sentence(finding, width),
        (None, Some(reason)) => reason,
        (None, None) => format!("{}, and nothing says why", step.verdict.word()),
    }
}

/// `1 finding`, `2 findings`.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// `1 failed, 2 passed`; empty when there is nothing to count.
pub(super) fn tally(tally: Tally) -> String {
    let some = ORDER.into_iter().filter(|verdict| tally.get(*verdict) > 0);
    some.map(|verdict| format!("{} {}", tally.get(verdict), verdict.word())).collect::<Vec<_>>().join(", ")
}

/// What the exit code of a run means, and whether it is safe to run again.
pub(super) fn meaning(report: &Report) -> (&'static str, &'static str) {
    if !report.complete {
        return ("the run is incomplete", "after `proofmark recover`");
    }
    Exit::TABLE.iter().find(|row| row.0 == report.exit).map_or(("", ""), |row| (row.1, row.2))
}

/// The whole result in one sentence.
pub(super) fn headline(report: &Report) -> String {
    if !report.complete {
        return "The run is incomplete: its end, or part of its events, is missing.".to_owned();
    }
    // What these exits mean weighs more than any count, also where every finding passed.
    if report.exit == Exit::Owed {
        return "A change could not be put back; `proofmark recover` says what is owed.".to_owned();
    }
    if report.exit == Exit::Evidence {
        return "Evidence could not be written, or does not verify.".to_owned();
    }
    let (steps, scenarios) = (report.counts.steps, report.counts.scenarios);
    let where_ = format!("in {}", count(scenarios.total(), "scenario"));
    match (report.verdict, &report.interrupted_by) {
        (_, Some(by)) => format!("Interrupted by {}; what was left was not looked at.", line(by)),
        (_, None) if steps.total() == 0 => "Nothing was looked at.".to_owned(),
        (Verdict::Passed, None) if steps.skipped > 0 => {
            format!("{} passed {where_}; {} skipped.", count(steps.passed, "step"), steps.skipped)
        }
        (Verdict::Passed, None) => format!("{} {where_}, all passed.", count(steps.passed, "step")),
        (Verdict::Skipped, None) => "Everything was skipped.".to_owned(),
        (verdict, None) => {
            let word = if verdict == Verdict::Failed { "failed" } else { "could not be decided" };
            format!("{} of {} {where_} {word}.", steps.get(verdict), count(steps.total(), "step"))
        }
    }
}

/// What to do next: a command or a file, and what for.
pub(super) fn next(report: &Report) -> Vec<(String, &'static str)> {
    let run = line(&report.run);
    let mut next = Vec::new();
    if report.exit == Exit::Owed {
        next.push(("proofmark recover".to_owned(), "puts back what is owed"));
    }
    if !report.complete {
        next.push(("proofmark recover".to_owned(), "puts back what the run may have left changed"));
    }
    if report.exit == Exit::Evidence {
        next.push((format!("proofmark verify {run}"), "says which evidence does not hold"));
    }
    let bad = [Verdict::Failed, Verdict::Unverified].into_iter().find_map(|verdict| {
        let mut steps = report.scenarios.iter().flat_map(|scenario| &scenario.steps);
        steps.find(|step| step.verdict == verdict && step.file.is_some())?.file.as_deref()
    });
    if let Some(file) = bad {
        next.push((
            format!("open {run}/{}", line(file)),
            "holds what was asked, what was seen, every attempt",
        ));
    }
    if report.verdict == Verdict::Passed {
        next.push((format!("proofmark verify {run}"), "judges the kept evidence again"));
    }
    next.push((format!("proofmark report {run} --format html"), "the whole report, with what passed"));
    next
}
