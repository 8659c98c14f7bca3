//! Parses fields and their types from settings: a list of names, or a map from name to type.

use jiff::Timestamp;
use proofmark_model::expect::Type;
use proofmark_model::redact::MASK;
use proofmark_model::{SettingMistake, sampled};
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The required type of a field. Every type but `null` requires a value, and text that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Anything but `null` and empty text.
    Any,
    /// RFC 3339 text in UTC.
    Time,
    /// A type of JSON.
    Json(Type),
    /// A type that was masked when the settings were recorded. It was judged before that.
    Masked,
}

/// Names and types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<String, FieldType>);

/// Required events with their fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Require(pub BTreeMap<String, Fields>);

/// The value of a field, in as much detail as the types need.
#[derive(Debug)]
pub enum Shape<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number without a fraction.
    Integer(f64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A list.
    Array,
    /// A map.
    Object,
}

impl FieldType {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Self::Any,
            "time" | "timestamp" | "iso-8601" | "rfc3339" => Self::Time,
            "string" | "text" => Self::Json(Type::String),
            "number" => Self::Json(Type::Number),
            "integer" => Self::Json(Type::Integer),
            "boolean" => Self::Json(Type::Boolean),
            "array" | "list" => Self::Json(Type::Array),
            "object" | "map" => Self::Json(Type::Object),
            "null" => Self::Json(Type::Null),
            MASK => Self::Masked,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Time => "time",
            Self::Masked => MASK,
            Self::Json(Type::String) => "string",
            Self::Json(Type::Number) => "number",
            Self::Json(Type::Integer) => "integer",
            Self::Json(Type::Boolean) => "boolean",
            Self::Json(Type::Array) => "array",
            Self::Json(Type::Object) => "object",
            Self::Json(Type::Null) => "null",
        }
    }

    /// Returns what is wrong with a value; `None` if nothing is.
    pub fn problem(self, shape: Option<&Shape<'_>>) -> Option<&'static str> {
        let Some(shape) = shape else { return Some("it is missing") };
        match (self, shape) {
            (Self::Json(Type::Null), Shape::Null) | (Self::Masked, _) => None,
            (_, Shape::Null) => Some("it is null"),
            (_, Shape::Text(text)) if text.is_empty() => Some("it is empty"),
            (Self::Any, _) => None,
            (Self::Time, Shape::Text(text)) if utc(text).is_some() => None,
            (Self::Time, _) => Some("it is no RFC 3339 time in UTC"),
            (Self::Json(Type::String), Shape::Text(_)) => None,
            (Self::Json(Type::String), _) => Some("it is no string"),
            (Self::Json(Type::Integer), Shape::Integer(_)) => None,
            (Self::Json(Type::Integer), _) => Some("it is no integer"),
            (Self::Json(Type::Number), Shape::Integer(_) | Shape::Number(_)) => None,
            (Self::Json(Type::Number), _) => Some("it is no number"),
            (Self::Json(Type::Boolean), Shape::Boolean) => None,
            (Self::Json(Type::Boolean), _) => Some("it is no boolean"),
            (Self::Json(Type::Array), Shape::Array) => None,
            (Self::Json(Type::Array), _) => Some("it is no array"),
            (Self::Json(Type::Object), Shape::Object) => None,
            (Self::Json(Type::Object), _) => Some("it is no object"),
            (Self::Json(Type::Null), _) => Some("it is not null"),
        }
    }
}

impl<'a> Shape<'a> {
    /// Returns the shape of a value.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) => {
                let float = number.as_f64().unwrap_or(f64::NAN);
                if float.fract() == 0.0 { Self::Integer(float) } else { Self::Number(float) }
            }
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// Returns the same shape, borrowed.
    pub fn borrowed(&self) -> Shape<'_> {
        match self {
            Self::Null => Shape::Null,
            Self::Boolean => Shape::Boolean,
            Self::Integer(number) => Shape::Integer(*number),
            Self::Number(number) => Shape::Number(*number),
            Self::Text(text) => Shape::Text(Cow::Borrowed(text)),
            Self::Array => Shape::Array,
            Self::Object => Shape::Object,
        }
    }

    /// Returns the time that the value denotes: RFC 3339 text with any offset, or Unix seconds.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Text(text) => text.parse().ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "out of range saturates and is refused by jiff"
            )]
            Self::Integer(seconds) | Self::Number(seconds) => {
                Timestamp::from_microsecond((seconds * 1e6) as i64).ok()
            }
            _ => None,
        }
    }
}

/// Parses a time that is explicitly in UTC.
fn utc(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| says_utc(text))
}

/// Returns whether the text of a valid time is explicitly in UTC.
pub fn says_utc(text: &str) -> bool {
    ["Z", "z", "+00:00", "-00:00"].iter().any(|end| text.ends_with(end))
}

impl Serialize for FieldType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for FieldType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let word = sampled(d, "$field-type")?;
        let known = "any, time, string, number, integer, boolean, array, object, null";
        Self::read(&word)
            .ok_or_else(|| SettingMistake::new(format!("`{word}` is no type of a field")))
            .map_err(|mistake| de::Error::custom(mistake.help(format!("known: {known}"))))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl Serialize for Require {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

/// Deserialises a map, or a list of names, each of which gets its value from the function.
struct Named<T>(fn(&str) -> T, &'static str);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
    type Value = BTreeMap<String, T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut out = BTreeMap::new();
        while let Some(name) = list.next_element::<String>()? {
            out.insert(name.clone(), self.0(&name));
        }
        Ok(out)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            out.insert(name, value);
        }
        Ok(out)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // A field called `ts` is a time even without a type, as its name implies.
        let plain = |name: &str| if name == "ts" { FieldType::Time } else { FieldType::Any };
        d.deserialize_any(Named(plain, "a list of names, or a map from name to type")).map(Fields)
    }
}

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let words = "a list of events, or a map from event to its fields";
        d.deserialize_any(Named(|_| Fields::default(), words)).map(Require)
    }
}

impl JsonSchema for Fields {
    fn schema_name() -> Cow<'static, str> {
        "Fields".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kinds = ["any", "time", "string", "number", "integer", "boolean", "array", "object", "null"];
        schemars::json_schema!({ "oneOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": "object", "additionalProperties": { "enum": kinds } },
            { "type": "null" },
        ] })
    }
}

impl JsonSchema for Require {
    fn schema_name() -> Cow<'static, str> {
        "Require".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let fields = generator.subschema_for::<Fields>();
        schemars::json_schema!({ "oneOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": "object", "additionalProperties": fields },
        ] })
    }
}
