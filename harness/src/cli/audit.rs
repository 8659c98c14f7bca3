//! `audit`: what a live system would not tell. No files: a URL is enough. It is a built-in scenario, and its result can be
//! written down as scenarios that guard what is well.

mod guard;

use super::builtin::Common;
use super::run::{Order, Told, conclude, teller};
use super::{many, note_password, of_places, tell, typed_place};
use crate::clock::Clock;
use crate::diag::Diag;
use crate::environment::Environment;
use crate::model::{Exit, Finding, StepRecord, Verdict};
use crate::record::Run;
use crate::report::line;
use crate::scenario::{Plan, embedded, embedded_id};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

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
    Prometheus(Options),
}

#[derive(Debug, Clone, Args)]
pub(super) struct Options {
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
    common: Common,
}

/// A role, and the scenario that asks its system.
const PROMETHEUS: (&str, &str, &str) =
    ("prometheus", "builtin/audit/prometheus.yaml", include_str!("builtin/audit/prometheus.yaml"));
const ALERTMANAGER: (&str, &str, &str) =
    ("alertmanager", "builtin/audit/alertmanager.yaml", include_str!("builtin/audit/alertmanager.yaml"));

/// Audits.
pub(super) async fn audit(Command::Prometheus(options): &Command, clock: &Clock) -> Exit {
    let Options { common, write, all, .. } = options;
    options.url.iter().for_each(|url| note_password("--url", url));
    options.alertmanager.iter().for_each(|url| note_password("--alertmanager", url));
    let load = |scope: &Map<String, Value>| {
        let environment = options.environment()?;
        let asked = [PROMETHEUS, ALERTMANAGER];
        let there = asked
            .iter()
            .filter(|(role, ..)| *role == PROMETHEUS.0 || environment.names().any(|name| name == *role));
        let mut plan = Plan { scenarios: vec![] };
        for (_, path, text) in there {
            plan.scenarios
                .extend(embedded((path, text), &Map::new(), scope, crate::kinds::registry())?.scenarios);
        }
        guard::room(write.as_deref()).map_err(|diag| vec![diag])?;
        Ok((plan, environment))
    };
    let order = Order {
        command: "audit prometheus",
        kept: &common.kept,
        jobs: 1,
        deadline: None,
        inside: Some("builtin/audit/"),
        confirm: None,
    };
    let (ended, exports) =
        match order.perform(load, || None, (clock, || teller(common.kept.format, clock))).await {
            Ok(ended) => ended,
            Err(stopped) => return stopped.exit,
        };
    let mut unwritten = None;
    let exit = conclude(&common.kept, &exports, &ended, |run| {
        let seen = Audited::of(run);
        let written = write.as_deref().map(|folder| guard::write(&seen, run, folder));
        if common.json {
            unwritten = written.and_then(Result::err);
            return Told::Alone(seen.json());
        }
        let mut text = seen.text(*all);
        match written {
            Some(Ok(told)) => text += &told,
            Some(Err(diag)) => unwritten = Some(diag),
            None => {}
        }
        Told::Before(text)
    });
    unwritten.map_or(exit, |diag: Diag| {
        tell(&diag.render(false));
        Exit::Evidence
    })
}

impl Options {
    fn environment(&self) -> Result<Environment, Vec<Diag>> {
        if let Some(file) = &self.common.env {
            return super::load(file);
        }
        let given = [(PROMETHEUS.0, &self.url), (ALERTMANAGER.0, &self.alertmanager)];
        let typed = given.iter().filter_map(|(role, url)| Some(typed_place(role, "--url", url.as_deref()?)));
        of_places(&typed.collect::<Vec<_>>())
    }
}

/// An alert, and whether it could fire.
pub(super) struct Alert {
    /// `never`, `undecided` or `living`.
    class: String,
    name: String,
    group: String,
    why: String,
    help: Option<String>,
    verdict: Verdict,
}

/// What was seen, step by step; `None` where a step was not come to.
pub(super) struct Audited {
    alerts: Vec<Alert>,
    status: Option<StepRecord>,
    targets: Option<StepRecord>,
    rules: Option<StepRecord>,
    routes: Option<StepRecord>,
}

/// Worst first.
const CLASSES: [&str; 3] = ["never", "undecided", "living"];

impl Alert {
    /// The finding on an alert says its class.
    fn of(finding: &Finding) -> Option<Self> {
        let text = |key: &str| finding.seen[key].as_str().map(str::to_owned);
        let (class, name, group, why) = (text("class")?, text("alert")?, text("group")?, text("why")?);
        Some(Self { class, name, group, why, help: finding.help.clone(), verdict: finding.verdict })
    }
}

impl Audited {
    fn of(run: &Run) -> Self {
        let prometheus = |step: &str| run.step(embedded_id(PROMETHEUS.1), step);
        let (rules, routes) = (prometheus("rules"), run.step(embedded_id(ALERTMANAGER.1), "routes"));
        let findings = rules.iter().flat_map(|record| &record.findings);
        let mut alerts: Vec<Alert> = findings.filter_map(Alert::of).collect();
        let rank = |alert: &Alert| CLASSES.iter().position(|class| *class == alert.class);
        alerts.sort_by_cached_key(|alert| {
            (rank(alert), alert.verdict != Verdict::Failed, alert.name.clone(), alert.group.clone())
        });
        Self { alerts, status: prometheus("status"), targets: prometheus("targets"), rules, routes }
    }

    fn number(&self, class: &str) -> usize {
        self.alerts.iter().filter(|alert| alert.class == class).count()
    }

    /// What is wrong, in a few words each; where nothing is, what was looked at.
    fn headline(&self) -> String {
        let parts = [self.of_alerts(), self.of_targets(), self.of_reload(), self.of_routes()];
        let parts: Vec<(bool, String)> = parts.into_iter().flatten().flatten().collect();
        let bad: Vec<&str> = parts.iter().filter(|(good, _)| !good).map(|(_, text)| text.as_str()).collect();
        let all = parts.iter().map(|(_, text)| text.as_str()).collect();
        (if bad.is_empty() { all } else { bad }).join(", ")
    }

    fn of_alerts(&self) -> Option<Vec<(bool, String)>> {
        let total = self.alerts.len();
        if total == 0 {
            let nothing = self.rules.as_ref()?.observation.is_null();
            let told = if nothing { "the alerts could not be seen" } else { "there is no alert" };
            return Some(vec![(false, told.to_owned())]);
        }
        let (never, open) = (self.number("never"), self.number("undecided"));
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
        let seen = &self.targets.as_ref()?.observation;
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
        let part = match self.status.as_ref()?.observation["reload-ok"].as_bool() {
            Some(true) => (true, "the last reload succeeded"),
            Some(false) => (false, "the last reload failed"),
            None => (false, "whether the last reload succeeded could not be seen"),
        };
        Some(vec![(part.0, part.1.to_owned())])
    }

    fn of_routes(&self) -> Option<Vec<(bool, String)>> {
        let seen = &self.routes.as_ref()?.observation;
        let Some(alerts) = seen["alerts"].as_array() else {
            return Some(vec![(false, "to whom alerts go could not be seen".to_owned())]);
        };
        let lost = alerts.iter().filter(|alert| !leads(alert).any(|name| tells(seen, name))).count();
        let open = alerts.iter().filter(|alert| !surely_told(seen, alert)).count() - lost;
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
        let shown = |alert: &&Alert| all || alert.class != "living";
        for alert in self.alerts.iter().filter(shown) {
            let Alert { class, name, group, why, help, .. } = alert;
            let _ = writeln!(out, "{class} {}  in {}: {}", line(name), line(group), line(why));
            if let Some(help) = help.as_ref().filter(|_| class != "living") {
                let _ = writeln!(out, "    {}", line(help));
            }
        }
        if self.alerts.iter().any(|alert| shown(&alert)) {
            out.push('\n');
        }
        out
    }

    fn json(&self) -> Value {
        let alert = |alert: &Alert| json!({ "class": alert.class, "name": alert.name, "group": alert.group, "why": alert.why, "help": alert.help });
        let seen = |record: &Option<StepRecord>| {
            record.as_ref().map(|record| json!({ "verdict": record.verdict, "findings": record.findings }))
        };
        json!({
            "headline": self.headline(),
            "alerts": self.alerts.iter().map(alert).collect::<Vec<_>>(),
            "targets": seen(&self.targets), "status": seen(&self.status), "routes": seen(&self.routes),
        })
    }
}

/// The receivers that an alert may be led to.
fn leads(alert: &Value) -> impl Iterator<Item = &str> {
    list(&alert["receivers"]).filter_map(|lead| lead["receiver"].as_str())
}

/// Is an alert led to somebody whatever its labels are?
fn surely_told(seen: &Value, alert: &Value) -> bool {
    let telling = |lead: &Value| tells(seen, lead["receiver"].as_str().unwrap_or_default());
    let leads = alert["receivers"].as_array().map(Vec::as_slice).unwrap_or_default();
    leads.iter().any(|lead| lead["certain"] == true && telling(lead)) || leads.iter().all(telling)
}

/// Does a receiver tell anybody?
fn tells(seen: &Value, receiver: &str) -> bool {
    let named = list(&seen["receivers"]).filter(|one| one["name"] == receiver);
    named.flat_map(|one| list(&one["integrations"])).next().is_some()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
