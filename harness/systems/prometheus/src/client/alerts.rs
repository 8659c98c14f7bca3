//! Alerts: what is pending or firing now. Resolved ones are gone at once.

use super::{SampleValue, data, moment, shape};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Wire, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    /// Label `alertname`.
    pub name: String,
    /// Every label, `alertname` too. Without the `external_labels` that Alertmanager sees.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
    /// RFC 3339 in UTC: when it became pending, which is not when it fired.
    #[schemars(with = "Option<String>")]
    pub active_at: Option<Timestamp>,
    /// Since when its expression no longer holds, where `keep_firing_for` goes on with it; else `null`.
    #[schemars(with = "Option<String>")]
    pub kept_firing_since: Option<Timestamp>,
    /// What its expression gave.
    pub value: SampleValue,
}

#[derive(Deserialize)]
struct Alerts<'a> {
    #[serde(borrow)]
    alerts: Option<Vec<Entry<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    labels: BTreeMap<String, String>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, default)]
    active_at: Cow<'a, str>,
    #[serde(borrow, default)]
    keep_firing_since: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// Every alert that is pending or firing, sorted by labels.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn alerts(wire: Wire<'_>) -> Result<Vec<Alert>, ClientError> {
    let answer = fetch(wire, &Call::get("/api/v1/alerts")).await?;
    let data: Alerts<'_> = data(&answer)?;
    let entries = data.alerts.ok_or_else(|| shape(&answer, "there is no `alerts`"))?;
    let alerts = entries.into_iter().map(alert).collect::<Result<Vec<_>, _>>();
    let mut alerts = alerts.map_err(|why| shape(&answer, &why))?;
    alerts.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.active_at.cmp(&b.active_at)));
    Ok(alerts)
}

fn alert(entry: Entry<'_>) -> Result<Alert, String> {
    let value = SampleValue::read(&entry.value).ok_or_else(|| format!("`{}` is no value", entry.value))?;
    Ok(Alert {
        name: entry.labels.get("alertname").cloned().unwrap_or_default(),
        labels: entry.labels,
        state: entry.state.into_owned(),
        active_at: moment("activeAt", &entry.active_at)?,
        kept_firing_since: moment("keepFiringSince", entry.keep_firing_since.as_deref().unwrap_or_default())?,
        value,
    })
}
