//! Edits a rule of Grafana for a drill: the one number or expression that makes it fire, or a clone of the rule.

use super::super::edit::MARK;
use super::super::{AlertDrill, How};
use super::Drilled;
use crate::client::grafana::Rule;
use jiff::{Span, SpanRelativeTo, Unit};
use proofmark_model::sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest title that Grafana accepts.
const TITLE: usize = 190;

/// A number that no metric exceeds.
const HIGHEST: f64 = 1e300;

/// The JSON pointer to how long an alert is pending.
const PENDING: &str = "/for";

/// A value in a rule, before and during the drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Place {
    /// The query that contains the value; `None` if it is outside of the queries.
    ref_id: Option<String>,
    /// The JSON pointer to the value, relative to the query's model or to the rule.
    at: String,
    /// The original value; in a clone the value that makes it false.
    before: Value,
    drilled: Value,
}

impl Place {
    pub(super) fn is_drilled(&self, rule: &Rule) -> bool {
        self.is(rule, &self.drilled)
    }

    pub(super) fn is_before(&self, rule: &Rule) -> bool {
        self.is(rule, &self.before)
    }

    pub(super) fn put_back(&self, rule: &mut Rule) {
        self.set(rule, &self.before);
    }

    /// Returns the position of the value, in words.
    pub(super) fn shown(&self) -> String {
        match &self.ref_id {
            Some(query) => {
                format!("`{}` of query {query}, which was {}", self.at.trim_start_matches('/'), self.before)
            }
            None => format!("`{}`, which was {}", self.at.trim_start_matches('/'), self.before),
        }
    }

    fn is(&self, rule: &Rule, wanted: &Value) -> bool {
        let found = match &self.ref_id {
            Some(query) => node(rule, query).and_then(|node| node["model"].pointer(&self.at)),
            None => rule.0.get(self.at.trim_start_matches('/')),
        };
        found.is_some_and(|found| found == wanted || self.at == PENDING && same_length(found, wanted))
    }

    fn set(&self, rule: &mut Rule, value: &Value) {
        let Some(query) = &self.ref_id else {
            rule.0.insert(self.at.trim_start_matches('/').to_owned(), value.clone());
            return;
        };
        let data = rule.0.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten();
        let mut nodes = data.filter(|node| node["refId"] == **query);
        if let Some(found) = nodes.next().and_then(|node| node["model"].pointer_mut(&self.at)) {
            *found = value.clone();
        }
    }
}

/// Compares two lengths, because the server writes 90s as 1m30s.
fn same_length(one: &Value, other: &Value) -> bool {
    let seconds = |value: &Value| {
        let span: Span = value.as_str()?.parse().ok()?;
        span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).ok()
    };
    seconds(one).zip(seconds(other)).is_some_and(|(one, other)| (one - other).abs() < 0.001)
}

fn node<'a>(rule: &'a Rule, query: &str) -> Option<&'a Value> {
    rule.0.get("data")?.as_array()?.iter().find(|node| node["refId"] == query)
}

/// Returns the rule to write, and what the drill changes in it. `step` distinguishes this step from every other.
pub(super) fn planned(
    drill: &AlertDrill,
    rule: &Rule,
    (mark, step): (&str, &str),
) -> Result<(Rule, Drilled), String> {
    let condition = condition(drill, rule)?;
    let mut armed = rule.clone();
    let pending = drill.pending.map(|pending| Place {
        ref_id: None,
        at: PENDING.into(),
        before: rule.text("for").into(),
        drilled: pending.to_string().into(),
    });
    let places = match drill.how {
        How::TemporaryRule => {
            for place in [&condition].into_iter().chain(&pending) {
                place.set(&mut armed, &place.drilled);
            }
            clone(&mut armed, mark, &format!("{step} {}", rule.uid()));
            vec![falsified(condition, &mut armed)]
        }
        How::ChangeThreshold => {
            let places: Vec<Place> = [condition].into_iter().chain(pending).collect();
            for place in &places {
                place.set(&mut armed, &place.drilled);
            }
            places
        }
    };
    let (uid, title, group) = (armed.uid().to_owned(), armed.title().to_owned(), armed.group().to_owned());
    Ok((armed, Drilled { uid, title, group, places }))
}

/// Makes the rule independent of the original: another id, a unique title, a mark, and its own group, so that the
/// original is not touched.
fn clone(rule: &mut Rule, mark: &str, step: &str) {
    let tail = format!(" ({MARK} {mark})");
    let title: String = rule.title().chars().take(TITLE.saturating_sub(tail.chars().count())).collect();
    let uid = format!("{MARK}-{}", sha256(step).get(..24).unwrap_or_default());
    // With it the alert would keep firing although its condition is false.
    for key in ["id", "updated", "keep_firing_for"] {
        rule.0.remove(key);
    }
    let mut labels = rule.0.remove("labels").filter(Value::is_object).unwrap_or_else(|| json!({}));
    labels[MARK] = mark.into();
    let values = [
        ("uid", uid.into()),
        ("title", format!("{title}{tail}").into()),
        ("ruleGroup", format!("{MARK}-{mark}").into()),
        ("labels", labels),
        ("provenance", "api".into()),
    ];
    rule.0.extend(values.map(|(key, value)| (key.to_owned(), value)));
}

/// Returns the same place, with the value that makes the clone false instead of the original value.
fn falsified(place: Place, clone: &mut Rule) -> Place {
    let Some(at) = place.at.strip_suffix("/params/0") else {
        let expr = place.drilled.as_str().unwrap_or_default();
        return Place { before: format!("({expr}) * 0").into(), ..place };
    };
    let mut whole =
        Place { at: at.to_owned(), before: json!({ "params": [HIGHEST], "type": "gt" }), ..place };
    let query = whole.ref_id.clone().unwrap_or_default();
    whole.drilled =
        node(clone, &query).and_then(|node| node["model"].pointer(at)).cloned().unwrap_or_default();
    // With a second threshold for recovery, the clone would keep firing too.
    let data = clone.0.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten();
    for node in data.filter(|node| node["refId"] == *query) {
        if let Some(condition) = node["model"].pointer_mut("/conditions/0").and_then(Value::as_object_mut) {
            condition.remove("unloadEvaluator");
        }
    }
    whole
}

/// Returns the place that decides when the rule fires.
fn condition(drill: &AlertDrill, rule: &Rule) -> Result<Place, String> {
    let query = rule.text("condition");
    let node = node(rule, query).ok_or_else(|| format!("its condition `{query}` is none of its queries"))?;
    let model = &node["model"];
    let place = |at: &str, drilled: Value| Place {
        ref_id: Some(query.to_owned()),
        at: at.to_owned(),
        before: model.pointer(at).cloned().unwrap_or_default(),
        drilled,
    };
    let kind = model["type"].as_str().filter(|_| is_expression(node)).unwrap_or("query");
    let (key, what) = match kind {
        "threshold" | "classic_conditions" => {
            let Some(threshold) = drill.threshold else {
                return Err(format!(
                    "its condition `{query}` compares with a number, and `expr` cannot be put there; write `threshold`"
                ));
            };
            compares(model, query)?;
            let number = serde_json::from_str(&threshold.to_string());
            let number =
                number.map_err(|_| format!("`threshold: {threshold}` is no number that JSON knows"))?;
            return Ok(place("/conditions/0/evaluator/params/0", number));
        }
        "math" => ("/expression", "a formula"),
        "query" if model["expr"].is_string() => ("/expr", "a query by itself"),
        other => {
            return Err(format!(
                "its condition `{query}` is a `{other}`, which asks nothing that a drill could change"
            ));
        }
    };
    let expr = drill.expr.as_ref().ok_or_else(|| {
        format!("its condition `{query}` is {what} ({}), so `threshold` cannot be put there; write the whole of it with `expr`", model.pointer(key).unwrap_or(&Value::Null))
    })?;
    Ok(place(key, expr.as_str().into()))
}

/// Returns whether this is one of Grafana's own expressions. Before version 9 they were identified by a number.
fn is_expression(node: &Value) -> bool {
    matches!(node["datasourceUid"].as_str(), Some("__expr__" | "-100"))
}

/// Checks that the expression has exactly one comparison, with one number.
fn compares(model: &Value, query: &str) -> Result<(), String> {
    let count = model["conditions"].as_array().map_or(0, Vec::len);
    if count != 1 {
        return Err(format!("its condition `{query}` compares {count} times, and `threshold` is one number"));
    }
    let evaluator = &model["conditions"][0]["evaluator"];
    match evaluator["type"].as_str().unwrap_or_default() {
        "gt" | "lt" | "gte" | "lte" | "eq" | "ne" if evaluator["params"][0].is_number() => Ok(()),
        other => Err(format!("its condition `{query}` compares by `{other}`, which is not with one number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(more: &Value) -> AlertDrill {
        let mut settings =
            json!({ "alert": "High", "how": "change-threshold", "through": { "grafana": { "rule": "u" } } });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }

    fn rule(source: &str, model: &Value) -> Rule {
        let rule = json!({
            "id": 3, "uid": "u", "title": "High", "ruleGroup": "g", "condition": "C", "for": "1m30s", "updated": "2026-11-21T10:35:36Z",
            "keep_firing_for": "5m",
            "data": [
                { "refId": "A", "datasourceUid": "prometheus", "model": { "expr": "up", "refId": "A" } },
                { "refId": "C", "datasourceUid": source, "model": model },
            ],
        });
        serde_json::from_value(rule).unwrap()
    }

    fn compared(by: &Value) -> Rule {
        rule(
            "__expr__",
            &json!({ "type": "threshold", "conditions": [{ "evaluator": by, "unloadEvaluator": {} }] }),
        )
    }

    fn plan(more: &Value, rule: &Rule) -> Result<(Rule, Drilled), String> {
        planned(&drill(more), rule, ("run-1", "run-1 s#t"))
    }

    #[test]
    fn what_the_drill_changes_is_all_that_is_put_back() {
        let before = compared(&json!({ "type": "lt", "params": [5, 0] }));
        let (armed, drilled) = plan(&json!({ "threshold": 1e9, "for": "90s" }), &before).unwrap();
        assert_eq!(
            armed.0["data"][1]["model"]["conditions"][0]["evaluator"]["params"],
            json!([1_000_000_000, 0])
        );
        assert!(!armed.same_as(&before) && armed.0["data"][0] == before.0["data"][0]);
        // The server formats lengths and numbers in its own way.
        let mut now = armed.clone();
        now.0.insert("for".into(), "1m30s".into());
        assert!(drilled.places.iter().all(|place| place.is_drilled(&now)), "{drilled:?}");
        now.0.insert("title".into(), "Higher".into());
        for place in &drilled.places {
            place.put_back(&mut now);
            assert!(place.is_before(&now), "{}", place.shown());
        }
        now.0.insert("title".into(), "High".into());
        assert!(now.same_as(&before), "{now:?}");
    }

    #[test]
    fn a_clone_is_a_rule_of_its_own_that_can_be_made_false() {
        for by in ["gt", "lt", "ne"] {
            let before = compared(&json!({ "type": by, "params": [5] }));
            let (mut armed, drilled) =
                plan(&json!({ "threshold": 0, "how": "temporary-rule", "for": "1s" }), &before).unwrap();
            assert_eq!(
                (armed.title(), armed.group(), armed.text("for")),
                ("High (proofmark run-1)", "proofmark-run-1", "1s")
            );
            assert_eq!(
                (&armed.0["labels"], &armed.0["provenance"]),
                (&json!({ "proofmark": "run-1" }), &json!("api"))
            );
            assert!(armed.uid().len() <= 40 && armed.uid() != "u");
            let gone = ["id", "updated", "keep_firing_for"];
            assert!(gone.iter().all(|key| !armed.0.contains_key(*key)));
            let condition = |rule: &Rule| rule.0["data"][1]["model"]["conditions"][0].clone();
            assert_eq!(condition(&armed), json!({ "evaluator": { "type": by, "params": [0] } }));
            assert!(drilled.places[0].is_drilled(&armed));
            drilled.places[0].put_back(&mut armed);
            assert_eq!(condition(&armed), json!({ "evaluator": { "type": "gt", "params": [1e300] } }));
        }
        let other = compared(&json!({ "type": "gt", "params": [5] }));
        let one = plan(&json!({ "threshold": 0, "how": "temporary-rule" }), &other).unwrap().1.uid;
        let two = planned(
            &drill(&json!({ "threshold": 0, "how": "temporary-rule" })),
            &other,
            ("run-1", "run-1 s#u"),
        );
        assert_ne!(one, two.unwrap().1.uid, "two steps of a run do not meet");
        let mut long = other.clone();
        long.0.insert("title".into(), "é".repeat(190).into());
        assert_eq!(
            plan(&json!({ "threshold": 0, "how": "temporary-rule" }), &long)
                .unwrap()
                .0
                .title()
                .chars()
                .count(),
            190
        );
    }

    #[test]
    fn a_formula_and_a_query_are_given_as_a_whole() {
        let formula = rule("__expr__", &json!({ "type": "math", "expression": "$A > 5" }));
        let asks = rule("prometheus", &json!({ "expr": "up == 0" }));
        for (rule, key) in [(formula, "expression"), (asks, "expr")] {
            assert!(plan(&json!({ "threshold": 0 }), &rule).unwrap_err().contains("with `expr`"));
            let (armed, _) = plan(&json!({ "expr": "$A > 0" }), &rule).unwrap();
            assert_eq!(armed.0["data"][1]["model"][key], "$A > 0");
            let (mut armed, drilled) =
                plan(&json!({ "expr": "$A > 0", "how": "temporary-rule" }), &rule).unwrap();
            drilled.places[0].put_back(&mut armed);
            assert_eq!(armed.0["data"][1]["model"][key], "($A > 0) * 0");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let one = json!({ "evaluator": { "type": "gt", "params": [1] } });
        let twice = rule("__expr__", &json!({ "type": "classic_conditions", "conditions": [one, one] }));
        let range = compared(&json!({ "type": "within_range", "params": [1, 2] }));
        let reduce = rule("__expr__", &json!({ "type": "reduce", "expression": "A" }));
        let mut lost = range.clone();
        lost.0.insert("condition".into(), "Q".into());
        for (rule, words) in
            [(twice, "2 times"), (range, "within_range"), (reduce, "`reduce`"), (lost, "`Q`")]
        {
            let why = plan(&json!({ "threshold": 0 }), &rule).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
        let fine = compared(&json!({ "type": "gt", "params": [1] }));
        assert!(plan(&json!({ "expr": "1" }), &fine).unwrap_err().contains("write `threshold`"));
    }
}
