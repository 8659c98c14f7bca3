//! What is judged of an archive wherever one is looked at: is it the one that was written, is it whole, are all rows there?
//! Differences are named one by one, up to a limit: the first few say what to look at.

use crate::archive::Outcome;
use crate::compare::TablePair;
use crate::verify::{ArchiveSeen, Verified};
use proofmark_model::Finding;

/// So many differences are named in one finding.
const NAMED: usize = 20;

/// All that is judged of one that was looked at where it is; `deep` where it was to be decoded.
pub(super) fn looked_at(verified: &Verified, deep: bool) -> Vec<Finding> {
    let Verified { backup, archive, tables: pairs, .. } = verified;
    let known = digest(archive);
    let mut findings = vec![];
    if known.is_none() && !deep {
        let what = "its bytes are those that were written";
        findings.push(Finding::undecided(what, "a SHA-256 to compare with", "no manifest"));
    }
    findings.extend(known);
    findings.extend(decoded(archive));
    if deep {
        findings.push(if backup.manifest.is_some() { tables(pairs) } else { held(pairs.len()) });
    }
    findings
}

/// Without a manifest nobody knows how many there should be.
fn held(tables: usize) -> Finding {
    let (what, expected, seen) = ("it holds tables", "at least one table", format!("{tables} tables"));
    if tables == 0 {
        Finding::undecided(what, expected, seen)
    } else {
        Finding::judged(what, expected, seen, true)
    }
}

/// Nothing to say without a manifest.
pub(super) fn digest(archive: &ArchiveSeen) -> Option<Finding> {
    let expected = archive.expected_sha256.as_ref()?;
    let what = "the archive is the one that the manifest names";
    Some(Finding::judged(what, expected.clone(), archive.sha256.clone(), *expected == archive.sha256))
}

/// Was it read to its end?
/// `None` where it was not decoded.
pub(super) fn decoded(archive: &ArchiveSeen) -> Option<Finding> {
    let (what, expected) = ("the archive decodes to its end", "sound");
    let is = archive.formats.join(", in it ");
    Some(match archive.outcome.as_ref()? {
        Outcome::Sound => Finding::judged(what, expected, expected, true),
        Outcome::Broken { why, .. } => Finding::judged(what, expected, format!("{is}: {why}"), false),
        Outcome::Undecided { why } => Finding::undecided(what, expected, format!("{is}: {why}")),
    })
}

/// Are the rows of every table there?
pub(super) fn tables(pairs: &[TablePair]) -> Finding {
    let (what, of) =
        ("every table has its rows", |rows: u64| format!("{rows} rows of {} tables", pairs.len()));
    let sum = |side: fn(&TablePair) -> Option<u64>| pairs.iter().filter_map(side).sum();
    let (expected, seen) = (of(sum(|pair| pair.expected)), of(sum(|pair| pair.rows)));
    if pairs.is_empty() {
        return Finding::undecided(what, "at least one table", "no table")
            .with_help("an empty database restores without an error too: was the right one dumped?");
    }
    let words =
        |rows: Option<u64>| rows.map_or_else(|| "no such table".to_owned(), |rows| format!("{rows} rows"));
    let odd = |pair: &TablePair| {
        (pair.expected != pair.rows).then(|| {
            format!("{}.{}: {} where {} were", pair.schema, pair.name, words(pair.rows), words(pair.expected))
        })
    };
    named(what, expected, seen, pairs.iter().filter_map(odd).collect())
}

/// Passes where nothing is named; else the differences are what was seen.
pub(super) fn named(
    what: &str,
    expected: impl std::convert::Into<String>,
    same: impl std::convert::Into<String>,
    mut differences: Vec<String>,
) -> Finding {
    let expected: String = expected.into();
    if differences.is_empty() {
        let same: String = same.into();
        let ok = same == expected;
        return Finding::judged(what, expected, same, ok);
    }
    let more = differences.len().saturating_sub(NAMED);
    differences.truncate(NAMED);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Finding::judged(what, expected, differences, false)
}
