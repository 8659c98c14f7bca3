//! Series by their labels, as the index lists them: also those that get no samples any more.

use super::{doubts, open, shape};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Wire, fetch};
use std::collections::BTreeMap;

/// What the index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The labels of each series, `__name__` too; sorted.
    pub series: Vec<BTreeMap<String, String>>,
    /// What the server warns of, sorted: that the list is cut, above all.
    pub warnings: Vec<String>,
}

/// The series that a selector selects between two times. Stale ones stay listed for hours: it says which labels there
/// are, never that data is current.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn series(
    wire: Wire<'_>,
    selector: &str,
    (start, end): (Timestamp, Timestamp),
) -> Result<Listed, ClientError> {
    let form = [("match[]", selector.to_owned()), ("start", start.to_string()), ("end", end.to_string())];
    let answer = fetch(wire, &Call::form("/api/v1/series", &form)).await?;
    let envelope = open::<Vec<BTreeMap<String, String>>>(&answer)?;
    let mut series = envelope.data.ok_or_else(|| shape(&answer, "there is no `data`"))?;
    series.sort();
    series.dedup();
    Ok(Listed { series, warnings: doubts(envelope.warnings) })
}
