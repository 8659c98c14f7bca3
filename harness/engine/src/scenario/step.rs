//! One step as it is written, and after its templates are filled in.

use crate::{AnyAct, AnyCheck, KindInfo, Registry, feature_advice};
use jiff::Timestamp;
use proofmark_environment::Environment;
use proofmark_environment::document::{Document, Node, Scope};
use proofmark_evidence::undo::Until;
use proofmark_model::diag::Diag;
use proofmark_model::expect::{Expect, JsonPath};
use proofmark_model::{Duration, Permission, SettingMistake};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A step that was read and checked. Values that may contain templates are kept as nodes and filled in when the step
/// runs.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its id, unique in the scenario.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// `check` or `act`, with the kind and its settings.
    pub doing: Node,
    /// Whether it is an act.
    pub acts: bool,
    /// The entries of `expect`.
    pub expect: Vec<Node>,
    /// Name to path, sorted by name.
    pub capture: BTreeMap<String, JsonPath>,
    /// The step that proves that what is counted can be observed.
    pub control: Option<String>,
    /// How long to poll.
    pub within: Option<Duration>,
    /// The pause between two observations.
    pub every: Duration,
    /// How long the result has to stay true.
    pub hold: Option<Duration>,
    /// Limits one attempt, if the step sets it.
    pub timeout: Option<Duration>,
    /// When its promises are due, if the step sets it.
    pub until: Option<Until>,
    /// Whether its settings promise to put the change back.
    pub promises: bool,
    /// The connection for each role; the key is empty if the step does not name the role.
    pub via: BTreeMap<String, String>,
    /// Skipped until a time, with a reason.
    pub skip: Option<SkipUntil>,
    /// The file name under which the response is kept unchanged.
    pub evidence: Option<String>,
    /// Keys that are not secrets here.
    pub not_secret: Vec<String>,
    /// The kinds that it may run, as far as they are known without captures.
    pub kinds: Vec<KindInfo>,
    /// The permissions that it needs.
    pub needs: Vec<Permission>,
    /// The captures that it uses.
    pub uses: Vec<String>,
    /// The result of `fill`, if no template needs a value from the run.
    pub ready: Option<ResolvedStep>,
}

/// `skip: { reason, until }`. The step runs again after `until`, so that nothing is skipped for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkipUntil {
    /// Why it is skipped.
    pub reason: String,
    /// When it runs again: a time, or the beginning of a day in UTC.
    #[serde(deserialize_with = "day_or_time")]
    pub until: Timestamp,
}

fn day_or_time<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(d)?;
    let day = |text: &str| text.parse::<jiff::civil::Date>()?.to_zoned(jiff::tz::TimeZone::UTC);
    text.parse().or_else(|_| day(&text).map(|day| day.timestamp())).map_err(|_| {
        let help = "write a day (`2026-12-31`) or a time (`2026-12-31T08:00:00Z`)";
        de::Error::custom(SettingMistake::new(format!("`{text}` is no time")).help(help))
    })
}

/// What a step does, typed.
#[derive(Debug, Clone)]
pub enum StepOperation {
    /// Reads with the candidates of `first-of`, or with one check.
    Check(Vec<AnyCheck>),
    /// Changes a system.
    Act(AnyAct),
}

/// A step with its templates filled in.
#[derive(Debug, Clone)]
pub struct ResolvedStep {
    /// What it does.
    pub doing: StepOperation,
    /// Whether it was written as `first-of`.
    pub first_of: bool,
    /// The expectations in addition to the kind's own judgements.
    pub expect: Vec<Expect>,
}

/// The key that contains candidates.
pub const FIRST_OF: &str = "first-of";

impl Step {
    /// The connection that `via` names for each role of these kinds.
    pub fn named(&self, kinds: &[KindInfo]) -> BTreeMap<String, String> {
        let roles = kinds.iter().flat_map(KindInfo::takes);
        let named = |role: &str| self.via.get(role).or(self.via.get("")).cloned();
        roles.filter_map(|role| Some((role.to_owned(), named(role)?))).collect()
    }

    /// The roles that it uses, each with the name of the connection that serves it. An optional role is used if the
    /// environment has it or the step names it.
    pub fn connections(&self, environment: &Environment) -> BTreeMap<String, String> {
        let there = |role: &str| environment.names().any(|name| name == role);
        let used = |kind: &KindInfo| {
            let roles = kind.roles.iter().copied();
            roles.filter(|role| !kind.optional.contains(role) || there(role)).collect::<Vec<_>>()
        };
        let roles = self.kinds.iter().flat_map(used);
        let mut out: BTreeMap<String, String> =
            roles.map(|role| (role.to_owned(), role.to_owned())).collect();
        out.extend(self.named(&self.kinds));
        out
    }

    /// Fills in the templates and reads the result into types.
    ///
    /// # Errors
    /// Every template that cannot be filled in, and every value of the wrong type, at its place.
    pub fn fill(
        &self,
        document: &Document,
        scope: &Scope,
        registry: &Registry,
    ) -> Result<ResolvedStep, Vec<Diag>> {
        if let Some(ready) = &self.ready {
            return Ok(ready.clone());
        }
        let mut wrong = vec![];
        let mut doing = self.doing.clone();
        wrong.extend(document.fill(&mut doing, scope));
        let mut expect = vec![];
        for node in &self.expect {
            let mut node = node.clone();
            wrong.extend(document.fill(&mut node, scope));
            match document.typed::<Expect>(&node) {
                Ok(typed) => expect.push(typed),
                Err(diag) => wrong.push(diag),
            }
        }
        match doing_of((document, registry), &doing, self.acts) {
            Ok((doing, first_of)) if wrong.is_empty() => Ok(ResolvedStep { doing, first_of, expect }),
            Ok(_) => Err(wrong),
            Err(diags) => {
                wrong.extend(diags);
                Err(wrong)
            }
        }
    }
}

/// The file, and the kinds that it may name.
pub(super) type Reads<'a> = (&'a Document, &'a Registry);

/// Reads `check:` or `act:` into kinds.
pub(super) fn doing_of(
    reads: Reads<'_>,
    node: &Node,
    acts: bool,
) -> Result<(StepOperation, bool), Vec<Diag>> {
    if let Some(candidates) = node.get(FIRST_OF) {
        return first_of(reads, node, candidates, acts).map(|checks| (StepOperation::Check(checks), true));
    }
    match one_of(reads, node, acts) {
        Ok(doing) => Ok((doing, false)),
        Err(diag) => Err(vec![diag]),
    }
}

/// Reads one kind. If both lists have a kind of this name and the settings fit only the other one, the step is in the
/// wrong list.
fn one_of(reads: Reads<'_>, node: &Node, acts: bool) -> Result<StepOperation, Diag> {
    let (document, registry) = reads;
    listed(reads, node, acts).map_err(|diag| {
        let name = kind_of(node).as_str().unwrap_or_default();
        let both = [false, true].iter().all(|acts| registry.kind(name, *acts).is_some());
        if both && listed(reads, node, !acts).is_ok() {
            let message = format!("with these settings `{name}` {}", which(!acts));
            let diag = document.diag(kind_of(node), "wrong-list", message);
            return diag.help(format!("write it below `{}:`", key(!acts)));
        }
        diag
    })
}

fn listed(reads: Reads<'_>, node: &Node, acts: bool) -> Result<StepOperation, Diag> {
    let (document, registry) = reads;
    let typed = if acts {
        registry.act(document, node).map(StepOperation::Act)
    } else {
        registry.check(document, node).map(|check| StepOperation::Check(vec![check]))
    };
    let doing = typed.map_err(|diag| explained(diag, registry, node, acts))?;
    let mistake = match &doing {
        StepOperation::Act(act) => act.mistake(),
        StepOperation::Check(checks) => checks.iter().find_map(|check| check.mistake()),
    };
    match mistake {
        Some(mistake) => Err(bad_settings(reads, node, acts, mistake)),
        None => Ok(doing),
    }
}

/// The key of a list of kinds.
fn key(acts: bool) -> &'static str {
    if acts { "act" } else { "check" }
}

fn which(acts: bool) -> &'static str {
    if acts { "changes the world: it is an act" } else { "reads: it is a check" }
}

/// The place of a kind's name.
pub(super) fn kind_of(node: &Node) -> &Node {
    node.entries().first().map_or(node, |(kind, _)| kind)
}

/// An example of the kind that is named here.
fn example(registry: &Registry, node: &Node, acts: bool) -> Option<String> {
    let kind = registry.kind(kind_of(node).as_str()?, acts)?;
    Some(format!("write it like this: `{}`", kind.example))
}

fn bad_settings((document, registry): Reads<'_>, node: &Node, acts: bool, mistake: SettingMistake) -> Diag {
    let SettingMistake { message, help } = mistake;
    let diag = document.diag(kind_of(node), "bad-settings", message);
    Diag { help: help.or_else(|| example(registry, node, acts)), ..diag }
}

fn first_of(
    reads: Reads<'_>,
    node: &Node,
    candidates: &Node,
    acts: bool,
) -> Result<Vec<AnyCheck>, Vec<Diag>> {
    let (document, _) = reads;
    if acts {
        let diag = document.diag(kind_of(node), "bad-settings", "`first-of` chooses among checks, not acts");
        return Err(vec![diag.help("make a step of each act")]);
    }
    if let Some((other, _)) = node.entries().iter().find(|(key, _)| key.as_str() != Some(FIRST_OF)) {
        let diag = document.diag(other, "two-kinds", "another kind beside `first-of`");
        return Err(vec![diag.help("put it into the list of `first-of`, or make two steps of it")]);
    }
    if candidates.items().is_empty() {
        let diag = document.diag(candidates, "wrong-type", "`first-of` has no list to choose from");
        return Err(vec![diag.help("list kinds with their settings: `- KIND: { … }`")]);
    }
    let (mut checks, mut wrong) = (vec![], vec![]);
    for item in candidates.items() {
        match one_of(reads, item, false) {
            Ok(StepOperation::Check(check)) => checks.extend(check),
            Ok(StepOperation::Act(_)) => {}
            Err(diag) => wrong.push(diag),
        }
    }
    if wrong.is_empty() { Ok(checks) } else { Err(wrong) }
}

/// Adds what is known of kinds to a mistake. A kind of the other list is not misspelt but in the wrong place.
fn explained(diag: Diag, registry: &Registry, node: &Node, acts: bool) -> Diag {
    let own = kind_of(node);
    let stands_at = |node: &Node| {
        diag.place.as_ref().is_some_and(|place| (place.line, place.column) == (node.line, node.col))
    };
    let here = stands_at(own);
    let unset =
        diag.code == "wrong-type" && (here || node.entries().iter().any(|(_, value)| stands_at(value)));
    if diag.code == "missing-key" || unset {
        return Diag { help: example(registry, node, acts).or(diag.help), ..diag };
    }
    if diag.code != "unknown-name" || !here {
        return diag;
    }
    let word = diag.message.split('`').nth(1).unwrap_or_default().to_owned();
    if registry.kind(&word, !acts).is_some() {
        return Diag {
            message: format!("`{word}` {}", which(!acts)),
            help: Some(format!("write it below `{}:`", key(!acts))),
            code: "wrong-list",
            ..diag
        };
    }
    if let Some(feature) = registry.missing_feature(&word) {
        let message = format!("this program was built without `{feature}`, which has the kind `{word}`");
        return Diag { code: "built-without", message, help: Some(feature_advice(feature)), ..diag };
    }
    let message = diag.message.replace("unknown name", "unknown kind");
    Diag { code: "unknown-kind", message, ..diag }
}

impl StepOperation {
    /// The kinds, in order.
    pub fn kinds(&self) -> Vec<KindInfo> {
        match self {
            Self::Check(checks) => checks.iter().map(|check| check.info()).collect(),
            Self::Act(act) => vec![act.used()],
        }
    }

    /// Limits one attempt if the step sets no timeout: the longest timeout of its kinds.
    pub fn timeout(&self) -> Duration {
        self.kinds().iter().map(|kind| kind.timeout).max().unwrap_or_default()
    }

    /// The mistakes in the step's `via`; `named` returns whether it names a connection for one of these roles.
    pub(super) fn via_mistakes(&self, named: impl Fn(&[&str]) -> bool) -> Vec<SettingMistake> {
        match self {
            Self::Act(act) => act.via_mistake(named(&act.info().takes())).into_iter().collect(),
            Self::Check(checks) => {
                checks.iter().filter_map(|check| check.via_mistake(named(&check.info().takes()))).collect()
            }
        }
    }
}

impl ResolvedStep {
    /// The kind's name in evidence.
    pub fn kind(&self) -> String {
        match (&self.doing, self.first_of) {
            (_, true) => FIRST_OF.to_owned(),
            (StepOperation::Act(act), _) => act.info().name.to_owned(),
            (StepOperation::Check(checks), _) => {
                checks.first().map(|check| check.info().name.to_owned()).unwrap_or_default()
            }
        }
    }

    /// The settings as evidence keeps them: those of the one kind, or a list of `{kind: settings}`.
    pub fn settings(&self) -> Value {
        match &self.doing {
            StepOperation::Act(act) => act.settings(),
            StepOperation::Check(checks) if self.first_of => {
                checks.iter().map(|check| json!({ check.info().name: check.settings() })).collect()
            }
            StepOperation::Check(checks) => checks.first().map(|check| check.settings()).unwrap_or_default(),
        }
    }
}

/// `via: name`, or `via: {role: name}`.
pub(super) struct Via(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Via;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a connection, or `{ role: name }`")
            }
            fn visit_str<E>(self, name: &str) -> Result<Via, E> {
                Ok(Via([(String::new(), name.to_owned())].into()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Via, A::Error> {
                BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(Via)
            }
        }
        d.deserialize_any(Visitor)
    }
}
