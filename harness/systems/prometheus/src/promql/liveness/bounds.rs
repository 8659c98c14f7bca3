//! Computes the values an expression can take whatever its series hold: by arithmetic alone, without querying the
//! server.
//!
//! Of metric names, only what Prometheus itself defines is used: `up` and `…_info` are 0 or 1.

use super::Records;
use super::calls;
use super::range::Range;
use super::value::{Shut, Value};
use promql_parser::label::MatchOp;
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD, T_MUL, T_NEQ,
    T_POW, T_SUB, TokenId,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Expr, MatrixSelector, Offset, SubqueryExpr, VectorMatchCardinality,
    VectorSelector,
};
use std::f64::consts::PI;

#[cfg(test)]
mod tests;

/// The part of a sum that is the current time.
pub(super) const TIME: &str = "time()";

/// At most this number of recorded metrics is followed from one to the next.
pub(super) const RECORDS: usize = 8;

/// What is known besides the expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub records: &'a Records,
    /// How far back a selector looks, in seconds.
    pub lookback: Option<f64>,
    /// How many levels of recording rules enclose the expression.
    pub within: usize,
}

impl Bounds<'_> {
    /// Returns the values that the expression can take.
    pub(super) fn of(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Paren(it) => self.of(&it.expr),
            Expr::Unary(it) => {
                let value = self.of(&it.expr);
                Value { dead: value.dead.clone(), ..value.scaled(-1.0) }
            }
            Expr::NumberLiteral(it) => Value::only(it.val).always(),
            Expr::VectorSelector(it) => self.selected(it, expr.to_string()),
            Expr::MatrixSelector(MatrixSelector { vs, .. }) => self.selected(vs, expr.to_string()),
            Expr::Subquery(it) => self.earlier(it, &expr.to_string()),
            Expr::Aggregate(it) => self.aggregated(it, expr.to_string()),
            Expr::Call(it) => calls::value(self, it, expr.to_string()),
            Expr::Binary(it) => self.binary(it, expr),
            Expr::StringLiteral(_) | Expr::Extension(_) => Value::unknown(expr.to_string()),
        }
    }

    /// Returns the values that an expression took at some time within the subquery.
    fn earlier(&self, it: &SubqueryExpr, text: &str) -> Value {
        let value = self.of(&it.expr);
        let (now, dead) = (value.mixed(text), value.dead);
        let is_plain = now.parts.iter().all(|(text, part)| !part.scalar || text == TIME);
        let back = match (&it.offset, &it.at) {
            (None, None) if is_plain => 0.0,
            (Some(Offset::Pos(back)), None) if is_plain => back.as_secs_f64(),
            // It is evaluated at a fixed time, in the future, or uses a scalar such as the hour.
            _ => return Value { dead, ..Value::named(text.to_owned(), now.range(), now.nan) },
        };
        let ago = Range::new(back, back + it.range.as_secs_f64());
        let time = now.parts.get(TIME).map_or(0.0, |part| part.factor);
        let lag = Value::named(format!("lag of {text}"), ago, false);
        let (nan, value) = (now.nan, now.minus(&lag.scaled(time)));
        Value { nan, dead, ..value }
    }

    fn selected(&self, it: &VectorSelector, text: String) -> Value {
        let Some(name) = metric(it) else { return Value::unknown(text) };
        if name == "up" || name == "ALERTS" || name.ends_with("_info") {
            return Value::named(text, Range::SHARE, false);
        }
        // Names with a colon belong to recording rules; other names may be scraped as well.
        match self.records.get(name) {
            Some(recorded) if name.contains(':') && self.within < RECORDS && !recorded.is_empty() => {
                let inner = Self { within: self.within + 1, ..*self };
                let values: Vec<Value> = recorded.iter().map(|expr| inner.of(expr)).collect();
                let range = values.iter().map(Value::range).fold(Range::NONE, Range::hull);
                let nan = values.iter().any(|value| value.nan) || range.is_none();
                let dead = values.iter().map(|value| value.dead.clone()).collect::<Option<Vec<_>>>();
                let dead = dead.and_then(|dead| dead.into_iter().next());
                Value { dead, ..Value::named(text, range, nan) }
            }
            _ => Value::unknown(text),
        }
    }

    fn aggregated(&self, it: &AggregateExpr, text: String) -> Value {
        let value = self.of(&it.expr);
        let (range, nan) = (value.range(), value.nan);
        let literal = |param: &Expr| self.of(param).range().single();
        let share =
            || it.param.as_deref().and_then(literal).is_some_and(|share| (0.0..=1.0).contains(&share));
        let whole = match it.op.to_string().as_str() {
            "avg" | "min" | "max" => value.mixed(&text),
            "topk" | "bottomk" | "limitk" | "limit_ratio" => value.apart(&text),
            "quantile" if share() => value.mixed(&text),
            "sum" if value.is_fixed() && range.is_zero() => Value { nan, ..Value::only(0.0) },
            "sum" => Value::named(text, range.summed(), nan),
            "count" | "count_values" => Value::named(text, Range::new(1.0, f64::INFINITY), false),
            "group" => Value::only(1.0),
            "stddev" | "stdvar" => Value::named(text, Range::FROM_ZERO, nan),
            _ => Value::unknown(text),
        };
        Value { always: value.always, dead: value.dead, ..whole }
    }

    fn binary(&self, it: &BinaryExpr, expr: &Expr) -> Value {
        let (left, right) = (self.of(&it.lhs), self.of(&it.rhs));
        // Series of the same text that are not paired by all of their labels need not be the same series.
        let (left, right) =
            if is_plainly_matched(it) { (left, right) } else { (left.apart("left"), right.apart("right")) };
        match it.op.id() {
            T_LAND | T_LOR | T_LUNLESS => set(it, left, right, expr),
            op if it.op.is_comparison_operator() => compared(it, op, left, right, expr),
            op => {
                let dead = left.dead.clone().or_else(|| right.dead.clone());
                let always = left.always && right.always;
                Value { always, dead, ..self.calculated(it, op, &left, &right, expr.to_string()) }
            }
        }
    }

    fn calculated(&self, it: &BinaryExpr, op: TokenId, left: &Value, right: &Value, text: String) -> Value {
        let (l, r) = (left.range(), right.range());
        let one = |value: &Value| value.is_fixed().then(|| value.range().single()).flatten();
        let nan = left.nan || right.nan || !l.is_finite() || !r.is_finite();
        match op {
            T_ADD => left.plus(right),
            T_SUB => left.minus(right),
            T_MUL => match (one(left), one(right)) {
                (_, Some(factor)) => Value { nan, ..left.scaled(factor) },
                (Some(factor), _) => Value { nan, ..right.scaled(factor) },
                _ if left.same(right) => Value::named(text, l.magnitude().times(l.magnitude()), nan),
                _ => Value::named(text, l.times(r), nan),
            },
            T_DIV if one(right).is_some_and(|by| by.abs() > 0.0) => {
                left.scaled(1.0 / one(right).unwrap_or(1.0))
            }
            // Zero divided by zero is NaN, which no comparison but `!=` lets through.
            T_DIV if left.same(right) => Value { nan: true, ..Value::only(1.0) },
            T_DIV if self.is_part(it, left, right) => Value::named(text, Range::SHARE, true),
            T_DIV => Value::named(text, l.over(r), true),
            T_MOD => Value::named(text, l.rest(r), true),
            T_POW => Value::named(text, l.to_the(r), nan),
            T_ATAN2 => Value::named(text, Range::new(-PI, PI), nan),
            _ => Value::unknown(text),
        }
    }

    /// Returns whether the left is a part of the right, and so never larger than it.
    fn is_part(&self, it: &BinaryExpr, left: &Value, right: &Value) -> bool {
        if left.range().lo >= 0.0 && right.minus(left).range().lo >= 0.0 {
            return true;
        }
        match (peeled(&it.lhs), peeled(&it.rhs)) {
            (Expr::Aggregate(part), Expr::Aggregate(whole)) => {
                let alike = part.modifier == whole.modifier && is_plainly_matched(it);
                let op = (part.op.to_string(), whole.op.to_string());
                let within = match (op.0.as_str(), op.1.as_str()) {
                    ("count", "count") => is_no_more(&part.expr, &whole.expr),
                    ("sum", "sum") => {
                        self.of(&whole.expr).range().lo >= 0.0 && is_fewer(&part.expr, &whole.expr)
                    }
                    ("sum", "count") => {
                        let range = self.of(&part.expr).range();
                        range.lo >= 0.0 && range.hi <= 1.0 && is_no_more(&part.expr, &whole.expr)
                    }
                    _ => false,
                };
                alike && within
            }
            _ => false,
        }
    }
}

/// Returns the metric that a selector names.
pub(super) fn metric(it: &VectorSelector) -> Option<&str> {
    let by_label =
        || it.matchers.matchers.iter().find(|one| one.name == "__name__" && one.op == MatchOp::Equal);
    it.name.as_deref().or_else(|| by_label().map(|matcher| matcher.value.as_str()))
}

/// Returns the expression without the parentheses around it.
pub(super) fn peeled(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(it) => peeled(&it.expr),
        other => other,
    }
}

/// Returns whether both sides are paired by all of their labels, or one side is a single number.
fn is_plainly_matched(it: &BinaryExpr) -> bool {
    it.modifier.as_ref().is_none_or(|modifier| {
        let grouped = matches!(
            modifier.card,
            VectorMatchCardinality::ManyToOne(_) | VectorMatchCardinality::OneToMany(_)
        );
        let by = modifier.matching.as_ref().is_some_and(|by| by.is_include() || !by.labels().is_empty());
        !grouped && !by
    })
}

fn compared(it: &BinaryExpr, op: TokenId, left: Value, right: Value, expr: &Expr) -> Value {
    let less = left.minus(&right).range();
    let open = is_possible(op, &left, &right, less);
    let text = expr.to_string();
    let (dead, always) = (left.dead.clone().or_else(|| right.dead.clone()), left.always && right.always);
    if it.return_bool() {
        let certain = !(left.nan || right.nan || is_possible(opposite(op), &left, &right, less));
        let value = match (open, certain) {
            (false, _) => Value::only(0.0),
            (_, true) => Value::only(1.0),
            _ => Value::named(text, Range::SHARE, false),
        };
        return Value { always, dead, ..value };
    }
    let from_right = it.lhs.value_type() == ValueType::Scalar;
    let (side, value, other, op) =
        if from_right { (&it.rhs, right, left, mirrored(op)) } else { (&it.lhs, left, right, op) };
    let shut = || {
        // If the threshold is not a constant, it may be the side that does not change.
        let range = value.range();
        let constant = range.single().is_some() || less.is_zero();
        Some(Box::new(Shut { side: side.to_string(), comparison: text, range, constant }))
    };
    let dead = if open { dead } else { dead.or_else(shut) };
    // NaN passes `!=` alone.
    let nan = value.nan && op == T_NEQ;
    Value { dead, nan, always: false, ..value.clone().within(let_through(op, other.range())) }
}

fn set(it: &BinaryExpr, left: Value, right: Value, expr: &Expr) -> Value {
    let shut = |range| {
        let (side, comparison) = (it.lhs.to_string(), expr.to_string());
        Some(Box::new(Shut { side, comparison, range, constant: false }))
    };
    match it.op.id() {
        T_LOR if left.dead.is_some() => Value { always: right.always, ..right },
        T_LOR if right.dead.is_some() => left,
        T_LOR => {
            let (range, nan) = (left.range().hull(right.range()), left.nan || right.nan);
            let always = left.always || right.always;
            let value = if left.same(&right) { left } else { Value::named(expr.to_string(), range, nan) };
            Value { always, ..value.within(range) }
        }
        T_LUNLESS => {
            let covered = unfiltered(&it.lhs).to_string() == peeled(&it.rhs).to_string();
            let dead = left.dead.clone().or_else(|| if covered { shut(left.range()) } else { None });
            Value { dead, always: false, ..left }
        }
        _ => {
            let dead = left.dead.clone().or_else(|| right.dead.clone());
            let together = left.same(&right) && is_plainly_matched(it);
            let range = if together { left.range().meet(right.range()) } else { left.range() };
            let dead = if dead.is_none() && together && range.is_none() { shut(left.range()) } else { dead };
            Value { dead, always: false, ..left.within(range) }
        }
    }
}

/// Returns the operand of comparisons that let part of it through unchanged.
fn unfiltered(expr: &Expr) -> &Expr {
    match peeled(expr) {
        Expr::Binary(it) if !it.return_bool() => compared_side(it).map_or(expr, unfiltered),
        other => other,
    }
}

/// Returns the operand of comparisons that give at most one number for each of its series.
fn counted(expr: &Expr) -> &Expr {
    match peeled(expr) {
        Expr::Binary(it) => compared_side(it).map_or(expr, counted),
        other => other,
    }
}

/// Returns the side of a comparison whose series are the result. Series paired by some labels (`on`) keep only these.
fn compared_side(it: &BinaryExpr) -> Option<&Expr> {
    let from_right = it.lhs.value_type() == ValueType::Scalar;
    let is_plain = it.op.is_comparison_operator() && is_plainly_matched(it);
    is_plain.then_some(if from_right { &*it.rhs } else { &*it.lhs })
}

/// Returns whether the first gives no more series than the second in any group, whatever their values.
fn is_no_more(part: &Expr, whole: &Expr) -> bool {
    is_fewer(part, whole) || is_fewer(counted(part), whole)
}

/// Returns whether the first gives a subset of the series of the second, each with the same value.
fn is_fewer(part: &Expr, whole: &Expr) -> bool {
    let narrower = |a: &VectorSelector, b: &VectorSelector| {
        let among = b.matchers.matchers.iter().all(|matcher| a.matchers.matchers.contains(matcher));
        metric(a).is_some()
            && metric(a) == metric(b)
            && among
            && a.matchers.or_matchers.is_empty()
            && b.matchers.or_matchers.is_empty()
            && (&a.offset, &a.at) == (&b.offset, &b.at)
    };
    let (part, whole) = (unfiltered(part), peeled(whole));
    match (part, whole) {
        (Expr::VectorSelector(a), Expr::VectorSelector(b)) => narrower(a, b),
        (Expr::Call(a), Expr::Call(b)) if a.func.name == b.func.name => {
            match (a.args.args.as_slice(), b.args.args.as_slice()) {
                ([a], [b]) => match (peeled(a), peeled(b)) {
                    (Expr::MatrixSelector(a), Expr::MatrixSelector(b)) => {
                        a.range == b.range && narrower(&a.vs, &b.vs)
                    }
                    _ => a == b,
                },
                _ => false,
            }
        }
        (a, b) => a == b,
    }
}

/// Returns whether this comparison can hold. `less` is the range of the left minus the right.
fn is_possible(op: TokenId, left: &Value, right: &Value, less: Range) -> bool {
    let (l, r) = (left.range(), right.range());
    if op == T_NEQ {
        let equal = l.single().is_some() && l.single() == r.single();
        return left.nan || right.nan || !(equal || less.is_zero());
    }
    if l.is_none() || r.is_none() || less.is_none() {
        return false;
    }
    match op {
        T_GTR => l.hi > r.lo && less.hi > 0.0,
        T_GTE => l.hi >= r.lo && less.hi >= 0.0,
        T_LSS => l.lo < r.hi && less.lo < 0.0,
        T_LTE => l.lo <= r.hi && less.lo <= 0.0,
        T_EQLC => !l.meet(r).is_none() && less.holds(0.0),
        _ => true,
    }
}

/// Returns the values that pass a comparison with this range.
fn let_through(op: TokenId, other: Range) -> Range {
    match op {
        T_GTR | T_GTE => Range::new(other.lo, f64::INFINITY),
        T_LSS | T_LTE => Range::new(f64::NEG_INFINITY, other.hi),
        T_EQLC => other,
        _ => Range::ALL,
    }
}

/// Returns the comparison that holds exactly when this one does not.
fn opposite(op: TokenId) -> TokenId {
    match op {
        T_GTR => T_LTE,
        T_GTE => T_LSS,
        T_LSS => T_GTE,
        T_LTE => T_GTR,
        T_EQLC => T_NEQ,
        _ => T_EQLC,
    }
}

/// Returns the same comparison with its sides swapped.
fn mirrored(op: TokenId) -> TokenId {
    match op {
        T_GTR => T_LSS,
        T_GTE => T_LTE,
        T_LSS => T_GTR,
        T_LTE => T_GTE,
        same => same,
    }
}
