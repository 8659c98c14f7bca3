//! Represents the values an expression can take: a sum of parts that are distinguished by their text, so that a part
//! minus itself is zero, and a range that bounds it.

use super::range::Range;
use std::collections::BTreeMap;

/// A part of a sum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub factor: f64,
    pub range: Range,
    /// Whether it is one number whatever the series, such as `time()`.
    pub scalar: bool,
}

/// The values an expression can take.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    /// The constant and the parts by their text: `2 * x - time()`.
    pub fixed: f64,
    pub parts: BTreeMap<String, Part>,
    /// A range that may be tighter than that of the parts, after a comparison.
    pub bound: Range,
    /// Whether the value can be NaN, or an infinity that the range does not show.
    pub nan: bool,
    /// Whether the expression gives something whatever the server holds.
    pub always: bool,
    /// The comparison that never lets anything through.
    pub dead: Option<Box<Shut>>,
}

/// A comparison that lets nothing through.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shut {
    /// The side that is not the threshold, as text that can be queried.
    pub side: String,
    /// The whole comparison as `PromQL`.
    pub comparison: String,
    /// The values that the side can take.
    pub range: Range,
    /// Whether the side is constant by its expression, and not because of what its series hold.
    pub constant: bool,
}

impl Value {
    pub(super) fn only(value: f64) -> Self {
        let (fixed, nan) = if value.is_nan() { (0.0, true) } else { (value, false) };
        let bound = Range::only(value);
        Self { fixed, parts: BTreeMap::new(), bound, nan, always: false, dead: None }
    }

    /// A value of which only the range is known. Equal texts are equal values.
    pub(super) fn named(text: String, range: Range, nan: bool) -> Self {
        Self::part(text, Part { factor: 1.0, range, scalar: false }, nan)
    }

    pub(super) fn scalar(text: &str, range: Range) -> Self {
        Self::part(text.to_owned(), Part { factor: 1.0, range, scalar: true }, false)
    }

    fn part(text: String, part: Part, nan: bool) -> Self {
        let bound = part.range;
        Self { fixed: 0.0, parts: BTreeMap::from([(text, part)]), bound, nan, always: false, dead: None }
    }

    /// A value of which only the text is known.
    pub(super) fn unknown(text: String) -> Self {
        Self::named(text, Range::ALL, true)
    }

    pub(super) fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// Returns the range of the value.
    pub(super) fn range(&self) -> Range {
        let of = |part: &Part| part.range.times(Range::only(part.factor));
        self.parts.values().map(of).fold(Range::only(self.fixed), Range::plus).meet(self.bound)
    }

    /// Returns whether both are the same sum.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.fixed.total_cmp(&other.fixed).is_eq() && self.parts == other.parts
    }

    /// Returns whether the value is one number by its expression.
    pub(super) fn is_fixed(&self) -> bool {
        self.parts.is_empty() && self.range().single().is_some()
    }

    /// Restricts the value to this range.
    pub(super) fn within(self, range: Range) -> Self {
        Self { bound: self.bound.meet(range), ..self }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut parts = self.parts.clone();
        for (text, part) in &other.parts {
            let sum = parts.entry(text.clone()).or_insert(Part { factor: 0.0, ..part.clone() });
            sum.factor += part.factor;
        }
        parts.retain(|_, part| part.factor.abs() > 0.0);
        // Infinity minus infinity is NaN, even within a part that has cancelled out.
        let finite = |value: &Self| value.range().is_finite();
        let nan = self.nan || other.nan || !(finite(self) && finite(other));
        let bound = self.range().plus(other.range());
        Self { fixed: self.fixed + other.fixed, parts, bound, nan, always: false, dead: None }
    }

    pub(super) fn scaled(&self, factor: f64) -> Self {
        if factor.abs() <= 0.0 {
            return Self { nan: self.nan || !self.range().is_finite(), ..Self::only(0.0) };
        }
        let mut parts = self.parts.clone();
        for part in parts.values_mut() {
            part.factor *= factor;
        }
        let bound = self.range().times(Range::only(factor));
        Self { fixed: self.fixed * factor, parts, bound, nan: self.nan, always: self.always, dead: None }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.scaled(-1.0))
    }

    /// The result of a function that stays between the smallest and the largest of its series: parts without series are
    /// unchanged.
    pub(super) fn mixed(&self, text: &str) -> Self {
        let mut parts = self.parts.clone();
        parts.retain(|_, part| part.scalar);
        let of = |part: &Part| part.range.times(Range::only(part.factor));
        if parts.len() < self.parts.len() {
            let series = self.parts.values().filter(|part| !part.scalar).map(of);
            let range = series.fold(Range::only(0.0), Range::plus);
            parts.insert(format!("series of {text}"), Part { factor: 1.0, range, scalar: false });
        }
        Self { parts, always: false, dead: None, ..self.clone() }
    }

    /// Marks its series as different from those of the same text elsewhere.
    pub(super) fn apart(&self, mark: &str) -> Self {
        let rename = |(text, part): (&String, &Part)| {
            let text = if part.scalar { text.clone() } else { format!("{mark}: {text}") };
            (text, part.clone())
        };
        Self { parts: self.parts.iter().map(rename).collect(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_from_itself_leaves_nothing() {
        let (x, time) = (Value::unknown("x".into()), Value::scalar("time()", Range::new(1e9, 1e10)));
        let placeholder = time.minus(&x.scaled(0.0).plus(&time));
        assert!(placeholder.is_fixed() || placeholder.range().is_zero(), "{placeholder:?}");
        assert!(placeholder.nan, "nothing times infinity is no number");
        assert!(x.minus(&x).range().is_zero());
        assert_eq!(x.minus(&x.apart("left")).range(), Range::ALL);
        assert_eq!(time.minus(&x).range(), Range::ALL);
    }

    #[test]
    fn series_are_mixed_and_time_is_not() {
        let time = Value::scalar("time()", Range::new(1e9, 1e10));
        let age = Value::named("age of x".into(), Range::new(0.0, 300.0), false);
        let newest = time.minus(&age).mixed("max(timestamp(x))");
        assert_eq!(time.minus(&newest).range(), Range::new(0.0, 300.0));
    }
}
