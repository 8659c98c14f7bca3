//! Hashes and judgements made again, offline, from a run's folder alone.

use crate::Registry;
use crate::scenario::{acts, judge};
use proofmark_evidence::record::{Run, pretty};
use proofmark_evidence::report;
use proofmark_model::{Event, Exit, Finding, Manifest, StepRecord, Verdict, sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Files whose hash was made again and is the same.
    pub files: usize,
    /// Steps that were judged again with the same findings.
    pub steps: usize,
    /// What is not as it was kept.
    pub different: Vec<String>,
    /// What could not be compared: a run without its end, judging rules of another number.
    pub open: Vec<String>,
}

impl Verified {
    /// 0 the same, 5 different, 3 incomplete or judged by other rules.
    pub fn exit(&self) -> Exit {
        match (self.different.is_empty(), self.open.is_empty()) {
            (false, _) => Exit::Evidence,
            (true, false) => Exit::Unverified,
            (true, true) => Exit::Passed,
        }
    }
}

/// Makes every hash and every judgement of a run again.
pub fn verify(run: &Run, registry: &Registry) -> Verified {
    let mut out = Verified::default();
    hashes(run, &mut out);
    for line in &run.lines {
        match &line.event {
            Event::StepEnded { scenario, step, verdict, file, sha256, findings, .. } => {
                let name = format!("{scenario}#{step}");
                kept((run, registry), &name, (file, sha256), (*verdict, findings), &mut out);
            }
            Event::Reverted { scenario, step, verdict, file, sha256, findings, .. } => {
                let name = format!("{scenario}#{step}, put back");
                kept((run, registry), &name, (file, sha256), (*verdict, findings), &mut out);
            }
            _ => {}
        }
    }
    fold(run, &mut out);
    out
}

fn hashes(run: &Run, out: &mut Verified) {
    let Some(manifest) = &run.manifest else {
        return out.open.push("the run has no manifest.json: it did not come to its end".into());
    };
    whole(run, manifest, out);
    let mut found = vec![];
    if let Err(error) = walk(&run.folder, &run.folder, &mut found) {
        out.different.push(format!("the folder cannot be read: {error}"));
    }
    for (name, hash) in &manifest.files {
        match std::fs::read(run.folder.join(name)) {
            Ok(bytes) if sha256(&bytes) == *hash => out.files += 1,
            Ok(_) => out.different.push(format!("{name}: its SHA-256 is not the one in the manifest")),
            Err(error) => out.different.push(format!("{name}: the manifest names it, but {error}")),
        }
    }
    let extra = found.iter().filter(|name| !manifest.files.contains_key(*name));
    out.different.extend(extra.map(|name| format!("{name}: the manifest does not name it")));
}

/// The manifest stands for all other files, so it has to be, byte for byte, as it is written, and to be of this run.
fn whole(run: &Run, manifest: &Manifest, out: &mut Verified) {
    let written = std::fs::read(run.folder.join("manifest.json")).unwrap_or_default();
    let started = run.lines.first().map(|line| &line.event);
    let own = matches!(started, Some(Event::RunStarted { run, .. }) if *run == manifest.run);
    if !own || pretty(manifest).ok() != Some(written) {
        out.different.push("manifest.json: it is not as this run has written it".into());
    }
}

/// Files below a run's folder, without the manifest and what stands outside of it.
fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if name == "manifest.json" || name == "private" {
            continue;
        }
        if path.is_dir() { walk(root, &path, found)? } else { found.push(name) }
    }
    Ok(())
}

/// One file that an event names: its hash, and the judgement on its bytes.
fn kept(
    (run, registry): (&Run, &Registry),
    name: &str,
    (file, hash): (&str, &str),
    (verdict, findings): (Verdict, &[Finding]),
    out: &mut Verified,
) {
    let bytes = match std::fs::read(run.folder.join(file)) {
        Ok(bytes) => bytes,
        Err(error) => return out.different.push(format!("{name}: {file} cannot be read: {error}")),
    };
    if sha256(&bytes) != hash {
        return out.different.push(format!("{name}: {file} is not the file that its event names"));
    }
    let record: StepRecord = match serde_json::from_slice(&bytes) {
        Ok(record) => record,
        Err(error) => return out.different.push(format!("{name}: {file} is no step's file: {error}")),
    };
    let acts = acts(&record, registry);
    if let Some(why) = record.rules.iter().find_map(|rules| not_judged(registry, acts, rules)) {
        return out.open.push(format!("{name}: hashes hold; {why}"));
    }
    let same = match judge(&bytes, registry) {
        Ok(_) if record.reason.is_some() => record.findings.is_empty() && record.verdict != Verdict::Passed,
        Ok(judged) => judged.findings == record.findings && judged.verdict() == record.verdict,
        Err(_) => false,
    };
    if !same {
        out.different.push(format!("{name}: judged again, it does not come to the same findings"));
    } else if findings != record.findings || verdict != record.verdict {
        out.different.push(format!("{name}: its event says something else than its file"));
    } else {
        out.steps += 1;
    }
}

/// Why a step of this kind cannot be judged again here: its rules have another number, or the kind is missing.
fn not_judged(registry: &Registry, acts: bool, (kind, was): (&String, &u32)) -> Option<String> {
    let now = match registry.kind(kind, acts) {
        Some(known) if known.rules == *was => return None,
        Some(known) => known.rules.to_string(),
        None => match registry.missing_feature(kind) {
            Some(feature) => return Some(format!("{kind} is not judged: built without {feature}")),
            None => "none".to_owned(),
        },
    };
    Some(format!("{kind} was judged by rules {was}, this program has {now}"))
}

/// The verdicts above the steps.
fn fold(run: &Run, out: &mut Verified) {
    let mut steps: BTreeMap<&str, Vec<Verdict>> = BTreeMap::new();
    // What was put back after the end of its scenario counts for the run.
    let mut scenarios: Vec<Verdict> = vec![];
    let mut ended = BTreeSet::new();
    for line in &run.lines {
        match &line.event {
            Event::Reverted { scenario, verdict, .. } if ended.contains(scenario.as_str()) => {
                scenarios.push(*verdict);
            }
            Event::StepEnded { scenario, verdict, .. } | Event::Reverted { scenario, verdict, .. } => {
                steps.entry(scenario).or_default().push(*verdict);
            }
            Event::ScenarioEnded { scenario, verdict, reason, .. } => {
                let own = steps.get(scenario.as_str()).cloned().unwrap_or_default();
                if reason.is_none() && Verdict::fold(own) != *verdict {
                    out.different.push(format!("{scenario}: its verdict does not follow from its steps"));
                }
                if reason.is_some() && *verdict == Verdict::Passed {
                    out.different.push(format!("{scenario}: it was not run, yet it passed"));
                }
                scenarios.push(*verdict);
                ended.insert(scenario.as_str());
            }
            Event::RunEnded { verdict, exit, .. } => whole_run(run, &scenarios, (*verdict, *exit), out),
            _ => {}
        }
    }
}

fn whole_run(run: &Run, scenarios: &[Verdict], (verdict, exit): (Verdict, Exit), out: &mut Verified) {
    let same = |manifest: &Manifest| (manifest.verdict, manifest.exit) == (verdict, exit);
    if Verdict::fold(scenarios.iter().copied()) != verdict || !run.manifest.as_ref().is_none_or(same) {
        out.different.push("the run's verdict does not follow from its scenarios".into());
    }
    // The report also misses the steps that were to run and of which nothing is told.
    let told = report::fold(run.info.as_ref(), &run.lines, run.manifest.is_some());
    if run.manifest.is_some() && (told.verdict, told.exit) != (verdict, exit) {
        out.different.push("a report of the events does not come to the run's verdict".into());
    }
}
