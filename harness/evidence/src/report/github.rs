//! The report for GitHub Actions: a workflow command for each step that did not pass, which GitHub shows at the step's
//! line of the scenario file, and a summary for the job's page.
//!
//! The form of the commands, their escaping and GitHub's limits follow "Workflow commands for GitHub Actions" in its
//! documentation, and the runner's own parser, `ActionCommand`.

use super::{Report, ScenarioReport, StepReport, markdown, words};
use proofmark_model::{Exit, Verdict};
use std::io::{self, Write as _};
use std::path::Path;

/// The most annotations of a type that GitHub shows for each step of a job.
const SHOWN: usize = 10;
/// The largest step summary that GitHub accepts, in bytes; it rejects a larger one as a whole.
const SUMMARY: u64 = 1024 * 1024;
/// Longest value in a message and longest title, in characters; and the most findings in a message.
const WIDTH: usize = 480;
const TITLE: usize = 200;
const FINDINGS: usize = 5;

/// Renders one workflow command per line: `error` for failed steps, `warning` for undecided ones. If there are more
/// than GitHub shows, the last one gives their number. Empty if everything passed or was skipped.
pub fn render(report: &Report) -> String {
    let all = [(Verdict::Failed, "error"), (Verdict::Unverified, "warning")]
        .map(|(verdict, command)| (verdict, command, words::those(report, verdict)));
    let silent = all.iter().all(|(.., those)| those.is_empty());
    let explained = match report.exit {
        Exit::Passed => true,
        Exit::Failed | Exit::Unverified => !silent,
        _ => false,
    };
    // A run can be worse than all of its steps. That annotation comes first, so that the limit cannot cut it off.
    let whole = (!report.complete || !explained).then(|| whole(report));
    let mut out = String::new();
    for (verdict, command, those) in all {
        let whole = whole.as_deref().filter(|_| command == "error");
        out.push_str(whole.unwrap_or_default());
        let room = SHOWN - usize::from(whole.is_some());
        let most = if those.len() > room { room - 1 } else { room };
        for (scenario, step) in those.iter().take(most) {
            out.push_str(&annotation(report, command, scenario, *step));
        }
        let more = those.len().saturating_sub(most);
        if more > 0 {
            let message = format!("{more} more {}; the report lists them all", ended(verdict, more));
            out.push_str(&line(command, &[("title", "proofmark")], &message));
        }
    }
    out
}

/// The annotation for the run as a whole.
fn whole(report: &Report) -> String {
    let (meaning, again) = words::meaning(report);
    let message = format!("exit {}: {meaning}; safe to run again: {again}", report.exit.code());
    line("error", &[("title", &format!("proofmark: {}", words::headline(report)))], &message)
}

fn ended(verdict: Verdict, number: usize) -> String {
    let step = if number == 1 { "step" } else { "steps" };
    format!("{step} ended {}", verdict.word())
}

fn annotation(
    report: &Report,
    command: &str,
    scenario: &ScenarioReport,
    step: Option<&StepReport>,
) -> String {
    // GitHub resolves a file by its path from the root of the checkout.
    let source = scenario.source.as_deref().map(|path| words::line(path.trim_start_matches("./")));
    let number = step.and_then(|step| step.line).map(|line| line.to_string());
    let (name, title) = match step {
        Some(step) => (format!("{}#{}", scenario.id, step.id), step.title.as_deref()),
        None => (scenario.id.clone(), Some(scenario.title.as_str())),
    };
    let title = words::cut(&title.map_or_else(|| name.clone(), |title| format!("{name}: {title}")), TITLE);
    let properties = [
        ("file", source.as_deref().unwrap_or_default()),
        ("line", number.as_deref().filter(|_| source.is_some()).unwrap_or_default()),
        ("title", &words::line(&title)),
    ];
    let why = step.map_or_else(|| vec![words::line(words::alone(scenario))], |step| why(report, step));
    line(command, &properties, &why.join("\n"))
}

/// The reason, the advice, and the path of the evidence: one line each.
fn why(report: &Report, step: &StepReport) -> Vec<String> {
    let open: Vec<_> = step.findings.iter().filter(|finding| finding.verdict != Verdict::Passed).collect();
    let mut lines = vec![];
    for finding in open.iter().take(FINDINGS) {
        lines.push(words::sentence(finding, WIDTH));
        lines.extend(finding.help.as_deref().map(|help| format!("help: {}", words::line(help))));
    }
    if open.len() > FINDINGS {
        lines.push(format!("… and {} more", open.len() - FINDINGS));
    }
    let reason = step.reason.as_deref().map(|reason| words::cut(&words::line(reason), WIDTH));
    lines.extend(reason.or_else(|| open.is_empty().then(|| words::why(step, WIDTH))));
    lines.extend(step.file.as_deref().map(|file| format!("evidence: {}", words::place(report, file))));
    lines
}

/// Formats `::command name=value,…::message`; properties without a value are left out.
fn line(command: &str, properties: &[(&str, &str)], message: &str) -> String {
    let known = properties.iter().filter(|(_, value)| !value.is_empty());
    let properties: Vec<_> = known.map(|(name, value)| format!("{name}={}", property(value))).collect();
    format!("::{command} {}::{}\n", properties.join(","), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Appends the report as markdown to a step's summary, truncated so that the whole file stays within GitHub's limit.
///
/// # Errors
/// When the file cannot be opened or written, or has no room for even the sentence about the truncation.
pub fn summarise(report: &Report, file: &Path) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    let room = SUMMARY.saturating_sub(file.metadata()?.len());
    let text = markdown::render(report, usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(1));
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "GitHub takes 1 MiB, and it is full"));
    }
    // Existing text may lack a newline at its end.
    file.write_all(format!("\n{text}").as_bytes())
}

#[cfg(test)]
mod tests;
