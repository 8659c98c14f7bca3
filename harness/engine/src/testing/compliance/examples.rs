//! The example of a kind: read as a part of a scenario, and the descriptions of its types.

use super::{Held, ensure};
use crate::scenario::{StepOperation, embedded};
use crate::{ErasedKind, KindInfo, Registry};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The example as a step of a scenario: YAML, indented by two, with these lines beside the kind.
pub fn step(kind: &KindInfo, id: &str, example: &str, more: &str) -> String {
    let key = if kind.acts { "act" } else { "check" };
    let example = example.replace('\n', "\n      ");
    format!("  - id: {id}\n    {key}:\n      {example}\n{more}")
}

/// The settings that are written so: `name: { … }`.
pub(super) fn settings(
    registry: &Registry,
    kind: &KindInfo,
    text: &str,
) -> Result<Arc<dyn ErasedKind>, String> {
    let head = "proofmark: v1\ntitle: An example\nclaim: It is read.\nsteps:\n";
    let text = format!("{head}{}", step(kind, "example", text, ""));
    let plan = embedded(("example.yaml", &text), &Map::new(), &Map::new(), registry);
    let plan = plan.map_err(|wrong| {
        let wrong: Vec<String> = wrong.iter().map(|diag| diag.render(false)).collect();
        format!("it is not read:\n{}", wrong.join("\n"))
    })?;
    let (_, step) = plan.steps().next().ok_or("it makes no step")?;
    let filled = step.ready.as_ref().ok_or("it has templates, so that it depends on a scenario")?;
    match &filled.doing {
        StepOperation::Check(checks) => match checks.as_slice() {
            [check] => Ok(check.clone()),
            _ => Err("it is several checks".to_owned()),
        },
        StepOperation::Act(act) => Ok(act.clone()),
    }
}

/// The example is read, has no mistake, and what is kept of it is read as the same.
pub(super) fn comes_back(registry: &Registry, kind: &KindInfo) -> Held {
    let read = settings(registry, kind, kind.example)?;
    ensure(read.info().name == kind.name && read.info().acts == kind.acts, || {
        format!("the example is one of `{}`", read.info().name)
    })?;
    if let Some(mistake) = read.mistake() {
        return Err(format!("the example has a mistake: {mistake}"));
    }
    let kept = read.settings();
    let again = of_json(registry, kind, &kept)?;
    ensure(again.settings() == kept, || format!("kept as {kept}, read back as {}", again.settings()))?;
    // JSON is YAML: what evidence holds can be written into a scenario.
    let written = settings(registry, kind, &json!({ kind.name: kept }).to_string())?.settings();
    ensure(written == kept, || format!("kept as {kept}, written into a scenario it is {written}"))
}

/// A setting that the kind does not have is a mistake, not a setting that does nothing.
pub(super) fn refuses_unknown_settings(registry: &Registry, kind: &KindInfo) -> Held {
    let mut written = settings(registry, kind, kind.example)?.settings();
    if let Value::Object(map) = &mut written {
        map.insert("a-setting-that-no-kind-has".to_owned(), json!(true));
    }
    match settings(registry, kind, &json!({ kind.name: written }).to_string()) {
        Ok(read) => Err(format!("{written} is read as {}", read.settings())),
        Err(why) => {
            ensure(why.contains("a-setting-that-no-kind-has"), || format!("the mistake is not named: {why}"))
        }
    }
}

/// The settings of a kind from evidence.
pub(super) fn of_json(
    registry: &Registry,
    kind: &KindInfo,
    kept: &Value,
) -> Result<Arc<dyn ErasedKind>, String> {
    let read: Result<Arc<dyn ErasedKind>, _> = if kind.acts {
        registry.act_of(kind.name, kept).map(|act| act as Arc<dyn ErasedKind>)
    } else {
        registry.check_of(kind.name, kept).map(|check| check as Arc<dyn ErasedKind>)
    };
    read.map_err(|error| format!("{kept} is not read back: {error}"))
}

/// The kind, each setting and each part of its observation have a description.
pub(super) fn is_described(_: &Registry, kind: &KindInfo) -> Held {
    let (settings, seen) = ((kind.settings)().to_value(), (kind.seen)().to_value());
    ensure(!kind.judges.trim().is_empty(), || "it does not say what it judges".to_owned())?;
    let mut missing = vec![];
    for (what, schema) in [("settings", &settings), ("observation", &seen)] {
        if !is_told(schema) {
            missing.push(what.to_owned());
        }
        undescribed(schema, what, &mut missing);
    }
    ensure(missing.is_empty(), || format!("without a description: {}", missing.join(", ")))
}

fn is_told(schema: &Value) -> bool {
    schema["description"].as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Collects the fields below a schema that have no description.
fn undescribed(schema: &Value, path: &str, missing: &mut Vec<String>) {
    let Value::Object(map) = schema else {
        return schema.as_array().into_iter().flatten().for_each(|one| undescribed(one, path, missing));
    };
    let fields = map.get("properties").and_then(Value::as_object);
    // A variant of an enum with a value is a map of one field: its description is that of the variant.
    let variant = is_told(schema) && path.ends_with("[]");
    let alone = fields.is_some_and(|fields| fields.len() == 1);
    for (name, field) in fields.into_iter().flatten() {
        // So is that of the word which tells the variants apart.
        if !is_told(field) && !(variant && (alone || field.get("const").is_some())) {
            missing.push(format!("{path}.{name}"));
        }
    }
    for (key, below) in map {
        let below_path = match key.as_str() {
            "oneOf" | "anyOf" => format!("{path}[]"),
            "$defs" | "properties" => {
                for (name, one) in below.as_object().into_iter().flatten() {
                    let part = if key == "$defs" { name.clone() } else { format!("{path}.{name}") };
                    undescribed(one, &part, missing);
                }
                continue;
            }
            _ => path.to_owned(),
        };
        undescribed(below, &below_path, missing);
    }
}
