//! Checks whether an expression can give anything, thresholds aside: its series exist and pair with each other.
//!
//! The whole expression is queried first. Only if it gives nothing are its parts queried, down to the one at fault.

use super::bare::{bare, grouped, is_scalar, paired};
use super::bounds::{Bounds, peeled};
use super::class::Reason;
use super::known::{Given, Known, Stop};
use super::{Names, Records};
use promql_parser::parser::token::{T_LAND, T_LOR, T_LUNLESS};
use promql_parser::parser::{
    self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, MatrixSelector, UnaryExpr, VectorSelector,
};
use std::collections::BTreeSet;

/// How far back to look, and in which steps. The steps are not multiples of any scrape interval, because a sawtooth
/// that is always sampled in the same phase appears constant. The shorter windows are for a server that started
/// recently.
pub(super) const WINDOWS: [(&str, &str); 3] = [("1h", "157s"), ("5m", "13s"), ("15s", "1100ms")];

/// The least number of points needed to conclude that something was constant or never present.
pub(super) const ENOUGH: f64 = 10.0;

/// Functions that give nothing for a single sample.
const OF_TWO: [&str; 8] = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "double_exponential_smoothing",
];

/// What an expression can give.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Life {
    /// Series, which are present.
    There,
    /// Series, which are absent now for a good reason.
    Quiet(String),
    /// Nothing.
    Never(Reason),
    /// It cannot be decided.
    Unknown(Reason),
}

/// What the decision is based on.
pub(super) struct Ground<'a> {
    pub known: &'a Known<'a>,
    pub records: &'a Records,
    pub alerts: &'a Names,
    pub lookback: Option<f64>,
    /// How long the server keeps samples, in seconds.
    pub retention: Option<f64>,
    /// How many levels of recording rules enclose the expression.
    pub within: usize,
}

impl Ground<'_> {
    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds { records: self.records, lookback: self.lookback, within: 0 }
    }

    /// Returns what an expression can give.
    pub(super) fn life(&self, expr: &Expr) -> Result<Life, Stop> {
        if is_scalar(expr) {
            return self.scalars(expr);
        }
        let mut found = self.known.count(&bare(expr, false).to_string());
        if let Err(Stop::Refused(_)) = found {
            found = self.known.count(&bare(expr, true).to_string());
        }
        match found {
            Ok(series) if series > 0.0 => self.scalars(expr),
            Ok(_) | Err(Stop::Refused(_)) => self.fault(expr),
            Err(stop) => Err(stop),
        }
    }

    /// Checks the numbers made by `scalar`, which are NaN unless there is exactly one series.
    fn scalars(&self, expr: &Expr) -> Result<Life, Stop> {
        let mut calls = Vec::new();
        scalar_calls(expr, &mut calls);
        for inner in calls {
            match self.life(inner)? {
                Life::There => {}
                other => return Ok(other),
            }
            let series = self.known.count(&bare(inner, false).to_string())?;
            if series > 1.0 && bare(inner, false) == grouped(inner.clone()) {
                let why = format!("`scalar({inner})` is no number, for {series} series are there");
                return Ok(Life::Unknown(Reason::concluded("scalar-of-many", why, SCALAR)));
            }
        }
        Ok(Life::There)
    }

    /// Finds the part at fault in an expression that gives nothing.
    fn fault(&self, expr: &Expr) -> Result<Life, Stop> {
        match expr {
            Expr::Paren(it) => self.fault(&it.expr),
            Expr::Unary(it) => self.life(&it.expr),
            Expr::VectorSelector(it) => self.missing(it, expr),
            Expr::MatrixSelector(it) => self.unfilled(it, expr),
            Expr::Binary(it) => self.fault_of_two(it),
            Expr::Aggregate(it) => match self.life(&it.expr)? {
                Life::There => self.nothing(expr),
                other => Ok(other),
            },
            Expr::Call(it) => self.fault_of_call(it, expr),
            Expr::Subquery(_) => self.fault_of_subquery(expr),
            _ => Ok(Life::There),
        }
    }

    fn fault_of_call(&self, it: &Call, expr: &Expr) -> Result<Life, Stop> {
        if it.func.name.starts_with("absent") {
            return Ok(Life::There);
        }
        for argument in &it.args.args {
            match peeled(argument) {
                Expr::MatrixSelector(range) => {
                    let filled = self.unfilled(range, argument)?;
                    return match filled {
                        Life::There if OF_TWO.contains(&it.func.name) => self.too_few(it, range, expr),
                        Life::There => self.nothing(expr),
                        other => Ok(other),
                    };
                }
                Expr::Subquery(_) => return self.fault_of_subquery(expr),
                Expr::StringLiteral(_) => {}
                inner => match self.life(inner)? {
                    Life::There => {}
                    other => return Ok(other),
                },
            }
        }
        self.nothing(expr)
    }

    /// Checks the selectors in a subquery over the whole time that the subquery covers.
    fn fault_of_subquery(&self, expr: &Expr) -> Result<Life, Stop> {
        let selectors = crate::client::selectors(&expr.to_string()).unwrap_or_default();
        for selector in selectors {
            if self.known.number(&selector.count)?.unwrap_or_default() > 0.0 {
                continue;
            }
            if let Ok(Expr::VectorSelector(it)) = parser::parse(&selector.bare) {
                let whole =
                    parser::parse(&selector.text).unwrap_or_else(|_| Expr::VectorSelector(it.clone()));
                return self.missing(&it, &whole);
            }
        }
        let why = format!("nothing comes out of `{expr}`, though its series are there");
        Ok(Life::Unknown(Reason::concluded("empty-subquery", why, BY_HAND)))
    }

    /// Checks whether the window of a selector holds samples.
    fn unfilled(&self, it: &MatrixSelector, expr: &Expr) -> Result<Life, Stop> {
        if self.known.count(&format!("last_over_time({})", peeled(expr)))? > 0.0 {
            return Ok(Life::There);
        }
        let bare = VectorSelector { offset: None, at: None, ..it.vs.clone() };
        if it.vs.offset.is_none() && it.vs.at.is_none() && self.known.count(&bare.to_string())? > 0.0 {
            let why =
                format!("`{expr}` is often empty, though its series are there: they get samples less often");
            return Ok(Life::Unknown(Reason::seen("window-too-short", why, WINDOW)));
        }
        self.missing(&it.vs, expr)
    }

    /// Judges a function that needs two samples and whose window never holds two.
    fn too_few(&self, it: &Call, range: &MatrixSelector, expr: &Expr) -> Result<Life, Stop> {
        let (window, step) = WINDOWS[0];
        let ranges = it.args.args.iter().map(|argument| peeled(argument));
        let text = ranges.filter(|one| matches!(one, Expr::MatrixSelector(_))).map(ToString::to_string);
        let text = text.collect::<String>();
        let bare = VectorSelector { offset: None, at: None, ..range.vs.clone() };
        let all = self.known.number(&format!("max(count_over_time({bare}[{window}]))"))?.unwrap_or_default();
        let most = format!("max(max_over_time(count_over_time({text})[{window}:{step}]))");
        let most = self.known.number(&most)?.unwrap_or_default();
        if most >= 2.0 {
            let why = format!("`{text}` holds two samples only now and then, and of one nothing comes out");
            return Ok(Life::Unknown(Reason::seen("window-too-short", why, WINDOW)));
        }
        if all < ENOUGH {
            return Ok(Life::Unknown(young(&expr.to_string(), all)));
        }
        let why = format!("`{text}` never holds more than {most} sample, and `{}` needs two", it.func.name);
        Ok(Life::Never(Reason::seen("window-too-short", why, WINDOW)))
    }

    /// Judges an expression that gives nothing although its inputs are present: for an hour, or for as long as there is
    /// data.
    fn nothing(&self, expr: &Expr) -> Result<Life, Stop> {
        let inner: Vec<&Expr> = match expr {
            Expr::Call(it) => it.args.args.iter().map(AsRef::as_ref).filter(|it| !is_scalar(it)).collect(),
            Expr::Aggregate(it) => vec![&it.expr],
            _ => Vec::new(),
        };
        let Some(Ok(inner)) = inner.first().map(|inner| match inner {
            Expr::MatrixSelector(_) => Ok(format!("last_over_time({inner})")),
            Expr::Subquery(_) | Expr::StringLiteral(_) => Err(()),
            inner => Ok(bare(inner, false).to_string()),
        }) else {
            let why = format!("nothing comes out of `{expr}`, and it cannot be said why");
            return Ok(Life::Unknown(Reason::concluded("nothing-comes-out", why, BY_HAND)));
        };
        let outer = bare(expr, false).to_string();
        match self.together(&outer, &[inner.as_str()])? {
            Some(true) => Ok(Life::There),
            Some(false) => {
                let why = format!("nothing ever comes out of `{expr}`, though `{inner}` has series");
                Ok(Life::Never(Reason::seen("nothing-comes-out", why, NOTHING)))
            }
            None => Ok(Life::Unknown(young(&outer, 0.0))),
        }
    }

    fn fault_of_two(&self, it: &BinaryExpr) -> Result<Life, Stop> {
        match (it.op.id(), is_scalar(&it.lhs), is_scalar(&it.rhs)) {
            (_, true, _) => return self.life(&it.rhs),
            (_, _, true) | (T_LUNLESS, ..) => return self.life(&it.lhs),
            _ => {}
        }
        let (left, right) = (self.life(&it.lhs), self.life(&it.rhs));
        let (left, right) = (left?, right?);
        if it.op.id() == T_LOR {
            return Ok(match (left, right) {
                (Life::There, _) | (_, Life::There) => Life::There,
                (Life::Quiet(why), _) | (_, Life::Quiet(why)) => Life::Quiet(why),
                (unknown @ Life::Unknown(_), _) | (_, unknown @ Life::Unknown(_)) => unknown,
                (never, _) => never,
            });
        }
        let filled = it.modifier.as_ref().map(|modifier| &modifier.fill_values);
        let (fills_left, fills_right) =
            filled.map_or((false, false), |fill| (fill.lhs.is_some(), fill.rhs.is_some()));
        match (left, right) {
            (never @ Life::Never(_), _) if !fills_left => Ok(never),
            (_, never @ Life::Never(_)) if !fills_right => Ok(never),
            (unknown @ Life::Unknown(_), _) | (_, unknown @ Life::Unknown(_)) => Ok(unknown),
            // Series that are absent now cannot be paired now.
            (quiet @ Life::Quiet(_), _) | (_, quiet @ Life::Quiet(_)) => Ok(quiet),
            _ if fills_left || fills_right => Ok(Life::There),
            _ => self.unpaired(it),
        }
    }

    /// Returns the expression without the sides of an `or` that can give nothing, and why; `None` if it has no such
    /// side.
    pub(super) fn pruned(&self, expr: &Expr) -> Result<Option<(Expr, Reason)>, Stop> {
        let within = |inner: &Expr, whole: &dyn Fn(Box<Expr>) -> Expr| {
            Ok(self.pruned(inner)?.map(|(inner, why)| (whole(Box::new(inner)), why)))
        };
        match expr {
            Expr::Paren(it) => within(&it.expr, &|expr| grouped(*expr)),
            Expr::Unary(it) => within(&it.expr, &|expr| Expr::Unary(UnaryExpr { expr })),
            Expr::Aggregate(it) => {
                within(&it.expr, &|expr| Expr::Aggregate(AggregateExpr { expr, ..it.clone() }))
            }
            Expr::Binary(it) if it.op.id() == T_LOR => Ok(match (self.life(&it.lhs)?, self.life(&it.rhs)?) {
                (Life::Never(_), Life::Never(_)) => None,
                (Life::Never(why), _) => Some((grouped((*it.rhs).clone()), why)),
                (_, Life::Never(why)) => Some((grouped((*it.lhs).clone()), why)),
                _ => None,
            }),
            Expr::Binary(it) => {
                let left = within(&it.lhs, &|lhs| Expr::Binary(BinaryExpr { lhs, ..it.clone() }))?;
                let right = || within(&it.rhs, &|rhs| Expr::Binary(BinaryExpr { rhs, ..it.clone() }));
                left.map_or_else(right, |left| Ok(Some(left)))
            }
            _ => Ok(None),
        }
    }

    /// Checks whether any series of the two sides pair. Both sides have series.
    fn unpaired(&self, it: &BinaryExpr) -> Result<Life, Stop> {
        let pairs = |softly| paired(it, softly).to_string();
        let found = match self.known.count(&pairs(false)) {
            Err(Stop::Refused(_)) => self.known.count(&pairs(true)),
            other => other,
        };
        let (found, softly) = (found?, self.known.count(&pairs(false)).is_err());
        if found > 0.0 {
            return Ok(Life::There);
        }
        let sides = [&it.lhs, &it.rhs].map(|side| grouped(bare(side, softly)).to_string());
        let modifier = it.modifier.clone().unwrap_or_default();
        let shown = sides.clone().map(|side| self.shown(&side, modifier.matching.as_ref()));
        let [left, right] = shown;
        let (left, right) = (left?, right?);
        let told = only_on_one(left, right);
        match self.together(&pairs(softly), &[&sides[0], &sides[1]])? {
            Some(true) => return Ok(Life::There),
            // The set of active alerts changes with every event.
            _ if told.is_none() && sides.iter().any(|side| side.contains("ALERTS")) => {
                let why =
                    format!("`{}` pairs no alert that is pending or firing now", Expr::Binary(it.clone()));
                return Ok(Life::Quiet(why));
            }
            None if told.is_none() => return Ok(Life::Unknown(young(&pairs(softly), 0.0))),
            _ => {}
        }
        let why = told.unwrap_or_else(|| {
            format!(
                "no series of the left has the labels of one of the right; the left has {}, the right {}",
                listed(left),
                listed(right)
            )
        });
        let why = format!("`{}` pairs nothing: {why}", Expr::Binary(it.clone()));
        let help = if it.op.id() == T_LAND && modifier.matching.is_none() { JOIN_AND } else { JOIN };
        Ok(Life::Never(Reason::seen("labels-cannot-join", why, help)))
    }

    /// Returns some series of a side, by the labels that it is paired by.
    fn shown(&self, side: &str, by: Option<&LabelModifier>) -> Result<&[Given], Stop> {
        match by {
            Some(LabelModifier::Include(labels)) if !labels.is_empty() => {
                self.known.given(&format!("topk(3, group by ({labels}) ({side}))"))
            }
            Some(LabelModifier::Exclude(labels)) if !labels.is_empty() => {
                self.known.given(&format!("topk(3, group without ({labels}) ({side}))"))
            }
            _ => self.known.given(&format!("topk(3, {side})")),
        }
    }

    /// Returns whether the whole gave anything while its parts were present; `None` if there are too few points to deny
    /// it.
    fn together(&self, whole: &str, parts: &[&str]) -> Result<Option<bool>, Stop> {
        let (window, step) = WINDOWS[0];
        let ever = self.known.number(&format!("max_over_time(count({whole})[{window}:{step}])"))?;
        if ever.is_some() {
            return Ok(Some(true));
        }
        let parts: Vec<String> = parts.iter().map(|part| format!("count({part})")).collect();
        let parts = parts.join(" * ");
        for (window, step) in WINDOWS {
            let points = self.known.number(&format!("count_over_time(({parts})[{window}:{step}])"))?;
            if points.unwrap_or_default() >= ENOUGH {
                return Ok(Some(false));
            }
        }
        Ok(None)
    }
}

/// Collects the arguments of `scalar` on which the result depends.
fn scalar_calls<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Paren(it) => scalar_calls(&it.expr, found),
        Expr::Unary(it) => scalar_calls(&it.expr, found),
        Expr::Aggregate(it) => scalar_calls(&it.expr, found),
        Expr::Binary(it) if matches!(it.op.id(), T_LOR) => {}
        Expr::Binary(it) if it.op.id() == T_LUNLESS => scalar_calls(&it.lhs, found),
        Expr::Binary(it) if it.op.to_string() == "!=" => {}
        Expr::Binary(it) => {
            scalar_calls(&it.lhs, found);
            scalar_calls(&it.rhs, found);
        }
        Expr::Call(it) if it.func.name == "scalar" => found.extend(it.args.args.first().map(AsRef::as_ref)),
        Expr::Call(it) if it.func.name.starts_with("absent") => {}
        Expr::Call(it) => it.args.args.iter().for_each(|argument| scalar_calls(argument, found)),
        _ => {}
    }
}

/// Returns, in words, a label that all series of one side have and none of the other.
fn only_on_one(left: &[Given], right: &[Given]) -> Option<String> {
    let all = |side: &[Given]| -> BTreeSet<String> {
        let keys = side.iter().flat_map(|given| given.labels.keys().cloned());
        keys.filter(|key| key != "__name__").collect()
    };
    let has = |side: &[Given], key: &str| side.iter().all(|given| given.labels.contains_key(key));
    let (of_left, of_right) = (all(left), all(right));
    let one: Vec<String> = of_left
        .difference(&of_right)
        .filter(|key| has(left, key))
        .map(|key| format!("`{key}` is only on the left"))
        .collect();
    let other = of_right
        .difference(&of_left)
        .filter(|key| has(right, key))
        .map(|key| format!("`{key}` is only on the right"));
    let told: Vec<String> = one.into_iter().chain(other).collect();
    (!told.is_empty() && !left.is_empty() && !right.is_empty()).then(|| told.join(", "))
}

fn listed(side: &[Given]) -> String {
    let one = |given: &Given| {
        let labels = given.labels.iter().filter(|(key, _)| *key != "__name__");
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        format!("{{{}}}", labels.join(", "))
    };
    side.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(super) fn young(what: &str, points: f64) -> Reason {
    let why = format!("there is too little data of `{what}` yet: {points} of {ENOUGH} points");
    Reason::concluded("too-young", why, "look again when there is more, or give the step a `within`")
}

const SCALAR: &str = "put it into an aggregation, such as `scalar(max(…))`, or pair it with `on ()`";
const BY_HAND: &str = "ask the expression by hand, part by part";
const WINDOW: &str = "make the window at least four times as long as the interval of scraping";
const NOTHING: &str = "ask its parts by hand: a `histogram_quantile` needs `le` among the labels that are kept, functions of native histograms need such";
const JOIN: &str = "say with `on (…)` or `ignoring (…)` by which labels the sides are the same, and keep these in both aggregations";
const JOIN_AND: &str = "say with `and on (…)` by which labels the sides are the same; `and on ()` where the right has none, such as `hour()`";
