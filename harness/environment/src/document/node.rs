//! The tree of nodes, each with its place.

use super::de::Mistake;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`; `yes` is text.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64`.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(Node, Node)>),
}

/// Whether the value comes from a template, and whether it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Not from a template.
    No,
    /// From a template that was filled in: its text may be read as another type.
    Filled,
    /// From a template whose names are not all known yet.
    Unknown,
}

/// A value with its place; line and column count from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub col: u64,
    /// The value.
    pub kind: Kind,
    /// Whether it comes from a template.
    pub late: Late,
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    }
}

pub(super) fn read(text: &str) -> Result<Node, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()).map(node)
}

/// Parses every document of a stream.
pub(super) fn read_all(text: &str) -> Result<Vec<Node>, serde_saphyr::Error> {
    let all = serde_saphyr::from_multiple_with_options::<Spanned<Raw>>(text, options())?;
    Ok(all.into_iter().map(node).collect())
}

impl Node {
    /// Deserialises the node.
    ///
    /// # Errors
    /// The first mistake.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, Mistake> {
        T::deserialize(self).map_err(|mistake| mistake.at(self))
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value of a map's entry.
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.entries().iter().find(|(name, _)| name.as_str() == Some(key))
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Seq(items) => items,
            _ => &[],
        }
    }

    /// The text of a text node.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The same map with only the keys for which `keep` holds.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Node {
        let kind = match &self.kind {
            Kind::Map(entries) => {
                Kind::Map(entries.iter().filter(|(key, _)| key.as_str().is_none_or(&keep)).cloned().collect())
            }
            other => other.clone(),
        };
        Node { kind, ..*self }
    }

    /// A node with this value at this node's place.
    #[must_use]
    pub fn holding(&self, value: &Value) -> Node {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(bool) => Kind::Bool(*bool),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Kind::Int(int),
                (_, Some(uint)) => Kind::Uint(uint),
                _ => Kind::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Kind::Str(text.clone()),
            Value::Array(items) => Kind::Seq(items.iter().map(|item| self.holding(item)).collect()),
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| {
                    (Node { late: Late::No, kind: Kind::Str(key.clone()), ..*self }, self.holding(value))
                };
                Kind::Map(map.iter().map(entry).collect())
            }
        };
        Node { kind, late: Late::Filled, ..*self }
    }
}

struct Raw(Kind);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Tree).map(Raw)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Kind;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Kind, E> {
        Ok(Kind::Int(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Kind, E> {
        Ok(Kind::Uint(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Kind, E> {
        Ok(Kind::Float(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Kind, E> {
        Ok(Kind::Str(v.into()))
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut out = vec![];
        while let Some(item) = items.next_element::<Spanned<Raw>>()? {
            out.push(node(item));
        }
        Ok(Kind::Seq(out))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut out = vec![];
        while let Some((key, value)) = entries.next_entry::<Spanned<Raw>, Spanned<Raw>>()? {
            out.push((node(key), node(value)));
        }
        Ok(Kind::Map(out))
    }
}

fn node(spanned: Spanned<Raw>) -> Node {
    let templated = matches!(&spanned.value.0, Kind::Str(text) if text.contains("{{"));
    let late = if templated { Late::Unknown } else { Late::No };
    let (line, col) = (spanned.referenced.line(), spanned.referenced.column());
    Node { line, col, kind: spanned.value.0, late }
}
