//! Tests of places, of types after filling, and of strictness.

use super::*;
use serde::Deserialize;
use serde_json::{Value, json};

fn doc(text: &str) -> Document {
    parse(Arc::new(Source { path: "t.yaml".into(), text: text.into() })).unwrap()
}

fn scope(vars: &Value, captures: Option<Value>) -> Scope {
    let captures = captures.map(|value| value.as_object().unwrap().clone());
    Scope { vars: vars.as_object().unwrap().clone(), captures, ..Scope::default() }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    status: Option<u16>,
    query: Option<String>,
    #[expect(dead_code, reason = "that it can be read is what is tested")]
    within: Option<proofmark_model::Duration>,
    equals: Option<Value>,
}

fn filled(text: &str, scope: &Scope) -> Result<Settings, Diag> {
    let doc = doc(text);
    let mut root = doc.root.clone();
    if let Some(wrong) = doc.fill(&mut root, scope).pop() {
        return Err(wrong);
    }
    doc.typed(&root)
}

#[test]
fn a_whole_expression_keeps_its_type_and_text_reads_as_the_type_asked_for() {
    let known = scope(&json!({"n": 204, "t": "204", "list": [1, "a"]}), None);
    for text in ["status: \"{{ vars.n }}\"", "status: \"{{ vars.t }}\"", "status: \"20{{ vars.four }}\""] {
        let known = scope(&json!({"n": 204, "t": "204", "four": 4}), None);
        assert_eq!(filled(text, &known).unwrap().status, Some(204), "{text}");
    }
    assert_eq!(filled("equals: \"{{ vars.n }}\"", &known).unwrap().equals, Some(json!(204)));
    assert_eq!(filled("equals: \"{{ vars.list }}\"", &known).unwrap().equals, Some(json!([1, "a"])));
    assert_eq!(filled("query: \"{{ vars.n }}\"", &known).unwrap().query, Some("204".into()));
    assert_eq!(
        filled("query: 'a<b>&{{ vars.t }} \\{{x}}'", &known).unwrap().query,
        Some("a<b>&204 {{x}}".into())
    );
}

#[test]
fn the_id_of_the_run_stays_open_until_there_is_one() {
    let text = "query: 'drill-{{ run.id }}'";
    let before = scope(&json!({}), None);
    assert!(filled(text, &before).unwrap().query.unwrap().contains("{{"));
    let mut during = scope(&json!({}), Some(json!({})));
    during.run.insert("id".into(), "r1".into());
    assert_eq!(filled(text, &during).unwrap().query.as_deref(), Some("drill-r1"));
    let wrong = filled("query: '{{ run.idd }}'", &before).unwrap_err();
    assert!(wrong.help.unwrap().contains("`run.id`"));
}

#[test]
fn a_capture_stays_open_and_is_typed_when_it_is_known() {
    let text = "status: \"{{ captures.n }}\"\nwithin: \"{{ captures.d }}\"";
    assert!(filled(text, &scope(&json!({}), None)).is_ok());
    let wrong = filled(text, &scope(&json!({}), Some(json!({"n": "seven", "d": "1s"})))).unwrap_err();
    assert_eq!((wrong.code, wrong.place.unwrap().to_string().as_str()), ("wrong-type", "t.yaml:1:9"));
    let wrong = filled(text, &scope(&json!({}), Some(json!({"n": 99_999, "d": "1s"})))).unwrap_err();
    assert!(wrong.message.contains("99999"), "{}", wrong.message);
}

#[test]
fn unknown_names_and_keys_name_the_near_miss() {
    let wrong = filled("query: \"{{ vars.jbo }}\"", &scope(&json!({"job": 1}), None)).unwrap_err();
    assert_eq!(wrong.code, "unknown-template-name");
    assert!(wrong.help.unwrap().contains("did you mean `vars.job`?"));
    let wrong = filled("qeury: up", &scope(&json!({}), None)).unwrap_err();
    assert!(wrong.help.unwrap().contains("did you mean `query`?"));
    assert_eq!(
        filled("query: \"{{ job }}\"", &scope(&json!({}), None)).unwrap_err().code,
        "unknown-template-name"
    );
}

#[test]
fn yaml_is_strict() {
    assert_eq!(doc("yes").root.kind, Kind::Str("yes".into()));
    let duplicate =
        parse(Arc::new(Source { path: "t.yaml".into(), text: "a: 1\nb: 2\na: 3\n".into() })).unwrap_err();
    assert_eq!((duplicate.code, duplicate.place.unwrap().line), ("duplicate-key", 3));
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (last, this) in ('a'..='h').zip('b'..='i') {
        let nine = vec![format!("*{last}"); 9].join(",");
        bomb.push_str(&[&this.to_string(), ": &", &this.to_string(), " [", &nine, "]\n"].concat());
    }
    assert!(parse(Arc::new(Source { path: "t.yaml".into(), text: bomb })).is_err());
}

#[test]
fn infinities_are_the_words_that_prometheus_uses() {
    assert_eq!(filled("equals: .inf", &scope(&json!({}), None)).unwrap().equals, Some(json!("+Inf")));
    assert_eq!(filled("equals: .nan", &scope(&json!({}), None)).unwrap().equals, Some(json!("NaN")));
}
