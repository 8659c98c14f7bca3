//! The emptiest observations that a schema allows: what a kind would see of a system that has nothing.

use serde_json::{Map, Value, json};

/// How deep a schema is followed: one that holds itself ends there.
const DEPTH: usize = 24;

const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Which values to take where a schema leaves a choice.
#[derive(Debug, Clone, Copy)]
struct Choice {
    /// Are the fields written that may be left out?
    optional: bool,
    /// The index in a list of words; the last where there are fewer.
    word: usize,
    /// The text where the schema does not say which form it has.
    text: &'static str,
}

/// Observations of this schema (the root of a document, with `$defs`) in which lists and maps are empty, numbers are zero,
/// texts are empty, and what may be `null` is. Several, because fields can be left out and words have to be chosen, and
/// because a time is often described as text: every text is the epoch in some of them.
///
/// # Errors
/// A schema that says something this does not know.
pub fn empty_observations(root: &Value) -> Result<Vec<Value>, String> {
    let mut out = vec![];
    for word in 0..words(root).max(1) {
        for optional in [false, true] {
            for text in ["", EPOCH] {
                let value = of(root, root, Choice { optional, word, text }, 0)?;
                if !out.contains(&value) {
                    out.push(value);
                }
            }
        }
    }
    Ok(out)
}

/// The most words that a part of the schema chooses among.
fn words(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = ["enum", "oneOf"].iter().filter_map(|key| map.get(*key)?.as_array()).map(Vec::len);
            own.chain(map.values().map(words)).max().unwrap_or(0)
        }
        Value::Array(list) => list.iter().map(words).max().unwrap_or(0),
        _ => 0,
    }
}

fn of(schema: &Value, root: &Value, choice: Choice, depth: usize) -> Result<Value, String> {
    if depth > DEPTH {
        return Err(format!("a schema without an end: {schema}"));
    }
    let below = |schema: &Value| of(schema, root, choice, depth + 1);
    let Value::Object(map) = schema else { return Ok(Value::Null) };
    if let Some(name) = map.get("$ref").and_then(Value::as_str) {
        let pointer = name.strip_prefix('#').ok_or_else(|| format!("`{name}` is elsewhere"))?;
        let definition = root.pointer(pointer).ok_or_else(|| format!("there is no `{name}`"))?;
        return below(definition);
    }
    if let Some(value) = map.get("const") {
        return Ok(value.clone());
    }
    if let Some(values) = map.get("enum").and_then(Value::as_array) {
        return Ok(chosen(values, choice).cloned().unwrap_or_default());
    }
    if let Some(any) = map.get("anyOf").or(map.get("oneOf")).and_then(Value::as_array) {
        let null = any.iter().any(|one| one["type"] == "null");
        return if null { Ok(Value::Null) } else { chosen(any, choice).map_or(Ok(Value::Null), below) };
    }
    if let Some(all) = map.get("allOf").and_then(Value::as_array) {
        return all.first().map_or(Ok(Value::Null), below);
    }
    match map.get("type") {
        None => Ok(Value::Null),
        Some(Value::Array(types)) if types.iter().any(|one| one == "null") => Ok(Value::Null),
        Some(Value::Array(types)) => plain(map, types.first().and_then(Value::as_str), &below, choice),
        Some(one) => plain(map, one.as_str(), &below, choice),
    }
}

fn chosen(values: &[Value], choice: Choice) -> Option<&Value> {
    values.get(choice.word).or(values.last())
}

/// The empty value of one type.
fn plain(
    map: &Map<String, Value>,
    kind: Option<&str>,
    below: &dyn Fn(&Value) -> Result<Value, String>,
    choice: Choice,
) -> Result<Value, String> {
    Ok(match kind {
        Some("null") => Value::Null,
        Some("boolean") => json!(false),
        Some("integer" | "number") => map.get("minimum").cloned().unwrap_or(json!(0)),
        Some("string") => json!(text(map, choice)),
        Some("array") => {
            let fixed = map.get("prefixItems").and_then(Value::as_array);
            let fixed = fixed.into_iter().flatten().map(below).collect::<Result<Vec<_>, _>>()?;
            let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let item = || map.get("items").map_or(Ok(Value::Null), below);
            let rest = (fixed.len() as u64..least).map(|_| item()).collect::<Result<Vec<_>, _>>()?;
            json!([fixed, rest].concat())
        }
        Some("object") => {
            let required = map.get("required").and_then(Value::as_array);
            let required = |name: &str| required.is_some_and(|list| list.iter().any(|one| one == name));
            let fields = map.get("properties").and_then(Value::as_object).into_iter().flatten();
            let written = fields.filter(|(name, _)| choice.optional || required(name));
            let fields = written.map(|(name, field)| Ok((name.clone(), below(field)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => return Err(format!("a type that is not known here: {other:?}")),
    })
}

/// Empty, or the least that has the form which is asked for.
fn text(map: &Map<String, Value>, choice: Choice) -> &'static str {
    match (map.get("format").and_then(Value::as_str), map.get("pattern").and_then(Value::as_str)) {
        (Some("date-time"), _) => EPOCH,
        (Some("date"), _) => "1970-01-01",
        (_, Some(pattern)) if pattern.contains("ms|s|m|h|d") => "0s",
        _ => choice.text,
    }
}
