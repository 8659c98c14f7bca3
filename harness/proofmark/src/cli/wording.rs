//! How the numbers of backups are written for people.

use indicatif::HumanCount;
use jiff::Timestamp;
use proofmark_evidence::report::line;
use serde::Deserialize;
use serde_json::Value;

/// What a part of an observation says; `None` where it is not there, or something of it is masked.
pub(super) fn part<T: for<'de> Deserialize<'de>>(seen: &Value, key: &str) -> Option<T> {
    Option::deserialize(seen.get(key)?).ok().flatten()
}

/// `2026-02-16 02:00:04 UTC`.
pub(super) fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn rows(count: u64) -> String {
    let unit = if count == 1 { "row" } else { "rows" };
    format!("{} {unit}", HumanCount(count))
}

/// What was not proven, a line each.
pub(super) fn left_open(unproven: &[String]) -> String {
    let lines = unproven.iter().map(|what| format!("    {}\n", line(what)));
    if unproven.is_empty() {
        String::new()
    } else {
        format!("  does not prove:\n{}", lines.collect::<String>())
    }
}
