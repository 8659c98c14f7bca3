//! Reads the alerts that are pending or firing now. The API drops resolved alerts at once.

use super::{SampleValue, data, moment, shape};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    /// The label `alertname`.
    pub name: String,
    /// All labels, including `alertname`, but without the `external_labels` that Prometheus adds before it sends the
    /// alert to Alertmanager.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
    /// When the alert became pending (not when it fired). RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub active_at: Option<Timestamp>,
    /// Since when the expression no longer holds, if `keep_firing_for` keeps the alert firing; otherwise `null`. RFC
    /// 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub kept_firing_since: Option<Timestamp>,
    /// The value of the alert's expression.
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

/// Returns every alert that is pending or firing, sorted by labels.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn alerts(wire: Endpoint<'_>) -> Result<Vec<Alert>, ClientError> {
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
