//! Finds the selectors of a `PromQL` expression, each with the time that it covers when the expression is evaluated.

use promql_parser::parser::{self, AtModifier, Expr, MatrixSelector, Offset, VectorSelector};
use std::time::Duration;

/// Expressions with more bytes outside of quoted texts are not parsed: the parser's tree can be as deep as the
/// expression is long, and walking it uses stack.
const MAX_CODE: usize = 4 << 10;

/// How far back an instant selector looks: the server's default, which a flag may change.
const LOOKBACK: Duration = Duration::from_secs(300);

/// One selector of an expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// The selector with the window that the whole expression gives it: `x{a="b"}[1h5m] offset 1d`. Its matchers are
    /// sorted.
    pub text: String,
    /// The selector without any window: `x{a="b"}`.
    pub bare: String,
    /// The metric, if the selector names one and not a pattern.
    pub metric: Option<String>,
    /// The query that counts its series: `count(x)`, `count(last_over_time(x[6h]))`.
    pub count: String,
}

/// The time that the subqueries around a selector add to its own.
#[derive(Debug, Clone, Default)]
struct Around {
    range: Duration,
    /// The offset in milliseconds; negative is in the future.
    offset: i128,
    at: Option<AtModifier>,
}

/// Returns every selector of the expression, in order.
///
/// # Errors
/// The expression cannot be parsed; the error is the parser's. The parser knows most of `PromQL`, not that of every
/// server.
pub fn selectors(expression: &str) -> Result<Vec<Selector>, String> {
    let mut found = Vec::new();
    walk(&tree(expression)?, &Around::default(), &mut found)?;
    Ok(found)
}

/// Parses the expression into a tree.
///
/// # Errors
/// The expression cannot be parsed; the error is the parser's.
pub fn tree(expression: &str) -> Result<Expr, String> {
    readable(expression)?;
    parser::parse(expression)
}

/// Checks whether the expression is small enough to parse.
pub(crate) fn readable(expression: &str) -> Result<(), String> {
    if code(expression) > MAX_CODE {
        return Err(format!("it has more than {MAX_CODE} bytes besides its quoted texts"));
    }
    Ok(())
}

/// Counts the bytes outside of quotes. An expression with a comment counts as too long, because a quote in a comment
/// does not delimit text; servers do not write comments.
fn code(expression: &str) -> usize {
    let (mut open, mut escaped, mut count) = (None, false, 0);
    for byte in expression.bytes() {
        match open {
            None if byte == b'#' => return usize::MAX,
            None => {
                count += 1;
                open = matches!(byte, b'"' | b'\'' | b'`').then_some(byte);
            }
            Some(_) if escaped => escaped = false,
            Some(quote) if byte == quote => open = None,
            Some(quote) => escaped = byte == b'\\' && quote != b'`',
        }
    }
    count
}

fn walk(expr: &Expr, around: &Around, found: &mut Vec<Selector>) -> Result<(), String> {
    match expr {
        Expr::Aggregate(it) => {
            it.param.iter().try_for_each(|param| walk(param, around, found))?;
            walk(&it.expr, around, found)
        }
        Expr::Unary(it) => walk(&it.expr, around, found),
        Expr::Binary(it) => walk(&it.lhs, around, found).and_then(|()| walk(&it.rhs, around, found)),
        Expr::Paren(it) => walk(&it.expr, around, found),
        Expr::Subquery(it) => {
            let inner = around.then(it.range, it.offset.as_ref(), it.at.as_ref());
            walk(&it.expr, &inner, found)
        }
        // Its second argument has the form of a selector but is not one: it selects a metric that it does not name.
        Expr::Call(it) if it.func.name == "info" => Err("it uses `info`, which is not understood".into()),
        Expr::Call(it) => it.args.args.iter().try_for_each(|argument| walk(argument, around, found)),
        Expr::VectorSelector(it) => {
            // In a subquery the selector looks back from each point, including the first.
            let own = if around.range.is_zero() || it.at.is_some() { Duration::ZERO } else { LOOKBACK };
            found.push(selector(it, own, around));
            Ok(())
        }
        Expr::MatrixSelector(it) => {
            found.push(selector(&it.vs, it.range, around));
            Ok(())
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err("it holds something that is not understood".into()),
    }
}

impl Around {
    /// Returns the time around an expression with these modifiers inside of this one. An `@` fixes the time, whatever
    /// is around it.
    fn then(&self, range: Duration, offset: Option<&Offset>, at: Option<&AtModifier>) -> Self {
        let own = match offset {
            None => 0,
            Some(Offset::Pos(length)) => length.as_millis().cast_signed(),
            Some(Offset::Neg(length)) => -length.as_millis().cast_signed(),
        };
        match at {
            Some(at) => Self { range, offset: own, at: Some(at.clone()) },
            None => Self {
                range: self.range.saturating_add(range),
                offset: self.offset + own,
                at: self.at.clone(),
            },
        }
    }

    fn offset(&self) -> Option<Offset> {
        let length = Duration::from_millis(u64::try_from(self.offset.unsigned_abs()).unwrap_or(u64::MAX));
        match self.offset {
            0 => None,
            1.. => Some(Offset::Pos(length)),
            _ => Some(Offset::Neg(length)),
        }
    }
}

fn selector(it: &VectorSelector, range: Duration, around: &Around) -> Selector {
    let whole = around.then(range, it.offset.as_ref(), it.at.as_ref());
    let bare = VectorSelector { offset: None, at: None, ..it.clone() };
    let vs = VectorSelector { offset: whole.offset(), at: whole.at, ..it.clone() };
    let (text, count) = if whole.range.is_zero() {
        let text = vs.to_string();
        (text.clone(), format!("count({text})"))
    } else {
        // Unlike similar functions it keeps the metric's name, so that a pattern over names does not give duplicates.
        let text = MatrixSelector { vs, range: whole.range }.to_string();
        (text.clone(), format!("count(last_over_time({text}))"))
    };
    let by_label = || {
        let matcher = it.matchers.matchers.iter().find(|matcher| matcher.name == "__name__")?;
        (matcher.op == promql_parser::label::MatchOp::Equal).then(|| matcher.value.clone())
    };
    Selector { text, bare: bare.to_string(), metric: it.name.clone().or_else(by_label), count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(expression: &str) -> Vec<String> {
        selectors(expression).unwrap().into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn every_selector_of_an_expression_is_found_with_its_window() {
        for (expression, wanted) in [
            ("up", vec!["up"]),
            ("time() - x{a=\"b\"} > 93600", vec!["x{a=\"b\"}"]),
            ("100 * (1 - (free / total)) > 85", vec!["free", "total"]),
            ("increase(f{n=\"apps\",j=~\"p.*\"}[6h]) > 0", vec!["f{j=~\"p.*\",n=\"apps\"}[6h]"]),
            ("{__name__=~\"velero_.*\"} > 0", vec!["{__name__=~\"velero_.*\"}"]),
            ("{\"dotted.name\"}", vec!["{__name__=\"dotted.name\"}"]),
            ("absent(x) or vector(0)", vec!["x"]),
            ("sum by (a) (-x) unless on(a) y", vec!["x", "y"]),
            ("topk(scalar(n), x)", vec!["n", "x"]),
            ("vector(1) > bool 0", vec![]),
            ("x offset 1d", vec!["x offset 1d"]),
            ("rate(x[5m] offset -1m)", vec!["x[5m] offset -1m"]),
            ("x @ 1609746000", vec!["x @ 1609746000.000"]),
            ("x{a=\"q\\\"\\\\d\\n\"}", vec!["x{a=\"q\\\"\\\\d\\n\"}"]),
            // A subquery evaluates its inner expression over its whole time.
            ("max_over_time(rate(x[5m])[1h:1m] offset 1d)", vec!["x[1h5m] offset 1d"]),
            ("max_over_time(x[1h:1m])", vec!["x[1h5m]"]),
            ("max_over_time((x offset 5m)[1h:] offset -1m)", vec!["x[1h5m] offset 4m"]),
            ("max_over_time(sum_over_time(x[1h:])[1d:])", vec!["x[1d1h5m]"]),
            ("max_over_time((x @ end())[1h:])", vec!["x @ end()"]),
            ("max_over_time(rate(x[5m] @ 10)[1h:])", vec!["x[5m] @ 10.000"]),
            ("max_over_time(rate(x[5m])[1h:] @ 10)", vec!["x[1h5m] @ 10.000"]),
        ] {
            let found = texts(expression);
            assert_eq!(found, wanted, "{expression}");
            // The query text parses again to the same selector: formatting loses nothing.
            for text in found {
                assert_eq!(texts(&text), [text]);
            }
        }
    }

    #[test]
    fn what_counts_them_keeps_the_window_and_the_name() {
        let one = |expression| selectors(expression).unwrap().remove(0);
        assert_eq!(one("x > 1").count, "count(x)");
        let pattern = one("sum(rate({__name__=~\"a.*\"}[5m] offset 1h))");
        assert_eq!(pattern.count, "count(last_over_time({__name__=~\"a.*\"}[5m] offset 1h))");
        assert_eq!((pattern.bare.as_str(), pattern.metric), ("{__name__=~\"a.*\"}", None));
        assert_eq!(one("{__name__=\"a\"}").metric.as_deref(), Some("a"));
        assert_eq!(one("{__name__!=\"a\",b=\"c\"}").metric, None);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_panic() {
        let (nested, chain) =
            (format!("{}x{}", "(".repeat(2_000), ")".repeat(2_000)), "x+".repeat(2_000) + "x");
        assert_eq!(texts(&nested), ["x"]);
        assert_eq!(texts(&chain).len(), 2_001);
        let quoted = format!("x{{a=\"{}\\\"\"}}", "+".repeat(100_000));
        assert_eq!(texts(&quoted).len(), 1);
        let long = "x+".repeat(20_000) + "x";
        let hidden = format!("x # \"\n+ {long}");
        for wrong in [
            "",
            "x{",
            "x smoothed",
            "no_such_function(x)",
            "{a=~\".*\"}",
            "info(x, {a=\"b\"})",
            "é(",
            &long,
            &hidden,
        ] {
            assert!(selectors(wrong).is_err(), "{wrong}");
        }
    }
}
