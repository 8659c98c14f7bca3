//! `validate`, `list` and `plan`: what stands in the files, without touching anything.

use super::arguments::SelectionArgs;
use super::output::{refuse, say, tell};
use crate::app;
use proofmark_engine::scenario::{Plan, Step};
use proofmark_environment::Environment;
use proofmark_evidence::report::many;
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use std::collections::BTreeSet;

fn loaded(chosen: &SelectionArgs, clock: &Clock) -> Result<(Plan, Environment), Vec<Diag>> {
    app::plan::plan(&chosen.selection(), chosen.env.as_deref(), clock)
}

/// Checks everything and says so.
pub(super) fn validate(chosen: &SelectionArgs, clock: &Clock) -> Exit {
    match loaded(chosen, clock) {
        Ok((plan, _)) => {
            say(&format!("valid: {}\n", counted(&plan)));
            if chosen.env.is_none() {
                tell(
                    "no environment was given (`--env FILE`), so the names of connections were not looked up",
                );
            }
            Exit::Passed
        }
        Err(wrong) => refuse(&wrong),
    }
}

fn counted(plan: &Plan) -> String {
    [many(plan.scenarios.len(), "scenario"), many(plan.steps().count(), "step")].join(", ")
}

/// One line per scenario.
pub(super) fn list(chosen: &SelectionArgs, clock: &Clock) -> Exit {
    let plan = match loaded(chosen, clock) {
        Ok((plan, _)) => plan,
        Err(wrong) => return refuse(&wrong),
    };
    let wide = plan.scenarios.iter().map(|scenario| scenario.id.chars().count()).max().unwrap_or_default();
    for scenario in &plan.scenarios {
        let tags = if scenario.tags.is_empty() {
            String::new()
        } else {
            format!("  [{}]", scenario.tags.join(", "))
        };
        say(&format!("{:wide$}  {}{tags}\n", scenario.id, scenario.title));
    }
    Exit::Passed
}

/// What would run, in order, and what it would change.
pub(super) fn plan(chosen: &SelectionArgs, clock: &Clock) -> Exit {
    let (plan, environment) = match loaded(chosen, clock) {
        Ok(loaded) => loaded,
        Err(wrong) => return refuse(&wrong),
    };
    for (number, scenario) in plan.scenarios.iter().enumerate() {
        say(&format!("{}. {}  {}\n", number + 1, scenario.id, scenario.title));
        if !scenario.needs.is_empty() {
            let needs: Vec<&str> = scenario.needs.iter().map(|(need, _)| need.as_str()).collect();
            say(&format!("   only if passed: {}\n", needs.join(", ")));
        }
        let wide = scenario.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or_default();
        for step in &scenario.steps {
            say(&format!("   {:wide$}  {}\n", step.id, described(step, &environment)));
        }
        say("\n");
    }
    say(&format!("{}; {}\n", counted(&plan), changes(&plan, &environment)));
    say(&format!("{}\n", names(&plan, &environment)));
    Exit::Passed
}

/// What would change, and what has to be allowed for it.
fn changes(plan: &Plan, environment: &Environment) -> String {
    let acts: Vec<&Step> = plan.steps().map(|(_, step)| step).filter(|step| step.acts).collect();
    let needs: BTreeSet<&str> = acts.iter().flat_map(|step| &step.needs).map(|need| need.word()).collect();
    let needs: Vec<&str> = needs.into_iter().collect();
    let forbidden: Vec<&str> = environment.forbid.iter().map(|permission| permission.word()).collect();
    if acts.is_empty() {
        return "nothing is changed".to_owned();
    }
    let promised = acts.iter().filter(|step| step.promises).count();
    let counted = [(promised, "promised change"), (acts.len() - promised, "final change")];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    let counted = counted.map(|(count, what)| many(count, what)).collect::<Vec<_>>().join(", ");
    if needs.iter().any(|need| forbidden.contains(need)) {
        return format!("{counted}; cannot run, for this environment forbids {}", forbidden.join(","));
    }
    format!("{counted}; run with --allow {}", needs.join(","))
}

/// Which connections are used, and whether they are there.
fn names(plan: &Plan, environment: &Environment) -> String {
    let used: BTreeSet<String> =
        plan.steps().flat_map(|(_, step)| step.connections(environment).into_values()).collect();
    let used: Vec<&str> = used.iter().map(String::as_str).collect();
    match (used.as_slice(), environment.file()) {
        ([], _) => "connections: none is used".to_owned(),
        (used, Some(file)) => format!("connections: {}; all of them are in {}", used.join(", "), file.path),
        (used, None) => {
            format!(
                "connections: {}; not looked up, for want of an environment (`--env FILE`)",
                used.join(", ")
            )
        }
    }
}

fn described(step: &Step, environment: &Environment) -> String {
    let mut kinds: Vec<&str> = step.kinds.iter().map(|kind| kind.name).collect();
    let candidates = kinds.len();
    kinds.dedup();
    let mut line = kinds.join(" or ");
    if candidates > 1 {
        line.extend([" (the first of ", &candidates.to_string(), " that passes)"]);
    }
    for (role, name) in step.connections(environment) {
        line.extend([" on ", &name]);
        if role != name && !kinds.contains(&role.as_str()) {
            line.extend([" as ", &role]);
        }
    }
    if step.acts {
        let needs: Vec<&str> = step.needs.iter().map(|need| need.word()).collect();
        line += if step.promises {
            "; CHANGES something and promises to put it back; needs --allow "
        } else {
            "; CHANGES something, final: nothing is put back; needs --allow "
        };
        line += &needs.join(",");
        if step.needs.iter().any(|need| environment.forbid.contains(need)) {
            line += ", which this environment FORBIDS";
        }
    }
    for (word, length) in [("polls for up to", step.within), ("has to hold for", step.hold)] {
        if let Some(length) = length {
            line.extend(["; ", word, " ", &length.to_string()]);
        }
    }
    line
}
