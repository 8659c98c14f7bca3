//! Deserialises the tree into types with serde. Every mistake carries its place, and an unfilled template is accepted
//! for any type.

use super::node::{Kind, Late, Node};
use proofmark_model::SettingMistake;
use proofmark_model::diag::near_miss;
use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;
use std::fmt;

/// A mistake in a node. `line` is 0 until the nearest node is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub col: u64,
    /// A stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The key that the mistake is about, if any.
    key: Option<String>,
}

impl Mistake {
    fn new(code: &'static str, message: String) -> Self {
        Self { line: 0, col: 0, code, message, help: None, key: None }
    }

    pub(super) fn at(mut self, node: &Node) -> Self {
        if self.line == 0 {
            (self.line, self.col) = (node.line, node.col);
        }
        self
    }

    fn misfit(code: &'static str, seen: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let (wanted, help) = plain(&expected);
        let empty = matches!(seen, Unexpected::Unit).then_some("write a value, or leave the key out");
        let seen = match seen {
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Map => "a map".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Str(text) => format!("the text {text:?}"),
            Unexpected::Bool(bool) => format!("`{bool}`"),
            Unexpected::Unsigned(number) => format!("the number {number}"),
            Unexpected::Signed(number) => format!("the number {number}"),
            Unexpected::Float(number) => format!("the number {number}"),
            Unexpected::UnitVariant => "its name alone".to_owned(),
            other => other.to_string(),
        };
        let help = empty.or(help).map_or_else(|| format!("write {wanted}"), str::to_owned);
        Self { help: Some(help), ..Self::new(code, format!("expected {wanted}, found {seen}")) }
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
        let SettingMistake { message, help } = SettingMistake::passed_on(&message);
        Self { help, ..Self::new("bad-value", message) }
    }
    fn invalid_type(seen: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::misfit("wrong-type", seen, expected)
    }
    fn invalid_value(seen: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::misfit("bad-value", seen, expected)
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self { key: Some(field.to_owned()), ..Self::unknown("unknown-key", "key", field, known) }
    }
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::unknown("unknown-name", "name", variant, known)
    }
    fn missing_field(field: &'static str) -> Self {
        let mistake = Self::new("missing-key", format!("the key `{field}` is missing"));
        Self { help: Some(format!("add `{field}: …` here")), ..mistake }
    }
    fn duplicate_field(field: &'static str) -> Self {
        let mistake = Self::new("duplicate-key", format!("the key `{field}` stands here twice"));
        Self { help: Some("keep one of the two".into()), ..mistake }
    }
}

impl Node {
    /// The value that a filled-in text takes when a scalar of another type is expected.
    fn scalar(&self) -> Option<Value> {
        match (&self.kind, self.late) {
            (Kind::Str(text), Late::Filled) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// The text of a value from a template, when text is expected.
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

/// For a type that validates its text: the type's name, and a valid text that replaces an unfilled template.
fn sample(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "$duration" => Some(("a duration", "30s")),
        "$timestamp" => Some(("a time", "2026-02-16T02:00:00Z")),
        "$regex" => Some(("a regular expression", "^v[0-9]+")),
        "$jsonpath" => Some(("a JSONPath", "$.samples[0].value")),
        "$url" => Some(("a URL", "http://127.0.0.1/")),
        "$status" => Some(("an HTTP status", "200")),
        "$field-type" => Some(("a type of a field", "any")),
        "$version" => Some(("a version", ">=2.44")),
        _ => None,
    }
}

/// What serde expects, in the terms of the file format, and advice on how to write it.
fn plain(expected: &str) -> (&str, Option<&'static str>) {
    let number = Some("write a number, without quotes");
    match expected {
        "a string" => ("text", Some("write it as text, in quotes if it looks like something else")),
        "a boolean" => {
            ("`true` or `false`", Some("only `true` and `false` are; `yes`, `no`, `on` and `off` are text"))
        }
        "a sequence" => ("a list", Some("write it as a list: `[…]`")),
        "a map" => ("a map", Some("write it as a map: `{ … }`")),
        "u8" => ("a whole number from 0 to 255", number),
        "u16" => ("a whole number from 0 to 65535", number),
        "u32" => ("a whole number from 0 to 4294967295", number),
        "u64" | "usize" => ("a whole number that is not negative", number),
        "i8" | "i16" | "i32" | "i64" => ("a whole number", number),
        "f32" | "f64" => ("a number", number),
        "field identifier" | "variant identifier" => ("a name", Some("a name is text, followed by `: `")),
        "newtype variant" => ("a name with its settings", Some("write it with its settings: `name: { … }`")),
        settings if settings.starts_with("struct ") => ("its settings", Some("write them as a map: `{ … }`")),
        other => (other, None),
    }
}

macro_rules! scalars { ($($f:ident $visit:ident $sample:expr),+ $(,)?) => { $(
    fn $f<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Mistake> {
        match (self.late, self.scalar()) {
            (Late::Unknown, _) => v.$visit($sample).map_err(|m: Mistake| m.at(self)),
            (_, Some(Value::Bool(bool))) => v.visit_bool(bool).map_err(|m: Mistake| m.at(self)),
            (_, Some(Value::Number(number))) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(uint), ..) => v.visit_u64(uint),
                (_, Some(int), _) => v.visit_i64(int),
                (.., float) => v.visit_f64(float.unwrap_or(f64::NAN)),
            }
            .map_err(|m: Mistake| m.at(self)),
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
            // JSON cannot represent these numbers; Proofmark writes them everywhere as Prometheus does.
            Kind::Float(float) if float.is_nan() => v.visit_str("NaN"),
            Kind::Float(float) if float.is_infinite() => {
                v.visit_str(if *float > 0.0 { "+Inf" } else { "-Inf" })
            }
            Kind::Float(float) => v.visit_f64(*float),
            Kind::Str(text) => v.visit_borrowed_str(text),
            Kind::Seq(items) => v.visit_seq(de::value::SeqDeserializer::new(items.iter())),
            Kind::Map(entries) => v.visit_map(Entries { rest: entries.iter(), value: None }),
        };
        read.map_err(|mistake: Mistake| {
            // A hand-written type reports the unknown key, but not its place.
            let key = mistake.key.as_deref().and_then(|key| self.entry(key)).map(|(key, _)| key);
            mistake.at(key.unwrap_or(self))
        })
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
            (Late::Unknown, Some((_, sample))) => v.visit_str(sample),
            (_, Some((noun, sample))) => v.visit_newtype_struct(self).map_err(|mistake| match mistake.code {
                "wrong-type" => Mistake {
                    message: mistake.message.replace("expected text,", &format!("expected {noun},")),
                    help: Some(format!("write it like this: `{sample}`")),
                    ..mistake.at(self)
                },
                _ => mistake.at(self),
            }),
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
            _ => {
                let message = "expected a name with its settings, found none";
                let help = Some("write it with its settings: `name: { … }`".into());
                Err(Mistake { help, ..Mistake::new("wrong-type", message.into()) }.at(self))
            }
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

impl Node {
    /// The place among these names of the one in `name: { settings }`; the settings are not read.
    pub(super) fn name_of(&self, names: &'static [&'static str]) -> Result<usize, Mistake> {
        self.deserialize_enum("", names, NameOf(names)).map_err(|mistake| mistake.at(self))
    }
}

struct NameOf(&'static [&'static str]);

impl<'de> Visitor<'de> for NameOf {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variant identifier")
    }
    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        let place = self.0.iter().position(|name| *name == word);
        place.ok_or_else(|| E::unknown_variant(word, self.0))
    }
    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let (place, settings) = access.variant_seed(self)?;
        de::VariantAccess::newtype_variant::<de::IgnoredAny>(settings)?;
        Ok(place)
    }
}

impl<'de> de::DeserializeSeed<'de> for NameOf {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_identifier(self)
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
