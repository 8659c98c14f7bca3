//! `explain`: what a kind is for, its settings, what it sees and what it judges by itself. The pages of `docs/kinds` are
//! this text.

use super::output::{refuse, say};
use crate::kinds::registry;
use proofmark_engine::KindInfo;
use proofmark_model::diag::{CODES, Diag, near_miss};
use proofmark_model::{ErrorCode, Exit};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The word that names the page of error codes.
const ERROR_CODES: &str = "error-codes";

/// Which kind.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExplainCommandArgs {
    /// A kind of step, such as `http`, or `error-codes`; without it all kinds are listed
    kind: Option<String>,
}

/// Explains one kind, or lists all.
pub(super) fn explain(options: &ExplainCommandArgs) -> Exit {
    let Some(name) = &options.kind else {
        let wide = registry().kinds().map(|kind| kind.name.len()).max().unwrap_or_default();
        for kind in registry().kinds() {
            let word = if kind.acts { "act" } else { "check" };
            say(&format!("{:wide$}  {word:5}  {}\n", kind.name, summary(&about(kind))));
        }
        return Exit::Passed;
    };
    if name == ERROR_CODES {
        say(&error_codes());
        return Exit::Passed;
    }
    // A check and an act of the same name are told together.
    let pages: Vec<String> = registry().kinds().filter(|kind| kind.name == name).map(page).collect();
    if !pages.is_empty() {
        say(&pages.join("\n"));
        return Exit::Passed;
    }
    let diag = Diag::new("unknown-kind", format!("there is no kind `{name}`"));
    let help = near_miss(name, registry().kinds().map(|kind| kind.name));
    let help =
        help.map_or("`proofmark explain` lists the kinds".into(), |near| format!("did you mean `{near}`?"));
    refuse(&[diag.help(help)])
}

/// The page of error codes, `docs/error-codes.md`.
fn error_codes() -> String {
    let mut out = "# Error codes\n\n\
        `make docs` writes this page from the program's own tables; a test holds the two to each other. Codes are a \
        contract: they are added to, and never renamed.\n\n\
        ## Errors of a run\n\n\
        An attempt that saw nothing has `code` beside its `error` in the step's file. A finding that is `unverified` \
        because of it has the same `code`: in `events.jsonl`, in `--format jsonl` and in the JSON report. Evidence of \
        older versions has no codes.\n\n\
        | code | means | what to do |\n|---|---|---|\n"
        .to_owned();
    for (code, means, remedy) in ErrorCode::TABLE {
        let _ = writeln!(out, "| `{code}` | {means} | {remedy} |");
    }
    out += "\n## Mistakes in files and on the command line\n\n\
        They are found before anything runs and written to standard error as `error[code]`, with the place and with \
        what was meant. The process exits with 2 unless [the table of exit codes](exit-codes.md) says otherwise.\n\n\
        | code | means |\n|---|---|\n";
    for (code, means) in CODES {
        let _ = writeln!(out, "| `{code}` | {means} |");
    }
    out
}

/// What a kind is for, in paragraphs.
fn about(kind: &KindInfo) -> String {
    let schema = (kind.settings)();
    let text = schema.as_value()["description"].as_str().unwrap_or_default();
    text.split("\n\n").map(flowing).collect::<Vec<_>>().join("\n\n")
}

/// The first sentence.
fn summary(about: &str) -> &str {
    let about = about.split("\n\n").next().unwrap_or_default();
    let end = about.find(". ").map_or(about.len(), |at| at + 1);
    about.get(..end).unwrap_or(about).trim_end_matches('.')
}

/// Text without the ends of lines that its source had.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page of a kind, in Markdown that reads well as it is.
fn page(kind: &KindInfo) -> String {
    let key = if kind.acts { "act" } else { "check" };
    let mut out = format!("# `{}` ({key})\n\n{}\n\n", kind.name, about(kind));
    if !kind.roles.is_empty() {
        let roles: Vec<String> = kind.roles.iter().map(|role| format!("`{role}`")).collect();
        let _ = write!(
            out,
            "Role: {}. The connection of that name serves it, unless the step says `via: OTHER`.\n\n",
            roles.join(", ")
        );
    }
    let _ = write!(out, "```yaml\n{key}:\n");
    kind.example.lines().for_each(|line| out.extend(["  ", line, "\n"]));
    out += "```\n\n";
    let (settings, seen) = ((kind.settings)(), (kind.seen)());
    out += "## Settings\n\n";
    Fields { root: settings.as_value(), named: true }.list(
        settings.as_value(),
        0,
        &mut out,
        &mut BTreeSet::new(),
    );
    out += "\n## Observation\n\n";
    Fields { root: seen.as_value(), named: false }.list(seen.as_value(), 0, &mut out, &mut BTreeSet::new());
    let _ = write!(out, "\n## Judges by itself\n\n{}\n", kind.judges);
    out
}

fn described(field: &Value) -> String {
    flowing(field["description"].as_str().unwrap_or_default())
}

/// Tells the fields of a schema as a list.
struct Fields<'a> {
    root: &'a Value,
    /// Say which fields must be given.
    named: bool,
}

impl<'a> Fields<'a> {
    /// The schema itself, or the one it refers to; `null` beside it only says that it may be left out.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let real = |option: &&Value| option["type"] != "null";
        if let Some(only) = schema["anyOf"].as_array().and_then(|options| options.iter().find(real))
            && schema["anyOf"].as_array().is_some_and(|options| options.iter().filter(real).count() == 1)
        {
            return self.resolved(only);
        }
        match schema["$ref"].as_str().and_then(|path| self.root.pointer(path.trim_start_matches('#'))) {
            Some(target) => self.resolved(target),
            None => schema,
        }
    }

    fn list(&self, schema: &'a Value, depth: usize, out: &mut String, above: &mut BTreeSet<String>) {
        let schema = self.resolved(schema);
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = schema["properties"].as_object() else { return };
        let mut fields: Vec<(&String, &Value)> = properties.iter().collect();
        fields.sort_by_key(|(name, _)| self.named && !required.contains(&name.as_str()));
        for (name, field) in fields {
            let inner = self.resolved(field);
            let must = if self.named && required.contains(&name.as_str()) { ", required" } else { "" };
            let mut about = described(field);
            if about.is_empty() {
                about = described(inner);
            }
            let _ =
                writeln!(out, "{}- `{name}` ({}{must}): {about}", "  ".repeat(depth), self.kind_of(inner));
            let element = if inner["items"].is_object() { self.resolved(&inner["items"]) } else { inner };
            let title = element.to_string();
            // A type that holds itself is told once.
            if element["properties"].is_object() && above.insert(title.clone()) {
                self.list(element, depth + 1, out, above);
                above.remove(&title);
            }
        }
        if properties.is_empty() {
            *out += "None.\n";
        }
    }

    /// The type of a field in a word or two.
    fn kind_of(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        let options = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        if let Some(options) = options {
            let all: BTreeSet<String> = options.iter().map(|option| self.kind_of(option)).collect();
            return all.into_iter().collect::<Vec<_>>().join(" or ");
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices
                .iter()
                .map(|choice| format!("`{}`", choice.as_str().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(choice) = schema["const"].as_str() {
            return format!("`{choice}`");
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        let words = types.into_iter().filter(|word| *word != "null").map(|word| match word {
            "array" => format!("list of {}", self.kind_of(&schema["items"])),
            "object" if schema["additionalProperties"].is_object() => {
                format!("map to {}", self.kind_of(&schema["additionalProperties"]))
            }
            "object" => "map".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "true or false".to_owned(),
            "integer" => "whole number".to_owned(),
            other => other.to_owned(),
        });
        let words = words.collect::<Vec<_>>().join(" or ");
        if words.is_empty() { "anything".to_owned() } else { words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_the_paragraphs_of_its_kind() {
        let mut most = 0;
        for kind in registry().kinds() {
            let schema = (kind.settings)();
            let written = schema.as_value()["description"].as_str().unwrap().split("\n\n").count();
            let told = page(kind).split("\n\n").take(1 + written).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(told[1..].join("\n\n"), about(kind), "{}", kind.name);
            assert!(told.iter().all(|part| !part.contains('\n')), "{}: {told:?}", kind.name);
            most = most.max(written);
        }
        assert!(most >= 3, "some kind has several paragraphs");
    }
}
