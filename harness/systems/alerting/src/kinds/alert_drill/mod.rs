//! `alert-drill`: proves that an alert works end to end, by making it fire on purpose and watching every hop. It changes
//! rules that a live system evaluates, so the way back is written down first, and the alert is resolved before its rule
//! goes: one whose rule is simply taken away stays in Alertmanager for minutes.

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
use proofmark_evidence::undo::{Leave, Owed, Promises};
use proofmark_model::Permission;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake};
use proofmark_net::command::{self, Program};
use proofmark_prometheus::client::{self as prometheus, Alert, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Makes an alert fire on purpose, watches it on its way to whoever is told, and puts everything back.
///
/// `temporary-rule` adds a group at the end of the rule file: a clone of the rule with another threshold. Its labels are
/// those of the rule, so that it is routed, silenced and inhibited as the real one, and one more, `proofmark`, with the
/// run's id; a route that groups by every label (`...`) is the one that notices. `change-threshold` changes the rule itself.
/// Either way the file is byte for byte as before in the end. An alert is pending for as long as its rule says: where that
/// is longer than the step looks (`within`, 5m if it is not said), give `for`. What it tells people is a real message: say
/// so before, or silence the alert first and see that it is held back.
///
/// Proofmark writes the rule file where it stands, beside a temporary one in the same folder, and asks Prometheus to
/// reload, which takes `--web.enable-lifecycle`. A file that someone else changes meanwhile is not overwritten.
///
/// A rule of Grafana's own alerting is drilled in Grafana, with its own Alertmanager; no Prometheus is asked. `alert` is its
/// title. `threshold` is the number that its condition compares with; where the condition is a formula or a query, `expr`
/// gives the whole of it. `change-threshold` writes the rule as whoever made it, so that it can be edited as before; a rule
/// from a file cannot be changed. `temporary-rule` makes a clone in a group of its own, which Grafana evaluates once a
/// minute; its title, and so its `alertname`, ends with the run's id, so that a route or a silence by `alertname` does not
/// meet it. Only `Alerting` counts, not `Alerting (NoData)` or `Alerting (Error)`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertDrill {
    /// The alert's name.
    pub alert: String,
    /// Labels of its rule, where several rules have that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `temporary-rule` or `change-threshold`.
    pub how: How,
    /// The number on the right of the outermost comparison, for the drill; in Grafana the one that the condition compares
    /// with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The whole expression for the drill, where there is no such number or more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// How long the drilled rule is pending before it fires; as long as the rule says if it is not said here.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub pending: Option<Duration>,
    /// How the rules are changed. `rule-file: PATH`: in a rule file on this machine, which Prometheus reads.
    /// `command: { apply: [PROGRAM, …], revert: [PROGRAM, …] }`: by programs of yours, which do all of it and may run more
    /// than once; needs `exec` too. The drilled rule is then the one of this name and these labels that has another
    /// expression than before: the one that `threshold` or `expr` says, or any where neither is given.
    /// `grafana: { rule: UID }`: by Grafana's provisioning API, where the rule is one of Grafana's own.
    pub through: Through,
    /// How it is seen that a message was delivered: `receiver` (the alerting system posts to the connection `receiver`,
    /// where Proofmark listens), `counters` (those of Alertmanager, which do not say whose message it was), `no` (not
    /// looked at, as if it is not said).
    #[serde(default)]
    pub delivered: Delivered,
}

/// A rule of Grafana's own alerting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OfGrafana {
    /// Its uid, as it stands in the address of its page.
    pub rule: String,
}

/// What becomes of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A marked clone is added; the rule itself is not touched.
    TemporaryRule,
    /// The rule itself is changed for a while.
    ChangeThreshold,
}

/// The way to the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// In a rule file on this machine, which Prometheus reads.
    RuleFile(String),
    /// By programs of the user's.
    Command(Programs),
    /// By the provisioning API of Grafana, where the rule is one of Grafana's own.
    Grafana(OfGrafana),
}

/// Programs with their arguments, which no shell reads. They run in the folder that Proofmark runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Programs {
    /// Changes the rules.
    pub apply: Vec<String>,
    /// Puts them back.
    pub revert: Vec<String>,
}

/// How delivery is seen.
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

/// What was seen of the drill.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seen {
    /// Why nothing was changed; `null` where something was.
    pub refused: Option<Refused>,
    /// The value of the label `proofmark` that marks what the drill added; `null` where it added nothing.
    pub mark: Option<String>,
    /// Why Prometheus did not take the changed rules, in its words; `null` where it took them.
    pub not_taken: Option<String>,
    /// The drilled rule as Prometheus has it; `null` in a drill through Grafana.
    pub rule: Option<Rule>,
    /// The drilled rule as Grafana has it, in a drill through Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<grafana::InGrafana>,
    /// Its alerts in Prometheus; in a drill through Grafana they stand in `grafana.state.instances`.
    pub alerts: Vec<Alert>,
    /// Its alerts in Alertmanager, or in Grafana's own.
    pub held: Vec<Held>,
    /// The messages about it that came to the receiver.
    pub posts: Vec<Post>,
    /// How Alertmanager's counters grew since the change, by integration.
    pub counters: BTreeMap<String, Counter>,
    /// When it came how far.
    pub hops: Hops,
    /// The server looks at the rule so often: its times may be late by as much.
    pub precision: Duration,
}

/// When it came how far: RFC 3339 in UTC, `null` where it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hops {
    /// The change was about to be made, by the server's clock to the second.
    #[schemars(with = "Option<String>")]
    pub changed: Option<Timestamp>,
    /// Prometheus had loaded it, or Grafana had written it down, by its own word.
    #[schemars(with = "Option<String>")]
    pub loaded: Option<Timestamp>,
    /// The first sample of `ALERTS` that is pending; in Grafana since when it was pending, if a look found it so. An alert
    /// without `for` is never pending.
    #[schemars(with = "Option<String>")]
    pub pending: Option<Timestamp>,
    /// The first sample of `ALERTS` that is firing; in Grafana since when it is `Alerting`.
    #[schemars(with = "Option<String>")]
    pub firing: Option<Timestamp>,
    /// Proofmark saw it in Alertmanager; it may have been there for as long as from one look to the next.
    #[schemars(with = "Option<String>")]
    pub in_alertmanager: Option<Timestamp>,
    /// The first message was here, by the clock of this machine.
    #[schemars(with = "Option<String>")]
    pub delivered: Option<Timestamp>,
}

/// Messages that an integration of Alertmanager sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Counter {
    /// Tries.
    pub tried: f64,
    /// Tries that failed.
    pub failed: f64,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Refused {
    /// Prometheus has not exactly one rule that is meant; these.
    NotOne(Vec<String>),
    /// The rule cannot be evaluated, in the words of Prometheus.
    RuleBroken(String),
    /// The alert was active already, in this state.
    ActiveBefore(String),
    /// It is no rule of Grafana's that can be drilled.
    InGrafana(grafana::Refused),
    /// The last reload had failed, and these rules are of that time.
    ReloadFailedBefore(#[schemars(with = "Option<String>")] Option<Timestamp>),
}

/// What the looks need to know of the change.
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
    /// The rule's own expression, where the drilled rule is known by having another: the one that it should have, if that
    /// was said.
    other_than: Option<(String, Option<String>)>,
    /// The drilled rule, in a drill through Grafana.
    grafana: Option<grafana::Drilled>,
}

/// The way back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Undo {
    alert: String,
    labels: BTreeMap<String, String>,
    /// The mark, where something was added.
    mark: Option<String>,
    /// The rule's own expression; empty in Grafana, which has more than one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    query: String,
    /// How often the server looks at it.
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
    type Seen = Seen;

    fn judge(&self, seen: &Seen, at: Timestamp) -> Vec<Finding> {
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
    type Undo = Undo;
    type Reverted = back::Reverted;
    type Memory = DrillMemory;

    fn roles(&self) -> &'static [&'static str] {
        match (self.in_grafana(), self.delivered == Delivered::Receiver) {
            (false, true) => WITH_RECEIVER,
            (false, false) => WITHOUT_RECEIVER,
            (true, true) => &["grafana", "receiver"],
            (true, false) => &["grafana"],
        }
    }

    fn roles_back(owed: &Undo) -> &'static [&'static str] {
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

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Undo>) -> Result<Done, StepError> {
        match &self.through {
            Through::Grafana(OfGrafana { rule }) => grafana::fire(self, rule, cx, promises).await,
            Through::RuleFile(_) | Through::Command(_) => fire::fire(self, cx, promises).await,
        }
    }

    async fn observe(&self, done: &Done, cx: &Cx, memory: &mut DrillMemory) -> Result<Seen, StepError> {
        if self.in_grafana() {
            grafana::look(self, done, cx, memory).await
        } else {
            hops::look(self, done, cx).await
        }
    }

    fn settled(&self, seen: &Seen) -> bool {
        seen.refused.is_some() || seen.not_taken.is_some()
    }

    fn patience(owed: &Undo) -> Duration {
        back::patience(owed)
    }

    async fn revert(owed: &Undo, cx: &Cx, by: &Owed, memory: &mut DrillMemory) -> Result<(), StepError> {
        back::revert(owed, cx, by, memory).await
    }

    async fn observe_reverted(
        owed: &Undo,
        cx: &Cx,
        _memory: &mut DrillMemory,
    ) -> Result<back::Reverted, StepError> {
        back::look(owed, cx).await
    }

    fn judge_reverted(owed: &Undo, seen: &back::Reverted, _at: Timestamp) -> Vec<Finding> {
        back::judge(owed, seen)
    }
}

/// What a drill remembers from one observation or attempt to the next.
#[derive(Debug, Default)]
pub struct DrillMemory {
    /// The earliest time at which the alert was seen pending: Grafana forgets it as soon as the alert fires.
    pending: Option<Timestamp>,
    /// The command that reverts was run. Its effect may take a while, and it is not run again meanwhile.
    commanded: bool,
    /// The temporary rule was made false. The server may write it in its own way, and to write it again would begin anew.
    falsified: bool,
}

impl AlertDrill {
    fn in_grafana(&self) -> bool {
        matches!(self.through, Through::Grafana(_))
    }

    /// Who has the alerts that fire.
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

/// By what an alert or a rule of the drill is told from others of its name.
#[derive(Debug, Clone, Copy)]
enum Mark<'a> {
    /// By this value of the mark.
    Is(&'a str),
    /// It has no mark: it is the real one.
    None,
    /// Not by a mark: programs of the user's made it.
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

/// Is this an alert of this name with these labels and that mark?
fn is_meant(rule: &Rule, alert: &str, labels: &BTreeMap<String, String>, mark: Mark<'_>) -> bool {
    rule.kind == "alerting" && rule.name == alert && has(&rule.labels, labels, mark)
}

/// Are these labels among those, and the mark as it should be?
fn has(all: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>, mark: Mark<'_>) -> bool {
    let own = all.get(edit::MARK);
    let marked = match mark {
        Mark::Is(mark) => own.is_some_and(|own| own == mark),
        Mark::None => own.is_none(),
        Mark::Any => true,
    };
    marked && wanted.iter().all(|(key, value)| all.get(key).is_some_and(|it| it == value))
}

/// The alerts of the drill, or of the real rule, in Prometheus.
async fn alerts(
    cx: &Cx,
    (alert, labels): (&str, &BTreeMap<String, String>),
    mark: Mark<'_>,
) -> Result<Vec<Alert>, StepError> {
    let mut alerts = prometheus::alerts(cx.wire("prometheus")?).await?;
    alerts.retain(|one| one.name == alert && has(&one.labels, labels, mark));
    Ok(alerts)
}

/// Runs a program of the user's to its end, which has to be a good one.
async fn run(argv: &[String], cwd: Option<&str>, cx: &Cx, leave: &impl Leave) -> Result<(), StepError> {
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
