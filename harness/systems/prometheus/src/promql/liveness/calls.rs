//! Computes the values that the functions of `PromQL` can take.

use super::bounds::{Bounds, TIME, peeled};
use super::range::Range;
use super::value::{Shut, Value};
use promql_parser::parser::{Call, Expr, Offset};
use std::f64::consts::{FRAC_PI_2, PI};

/// A range of Unix seconds that contains the clock of every server.
const NOWADAYS: Range = Range::new(1e9, 1e11);

pub(super) fn value(bounds: &Bounds<'_>, it: &Call, text: String) -> Value {
    let arguments: Vec<Value> = it.args.args.iter().map(|argument| bounds.of(argument)).collect();
    let dead = arguments.iter().find_map(|argument| argument.dead.clone());
    match it.func.name {
        "absent" | "absent_over_time" => {
            let always = arguments.first().is_some_and(|argument| argument.always);
            let shut =
                || Shut { side: it.args.to_string(), comparison: text, range: Range::NONE, constant: true };
            return Value { dead: always.then(|| Box::new(shut())), ..Value::only(1.0) };
        }
        // `scalar` of no series is NaN, for which no comparison holds.
        "scalar" => {
            let inner = arguments.into_iter().next().unwrap_or_else(|| Value::unknown(text));
            let value = if inner.dead.is_some() { Value::only(f64::NAN) } else { inner };
            return Value { nan: true, always: true, dead: None, ..value };
        }
        _ => {}
    }
    let value = times(bounds, it, &text)
        .or_else(|| over_time(it.func.name, &arguments, &text))
        .or_else(|| mapped(it.func.name, &arguments, &text))
        .unwrap_or_else(|| Value::unknown(text));
    Value { dead, ..value }
}

/// Functions of time.
fn times(bounds: &Bounds<'_>, it: &Call, text: &str) -> Option<Value> {
    let part = match it.func.name {
        "time" => return Some(Value::scalar(TIME, NOWADAYS).always()),
        "pi" => return Some(Value::only(PI).always()),
        "timestamp" => {
            let now = Value::scalar(TIME, NOWADAYS);
            return match it.args.args.first().map(|argument| peeled(argument)) {
                // This is the time of a sample, which is found as far back as a selector looks.
                Some(Expr::VectorSelector(selector)) if selector.at.is_none() => {
                    let back = match &selector.offset {
                        None => 0.0,
                        Some(Offset::Pos(back)) => back.as_secs_f64(),
                        Some(Offset::Neg(_)) => return None,
                    };
                    let oldest = back + bounds.lookback.unwrap_or(f64::INFINITY);
                    Some(now.minus(&Value::named(format!("age of {text}"), Range::new(back, oldest), false)))
                }
                Some(Expr::VectorSelector(_)) | None => None,
                // For any other argument it is the time of evaluation.
                Some(_) => Some(now),
            };
        }
        "minute" => Range::new(0.0, 59.0),
        "hour" => Range::new(0.0, 23.0),
        "day_of_week" => Range::new(0.0, 6.0),
        "day_of_month" => Range::new(1.0, 31.0),
        "days_in_month" => Range::new(28.0, 31.0),
        "day_of_year" => Range::new(1.0, 366.0),
        "month" => Range::new(1.0, 12.0),
        _ => return None,
    };
    Some(if it.args.is_empty() {
        Value::scalar(text, part).always()
    } else {
        Value::named(text.to_owned(), part, true)
    })
}

/// Functions over a window.
fn over_time(name: &str, arguments: &[Value], text: &str) -> Option<Value> {
    let first = arguments.first()?;
    let range = first.range();
    let named = |range| Some(Value::named(text.to_owned(), range, true));
    match name {
        "changes" | "resets" => named(Range::FROM_ZERO),
        // A counter never falls: an apparent decrease is a reset.
        "rate" | "increase" | "irate" => named(Range::FROM_ZERO),
        "count_over_time" => named(Range::new(1.0, f64::INFINITY)),
        "present_over_time" => Some(Value::only(1.0)),
        "avg_over_time" | "min_over_time" | "max_over_time" | "last_over_time" | "first_over_time" => {
            Some(first.mixed(text))
        }
        "quantile_over_time" => {
            let share = first.range().single().is_some_and(|share| (0.0..=1.0).contains(&share));
            if share { named(arguments.get(1)?.range()) } else { None }
        }
        "sum_over_time" => named(range.summed()),
        "stddev_over_time" | "stdvar_over_time" | "mad_over_time" => named(Range::FROM_ZERO),
        _ => None,
    }
}

/// Functions of one value at a time.
fn mapped(name: &str, arguments: &[Value], text: &str) -> Option<Value> {
    let first = arguments.first()?;
    let range = first.range();
    let named = |range| Some(Value::named(text.to_owned(), range, true));
    let rising = |function: fn(f64) -> f64| named(range.rising(function));
    let limit = |index: usize| arguments.get(index).map(Value::range);
    match name {
        "vector" => Some(first.clone().always()),
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => Some(first.clone()),
        // The labels change, the numbers do not.
        "label_replace" | "label_join" => Some(Value { always: first.always, ..first.apart(text) }),
        "abs" => named(range.magnitude()),
        "ceil" => rising(f64::ceil),
        "floor" => rising(f64::floor),
        "exp" => rising(f64::exp),
        "sgn" => named(range.meet(Range::new(-1.0, 1.0)).hull(range.rising(|x| x.clamp(-1.0, 1.0).signum()))),
        "sqrt" => named(range.meet(Range::FROM_ZERO).rising(f64::sqrt)),
        "ln" => named(range.meet(Range::FROM_ZERO).rising(f64::ln)),
        "log2" => named(range.meet(Range::FROM_ZERO).rising(f64::log2)),
        "log10" => named(range.meet(Range::FROM_ZERO).rising(f64::log10)),
        "deg" => Some(first.scaled(180.0 / PI)),
        "rad" => Some(first.scaled(PI / 180.0)),
        "sin" | "cos" | "tanh" => named(Range::new(-1.0, 1.0)),
        "asin" | "atan" => named(Range::new(-FRAC_PI_2, FRAC_PI_2)),
        "acos" => named(Range::new(0.0, PI)),
        "round" => {
            let to = limit(1).map_or(Some(1.0), Range::single)?.abs();
            named(Range::new((range.lo / to).floor() * to, (range.hi / to).ceil() * to))
        }
        "clamp_max" => {
            let most = limit(1)?;
            named(Range::new(range.lo.min(most.lo), range.hi.min(most.hi)))
        }
        "clamp_min" => {
            let least = limit(1)?;
            named(Range::new(range.lo.max(least.lo), range.hi.max(least.hi)))
        }
        "clamp" => {
            let (least, most) = (limit(1)?, limit(2)?);
            named(Range::new(range.lo.max(least.lo).min(most.hi), range.hi.max(least.hi).min(most.hi)))
        }
        "histogram_fraction" => named(Range::SHARE),
        "histogram_count" | "histogram_stddev" | "histogram_stdvar" => named(Range::FROM_ZERO),
        _ => None,
    }
}
