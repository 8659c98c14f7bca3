//! The report as one HTML file: no network, no script, readable on a phone, on paper and in dark mode.
//!
//! This module builds the texts of the page; `report.html` beside this file is the template, which is read at compile
//! time. Every text goes through the template engine's HTML escaping, which is never switched off.

use super::{RenderError, Report, ScenarioReport, StepReport, words};
use askama::Template;
use proofmark_model::{Finding, Verdict};
use serde_json::Value;

/// Longest value that the page shows, in characters, of a finding that did not pass and of one that did; the evidence
/// file holds the whole value.
const WIDTH: usize = 4000;
const PASSED_WIDTH: usize = 600;
/// The most steps that a passed scenario shows unfolded.
const MANY: usize = 15;

/// Renders the whole page.
///
/// # Errors
/// When the template engine fails.
pub fn render(report: &Report) -> Result<String, RenderError> {
    // The engine drops the newline at the end of the template.
    Ok(Page::of(report).render()? + "\n")
}

/// A verdict as the page shows it: its word is also the name of its style.
struct Stamp {
    word: &'static str,
    mark: &'static str,
}

impl Stamp {
    fn of(verdict: Verdict) -> Self {
        Self { word: verdict.word(), mark: words::mark(verdict) }
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    stamp: Stamp,
    headline: String,
    counts: Vec<Count>,
    brief: Vec<String>,
    facts: Vec<Fact>,
    exit: u8,
    meaning: &'static str,
    again: &'static str,
    next: Vec<Fact>,
    groups: Vec<Group>,
    scenarios: Vec<Scenario>,
    proofmark: String,
}

/// A labelled line.
struct Fact {
    name: String,
    value: String,
}

struct Count {
    stamp: Stamp,
    /// The section of the page that lists them.
    place: &'static str,
    number: usize,
}

/// The steps that share a verdict other than passed.
struct Group {
    word: &'static str,
    title: &'static str,
    steps: Vec<Step>,
}

struct Scenario {
    stamp: Stamp,
    id: String,
    title: String,
    claim: Option<String>,
    does_not_prove: Option<String>,
    reason: Option<String>,
    seconds: String,
    tally: String,
    /// The text shown while the steps are folded.
    folded: Option<String>,
    steps: Vec<Step>,
}

struct Step {
    stamp: Stamp,
    /// `scenario#step`, or the scenario alone where no single step is concerned.
    name: String,
    id: String,
    title: String,
    kind: Option<String>,
    reason: Option<String>,
    seconds: String,
    rounds: Option<String>,
    file: Option<String>,
    sha256: Option<String>,
    open: bool,
    findings: Vec<Row>,
}

struct Row {
    stamp: Stamp,
    what: String,
    expected: String,
    seen: String,
    help: Option<String>,
}

impl Page {
    fn of(report: &Report) -> Self {
        let (meaning, again) = words::meaning(report);
        let tally = report.counts.steps;
        let counts = words::ORDER.into_iter().filter(|verdict| tally.get(*verdict) > 0);
        Self {
            title: words::line(&report.run),
            stamp: Stamp::of(report.verdict),
            headline: words::headline(report),
            counts: counts.map(|v| Count::of(v, tally.get(v))).collect(),
            brief: brief(report),
            facts: facts(report),
            exit: report.exit.code(),
            meaning,
            again,
            next: next(report),
            groups: groups(report),
            scenarios: report.scenarios.iter().map(|scenario| Scenario::of(report, scenario)).collect(),
            proofmark: report.proofmark.clone(),
        }
    }
}

impl Count {
    fn of(verdict: Verdict, number: usize) -> Self {
        let place = if verdict == Verdict::Passed { "all" } else { verdict.word() };
        Self { stamp: Stamp::of(verdict), place, number }
    }
}

/// The facts directly below the verdict; the other facts about the run are at the end.
fn brief(report: &Report) -> Vec<String> {
    let took = format!("took {}", words::seconds(report.seconds));
    let exit = format!("exit {}: {}", report.exit.code(), words::meaning(report).0);
    started(report).into_iter().chain([took, exit]).collect()
}

fn started(report: &Report) -> Option<String> {
    report.started.map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn next(report: &Report) -> Vec<Fact> {
    let next = words::next(report).into_iter();
    next.map(|(name, why)| Fact { name, value: why.to_owned() }).collect()
}

fn facts(report: &Report) -> Vec<Fact> {
    let facts = [
        ("Run", Some(report.run.clone())),
        ("Started", started(report)),
        ("Took", Some(words::seconds(report.seconds))),
        ("Exit", Some(format!("{}: {}", report.exit.code(), words::meaning(report).0))),
        ("Operator", report.operator.clone()),
        ("Host", report.host.clone()),
        ("Environment", report.environment.clone()),
        ("Commit", report.commit.clone()),
        ("Command", report.command.as_ref().map(|command| format!("proofmark {command}"))),
        ("Allowed besides reading", report.allow.as_ref().map(|allow| allow.join(", "))),
        ("Version", report.version.clone()),
        ("Interrupted by", report.interrupted_by.clone()),
        ("Complete", (!report.complete).then(|| "no".to_owned())),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, words::line(&value?))));
    let told = known.filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| Fact { name: name.to_owned(), value }).collect()
}

fn groups(report: &Report) -> Vec<Group> {
    let titles = [
        (Verdict::Failed, "What failed"),
        (Verdict::Unverified, "What could not be decided"),
        (Verdict::Skipped, "What was skipped"),
    ];
    let group = |(verdict, title)| {
        let steps = words::those(report, verdict).into_iter().map(|(scenario, step)| match step {
            Some(step) => Step::of(report, scenario, step, true),
            None => Step::whole(scenario),
        });
        Group { word: verdict.word(), title, steps: steps.collect() }
    };
    titles.into_iter().map(group).filter(|group| !group.steps.is_empty()).collect()
}

impl Scenario {
    fn of(report: &Report, scenario: &ScenarioReport) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| words::lines(text));
        let many = scenario.verdict == Verdict::Passed && scenario.steps.len() > MANY;
        Self {
            folded: many.then(|| format!("All {} steps", scenario.steps.len())),
            stamp: Stamp::of(scenario.verdict),
            id: words::line(&scenario.id),
            title: words::line(&scenario.title),
            claim: some(&scenario.claim),
            does_not_prove: scenario.does_not_prove.as_deref().and_then(some),
            reason: scenario.reason.as_deref().and_then(some),
            seconds: words::seconds(scenario.seconds),
            tally: words::tally(super::Tally::of(scenario.steps.iter().map(|step| step.verdict))),
            steps: scenario.steps.iter().map(|step| Step::of(report, scenario, step, false)).collect(),
        }
    }
}

impl Step {
    /// A scenario whose verdict does not come from its steps: it lists none, or is worse than each of them.
    fn whole(scenario: &ScenarioReport) -> Self {
        Self {
            stamp: Stamp::of(scenario.verdict),
            name: words::line(&scenario.id),
            id: String::new(),
            title: words::line(&scenario.title),
            kind: None,
            reason: Some(words::lines(words::alone(scenario))),
            seconds: words::seconds(scenario.seconds),
            rounds: None,
            file: None,
            sha256: None,
            open: false,
            findings: Vec::new(),
        }
    }

    /// A step; if `briefly`, with only the findings that did not pass.
    fn of(report: &Report, scenario: &ScenarioReport, step: &StepReport, briefly: bool) -> Self {
        let shown = step.findings.iter().filter(|finding| !briefly || finding.verdict != Verdict::Passed);
        let mut findings: Vec<Row> = shown.map(Row::of).collect();
        if briefly {
            findings.sort_by_key(|row| row.stamp.word != Verdict::Failed.word());
        }
        let bare = findings.is_empty() && step.verdict != Verdict::Passed;
        let reason = step.reason.as_deref().map(words::lines);
        Self {
            stamp: Stamp::of(step.verdict),
            name: words::line(&format!("{}#{}", scenario.id, step.id)),
            id: if step.title.is_some() { words::line(&step.id) } else { String::new() },
            title: words::line(step.title.as_deref().unwrap_or(&step.id)),
            kind: step.kind.as_deref().map(words::line),
            reason: reason.or_else(|| bare.then(|| words::why(step, WIDTH))),
            seconds: words::seconds(step.seconds),
            rounds: (step.rounds > 1).then(|| words::count(step.rounds as usize, "round")),
            file: step.file.as_deref().map(|file| words::place(report, file)),
            sha256: step.sha256.as_deref().map(words::line),
            open: matches!(step.verdict, Verdict::Failed | Verdict::Unverified) && step.file.is_some(),
            findings,
        }
    }
}

impl Row {
    fn of(finding: &Finding) -> Self {
        Self {
            stamp: Stamp::of(finding.verdict),
            what: words::lines(&finding.what),
            expected: shown(finding, &finding.expected),
            seen: shown(finding, &finding.seen),
            help: finding.help.as_deref().map(words::lines),
        }
    }
}

/// A finding's value as the page shows it: nested values are indented.
fn shown(finding: &Finding, value: &Value) -> String {
    let width = if finding.verdict == Verdict::Passed { PASSED_WIDTH } else { WIDTH };
    let plain = words::plain(value);
    // Lists and maps that have no form in words.
    let text = if plain.starts_with(['[', '{']) && !value.is_string() {
        serde_json::to_string_pretty(value).unwrap_or(plain)
    } else {
        plain
    };
    words::cut(&words::lines(&text), width)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_verdict_comes_first_then_what_failed_then_everything() {
        let page = render(&sample::failed()).unwrap();
        let order = [
            "class=\"stamp failed\"",
            "What failed",
            "connection refused",
            "What could not be decided",
            "What was skipped",
            "All scenarios",
            "A failed Velero backup shows in Prometheus.",
            "That a Velero backup can be restored.",
            "every rule is healthy",
            "exit 1",
        ];
        let mut rest = page.split_once("<body").unwrap().1;
        for text in order {
            rest = rest.split_once(text).unwrap_or_else(|| panic!("{text} is not where it should be")).1;
        }
        for text in
            ["anna", "runner-1", "environments/homelab.yaml", "2026-02-16 02:00:00 UTC", "60f4ed0c1d2e"]
        {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let page = render(&sample::failed()).unwrap();
        for forbidden in ["<script", "<link", "src=", "@import", "url(", "http://", "https://", "{{"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        // Links lead only to sections of the page, whatever the evidence contains.
        for page in [page, render(&sample::hostile()).unwrap()] {
            let links: Vec<&str> = page.split("href=").skip(1).collect();
            assert!(!links.is_empty());
            for link in links {
                let place = link.strip_prefix("\"#").and_then(|rest| rest.split('"').next()).unwrap();
                assert!(page.contains(&format!("<section id=\"{place}\">")), "{place}");
            }
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let page = render(&sample::hostile()).unwrap();
        assert!(!page.contains("<script") && !page.contains("<img"));
        assert!(page.contains("&#60;script&#62;"));
        assert!(!page.contains(['\u{0}', '\u{1b}', '\u{202e}']));
        // The page has as many tags as the same page without attacks: no text opened or closed a tag. (An interruption
        // adds a fact.)
        let mut tame = sample::hostile();
        let text = serde_json::to_string(&tame).unwrap().replace(['<', '>'], " ");
        tame = serde_json::from_str(&text).unwrap();
        assert_eq!(page.matches('<').count(), render(&tame).unwrap().matches('<').count());
    }

    #[test]
    fn a_scenario_that_is_worse_than_its_steps_is_among_what_failed() {
        let mut report = sample::passed();
        report.verdict = Verdict::Failed;
        report.scenarios[0].verdict = Verdict::Failed;
        report.scenarios[0].reason = Some("the world did not come back".to_owned());
        let page = render(&report).unwrap();
        let (_, failed) = page.split_once("What failed").unwrap();
        assert!(failed.split_once("All scenarios").unwrap().0.contains("the world did not come back"));
    }

    #[test]
    fn an_incomplete_run_says_so_at_the_top() {
        let page = render(&sample::incomplete()).unwrap();
        assert!(page.contains("The run is incomplete"));
        assert!(page.contains("class=\"stamp unverified\""));
    }

    /// Writes the pages for inspection: `cargo test -p proofmark --lib -- --ignored pages_to_look_at`.
    #[test]
    #[ignore = "makes files for a person's eyes"]
    fn pages_to_look_at() {
        let dir = std::env::temp_dir().join("proofmark-pages");
        for (name, report) in
            [("failed", sample::failed()), ("passed", sample::passed()), ("incomplete", sample::incomplete())]
        {
            super::super::write(&Report { run: name.to_owned(), ..report }, &dir).unwrap();
        }
    }
}
