//! Reads the tree into types, with serde: every mistake carries its place, and an unfilled template reads as anything.

use super::node::{Kind, Late, Node};
use crate::diag::near_miss;
use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;
use std::fmt;

/// What is wrong with a node. `line` is 0 until the nearest node is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub col: u64,
    /// A stable name.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Mistake {
    fn new(code: &'static str, message: String) -> Self {
        Self { line: 0, col: 0, code, message, help: None }
    }

    pub(super) fn at(mut self, node: &Node) -> Self {
        if self.line == 0 {
            (self.line, self.col) = (node.line, node.col);
        }
        self
    }

    fn unknown(code: &'static str, what: &str, word: &str, known: &'static [&'static str]) -> Self {
        let mut mistake = Self::new(code, format!("unknown {what} `{word}`"));
        let all = format!("known here: {}", known.join(", "));
        mistake.help = Some(match near_miss(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        });
        mistake
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.col, self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("bad-value", message.to_string())
    }
    fn invalid_type(seen: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let seen = match seen {
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Map => "a map".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Str(text) => format!("the text {text:?}"),
            other => other.to_string(),
        };
        Self::new("wrong-type", format!("expected {expected}, found {seen}"))
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown("unknown-key", "key", field, known)
    }
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::unknown("unknown-name", "name", variant, known)
    }
    fn missing_field(field: &'static str) -> Self {
        Self::new("missing-key", format!("the key `{field}` is missing"))
    }
    fn duplicate_field(field: &'static str) -> Self {
        Self::new("duplicate-key", format!("the key `{field}` stands here twice"))
    }
}

impl Node {
    /// What filled-in text offers when a scalar of another type is asked for.
    fn scalar(&self) -> Option<Value> {
        match (&self.kind, self.late) {
            (Kind::Str(text), Late::Filled) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// What a value that a template made reads as where text is asked for.
    fn as_text(&self) -> Option<String> {
        match (&self.kind, self.late) {
            (Kind::Bool(v), Late::Filled) => Some(v.to_string()),
            (Kind::Int(v), Late::Filled) => Some(v.to_string()),
            (Kind::Uint(v), Late::Filled) => Some(v.to_string()),
            (Kind::Float(v), Late::Filled) => Some(v.to_string()),
            _ => None,
        }
    }
}

/// A valid text for each type that checks its text, while the real one is an unfilled template.
fn sample(name: &str) -> Option<&'static str> {
    match name {
        "$duration" => Some("1s"),
        "$timestamp" => Some("2026-01-01T00:00:00Z"),
        "$regex" => Some("sample"),
        "$jsonpath" => Some("$"),
        "$url" => Some("http://127.0.0.1/"),
        "$status" => Some("200"),
        "$version" => Some("1"),
        _ => None,
    }
}

macro_rules! scalars { ($($f:ident $visit:ident $sample:expr),+ $(,)?) => { $(
    fn $f<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        match (self.late, self.scalar()) {
            (Late::Unknown, _) => v.$visit($sample).map_err(|m: Mistake| m.at(self)),
            (_, Some(value)) if value.is_number() || value.is_boolean() => {
                value.$f(v).map_err(|e| <Mistake as de::Error>::custom(e).at(self))
            }
            _ => self.deserialize_any(v),
        }
    }
)+ } }

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        let read = match &self.kind {
            Kind::Null => v.visit_unit(),
            Kind::Bool(bool) => v.visit_bool(*bool),
            Kind::Int(int) => v.visit_i64(*int),
            Kind::Uint(uint) => v.visit_u64(*uint),
            // JSON has no word for these; the strings that Prometheus uses stand for them everywhere.
            Kind::Float(float) if float.is_nan() => v.visit_str("NaN"),
            Kind::Float(float) if float.is_infinite() => {
                v.visit_str(if *float > 0.0 { "+Inf" } else { "-Inf" })
            }
            Kind::Float(float) => v.visit_f64(*float),
            Kind::Str(text) => v.visit_borrowed_str(text),
            Kind::Seq(items) => v.visit_seq(de::value::SeqDeserializer::new(items.iter())),
            Kind::Map(entries) => v.visit_map(Entries { rest: entries.iter(), value: None }),
        };
        read.map_err(|mistake: Mistake| mistake.at(self))
    }

    scalars!(
        deserialize_bool visit_bool true,
        deserialize_u8 visit_u8 1, deserialize_u16 visit_u16 1, deserialize_u32 visit_u32 1, deserialize_u64 visit_u64 1,
        deserialize_i8 visit_i8 1, deserialize_i16 visit_i16 1, deserialize_i32 visit_i32 1, deserialize_i64 visit_i64 1,
        deserialize_f64 visit_f64 1.0,
    );

    fn deserialize_str<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        match self.as_text() {
            Some(text) => v.visit_string(text),
            None => self.deserialize_any(v),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(v)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        match self.late {
            Late::Unknown => v.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<&Node>())),
            _ => self.deserialize_any(v),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        match self.kind {
            Kind::Null => v.visit_none(),
            _ => v.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        v: V,
    ) -> Result<V::Value, Mistake> {
        match (self.late, sample(name)) {
            (Late::Unknown, Some(sample)) => v.visit_str(sample),
            _ => v.visit_newtype_struct(self).map_err(|mistake| mistake.at(self)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, Mistake> {
        match &self.kind {
            Kind::Str(_) if self.late == Late::Unknown => {
                v.visit_enum(names.first().copied().unwrap_or_default().into_deserializer())
            }
            Kind::Str(text) => v.visit_enum(text.as_str().into_deserializer()),
            Kind::Map(entries) if entries.len() == 1 => {
                let access = Entries { rest: entries.iter(), value: None };
                v.visit_enum(de::value::MapAccessDeserializer::new(access))
                    .map_err(|m: Mistake| m.at(&entries[0].0))
            }
            Kind::Map(entries) if entries.len() > 1 => {
                let both = format!(
                    "`{}` and `{}`",
                    entries[0].0.as_str().unwrap_or("?"),
                    entries[1].0.as_str().unwrap_or("?")
                );
                let mistake =
                    Mistake::new("two-kinds", format!("exactly one kind is expected here, found {both}"));
                Err(Mistake { help: Some("make two steps of it".into()), ..mistake }.at(&entries[1].0))
            }
            _ => Err(Mistake::new("wrong-type", "expected one kind with its settings: `kind: { … }`".into())
                .at(self)),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Mistake> for &'de Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Mistake;
    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key).map(Some).map_err(|mistake| mistake.at(key))
    }
    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        let Some(value) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        seed.deserialize(value).map_err(|mistake| mistake.at(value))
    }
}
