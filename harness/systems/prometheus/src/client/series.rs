//! Lists series by their labels from the index, including series that no longer receive samples.

use super::{doubts, open, shape};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use std::collections::BTreeMap;

/// What the index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The labels of each series, including `__name__`; sorted.
    pub series: Vec<BTreeMap<String, String>>,
    /// The server's warnings, sorted; above all, that the list is truncated.
    pub warnings: Vec<String>,
}

/// Lists the series that a selector selects between two times. Stale series stay listed for hours: the list says which
/// labels exist, never that data is current.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn series(
    wire: Endpoint<'_>,
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
