//! `alert-drill`: proves that an alert works end to end, by making it fire on purpose and observing every hop. It
//! changes rules that a live system evaluates, so the undo is recorded first, and the alert is resolved before its rule
//! is removed: an alert whose rule is simply removed stays in Alertmanager for minutes.

mod back;
mod edit;
mod file;
mod fire;
mod grafana;
mod hops;
mod judge;

use crate::client::alertmanager::Alert as Held;
use crate::client::receiver::Delivered as Post;
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{ChangePermit, Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake};
use proofmark_net::command::{self, Program};
use proofmark_prometheus::client::{self as prometheus, Alert, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Makes an alert fire on purpose, follows it until it is delivered, and restores everything.
///
/// `temporary-rule` adds a group at the end of the rule file, with a clone of the rule that has another threshold. The
/// clone has the labels of the rule, so that it is routed, silenced and inhibited like the real one, and one more,
/// `proofmark`, with the run's id; only a route that groups by every label (`...`) treats it differently.
/// `change-threshold` changes the rule itself. In both cases the file is byte for byte as before at the end. An alert
/// is pending for as long as its rule says: if that is longer than the step observes (`within`, default 5m), set `for`.
/// The drill sends real notifications: announce it, or silence the alert first and check that it is suppressed.
///
/// Proofmark writes a temporary file in the folder of the rule file, replaces the rule file with it, and asks
/// Prometheus to reload, which requires `--web.enable-lifecycle`. A file that someone else changes meanwhile is not
/// overwritten.
///
/// A rule of Grafana's own alerting is drilled in Grafana, with its own Alertmanager; Prometheus is not queried.
/// `alert` is the title of the rule. `threshold` is the number that its condition compares with; if the condition is a
/// formula or a query, `expr` replaces it as a whole. `change-threshold` keeps the provenance of the rule, so that it
/// can be edited as before; a rule from a file cannot be changed. `temporary-rule` creates a clone in a group of its
/// own, which Grafana evaluates once a minute; its title, and therefore its `alertname`, ends with the run's id, so
/// that a route or a silence by `alertname` does not match it. Only `Alerting` counts, not `Alerting (NoData)` or
/// `Alerting (Error)`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertDrill {
    /// The name of the alert.
    pub alert: String,
    /// Labels of the alert's rule, needed if several rules have that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `temporary-rule` or `change-threshold`.
    pub how: How,
    /// The threshold during the drill. It replaces the number on the right of the outermost comparison; in Grafana the
    /// number that the condition compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The whole expression during the drill, for a rule that has no such number or more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// How long the drilled rule is pending before it fires. Default: as long as the rule says.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub pending: Option<Duration>,
    /// How the rules are changed. `rule-file: PATH`: in a rule file on this machine, which Prometheus reads.
    /// `command: { apply: [PROGRAM, …], revert: [PROGRAM, …] }`: by your programs, which make and revert the whole
    /// change and may run more than once; needs `exec` too. The drilled rule is then the one of this name and these
    /// labels whose expression differs from before: the one that `threshold` or `expr` gives, or any if neither is set.
    /// `grafana: { rule: UID }`: by Grafana's provisioning API, for a rule of Grafana's own alerting.
    pub through: Through,
    /// How delivery is checked: `receiver` (the alerting system posts to the connection `receiver`, where Proofmark
    /// listens), `counters` (Alertmanager's counters, which do not say which alert a message was for), `no` (not
    /// checked). Default: `no`.
    #[serde(default)]
    pub delivered: Delivered,
}

/// A rule of Grafana's own alerting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OfGrafana {
    /// The uid of the rule, as in the address of its page.
    pub rule: String,
}

/// What the drill does with the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Adds a marked clone; the rule itself is not touched.
    TemporaryRule,
    /// Changes the rule itself temporarily.
    ChangeThreshold,
}

/// How the rules are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// In a rule file on this machine, which Prometheus reads.
    RuleFile(String),
    /// By the user's programs.
    Command(Programs),
    /// By the provisioning API of Grafana, for a rule of Grafana's own alerting.
    Grafana(OfGrafana),
}

/// Programs with their arguments, run without a shell in the folder that Proofmark runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Programs {
    /// The program that changes the rules.
    pub apply: Vec<String>,
    /// The program that restores the rules.
    pub revert: Vec<String>,
}

/// How delivery is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivered {
    /// By the built-in receiver.
    Receiver,
    /// By Alertmanager's counters.
    Counters,
    /// Not at all.
    #[default]
    No,
}

/// What was observed during the drill.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertDrillObservation {
    /// Why nothing was changed; `null` if something was.
    pub refused: Option<Refused>,
    /// The value of the label `proofmark` that marks what the drill added; `null` if it added nothing.
    pub mark: Option<String>,
    /// Why Prometheus did not load the changed rules, in its words; `null` if it did.
    pub not_taken: Option<String>,
    /// The drilled rule as Prometheus has it; `null` in a drill through Grafana.
    pub rule: Option<Rule>,
    /// The drilled rule as Grafana has it. Present only in a drill through Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<grafana::InGrafana>,
    /// The rule's alerts in Prometheus. In a drill through Grafana they are in `grafana.state.instances`.
    pub alerts: Vec<Alert>,
    /// The rule's alerts in Alertmanager, or in Grafana's own.
    pub held: Vec<Held>,
    /// The messages about the alert that the receiver got.
    pub posts: Vec<Post>,
    /// The increase of Alertmanager's counters since the change, by integration.
    pub counters: BTreeMap<String, Counter>,
    /// When the alert reached each hop.
    pub hops: Hops,
    /// The interval at which the server evaluates the rule. Its times may be late by up to this long.
    pub precision: Duration,
}

/// When the alert reached each hop: RFC 3339 in UTC, `null` if it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hops {
    /// The time just before the change, by the server's clock, to the second.
    #[schemars(with = "Option<String>")]
    pub changed: Option<Timestamp>,
    /// When Prometheus had loaded the change, or Grafana had stored it, according to the server.
    #[schemars(with = "Option<String>")]
    pub loaded: Option<Timestamp>,
    /// The first pending sample of `ALERTS`; in Grafana since when the alert was pending, if an observation found it
    /// so. An alert without `for` is never pending.
    #[schemars(with = "Option<String>")]
    pub pending: Option<Timestamp>,
    /// The first firing sample of `ALERTS`; in Grafana since when the alert is `Alerting`.
    #[schemars(with = "Option<String>")]
    pub firing: Option<Timestamp>,
    /// When Proofmark observed the alert in Alertmanager; it may have arrived at any time since the previous
    /// observation.
    #[schemars(with = "Option<String>")]
    pub in_alertmanager: Option<Timestamp>,
    /// When the first message arrived, by the clock of this machine.
    #[schemars(with = "Option<String>")]
    pub delivered: Option<Timestamp>,
}

/// The messages that an integration of Alertmanager sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Counter {
    /// The number of attempts.
    pub tried: f64,
    /// The number of attempts that failed.
    pub failed: f64,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Refused {
    /// Not exactly one rule in Prometheus matches; holds those that do.
    NotOne(Vec<String>),
    /// The rule cannot be evaluated; holds the message of Prometheus.
    RuleBroken(String),
    /// The alert was already active; holds its state.
    ActiveBefore(String),
    /// The rule in Grafana cannot be drilled.
    InGrafana(grafana::Refused),
    /// The last reload had failed; holds the time from which the rules in use are.
    ReloadFailedBefore(#[schemars(with = "Option<String>")] Option<Timestamp>),
}

/// What the observations need to know of the change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Done {
    refused: Option<Refused>,
    mark: Option<String>,
    not_taken: Option<String>,
    loaded: Option<Timestamp>,
    changed: Option<Timestamp>,
    interval: Duration,
    counters: BTreeMap<String, Counter>,
    /// The rule's own expression and, if the drill gives one, the expression during the drill. Set if the drilled rule
    /// is identified by an expression that differs from its own.
    other_than: Option<(String, Option<String>)>,
    /// The drilled rule, in a drill through Grafana.
    grafana: Option<grafana::Drilled>,
}

/// How to undo the change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertDrillUndo {
    alert: String,
    labels: BTreeMap<String, String>,
    /// The mark, if something was added.
    mark: Option<String>,
    /// The rule's own expression; empty in Grafana, where a rule has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    query: String,
    /// How often the server evaluates the rule.
    interval: Duration,
    /// How long Alertmanager may keep an alert that is not resolved.
    ghost: Duration,
    way: back::Way,
}

const ALL: &[&str] = &["prometheus", "alertmanager", "grafana", "receiver"];
const WITH_RECEIVER: &[&str] = &["prometheus", "alertmanager", "receiver"];
const WITHOUT_RECEIVER: &[&str] = &["prometheus", "alertmanager"];

impl Kind for AlertDrill {
    const NAME: &'static str = "alert-drill";
    const EXAMPLE: &'static str = "alert-drill: { alert: VeleroBackupTooOld, how: temporary-rule, threshold: 0, through: { rule-file: /etc/prometheus/rules/velero.yml }, delivered: receiver }";
    const JUDGES: &'static str = "Nothing of that name was firing before; Prometheus (or Grafana) took the changed rule and evaluates it; the alert fires, is in Alertmanager, and is neither silenced, inhibited nor muted; with `delivered`, a message came. Afterwards that the file is byte for byte as before (in Grafana the rule, but for when it was written), and that the drill's rule and alert are gone.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = ALL;
    type Seen = AlertDrillObservation;

    fn judge(&self, seen: &AlertDrillObservation, at: Timestamp) -> Vec<Finding> {
        judge::judge(self, seen, at)
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let silent = !matches!(self.through, Through::Command(_));
        match (self.threshold, &self.expr) {
            (Some(_), Some(_)) => Some(
                SettingMistake::new("`threshold` and `expr` both say what the drill asks")
                    .help("take one out"),
            ),
            (None, None) if silent => Some(
                SettingMistake::new("it is not said what makes the alert fire")
                    .help("write `threshold: NUMBER`, or `expr` for the whole expression"),
            ),
            _ if self.alert.trim().is_empty() => {
                Some(SettingMistake::new("`alert` is empty").help("write the name of the alert"))
            }
            _ => self.through.mistake(self.delivered),
        }
    }
}

impl Act for AlertDrill {
    const WITHIN: Option<Duration> = Some(Duration::secs(300));
    type Done = Done;
    type Undo = AlertDrillUndo;
    type Reverted = back::AlertDrillReverted;
    type Memory = DrillMemory;

    fn roles(&self) -> &'static [&'static str] {
        match (self.in_grafana(), self.delivered == Delivered::Receiver) {
            (false, true) => WITH_RECEIVER,
            (false, false) => WITHOUT_RECEIVER,
            (true, true) => &["grafana", "receiver"],
            (true, false) => &["grafana"],
        }
    }

    fn roles_back(owed: &AlertDrillUndo) -> &'static [&'static str] {
        if matches!(owed.way, back::Way::Grafana(_)) { &["grafana"] } else { WITHOUT_RECEIVER }
    }

    fn needs(&self) -> &'static [Permission] {
        match self.through {
            Through::RuleFile(_) | Through::Grafana(_) => &[Permission::Change],
            Through::Command(_) => &[Permission::Exec, Permission::Change],
        }
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, AlertDrillUndo>) -> Result<Done, StepError> {
        match &self.through {
            Through::Grafana(OfGrafana { rule }) => grafana::fire(self, rule, cx, promises).await,
            Through::RuleFile(_) | Through::Command(_) => fire::fire(self, cx, promises).await,
        }
    }

    async fn observe(
        &self,
        done: &Done,
        cx: &Cx,
        memory: &mut DrillMemory,
    ) -> Result<AlertDrillObservation, StepError> {
        if self.in_grafana() {
            grafana::look(self, done, cx, memory).await
        } else {
            hops::look(self, done, cx).await
        }
    }

    fn settled(&self, seen: &AlertDrillObservation) -> bool {
        seen.refused.is_some() || seen.not_taken.is_some()
    }

    fn patience(owed: &AlertDrillUndo) -> Duration {
        back::patience(owed)
    }

    async fn revert(
        owed: &AlertDrillUndo,
        cx: &Cx,
        by: &RevertPermit,
        memory: &mut DrillMemory,
    ) -> Result<(), StepError> {
        back::revert(owed, cx, by, memory).await
    }

    async fn observe_reverted(
        owed: &AlertDrillUndo,
        cx: &Cx,
        _memory: &mut DrillMemory,
    ) -> Result<back::AlertDrillReverted, StepError> {
        back::look(owed, cx).await
    }

    fn judge_reverted(
        owed: &AlertDrillUndo,
        seen: &back::AlertDrillReverted,
        _at: Timestamp,
    ) -> Vec<Finding> {
        back::judge(owed, seen)
    }
}

/// What a drill remembers from one observation or attempt to the next.
#[derive(Debug, Default)]
pub struct DrillMemory {
    /// The earliest time at which the alert was observed pending: Grafana forgets it as soon as the alert fires.
    pending: Option<Timestamp>,
    /// Whether the revert command has run. Its effect may take a while, and it is not run again meanwhile.
    commanded: bool,
    /// Whether the temporary rule was made false. The server may reformat it, and writing it again would restart the
    /// evaluation.
    falsified: bool,
}

impl AlertDrill {
    fn in_grafana(&self) -> bool {
        matches!(self.through, Through::Grafana(_))
    }

    /// Returns the name of the system that holds the firing alerts.
    fn holder(&self) -> &'static str {
        if self.in_grafana() { "Grafana's Alertmanager" } else { "Alertmanager" }
    }
}

impl Through {
    fn mistake(&self, delivered: Delivered) -> Option<SettingMistake> {
        let said: SettingMistake = match self {
            Self::Command(Programs { apply, revert })
                if [apply, revert].iter().any(|argv| argv.first().is_none_or(String::is_empty)) =>
            {
                SettingMistake::new("`command` needs a program in `apply` and one in `revert`")
                    .help("the first entry is the program: `[make, drill]`")
            }
            Self::Grafana(OfGrafana { rule }) if rule.trim().is_empty() => {
                SettingMistake::new("`rule` is empty")
                    .help("write the rule's uid, which stands in the address of its page in Grafana")
            }
            Self::Grafana(_) if delivered == Delivered::Counters => SettingMistake::new(
                "`delivered: counters` reads those of an Alertmanager, and Grafana's own has none",
            )
            .help("write `delivered: receiver`, or leave `delivered` out"),
            Self::Command(_) | Self::Grafana(_) | Self::RuleFile(_) => return None,
        };
        Some(said)
    }
}

/// How an alert or a rule of the drill is distinguished from others of its name.
#[derive(Debug, Clone, Copy)]
enum Mark<'a> {
    /// It has this value of the mark.
    Is(&'a str),
    /// It has no mark: it is the real one.
    None,
    /// The mark is not considered: the user's programs made the rule.
    Any,
}

impl<'a> Mark<'a> {
    fn of(mark: Option<&'a str>, by_programs: bool) -> Self {
        match mark {
            _ if by_programs => Self::Any,
            Some(mark) => Self::Is(mark),
            None => Self::None,
        }
    }
}

/// Returns whether this is an alert of this name with these labels and that mark.
fn is_meant(rule: &Rule, alert: &str, labels: &BTreeMap<String, String>, mark: Mark<'_>) -> bool {
    rule.kind == "alerting" && rule.name == alert && has(&rule.labels, labels, mark)
}

/// Returns whether all the wanted labels are present, and the mark is as required.
fn has(all: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>, mark: Mark<'_>) -> bool {
    let own = all.get(edit::MARK);
    let marked = match mark {
        Mark::Is(mark) => own.is_some_and(|own| own == mark),
        Mark::None => own.is_none(),
        Mark::Any => true,
    };
    marked && wanted.iter().all(|(key, value)| all.get(key).is_some_and(|it| it == value))
}

/// Returns the alerts of the drill, or of the real rule, in Prometheus.
async fn alerts(
    cx: &Cx,
    (alert, labels): (&str, &BTreeMap<String, String>),
    mark: Mark<'_>,
) -> Result<Vec<Alert>, StepError> {
    let mut alerts = prometheus::alerts(cx.wire("prometheus")?).await?;
    alerts.retain(|one| one.name == alert && has(&one.labels, labels, mark));
    Ok(alerts)
}

/// Runs a program of the user, which must succeed.
async fn run(
    argv: &[String],
    cwd: Option<&str>,
    cx: &Cx,
    leave: &impl ChangePermit,
) -> Result<(), StepError> {
    let program = Program { cwd: cwd.map(Path::new), ..Program::new(argv, cx.timeout.0) };
    let ended = command::run(program, (&cx.clock, &cx.systems.redactor, &cx.log), leave).await?;
    if ended.exit == Some(0) {
        return Ok(());
    }
    let (argv, how, last) = (argv.join(" "), ended.how(), ended.last());
    let message = format!(
        "expected `{argv}` to end with exit status 0, but it was {how}; the last it said on standard error: {last}"
    );
    Err(StepError::new(ErrorCode::ProgramFailed, message).transient())
}
