//! The matchers: each asks one question about a value.

use super::{Count, Pattern};
use crate::{Duration, Finding, SettingMistake};
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Number, Value, json};

/// The keys that may appear beside `at`.
pub const WITH_AT: &[&str] = &[
    "at",
    "equals",
    "one-of",
    "matches",
    "min",
    "max",
    "near",
    "type",
    "newer-than",
    "count",
    "every",
    "any",
    "not",
];

/// The question to ask of a value.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// The value is equal; numbers compare by value (1 = 1.0).
    Equals(Value),
    /// The value is equal to one of these.
    OneOf(Vec<Value>),
    /// The text contains a match of the regular expression (unanchored).
    Matches(Regex),
    /// The number is at least this.
    Min(f64),
    /// The number is at most this.
    Max(f64),
    /// The number is near another.
    Near(Near),
    /// The value has this type.
    Type(Type),
    /// The time is at most this long ago: RFC 3339 text, or Unix seconds.
    NewerThan(Duration),
    /// The number of elements or nodes.
    Count(Count),
    /// Every element or node satisfies this.
    Every(Box<Matcher>),
    /// At least one element or node satisfies this.
    Any(Box<Matcher>),
    /// The value does not satisfy this.
    Not(Box<Matcher>),
}

/// `near: { value: 100, within: 5 }` or `within: 5%`.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Near {
    /// The reference number.
    pub value: f64,
    /// The largest allowed distance.
    pub within: Tolerance,
}

/// An absolute distance, or a percentage of the value: `5`, `5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// A distance in the unit of the value.
    Absolute(f64),
    /// A percentage of the value.
    Percent(f64),
}

/// The types of JSON, and `integer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// Text.
    String,
    /// A number, or one of `"NaN"`, `"+Inf"`, `"-Inf"`.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
    /// `null`.
    Null,
}

/// What a matcher concludes about a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The value matches.
    Yes,
    /// The value does not match.
    No,
    /// The question does not fit the value. The matcher does not hold, and neither does its negation.
    Cannot(String),
    /// The question could not be decided.
    Undecided(String),
}

impl Matcher {
    /// The matcher's key in the file.
    pub fn name(&self) -> &'static str {
        let index = match self {
            Self::Equals(_) => 1,
            Self::OneOf(_) => 2,
            Self::Matches(_) => 3,
            Self::Min(_) => 4,
            Self::Max(_) => 5,
            Self::Near(_) => 6,
            Self::Type(_) => 7,
            Self::NewerThan(_) => 8,
            Self::Count(_) => 9,
            Self::Every(_) => 10,
            Self::Any(_) => 11,
            Self::Not(_) => 12,
        };
        WITH_AT[index]
    }

    /// The matcher as it is written in the file: `{"min": 1}`.
    pub fn written(&self) -> Value {
        let value = match self {
            Self::Equals(value) => value.clone(),
            Self::OneOf(values) => json!(values),
            Self::Matches(regex) => json!(regex.as_str()),
            Self::Min(number) | Self::Max(number) => from_number(*number),
            Self::Near(near) => json!(near),
            Self::Type(kind) => json!(kind),
            Self::NewerThan(age) => json!(age),
            Self::Count(count) => json!(count),
            Self::Every(inner) | Self::Any(inner) | Self::Not(inner) => inner.written(),
        };
        json!({ self.name(): value })
    }

    /// The answer when nothing was selected: a positive matcher does not hold; a negated one could not be decided.
    pub(super) fn on_nothing(&self) -> Answer {
        match self {
            Self::Not(_) => Answer::Undecided("the path selects nothing, so nothing was looked at".into()),
            _ => Answer::Cannot("the path selects nothing in the observation".into()),
        }
    }

    /// What a finding shows of a value that was seen at `time`: the value, or for a time question the value with its
    /// age, since people do not read Unix seconds.
    pub(super) fn shown(&self, value: &Value, time: Timestamp) -> Value {
        match (self, stamp(value)) {
            (Self::NewerThan(_), Some(stamp)) => json!(format!("{stamp}, {}", aged(stamp, time))),
            (Self::Not(inner), _) => inner.shown(value, time),
            _ => value.clone(),
        }
    }

    /// The answer for a value that was seen at `time`.
    pub fn answer(&self, value: &Value, time: Timestamp) -> Answer {
        match self {
            Self::Equals(wanted) => Answer::of(equal(wanted, value)),
            Self::OneOf(wanted) => Answer::of(wanted.iter().any(|wanted| equal(wanted, value))),
            Self::Matches(regex) => match value {
                Value::String(text) => Answer::of(regex.is_match(text)),
                Value::Number(_) | Value::Bool(_) => Answer::of(regex.is_match(&value.to_string())),
                _ => Answer::Cannot("`matches` reads text".into()),
            },
            Self::Min(bound) => compare(value, |seen| seen >= *bound),
            Self::Max(bound) => compare(value, |seen| seen <= *bound),
            Self::Near(near) => compare(value, |seen| near.holds(seen)),
            Self::Type(kind) => Answer::of(kind.is(value)),
            Self::NewerThan(age) => newer(value, *age, time),
            Self::Count(count) => match value {
                Value::Array(items) => Answer::of(count.holds(items.len() as u64)),
                Value::Object(map) => Answer::of(count.holds(map.len() as u64)),
                _ => Answer::Cannot("`count` counts the elements of a list or map".into()),
            },
            Self::Every(inner) => within(value, inner, time, true),
            Self::Any(inner) => within(value, inner, time, false),
            Self::Not(inner) => match inner.answer(value, time) {
                Answer::Yes => Answer::No,
                Answer::No => Answer::Yes,
                Answer::Cannot(why) | Answer::Undecided(why) => Answer::Undecided(why),
            },
        }
    }
}

impl Answer {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Builds the finding of this answer from what was expected and seen.
    pub fn finding(
        self,
        what: impl Into<String>,
        expected: impl Into<Value>,
        seen: impl Into<Value>,
    ) -> Finding {
        match self {
            Self::Yes => Finding::judged(what, expected, seen, true),
            Self::No => Finding::judged(what, expected, seen, false),
            Self::Cannot(why) => Finding::judged(what, expected, seen, false).with_help(why),
            Self::Undecided(why) => Finding::undecided(what, expected, seen).with_help(why),
        }
    }
}

fn within(value: &Value, inner: &Matcher, time: Timestamp, all: bool) -> Answer {
    match value {
        Value::Array(items) => super::each(&items.iter().collect::<Vec<_>>(), inner, time, all).1,
        _ => Answer::Cannot("`every` and `any` go through the elements of a list".into()),
    }
}

/// Compares with numbers by value, also inside lists and maps.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || exact(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Compares two numbers of different spelling exactly: whole numbers beyond 2^53 are not compared as floats.
fn exact(a: &Number, b: &Number) -> bool {
    match (a.is_f64(), b.is_f64()) {
        (false, false) => false,
        _ => {
            a.as_f64() == b.as_f64()
                && a.as_f64().is_some_and(|v| v.abs() < 9_007_199_254_740_992.0 || (a.is_f64() && b.is_f64()))
        }
    }
}

/// Returns the number, also for the words that represent numbers which JSON cannot write.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "+Inf" => Some(f64::INFINITY),
            "-Inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn from_number(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(_) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 fits")]
            let whole = number as i64;
            json!(whole)
        }
        Some(number) => Value::Number(number),
        None if number.is_nan() => json!("NaN"),
        None => json!(if number > 0.0 { "+Inf" } else { "-Inf" }),
    }
}

fn compare(value: &Value, holds: impl Fn(f64) -> bool) -> Answer {
    match number(value) {
        Some(seen) if seen.is_nan() => Answer::Cannot("NaN is neither above nor below anything".into()),
        Some(seen) => Answer::of(holds(seen)),
        None => Answer::Cannot("it is no number".into()),
    }
}

/// How far in the future a time may be before it counts as a future time; clocks differ.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Reads a time from RFC 3339 text or Unix seconds.
fn stamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse::<Timestamp>().ok(),
        Value::Number(seconds) => seconds.as_f64().and_then(|s| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "out of range saturates and is refused by jiff"
            )]
            let millis = (s * 1000.0) as i64;
            Timestamp::from_millisecond(millis).ok()
        }),
        _ => None,
    }
}

fn newer(value: &Value, age: Duration, time: Timestamp) -> Answer {
    let Some(stamp) = stamp(value) else {
        return Answer::Cannot("it is no time: RFC 3339 text or Unix seconds are read".into());
    };
    let since = time.duration_since(stamp);
    if since < -SKEW {
        return Answer::Undecided(format!(
            "{stamp} lies in the future; is a clock wrong, or is it milliseconds?"
        ));
    }
    Answer::of(since <= SignedDuration::try_from(age.0).unwrap_or(SignedDuration::MAX))
}

/// Formats an age: `3d 2h old`, `2h 5m old`; seconds appear only below an hour.
fn aged(stamp: Timestamp, time: Timestamp) -> String {
    let seconds = time.duration_since(stamp).as_secs();
    let (age, word) = (seconds.unsigned_abs(), if seconds < 0 { "in the future" } else { "old" });
    let (big, small) = match age {
        86_400.. => ((age / 86_400, "d"), (age % 86_400 / 3_600, "h")),
        3_600.. => ((age / 3_600, "h"), (age % 3_600 / 60, "m")),
        60.. => ((age / 60, "m"), (age % 60, "s")),
        _ => ((age, "s"), (0, "")),
    };
    let small = if small.0 == 0 { String::new() } else { format!(" {}{}", small.0, small.1) };
    format!("{}{}{small} {word}", big.0, big.1)
}

impl Near {
    fn holds(&self, seen: f64) -> bool {
        let within = match self.within {
            Tolerance::Absolute(within) => within,
            Tolerance::Percent(percent) => self.value.abs() * percent / 100.0,
        };
        seen.is_finite() && (seen - self.value).abs() <= within
    }
}

impl Type {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => number(value).is_some(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|v| v.fract() == 0.0)
            }
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }
}

impl Serialize for Tolerance {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(number) => s.serialize_f64(*number),
            Self::Percent(number) => s.collect_str(&format_args!("{number}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(d)?;
        let wrong = || {
            let mistake = SettingMistake::new("`within` is no distance");
            de::Error::custom(mistake.help("write a number, or a share such as `5%`"))
        };
        let amount = match &value {
            Value::Number(number) => number.as_f64().map(Self::Absolute),
            Value::String(text) if text.contains("{{") => Some(Self::Absolute(1.0)),
            Value::String(text) => match text.strip_suffix('%') {
                Some(percent) => percent.trim().parse().ok().map(Self::Percent),
                None => text.parse().ok().map(Self::Absolute),
            },
            _ => None,
        };
        amount
            .filter(|a| matches!(a, Self::Absolute(n) | Self::Percent(n) if n.is_finite() && *n >= 0.0))
            .ok_or_else(wrong)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

/// Reads one matcher's value into `slot`; a second matcher is a mistake.
pub(super) fn one<'de, A: de::MapAccess<'de>>(
    slot: &mut Option<Matcher>,
    key: &str,
    map: &mut A,
    known: &'static [&'static str],
) -> Result<(), A::Error> {
    if let Some(first) = slot {
        let mistake = SettingMistake::new(format!("`{}` and `{key}` in one entry", first.name()));
        return Err(de::Error::custom(mistake.help("each entry asks one thing: write two")));
    }
    *slot = Some(match key {
        "equals" => Matcher::Equals(map.next_value()?),
        "one-of" => Matcher::OneOf(map.next_value()?),
        "matches" => Matcher::Matches(map.next_value::<Pattern>()?.0),
        "min" => Matcher::Min(map.next_value()?),
        "max" => Matcher::Max(map.next_value()?),
        "near" => Matcher::Near(map.next_value()?),
        "type" => Matcher::Type(map.next_value()?),
        "newer-than" => Matcher::NewerThan(map.next_value()?),
        "count" => Matcher::Count(map.next_value()?),
        "every" => Matcher::Every(map.next_value()?),
        "any" => Matcher::Any(map.next_value()?),
        "not" => Matcher::Not(map.next_value()?),
        _ => return Err(de::Error::unknown_field(key, known)),
    });
    Ok(())
}

pub(super) fn present<E: de::Error>(matcher: Option<Matcher>) -> Result<Matcher, E> {
    matcher.ok_or_else(|| {
        let help = format!("add one of {}", WITH_AT[1..].join(", "));
        E::custom(SettingMistake::new("it asks nothing").help(help))
    })
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Matcher;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one matcher: `{ min: 1 }`")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Matcher, A::Error> {
                let mut matcher = None;
                while let Some(key) = map.next_key::<String>()? {
                    one(&mut matcher, &key, &mut map, &WITH_AT[1..])?;
                }
                present(matcher)
            }
        }
        d.deserialize_map(Visitor)
    }
}
