//! The matchers of `expect`, which are pure: an observation and an expectation give a finding.
//!
//! Nothing passes by default: a path that selects nothing, a masked value, or a comparison with something that is not a
//! number never passes, and does not pass under `not` either.

mod count;
mod matcher;
mod path;
mod pattern;

pub use count::Count;
pub use matcher::WITH_AT;
pub use matcher::{Answer, Matcher, Near, Tolerance, Type};
pub use path::JsonPath;
pub use pattern::Pattern;

use crate::Finding;
use crate::redact::is_masked;
use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// One entry of `expect`: a path, and what is expected there.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// JSONPath (RFC 9535) into the observation.
    pub at: JsonPath,
    /// The question to ask of what the path selects.
    pub matcher: Matcher,
}

impl Expect {
    /// Judges the expectation on an observation that was made at `time`.
    pub fn judge(&self, observation: &Value, time: Timestamp) -> Finding {
        let nodes = self.at.select(observation);
        let what = format!("{} {}", self.at, self.matcher.name());
        let expected = self.matcher.written();
        if let Matcher::Count(count) = &self.matcher {
            return count.judge(what, self.counted(&nodes));
        }
        if nodes.iter().any(|node| is_masked(node)) {
            return Finding::undecided(what, expected, "a masked value").with_help(format!(
                "if `{}` is no secret, name its key in the step: `not-secret: [{}]`",
                self.at,
                self.at.last_name().unwrap_or("key")
            ));
        }
        let (seen, answer) = match (&self.matcher, nodes.as_slice()) {
            (Matcher::Every(inner), _) => each(&self.elements(&nodes), inner, time, true),
            (Matcher::Any(inner), _) => each(&self.elements(&nodes), inner, time, false),
            (_, []) => (json!("nothing"), self.matcher.on_nothing()),
            (matcher, [one]) => (matcher.shown(one, time), matcher.answer(one, time)),
            (_, several) => (
                json!(format!("{} values", several.len())),
                Answer::Undecided(
                    "the path selects several values: say `every: { … }` or `any: { … }`".into(),
                ),
            ),
        };
        answer.finding(what, expected, seen)
    }

    /// Returns whether the entry counts the list at this path, or its elements.
    pub fn counts(&self, list: &str) -> bool {
        let path = self.at.to_string();
        matches!(self.matcher, Matcher::Count(_)) && (path == list || path.strip_suffix("[*]") == Some(list))
    }

    /// The number that `count` uses: the elements of the one array or object that a singular path selects, else the
    /// nodes.
    fn counted(&self, nodes: &[&Value]) -> Option<usize> {
        match (self.at.is_singular(), nodes) {
            (false, nodes) => Some(nodes.len()),
            (true, [Value::Array(items)]) => Some(items.len()),
            (true, [Value::Object(map)]) => Some(map.len()),
            (true, _) => None,
        }
    }

    /// The elements that `every` and `any` iterate over: those of the one array that a singular path selects, else the
    /// nodes.
    fn elements<'a>(&self, nodes: &[&'a Value]) -> Vec<&'a Value> {
        match (self.at.is_singular(), nodes) {
            (true, [Value::Array(items)]) => items.iter().collect(),
            (_, nodes) => nodes.to_vec(),
        }
    }
}

/// Applies `every` (`all`) or `any` to the elements; the finding shows the element that decided.
fn each(elements: &[&Value], inner: &Matcher, time: Timestamp, all: bool) -> (Value, Answer) {
    if elements.is_empty() {
        return (
            json!("nothing"),
            Answer::Undecided("the path selects nothing, so nothing was looked at".into()),
        );
    }
    let mut last = (json!(null), Answer::No);
    let mut undecided = None;
    for element in elements {
        let answer = inner.answer(element, time);
        match (&answer, all) {
            (Answer::Undecided(_), _) => undecided = Some((inner.shown(element, time), answer)),
            (Answer::Yes, true) => {}
            (Answer::Yes, false) | (_, true) => return (inner.shown(element, time), answer),
            (_, false) => last = (inner.shown(element, time), answer),
        }
    }
    match (undecided, all) {
        (Some(open), _) => open,
        (None, true) => (json!(format!("all of {}", elements.len())), Answer::Yes),
        (None, false) if elements.len() == 1 => last,
        (None, false) => (json!(format!("none of {}", elements.len())), Answer::No),
    }
}

impl Serialize for Expect {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut entry = serde_json::Map::new();
        entry.insert("at".into(), json!(self.at.to_string()));
        if let Value::Object(matcher) = self.matcher.written() {
            entry.extend(matcher);
        }
        entry.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Expect;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`{ at: JSONPATH, MATCHER: … }`")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Expect, A::Error> {
                let (mut at, mut matcher) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    if key == "at" {
                        at = Some(map.next_value()?);
                    } else {
                        matcher::one(&mut matcher, &key, &mut map, WITH_AT)?;
                    }
                }
                let at = at.ok_or_else(|| de::Error::missing_field("at"))?;
                Ok(Expect { at, matcher: matcher::present(matcher)? })
            }
        }
        d.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests;
