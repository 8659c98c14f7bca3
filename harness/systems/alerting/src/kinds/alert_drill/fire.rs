//! Makes the change: checks the preconditions, records the promise, writes the file, reloads.

use super::back::Way;
use super::file::RuleFile;
use super::hops::counters;
use super::{
    AlertDrill, AlertDrillUndo, Delivered, Done, How, Mark, Programs, Refused, Through, alerts, edit,
    is_meant, run,
};
use crate::client::{alertmanager, receiver};
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::Promises;
use proofmark_model::{Duration, ErrorCode};
use proofmark_net::files;
use proofmark_prometheus::client::{self as prometheus, Flags, Reloaded, Rule, Runtime};
use proofmark_prometheus::promql::threshold::{same_expression, with_threshold};

/// Prometheus sends Alertmanager an end time for each alert: this factor times the longer of the evaluation interval
/// and the resend delay.
const LASTS: u32 = 4;

/// What was found before the change.
struct Before {
    rule: Rule,
    runtime: Runtime,
    flags: Flags,
}

pub(super) async fn fire(
    drill: &AlertDrill,
    cx: &Cx,
    promises: &Promises<'_, AlertDrillUndo>,
) -> Result<Done, StepError> {
    let before = match before(drill, cx).await? {
        Ok(before) => before,
        Err(refused) => return Ok(Done::refused(refused)),
    };
    // The receiver must listen before there is anything to deliver.
    if drill.delivered == Delivered::Receiver {
        receiver::open(cx.wire("receiver")?).await?;
    }
    let counted = counters(drill, cx).await?;
    let interval = before.rule.interval;
    let undo = AlertDrillUndo {
        alert: drill.alert.clone(),
        labels: drill.labels.clone(),
        mark: drill.marks().then(|| promises.mark()),
        query: before.rule.query.clone(),
        interval,
        ghost: Duration(interval.0.max(before.flags.resend_delay.0) * LASTS),
        way: way(drill, &before.rule, &promises.mark())?,
    };
    let other_than = match drill.through {
        Through::Command(_) => Some((undo.query.clone(), expression(drill, &undo.query)?)),
        Through::RuleFile(_) | Through::Grafana(_) => None,
    };
    let promise = promises.promise(&undo)?;
    let reloaded = match (&undo.way, &drill.through) {
        (Way::RuleFile(file), _) => {
            file.arm(&promise)?;
            Some(prometheus::reload(cx.wire("prometheus")?, &promise).await?)
        }
        (Way::Command { cwd, .. }, Through::Command(Programs { apply, .. })) => {
            run(apply, cwd.as_deref(), cx, &promise).await?;
            None
        }
        _ => None,
    };
    let (loaded, not_taken) = match reloaded {
        Some(Reloaded::Taken(at)) => (Some(at), None),
        Some(Reloaded::Refused(why)) => (None, Some(why)),
        None => (None, None),
    };
    let changed = before.runtime.server_time.or(Some(cx.clock.now()));
    let (refused, mark, counters) = (None, undo.mark, counted);
    let grafana = None;
    Ok(Done { refused, mark, not_taken, loaded, changed, interval, counters, other_than, grafana })
}

impl Done {
    pub(super) fn refused(refused: Refused) -> Self {
        Self {
            refused: Some(refused),
            mark: None,
            not_taken: None,
            loaded: None,
            changed: None,
            interval: Duration::default(),
            counters: std::collections::BTreeMap::new(),
            other_than: None,
            grafana: None,
        }
    }
}

/// Checks the preconditions; returns why nothing is changed if one does not hold. A failed query is an error, and
/// nothing is changed then either.
async fn before(drill: &AlertDrill, cx: &Cx) -> Result<Result<Before, Refused>, StepError> {
    let wire = cx.wire("prometheus")?;
    let runtime = prometheus::runtime(wire).await?;
    if !runtime.reload_ok {
        return Ok(Err(Refused::ReloadFailedBefore(runtime.reloaded_at)));
    }
    let loaded = prometheus::rules(wire).await?.rules;
    let meant = |rule: &&Rule| is_meant(rule, &drill.alert, &drill.labels, drill.before());
    let rules: Vec<&Rule> = loaded.iter().filter(meant).collect();
    let [rule] = rules[..] else {
        let names = rules.iter().map(|rule| format!("{}, group {}", rule.file, rule.group));
        return Ok(Err(Refused::NotOne(names.collect())));
    };
    if rule.health == "err" {
        return Ok(Err(Refused::RuleBroken(rule.last_error.clone())));
    }
    let active = alerts(cx, (&drill.alert, &drill.labels), drill.before()).await?;
    // A marked clone can be recognised by its mark. Any other alert could be mistaken for one that was there before.
    let counts = |state: &str| state == "firing" || !drill.marks();
    if let Some(one) = active.iter().find(|one| counts(&one.state)) {
        return Ok(Err(Refused::ActiveBefore(one.state.clone())));
    }
    let flags = prometheus::flags(wire).await?;
    if !flags.lifecycle && matches!(drill.through, Through::RuleFile(_)) {
        return Err(StepError::new(
            ErrorCode::Unsupported,
            "expected a Prometheus that reloads on request, but it was started without `--web.enable-lifecycle`; nothing was changed",
        ));
    }
    // Nothing is changed if Alertmanager cannot be reached, because it could not notify.
    alertmanager::alerts(cx.wire("alertmanager")?, |_| false).await?;
    Ok(Ok(Before { rule: rule.clone(), runtime, flags }))
}

/// Returns how the rules will be restored.
fn way(drill: &AlertDrill, rule: &Rule, mark: &str) -> Result<Way, StepError> {
    Ok(match &drill.through {
        Through::RuleFile(path) => Way::RuleFile(planned(drill, path, rule, mark)?),
        Through::Command(Programs { revert, .. }) => {
            // The program must be found again from whichever folder the rules are restored.
            let cwd = std::env::current_dir().ok().map(|path| path.display().to_string());
            Way::Command { revert: revert.clone(), cwd }
        }
        Through::Grafana(_) => {
            return Err(StepError::new(ErrorCode::Internal, "no rule of Prometheus stands in Grafana"));
        }
    })
}

/// Returns the expression that the drill asks for, if it gives one.
fn expression(drill: &AlertDrill, old: &str) -> Result<Option<String>, StepError> {
    let Some(threshold) = drill.threshold else { return Ok(drill.expr.clone()) };
    with_threshold(old, threshold).map(Some).map_err(|why| {
        let message = format!("`threshold` cannot be used with `{old}`: {why}; nothing was changed");
        StepError::new(ErrorCode::BadSettings, message).help("write the whole expression with `expr`")
    })
}

impl AlertDrill {
    /// Returns whether the drill marks what it adds.
    fn marks(&self) -> bool {
        self.how == How::TemporaryRule && matches!(self.through, Through::RuleFile(_))
    }

    /// Returns the mark that identifies rules and alerts from before the drill.
    fn before(&self) -> Mark<'static> {
        Mark::of(None, matches!(self.through, Through::Command(_)))
    }
}

/// Returns the rule file as it is, and as it is to become.
fn planned(drill: &AlertDrill, path: &str, rule: &Rule, mark: &str) -> Result<RuleFile, StepError> {
    let wrong = |why: String| {
        let message = format!("{}: {why}; nothing was changed", files::shown(path.as_ref()));
        StepError::new(ErrorCode::Conflict, message)
    };
    let (path, original) = RuleFile::read(path)?;
    let found = edit::find(&original, &drill.alert, &drill.labels).map_err(wrong)?;
    if !same_expression(&found.expr(), &rule.query) {
        return Err(wrong(format!(
            "its rule `{}` is not the one that Prometheus runs: the file says `{}`, Prometheus says `{}` (from {}); is this the file that it reads, and has it been reloaded since the last change?",
            drill.alert,
            found.expr(),
            rule.query,
            rule.file
        )));
    }
    let expr = expression(drill, &found.expr())?
        .ok_or_else(|| wrong("neither `threshold` nor `expr` is given".into()))?;
    let pending = drill.pending.map(|pending| pending.to_string());
    let pending = pending.as_deref();
    Ok(match drill.how {
        How::TemporaryRule if edit::has_mark(&original, mark) => {
            return Err(wrong("it holds a drill of this run already, which is to be put back first".into()));
        }
        How::TemporaryRule => {
            let (armed, never) = found.cloned(&original, mark, (&expr, pending)).map_err(wrong)?;
            RuleFile::new(path, mark, original, armed, Some(never))
        }
        How::ChangeThreshold => {
            let armed = found.changed(&original, &expr, pending);
            RuleFile::new(path, mark, original, armed, None)
        }
    })
}
