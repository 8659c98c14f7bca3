//! Strips the thresholds from an expression, to find out whether there is anything to compare at all.

use super::bounds::peeled;
use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_LAND, T_LUNLESS, TokenType};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    self, AggregateExpr, BinModifier, BinaryExpr, Call, Expr, FunctionArgs, ParenExpr, SubqueryExpr,
    UnaryExpr, VectorMatchCardinality, VectorMatchFillValues,
};

/// Trees deeper than this are not walked, because recursion uses stack.
const MAX_DEPTH: usize = 100;

/// Returns why the tree is not analysed; `None` if it can be.
pub(super) fn beyond(expr: &Expr) -> Option<&'static str> {
    fn of(expr: &Expr, left: usize) -> Option<&'static str> {
        let Some(left) = left.checked_sub(1) else { return Some("its parts are nested too deeply") };
        let inner = |expr: &Expr| of(expr, left);
        match expr {
            Expr::Aggregate(it) => inner(&it.expr).or_else(|| it.param.as_deref().and_then(inner)),
            Expr::Unary(it) => inner(&it.expr),
            Expr::Binary(it) if fills(it) => Some("it fills in numbers where a side has none (`fill`)"),
            Expr::Binary(it) => inner(&it.lhs).or_else(|| inner(&it.rhs)),
            Expr::Paren(it) => inner(&it.expr),
            Expr::Subquery(it) => inner(&it.expr),
            Expr::Call(it) => it.args.args.iter().find_map(|argument| inner(argument)),
            _ => None,
        }
    }
    of(expr, MAX_DEPTH)
}

/// Returns whether the operator fills in values for series without a partner.
fn fills(it: &BinaryExpr) -> bool {
    it.modifier.as_ref().is_some_and(|modifier| modifier.fill_values != VectorMatchFillValues::default())
}

/// Returns whether the expression gives a single number and not series.
pub(super) fn is_scalar(expr: &Expr) -> bool {
    expr.value_type() == ValueType::Scalar
}

/// Returns the expression with comparisons that let everything through, `unless` without its right side, and `absent`
/// as if its series were absent. The result gives at least the series that the expression could give. If `softly`,
/// sides are only paired and not calculated with: the server refuses to calculate if several series pair that a
/// comparison would have told apart.
pub(super) fn bare(expr: &Expr, softly: bool) -> Expr {
    match expr {
        Expr::Paren(it) => grouped(bare(&it.expr, softly)),
        Expr::Unary(it) => Expr::Unary(UnaryExpr { expr: Box::new(grouped(bare(&it.expr, softly))) }),
        Expr::Binary(it) => bare_binary(it, softly),
        Expr::Subquery(it) => {
            let inner = Box::new(grouped(bare(&it.expr, softly)));
            Expr::Subquery(SubqueryExpr { expr: inner, ..it.clone() })
        }
        // Which series are the largest changes over time, and so does what they pair with.
        Expr::Aggregate(it)
            if matches!(it.op.to_string().as_str(), "topk" | "bottomk" | "limitk" | "limit_ratio") =>
        {
            grouped(bare(&it.expr, softly))
        }
        Expr::Aggregate(it) => {
            Expr::Aggregate(AggregateExpr { expr: Box::new(bare(&it.expr, softly)), ..it.clone() })
        }
        Expr::Call(it) => match it.func.name {
            "absent" | "absent_over_time" => there(it).unwrap_or_else(|| expr.clone()),
            "scalar" => expr.clone(),
            _ => {
                let open = |argument: &Expr| {
                    if is_scalar(argument) { argument.clone() } else { bare(argument, softly) }
                };
                let args = it.args.args.iter().map(|argument| Box::new(open(argument))).collect();
                Expr::Call(Call { func: it.func.clone(), args: FunctionArgs { args } })
            }
        },
        other => other.clone(),
    }
}

fn bare_binary(it: &BinaryExpr, softly: bool) -> Expr {
    let (left, right) = (&it.lhs, &it.rhs);
    // A number beside series does not remove any of them.
    match (is_scalar(left), is_scalar(right)) {
        (true, true) => return Expr::Binary(it.clone()),
        (true, false) => return grouped(bare(right, softly)),
        (false, true) => return grouped(bare(left, softly)),
        (false, false) => {}
    }
    if it.op.id() == T_LUNLESS {
        return grouped(bare(left, softly));
    }
    if softly && !it.op.is_set_operator() {
        return paired(it, softly);
    }
    let return_bool = it.op.is_comparison_operator();
    let modifier = it.modifier.clone().unwrap_or_default();
    let modifier = BinModifier { return_bool, ..modifier };
    let (lhs, rhs) = (Box::new(grouped(bare(left, softly))), Box::new(grouped(bare(right, softly))));
    Expr::Binary(BinaryExpr { op: it.op, lhs, rhs, modifier: Some(modifier) })
}

/// Returns the series of the "many" side for which the other side has a partner.
pub(super) fn paired(it: &BinaryExpr, softly: bool) -> Expr {
    let (left, right) = (grouped(bare(&it.lhs, softly)), grouped(bare(&it.rhs, softly)));
    let modifier = it.modifier.clone().unwrap_or_default();
    let (lhs, rhs) = match modifier.card {
        VectorMatchCardinality::OneToMany(_) => (right, left),
        _ => (left, right),
    };
    let card = VectorMatchCardinality::ManyToMany;
    let modifier = BinModifier { card, matching: modifier.matching, ..BinModifier::default() };
    let (lhs, rhs) = (Box::new(lhs), Box::new(rhs));
    Expr::Binary(BinaryExpr { op: TokenType::new(T_LAND), lhs, rhs, modifier: Some(modifier) })
}

/// Adds parentheses, unless the expression is a single term.
pub(super) fn grouped(expr: Expr) -> Expr {
    match expr {
        Expr::Binary(_) | Expr::Unary(_) | Expr::Subquery(_) => {
            Expr::Paren(ParenExpr { expr: Box::new(expr) })
        }
        other => other,
    }
}

/// Returns what `absent` gives if nothing is there: one series with the labels that its selector requires.
fn there(it: &Call) -> Option<Expr> {
    let selector = match peeled(it.args.args.first()?) {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(it) => Some(&it.vs),
        _ => None,
    };
    let matchers = selector.iter().flat_map(|selector| &selector.matchers.matchers);
    let once = |name: &str| {
        let named = selector.iter().flat_map(|selector| &selector.matchers.matchers);
        named.filter(|matcher| matcher.name == name).count() == 1
    };
    let mut text = "vector(1)".to_owned();
    for matcher in matchers.filter(|matcher| matcher.op == MatchOp::Equal && matcher.name != "__name__") {
        if once(&matcher.name) && !matcher.value.is_empty() {
            let quoted = |text: &str| Expr::from(text).to_string();
            let (name, value) = (quoted(&matcher.name), quoted(&matcher.value.replace('$', "$$")));
            text = format!("label_replace({text}, {name}, {value}, \"\", \"\")");
        }
    }
    parser::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client as prometheus;

    #[test]
    fn what_fills_in_numbers_is_found_in_every_part() {
        let filled = "(x + fill (0) y)";
        for around in [
            "@",
            "sum(@)",
            "quantile(scalar(@), x)",
            "topk(scalar(@), x)",
            "-@",
            "@ + z",
            "z > @",
            "max_over_time(@[1h:])",
            "abs(@)",
            "clamp_max(z, scalar(@))",
        ] {
            let why = |inner: &str| beyond(&prometheus::tree(&around.replace('@', inner)).unwrap());
            assert!(why(filled).is_some_and(|why| why.contains("`fill`")), "{around}");
            assert_eq!(why("(x + y)"), None, "{around}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_not_walked() {
        let of = |depth: usize| {
            let text = format!("{}x{}", "abs(".repeat(depth), ")".repeat(depth));
            beyond(&prometheus::tree(&text).unwrap())
        };
        assert_eq!(of(MAX_DEPTH - 1), None);
        assert!(of(MAX_DEPTH).is_some_and(|why| why.contains("too deeply")));
    }

    #[test]
    fn thresholds_are_left_out_and_what_is_absent_is_there() {
        let of = |query: &str, softly| bare(&prometheus::tree(query).unwrap(), softly).to_string();
        for (query, open) in [
            // The side with many series comes first; those of the other side only have to match.
            ("x * on (a) y", "x and on (a) y"),
            ("x * on (a) group_left () y", "x and on (a) y"),
            ("x * on (a) group_right () y", "y and on (a) x"),
        ] {
            assert_eq!(of(query, true), open, "{query}");
        }
        for (query, open) in [
            ("x > 5", "x"),
            ("x unless y", "x"),
            ("absent(x)", "vector(1)"),
            ("absent({__name__=\"x\"})", "vector(1)"),
            ("absent(x{a=\"b\"})", "label_replace(vector(1), \"a\", \"b\", \"\", \"\")"),
            // Other matchers, no matchers, and two matchers on one label do not give a label.
            ("absent(x{a!=\"b\"})", "vector(1)"),
            ("absent(x{a=~\"b.*\"})", "vector(1)"),
            ("absent(x{a=\"\"})", "vector(1)"),
            ("absent(x{a=\"b\",a=\"c\"})", "vector(1)"),
        ] {
            assert_eq!(of(query, false), open, "{query}");
        }
    }
}
