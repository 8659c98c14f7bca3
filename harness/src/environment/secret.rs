//! References to secrets, and how they become values.

use crate::diag::Diag;
use crate::model::SettingMistake;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where a value comes from: written out, or somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Written out in the file. Never accepted for a secret.
    Text(String),
    /// `{ env: NAME }`: an environment variable of this process.
    Env(String),
    /// `{ file: PATH }`: a file's content without the line break at its end; relative to the environment file.
    File(PathBuf),
    /// `{ command: [ARGV…] }`: what a program prints; needs `--allow exec`.
    Command(Vec<String>),
}

/// A reference that may not be written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference(pub Reference);

impl Reference {
    /// The value.
    ///
    /// # Errors
    /// A variable that is not set or empty, a file that cannot be read, a command that fails, or one without `exec`.
    pub(super) async fn resolve(&self, folder: &Path, exec: bool) -> Result<String, Diag> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Env(name) => variable(name),
            Self::File(path) => {
                let path = folder.join(path);
                let shown = path.display();
                let read = std::fs::read_to_string(&path);
                let text = read.map_err(|e| {
                    Diag::new("missing-secret", format!("cannot read the secret in {shown}: {e}"))
                        .help("the path counts from the folder of the environment file")
                })?;
                filled(&text, &format!("the file {shown}"))
            }
            Self::Command(argv) if !exec => Err(Diag::new(
                "missing-permission",
                format!("the secret comes from the command `{}`, which needs a permission", argv.join(" ")),
            )
            .help("add `--allow exec`")),
            Self::Command(argv) => command(argv, folder).await,
        }
    }

    /// As it is written in the file; a reference holds no secret.
    fn written(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Env(name) => json!({ "env": name }),
            Self::File(path) => json!({ "file": path }),
            Self::Command(argv) => json!({ "command": argv }),
        }
    }
}

/// A variable that may be missing.
#[expect(clippy::disallowed_methods, reason = "secrets of connections come in here and nowhere else")]
pub(super) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "secrets of connections come in here and nowhere else")]
fn variable(name: &str) -> Result<String, Diag> {
    match std::env::var(name) {
        Ok(text) => filled(&text, &format!("the environment variable {name}")),
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

async fn command(argv: &[String], folder: &Path) -> Result<String, Diag> {
    let shown = argv.join(" ");
    let failed = |why: String| {
        let diag = Diag::new("missing-secret", format!("the command `{shown}` gave no secret: {why}"));
        diag.help("run it by hand, in the folder of the environment file")
    };
    let (program, arguments) = argv.split_first().ok_or_else(|| failed("it is empty".into()))?;
    let mut child = tokio::process::Command::new(program);
    // An environment file named without a folder stands in this one.
    child
        .args(arguments)
        .current_dir(Path::new(".").join(folder))
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let limit = std::time::Duration::from_secs(30);
    let output = tokio::time::timeout(limit, child.output()).await;
    let output =
        output.map_err(|_| failed("it took longer than 30s".into()))?.map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| failed("it printed no UTF-8".into()))?;
    filled(&text, &format!("the command `{shown}`"))
}

/// The text without the line break at its end; an empty secret is a missing one.
fn filled(text: &str, source: &str) -> Result<String, Diag> {
    let trimmed = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    match trimmed {
        "" => Err(Diag::new("missing-secret", format!("{source} is empty")).help("give it the secret")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

const SOURCES: &[&str] = &["env", "file", "command"];

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
        let key = map.next_key::<String>()?.ok_or_else(|| {
            let help = "write `{ env: NAME }`, `{ file: PATH }` or `{ command: [PROGRAM] }`";
            de::Error::custom(SettingMistake::new("nothing is referred to").help(help))
        })?;
        let reference = match key.as_str() {
            "env" => Reference::Env(map.next_value()?),
            "file" => Reference::File(map.next_value()?),
            "command" => Reference::Command(map.next_value()?),
            _ => return Err(de::Error::unknown_field(&key, SOURCES)),
        };
        match map.next_key::<String>()? {
            Some(second) => {
                let mistake = SettingMistake::new(format!("both `{key}` and `{second}` are given"));
                Err(de::Error::custom(mistake.help("a value comes from one place: take one out")))
            }
            None => Ok(reference),
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

impl JsonSchema for SecretReference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretReference".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let text = json!({ "type": "string" });
        schemars::json_schema!({
            "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
            "properties": { "env": text, "file": text, "command": { "type": "array", "items": text } }
        })
    }
}
