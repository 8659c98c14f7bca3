//! A file → a scenario, with all of its mistakes at once.

use super::find::Found;
use super::step::{self, ResolvedStep, Step, StepOperation, Via};
use crate::{KindInfo, Registry};
use proofmark_environment::document::{self, Document, Form, Kind, Late, Node, Scope};
use proofmark_model::diag::{Diag, Source, near_miss};
use proofmark_model::expect::Expect;
use proofmark_model::{Duration, SettingMistake, sha256};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A scenario that was read and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The path below the nearest folder `scenarios`.
    pub id: String,
    /// Where it was found.
    pub found: Found,
    /// Its text and tree.
    pub document: Document,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its title.
    pub title: String,
    /// What it claims.
    pub claim: String,
    /// What it does not prove.
    pub does_not_prove: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Ids of the scenarios that must have passed first, with their places.
    pub needs: Vec<(String, Node)>,
    /// Values for templates, after `--var`.
    pub vars: Map<String, Value>,
    /// The folder below `--export` for its files.
    pub export: String,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

pub(super) const FORM: Form = Form {
    name: "a scenario file",
    keys: &["proofmark", "title", "claim", "does-not-prove", "tags", "needs", "vars", "export", "steps"],
    other: ("connections", "this looks like an environment file: give it with `--env FILE`"),
};
pub(super) const STEP_KEYS: &[&str] = &[
    "id",
    "title",
    "check",
    "act",
    "via",
    "within",
    "every",
    "hold",
    "until",
    "timeout",
    "expect",
    "capture",
    "control",
    "skip",
    "evidence",
    "not-secret",
];

/// Collects mistakes while a map is read.
struct Reader<'a> {
    document: &'a Document,
    registry: &'a Registry,
    wrong: Vec<Diag>,
}

impl Reader<'_> {
    fn optional<T: DeserializeOwned>(&mut self, map: &Node, key: &str) -> Option<T> {
        let node = map.get(key)?;
        self.document.typed(node).map_err(|diag| self.wrong.push(diag)).ok()
    }

    fn required<T: DeserializeOwned + Default>(&mut self, map: &Node, key: &'static str) -> T {
        if map.get(key).is_some() {
            return self.optional(map, key).unwrap_or_default();
        }
        self.say(map, "missing-key", format!("the key `{key}` is missing"), format!("add `{key}: …` here"));
        T::default()
    }

    fn say(&mut self, node: &Node, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.wrong.push(self.document.diag(node, code, message).help(help));
    }
}

/// Values that replace those in a scenario's `vars`.
#[derive(Debug, Clone, Copy)]
pub enum Overrides<'a> {
    /// The values of `--var`: kept as text if the scenario's value is text, else parsed as YAML if possible.
    Words(&'a BTreeMap<String, String>),
    /// Values that are used unchanged.
    Values(&'a Map<String, Value>),
}

/// Reads one scenario file. `run` holds the facts about the run for templates.
///
/// # Errors
/// Every mistake in the file.
pub fn read(
    found: &Found,
    overrides: Overrides<'_>,
    run: &Map<String, Value>,
    registry: &Registry,
) -> Result<Scenario, Vec<Diag>> {
    let source = document::text(&found.path).map_err(|diag| vec![diag])?;
    read_text(source, found, overrides, run, registry)
}

/// Reads a scenario from its text.
pub(super) fn read_text(
    source: Arc<Source>,
    found: &Found,
    overrides: Overrides<'_>,
    run: &Map<String, Value>,
    registry: &Registry,
) -> Result<Scenario, Vec<Diag>> {
    let document = document::parse(source).map_err(|diag| vec![diag])?;
    let root = &document.root;
    let wrong = document.form(&FORM).map_err(|diag| vec![diag])?;
    let mut reader = Reader { document: &document, registry, wrong };
    let vars = vars(&mut reader, root, overrides);
    let scope = Scope { vars: vars.clone(), run: run.clone(), captures: None };
    let needs = reader.optional::<Vec<String>>(root, "needs").unwrap_or_default();
    let places = root.get("needs").map(Node::items).unwrap_or_default();
    let mut scenario = Scenario {
        id: found.id.clone(),
        found: found.clone(),
        sha256: sha256(document.source.text.as_bytes()),
        title: reader.required(root, "title"),
        claim: reader.required(root, "claim"),
        does_not_prove: reader.optional(root, "does-not-prove"),
        tags: reader.optional(root, "tags").unwrap_or_default(),
        needs: needs.into_iter().zip(places.iter().cloned()).collect(),
        vars,
        export: export(&mut reader, root, &found.id),
        steps: vec![],
        document: document.clone(),
    };
    scenario.steps = steps(&mut reader, root, &scope);
    if reader.wrong.is_empty() { Ok(scenario) } else { Err(reader.wrong) }
}

/// The folder for exports: the key `export`. Default: the id with `-` for `/`.
fn export(reader: &mut Reader<'_>, root: &Node, id: &str) -> String {
    let Some(place) = root.get("export") else { return id.replace('/', "-") };
    let folder: String = reader.optional(root, "export").unwrap_or_default();
    let inside = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    if folder.is_empty() || !std::path::Path::new(&folder).components().all(inside) {
        let help = "name a folder below the one that `--export` gives: `phase5-metrics`";
        reader.say(place, "bad-name", format!("`{folder}` is no folder below another"), help);
    }
    folder
}

/// `vars`, with the overrides applied.
fn vars(reader: &mut Reader<'_>, root: &Node, overrides: Overrides<'_>) -> Map<String, Value> {
    let mut vars: Map<String, Value> = reader.optional(root, "vars").unwrap_or_default();
    for (name, value) in &mut vars {
        match overrides {
            Overrides::Words(words) => {
                let Some(text) = words.get(name) else { continue };
                let typed = if value.is_string() { None } else { serde_saphyr::from_str(text).ok() };
                *value = typed.unwrap_or_else(|| Value::String(text.clone()));
            }
            Overrides::Values(values) => values.get(name).into_iter().for_each(|own| value.clone_from(own)),
        }
    }
    vars
}

fn steps(reader: &mut Reader<'_>, root: &Node, scope: &Scope) -> Vec<Step> {
    let Some((key, list)) = root.entry("steps") else {
        reader.say(root, "missing-key", "the key `steps` is missing", "add `steps:` with at least one step");
        return vec![];
    };
    if matches!(list.kind, Kind::Map(_) | Kind::Str(_)) {
        reader.say(list, "wrong-type", "`steps` is a list", "begin each step with a dash: `- id: …`");
        return vec![];
    }
    if list.items().is_empty() {
        reader.say(
            key,
            "no-steps",
            "a scenario without steps proves nothing",
            "add at least one step below `steps:`",
        );
        return vec![];
    }
    let mut out: Vec<Step> = vec![];
    let (mut before, mut files) = (Before::default(), BTreeSet::new());
    for node in list.items() {
        let Some(step) = one(reader, node, scope, &before) else { continue };
        let own = Some(format!("{}.json", step.id)).filter(|_| !before.ids.contains(&step.id));
        for file in [own, step.evidence.clone()].into_iter().flatten() {
            if !files.insert(file.clone()) {
                let at = node.get("evidence").or(node.get("id")).unwrap_or(node);
                let message = format!("the evidence file `{file}` would be written twice");
                reader.say(
                    at,
                    "duplicate-name",
                    message,
                    "each step keeps its own `ID.json`; choose another name",
                );
            }
        }
        before.ids.insert(step.id.clone());
        before.captures.extend(step.capture.keys().cloned());
        out.push(step);
    }
    out
}

/// What a step may refer to in earlier steps.
#[derive(Default)]
struct Before {
    ids: BTreeSet<String>,
    captures: BTreeSet<String>,
}

fn one(reader: &mut Reader<'_>, node: &Node, scope: &Scope, before: &Before) -> Option<Step> {
    if !matches!(node.kind, Kind::Map(_)) {
        let help = "write it as `- id: …` with `check: { … }` or `act: { … }` below";
        reader.say(node, "wrong-type", "a step is a map", help);
        return None;
    }
    reader.wrong.extend(reader.document.unknown_keys(node, STEP_KEYS));
    let id: String = reader.required(node, "id");
    if let Some(place) = node.get("id") {
        identifier(reader, place, &id);
        if before.ids.contains(&id) {
            let message = format!("the step id `{id}` is used twice");
            reader.say(place, "duplicate-id", message, "give each step of a scenario an id of its own");
        }
    }
    let mut step = settings(reader, node, scope, id);
    doing(reader, node, scope, &mut step);
    for expect in node.get("expect").map(Node::items).unwrap_or_default() {
        let mut filled = expect.clone();
        reader.wrong.extend(reader.document.fill(&mut filled, scope));
        match (reader.document.typed::<Expect>(&filled), &mut step.ready) {
            (Ok(_), _) if filled.is_late() => step.ready = None,
            (Ok(expect), Some(ready)) => ready.expect.push(expect),
            (Ok(_), None) => {}
            (Err(diag), _) => reader.wrong.push(diag),
        }
        step.expect.push(filled);
    }
    if let Some(place) = node.get("expect").filter(|place| !matches!(place.kind, Kind::Seq(_))) {
        reader.say(
            place,
            "wrong-type",
            "`expect` is a list",
            "write its entries like this: `- { at: $.samples, count: { min: 1 } }`",
        );
    }
    captures_used(reader, &mut step, before);
    control(reader, node, &step, before);
    Some(step)
}

fn identifier(reader: &mut Reader<'_>, place: &Node, id: &str) {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || !id.chars().all(good) || id.starts_with('.') {
        reader.say(
            place,
            "bad-id",
            format!("`{id}` is no id"),
            "an id has letters, digits, `-`, `_` and `.`; it names a file",
        );
    }
}

fn settings(reader: &mut Reader<'_>, node: &Node, scope: &Scope, id: String) -> Step {
    let evidence: Option<String> = reader.optional(node, "evidence");
    if let (Some(name), Some(place)) = (&evidence, node.get("evidence"))
        && (name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.'))
    {
        reader.say(
            place,
            "bad-name",
            format!("`{name}` is no file name"),
            "write a name without folders; it is kept beside the step's own file",
        );
    }
    let [within, hold, every, timeout] =
        ["within", "hold", "every", "timeout"].map(|key| early(reader, node, scope, key));
    if let (Some(place), None, None) = (node.get("every"), within, hold) {
        reader.say(
            place,
            "bad-settings",
            "`every` says how often, but not for how long",
            "add `within:` or `hold:`",
        );
    }
    if let Some(place) = node.get("every").filter(|_| every == Some(Duration::secs(0))) {
        reader.say(
            place,
            "bad-settings",
            "`every` is no time at all",
            "write how long to wait between two looks: `1s`",
        );
    }
    Step {
        title: reader.optional(node, "title"),
        doing: Node { kind: Kind::Null, late: Late::No, ..*node },
        acts: node.get("act").is_some(),
        expect: vec![],
        capture: early(reader, node, scope, "capture").unwrap_or_default(),
        control: reader.optional(node, "control"),
        skip: reader.optional(node, "skip"),
        within,
        every: every.unwrap_or(Duration::secs(1)),
        hold,
        timeout,
        until: reader.optional(node, "until"),
        promises: false,
        via: reader.optional::<Via>(node, "via").map(|via| via.0).unwrap_or_default(),
        evidence,
        not_secret: reader.optional(node, "not-secret").unwrap_or_default(),
        kinds: vec![],
        needs: vec![],
        uses: vec![],
        ready: None,
        id,
    }
}

/// Reads a setting of the step that may contain variables. It is needed before anything is captured: a value that is
/// known only later would be read as a sample of its type, with a different meaning.
fn early<T: DeserializeOwned>(reader: &mut Reader<'_>, node: &Node, scope: &Scope, key: &str) -> Option<T> {
    let mut place = node.get(key)?.clone();
    let before = reader.wrong.len();
    reader.wrong.extend(reader.document.fill(&mut place, scope));
    let late = place.names().first().map(|late| Node { line: late.line, col: late.col, ..place.clone() });
    if let (Some(late), true) = (late, reader.wrong.len() == before) {
        let what =
            if place.names().iter().any(|name| name.path == "run.id") { "the run's id" } else { "a capture" };
        let message = format!("`{key}` names {what}, which is not known when the step begins");
        reader.say(&late, "bad-settings", message, "write it out, or name a variable");
    }
    if reader.wrong.len() > before {
        return None;
    }
    match reader.document.typed(&place) {
        Ok(value) => Some(value),
        Err(diag) => {
            reader.wrong.push(diag);
            None
        }
    }
}

fn doing(reader: &mut Reader<'_>, node: &Node, scope: &Scope, step: &mut Step) {
    let doing = match (node.entry("check"), node.entry("act")) {
        (Some((_, check)), None) => check,
        (None, Some((_, act))) => act,
        (Some(_), Some((key, _))) => {
            return reader.say(key, "two-kinds", "a step checks or acts, not both", "make two steps of it");
        }
        (None, None) => {
            let help = "add `check: { KIND: { … } }` or `act: { KIND: { … } }`";
            return reader.say(node, "missing-key", "the step does nothing", help);
        }
    };
    step.doing = doing.clone();
    let unfilled = reader.wrong.len();
    reader.wrong.extend(reader.document.fill(&mut step.doing, scope));
    if reader.wrong.len() > unfilled {
        return;
    }
    match step::doing_of((reader.document, reader.registry), &step.doing, step.acts) {
        Ok((doing, first_of)) => {
            step.kinds = doing.kinds();
            if let StepOperation::Act(act) = &doing {
                let named = act.named().map(|(role, name)| (role.to_owned(), name.to_owned()));
                step.via.extend(named);
                step.needs = act.needs().to_vec();
                step.promises = act.promises();
            }
            looks(reader, node, &doing);
            via(reader, node, step, &doing);
            step.ready = (!step.doing.is_late()).then_some(ResolvedStep { doing, first_of, expect: vec![] });
        }
        Err(wrong) => reader.wrong.extend(wrong),
    }
}

/// Checks the keys about time: `within` and `hold` fit only acts that are observed for a while, `until` only a step
/// that makes a promise.
fn looks(reader: &mut Reader<'_>, node: &Node, doing: &StepOperation) {
    let (once, promises) = match doing {
        StepOperation::Check(_) => (false, false),
        StepOperation::Act(act) => (act.within().is_none(), act.promises()),
    };
    if let Some((key, _)) = node.entry("within").or(node.entry("hold")).filter(|_| once) {
        let help = "put a check with `within` after it";
        reader.say(key, "bad-settings", "an act is made once and never tried again", help);
    }
    if let Some((key, _)) = node.entry("until").filter(|_| !promises) {
        let help = "leave `until` out; it says when a promise to put something back is kept";
        reader.say(key, "bad-settings", "this step promises nothing", help);
    }
}

/// Checks that `via` names only what the step's kinds take a connection for, and that it is present if one of them
/// needs it.
fn via(reader: &mut Reader<'_>, node: &Node, step: &Step, doing: &StepOperation) {
    let place = node.get("via").unwrap_or_else(|| step::kind_of(&step.doing));
    let named =
        |takes: &[&str]| step.via.contains_key("") || takes.iter().any(|role| step.via.contains_key(*role));
    for mistake in doing.via_mistakes(named) {
        let SettingMistake { message, help } = mistake;
        reader.say(place, "bad-via", message, help.unwrap_or_default());
    }
    let takes: Vec<&str> = step.kinds.iter().flat_map(KindInfo::takes).collect();
    for role in step.via.keys().filter(|role| !role.is_empty() && !takes.contains(&role.as_str())) {
        let near = near_miss(role, takes.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let message = format!("the step `{}` has no role `{role}`", step.id);
        let key = place.entry(role).map_or(place, |(key, _)| key);
        reader.say(key, "unknown-role", message, format!("{near}known here: {}", takes.join(", ")));
    }
}

fn captures_used(reader: &mut Reader<'_>, step: &mut Step, before: &Before) {
    let names = step.expect.iter().chain([&step.doing]).flat_map(Node::names).collect::<Vec<_>>();
    for name in names {
        let Some(capture) = name.path.strip_prefix("captures.") else { continue };
        let capture = capture.split('.').next().unwrap_or_default();
        if before.captures.contains(capture) {
            step.uses.push(capture.to_owned());
            continue;
        }
        let node = Node { line: name.line, col: name.col, kind: Kind::Null, late: Late::No };
        let help = match near_miss(capture, before.captures.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `captures.{near}`?"),
            None => "add `capture: { NAME: JSONPATH }` to an earlier step".to_owned(),
        };
        reader.say(&node, "unknown-capture", format!("no earlier step captures `{capture}`"), help);
    }
}

fn control(reader: &mut Reader<'_>, node: &Node, step: &Step, before: &Before) {
    if let (Some(control), Some(place)) = (&step.control, node.get("control"))
        && !before.ids.contains(control)
    {
        let near = near_miss(control, before.ids.iter().map(String::as_str));
        let help = near.map_or("a control is an earlier step of this scenario".into(), |near| {
            format!("did you mean `{near}`?")
        });
        reader.say(place, "unknown-step", format!("no earlier step is called `{control}`"), help);
    }
}
