//! The observations of older programs, as `fixtures/evidence` keeps them.

use proofmark::kinds::registry;
use proofmark_engine::testing::compliance::{Case, kept};
use proofmark_evidence::record::{newest_first, read};
use proofmark_model::{Event, StepRecord};
use std::path::Path;

/// The kinds of which nothing is kept yet. This list only shrinks.
const MISSING: &[&str] = &[];

pub fn cases() -> Vec<Case> {
    kept(registry(), records(), MISSING)
}

/// Every step's file of every kept run, and those of what was put back.
fn records() -> Vec<(String, StepRecord)> {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evidence/runs");
    let mut out = vec![];
    for folder in newest_first(&runs) {
        for line in read(&folder).unwrap().lines {
            let (Event::StepEnded { file, .. } | Event::Reverted { file, .. }) = line.event else { continue };
            let path = folder.join(file);
            out.push((
                path.display().to_string(),
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
            ));
        }
    }
    out
}
