//! The number of elements that `expect` and the settings of kinds ask for.

use crate::{Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The expected number: `{equals: 3}`, `{min: 1}`, `{min: 1, max: 5}`. At least one key is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", try_from = "Keys")]
#[schemars(rename_all = "kebab-case", deny_unknown_fields, !try_from)]
pub struct Count {
    /// The exact number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<u64>,
    /// The smallest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The largest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// The keys, before they are checked against each other.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    equals: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
}

impl TryFrom<Keys> for Count {
    type Error = SettingMistake;
    fn try_from(keys: Keys) -> Result<Self, SettingMistake> {
        let Keys { equals, min, max } = keys;
        match (equals, min, max) {
            (None, None, None) => {
                Err(SettingMistake::new("the count asks nothing").help("write one of `equals`, `min`, `max`"))
            }
            (Some(_), None, None) => Ok(Self { equals, min, max }),
            (Some(_), ..) => Err(SettingMistake::new("`equals` stands beside another")
                .help("a count has either `equals`, or `min` and `max`")),
            (None, Some(min), Some(max)) if min > max => {
                let message = format!("no count is at least {min} and at most {max}");
                Err(SettingMistake::new(message).help("exchange them"))
            }
            _ => Ok(Self { equals, min, max }),
        }
    }
}

impl Count {
    /// At least one: the default of every kind for its own list, unless the file counts that list.
    pub const AT_LEAST_ONE: Count = Count { equals: None, min: Some(1), max: None };

    /// Returns whether this number satisfies the count.
    pub fn holds(&self, seen: u64) -> bool {
        self.equals.is_none_or(|n| seen == n)
            && self.min.is_none_or(|n| seen >= n)
            && self.max.is_none_or(|n| seen <= n)
    }

    /// The finding on a counted number; `seen` is `None` where nothing could be counted.
    pub fn judge(&self, what: impl Into<String>, seen: Option<usize>) -> Finding {
        let expected = json!({ "count": self });
        match seen {
            Some(seen) => Finding::judged(what, expected, json!({ "count": seen }), self.holds(seen as u64)),
            None => Finding::undecided(what, expected, "no list or map").with_help(
                "the path selects no list whose elements could be counted; `[*]` at its end counts nodes",
            ),
        }
    }

    /// Returns whether this finding passed because nothing was seen. Such a finding needs a positive control.
    pub fn is_absence(finding: &Finding) -> bool {
        finding.seen == json!({ "count": 0 }) && finding.verdict == crate::Verdict::Passed
    }

    /// Returns whether this finding is a kind's own "at least one", which a `count` on the same list replaces.
    pub fn is_at_least_one(finding: &Finding) -> bool {
        finding.expected == json!({ "count": Self::AT_LEAST_ONE }) && finding.seen.get("count").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Count;
    use serde_json::json;

    #[test]
    fn a_count_says_something_and_nothing_impossible() {
        for wrong in
            [json!({}), json!({"min": 2, "max": 1}), json!({"equals": 1, "min": 1}), json!({"mim": 1})]
        {
            assert!(serde_json::from_value::<Count>(wrong.clone()).is_err(), "{wrong}");
        }
        let count: Count = serde_json::from_value(json!({"min": 1, "max": 2})).unwrap();
        assert_eq!([0, 1, 2, 3].map(|number| count.holds(number)), [false, true, true, false]);
        assert_eq!(serde_json::to_value(count).unwrap(), json!({"min": 1, "max": 2}));
    }
}
