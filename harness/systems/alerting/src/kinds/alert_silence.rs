//! `alert-silence`: silences alerts in Alertmanager during a drill, so that they do not page. The id is known only from
//! the answer, so the promise records our mark in `createdBy`, by which the silence is found again. The silence also
//! ends by itself.

use crate::client::alertmanager::{self, Alert, Matcher, NewSilence, Silence, alerts, expire, silences};
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{Promises, RevertPermit, Until};
use proofmark_model::Permission;
use proofmark_model::{Duration, Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

const ROLE: &str = "alertmanager";

/// How long a silence lasts by default, and at most. A forgotten silence ends within a day.
const USUAL: Duration = Duration::secs(30 * 60);
const LONGEST: Duration = Duration::secs(24 * 3600);

/// Silences alerts in Alertmanager until the end of the scenario, or of the step with `until: step`.
///
/// An alert is silenced if it meets all of `matchers`, `name` and `labels`. If several Alertmanagers do not form a
/// cluster, each must be silenced. A silence says nothing about alerts that do not reach Alertmanager; the observation
/// shows which alerts it suppresses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertSilence {
    /// Conditions in Alertmanager's notation: `alertname="Down"`, `team=~"a|b"`, `env!="prod"`. At least one must
    /// require a label; a condition that requires a label and also matches without it is a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matchers: Vec<String>,
    /// Only alerts of exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only alerts with exactly these labels, among others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When the silence ends by itself if it is not ended before; at most 24h. Default: 30m.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Duration>,
    /// The reason, for people who see the silence in Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The silence that was created.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Made {
    id: String,
    mark: String,
}

/// Our silence, and the alerts that it suppresses.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertSilenceObservation {
    /// The silence; `null` if Alertmanager no longer knows it.
    pub silence: Option<Silence>,
    /// The alerts that it silences, sorted by labels.
    pub alerts: Vec<Alert>,
}

/// How the silence is found again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertSilenceUndo {
    created_by: String,
}

/// The silences that this step created, including expired ones.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertSilenceReverted {
    silences: Vec<Silence>,
}

impl Kind for AlertSilence {
    const NAME: &'static str = "alert-silence";
    const EXAMPLE: &'static str = "alert-silence: { name: VeleroBackupTooOld, for: 30m, comment: a drill }";
    const JUDGES: &'static str =
        "The silence is active. When it is put back, that no silence of this step is active or about to be.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[ROLE];
    type Seen = AlertSilenceObservation;

    fn judge(&self, seen: &AlertSilenceObservation, _at: Timestamp) -> Vec<Finding> {
        let state = seen.silence.as_ref().map(|silence| silence.state.as_str());
        let help = match state {
            Some("expired") => "its time is over (`for`), or somebody has ended it",
            Some("pending") => "it begins later: are the clocks of the server's machines right?",
            None => "Alertmanager does not know it any more: has it lost its data?",
            _ => "Alertmanager says something of it that is not known here",
        };
        let finding =
            Finding::judged("the silence is active", "active", json!(state), state == Some("active"));
        vec![finding.with_help(help)]
    }

    fn mistake(&self) -> Option<SettingMistake> {
        match self.lasts {
            Some(lasts) if lasts == Duration::default() || lasts > LONGEST => {
                Some(SettingMistake::new(format!("`for: {lasts}` is no time for a drill")).help(format!(
                    "write how long it may silence alerts if nobody ends it, at most {LONGEST}"
                )))
            }
            // Matchers that use a capture are checked after it is filled in, which is before anything is changed.
            _ if self.matchers.iter().any(|text| text.contains("{{")) => {
                self.read(self.matchers.iter().filter(|text| !text.contains("{{"))).err()
            }
            _ => self.wanted().err(),
        }
    }
}

impl Act for AlertSilence {
    const WITHIN: Option<Duration> = Some(Duration::secs(10));
    const UNTIL: Until = Until::Scenario;
    type Done = Made;
    type Undo = AlertSilenceUndo;
    type Reverted = AlertSilenceReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change]
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, AlertSilenceUndo>) -> Result<Made, StepError> {
        let matchers = self.wanted()?;
        let mark = format!("proofmark {}", promises.mark_of_step());
        let started = cx.clock.elapsed();
        // This checks that the server answers before anything is promised, and reads the server's time.
        let (_, there) = silences(cx.wire(ROLE)?, |_| false).await?;
        let starts_at = there.unwrap_or_else(|| cx.clock.now());
        let ends_at = starts_at + self.lasts.unwrap_or(USUAL).0;
        let promise = promises.promise(&AlertSilenceUndo { created_by: mark.clone() })?;
        let comment = self.comment.as_deref().unwrap_or("made by Proofmark for a drill, and ended by it");
        let new = NewSilence { matchers: &matchers, starts_at, ends_at, created_by: &mark, comment };
        let id = alertmanager::silence(cx.wire(ROLE)?.since(started), &new, &promise).await?;
        Ok(Made { id, mark })
    }

    async fn observe(
        &self,
        done: &Made,
        cx: &Cx,
        _memory: &mut (),
    ) -> Result<AlertSilenceObservation, StepError> {
        let (wire, started) = (cx.wire(ROLE)?, cx.clock.elapsed());
        let held = alerts(wire, |alert| alert.silenced_by.contains(&done.id)).await?;
        let (found, _) = silences(wire.since(started), |silence| silence.id == done.id).await?;
        Ok(AlertSilenceObservation { silence: found.into_iter().next(), alerts: held })
    }

    async fn revert(
        owed: &AlertSilenceUndo,
        cx: &Cx,
        by: &RevertPermit,
        _memory: &mut (),
    ) -> Result<(), StepError> {
        let (wire, started) = (cx.wire(ROLE)?, cx.clock.elapsed());
        let (ours, _) = silences(wire, |silence| silence.created_by == owed.created_by).await?;
        for silence in ours.iter().filter(|silence| !silence.is_over()) {
            expire(wire.since(started), &silence.id, by).await?;
        }
        Ok(())
    }

    async fn observe_reverted(
        owed: &AlertSilenceUndo,
        cx: &Cx,
        _memory: &mut (),
    ) -> Result<AlertSilenceReverted, StepError> {
        let (silences, _) = silences(cx.wire(ROLE)?, |silence| silence.created_by == owed.created_by).await?;
        Ok(AlertSilenceReverted { silences })
    }

    fn judge_reverted(_owed: &AlertSilenceUndo, seen: &AlertSilenceReverted, _at: Timestamp) -> Vec<Finding> {
        let left = seen.silences.iter().filter(|silence| !silence.is_over());
        let left: Vec<String> = left.map(|silence| format!("{} is {}", silence.id, silence.state)).collect();
        let told = if left.is_empty() { "none".to_owned() } else { left.join("; ") };
        vec![Finding::judged("no silence of this step holds anything back", "none", told, left.is_empty())]
    }
}

impl AlertSilence {
    /// Returns the conditions that an alert must meet, or the mistake in them.
    fn wanted(&self) -> Result<Vec<Matcher>, SettingMistake> {
        let matchers = self.read(self.matchers.iter())?;
        if matchers.iter().all(Matcher::matches_empty) {
            return Err(SettingMistake::new("it is not said which alerts to silence, or only which not")
                .help("write `name: ALERT`, `labels` or `matchers`"));
        }
        Ok(matchers)
    }

    fn read<'a>(&self, texts: impl Iterator<Item = &'a String>) -> Result<Vec<Matcher>, SettingMistake> {
        let mut matchers =
            texts.map(|text| text.parse()).collect::<Result<Vec<Matcher>, SettingMistake>>()?;
        matchers.extend(self.name.as_deref().map(|name| Matcher::equal("alertname", name)));
        matchers.extend(self.labels.iter().map(|(name, value)| Matcher::equal(name, value)));
        match matchers.iter().find(|matcher| matcher.asks() && matcher.matches_empty()) {
            Some(wide) => Err(SettingMistake::new(format!(
                "`{wide}` also matches alerts without that label"
            ))
            .help(
                "write a value that is not empty, and no pattern that matches nothing (`.+` instead of `.*`)",
            )),
            None => Ok(matchers),
        }
    }
}
