//! What would run and in which order, or every reason why it cannot: all mistakes of all files at once.

use super::find::{Found, find, needed};
use super::read::{Overrides, Scenario, read, read_text};
use super::step::{Step, kind_of};
use crate::Registry;
use proofmark_environment::document::Node;
use proofmark_environment::{Environment, Uses};
use proofmark_evidence::record::Export;
use proofmark_model::diag::{Diag, Source, near_miss};
use proofmark_model::{Permission, ScenarioInfo};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The selection on the command line.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Only scenarios with one of these tags. Default: all.
    pub tags: Vec<String>,
    /// Only these scenario ids, or `id#step`. Default: all.
    pub only: Vec<String>,
    /// Values that replace those in `vars`.
    pub vars: BTreeMap<String, String>,
}

/// Scenarios in the order in which they run: after those that they need, otherwise by id.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
}

/// Reads and checks every selected scenario.
///
/// # Errors
/// Every mistake of every file, and an empty selection.
pub fn plan(selection: &Selection, run: &Map<String, Value>, registry: &Registry) -> Result<Plan, Vec<Diag>> {
    let (found, mut wrong) = find(&selection.paths);
    let mut all = BTreeMap::new();
    let read_one = |file: &Found| read(file, Overrides::Words(&selection.vars), run, registry);
    for file in &found {
        add(file, read_one(file), &mut all, &mut wrong);
    }
    pull_in(read_one, &mut all, &mut wrong);
    if !wrong.is_empty() {
        wrong.sort();
        return Err(wrong);
    }
    let named: BTreeSet<String> = found.into_iter().map(|file| file.id).collect();
    let chosen = choose(selection, &named, &all)?;
    let unknown: Vec<&String> =
        selection.vars.keys().filter(|var| !all.values().any(|s| s.vars.contains_key(*var))).collect();
    if let Some(var) = unknown.first() {
        let known = all.values().flat_map(|scenario| scenario.vars.keys()).map(String::as_str);
        let near = near_miss(var, known)
            .map_or("a scenario lists its values in `vars:`".into(), |n| format!("did you mean `{n}`?"));
        return Err(vec![Diag::new("unknown-var", format!("no scenario has a var `{var}`")).help(near)]);
    }
    let plan = order(&chosen, all).map(|scenarios| Plan { scenarios })?;
    exported_once(&plan)?;
    Ok(plan)
}

/// Plans a scenario that does not come from a file: it is built into the program, or made from a command line. `values`
/// replace those in its `vars`; messages show `path` as its path.
///
/// # Errors
/// Every mistake that the values cause.
pub fn embedded(
    (path, text): (&str, &str),
    values: &Map<String, Value>,
    run: &Map<String, Value>,
    registry: &Registry,
) -> Result<Plan, Vec<Diag>> {
    let found = Found { path: path.into(), id: embedded_id(path).to_owned(), root: PathBuf::new() };
    let source = Arc::new(Source { path: path.to_owned(), text: text.to_owned() });
    let scenario = read_text(source, &found, Overrides::Values(values), run, registry)?;
    Ok(Plan { scenarios: vec![scenario] })
}

/// The id of a scenario that does not come from a file: its path without `builtin/` and `.yaml`.
pub fn embedded_id(path: &str) -> &str {
    path.trim_start_matches("builtin/").trim_end_matches(".yaml")
}

/// Rejects two scenarios that export into one folder and would write the same file.
fn exported_once(plan: &Plan) -> Result<(), Vec<Diag>> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for Export { from, to } in plan.exports() {
        if let Some(other) = taken.insert(to.clone(), from.clone()) {
            let message = format!("`{other}` and `{from}` would both be exported as `{to}`");
            return Err(vec![
                Diag::new("duplicate-name", message)
                    .help("give one of the scenarios an `export:` of its own"),
            ]);
        }
    }
    Ok(())
}

/// A scenario that was read, or its mistakes.
type Outcome = Result<Scenario, Vec<Diag>>;

fn add(file: &Found, read: Outcome, all: &mut BTreeMap<String, Scenario>, wrong: &mut Vec<Diag>) {
    match read {
        Ok(scenario) => {
            if let Some(other) = all.get(&file.id).filter(|other| other.found.path != file.path) {
                let message = format!(
                    "two files have the scenario id `{}`: the other is {}",
                    file.id,
                    other.found.path.display()
                );
                let diag = scenario.document.diag(&scenario.document.root, "duplicate-id", message);
                wrong.push(
                    diag.help("an id is the path below the nearest folder `scenarios`: move or rename one"),
                );
            }
            all.insert(file.id.clone(), scenario);
        }
        Err(diags) => wrong.extend(diags),
    }
}

/// Loads the files of needed scenarios that were not named, until none is missing.
fn pull_in(
    read_one: impl Fn(&Found) -> Outcome,
    all: &mut BTreeMap<String, Scenario>,
    wrong: &mut Vec<Diag>,
) {
    let mut asked = BTreeSet::new();
    loop {
        let needs = all.values().flat_map(|s| s.needs.iter().map(move |need| (s, need)));
        let next = needs
            .filter(|(_, (id, _))| !all.contains_key(id))
            .find(|(s, (id, _))| asked.insert((s.id.clone(), id.clone())));
        let Some((scenario, (id, node))) = next else { return };
        if let Some(file) = needed(&scenario.found.root, id) {
            add(&file, read_one(&file), all, wrong);
        } else {
            let near = near_miss(id, all.keys().map(String::as_str));
            let help = near
                .map_or("`needs` holds ids of scenarios".into(), |near| format!("did you mean `{near}`?"));
            wrong.push(
                scenario
                    .document
                    .diag(node, "unknown-scenario", format!("there is no scenario `{id}`"))
                    .help(help),
            );
        }
    }
}

/// The selected ids, with the steps that `id#step` names.
type Chosen = BTreeMap<String, Option<BTreeSet<String>>>;

fn choose(
    selection: &Selection,
    named: &BTreeSet<String>,
    all: &BTreeMap<String, Scenario>,
) -> Result<Chosen, Vec<Diag>> {
    let mut chosen = Chosen::new();
    let mut wrong = vec![];
    for only in &selection.only {
        let (id, step) = only.split_once('#').map_or((only.as_str(), None), |(id, step)| (id, Some(step)));
        let Some(scenario) = all.get(id) else {
            let near = near_miss(id, all.keys().map(String::as_str));
            let help =
                near.map_or("`proofmark list` shows them".into(), |near| format!("did you mean `{near}`?"));
            wrong.push(Diag::new("unknown-scenario", format!("there is no scenario `{id}`")).help(help));
            continue;
        };
        match step {
            None => drop(chosen.insert(id.to_owned(), None)),
            Some(step) if scenario.steps.iter().any(|s| s.id == step) => {
                if let Some(steps) = chosen.entry(id.to_owned()).or_insert_with(|| Some(BTreeSet::new())) {
                    steps.insert(step.to_owned());
                }
            }
            Some(step) => {
                let near = near_miss(step, scenario.steps.iter().map(|s| s.id.as_str()));
                let help = near.map_or("`proofmark plan` shows the steps".into(), |near| {
                    format!("did you mean `{id}#{near}`?")
                });
                wrong.push(Diag::new("unknown-step", format!("`{id}` has no step `{step}`")).help(help));
            }
        }
    }
    if selection.only.is_empty() {
        chosen.extend(named.iter().map(|id| (id.clone(), None)));
    }
    let tagged =
        |id: &String| all.get(id).is_some_and(|s| selection.tags.iter().any(|tag| s.tags.contains(tag)));
    chosen.retain(|id, _| selection.tags.is_empty() || tagged(id));
    if wrong.is_empty() && chosen.is_empty() {
        let help = match selection.tags.as_slice() {
            [] => "name a scenario file, or a folder that holds `.yaml` files".to_owned(),
            tags => {
                let known: BTreeSet<&str> = named
                    .iter()
                    .filter_map(|id| all.get(id))
                    .flat_map(|s| &s.tags)
                    .map(String::as_str)
                    .collect();
                let known: Vec<&str> = known.into_iter().collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                format!("no scenario has the tag {}; tags here: {known}", tags.join(" or "))
            }
        };
        wrong.push(
            Diag::new("empty-selection", "nothing is selected, so nothing would be checked").help(help),
        );
    }
    if wrong.is_empty() { Ok(chosen) } else { Err(wrong) }
}

/// Sorts needed scenarios first. The search is depth-first, so that a cycle is found and named.
fn order(chosen: &Chosen, mut all: BTreeMap<String, Scenario>) -> Result<Vec<Scenario>, Vec<Diag>> {
    let (mut done, mut wrong) = (vec![], vec![]);
    for id in chosen.keys() {
        visit(id, &all, &mut vec![], &mut done, &mut wrong);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut out: Vec<Scenario> = done.iter().filter_map(|id| all.remove(id)).collect();
    for scenario in &mut out {
        if let Some(Some(steps)) = chosen.get(&scenario.id) {
            keep_only(scenario, steps.clone());
        }
    }
    Ok(out)
}

fn visit(
    id: &str,
    all: &BTreeMap<String, Scenario>,
    path: &mut Vec<String>,
    done: &mut Vec<String>,
    wrong: &mut Vec<Diag>,
) {
    if done.iter().any(|other| other == id) {
        return;
    }
    let Some(scenario) = all.get(id) else { return };
    path.push(id.to_owned());
    for (need, node) in &scenario.needs {
        if let Some(start) = path.iter().position(|other| other == need) {
            let circle = [&path[start..], std::slice::from_ref(need)].concat().join(" → ");
            let diag = scenario.document.diag(
                node,
                "circular-needs",
                format!("scenarios need each other: {circle}"),
            );
            if !wrong.iter().any(|other| other.code == "circular-needs") {
                wrong.push(diag.help("take one of them out of `needs`"));
            }
            continue;
        }
        visit(need, all, path, done, wrong);
    }
    path.pop();
    done.push(id.to_owned());
}

/// Keeps the named steps, and the earlier steps whose captures or controls they depend on.
fn keep_only(scenario: &mut Scenario, mut keep: BTreeSet<String>) {
    for step in scenario.steps.iter().rev() {
        if keep.contains(&step.id) {
            let makes = |other: &&Step| other.capture.keys().any(|capture| step.uses.contains(capture));
            keep.extend(scenario.steps.iter().filter(makes).map(|other| other.id.clone()));
            keep.extend(step.control.clone());
        }
    }
    scenario.steps.retain(|step| keep.contains(&step.id));
}

impl Plan {
    /// The files that steps keep with `evidence:`, and their paths below the `--export` folder.
    pub fn exports(&self) -> Vec<Export> {
        let files = |scenario: &Scenario| {
            let names: Vec<_> = scenario.steps.iter().filter_map(|step| step.evidence.clone()).collect();
            let (id, folder) = (scenario.id.clone(), scenario.export.clone());
            names
                .into_iter()
                .map(move |name| Export { from: format!("{id}/{name}"), to: format!("{folder}/{name}") })
        };
        self.scenarios.iter().flat_map(files).collect()
    }

    /// The connections that the selected steps use, with the roles that they serve; and a mistake for each that the
    /// environment does not have, or that cannot serve its role.
    pub fn connections(&self, environment: &Environment) -> (Uses, Vec<Diag>) {
        let known: BTreeSet<&str> = environment.names().collect();
        let (mut uses, mut wrong) = (Uses::new(), vec![]);
        for (scenario, step) in self.steps() {
            for (role, name) in step.connections(environment) {
                if known.contains(name.as_str()) {
                    uses.entry(name).or_default().insert(role);
                    continue;
                }
                let help = match near_miss(&name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if environment.file().is_none() => format!(
                        "no environment was given: add `--env FILE`, with `connections: {{ {name}: {{ url: … }} }}` in that file"
                    ),
                    None => format!(
                        "add it below `connections:` in the environment file, as `{name}: {{ url: … }}`"
                    ),
                };
                let message =
                    format!("the step `{}` needs the connection `{name}` for the role `{role}`", step.id);
                let place = scenario.written(step, "via").unwrap_or_else(|| kind_of(&step.doing));
                let place = place.get(&role).unwrap_or(place);
                wrong.push(scenario.document.diag(place, "unknown-connection", message).help(help));
            }
        }
        wrong.extend(environment.misfits(&uses));
        (uses, wrong)
    }

    /// Checks that the needed permissions are given and not forbidden.
    ///
    /// # Errors
    /// Each step without its permission, and the flag that it needs.
    pub fn permissions(
        &self,
        allow: &BTreeSet<Permission>,
        forbid: &BTreeSet<Permission>,
    ) -> Result<(), Vec<Diag>> {
        let mut wrong = vec![];
        for (scenario, step) in self.steps() {
            for need in &step.needs {
                let word = need.word();
                let (message, help) = if forbid.contains(need) {
                    (
                        format!("the step `{}` needs `{word}`, which this environment forbids", step.id),
                        "no flag overrides that: leave the step out, or run it in another environment"
                            .to_owned(),
                    )
                } else if allow.contains(need) {
                    continue;
                } else {
                    (
                        format!("the step `{}` needs the permission `{word}`", step.id),
                        format!("add `--allow {word}`"),
                    )
                };
                wrong.push(
                    scenario.document.diag(kind_of(&step.doing), "missing-permission", message).help(help),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Every step with its scenario.
    pub fn steps(&self) -> impl Iterator<Item = (&Scenario, &Step)> {
        self.scenarios.iter().flat_map(|scenario| scenario.steps.iter().map(move |step| (scenario, step)))
    }
}

impl Scenario {
    /// The value of a step's key as it is written in the file.
    fn written(&self, step: &Step, key: &str) -> Option<&Node> {
        let id = |node: &&Node| node.get("id").and_then(Node::as_str) == Some(step.id.as_str());
        self.document.root.get("steps")?.items().iter().find(id)?.get(key)
    }

    /// The scenario as evidence lists it.
    pub fn info(&self) -> ScenarioInfo {
        let written = self.document.root.get("steps").map(Node::items).unwrap_or_default();
        let ids = written.iter().filter_map(|step| step.get("id"));
        let lines: BTreeMap<&str, u64> = ids.filter_map(|id| Some((id.as_str()?, id.line))).collect();
        ScenarioInfo {
            id: self.id.clone(),
            title: self.title.clone(),
            claim: self.claim.clone(),
            does_not_prove: self.does_not_prove.clone(),
            file: self.document.source.path.clone(),
            sha256: self.sha256.clone(),
            steps: self.steps.iter().map(|step| (step.id.clone(), step.title.clone())).collect(),
            lines: self
                .steps
                .iter()
                .map(|step| lines.get(step.id.as_str()).copied().unwrap_or_default())
                .collect(),
        }
    }
}
