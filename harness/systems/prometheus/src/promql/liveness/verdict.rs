//! Derives the class of an alert from what was observed.

use super::class::{Class, Reason};
use super::known::Stop;
use super::life::{ENOUGH, Ground, Life, WINDOWS};
use super::value::Shut;
use crate::client::Rule;
use promql_parser::parser::token::T_LOR;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};

/// Decides whether this alert can fire. `tree` is its expression, `fired` whether it was seen to fire. The only error
/// is `Pending`.
pub(super) fn class(
    rule: &Rule,
    tree: Result<&Expr, &str>,
    fired: bool,
    loaded_long_ago: bool,
    ground: &Ground<'_>,
) -> Result<Class, Stop> {
    if let Some(state @ ("pending" | "firing")) = rule.state.as_deref() {
        return Ok(Class::Living(Reason::good("firing", format!("it is {state}"))));
    }
    if let Some(class) = unwell(rule, loaded_long_ago) {
        return Ok(class);
    }
    if fired {
        return Ok(Class::Living(Reason::good("fired", "it was pending or firing within the last hour")));
    }
    let tree = match tree {
        Ok(tree) => tree,
        Err(why) => {
            let help = "this version of Proofmark cannot read the rule's text: look by hand, and put the alert's name into `except`, with the reason";
            return Ok(Class::Undecided(Reason::concluded("unread", why, help)));
        }
    };
    let mut arms = Vec::new();
    split(tree, &mut arms);
    let classes: Vec<Result<Class, Stop>> = arms.iter().map(|arm| of_arm(arm, ground)).collect();
    let mut classes = classes.into_iter().collect::<Result<Vec<_>, _>>()?;
    // An alert is living if one of its arms is, and dead if all are.
    let rank = |class: &Class| match class {
        Class::Living(_) => 0,
        Class::Undecided(_) => 1,
        Class::Never(reason) => 2 + u8::from(!reason.seen),
    };
    let dead = classes
        .iter()
        .position(|class| rank(class) > 1)
        .map(|at| (arms[at].to_string(), classes[at].clone()));
    classes.sort_by_key(rank);
    let first = classes.into_iter().next();
    let none = || Class::Undecided(Reason::concluded("unread", "it has no parts", ""));
    Ok(match (first.unwrap_or_else(none), dead) {
        (Class::Living(reason), Some((arm, dead))) => {
            let why = format!("{}; though `{arm}` can give nothing: {}", reason.why, dead.reason().why);
            Class::Living(Reason { why, ..reason })
        }
        (class, _) => class,
    })
}

/// Splits an expression into parts of which one is enough for the alert to fire.
fn split<'a>(expr: &'a Expr, arms: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Paren(it) => split(&it.expr, arms),
        Expr::Binary(it) if it.op.id() == T_LOR => {
            split(&it.lhs, arms);
            split(&it.rhs, arms);
        }
        other => arms.push(other),
    }
}

/// Judges a rule that is not evaluated, or cannot be.
fn unwell(rule: &Rule, loaded_long_ago: bool) -> Option<Class> {
    let help = "it is loaded and cannot be evaluated, so it never fires, whatever its state says";
    match rule.health.as_str() {
        "ok" if rule.last_evaluation.is_some() => None,
        "err" => Some(Class::Never(Reason::seen("unhealthy", format!("err: {}", rule.last_error), help))),
        "ok" | "unknown" if loaded_long_ago => {
            let why = "it was never evaluated, though it was loaded more than two of its intervals ago";
            Some(Class::Never(Reason::seen(
                "never-evaluated",
                why,
                "does its group run at all? The server's log tells",
            )))
        }
        "ok" | "unknown" => {
            let why = "it was not evaluated yet";
            Some(Class::Undecided(Reason::concluded("not-evaluated", why, "give the step a `within`")))
        }
        other => {
            let why = format!("its health is `{other}`, which this version of Proofmark does not know");
            Some(Class::Undecided(Reason::concluded("health-unknown", why, "")))
        }
    }
}

/// Judges one arm. It is an error if a query must be asked first; what cannot be queried is undecided.
fn of_arm(arm: &Expr, ground: &Ground<'_>) -> Result<Class, Stop> {
    match looked_at(arm, ground) {
        Err(Stop::Unseen(why)) => {
            let help = "the server did not answer a query for it; the queries stand in the observation";
            Ok(Class::Undecided(Reason::concluded("unseen", why, help)))
        }
        Err(Stop::Refused(why)) => {
            let help = "the server refuses a query that takes the rule apart: look by hand";
            Ok(Class::Undecided(Reason::concluded("refused", why, help)))
        }
        other => other,
    }
}

fn looked_at(arm: &Expr, ground: &Ground<'_>) -> Result<Class, Stop> {
    let shut = ground.bounds().of(arm).dead;
    let life = ground.life(arm);
    let class = match (life, shut) {
        (Err(Stop::Pending), _) => return Err(Stop::Pending),
        (Ok(Life::Never(reason)), _) => Class::Never(reason),
        (_, Some(shut)) => never_holds(&shut, ground)?,
        (Ok(Life::Unknown(reason)), _) => Class::Undecided(reason),
        (Ok(Life::Quiet(why)), _) => Class::Living(Reason::good("quiet", why)),
        (Ok(Life::There), _) => {
            // The series beside an `or vector(0)` may appear only with their first event, or be misspelt.
            if let Some((left, reason)) = ground.pruned(arm)?
                && ground.bounds().of(&left).dead.is_some()
            {
                let why = format!("as it is, only `{left}` comes out, which never holds: {}", reason.why);
                return Ok(Class::Undecided(Reason {
                    why,
                    word: "only-the-fallback",
                    seen: false,
                    ..reason
                }));
            }
            Class::Living(Reason::good("quiet", "its series are there, and its threshold can be reached"))
        }
        (Err(stop), _) => return Err(stop),
    };
    Ok(class)
}

/// Returns why a comparison never holds; `seen` is what was observed besides.
fn dead(Shut { side, comparison, range, constant }: &Shut, seen: &str) -> Reason {
    if range.is_none() {
        Reason::concluded(
            "always-there",
            format!("`{comparison}`: what it looks for is never absent"),
            ALWAYS,
        )
    } else if *constant && range.single().is_none() {
        let why = format!("both sides of `{comparison}` are the same, so it never holds");
        Reason::concluded("constant", why, CONSTANT)
    } else if *constant {
        let why = format!("`{side}` is {range} by how it is made, so `{comparison}` never holds{seen}");
        Reason::concluded("constant", why, CONSTANT)
    } else {
        let why = format!("`{side}` is {range} whatever its series are, so `{comparison}` never holds{seen}");
        let help = if side.contains("timestamp(") { TIMESTAMP } else { RANGE };
        Reason::concluded("out-of-range", why, help)
    }
}

/// Formats a number for people.
fn short(number: f64) -> String {
    match number.abs() {
        size if number.fract().abs() <= 0.0 || !size.is_finite() => number.to_string(),
        0.001.. => format!("{number:.3}"),
        _ => format!("{number:.2e}"),
    }
}

/// Judges a comparison that cannot hold, unless the server has seen it hold.
fn never_holds(shut: &Shut, ground: &Ground<'_>) -> Result<Class, Stop> {
    let Shut { side, comparison, range, .. } = shut;
    let (mut seen, mut held) = (String::new(), None);
    let is_series = parser::parse(side).is_ok_and(|side| side.value_type() == ValueType::Vector);
    if is_series && !range.is_none() {
        // A failed query does not change what is true by construction.
        let known = |asked: Result<Option<f64>, Stop>| match asked {
            Err(Stop::Pending) => Err(Stop::Pending),
            other => Ok(other.ok().flatten()),
        };
        let mut over = (WINDOWS[0], 0.0);
        for window @ (length, step) in WINDOWS {
            let points =
                known(ground.known.number(&format!("max(count_over_time(({side})[{length}:{step}]))")))?;
            over = (window, points.unwrap_or_default());
            if over.1 >= ENOUGH {
                break;
            }
        }
        let ((length, step), points) = over;
        let ask = |outer: &str, inner: &str, what: &str| {
            known(ground.known.number(&format!("{outer}({inner}(({what})[{length}:{step}]))")))
        };
        held = ask("count", "count_over_time", comparison)?;
        let (least, most) = (ask("min", "min_over_time", side)?, ask("max", "max_over_time", side)?);
        if let (Some(least), Some(most)) = (least, most) {
            // The observed values contradict what the metric's name promises.
            let slack = 1e-9 * (1.0 + least.abs().max(most.abs()));
            if least < range.lo - slack || most > range.hi + slack {
                let why = format!(
                    "`{side}` was between {least} and {most} in the last {length}, which nobody would think of it"
                );
                return Ok(Class::Living(Reason::good("beyond", why)));
            }
            seen = if (most - least).abs() <= 0.0 {
                format!("; it stood at {} in the last {length} ({points} points)", short(least))
            } else {
                format!(
                    "; it was between {} and {} in the last {length} ({points} points)",
                    short(least),
                    short(most)
                )
            };
        }
    }
    if held.unwrap_or_default() > 0.0 {
        let why = format!("`{comparison}` should never hold, and has held within the last hour");
        return Ok(Class::Living(Reason::good("held", why)));
    }
    Ok(Class::Never(dead(shut, &seen)))
}

const ALWAYS: &str = "leave `vector(…)` and such out of `absent(…)`";
const CONSTANT: &str =
    "a placeholder? Compare the metric that the alert is about; what it is made of here takes itself away";
const TIMESTAMP: &str =
    "`timestamp(…)` is when a sample was taken, not the time that it tells: compare the metric itself";
const RANGE: &str = "is the threshold in the same unit as the left side (a share of 1, not a percentage), and the comparison the right way round?";
