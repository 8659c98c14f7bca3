//! What an audit found well, as scenarios that guard it: they pass now, and fail when a rule is taken away or dies.

use super::result::{Audited, items, surely_notifies};
use askama::Template;
use proofmark_evidence::report::line;
use proofmark_model::Verdict;
use proofmark_model::diag::Diag;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The files that may be written.
const FILES: [&str; 4] = ["server.yaml", "targets.yaml", "alerts.yaml", "routes.yaml"];

#[derive(Template)]
#[template(path = "guard.yaml", escape = "none")]
struct Guard {
    at: String,
    title: &'static str,
    claim: &'static str,
    leaves: &'static str,
    steps: Vec<Step>,
    left_out: Vec<String>,
}

struct Step {
    id: String,
    title: String,
    asks: Asks,
}

/// What a step asks. Names stand in quotes.
enum Asks {
    /// Rules of a group that have to be there and well, and able to `fire` if they are alerts that were; so many have these
    /// names.
    Rules {
        group: String,
        names: String,
        rules: usize,
        fire: bool,
    },
    Targets {
        job: String,
        count: usize,
    },
    Server,
    Routes {
        names: String,
    },
}

/// A scenario file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenGuard {
    /// The file.
    pub path: PathBuf,
    /// How many steps it has.
    pub steps: usize,
    /// How much was not well enough to be guarded; the file lists it.
    pub left_out: usize,
}

/// Refuses a folder that has one of the files already: no file is overwritten.
pub(super) fn free_to_write(folder: Option<&Path>) -> Result<(), Diag> {
    let there = folder.into_iter().flat_map(|folder| FILES.map(|name| folder.join(name)));
    match there.into_iter().find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => {
            let message = format!("{} is there already", path.display());
            Err(Diag::new("not-empty", message).help("name another folder, or take the file away first"))
        }
    }
}

/// Writes what is well; `at` is when the audit began. Returns the files, none where nothing is well enough.
pub(super) fn write_guards(seen: &Audited, at: &str, folder: &Path) -> Result<Vec<WrittenGuard>, Diag> {
    let unwritten = |path: &Path, error: &std::io::Error| {
        let diag = Diag::new("not-written", format!("{} could not be written: {error}", path.display()));
        diag.help("the audit itself is kept; `--write` another folder")
    };
    let mut written = vec![];
    for (name, guard) in FILES.into_iter().zip(guards(seen, at)) {
        if guard.steps.is_empty() {
            continue;
        }
        let path = folder.join(name);
        let text = guard.render().map_err(|error| Diag::new("not-written", error.to_string()))?;
        fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
        let file = fs::OpenOptions::new().create_new(true).write(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| unwritten(&path, &error))?;
        written.push(WrittenGuard { path, steps: guard.steps.len(), left_out: guard.left_out.len() });
    }
    Ok(written)
}

/// In the order of the files.
fn guards(seen: &Audited, at: &str) -> [Guard; 4] {
    let guard = |title, claim, leaves, (steps, left_out)| {
        let left_out: Vec<String> = left_out;
        let left_out = left_out.iter().map(|left| line(left)).collect();
        Guard { at: at.to_owned(), title, claim, leaves, steps, left_out }
    };
    [
        guard(
            "Prometheus runs what it was last given",
            "The last reload succeeded.",
            "That what it was given is right.",
            server(seen),
        ),
        guard(
            "Every job is scraped",
            "The jobs that were up at the audit have as many targets as then, and all are up.",
            "That their metrics are those that rules ask for.",
            targets(seen),
        ),
        guard(
            "The alerts are there and could fire",
            "Every rule that was well at the audit is loaded and healthy, and its alert could fire.",
            "That anybody is told when one fires, and that the thresholds are the right ones.",
            alerts(seen),
        ),
        guard(
            "Alerts are led to somebody",
            "Every alert that reached a receiver at the audit still does.",
            "That a notification arrives.",
            routes(seen),
        ),
    ]
}

type Steps = (Vec<Step>, Vec<String>);

fn server(seen: &Audited) -> Steps {
    let well = seen.status.as_ref().is_some_and(|record| record.verdict == Verdict::Passed);
    let step = Step { id: "status".into(), title: "The last reload succeeded".into(), asks: Asks::Server };
    (if well { vec![step] } else { vec![] }, vec![])
}

fn targets(seen: &Audited) -> Steps {
    let mut jobs: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let targets = seen.targets.iter().flat_map(|record| items(&record.observation["targets"]));
    for target in targets {
        let number = jobs.entry(target["job"].as_str().unwrap_or_default()).or_default();
        number.0 += 1;
        number.1 += usize::from(target["health"] == "up");
    }
    let (mut steps, mut left) = (vec![], vec![]);
    let mut ids = BTreeSet::new();
    for (job, (all, up)) in jobs {
        match quoted(job) {
            Some(_) if all != up => {
                left.push(format!("job {job}: {} of {all} targets were not up", all - up));
            }
            None => left.push(format!("job {job}: its name cannot stand in a file")),
            Some(name) => steps.push(Step {
                id: id(job, &mut ids),
                title: text(&format!("The targets of {job} are up")),
                asks: Asks::Targets { job: name, count: all },
            }),
        }
    }
    (steps, left)
}

/// The rules of one name in one group.
#[derive(Default)]
struct Named<'a> {
    rules: usize,
    healthy: bool,
    /// Of the alerts among them.
    classes: BTreeSet<&'a str>,
}

fn alerts(seen: &Audited) -> Steps {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Named<'_>>> = BTreeMap::new();
    let rules = seen.rules.iter().flat_map(|record| items(&record.observation["rules"]));
    for rule in rules {
        let (group, name) =
            (rule["group"].as_str().unwrap_or_default(), rule["name"].as_str().unwrap_or_default());
        let named = groups.entry(group).or_default().entry(name).or_default();
        let well = rule["health"] == "ok" && !rule["last-evaluation"].is_null();
        named.healthy = well && (named.rules == 0 || named.healthy);
        named.rules += 1;
    }
    for alert in &seen.alerts {
        if let Some(named) = groups.get_mut(&*alert.group).and_then(|group| group.get_mut(&*alert.name)) {
            named.classes.insert(&alert.class);
        }
    }
    let (mut out, mut ids) = (Steps::default(), BTreeSet::new());
    for (group, names) in groups {
        match quoted(group) {
            Some(quoted) => of_group((group, &quoted), names, &mut ids, &mut out),
            None => out.1.push(format!("group {group}: its name cannot stand in a file")),
        }
    }
    out
}

fn of_group(
    (group, quoted_group): (&str, &str),
    names: BTreeMap<&str, Named<'_>>,
    ids: &mut BTreeSet<String>,
    (steps, left): &mut Steps,
) {
    let (mut living, mut others) = (Chosen::default(), Chosen::default());
    for (name, named) in names {
        let dead = named.classes.contains("never");
        match quoted(name).filter(|_| named.healthy && !dead) {
            None if dead => left.push(format!("alert {name} of group {group}: it could never fire")),
            None => left.push(format!("rule {name} of group {group}: it was not healthy")),
            Some(name) if named.classes == ["living"].into() => living.take(name, named.rules),
            Some(name) => others.take(name, named.rules),
        }
    }
    let asked = [
        (living, true, group.to_owned(), format!("The alerts of group {group} could fire")),
        (
            others,
            false,
            format!("{group}-rules"),
            format!("What else is in group {group} is there and healthy"),
        ),
    ];
    for (Chosen { names, rules }, fire, name, title) in asked.into_iter().filter(|it| it.0.rules > 0) {
        let asks = Asks::Rules { group: quoted_group.to_owned(), names: names.join(", "), rules, fire };
        steps.push(Step { id: id(&name, ids), title: text(&title), asks });
    }
}

/// Names that are asked for, and how many rules have them.
#[derive(Default)]
struct Chosen {
    names: Vec<String>,
    rules: usize,
}

impl Chosen {
    fn take(&mut self, name: String, rules: usize) {
        self.names.push(name);
        self.rules += rules;
    }
}

fn routes(seen: &Audited) -> Steps {
    let Some(record) = &seen.routes else { return (vec![], vec![]) };
    let seen = &record.observation;
    // What stands in the way of every alert keeps each of them from passing.
    if seen["sent-to"].as_array().is_none_or(Vec::is_empty) || seen["relabelled"] != false {
        return (vec![], vec![]);
    }
    let (mut good, mut left) = (BTreeSet::new(), BTreeSet::new());
    for alert in items(&seen["alerts"]) {
        let name = alert["name"].as_str().unwrap_or_default();
        let sure = surely_notifies(seen, alert);
        if sure && quoted(name).is_some() {
            good.insert(name)
        } else {
            left.insert(name)
        };
    }
    let names: Vec<String> = good.difference(&left).copied().filter_map(quoted).collect();
    let step = Step {
        id: "routes".into(),
        title: "Each is led to a receiver".into(),
        asks: Asks::Routes { names: names.join(", ") },
    };
    let left = left.into_iter().map(|name| format!("alert {name}: it may reach nobody")).collect();
    (if names.is_empty() { vec![] } else { vec![step] }, left)
}

/// Text in a scenario file; `None` where it holds what no line can.
fn quoted(name: &str) -> Option<String> {
    let plain = !name.chars().any(char::is_control);
    plain.then(|| text(name))
}

/// The same of text without such signs.
fn text(name: &str) -> String {
    // A brace twice would begin a template.
    format!("'{}'", name.replace('\'', "''").replace("{{", "\\{{"))
}

/// The id of a step: letters, digits, `-`, `_` and `.`, used once.
fn id(name: &str, taken: &mut BTreeSet<String>) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let plain: String = name.chars().map(good).collect();
    let plain = plain.trim_matches(['-', '.']);
    let plain = if plain.is_empty() { "rules" } else { plain };
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let free = std::iter::once(plain.to_owned()).chain(numbered).find(|id| !taken.contains(id));
    let id = free.unwrap_or_default();
    taken.insert(id.clone());
    id
}
