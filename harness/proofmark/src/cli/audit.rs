//! `audit`: what a live system would not tell. No files: a URL is enough. Its result can be written down as scenarios that
//! guard what is well.

use super::embedded::CommandArgs;
use super::output::{note_password, tell};
use super::terminal::{Shown, Terminal, show_error, show_outcome};
use crate::app;
use crate::app::audit::guard::WrittenGuard;
use crate::app::audit::prometheus::{AuditOutcome, AuditRequest};
use crate::app::audit::result::{Audited, AuditedAlert, may_notify, surely_notifies};
use clap::{Args, Subcommand};
use proofmark_evidence::report::{line, many};
use proofmark_model::clock::Clock;
use proofmark_model::{Exit, StepRecord};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(super) const EXAMPLES: &str =
    "Example:\n  proofmark audit prometheus --url http://127.0.0.1:9090 --alertmanager http://127.0.0.1:9093";

const OF_PROMETHEUS: &str = "Examples:
  proofmark audit prometheus --url http://127.0.0.1:9090
  proofmark audit prometheus --url http://127.0.0.1:9090 --alertmanager http://127.0.0.1:9093 --all
  proofmark audit prometheus --env environment.yaml --write scenarios/audit

It only reads, and asks no more than 4 questions at once. A line that begins with `never` is an alert that can never \
fire, one that begins with `undecided` an alert of which that could not be decided. `--write` turns what is well into \
scenarios: they pass now, and fail when a rule is taken away or dies.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for alerts that can never fire, targets that are down, a reload that failed, alerts that reach nobody
    #[command(after_help = OF_PROMETHEUS)]
    Prometheus(AuditCommandArgs),
}

#[derive(Debug, Clone, Args)]
pub(super) struct AuditCommandArgs {
    /// Where Prometheus is: a URL, or `env:NAME` for the variable that holds it
    #[arg(long, value_name = "URL", required_unless_present = "env", conflicts_with = "env")]
    url: Option<String>,
    /// Where its Alertmanager is, likewise; without it nobody looks to whom alerts go
    #[arg(long, value_name = "URL", conflicts_with = "env")]
    alertmanager: Option<String>,
    /// Also list the alerts that could fire
    #[arg(long)]
    all: bool,
    /// Folder that gets scenarios which guard what is well from now on
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(flatten)]
    common: CommandArgs,
}

/// Audits.
pub(super) async fn audit(Command::Prometheus(options): &Command, clock: &Clock) -> Exit {
    let AuditCommandArgs { common, all, .. } = options;
    options.url.iter().for_each(|url| note_password("--url", url));
    options.alertmanager.iter().for_each(|url| note_password("--alertmanager", url));
    let request = AuditRequest {
        url: options.url.clone(),
        alertmanager: options.alertmanager.clone(),
        write: options.write.clone(),
        command: common.options(),
    };
    let ended = app::audit::prometheus::audit(&request, &Terminal::new(&common.kept, clock), clock).await;
    let AuditOutcome { outcome, audited, guards, unwritten } = match ended {
        Ok(ended) => ended,
        Err(error) => return show_error(&error),
    };
    let exit = show_outcome(&common.kept, &outcome, || {
        let shown = AuditText(&audited);
        if common.json {
            return Shown::Alone(shown.json());
        }
        let written = options.write.as_deref().zip(guards.as_deref());
        Shown::Before(shown.text(*all) + &written.map(written_guards).unwrap_or_default())
    });
    if let Some(diag) = unwritten {
        tell(&diag.render(false));
    }
    exit
}

/// The files that were written, a line each.
fn written_guards((folder, guards): (&Path, &[WrittenGuard])) -> String {
    if guards.is_empty() {
        return "nothing is well enough to be guarded, so nothing was written\n\n".to_owned();
    }
    let mut out = String::new();
    for WrittenGuard { path, steps, left_out } in guards {
        let left = if *left_out == 0 { String::new() } else { format!(", {left_out} left out") };
        let _ = writeln!(out, "written  {}  {}{left}", path.display(), many(*steps, "step"));
    }
    format!("{out}         proofmark run {} --env FILE\n\n", folder.display())
}

/// What an audit found, in words.
struct AuditText<'a>(&'a Audited);

impl AuditText<'_> {
    /// What is wrong, in a few words each; where nothing is, what was looked at.
    fn headline(&self) -> String {
        let parts = [self.of_alerts(), self.of_targets(), self.of_reload(), self.of_routes()];
        let parts: Vec<(bool, String)> = parts.into_iter().flatten().flatten().collect();
        let bad: Vec<&str> = parts.iter().filter(|(good, _)| !good).map(|(_, text)| text.as_str()).collect();
        let all = parts.iter().map(|(_, text)| text.as_str()).collect();
        (if bad.is_empty() { all } else { bad }).join(", ")
    }

    fn of_alerts(&self) -> Option<Vec<(bool, String)>> {
        let total = self.0.alerts.len();
        if total == 0 {
            let nothing = self.0.rules.as_ref()?.observation.is_null();
            let told = if nothing { "the alerts could not be seen" } else { "there is no alert" };
            return Some(vec![(false, told.to_owned())]);
        }
        let (never, open) = (self.0.number("never"), self.0.number("undecided"));
        let mut parts = vec![match never {
            0 if open == 0 => (true, format!("each of {} could fire", many(total, "alert"))),
            0 => (true, format!("none of {} is known to be dead", many(total, "alert"))),
            never => (false, format!("{never} of {} can never fire", many(total, "alert"))),
        }];
        if open > 0 {
            parts.push((false, format!("{open} could not be decided")));
        }
        Some(parts)
    }

    fn of_targets(&self) -> Option<Vec<(bool, String)>> {
        let seen = &self.0.targets.as_ref()?.observation;
        let Some(targets) = seen["targets"].as_array() else {
            return Some(vec![(false, "the targets could not be seen".to_owned())]);
        };
        let number = |health: &str| targets.iter().filter(|target| target["health"] == health).count();
        let (down, up) = (number("down"), number("up"));
        let open = targets.len() - down - up;
        let told = |number: usize, how: &str| {
            format!("{} {} {how}", many(number, "target"), if number == 1 { "is" } else { "are" })
        };
        Some(match (down, open) {
            (0, 0) => vec![(up > 0, told(up, "up"))],
            (0, open) => vec![(false, told(open, "not scraped yet"))],
            (down, _) => vec![(false, told(down, "down"))],
        })
    }

    fn of_reload(&self) -> Option<Vec<(bool, String)>> {
        let part = match self.0.status.as_ref()?.observation["reload-ok"].as_bool() {
            Some(true) => (true, "the last reload succeeded"),
            Some(false) => (false, "the last reload failed"),
            None => (false, "whether the last reload succeeded could not be seen"),
        };
        Some(vec![(part.0, part.1.to_owned())])
    }

    fn of_routes(&self) -> Option<Vec<(bool, String)>> {
        let seen = &self.0.routes.as_ref()?.observation;
        let Some(alerts) = seen["alerts"].as_array() else {
            return Some(vec![(false, "to whom alerts go could not be seen".to_owned())]);
        };
        let lost = alerts.iter().filter(|alert| !may_notify(seen, alert)).count();
        let open = alerts.iter().filter(|alert| !surely_notifies(seen, alert)).count() - lost;
        let go = if lost == 1 { "goes" } else { "go" };
        let mut parts = vec![match lost {
            0 => (open == 0, "no alert is known to be lost on its way".to_owned()),
            lost => (false, format!("{} {go} to no receiver", many(lost, "alert"))),
        }];
        if open > 0 {
            parts.push((false, format!("{} may reach nobody", many(open, "alert"))));
        }
        if seen["sent-to"].as_array().is_some_and(Vec::is_empty) {
            parts.push((false, "Prometheus sends its alerts nowhere".to_owned()));
        }
        Some(parts)
    }

    fn text(&self, all: bool) -> String {
        let mut out = format!("{}\n\n", self.headline());
        let shown = |alert: &&AuditedAlert| all || alert.class != "living";
        for alert in self.0.alerts.iter().filter(shown) {
            let AuditedAlert { class, name, group, why, help, .. } = alert;
            let _ = writeln!(out, "{class} {}  in {}: {}", line(name), line(group), line(why));
            if let Some(help) = help.as_ref().filter(|_| class != "living") {
                let _ = writeln!(out, "    {}", line(help));
            }
        }
        if self.0.alerts.iter().any(|alert| shown(&alert)) {
            out.push('\n');
        }
        out
    }

    fn json(&self) -> Value {
        let alert = |alert: &AuditedAlert| json!({ "class": alert.class, "name": alert.name, "group": alert.group, "why": alert.why, "help": alert.help });
        let seen = |record: &Option<StepRecord>| {
            record.as_ref().map(|record| json!({ "verdict": record.verdict, "findings": record.findings }))
        };
        json!({
            "headline": self.headline(),
            "alerts": self.0.alerts.iter().map(alert).collect::<Vec<_>>(),
            "targets": seen(&self.0.targets), "status": seen(&self.0.status), "routes": seen(&self.0.routes),
        })
    }
}
