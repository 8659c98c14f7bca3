//! Templates: handlebars in strict mode without HTML escaping, over `vars`, `captures` and `run`.

use super::Document;
use super::node::{Kind, Late, Node};
use handlebars::Handlebars;
use proofmark_model::diag::{Diag, near_miss};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static HANDLEBARS: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.register_escape_fn(handlebars::no_escape);
    handlebars
});

#[expect(clippy::expect_used, reason = "the patterns are constants and a test reads them")]
static EXPRESSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\\?)\{\{([^{}]*)\}\}").expect("a constant"));
#[expect(clippy::expect_used, reason = "the patterns are constants and a test reads them")]
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[a-z]+\.[\w.-]+|^\s*[\w.-]+\s*$").expect("a constant"));

/// The values that templates may name.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The scenario's `vars`, after `--var`.
    pub vars: Map<String, Value>,
    /// Facts about the run: `id`, `started`, `operator`.
    pub run: Map<String, Value>,
    /// The captures of earlier steps; `None` before the run.
    pub captures: Option<Map<String, Value>>,
}

/// A name in a template, and the node that contains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// `vars.job`, `captures.first`.
    pub path: String,
    /// The node's line.
    pub line: u64,
    /// The node's column.
    pub col: u64,
}

impl Scope {
    fn value(&self) -> Value {
        let mut scope = json!({ "vars": self.vars, "run": self.run });
        if let Some(captures) = &self.captures {
            scope["captures"] = Value::Object(captures.clone());
        }
        scope
    }
}

impl Node {
    /// Every name used by the templates in this node.
    pub fn names(&self) -> Vec<Name> {
        let mut out = vec![];
        self.collect(&mut out);
        out
    }

    /// Returns whether a template in the node needs a value that only the run provides.
    pub fn is_late(&self) -> bool {
        match &self.kind {
            Kind::Seq(items) => items.iter().any(Node::is_late),
            Kind::Map(entries) => entries.iter().any(|(_, value)| value.is_late()),
            _ => self.late == Late::Unknown,
        }
    }

    fn collect(&self, out: &mut Vec<Name>) {
        match &self.kind {
            Kind::Seq(items) => items.iter().for_each(|item| item.collect(out)),
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| value.collect(out)),
            Kind::Str(text) if self.late == Late::Unknown => {
                let names =
                    expressions(text).flat_map(|inner| NAME.find_iter(inner).map(|m| m.as_str().trim()));
                out.extend(names.map(|path| Name { path: path.to_owned(), line: self.line, col: self.col }));
            }
            _ => {}
        }
    }
}

fn expressions(text: &str) -> impl Iterator<Item = &str> {
    EXPRESSION
        .captures_iter(text)
        .filter(|found| found[1].is_empty())
        .filter_map(|found| found.get(2))
        .map(|m| m.as_str())
}

impl Document {
    /// Fills in the templates in a node of this document. Those that use a capture or the run's id are left unfilled
    /// before the run, while `captures` is `None`.
    pub fn fill(&self, node: &mut Node, scope: &Scope) -> Vec<Diag> {
        let mut wrong = vec![];
        self.fill_in(node, &scope.value(), scope, &mut wrong);
        wrong
    }

    fn fill_in(&self, node: &mut Node, values: &Value, scope: &Scope, wrong: &mut Vec<Diag>) {
        let here = Node { kind: Kind::Null, ..*node };
        match &mut node.kind {
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.fill_in(item, values, scope, wrong)),
            Kind::Map(entries) => {
                for (_, value) in entries {
                    self.fill_in(value, values, scope, wrong);
                }
            }
            Kind::Str(text) if here.late == Late::Unknown => match render(text, values, scope) {
                Ok(Some(filled)) => *node = here.holding(&filled),
                Ok(None) => {}
                Err((code, message, help)) => {
                    let diag = self.diag(&here, code, message);
                    wrong.push(Diag { help, ..diag });
                }
            },
            _ => {}
        }
    }
}

type Wrong = (&'static str, String, Option<String>);

/// Returns whether this name has a value only after the run has begun.
fn waits(name: &str) -> bool {
    name == "run.id" || name.starts_with("captures.")
}

/// The value of a template; `None` while it uses a name that has a value only after the run has begun.
fn render(text: &str, values: &Value, scope: &Scope) -> Result<Option<Value>, Wrong> {
    let names: Vec<&str> =
        expressions(text).flat_map(|inner| NAME.find_iter(inner).map(|m| m.as_str().trim())).collect();
    for name in &names {
        known(name, values)?;
    }
    if scope.captures.is_none() && names.iter().any(|name| waits(name)) {
        return Ok(None);
    }
    // A text that is a single expression becomes that value, with its own type.
    let trimmed = text.trim();
    if let Some(found) = EXPRESSION.captures(trimmed)
        && found[1].is_empty()
        && found[0].len() == trimmed.len()
        && let Some(value) = values.pointer(&format!("/{}", found[2].trim().replace('.', "/")))
    {
        return Ok(Some(value.clone()));
    }
    let rendered = HANDLEBARS.render_template(text, values);
    // The library's message uses names of its grammar, so it is replaced.
    rendered.map(|text| Some(Value::String(text))).map_err(|_| {
        let help = "a template is written `{{ vars.NAME }}`; write `\\{{` for a literal brace";
        ("bad-template", "this template cannot be read".to_owned(), Some(help.to_owned()))
    })
}

/// Checks that the name is known. The scenario checks captures, because it knows the order of steps.
fn known(name: &str, values: &Value) -> Result<(), Wrong> {
    let (root, rest) = name.split_once('.').unwrap_or((name, ""));
    let unknown = |message: String, help: String| Err(("unknown-template-name", message, Some(help)));
    match root {
        "captures" => Ok(()),
        "run" if waits(name) => Ok(()),
        "vars" | "run" if values.pointer(&format!("/{}", name.replace('.', "/"))).is_some() => Ok(()),
        "vars" | "run" => {
            let names = values[root].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
            let late = (root == "run" && values["run"].get("id").is_none()).then_some("id");
            let names: Vec<&str> = names.chain(late).collect();
            let near =
                near_miss(rest, names.iter().copied()).map(|near| format!("did you mean `{root}.{near}`? "));
            let all = if names.is_empty() {
                format!("`{root}` is empty here")
            } else {
                format!("known: {}", names.join(", "))
            };
            unknown(format!("nothing is called `{name}`"), near.unwrap_or_default() + &all)
        }
        _ => {
            let near = near_miss(root, ["vars", "captures", "run"]).filter(|_| !rest.is_empty());
            let near = near.map(|near| format!("did you mean `{near}.{rest}`? ")).unwrap_or_default();
            let help = "a template names `vars.…`, `captures.…` or `run.…`; write `\\{{` for a literal brace";
            unknown(format!("nothing is called `{name}`"), near + help)
        }
    }
}
