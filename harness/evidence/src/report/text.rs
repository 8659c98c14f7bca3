//! The report for people in a terminal: the verdict, then what failed and what to do about it, then the rest.

use super::{Report, ScenarioReport, StepReport, words};
use anstyle::{AnsiColor, Style};
use proofmark_model::{Event, Exit, Finding, StepRecord, Verdict};
use std::fmt::Write as _;
use std::path::Path;

/// Longest title, value or reason that is shown, in characters.
const WIDTH: usize = 160;
/// Longest value of a finding, in characters, and the most characters of it on one line.
const LONG: usize = 480;
const COLUMNS: usize = 96;
/// The most findings of a step that are shown; its file holds all.
const FINDINGS: usize = 5;

/// Renders the whole report; `page` is the path of its HTML version, if one was written.
pub fn render(report: &Report, page: Option<&Path>, colour: bool) -> String {
    let html = page;
    let mut page = Page { out: String::new(), colour };
    page.head(report);
    for verdict in [Verdict::Failed, Verdict::Unverified, Verdict::Skipped] {
        page.steps(report, verdict);
    }
    page.scenarios(report);
    page.next(report, html);
    page.inert()
}

/// The blocks for what ended with this verdict: one for each step, and a shared one for those with only a reason.
pub(super) fn blocks(report: &Report, verdict: Verdict, colour: bool) -> Vec<String> {
    let mut blocks: Vec<String> = vec![];
    let mut joins = false;
    for (scenario, step) in words::those(report, verdict) {
        let mut page = Page { out: String::new(), colour };
        match step {
            Some(step) => page.step(report, scenario, step),
            None => page.alone(scenario),
        }
        let (terse, block) = (step.is_none_or(terse), page.inert());
        match blocks.last_mut().filter(|_| joins && terse) {
            Some(last) => last.push_str(&block),
            None => blocks.push(block),
        }
        joins = terse;
    }
    blocks
}

/// What to do next, one line each.
pub(super) fn next(report: &Report) -> String {
    let mut page = Page { out: String::new(), colour: false };
    page.next(report, None);
    page.inert()
}

/// Renders one step by itself: its verdict and its findings, those that did not pass first.
pub fn alone(record: &StepRecord, seconds: f64, exit: Exit, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    let word = page.paint(&record.verdict.word().to_uppercase(), of(record.verdict));
    let facts = format!("{}  exit {}", words::seconds(seconds), exit.code());
    page.line(&format!("{word}  {}  {}", words::line(&record.kind), page.paint(&facts, DIM)));
    let bad = |finding: &&Finding| finding.verdict != Verdict::Passed;
    record.findings.iter().filter(bad).for_each(|finding| page.finding(finding));
    for finding in record.findings.iter().filter(|finding| !bad(finding)) {
        let told = format!("  {} {}", words::mark(finding.verdict), words::sentence(finding, WIDTH));
        page.line(&page.paint(&told, DIM));
    }
    page.inert()
}

/// A finding in one line of bounded length.
pub fn sentence(finding: &Finding) -> String {
    words::line(&words::sentence(finding, WIDTH))
}

/// Text that is less important than the text beside it.
pub(super) fn quiet(text: &str, colour: bool) -> String {
    Page { out: String::new(), colour }.paint(text, DIM)
}

/// The progress line of a step that ended: mark, `scenario#step` in a column, time, and why it did not pass.
fn step_line(scenario: &str, step: &StepReport, wide: usize, colour: bool) -> String {
    let page = Page { out: String::new(), colour };
    let mark = page.paint(words::mark(step.verdict), of(step.verdict));
    let name = words::line(&format!("{scenario}#{}", step.id));
    let kind = words::line(step.kind.as_deref().unwrap_or_default());
    let mut why = match step.verdict {
        Verdict::Passed => format!("{kind}, {}", words::count(step.findings.len(), "finding")),
        _ => words::cut(&words::why(step, WIDTH), 2 * WIDTH),
    };
    if step.rounds > 1 {
        let _ = write!(why, " ({} rounds)", step.rounds);
    }
    if matches!(step.verdict, Verdict::Passed | Verdict::Skipped) {
        why = page.paint(&why, DIM);
    }
    let took = page.paint(&format!("{:>6}", words::seconds(step.seconds)), DIM);
    format!("  {mark} {name:<wide$}  {took}  {why}")
}

/// The progress line for an event: a step's end, a skipped scenario, an interruption. Names are padded to `wide`
/// characters. `None` for other events.
pub fn event_line(event: &Event, wide: usize, colour: bool) -> Option<String> {
    let page = Page { out: String::new(), colour };
    let line = match event {
        Event::StepEnded { .. } | Event::Reverted { .. } => {
            let told = StepReport::ended(event).or_else(|| StepReport::reverted(event));
            told.map(|(scenario, step)| step_line(scenario, &step, wide, colour))
        }
        Event::ScenarioEnded { scenario, verdict: Verdict::Skipped, reason: Some(reason), .. } => {
            let mark = page.paint(words::mark(Verdict::Skipped), of(Verdict::Skipped));
            let why = page.paint(&words::cut(&words::line(reason), WIDTH), DIM);
            Some(format!("  {mark} {:<wide$}  {:>6}  {why}", words::line(scenario), ""))
        }
        Event::Interrupted { by } => {
            let mark = page.paint("!", of(Verdict::Unverified));
            let by = words::line(by);
            Some(format!(
                "  {mark} interrupted by {by}: what changes something comes to its end, what is left is not looked at"
            ))
        }
        _ => None,
    };
    line.map(|out| Page { out, colour }.inert())
}

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

fn of(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Passed => AnsiColor::Green,
        Verdict::Failed => AnsiColor::Red,
        Verdict::Unverified => AnsiColor::Yellow,
        Verdict::Skipped => return DIM,
    };
    colour.on_default().bold()
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    /// The text of the page, without anything that a CI runner would take for a command.
    fn inert(self) -> String {
        super::inert(&self.out)
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn head(&mut self, report: &Report) {
        let word = self.paint(&report.verdict.word().to_uppercase(), of(report.verdict));
        self.line(&format!("{word}  {}", words::headline(report)));
        let (code, (meaning, _)) = (report.exit.code(), words::meaning(report));
        let facts = [
            (!report.run.is_empty()).then(|| format!("run {}", words::line(&report.run))),
            Some(words::seconds(report.seconds)),
            Some(format!("exit {code}: {meaning}")),
        ];
        let facts = facts.into_iter().flatten().collect::<Vec<_>>().join("  ");
        let facts = self.paint(&facts, DIM);
        self.line(&facts);
    }

    /// Writes what ended with this verdict. Entries with only a reason share a block, one line each.
    fn steps(&mut self, report: &Report, verdict: Verdict) {
        for block in blocks(report, verdict, self.colour) {
            self.out.push('\n');
            self.out.push_str(&block);
        }
    }

    fn alone(&mut self, scenario: &ScenarioReport) {
        let mark = self.paint(words::mark(scenario.verdict), of(scenario.verdict));
        let name = self.paint(&words::line(&scenario.id), BOLD);
        self.line(&format!("{mark} {name}  {}", words::cut(&words::line(words::alone(scenario)), WIDTH)));
    }

    fn step(&mut self, report: &Report, scenario: &ScenarioReport, step: &StepReport) {
        let mark = self.paint(words::mark(step.verdict), of(step.verdict));
        let name = self.paint(&words::line(&format!("{}#{}", scenario.id, step.id)), BOLD);
        let title = words::cut(&words::line(step.title.as_deref().unwrap_or_default()), WIDTH);
        if terse(step) {
            let why = words::why(step, WIDTH);
            self.line(&format!("{mark} {name}  {}", self.paint(&why, DIM)));
            return;
        }
        self.line(&format!("{mark} {name}  {title}"));
        let mut open: Vec<&Finding> = step.findings.iter().filter(|f| f.verdict != Verdict::Passed).collect();
        open.sort_by_key(|finding| finding.verdict != Verdict::Failed);
        for finding in open.iter().take(FINDINGS) {
            self.finding(finding);
        }
        if open.len() > FINDINGS {
            self.line(&format!("    … and {} more", open.len() - FINDINGS));
        }
        if step.reason.is_some() || open.is_empty() {
            let reason = step.reason.as_deref().map(|reason| words::cut(&words::line(reason), WIDTH));
            self.line(&format!("    {}", reason.unwrap_or_else(|| words::why(step, WIDTH))));
        }
        if let Some(file) = &step.file {
            self.field("evidence", &words::place(report, file));
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let what = words::cut(&words::line(&finding.what), WIDTH);
        let open = if finding.verdict == Verdict::Unverified { " (not decided)" } else { "" };
        self.line(&format!("    {what}{open}"));
        self.wrapped("expected", &words::value(&finding.expected, LONG), Style::new());
        self.wrapped("seen", &words::value(&finding.seen, LONG), of(finding.verdict));
        if let Some(help) = &finding.help {
            self.wrapped("help", &words::cut(&words::line(help), LONG), Style::new());
        }
    }

    /// A field whose value may take several lines.
    fn wrapped(&mut self, name: &str, value: &str, style: Style) {
        for (at, part) in words::wrap(value, COLUMNS).iter().enumerate() {
            let part = self.paint(part, style);
            self.field(if at == 0 { name } else { "" }, &part);
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        let name = self.paint(&format!("{name:<8}"), DIM);
        self.line(&format!("      {name}  {value}"));
    }

    fn scenarios(&mut self, report: &Report) {
        if report.scenarios.is_empty() {
            return;
        }
        let width = |text: fn(&ScenarioReport) -> String| {
            report.scenarios.iter().map(|s| text(s).chars().count()).max().unwrap_or(0).min(60)
        };
        let (id, tally) = (width(|s| words::line(&s.id)), width(words::tallied));
        let time = width(|s| words::seconds(s.seconds));
        self.out.push('\n');
        for scenario in &report.scenarios {
            let mark = self.paint(words::mark(scenario.verdict), of(scenario.verdict));
            let title = words::cut(&words::line(&scenario.title), WIDTH / 2);
            let (name, seconds) = (words::line(&scenario.id), words::seconds(scenario.seconds));
            let row = format!("{name:<id$}  {:<tally$}  {seconds:>time$}", words::tallied(scenario));
            self.line(&format!("{mark} {row}  {}", self.paint(&title, DIM)));
        }
        let (scenarios, steps) = (report.counts.scenarios, report.counts.steps);
        let scenarios =
            format!("{}: {}", words::count(scenarios.total(), "scenario"), words::tally(scenarios));
        let steps = format!("{}: {}", words::count(steps.total(), "step"), words::tally(steps));
        self.line(&format!("\n{scenarios}\n{steps}"));
    }

    fn next(&mut self, report: &Report, html: Option<&Path>) {
        let mut next = words::next(report);
        next.push(match html {
            Some(path) => (words::line(&path.display().to_string()), "the whole report, with what passed"),
            None => (
                format!("proofmark report {} --reports reports", words::folder(report)),
                "writes the whole report: HTML, JUnit, JSON",
            ),
        });
        let width = next.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
        self.out.push('\n');
        for (at, (what, why)) in next.iter().enumerate() {
            let label = if at == 0 { "next:" } else { "" };
            let why = self.paint(why, DIM);
            self.line(&format!("{label:<5} {what:<width$}  {why}"));
        }
    }
}

/// Whether a step was skipped or never ended, so that only its reason can be shown.
fn terse(step: &StepReport) -> bool {
    step.verdict == Verdict::Skipped || step.file.is_none()
}

#[cfg(test)]
mod tests;
