//! The report as markdown, for a job's summary, a merge request or a chat: the verdict, then what failed and what to do
//! about it, then tables.
//!
//! Text from systems is placed in fenced blocks, formatted as in the terminal report. Names and titles in headings and
//! tables go through [`text`], which leaves nothing that a markdown parser could interpret.

use super::{Report, ScenarioReport, StepReport, text as terminal, words};
use proofmark_model::Verdict;
use std::fmt::Write as _;

/// Longest title or reason in a table, in characters.
const WIDTH: usize = 160;
/// Punctuation without a meaning of its own between letters.
const PLAIN: &str = ",.;:?'\"/()%=- ";
/// A zero-width character that ends what would otherwise become a link or a mention.
const JOINER: char = '\u{2060}';

/// Renders the report in at most `limit` bytes. Sections that do not fit are left out from the end, and a sentence says
/// so. Empty if not even the verdict and that sentence fit.
pub fn render(report: &Report, limit: usize) -> String {
    let cut = format!("\n**The rest was left out for its size.** All of it:\n\n{}", fenced(&whole(report)));
    let sections = sections(report);
    if sections.iter().map(String::len).sum::<usize>() <= limit {
        return sections.concat();
    }
    let mut out = String::new();
    for section in sections {
        if out.len() + section.len() + cut.len() > limit {
            break;
        }
        out.push_str(&section);
    }
    if out.is_empty() { out } else { out + &cut }
}

fn whole(report: &Report) -> String {
    format!("proofmark report {} --format markdown\n", words::folder(report))
}

/// The sections of the report, each complete by itself, so that one can be left out.
fn sections(report: &Report) -> Vec<String> {
    let mut sections = vec![head(report)];
    for (verdict, title) in [
        (Verdict::Failed, "What failed"),
        (Verdict::Unverified, "What could not be decided"),
        (Verdict::Skipped, "What was skipped"),
    ] {
        let blocks = terminal::blocks(report, verdict, false);
        for (at, block) in blocks.iter().enumerate() {
            let title = if at == 0 { format!("\n## {title}\n") } else { String::new() };
            sections.push(format!("{title}\n{}", fenced(block)));
        }
    }
    sections.push(format!("\n## What to do next\n\n{}", fenced(&terminal::next(report))));
    if !report.scenarios.is_empty() {
        sections.push(overview(report));
        sections.extend(report.scenarios.iter().map(details));
    }
    sections
}

fn head(report: &Report) -> String {
    let word = report.verdict.word().to_uppercase();
    let headline = text(&words::headline(report));
    let mut out = format!("# {} {word}\n\n**{headline}**\n", words::mark(report.verdict));
    let (code, (meaning, again)) = (report.exit.code(), words::meaning(report));
    let took = words::seconds(report.seconds);
    let facts = [
        ("run", Some(report.run.clone())),
        ("took", Some(took)),
        ("exit", Some(format!("{code}, {meaning}"))),
        ("safe to run again", Some(again.to_owned())),
        ("environment", report.environment.clone()),
        ("operator", report.operator.clone()),
        ("host", report.host.clone()),
        ("commit", report.commit.clone()),
    ];
    out.push('\n');
    for (name, fact) in facts {
        if let Some(fact) = fact.map(|fact| text(&fact)).filter(|fact| !fact.is_empty()) {
            let _ = writeln!(out, "- {name}: {fact}");
        }
    }
    out
}

fn overview(report: &Report) -> String {
    let mut out = "\n## All scenarios\n\n| verdict | scenario | title | steps | took |\n".to_owned();
    out.push_str("|---|---|---|---|---:|\n");
    for scenario in &report.scenarios {
        row(
            &mut out,
            scenario.verdict,
            [
                &scenario.id,
                &words::cut(&scenario.title, WIDTH),
                &words::tallied(scenario),
                &words::seconds(scenario.seconds),
            ],
        );
    }
    out
}

/// A scenario's claim and its steps, folded.
fn details(scenario: &ScenarioReport) -> String {
    let (mark, id) = (words::mark(scenario.verdict), text(&scenario.id));
    let tally = text(&words::tallied(scenario));
    let mut out = format!("\n<details>\n<summary>{mark} {id}, {tally}</summary>\n\n");
    let said = [
        ("Claim", Some(scenario.claim.as_str())),
        ("Does not prove", scenario.does_not_prove.as_deref()),
        ("Reason", scenario.reason.as_deref()),
        ("File", scenario.source.as_deref()),
    ];
    for (name, said) in said {
        if let Some(said) = said.map(text).filter(|said| !said.is_empty()) {
            let _ = writeln!(out, "- {name}: {said}");
        }
    }
    if !scenario.steps.is_empty() {
        out.push_str(
            "\n| verdict | step | title | kind | what was seen | took |\n|---|---|---|---|---|---:|\n",
        );
    }
    for step in &scenario.steps {
        let title = words::cut(step.title.as_deref().unwrap_or_default(), WIDTH);
        let kind = step.kind.as_deref().unwrap_or_default();
        row(&mut out, step.verdict, [&step.id, &title, kind, &seen(step), &words::seconds(step.seconds)]);
    }
    out.push_str("\n</details>\n");
    out
}

fn seen(step: &StepReport) -> String {
    if step.verdict == Verdict::Passed {
        return words::count(step.findings.len(), "finding");
    }
    words::cut(&words::why(step, WIDTH), 2 * WIDTH)
}

fn row<const N: usize>(out: &mut String, verdict: Verdict, cells: [&str; N]) {
    let cells = cells.map(text).join(" | ");
    let _ = writeln!(out, "| {} {} | {cells} |", words::mark(verdict), verdict.word());
}

/// Unchanged text in a code block that the text cannot close.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{}\n{fence}\n", text.trim_matches('\n'))
}

/// Makes one line of text without markup: every character that could be markup becomes a numeric character reference,
/// which is never parsed as markup. Links, mentions and references are recognised in the result, so these are split.
fn text(text: &str) -> String {
    let clean = words::line(text);
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek();
        // Markdown parsers treat `www.` as a link, like `https://`.
        if c == '.' && out.len() >= 3 && out.as_bytes()[out.len() - 3..].eq_ignore_ascii_case(b"www") {
            out.push(JOINER);
        }
        if c.is_ascii_punctuation() && !PLAIN.contains(c) {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
        let reference = c == '#' && next.is_some_and(char::is_ascii_digit);
        if c == '@' || reference || c == ':' && next == Some(&'/') {
            out.push(JOINER);
        }
    }
    out
}

#[cfg(test)]
mod tests;
