//! How many there should be, as the settings of kinds and the matchers of `expect` say it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many there should be: `{equals: 3}`, `{min: 1}`, `{min: 1, max: 5}`. At least one key is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", try_from = "Keys")]
#[schemars(rename_all = "kebab-case", deny_unknown_fields, !try_from)]
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

/// The keys before it is known that they make sense.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    equals: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
}

impl TryFrom<Keys> for Count {
    type Error = String;
    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { equals, min, max } = keys;
        match (equals, min, max) {
            (None, None, None) => Err("a count needs one of `equals`, `min`, `max`".into()),
            (Some(_), None, None) => Ok(Self { equals, min, max }),
            (Some(_), ..) => Err("a count has either `equals` or `min` and `max`".into()),
            (None, Some(min), Some(max)) if min > max => {
                Err(format!("no count is at least {min} and at most {max}"))
            }
            _ => Ok(Self { equals, min, max }),
        }
    }
}

impl Count {
    /// Is this number as it should be?
    pub fn holds(&self, number: u64) -> bool {
        self.equals.is_none_or(|equals| number == equals)
            && self.min.is_none_or(|min| number >= min)
            && self.max.is_none_or(|max| number <= max)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.equals, self.min, self.max) {
            (Some(equals), ..) => write!(f, "exactly {equals}"),
            (_, Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (_, Some(min), None) => write!(f, "at least {min}"),
            (_, None, Some(max)) => write!(f, "at most {max}"),
            (None, None, None) => f.write_str("any number"),
        }
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
