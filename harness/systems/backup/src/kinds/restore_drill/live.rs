//! What came back beside the database that goes on working: rows of every table, counted on both sides by the same words.

use crate::compare::TablePair;
use crate::drill::Live;
use crate::kinds::archive::named;
use proofmark_model::{Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// How far the rows of a table may be apart: so many, or so many per cent of those in the live database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Rows.
    Rows(u64),
    /// Per cent.
    Percent(f64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl Tolerance {
    /// Are they near enough?
    fn takes(self, live: u64, rows: u64) -> bool {
        let apart = live.abs_diff(rows);
        match self {
            Self::Rows(most) => apart <= most,
            #[expect(clippy::cast_precision_loss, reason = "a share of so many rows is no matter of one")]
            Self::Percent(most) => apart as f64 * 100.0 <= most * live as f64,
        }
    }
}

impl FromStr for Tolerance {
    type Err = SettingMistake;

    fn from_str(text: &str) -> Result<Self, SettingMistake> {
        let wrong = || {
            SettingMistake::new(format!("`{text}` is no tolerance"))
                .help("write rows (`100`) or per cent (`5%`)")
        };
        let Some(number) = text.trim().strip_suffix('%') else {
            return text.trim().parse().map(Self::Rows).map_err(|_| wrong());
        };
        let percent = number.trim().parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
        percent.map(Self::Percent).ok_or_else(wrong)
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => s.serialize_u64(*rows),
            Self::Percent(_) => s.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Written;
        impl de::Visitor<'_> for Written {
            type Value = Tolerance;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rows (`100`) or per cent (`5%`)")
            }
            fn visit_u64<E: de::Error>(self, rows: u64) -> Result<Tolerance, E> {
                Ok(Tolerance::Rows(rows))
            }
            fn visit_i64<E: de::Error>(self, rows: i64) -> Result<Tolerance, E> {
                self.visit_str(&rows.to_string())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tolerance, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_any(Written)
    }
}

impl JsonSchema for Tolerance {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tolerance".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"], "minimum": 0, "pattern": r"^\d+(\.\d+)?%?$",
            "description": "rows (100) or per cent (5%)"
        })
    }
}

/// Has every table about as many rows as the live database?
pub(super) fn judge(live: &Live, tolerance: Tolerance) -> Finding {
    let what = "every table has about as many rows as the live database";
    let expected = format!("the rows of {} tables, give or take {tolerance}", live.tables.len());
    if let Some(why) = &live.failed {
        return Finding::undecided(what, "an answer of the live database", why.clone());
    }
    if live.tables.is_empty() {
        return Finding::undecided(what, "at least one table", "no table");
    }
    let words =
        |rows: Option<u64>| rows.map_or_else(|| "no such table".to_owned(), |rows| format!("{rows} rows"));
    let odd = |pair: &TablePair| {
        let near = pair.expected.zip(pair.rows).is_some_and(|(live, rows)| tolerance.takes(live, rows));
        (!near).then(|| {
            let (came, live) = (words(pair.rows), words(pair.expected));
            format!("{}.{}: {came} came back, {live} in the live database", pair.schema, pair.name)
        })
    };
    named(what, expected.clone(), expected, live.tables.iter().filter_map(odd).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_rows_or_a_share() {
        let of = |text: &str| serde_json::from_str::<Tolerance>(text);
        for (text, live, rows, near) in [
            ("0", 7, 7, true),
            ("0", 7, 8, false),
            ("2", 7, 5, true),
            ("\"2\"", 7, 4, false),
            ("\"5%\"", 100, 95, true),
            ("\"5%\"", 100, 94, false),
            ("\"100%\"", 0, 1, false),
        ] {
            assert_eq!(of(text).unwrap().takes(live, rows), near, "{text} {live} {rows}");
        }
        for wrong in ["-1", "\"-5%\"", "\"101%\"", "\"some\"", "1.5", "\"NaN%\""] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
