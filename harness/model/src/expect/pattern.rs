//! A valid regular expression.

use crate::{SettingMistake, sampled};
use regex::Regex;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A regular expression in the syntax of Rust's `regex`. It is unanchored; `^` and `$` match the ends of the whole text
/// unless `(?m)` is set.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = sampled(d, "$regex")?;
        Regex::new(&text).map(Pattern).map_err(|error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let mistake = SettingMistake::new(format!("`{text}` is no regular expression: {why}"));
            de::Error::custom(mistake.help("a sign that means itself has a backslash: `\\(`"))
        })
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.as_str())
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "regex" })
    }
}
