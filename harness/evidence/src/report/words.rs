//! Wording shared by all renderings: the mark of a verdict, a duration, a truncated value, why a step has its verdict,
//! and what to do next.

use super::{Report, ScenarioReport, StepReport, Tally};
use indicatif::DecimalBytes;
use proofmark_model::{Exit, Finding, StepProgress, Verdict};
use serde_json::Value;

/// Verdicts in the order in which people need them.
pub(super) const ORDER: [Verdict; 4] =
    [Verdict::Failed, Verdict::Unverified, Verdict::Skipped, Verdict::Passed];

/// The mark of a verdict. Marks differ in shape, so that they can be read without colour.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✗",
        Verdict::Unverified => "?",
        Verdict::Skipped => "–",
    }
}

/// `1 step`, `2 steps`.
pub fn many(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Formats a duration: `0.02s`, `12.3s`, `2m 05s`, `1h 02m`.
pub fn seconds(seconds: f64) -> String {
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

/// The length of a bar, in characters.
const BAR: u64 = 20;

/// Formats progress: `reading back ━━━━━━━━━━──────────  41.2 of 83.1 MB`, `dumping  12 MB, 3 of 21 tables`.
pub(super) fn far(far: &StepProgress) -> String {
    let (mut bar, mut parts) = (String::new(), vec![]);
    match far.bytes {
        Some((done, Some(of))) if of > 0 => {
            let marks = usize::try_from(done.min(of) * BAR / of).unwrap_or_default();
            bar = format!(" {:─<wide$}", "━".repeat(marks), wide = usize::try_from(BAR).unwrap_or_default());
            parts.push(format!("{} of {}", DecimalBytes(done), DecimalBytes(of)));
        }
        Some((done, _)) => parts.push(DecimalBytes(done).to_string()),
        None => {}
    }
    if let Some((done, of)) = far.tables {
        parts.push(format!("{done} of {}", count(of, "table")));
    }
    if parts.is_empty() { far.what.to_owned() } else { format!("{}{bar}  {}", far.what, parts.join(", ")) }
}

/// Makes one line of text without anything that could move a cursor, hide text or break a file: white space becomes one
/// space, other control and direction characters become `�`.
pub fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { harmless(c) }).collect();
    clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Like [`line`], but keeps line breaks.
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { c } else { harmless(c) }).collect()
}

fn harmless(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let nothing = matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{feff}');
    if c.is_control() || turns || nothing { '\u{fffd}' } else { c }
}

/// Makes text in which a CI runner finds no command. GitHub's runner reads a command in a line that begins with `::`,
/// and in `##[word]` anywhere in a line; others read `##word[`. A lone carriage return begins a line as well. `colon`
/// and `bracket` replace the character that made the text a command.
pub(super) fn inert(text: &str, colon: &str, bracket: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        let mut rest = line.trim_start();
        out.push_str(&line[..line.len() - rest.len()]);
        if let Some(after) = rest.strip_prefix("::") {
            out.push_str(colon);
            out.push(':');
            rest = after;
        }
        while let Some(at) = rest.find("##") {
            let word = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let (before, after) = match word.strip_prefix('[') {
                Some(after) => (&rest[..rest.len() - word.len()], Some(after)),
                None => (&rest[..=at], None),
            };
            out.push_str(before);
            out.push_str(after.map_or("", |_| bracket));
            rest = after.unwrap_or(&rest[at + 1..]);
        }
        out.push_str(rest);
    }
    out
}

/// Truncates text to at most `width` characters; `…` marks the cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A value on one line, formatted by [`plain`].
pub(super) fn value(value: &Value, width: usize) -> String {
    cut(&line(&plain(value)), width)
}

/// A value as people write it: text without quotes unless it would read as something else (`"1"` is not `1`), a matcher
/// in words (`near 100 within 5%`), everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if reads_as_text(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float}")
            }
            _ => number.to_string(),
        },
        Value::Object(map) if map.len() == 1 => {
            let words = map.iter().next().and_then(|(word, asked)| match (word.as_str(), asked) {
                ("equals", Value::Object(_)) => None,
                ("equals", asked) => Some(plain(asked)),
                _ => matcher(word, asked),
            });
            words.unwrap_or_else(|| value.to_string())
        }
        other => other.to_string(),
    }
}

/// A matcher in words; `None` for any other map of one key, which keeps its braces.
fn matcher(word: &str, asked: &Value) -> Option<String> {
    const WITH_PARTS: [&str; 2] = ["near", "count"];
    const OF_ANOTHER: [&str; 3] = ["every", "any", "not"];
    const OF_A_VALUE: [&str; 7] = ["equals", "one-of", "matches", "min", "max", "type", "newer-than"];
    match asked {
        Value::Object(parts) if WITH_PARTS.contains(&word) => {
            let part = |(name, value): (&String, &Value)| match name.as_str() {
                "value" => plain(value),
                name => format!("{name} {}", plain(value)),
            };
            Some(format!("{word} {}", parts.iter().map(part).collect::<Vec<_>>().join(" ")))
        }
        Value::Object(inner) if OF_ANOTHER.contains(&word) && inner.len() == 1 => {
            let (inner, asked) = inner.iter().next()?;
            Some(format!("{word} {}", matcher(inner, asked)?))
        }
        asked if OF_A_VALUE.contains(&word) => Some(format!("{word} {}", plain(asked))),
        _ => None,
    }
}

/// Returns whether this text reads as the same text without its quotes.
fn reads_as_text(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && serde_json::from_str::<Value>(text).is_err()
}

/// Wraps text into lines of at most `columns` characters, between words where possible.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let full = |line: &String| line.chars().count() + word.trim_end().chars().count() > columns;
        if lines.last().is_some_and(|line| !line.is_empty() && full(line)) {
            lines.push(String::new());
        }
        for c in word.chars() {
            if lines.last().is_some_and(|line| line.chars().count() >= columns) {
                lines.push(String::new());
            }
            lines.last_mut().into_iter().for_each(|line| line.push(c));
        }
    }
    lines.iter().map(|line| line.trim().to_owned()).collect()
}

/// A finding as one sentence. For an undecided one, the reason says more than what was expected.
pub(super) fn sentence(finding: &Finding, width: usize) -> String {
    // Avoids repetition such as `$.value min: expected min 3`.
    let asked = finding.expected.as_object().and_then(|map| map.keys().next());
    let place = asked.and_then(|word| finding.what.strip_suffix(word.as_str())).map(str::trim_end);
    let what = cut(&line(place.unwrap_or(&finding.what)), width);
    let (expected, seen) = (value(&finding.expected, width), value(&finding.seen, width));
    match (finding.verdict, &finding.seen) {
        (Verdict::Unverified, Value::String(_)) => format!("{what}, not decided: {seen}"),
        (Verdict::Unverified, _) => format!("{what}, not decided: expected {expected}, seen {seen}"),
        _ => format!("{what}: expected {expected}, seen {seen}"),
    }
}

/// Why a step has its verdict, in one sentence: its most telling finding, its reason, or that no reason is recorded.
pub(super) fn why(step: &StepReport, width: usize) -> String {
    let reason = step.reason.as_deref().map(|reason| cut(&line(reason), width));
    match (step.telling(), reason) {
        (Some(finding), _) => sentence(finding, width),
        (None, Some(reason)) => reason,
        (None, None) => format!("{}, and nothing says why", step.verdict.word()),
    }
}

/// The run's folder, as it can be named on the command line.
pub(super) fn folder(report: &Report) -> String {
    line(report.evidence.as_deref().unwrap_or(&report.run))
}

/// The path of a step's own file.
pub(super) fn place(report: &Report, file: &str) -> String {
    format!("{}/{}", folder(report), line(file))
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

/// The meaning of a run's exit code, and whether it is safe to run again.
pub(super) fn meaning(report: &Report) -> (&'static str, &'static str) {
    if !report.complete {
        let again = if may_owe(report) { "after `proofmark recover`" } else { "yes" };
        return ("the run is incomplete", again);
    }
    Exit::TABLE.iter().find(|row| row.0 == report.exit).map_or(("", ""), |row| (row.1, row.2))
}

/// Returns whether an incomplete run may owe a change: always, unless it had no permission to change anything.
fn may_owe(report: &Report) -> bool {
    let changes = |word: &String| word == "change" || word == "destroy";
    report.allow.as_ref().is_none_or(|allow| allow.iter().any(changes))
}

/// How to put this run's changes back.
fn recover(report: &Report) -> String {
    let environment = report.environment.as_ref().map(|file| format!(" --env {file}")).unwrap_or_default();
    line(&format!("proofmark recover {}{environment}", folder(report)))
}

/// The whole result in one sentence.
pub(super) fn headline(report: &Report) -> String {
    if !report.complete {
        return "The run is incomplete: its end, or part of its events, is missing.".to_owned();
    }
    // These exits are more important than any count, even if every finding passed.
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

/// The most steps or scenarios in a command that runs them again.
const AGAIN: usize = 4;

/// What to do next: a command or a file, and its purpose.
pub(super) fn next(report: &Report) -> Vec<(String, &'static str)> {
    let run = folder(report);
    let mut next = Vec::new();
    if report.exit == Exit::Owed {
        next.push((recover(report), "puts back what is owed"));
    }
    if !report.complete {
        next.push(if may_owe(report) {
            (recover(report), "puts back what the run may have left changed")
        } else {
            ("proofmark run …".to_owned(), "what is there decides nothing, and nothing is owed")
        });
    }
    if report.exit == Exit::Evidence {
        next.push((format!("proofmark verify {run}"), "says which evidence does not hold"));
    }
    if let Some((_, step)) = bad(report).find(|(_, step)| step.file.is_some()) {
        let file = place(report, step.file.as_deref().unwrap_or_default());
        next.push((file, "holds what was asked, what was seen, every attempt"));
    }
    if let Some(only) = again(report) {
        next.push((format!("proofmark run … --only {only}"), "after a mend: runs again what did not pass"));
    }
    if report.verdict == Verdict::Passed {
        next.push((format!("proofmark verify {run}"), "judges the kept evidence again"));
    }
    next
}

/// The steps with this verdict, and the scenarios whose verdict does not come from their steps: they list none, or are
/// worse than each of them.
pub(super) fn those(report: &Report, verdict: Verdict) -> Vec<(&ScenarioReport, Option<&StepReport>)> {
    let those = report.scenarios.iter().flat_map(|scenario| {
        let mut steps: Vec<_> =
            scenario.steps.iter().filter(|step| step.verdict == verdict).map(Some).collect();
        if steps.is_empty() && scenario.verdict == verdict {
            steps.push(None);
        }
        steps.into_iter().map(move |step| (scenario, step))
    });
    those.collect()
}

/// Why a scenario has a verdict that does not come from its steps.
pub(super) fn alone(scenario: &ScenarioReport) -> &str {
    scenario.reason.as_deref().unwrap_or("no step of it ended so, but the scenario did")
}

/// The number of steps by verdict, or the scenario's own verdict if it has no steps.
pub(super) fn tallied(scenario: &ScenarioReport) -> String {
    if scenario.steps.is_empty() {
        return scenario.verdict.word().to_owned();
    }
    tally(Tally::of(scenario.steps.iter().map(|step| step.verdict)))
}

/// The steps that need attention, failed ones first.
fn bad(report: &Report) -> impl Iterator<Item = (&ScenarioReport, &StepReport)> {
    [Verdict::Failed, Verdict::Unverified].into_iter().flat_map(move |verdict| {
        let all = report.scenarios.iter().flat_map(|s| s.steps.iter().map(move |step| (s, step)));
        all.filter(move |(_, step)| step.verdict == verdict)
    })
}

/// The values of `--only` that run the failed and undecided parts again: whole scenarios, because a step may need what
/// earlier steps captured.
fn again(report: &Report) -> Option<String> {
    let mut ids: Vec<String> = bad(report).map(|(scenario, _)| line(&scenario.id)).collect();
    ids.sort();
    ids.dedup();
    let some = ids.len() < report.scenarios.len() && (1..=AGAIN).contains(&ids.len());
    (report.complete && some).then(|| ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_text_is_wrapped_and_nothing_is_lost() {
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one twothreefour", 8), ["one", "twothree", "four"]);
        assert_eq!(wrap("12345678 9", 8), ["12345678", "9"]);
    }

    #[test]
    fn values_are_plain_and_cannot_be_taken_for_others() {
        for (value, shown) in [
            (json!("ready"), "ready"),
            (json!("1"), "\"1\""),
            (json!(1), "1"),
            (json!(5_242_880.0), "5242880"),
            (json!(0.25), "0.25"),
            (json!("true"), "\"true\""),
            (json!(""), "\"\""),
            (json!(" x"), "\" x\""),
            (json!("\"x\""), "\"\\\"x\\\"\""),
            (json!({"equals": "ready"}), "ready"),
            (json!({"equals": "1"}), "\"1\""),
            (json!({"equals": {"a": 1}}), "{\"equals\":{\"a\":1}}"),
            (json!({"not": {"equals": 1}}), "not equals 1"),
            (json!({"newer-than": "26h"}), "newer-than 26h"),
            (json!({"near": {"value": 100.0, "within": "5%"}}), "near 100 within 5%"),
            (json!({"count": {"min": 1, "max": 3}}), "count max 3 min 1"),
            (json!({"every": {"not": {"min": 1}}}), "every not min 1"),
            (json!({"job": "shop"}), "{\"job\":\"shop\"}"),
            (json!({"every": {"job": "shop"}}), "{\"every\":{\"job\":\"shop\"}}"),
            (json!([1, "a"]), "[1,\"a\"]"),
            (json!(null), "null"),
        ] {
            assert_eq!(plain(&value), shown);
        }
    }

    #[test]
    fn a_command_to_a_ci_runner_becomes_text_and_all_else_stays() {
        for (text, shown) in [
            ("::error::x", "+:error::x"),
            ("a\n \t::stop-commands::x\n::", "a\n \t+:stop-commands::x\n+:"),
            ("a ::error::x", "a ::error::x"),
            ("a\r::error::x\r\n::b", "a\r+:error::x\r\n+:b"),
            ("x ##[error]y", "x ##+error]y"),
            ("###[error]##[", "###+error]##+"),
            ("##vso[task]", "##vso+task]"),
            ("## A [title] #[x] [##] ##", "## A [title] #[x] [##] ##"),
            ("\n \n", "\n \n"),
        ] {
            assert_eq!(inert(text, "+", "+"), shown);
        }
    }
}
