//! The way back, one move a round: the clone is made false, seen to resolve, and only then taken away, so that Alertmanager
//! is told and keeps no ghost of it. Where Prometheus cannot be asked the file is put back at once.

use super::edit::{Edit, NEVER, has_mark, without};
use super::{Undo, alerts, has, is_meant};
use crate::clients::prometheus::{self, Reloaded, Rule};
use crate::clients::{alertmanager, files};
use crate::model::{Duration, Finding};
use crate::steps::{Cx, StepError};
use crate::undo::{Leave, Owed};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The largest rule file, in bytes.
const MAX_FILE: usize = 16 << 20;

/// How long a clone that is false may take to be resolved, beside two evaluations; then it goes all the same.
const RESOLVES: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a Prometheus that cannot be asked is waited for once the file is back.
const ANSWERS: std::time::Duration = std::time::Duration::from_secs(20);

/// How long it is tried, beside the time for evaluations and a ghost.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A rule file, as it was and as the drill makes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RuleFile {
    path: PathBuf,
    /// Where it is written before it takes the file's place.
    beside: PathBuf,
    original: String,
    sha256: String,
    armed: Edit,
    /// With a clone that is never true; none where the rule itself is changed.
    disarmed: Option<Edit>,
}

/// What stands in a rule file.
enum State {
    Original,
    Armed,
    Disarmed,
    /// Someone else has changed it.
    Foreign(String),
}

/// What is seen once it was put back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reverted {
    /// SHA-256 of the file, in hex.
    sha256: String,
    /// Does the file hold anything of the drill?
    ours: bool,
    /// Rules of the drill that Prometheus still has.
    rules: Vec<String>,
    /// The expression of the rule itself; `null` where it is not loaded.
    query: Option<String>,
    /// Alerts of the drill in Prometheus.
    alerts: usize,
    /// Alerts of the drill in Alertmanager.
    held: usize,
}

impl RuleFile {
    /// The file that the path leads to, and what it holds.
    pub(super) fn read(path: &str) -> Result<(PathBuf, String), StepError> {
        // A link stays a link: what it leads to is replaced.
        let path = Path::new(path).canonicalize().map_err(|error| {
            StepError::lasting(format!(
                "expected a rule file at {path}, but: {error}; is it on this machine?"
            ))
        })?;
        let text = text(&path)?;
        Ok((path, text))
    }

    pub(super) fn new(
        path: PathBuf,
        run: &str,
        original: String,
        armed: Edit,
        disarmed: Option<Edit>,
    ) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // It has no ending by which Prometheus would take it for rules.
        let beside = path.with_file_name(format!(".{name}.proofmark-{run}"));
        Self { path, beside, sha256: hash(&original), original, armed, disarmed }
    }

    /// Makes the drill's change, unless someone else was faster.
    pub(super) fn arm(&self, leave: &impl Leave) -> Result<(), StepError> {
        match self.state()? {
            State::Original => self.write(&self.armed.of(&self.original), leave),
            _ => Err(StepError::lasting(format!(
                "{} was changed by someone else just now; nothing was changed here",
                self.path.display()
            ))),
        }
    }

    fn write(&self, text: &str, leave: &impl Leave) -> Result<(), StepError> {
        Ok(files::replace(&self.path, &self.beside, text.as_bytes(), leave)?)
    }

    fn state(&self) -> Result<State, StepError> {
        let now = text(&self.path)?;
        let is = |edit: &Edit| edit.of(&self.original) == now;
        Ok(match () {
            () if now == self.original => State::Original,
            () if is(&self.armed) => State::Armed,
            () if self.disarmed.as_ref().is_some_and(is) => State::Disarmed,
            () => State::Foreign(now),
        })
    }

    /// How long it has stood as it does, by the clock of this machine.
    fn age(&self, cx: &Cx) -> std::time::Duration {
        let modified = files::look(&self.path).ok().and_then(|found| found.meta).map(|meta| meta.modified);
        modified
            .map(|at| cx.clock.now().duration_since(at))
            .and_then(|age| age.try_into().ok())
            .unwrap_or_default()
    }

    /// A file that someone else has changed, without what the drill put into it.
    fn rest(&self, now: &str, mark: Option<&str>) -> Result<String, StepError> {
        let pieces: Vec<&str> = [Some(&self.armed), self.disarmed.as_ref()]
            .into_iter()
            .flatten()
            .map(|it| it.text.as_str())
            .collect();
        mark.and_then(|mark| without(now, &pieces, mark)).ok_or_else(|| {
            StepError::lasting(format!(
                "{} was changed by someone else while the drill was on, and what the drill put into it cannot be told from that; take it out by hand ({}), then run `proofmark recover` again",
                self.path.display(),
                mark.map_or_else(|| format!("`{}`", self.armed.text.trim()), |mark| format!("the group `proofmark-{mark}`")),
            ))
        })
    }

    /// Does this text hold anything of the drill?
    fn holds_ours(&self, now: &str, mark: Option<&str>) -> bool {
        match mark {
            Some(mark) => has_mark(now, mark),
            // Where nothing is marked only the whole text tells.
            None => now != self.original,
        }
    }
}

fn text(path: &Path) -> Result<String, StepError> {
    let content = files::read(path, MAX_FILE, &files::GivenUp::default())?;
    let wrong = |why: &str| StepError::lasting(format!("{}: {why}", files::shown(path)));
    if !content.whole {
        return Err(wrong("it is larger than a rule file may be (16 MiB)"));
    }
    String::from_utf8(content.bytes.to_vec()).map_err(|_| wrong("it is not UTF-8"))
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub(super) fn patience(owed: &Undo) -> Duration {
    Duration(owed.ghost.0 + owed.interval.0 * 4 + RESOLVES + PATIENCE)
}

pub(super) async fn revert(owed: &Undo, cx: &Cx, by: &Owed) -> Result<(), StepError> {
    let (file, mark) = (&owed.file, owed.mark.as_deref());
    files::clear(&file.beside, by)?;
    let loaded = loaded(owed, cx).await;
    let drilled = loaded.as_ref().ok().and_then(|rules| rules.0.as_ref());
    let mut says_never = false;
    let text = match (file.state()?, &file.disarmed) {
        (State::Original, _) => None,
        (State::Armed, Some(disarmed)) if drilled.is_some() => {
            says_never = true;
            Some(disarmed.of(&file.original))
        }
        (State::Disarmed, _) if waits(owed, cx, drilled).await => {
            says_never = true;
            None
        }
        (State::Armed | State::Disarmed, _) => Some(file.original.clone()),
        (State::Foreign(now), _) if !file.holds_ours(&now, mark) => None,
        (State::Foreign(now), _) => Some(file.rest(&now, mark)?),
    };
    if let Some(text) = text {
        file.write(&text, by)?;
    }
    // The file is back: that is what can be done without Prometheus, and nobody waits for it for long.
    let gone = |error: StepError| StepError { transient: error.transient && file.age(cx) < ANSWERS, ..error };
    let (drilled, own) = loaded.map_err(gone)?;
    let runs = match (drilled, mark) {
        (Some(rule), Some(_)) => says_never && rule.query.contains(NEVER),
        (None, Some(_)) => !says_never,
        (_, None) => own.is_some_and(|rule| prometheus::same_expression(&rule.query, &owed.query)),
    };
    if runs {
        return Ok(());
    }
    match prometheus::reload(cx.wire("prometheus")?, by).await? {
        Reloaded::Taken(_) => Ok(()),
        Reloaded::Refused(why) => Err(StepError {
            message: format!(
                "expected Prometheus to take the rules as they were before, but the reload failed: {why}; its log says more"
            ),
            transient: true,
        }),
    }
}

/// The drill's own rule, where it added one, and the rule that was there before.
async fn loaded(owed: &Undo, cx: &Cx) -> Result<(Option<Rule>, Option<Rule>), StepError> {
    let rules = prometheus::rules(cx.wire("prometheus")?).await?.rules;
    let find = |mark: Option<&str>| {
        rules.iter().find(|rule| is_meant(rule, &owed.alert, &owed.labels, mark)).cloned()
    };
    Ok((owed.mark.as_deref().and_then(|mark| find(Some(mark))), find(None)))
}

/// Has the clone, which is false by now, still to be resolved? Whoever cannot tell waits, but not for ever.
async fn waits(owed: &Undo, cx: &Cx, drilled: Option<&Rule>) -> bool {
    if owed.file.age(cx) > owed.interval.0 * 2 + RESOLVES {
        return false;
    }
    match drilled {
        None => false,
        Some(rule) if !rule.query.contains(NEVER) => true,
        Some(_) => left(owed, cx).await.map_or(true, |(alerts, held)| alerts + held > 0),
    }
}

/// How many alerts of the drill Prometheus and Alertmanager have.
async fn left(owed: &Undo, cx: &Cx) -> Result<(usize, usize), StepError> {
    let mark = owed.mark.as_deref();
    let active = alerts(cx, (&owed.alert, &owed.labels), mark).await?.len();
    let ours =
        |alert: &alertmanager::Alert| alert.name == owed.alert && has(&alert.labels, &owed.labels, mark);
    let held = alertmanager::alerts(cx.wire("alertmanager")?, ours).await?.len();
    Ok((active, held))
}

pub(super) async fn look(owed: &Undo, cx: &Cx) -> Result<Reverted, StepError> {
    let now = text(&owed.file.path)?;
    let (drilled, own) = loaded(owed, cx).await?;
    let (alerts, held) = left(owed, cx).await?;
    Ok(Reverted {
        sha256: hash(&now),
        ours: owed.file.holds_ours(&now, owed.mark.as_deref()) || owed.file.beside.exists(),
        rules: drilled.into_iter().map(|rule| format!("{}, group {}", rule.name, rule.group)).collect(),
        query: own.map(|rule| rule.query),
        alerts,
        held,
    })
}

pub(super) fn judge(owed: &Undo, seen: &Reverted) -> Vec<Finding> {
    let same = seen.sha256 == owed.file.sha256;
    let said = match (same, seen.ours) {
        (true, _) => seen.sha256.clone(),
        (false, false) => {
            format!("{}: someone else has changed it, and nothing of the drill is in it", seen.sha256)
        }
        (false, true) => format!("{}: what the drill changed is still in it", seen.sha256),
    };
    let path = owed.file.path.display();
    let ghost = format!("Alertmanager keeps an alert that was not resolved for up to {}", owed.ghost);
    let back = seen.query.as_ref().is_some_and(|query| prometheus::same_expression(query, &owed.query));
    let none = |what: &str, count: usize| Finding::judged(what, 0, count, count == 0);
    vec![
        Finding::judged(format!("{path} is as it was (SHA-256)"), owed.file.sha256.clone(), said, !seen.ours)
            .with_help("the promise in `journal.jsonl` holds the file as it was"),
        Finding::judged(
            "nothing of the drill is loaded",
            "no rule",
            if seen.rules.is_empty() { "no rule".to_owned() } else { seen.rules.join("; ") },
            seen.rules.is_empty(),
        ),
        Finding::judged(
            "the rule itself is as it was",
            owed.query.clone(),
            seen.query.clone().unwrap_or_else(|| "not loaded".into()),
            back || !same,
        ),
        none("alerts of the drill in Prometheus", seen.alerts),
        none("alerts of the drill in Alertmanager", seen.held).with_help(ghost),
    ]
}
