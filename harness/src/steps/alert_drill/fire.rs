//! The change itself: what has to hold before it, the promise, the file, the reload.

use super::back::RuleFile;
use super::hops::counters;
use super::{AlertDrill, Delivered, Done, How, Refused, Through, Undo, alerts, edit, is_meant};
use crate::clients::prometheus::{self, Flags, Reloaded, Rule, Runtime};
use crate::clients::{alertmanager, files, receiver};
use crate::model::Duration;
use crate::steps::{Cx, StepError};
use crate::undo::Promises;

/// Prometheus tells Alertmanager until when an alert lasts: so many times the interval or the pause between two sends.
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
    promises: &Promises<'_, Undo>,
) -> Result<Done, StepError> {
    let before = match before(drill, cx).await? {
        Ok(before) => before,
        Err(refused) => return Ok(Done::refused(refused)),
    };
    // Whoever is told is there before there is anything to tell.
    if drill.delivered == Delivered::Receiver {
        receiver::open(cx.wire("receiver")?).await?;
    }
    let counted = counters(drill, cx).await?;
    let Through::RuleFile(path) = &drill.through;
    let mark = (drill.how == How::TemporaryRule).then(|| promises.mark());
    let file = planned(drill, path, &before.rule, &promises.mark())?;
    let interval = before.rule.interval;
    let undo = Undo {
        alert: drill.alert.clone(),
        labels: drill.labels.clone(),
        mark: mark.clone(),
        query: before.rule.query.clone(),
        interval,
        ghost: Duration(interval.0.max(before.flags.resend_delay.0) * LASTS),
        file,
    };
    let promise = promises.promise(&undo)?;
    undo.file.arm(&promise)?;
    let reloaded = prometheus::reload(cx.wire("prometheus")?, &promise).await?;
    let (loaded, not_taken) = match reloaded {
        Reloaded::Taken(at) => (Some(at), None),
        Reloaded::Refused(why) => (None, Some(why)),
    };
    let changed = before.runtime.server_time.or(Some(cx.clock.now()));
    Ok(Done { refused: None, mark, not_taken, loaded, changed, interval, counters: counted })
}

impl Done {
    fn refused(refused: Refused) -> Self {
        Self {
            refused: Some(refused),
            mark: None,
            not_taken: None,
            loaded: None,
            changed: None,
            interval: Duration::default(),
            counters: std::collections::BTreeMap::new(),
        }
    }
}

/// What has to hold, or why nothing is changed. What cannot be asked is an error: nothing is changed then either.
async fn before(drill: &AlertDrill, cx: &Cx) -> Result<Result<Before, Refused>, StepError> {
    let wire = cx.wire("prometheus")?;
    let runtime = prometheus::runtime(wire).await?;
    if !runtime.reload_ok {
        return Ok(Err(Refused::ReloadFailedBefore(runtime.reloaded_at)));
    }
    let loaded = prometheus::rules(wire).await?.rules;
    let meant = |rule: &&Rule| is_meant(rule, &drill.alert, &drill.labels, None);
    let rules: Vec<&Rule> = loaded.iter().filter(meant).collect();
    let [rule] = rules[..] else {
        let names = rules.iter().map(|rule| format!("{}, group {}", rule.file, rule.group));
        return Ok(Err(Refused::NotOne(names.collect())));
    };
    if rule.health == "err" {
        return Ok(Err(Refused::RuleBroken(rule.last_error.clone())));
    }
    let active = alerts(cx, (&drill.alert, &drill.labels), None).await?;
    // A clone is known by its mark. The rule itself would tell of what was there before.
    let counts = |state: &str| state == "firing" || drill.how == How::ChangeThreshold;
    if let Some(one) = active.iter().find(|one| counts(&one.state)) {
        return Ok(Err(Refused::ActiveBefore(one.state.clone())));
    }
    let flags = prometheus::flags(wire).await?;
    if !flags.lifecycle {
        return Err(StepError::lasting(
            "expected a Prometheus that reloads on request, but it was started without `--web.enable-lifecycle`; nothing was changed",
        ));
    }
    // Nobody is to be told by a system that is not there.
    alertmanager::alerts(cx.wire("alertmanager")?, |_| false).await?;
    Ok(Ok(Before { rule: rule.clone(), runtime, flags }))
}

/// The rule file as it is, and as it is to be.
fn planned(drill: &AlertDrill, path: &str, rule: &Rule, mark: &str) -> Result<RuleFile, StepError> {
    let wrong = |why: String| {
        StepError::lasting(format!("{}: {why}; nothing was changed", files::shown(path.as_ref())))
    };
    let (path, original) = RuleFile::read(path)?;
    let found = edit::find(&original, &drill.alert, &drill.labels).map_err(wrong)?;
    if !prometheus::same_expression(&found.expr(), &rule.query) {
        return Err(wrong(format!(
            "its rule `{}` is not the one that Prometheus runs: the file says `{}`, Prometheus says `{}` (from {}); is this the file that it reads, and has it been reloaded since the last change?",
            drill.alert,
            found.expr(),
            rule.query,
            rule.file
        )));
    }
    let expr = match (&drill.expr, drill.threshold) {
        (Some(expr), _) => expr.clone(),
        (None, Some(threshold)) => prometheus::with_threshold(&found.expr(), threshold).map_err(|why| {
            wrong(format!(
                "`threshold` cannot be used with `{}`: {why}; write the whole expression with `expr`",
                found.expr()
            ))
        })?,
        (None, None) => return Err(wrong("neither `threshold` nor `expr` is given".into())),
    };
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
