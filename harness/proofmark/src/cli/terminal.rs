//! Shows a run while it goes on, and what came of it.

use super::arguments::{LiveFormat, RunArgs};
use super::github::annotate;
use super::output::{give, refuse, say, tell};
use crate::app::error::{OpenError, RunError};
use crate::app::observer::{RunObserver, RunSinks};
use crate::app::outcome::RunOutcome;
use proofmark_environment::Systems;
use proofmark_evidence::report::progress::Progress;
use proofmark_evidence::report::{json, text};
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::{Event, Exit, Line};
use serde_json::json;
use std::io::IsTerminal;
use std::sync::Arc;

/// Asks whether to go on.
pub(super) type Confirm = fn(&Systems) -> Result<(), Diag>;

/// Shows the events while they happen: to people on standard error, to machines on standard output.
pub(super) struct Terminal {
    format: LiveFormat,
    clock: Clock,
    confirm: Option<Confirm>,
}

impl Terminal {
    /// Asks nothing.
    pub(super) fn new(args: &RunArgs, clock: &Clock) -> Self {
        Self { format: args.format, clock: clock.clone(), confirm: None }
    }

    /// Asks this before anything is touched.
    #[cfg(feature = "backup")]
    pub(super) fn asking(self, confirm: Option<Confirm>) -> Self {
        Self { confirm, ..self }
    }
}

impl RunObserver for Terminal {
    fn note(&self, diag: &Diag) {
        let help = diag.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        tell(&format!("note: {}{help}\n", diag.message));
    }

    fn confirm(&self, systems: &Systems) -> Result<(), Diag> {
        self.confirm.map_or(Ok(()), |confirm| confirm(systems))
    }

    fn sinks(&self) -> RunSinks {
        match self.format {
            LiveFormat::Human => {
                let mut progress = Progress::start(&self.clock);
                let heard = progress.heard();
                RunSinks {
                    events: Box::new(move |line| progress.take(line)),
                    progress: Some(Arc::new(heard)),
                }
            }
            LiveFormat::Jsonl => {
                let events = |line: &Line| {
                    // The last line also says where the evidence is; it follows when that is sealed.
                    if !matches!(line.event, Event::RunEnded { .. }) {
                        give(&json::line(&json!(line)));
                    }
                };
                RunSinks { events: Box::new(events), progress: None }
            }
        }
    }
}

/// What people read of a run.
pub(super) enum Shown {
    /// This, before the report.
    Before(String),
    /// This, in the place of the report.
    #[cfg(any(feature = "alerting", feature = "backup"))]
    Alone(serde_json::Value),
}

/// Shows a run that ended, or why there is none.
pub(super) fn show_run(args: &RunArgs, ended: &Result<RunOutcome, RunError>) -> Exit {
    match ended {
        Ok(outcome) => show_outcome(args, outcome, || Shown::Before(String::new())),
        Err(error) => show_error(error),
    }
}

/// Shows a run that ended; `shown` is called where people read it.
pub(super) fn show_outcome(args: &RunArgs, outcome: &RunOutcome, shown: impl FnOnce() -> Shown) -> Exit {
    for diag in &outcome.diagnostics {
        tell(&diag.render(false));
    }
    match args.format {
        LiveFormat::Human => match shown() {
            #[cfg(any(feature = "alerting", feature = "backup"))]
            Shown::Alone(value) => {
                give(&format!("{value:#}\n"));
                tell(&format!("evidence  {}", outcome.folder.display()));
            }
            Shown::Before(text) => {
                say(&text);
                show_report(outcome);
            }
        },
        LiveFormat::Jsonl => {
            let mut line = json!(outcome.run.lines.last());
            line["evidence"] = json!(outcome.folder);
            line["exit"] = json!(outcome.exit);
            give(&json::line(&line));
        }
    }
    outcome.exit
}

fn show_report(outcome: &RunOutcome) {
    let page = outcome.reports.first().map(std::path::PathBuf::as_path);
    say(&text::render(&outcome.report, page, std::io::stdout().is_terminal()));
    say(&format!("\nevidence  {}\n", outcome.folder.display()));
    if let Some(page) = page {
        say(&format!("reports   {}\n", page.with_extension("{html,xml,json}").display()));
    }
    annotate(&outcome.report);
}

/// Shows why there is no outcome.
pub(super) fn show_error(error: &RunError) -> Exit {
    let wrong = error.diagnostics();
    match error {
        RunError::Refused(_) | RunError::NotRecovered(_) => {
            refuse(&wrong);
        }
        RunError::Owed(diag) => tell(&format!(
            "{}\n\nnothing was run: a change on top of another cannot be told apart from it",
            rendered(diag)
        )),
        RunError::Journal(_) | RunError::Evidence(_) | RunError::ReadBack(_) => {
            for diag in &wrong {
                tell(&rendered(diag));
            }
        }
    }
    error.exit()
}

/// Shows why a run cannot be read.
pub(super) fn show_unread(error: &OpenError) -> Exit {
    tell(&rendered(&error.diagnostic));
    error.exit
}

fn rendered(diag: &Diag) -> String {
    diag.render(std::io::stderr().is_terminal())
}
