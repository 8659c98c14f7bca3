//! Closed ranges of numbers and arithmetic on them. Every result contains all possible values, and often more.

/// All numbers from `lo` to `hi`, both included and possibly infinite. Empty if `lo > hi`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub lo: f64,
    pub hi: f64,
}

impl Range {
    pub(super) const ALL: Self = Self { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
    pub(super) const NONE: Self = Self { lo: f64::INFINITY, hi: f64::NEG_INFINITY };
    pub(super) const FROM_ZERO: Self = Self { lo: 0.0, hi: f64::INFINITY };
    pub(super) const SHARE: Self = Self { lo: 0.0, hi: 1.0 };

    pub(super) const fn new(lo: f64, hi: f64) -> Self {
        Self { lo, hi }
    }

    /// A single number; the empty range for NaN.
    pub(super) fn only(value: f64) -> Self {
        if value.is_nan() { Self::NONE } else { Self::new(value, value) }
    }

    pub(super) fn is_none(self) -> bool {
        self.lo > self.hi
    }

    pub(super) fn is_finite(self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }

    /// Returns the single number that the range holds.
    pub(super) fn single(self) -> Option<f64> {
        (self.lo.total_cmp(&self.hi).is_eq() || self.is_zero()).then_some(self.lo)
    }

    pub(super) fn is_zero(self) -> bool {
        self.is_finite() && self.lo.abs().max(self.hi.abs()) <= 0.0
    }

    pub(super) fn holds(self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    pub(super) fn meet(self, other: Self) -> Self {
        Self::new(self.lo.max(other.lo), self.hi.min(other.hi))
    }

    pub(super) fn hull(self, other: Self) -> Self {
        if self.is_none() {
            other
        } else if other.is_none() {
            self
        } else {
            Self::new(self.lo.min(other.lo), self.hi.max(other.hi))
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.or_none(other, || Self::sound(self.lo + other.lo, self.hi + other.hi))
    }

    pub(super) fn times(self, other: Self) -> Self {
        self.or_none(other, || {
            // Zero times infinity counts as zero here; the caller handles the NaN case itself.
            let product = |a: f64, b: f64| if a.abs() <= 0.0 || b.abs() <= 0.0 { 0.0 } else { a * b };
            let all = [(self.lo, other.lo), (self.lo, other.hi), (self.hi, other.lo), (self.hi, other.hi)];
            all.into_iter().map(|(a, b)| Self::only(product(a, b))).fold(Self::NONE, Self::hull)
        })
    }

    pub(super) fn over(self, other: Self) -> Self {
        self.or_none(other, || {
            if !other.holds(0.0) {
                let inverse = Self::new(1.0 / other.hi, 1.0 / other.lo);
                return self.times(inverse);
            }
            // A zero has a sign: dividing by -1 * 0 gives minus infinity.
            if other.is_zero() {
                return Self::ALL;
            }
            let same_sign = (self.lo >= 0.0 && other.lo >= 0.0) || (self.hi <= 0.0 && other.hi <= 0.0);
            if same_sign { Self::FROM_ZERO } else { Self::ALL }
        })
    }

    /// The remainder of a division, which has the sign of the dividend.
    pub(super) fn rest(self, other: Self) -> Self {
        let most = other.lo.abs().max(other.hi.abs());
        let lo = if self.lo >= 0.0 { 0.0 } else { -most };
        let hi = if self.hi <= 0.0 { 0.0 } else { most };
        self.or_none(other, || Self::new(lo.max(self.lo.min(0.0)), hi.min(self.hi.max(0.0))))
    }

    pub(super) fn to_the(self, power: Self) -> Self {
        self.or_none(power, || match power.single() {
            Some(zero) if zero.abs() <= 0.0 => Self::only(1.0),
            Some(even) if (even % 2.0).abs() <= 0.0 => Self::FROM_ZERO,
            _ if self.lo >= 0.0 => Self::FROM_ZERO,
            _ => Self::ALL,
        })
    }

    /// Applies a function that never decreases.
    pub(super) fn rising(self, function: impl Fn(f64) -> f64) -> Self {
        if self.is_none() { self } else { Self::sound(function(self.lo), function(self.hi)) }
    }

    pub(super) fn magnitude(self) -> Self {
        if self.is_none() || self.lo >= 0.0 {
            self
        } else if self.hi <= 0.0 {
            Self::new(-self.hi, -self.lo)
        } else {
            Self::new(0.0, self.hi.max(-self.lo))
        }
    }

    /// Returns the possible sums of one or more of its numbers.
    pub(super) fn summed(self) -> Self {
        let lo = if self.lo < 0.0 { f64::NEG_INFINITY } else { self.lo };
        let hi = if self.hi > 0.0 { f64::INFINITY } else { self.hi };
        if self.is_none() { self } else { Self::new(lo, hi) }
    }

    fn or_none(self, other: Self, result: impl FnOnce() -> Self) -> Self {
        if self.is_none() || other.is_none() { Self::NONE } else { result() }
    }

    /// Bounds that are NaN (infinity minus infinity) give the range of all numbers.
    fn sound(lo: f64, hi: f64) -> Self {
        let lo = if lo.is_nan() { f64::NEG_INFINITY } else { lo };
        Self::new(lo, if hi.is_nan() { f64::INFINITY } else { hi })
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.single(), self.lo.is_finite(), self.hi.is_finite()) {
            _ if self.is_none() => write!(f, "no number"),
            (Some(value), ..) => write!(f, "always {value}"),
            (_, true, true) => write!(f, "from {} to {}", self.lo, self.hi),
            (_, true, false) => write!(f, "at least {}", self.lo),
            (_, false, true) => write!(f, "at most {}", self.hi),
            _ => write!(f, "any number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_range() -> impl Strategy<Value = (Range, f64)> {
        let ends = prop_oneof![Just(0.0), Just(1.0), -9.0..9.0, Just(f64::INFINITY), Just(f64::NEG_INFINITY)];
        (ends.clone(), ends, 0.0..=1.0_f64).prop_map(|(a, b, part)| {
            let range = Range::new(a.min(b), a.max(b));
            let (lo, hi) = (range.lo.max(-1e6), range.hi.min(1e6));
            // Picks a number of the range; a range that is entirely infinite holds only that.
            (range, if lo <= hi { (lo + (hi - lo) * part).clamp(lo, hi) } else { range.lo })
        })
    }

    proptest! {
        #[test]
        fn what_comes_out_is_within_what_could((a, x) in any_range(), (b, y) in any_range()) {
            for (range, value) in [
                (a.plus(b), x + y), (a.times(b), x * y), (a.over(b), x / y), (a.rest(b), x % y),
                (a.hull(b), x), (a.magnitude(), x.abs()), (a.summed(), x * 3.0), (a.rising(f64::exp), x.exp()),
            ] {
                let near = value.is_nan() || range.holds(value) || range.holds(value - 1e-6) || range.holds(value + 1e-6);
                prop_assert!(near, "{range:?} {value} of {a:?} {x} and {b:?} {y}");
            }
            for power in [0.0, 1.0, 2.0, 3.0, -1.0, 0.5] {
                let value: f64 = x.powf(power);
                prop_assert!(value.is_nan() || a.to_the(Range::only(power)).holds(value));
            }
        }
    }
}
