//! How many: `{equals, min, max}`.

use crate::model::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many there should be; at least one of the three is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Count {
    /// Exactly so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<u64>,
    /// At least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl Count {
    /// At least one: what every kind asks of its list where the file does not count it.
    pub const AT_LEAST_ONE: Count = Count { equals: None, min: Some(1), max: None };

    /// Does it say nothing?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Does so many satisfy it?
    pub fn holds(&self, seen: u64) -> bool {
        !self.is_empty()
            && self.equals.is_none_or(|n| seen == n)
            && self.min.is_none_or(|n| seen >= n)
            && self.max.is_none_or(|n| seen <= n)
    }

    /// The finding on what was counted; `None` where there was nothing to count the elements of.
    pub fn judge(&self, what: impl Into<String>, seen: Option<usize>) -> Finding {
        let expected = json!({ "count": self });
        match seen {
            Some(seen) => Finding::judged(what, expected, json!({ "count": seen }), self.holds(seen as u64)),
            None => Finding::undecided(what, expected, "no list or map").with_help(
                "the path selects no list whose elements could be counted; `[*]` at its end counts nodes",
            ),
        }
    }

    /// Is this finding the passed sight of nothing? Such a one needs a positive control.
    pub fn is_absence(finding: &Finding) -> bool {
        finding.seen == json!({ "count": 0 }) && finding.verdict == crate::model::Verdict::Passed
    }

    /// Is this finding a kind's own "at least one", which a `count` on the same list replaces?
    pub fn is_at_least_one(finding: &Finding) -> bool {
        finding.expected == json!({ "count": Self::AT_LEAST_ONE }) && finding.seen.get("count").is_some()
    }
}
