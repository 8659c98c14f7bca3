//! JSON Schema of the scenario file, for editors. Where templates are filled in, text with `{{ … }}` is valid too.

use super::read::{FORM, STEP_KEYS};
use crate::{KindInfo, Registry};
use proofmark_model::expect::{Count, WITH_AT};
use proofmark_model::{Duration, FORMAT};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// The schema, in the dialect 2020-12.
pub fn schema(registry: &Registry) -> Value {
    let mut generator = SchemaGenerator::default();
    let [checks, acts] = [false, true].map(|acts| kinds(registry, acts, &mut generator));
    let duration = generator.subschema_for::<Duration>().to_value();
    let count = generator.subschema_for::<Count>().to_value();
    let mut definitions = generator.take_definitions(true);
    definitions.insert("check".into(), check(checks));
    definitions.insert("act".into(), one_of(&acts));
    definitions.insert("matcher".into(), matcher(WITH_AT.get(1..).unwrap_or_default(), &count, &duration));
    definitions.insert("expect".into(), matcher(WITH_AT, &count, &duration));
    definitions.values_mut().for_each(templated);
    definitions.insert("step".into(), step(&duration));
    definitions.insert(
        "template".into(),
        json!({ "type": "string", "pattern": r"\{\{", "description": "Text with a template: `{{ vars.name }}`." }),
    );
    let property = |key: &&str| ((*key).to_owned(), top(key));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Proofmark scenario",
        "type": "object",
        "required": ["proofmark", "title", "claim", "steps"],
        "additionalProperties": false,
        "properties": FORM.keys.iter().map(property).collect::<Map<_, _>>(),
        "$defs": definitions,
    })
}

/// The schema of a list of kinds: each is a key of its own.
fn kinds(registry: &Registry, acts: bool, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let kind = |kind: &KindInfo| (kind.name.to_owned(), (kind.settings_part)(generator).to_value());
    registry.list(acts).map(kind).collect()
}

fn one_of(kinds: &Map<String, Value>) -> Value {
    json!({
        "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
        "properties": kinds,
    })
}

fn check(mut kinds: Map<String, Value>) -> Value {
    let one = one_of(&kinds);
    kinds.insert(
        "first-of".into(),
        json!({ "type": "array", "minItems": 1, "items": one, "description": "The first whose own findings pass." }),
    );
    one_of(&kinds)
}

fn top(key: &str) -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let texts = |about: &str| json!({ "type": "array", "items": { "type": "string" }, "description": about });
    match key {
        "proofmark" => json!({ "const": FORMAT, "description": "The version of the format." }),
        "title" => text("What the scenario is called."),
        "claim" => text("What is true when it passes."),
        "does-not-prove" => text("What a pass does not show."),
        "tags" => texts("For `--tag`."),
        "needs" => texts("Ids of scenarios that must have passed first; they are run too."),
        "vars" => {
            json!({ "type": "object", "description": "Values for templates: `{{ vars.name }}`; `--var name=value` replaces one." })
        }
        "export" => text(
            "The folder below `--export` that gets its files; its id with `-` for `/` if it is not said.",
        ),
        _ => {
            json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" }, "description": "What proves the claim, in order." })
        }
    }
}

fn step(duration: &Value) -> Value {
    let text = json!({ "type": "string" });
    // The durations of a step may be variables.
    let duration = json!({ "anyOf": [duration, { "$ref": "#/$defs/template" }] });
    let property = |key: &&str| {
        let (mut schema, about) = match *key {
            "id" => (
                json!({ "type": "string", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$" }),
                "Used once in the scenario; names its evidence.",
            ),
            "title" => (text.clone(), "What it is about."),
            "check" => (
                json!({ "$ref": "#/$defs/check" }),
                "Reads: exactly one kind with its settings, or `first-of`.",
            ),
            "act" => {
                (json!({ "$ref": "#/$defs/act" }), "Changes the world: exactly one kind with its settings.")
            }
            "via" => (
                json!({ "anyOf": [text, { "type": "object", "additionalProperties": text }] }),
                "The connection that serves the role, or one for each role.",
            ),
            "within" => (duration.clone(), "Polls until it passes or the time is over."),
            "every" => (duration.clone(), "The pause between two looks; 1s if it is not said."),
            "hold" => (duration.clone(), "Has to stay true for so long."),
            "until" => (
                json!({ "enum": ["step", "scenario"] }),
                "When an act's promise to put its change back is kept.",
            ),
            "timeout" => (duration.clone(), "Bounds one attempt; 30s, or hours where databases are moved."),
            "expect" => (
                json!({ "type": "array", "items": { "$ref": "#/$defs/expect" } }),
                "What is expected on top of what the kind judges by itself.",
            ),
            "capture" => (
                json!({ "type": "object", "additionalProperties": text }),
                "Name to JSONPath: values for later steps, as `{{ captures.name }}`.",
            ),
            "control" => (text.clone(), "An earlier step that shows that what is counted could be seen."),
            "skip" => (
                json!({
                    "type": "object", "required": ["reason", "until"], "additionalProperties": false,
                    "properties": { "reason": text, "until": text },
                }),
                "Leaves the step out for a reason, until a day or time; from then on it runs again.",
            ),
            "evidence" => (text.clone(), "Keeps the answer as it came under this file name."),
            "not-secret" => (
                json!({ "type": "array", "items": text }),
                "Names of keys that are no secrets here, whatever they are called.",
            ),
            _ => (json!({}), ""),
        };
        schema["description"] = about.into();
        ((*key).to_owned(), schema)
    };
    json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "oneOf": [{ "required": ["check"] }, { "required": ["act"] }],
        "properties": STEP_KEYS.iter().map(property).collect::<Map<_, _>>(),
    })
}

/// The schema of a map with exactly one matcher; with `at` among the keys, the map also needs a path.
fn matcher(keys: &[&str], count: &Value, duration: &Value) -> Value {
    let number = json!({ "type": ["number", "string"] });
    let property = |key: &&str| {
        let schema = match *key {
            "at" => {
                json!({ "type": "string", "pattern": r"^\$", "description": "JSONPath (RFC 9535) into the observation." })
            }
            "one-of" => json!({ "type": "array" }),
            "matches" => json!({ "type": "string", "description": "Regular expression, unanchored." }),
            "min" | "max" => json!({ "type": "number" }),
            "near" => json!({
                "type": "object", "required": ["value", "within"], "additionalProperties": false,
                "properties": { "value": { "type": "number" }, "within": number },
            }),
            "type" => {
                json!({ "enum": ["string", "number", "integer", "boolean", "array", "object", "null"] })
            }
            "newer-than" => duration.clone(),
            "count" => count.clone(),
            "every" | "any" | "not" => json!({ "$ref": "#/$defs/matcher" }),
            _ => json!({}),
        };
        ((*key).to_owned(), schema)
    };
    let (many, required) = if keys.contains(&"at") { (2, vec!["at"]) } else { (1, vec![]) };
    json!({
        "type": "object", "minProperties": many, "maxProperties": many, "required": required,
        "additionalProperties": false, "properties": keys.iter().map(property).collect::<Map<_, _>>(),
    })
}

/// Allows a template wherever a value has a type of its own.
fn templated(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(or_template);
    }
    for key in ["items", "additionalProperties"] {
        map.get_mut(key).filter(|inner| inner.is_object()).into_iter().for_each(or_template);
    }
    for key in ["anyOf", "oneOf"] {
        map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(templated);
    }
}

fn or_template(schema: &mut Value) {
    templated(schema);
    let plain = schema["type"] == "string" && schema.get("pattern").is_none();
    let anything = schema.as_object().is_some_and(|map| map.keys().all(|key| key == "description"));
    if plain || anything {
        return;
    }
    let about = schema.get("description").cloned();
    let inner = schema.take();
    *schema = json!({ "anyOf": [inner, { "$ref": "#/$defs/template" }] });
    if let Some(about) = about {
        schema["description"] = about;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_file_is_told() {
        let registry = &crate::testing::registry();
        let schema = schema(registry);
        let told = |properties: &Value, key: &str| {
            let about = properties[key]["description"].as_str();
            about.is_some_and(|about| !about.is_empty())
        };
        assert!(FORM.keys.iter().all(|key| told(&schema["properties"], key)));
        assert!(STEP_KEYS.iter().all(|key| told(&schema["$defs"]["step"]["properties"], key)));
        for kind in registry.kinds() {
            let list = if kind.acts { "act" } else { "check" };
            assert!(schema["$defs"][list]["properties"][kind.name].is_object(), "{}", kind.name);
        }
    }
}
