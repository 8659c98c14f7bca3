//! The judgement of kept observations, by the number of the judging rules: what a program concluded then is what this one
//! concludes.

use super::judging::twice;
use super::{Case, Held, Shared, ensure};
use crate::scenario::judge_record;
use crate::testing::lines;
use crate::{KindInfo, Registry};
use proofmark_model::StepRecord;

/// A step's file of an older program: its path, for messages, and the record.
type Kept = (String, StepRecord);

/// Every kind has kept observations with its number of rules, and they are judged as they were. `missing` names kinds that
/// have none yet; an entry that is not needed any more is a failure, so that the list only shrinks.
pub fn kept(registry: &Registry, records: Vec<Kept>, missing: &'static [&'static str]) -> Vec<Case> {
    let records = Shared::new(records);
    let case = |kind: &KindInfo| {
        let (registry, kind, records) = (registry.clone(), *kind, records.clone());
        Case::new("kept_observation_gives_the_kept_findings", &registry.clone(), &kind, move || {
            judged_again(&registry, &kind, &records, missing)
        })
    };
    registry.kinds().map(case).collect()
}

fn judged_again(registry: &Registry, kind: &KindInfo, records: &[Kept], missing: &[&str]) -> Held {
    let is_of = |record: &StepRecord| {
        let acts = record.acts || record.owed.is_some();
        acts == kind.acts && record.rules.get(kind.name) == Some(&kind.rules)
    };
    let own: Vec<&Kept> = records.iter().filter(|(_, it)| is_of(it) && !it.observation.is_null()).collect();
    let has = |back: bool| own.iter().any(|(_, it)| it.owed.is_some() == back);
    // Of an act the look at the world after it was put back is judged too.
    let enough = has(false) && (!kind.acts || has(true));
    match (enough, missing.contains(&kind.name)) {
        (false, false) => {
            return Err(format!(
                "no observation of `{}` judged by rules {} is kept: add a run that has it to the kept evidence",
                kind.name, kind.rules
            ));
        }
        (true, true) => return Err(format!("`{}` has kept observations: take it off the list", kind.name)),
        _ => {}
    }
    for (path, record) in own {
        let judged = judge_record(record, registry);
        ensure(judged.findings == record.findings && judged.verdict() == record.verdict, || {
            let (now, then) = (lines(&judged.findings), lines(&record.findings));
            format!("{path}: it concludes {now:#?}, and concluded {then:#?}")
        })?;
        if record.owed.is_none() && record.kind == kind.name {
            twice((registry, kind), &record.settings, &record.observation, record.ended)?;
        }
    }
    Ok(())
}
