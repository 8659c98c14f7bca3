//! What is judged about a drill. Differences are named one by one, up to a limit: the first few say what to look at.

use super::{Into, RestoreDrill, live};
use crate::compare::{Comparison, Difference, TablePair};
use crate::drill::{Drilled, Tier};
use crate::kinds::archive::{decoded, digest, named, tables};
use proofmark_model::{Duration, Finding, Verdict};

/// Judges from the settings and what was seen alone.
pub(super) fn judge(asked: &RestoreDrill, seen: &Drilled) -> Vec<Finding> {
    let there = "there is a backup to drill";
    let Some(backup) = &seen.backup else {
        return vec![Finding::judged(there, "a backup", "none", false)
            .with_help("is the store's `url` right, and `prefix` or the name? An archive without its manifest counts only in a store that has none at all")];
    };
    let mut findings = vec![Finding::judged(there, "a backup", backup.archive.clone(), true)];
    findings.extend(seen.archive.iter().flat_map(|archive| [digest(archive), decoded(archive)]).flatten());
    let restored = "it is restored without an error";
    match (&seen.refused, &seen.restore) {
        (Some(why), _) => findings.push(Finding::undecided(restored, "a restore", why.clone())),
        (None, None) => {}
        (None, Some(loaded)) => {
            let how =
                if loaded.is_whole() { "0".to_owned() } else { format!("{}: {}", loaded.exit, loaded.said) };
            findings.push(Finding::judged(restored, "0", how, loaded.is_whole()));
        }
    }
    if let Some(compared) = &seen.comparison {
        findings.push(tables(&compared.tables));
        if asked.into == Into::InPlace {
            findings.push(rows(compared));
        } else if asked.tier >= Tier::T3 && seen.has_manifest {
            // Without a manifest there is nothing to compare with, which `unproven` says.
            findings.extend(contents(compared));
        }
        if asked.into == Into::Recreate {
            findings.push(replaced(seen));
        }
    }
    if seen.comparison.is_some() {
        findings.extend(seen.live.iter().map(|live| live::judge(live, asked.tolerance.unwrap_or_default())));
        findings.extend(asked.queries.keys().map(|name| query(name, seen)));
        if asked.tier >= Tier::T4 && asked.into == Into::Scratch {
            findings.push(control(seen));
        }
        findings.extend(asked.rto.map(|target| recovery(target, seen)));
    }
    if seen.comparison.is_none() && findings.iter().all(|finding| finding.verdict == Verdict::Passed) {
        findings.push(Finding::undecided("what came back is compared", "a comparison", "there was none"));
    }
    findings.extend(asked.rpo.map(|target| age(target, seen)));
    findings
}

fn replaced(seen: &Drilled) -> Finding {
    let (what, expected) = ("the database is what came back", "put in its place");
    match &seen.replaced {
        Some(_) => Finding::judged(what, expected, expected, true),
        None => Finding::judged(
            what,
            expected,
            "it is as it was, for not all that came back was seen to be the same",
            false,
        ),
    }
}

fn rows(compared: &Comparison) -> Finding {
    let what = "every row is the same";
    let hashed = compared.tables.iter().filter(|pair| pair.same.is_some()).count();
    let whole = format!("{} tables", compared.tables.iter().filter(|pair| pair.expected.is_some()).count());
    if hashed == 0 {
        return Finding::undecided(what, whole, "no table could be compared")
            .with_help("the manifest was written on another kind of machine, or by another version: only rows were counted");
    }
    let changed = |pair: &&TablePair| pair.same == Some(false) && pair.expected == pair.rows;
    let changed: Vec<String> = compared
        .tables
        .iter()
        .filter(changed)
        .map(|pair| format!("{}.{}: as many rows, and not the same", pair.schema, pair.name))
        .collect();
    let all = compared.tables.iter().filter(|pair| pair.same == Some(true)).count();
    named(what, whole, format!("{all} tables"), changed)
}

fn contents(compared: &Comparison) -> Vec<Finding> {
    let differs = |list: &[Difference]| -> Vec<String> {
        list.iter()
            .map(|one| format!("{} {}: {} where {} was", one.class, one.name, one.seen, one.expected))
            .collect()
    };
    let (what, objects) = ("every object of the schema is the same", format!("{} objects", compared.objects));
    let schema = match compared.objects {
        0 => Finding::undecided(what, "at least one object", objects),
        _ => named(what, objects.clone(), objects, differs(&compared.schema)),
    };
    let mut sequences = differs(&compared.sequences);
    sequences.extend(
        compared.sequences_behind.iter().map(|name| format!("{name}: its next value is in use already")),
    );
    let sequences =
        named("every sequence stands where it stood", "no difference", "no difference", sequences);
    let broken = compared.invalid_indexes.iter().map(|name| format!("index {name} is invalid"));
    let broken =
        broken.chain(compared.unvalidated.iter().map(|name| format!("constraint {name} is not validated")));
    let valid = named("every index and constraint is valid", "all valid", "all valid", broken.collect());
    vec![rows(compared), schema, sequences, valid, large_objects(compared)]
}

fn large_objects(compared: &Comparison) -> Finding {
    let what = "every large object is the same";
    match &compared.large_objects {
        None => Finding::undecided(what, "the same", "a role that may not read them")
            .with_help("make the backup, or the drill, with a role that may"),
        Some(pair) => {
            let seen = if pair.same == Some(false) && pair.expected == pair.restored {
                format!("{} objects, and not the same", pair.restored)
            } else {
                format!("{} objects", pair.restored)
            };
            let expected = format!("{} objects", pair.expected);
            match pair.same {
                Some(same) => Finding::judged(what, expected, seen, same),
                None if pair.expected == 0 && pair.restored == 0 => {
                    Finding::judged(what, expected, seen, true)
                }
                None => Finding::undecided(what, expected, seen),
            }
        }
    }
}

fn query(name: &str, seen: &Drilled) -> Finding {
    let rows = seen.queries.get(name).map_or(0, Vec::len);
    Finding::judged(
        format!("the query `{name}` gives a row"),
        "at least one row",
        format!("{rows} rows"),
        rows > 0,
    )
}

fn control(seen: &Drilled) -> Finding {
    let what = "a row that is taken away is noticed";
    match &seen.control {
        None => Finding::undecided(what, "noticed", "no table gave a row away")
            .with_help("foreign keys or triggers hold every row, or there is none"),
        Some(control) => {
            let seen = if control.noticed { "noticed" } else { "not noticed" };
            Finding::judged(what, "noticed", seen, control.noticed)
        }
    }
}

fn recovery(target: Duration, seen: &Drilled) -> Finding {
    let took = seen.seconds.recovery();
    let ok = took <= target.0.as_secs_f64();
    Finding::judged("it can be used again in time", format!("within {target}"), format!("{took:.1}s"), ok)
}

fn age(target: Duration, seen: &Drilled) -> Finding {
    let (what, expected) = ("what is in it is new enough", format!("at most {target} old"));
    let (Some(taken), Some(began)) = (seen.taken_at, seen.began) else {
        return Finding::undecided(what, expected, "no time");
    };
    let age = began.duration_since(taken);
    let shown = format!("{taken}, {}s before the drill", age.as_secs());
    if age.is_negative() && age.unsigned_abs().as_secs() > 300 {
        return Finding::undecided(what, expected, shown)
            .with_help("it lies in the future: are the clocks right?");
    }
    Finding::judged(what, expected, shown, age.is_negative() || age.unsigned_abs() <= target.0)
}
