//! Parses one line of JSON in a single pass that borrows from its bytes: the requested fields, and whether the line
//! must be searched for secrets.

use super::fields::Shape;
use foldhash::fast::RandomState;
use proofmark_model::redact::{is_secret_key, leak};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// At most this number of key names is remembered.
const REMEMBERED: usize = 10_000;

/// What is known about the name of a key.
#[derive(Clone, Copy, Default)]
struct Known {
    slot: Option<usize>,
    secret: bool,
}

/// The keys seen so far, and the slots of the requested keys.
pub struct Keys {
    known: HashMap<Box<str>, Known, RandomState>,
    slots: usize,
    secrets: bool,
}

impl Keys {
    /// Requests the values of these keys. With `secrets`, it also detects lines that may contain secrets.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, secrets: bool) -> Self {
        let mut keys = Self { known: HashMap::default(), slots: 0, secrets };
        for name in names {
            if keys.slot(name).is_none() {
                let known = Known { slot: Some(keys.slots), secret: secrets && is_secret_key(name) };
                keys.known.insert(name.into(), known);
                keys.slots += 1;
            }
        }
        keys
    }

    /// Returns the slot that holds the value of a key.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.known.get(name).and_then(|known| known.slot)
    }

    fn known(&mut self, name: &str) -> Known {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let known = Known { slot: None, secret: self.secrets && is_secret_key(name) };
        if self.known.len() < REMEMBERED {
            self.known.insert(name.into(), known);
        }
        known
    }
}

/// The content of one line.
#[derive(Default)]
pub struct Read<'a> {
    /// The values, by slot. If a key occurs twice, the first value.
    pub shapes: Vec<Option<Shape<'a>>>,
    /// A slot whose key occurs twice, which parsers interpret differently.
    pub twice: Option<usize>,
    /// Whether a key is named like a secret, or text that was written with escapes looks like a secret.
    pub suspicious: bool,
}

/// Parses a line; `None` if it is not a JSON object.
pub fn read<'a>(text: &'a str, keys: &mut Keys) -> Option<Read<'a>> {
    let mut out = Read { shapes: Vec::new(), ..Read::default() };
    out.shapes.resize_with(keys.slots, || None);
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Top { keys, out: &mut out }).ok()?;
    json.end().ok()?;
    Some(out)
}

struct Top<'k, 'o, 'a> {
    keys: &'k mut Keys,
    out: &'o mut Read<'a>,
}

impl<'de> Visitor<'de> for Top<'_, '_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Key(self.keys))? {
            self.out.suspicious |= known.secret;
            let value = Value { keys: self.keys, suspicious: &mut self.out.suspicious };
            let shape = map.next_value_seed(value)?;
            if let Some(slot) = known.slot {
                if self.out.shapes[slot].is_some() {
                    self.out.twice = Some(slot);
                } else {
                    self.out.shapes[slot] = Some(shape);
                }
            }
        }
        Ok(())
    }
}

struct Key<'k>(&'k mut Keys);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Known;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Known, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Known;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, name: &str) -> Result<Known, E> {
        Ok(self.0.known(name))
    }
}

struct Value<'k, 's> {
    keys: &'k mut Keys,
    suspicious: &'s mut bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Shape<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Shape<'de>, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Shape<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Shape<'de>, E> {
        Ok(Shape::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Shape<'de>, E> {
        Ok(Shape::Boolean)
    }
    #[expect(clippy::cast_precision_loss, reason = "it is a time in seconds or nothing that is compared")]
    fn visit_i64<E>(self, number: i64) -> Result<Shape<'de>, E> {
        Ok(Shape::Integer(number as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "it is a time in seconds or nothing that is compared")]
    fn visit_u64<E>(self, number: u64) -> Result<Shape<'de>, E> {
        Ok(Shape::Integer(number as f64))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Shape<'de>, E> {
        Ok(if number.fract() == 0.0 { Shape::Integer(number) } else { Shape::Number(number) })
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Shape<'de>, E> {
        // Text without escapes appears literally in the line, and the whole line is searched.
        Ok(Shape::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Shape<'de>, E> {
        *self.suspicious |= self.keys.secrets && leak::suspicious(text.as_bytes());
        Ok(Shape::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape<'de>, A::Error> {
        while list.next_element_seed(Value { keys: self.keys, suspicious: self.suspicious })?.is_some() {}
        Ok(Shape::Array)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape<'de>, A::Error> {
        while let Some(known) = map.next_key_seed(Key(self.keys))? {
            *self.suspicious |= known.secret;
            map.next_value_seed(Value { keys: self.keys, suspicious: self.suspicious })?;
        }
        Ok(Shape::Object)
    }
}
