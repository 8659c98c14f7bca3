//! Finds the threshold of an alert's expression: the number on the right of its outermost comparison.

use super::selectors::readable;
use promql_parser::parser::{self, Expr};
use regex::Regex;
use std::sync::LazyLock;

/// A number in `PromQL`, with the sign before it.
static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"(?i)(?:[-+]\s*)?(?:0x[0-9a-f]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?|\b(?:inf|nan)\b)";
    Regex::new(pattern).expect("a constant")
});

/// Returns the expression with another threshold; the rest of the text is unchanged.
///
/// # Errors
/// The expression has no comparison with a number, or more than one, so that the threshold is ambiguous.
pub fn with_threshold(expression: &str, threshold: f64) -> Result<String, String> {
    readable(expression)?;
    let mut tree = parser::parse(expression)?;
    let mut found = vec![];
    comparisons(&mut tree, &mut found);
    let count = found.len();
    let [Expr::Binary(comparison)] = found.as_mut_slice() else {
        return Err(format!("it has {} on its outside", many(count)));
    };
    let right = comparison.rhs.to_string();
    if !replace(&mut comparison.rhs, threshold) {
        return Err(format!("on the right of its comparison stands `{right}`, which is no number"));
    }
    // The tree does not hold positions in the text, so each number is tried.
    let (wanted, number) = (tree.to_string(), Expr::from(threshold).to_string());
    let tried = NUMBERS
        .find_iter(expression)
        .map(|it| format!("{}{number}{}", &expression[..it.start()], &expression[it.end()..]));
    let is_it = |text: &String| parser::parse(text).is_ok_and(|tree| tree.to_string() == wanted);
    tried.into_iter().find(is_it).ok_or_else(|| "its threshold cannot be found in its text".to_owned())
}

/// Returns whether both expressions are the same apart from formatting. Text that cannot be parsed is compared
/// literally.
pub fn same_expression(one: &str, other: &str) -> bool {
    let read = |text: &str| readable(text).and_then(|()| parser::parse(text)).ok();
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one.to_string() == other.to_string(),
        _ => one.trim() == other.trim(),
    }
}

fn many(count: usize) -> String {
    match count {
        0 => "no comparison".into(),
        count => format!("{count} comparisons"),
    }
}

/// Collects the comparisons that are enclosed only by parentheses, `and`, `or` and `unless`.
fn comparisons<'a>(expr: &'a mut Expr, found: &mut Vec<&'a mut Expr>) {
    match expr {
        Expr::Paren(it) => comparisons(&mut it.expr, found),
        Expr::Binary(it) if it.op.is_comparison_operator() => found.push(expr),
        Expr::Binary(it) if it.op.is_set_operator() => {
            comparisons(&mut it.lhs, found);
            comparisons(&mut it.rhs, found);
        }
        _ => {}
    }
}

/// Replaces a number; returns `false` if the expression is not a number.
fn replace(expr: &mut Expr, number: f64) -> bool {
    match expr {
        Expr::Paren(it) => replace(&mut it.expr, number),
        Expr::NumberLiteral(_) => {
            *expr = Expr::from(number);
            true
        }
        Expr::Unary(it) if matches!(*it.expr, Expr::NumberLiteral(_)) => {
            *expr = Expr::from(number);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_on_the_right_of_the_outermost_comparison_is_replaced() {
        for (expression, threshold, wanted) in [
            ("time() - last_successful > 93600", 0.0, "time() - last_successful > 0"),
            ("(100 * (1 -  (free / total))) > 85", 0.5, "(100 * (1 -  (free / total))) > 0.5"),
            ("(x > 5)", -1.0, "(x > -1)"),
            ("up == bool 0", 1.0, "up == bool 1"),
            ("x > -3", 2.0, "x > 2"),
            ("x{a=\"5 > 5\"}[5m] offset 5m", 2.0, ""),
            ("x{a=\"> 5\"} - 5 > 5", 2.0, "x{a=\"> 5\"} - 5 > 2"),
            ("x > (1e3)", 2.0, "x > (2)"),
            ("x < +Inf", 2.0, "x < 2"),
            ("count(x > 5) > 0", 7.0, "count(x > 5) > 7"),
            ("5 < x and x > 5", 7.0, ""),
            ("x > 5 and on(job) up", 6.0, "x > 6 and on(job) up"),
            ("increase(f{n=\"apps\",j=~\"p.*\"}[6h]) > 0", 9.0, "increase(f{n=\"apps\",j=~\"p.*\"}[6h]) > 9"),
        ] {
            assert_eq!(with_threshold(expression, threshold).unwrap_or_default(), wanted, "{expression}");
        }
    }

    #[test]
    fn where_nobody_can_say_which_number_is_meant_it_is_an_error() {
        for expression in [
            "absent(up)",
            "up",
            "x > y",
            "x > 1 and y > 2",
            "5",
            "x > time()",
            "(",
            "vector(1)",
            "x > 1 or y < 2",
        ] {
            assert!(with_threshold(expression, 1.0).is_err(), "{expression}");
        }
    }

    #[test]
    fn what_differs_only_in_writing_is_the_same() {
        assert!(same_expression("x{a=\"1\",b='2'}>0.10", "x{b=\"2\", a=\"1\"} > 0.1"));
        assert!(
            !same_expression("x > 1", "x > 2")
                && !same_expression("x >", "y >")
                && same_expression("x >", "x >")
        );
    }
}
