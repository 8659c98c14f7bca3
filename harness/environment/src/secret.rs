//! References to secrets, and the two sources that need no other system: variables of this process and files.

use super::vocabulary::{Resolving, SecretSource, ValueType, Vocabulary};
use crate::document::{Document, Kind, Node};
use proofmark_model::SettingMistake;
use proofmark_model::diag::Diag;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where a value comes from: plain text, or a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// Plain text in the file. Never accepted for a secret.
    Text(String),
    /// `{ KEY: VALUE }`, such as `{ env: NAME }`.
    From {
        /// The key of a [`SecretSource`].
        source: String,
        /// The value for the source.
        value: Value,
    },
}

/// A reference that must not be plain text.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretReference(pub Reference);

/// `{ env: NAME }`: an environment variable of this process.
pub const ENV: SecretSource = SecretSource {
    key: "env",
    example: "{ env: NAME }",
    value: ValueType::of::<String>(),
    exec: false,
    asks: None,
    shown: |value, _| format!("the environment variable {}", value.as_str().unwrap_or_default()),
    resolve: |value, _| Box::pin(async { variable(value.as_str().unwrap_or_default()) }),
};

/// `{ file: PATH }`: a file's content without the line break at its end. The path is relative to the environment file.
pub const FILE: SecretSource = SecretSource {
    key: "file",
    example: "{ file: PATH }",
    value: ValueType::of::<PathBuf>(),
    exec: false,
    asks: None,
    shown: |value, folder| format!("the file {}", file(value, folder).display()),
    resolve: |value, resolving| Box::pin(async { content(&file(value, resolving.folder)) }),
};

impl Reference {
    /// A reference to an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self::From { source: ENV.key.to_owned(), value: Value::String(name.into()) }
    }

    /// The environment variable that it refers to.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::From { source, value } if source == ENV.key => value.as_str(),
            _ => None,
        }
    }

    /// Resolves the value.
    ///
    /// # Errors
    /// A source that is unknown, has no value or an empty one, or runs a program without `exec`.
    pub(super) async fn resolve(
        &self,
        vocabulary: &Vocabulary,
        exec: bool,
        resolving: &Resolving<'_>,
    ) -> Result<String, Diag> {
        let (source, value) = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::From { source, value } => (source, value),
        };
        let unknown = || Diag::new("unknown-key", format!("unknown key `{source}`"));
        let source = vocabulary.source(source).ok_or_else(unknown)?;
        let shown = (source.shown)(value, resolving.folder);
        if source.exec && !exec {
            let message = format!("the secret comes from {shown}, which needs a permission");
            return Err(Diag::new("missing-permission", message).help("add `--allow exec`"));
        }
        filled(&(source.resolve)(value, resolving).await?, &shown)
    }

    /// The reference as it is written in the file; it contains no secret.
    fn written(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::From { source, value } => json!({ source: value }),
        }
    }
}

impl Vocabulary {
    /// Checks that a node which may be a reference names one known source, with a value of the source's type.
    ///
    /// # Errors
    /// The mistake, at its place.
    pub(super) fn check_reference(&self, document: &Document, node: &Node) -> Result<(), Diag> {
        let Kind::Map(entries) = &node.kind else { return Ok(()) };
        let Some((key, value)) = entries.first() else {
            let mut examples: Vec<String> =
                self.sources.iter().map(|source| format!("`{}`", source.example)).collect();
            let last = examples.pop().unwrap_or_default();
            let or = if examples.is_empty() { "" } else { " or " };
            let help = format!("write {}{or}{last}", examples.join(", "));
            return Err(document.diag(node, "bad-value", "nothing is referred to").help(help));
        };
        // Deserialisation reports a key that is not text.
        let Some(word) = key.as_str() else { return Ok(()) };
        let Some(source) = self.source(word) else {
            let known: Vec<&str> = self.sources.iter().map(|source| source.key).collect();
            let first = node.only(|other| other == word);
            return document.unknown_keys(&first, &known).into_iter().next().map_or(Ok(()), Err);
        };
        (source.value.read)(document, value).map(drop)
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets of connections come in here and nowhere else")]
fn variable(name: &str) -> Result<String, Diag> {
    match std::env::var(name) {
        Ok(text) => Ok(text),
        Err(std::env::VarError::NotPresent) => {
            let diag = Diag::new("missing-secret", format!("the environment variable {name} is not set"));
            Err(diag.help(format!("set it, e.g. `export {name}=…`")))
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Diag::new("missing-secret", format!("the environment variable {name} is not UTF-8"))
                .help("put the value into a file, and refer to that: `{ file: PATH }`"))
        }
    }
}

fn file(value: &Value, folder: &Path) -> PathBuf {
    folder.join(value.as_str().unwrap_or_default())
}

fn content(path: &Path) -> Result<String, Diag> {
    std::fs::read_to_string(path).map_err(|error| {
        Diag::new("missing-secret", format!("cannot read the secret in {}: {error}", path.display()))
            .help("the path counts from the folder of the environment file")
    })
}

/// The text without the line break at its end; an empty secret counts as missing.
fn filled(text: &str, source: &str) -> Result<String, Diag> {
    let trimmed = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    match trimmed {
        "" => Err(Diag::new("missing-secret", format!("{source} is empty")).help("give it the secret")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

struct Visitor {
    secret: bool,
}

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Reference;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.secret {
            "a reference: `{ env: NAME }`"
        } else {
            "text, or a reference: `{ env: NAME }`"
        })
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Reference, E> {
        if self.secret {
            let help = "refer to it: `{ env: NAME }`, `{ file: PATH }`";
            return Err(E::custom(SettingMistake::new("a secret is never written out").help(help)));
        }
        Ok(Reference::Text(text.to_owned()))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Reference, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Reference, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Reference, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Reference, A::Error> {
        let nothing =
            || de::Error::custom(SettingMistake::new("nothing is referred to").help("write `{ env: NAME }`"));
        let (source, value) = map.next_entry::<String, Value>()?.ok_or_else(nothing)?;
        match map.next_key::<String>()? {
            Some(second) => {
                let mistake = SettingMistake::new(format!("both `{source}` and `{second}` are given"));
                Err(de::Error::custom(mistake.help("a value comes from one place: take one out")))
            }
            None => Ok(Reference::From { source, value }),
        }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Visitor { secret: false })
    }
}

impl<'de> Deserialize<'de> for SecretReference {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Visitor { secret: true }).map(Self)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(s)
    }
}

impl Serialize for SecretReference {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reference".into()
    }
    fn json_schema(g: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let reference = g.subschema_for::<SecretReference>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, reference] })
    }
}

/// The keys of a reference come from the vocabulary; [`super::schema`] inserts them.
impl JsonSchema for SecretReference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretReference".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
            "properties": {}
        })
    }
}
