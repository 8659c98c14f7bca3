//! `validate`, `list` and `plan`: what stands in the files, without touching anything.

use super::{Chosen, refuse, run_scope, say};
use crate::clock::Clock;
use crate::diag::Diag;
use crate::environment::Environment;
use crate::model::Exit;
use crate::scenario::{Plan, Step};

fn loaded(chosen: &Chosen, clock: &Clock) -> Result<(Plan, Environment), Vec<Diag>> {
    let (plan, environment) = chosen.load(&run_scope(clock, ""))?;
    // Without an environment there is nothing to hold the names against.
    if chosen.env.is_some() {
        plan.connections(&environment)?;
    }
    Ok((plan, environment))
}

/// Checks everything and says so.
pub(super) fn validate(chosen: &Chosen, clock: &Clock) -> Exit {
    match loaded(chosen, clock) {
        Ok((plan, _)) => {
            let steps = plan.steps().count();
            say(&format!("{} scenarios with {steps} steps are valid\n", plan.scenarios.len()));
            Exit::Passed
        }
        Err(wrong) => refuse(&wrong),
    }
}

/// One line per scenario.
pub(super) fn list(chosen: &Chosen, clock: &Clock) -> Exit {
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
pub(super) fn plan(chosen: &Chosen, clock: &Clock) -> Exit {
    let (plan, environment) = match loaded(chosen, clock) {
        Ok(loaded) => loaded,
        Err(wrong) => return refuse(&wrong),
    };
    for (number, scenario) in plan.scenarios.iter().enumerate() {
        say(&format!("{}. {}  {}\n", number + 1, scenario.id, scenario.title));
        for (need, _) in &scenario.needs {
            say(&format!("     needs {need}\n"));
        }
        let wide = scenario.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or_default();
        for step in &scenario.steps {
            say(&format!("   {:wide$}  {}\n", step.id, described(step)));
        }
    }
    let names: Vec<&str> = environment.names().collect();
    if chosen.env.is_none() {
        say("\nNo environment was given (`--env FILE`): the names of connections were not resolved.\n");
    } else {
        say(&format!("\nAll names resolve. The environment has: {}\n", names.join(", ")));
    }
    Exit::Passed
}

fn described(step: &Step) -> String {
    let kinds: Vec<&str> = step.kinds.iter().map(|kind| kind.name).collect();
    let mut line = kinds.join(" or ");
    for (role, name) in step.connections() {
        line += " on ";
        line += &name;
        if role != name {
            line.extend([" (", &role, ")"]);
        }
    }
    if step.acts {
        let needs: Vec<&str> = step.needs.iter().map(|need| need.word()).collect();
        line.extend([
            "; CHANGES something, final: nothing is put back (needs --allow ",
            &needs.join(","),
            ")",
        ]);
    }
    for (word, length) in [("polls for", step.within), ("holds for", step.hold)] {
        if let Some(length) = length {
            line.extend(["; ", word, " ", &length.to_string()]);
        }
    }
    line
}
