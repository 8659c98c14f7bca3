//! What an expression can come to: a sum of parts that are told apart by their text, so that what is taken from itself
//! leaves nothing, and the range that it is in.

use super::range::Range;
use std::collections::BTreeMap;

/// A part of a sum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub factor: f64,
    pub range: Range,
    /// One number whatever the series, such as `time()`.
    pub scalar: bool,
}

/// What an expression can come to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    /// A number, and the parts by their text: `2 * x - time()`.
    pub fixed: f64,
    pub parts: BTreeMap<String, Part>,
    /// Tighter than the parts say, where a comparison has let through.
    pub bound: Range,
    /// Can it be no number, or an infinity out of nowhere?
    pub nan: bool,
    /// Does it give something whatever the server holds?
    pub always: bool,
    /// The comparison that lets nothing through, whatever comes.
    pub dead: Option<Box<Shut>>,
}

/// A comparison that lets nothing through.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shut {
    /// The side that is not the threshold, as text that can be asked.
    pub side: String,
    /// The whole comparison, in words of `PromQL`.
    pub comparison: String,
    /// What the side can come to.
    pub range: Range,
    /// Is it a constant by its making, and not by what its series are?
    pub constant: bool,
}

impl Value {
    pub(super) fn only(value: f64) -> Self {
        let (fixed, nan) = if value.is_nan() { (0.0, true) } else { (value, false) };
        let bound = Range::only(value);
        Self { fixed, parts: BTreeMap::new(), bound, nan, always: false, dead: None }
    }

    /// Something of which only the range is known. Twice the same text is twice the same.
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

    /// Nothing is known of it but its text.
    pub(super) fn unknown(text: String) -> Self {
        Self::named(text, Range::ALL, true)
    }

    pub(super) fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// The range that it is in.
    pub(super) fn range(&self) -> Range {
        let of = |part: &Part| part.range.times(Range::only(part.factor));
        self.parts.values().map(of).fold(Range::only(self.fixed), Range::plus).meet(self.bound)
    }

    /// The same sum?
    pub(super) fn same(&self, other: &Self) -> bool {
        self.fixed.total_cmp(&other.fixed).is_eq() && self.parts == other.parts
    }

    /// One number, by its making?
    pub(super) fn is_fixed(&self) -> bool {
        self.parts.is_empty() && self.range().single().is_some()
    }

    /// Lets through only what is in this range.
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
        // An infinity may be less an infinity, also within one part that has gone.
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

    /// What is left when its series are mixed by a function that keeps between the smallest and the largest: parts
    /// without series stay what they are.
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

    /// Its series are no longer those of the same text elsewhere.
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
