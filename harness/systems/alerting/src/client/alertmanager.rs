//! Reads the API v2 of Alertmanager 0.25 and later into plain data that is the same for every version.
//!
//! No filter is sent: the server reads a filter value that it cannot parse as `false` and hides alerts, with status
//! 200.

mod routes;
mod silences;

pub use routes::{Lead, Receiver, Routing, routing};
pub use silences::{Matcher, NewSilence, Silence, expire, silence, silences};

use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the API is expected to answer with, for error messages.
const EXPECTED: &str = "the JSON of the Alertmanager API (v2)";

/// The keys of a route that is muted at certain times.
const MUTES: [&str; 2] = ["mute_time_intervals", "active_time_intervals"];

/// An alert that Alertmanager holds. Resolved alerts disappear at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    /// The label `alertname`.
    pub name: String,
    /// All labels, including `alertname` and the `external_labels` of the sender.
    pub labels: BTreeMap<String, String>,
    /// `active`, `suppressed` (by any of the three below), or `unprocessed` (not decided yet).
    pub state: String,
    /// The ids of the silences that silence the alert.
    pub silenced_by: Vec<String>,
    /// The fingerprints of the alerts that inhibit it.
    pub inhibited_by: Vec<String>,
    /// The names of the time intervals that mute the alert; `null` if the server does not report them (before 0.28)
    /// although its configuration has such intervals.
    pub muted_by: Option<Vec<String>>,
    /// The names of the receivers that the alert is routed to; sorted.
    pub receivers: Vec<String>,
    /// When the alert began to fire, according to the sender. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub starts_at: Timestamp,
}

/// What the server reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The version as the server writes it: `0.25.0`.
    pub version: String,
    /// When the server started. The API calls this `uptime`.
    pub started_at: Timestamp,
    /// The peers of the server.
    pub cluster: Cluster,
}

/// The peers that share silences and notifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// `ready`, `settling`, or `disabled`, which is the state of a single Alertmanager.
    pub status: String,
    /// All peers, including the server itself; sorted.
    pub peers: Vec<Peer>,
}

/// One Alertmanager of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Peer {
    /// The name of the peer.
    pub name: String,
    /// The address of the peer, `host:port`.
    pub address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    labels: BTreeMap<String, String>,
    status: Held,
    receivers: Vec<Named>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    state: String,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
    /// Sent from 0.28 on.
    muted_by: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody {
    cluster: ClusterBody,
    version_info: Version,
    uptime: Timestamp,
}

#[derive(Deserialize)]
struct ClusterBody {
    status: String,
    #[serde(default)]
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// Returns the alerts that are wanted, sorted by labels.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn alerts(wire: Endpoint<'_>, wanted: impl Fn(&Alert) -> bool) -> Result<Vec<Alert>, ClientError> {
    alerts_of(wire, "", wanted).await
}

/// Returns the same for an Alertmanager whose API is below this path.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn alerts_of(
    wire: Endpoint<'_>,
    below: &str,
    wanted: impl Fn(&Alert) -> bool,
) -> Result<Vec<Alert>, ClientError> {
    let started = wire.clock.elapsed();
    let answer = fetch(wire, &Call::get(format!("{below}/api/v2/alerts"))).await?;
    let entries: Vec<Entry<'_>> = read(&answer)?;
    let alerts = entries.into_iter().map(alert).collect::<Result<Vec<_>, _>>();
    let mut alerts = alerts.map_err(|why| shape(&answer, &why))?;
    alerts.retain(wanted);
    if alerts.iter().any(|alert| alert.muted_by.is_none()) {
        settle(wire.since(started), below, &mut alerts).await?;
    }
    alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(alerts)
}

/// Fills in `muted_by` for an old server, which does not report it: if its configuration mutes nothing, no alert is
/// muted.
async fn settle(wire: Endpoint<'_>, below: &str, alerts: &mut [Alert]) -> Result<(), ClientError> {
    let mutes = match mutes(wire, below).await {
        Ok(mutes) => mutes,
        Err(error) if error.is_transient() => return Err(error),
        Err(_) => true,
    };
    if !mutes {
        for alert in alerts {
            alert.muted_by.get_or_insert_default();
        }
    }
    Ok(())
}

/// Returns whether the configuration mutes routes at certain times. Grafana's own Alertmanager reports nothing else
/// about itself, and gives its configuration as JSON.
async fn mutes(wire: Endpoint<'_>, below: &str) -> Result<bool, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get(format!("{below}/api/v2/status")) }).await?;
    let body: serde_json::Value = read(&answer)?;
    let config = match &body["config"] {
        config if config["original"].is_string() => config["original"].as_str().map(str::to_owned),
        config if config["route"].is_object() => Some(config["route"].to_string()),
        _ => None,
    };
    Ok(config.is_none_or(|config| MUTES.iter().any(|key| config.contains(key))))
}

fn alert(entry: Entry<'_>) -> Result<Alert, String> {
    let mut receivers: Vec<String> = entry.receivers.into_iter().map(|receiver| receiver.name).collect();
    receivers.sort();
    Ok(Alert {
        name: entry.labels.get("alertname").cloned().unwrap_or_default(),
        labels: entry.labels,
        state: entry.status.state,
        silenced_by: entry.status.silenced_by,
        inhibited_by: entry.status.inhibited_by,
        muted_by: entry.status.muted_by,
        receivers,
        starts_at: entry.starts_at.parse().map_err(|error| format!("`startsAt`: {error}"))?,
    })
}

/// Returns what the server reports about itself. `aside` marks a query that does not answer the step's question.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn status(wire: Endpoint<'_>, aside: bool) -> Result<Status, ClientError> {
    let answer = fetch(wire, &Call { aside, ..Call::get("/api/v2/status") }).await?;
    let body: StatusBody = read(&answer)?;
    let mut peers = body.cluster.peers;
    peers.sort();
    Ok(Status {
        version: body.version_info.version,
        started_at: body.uptime,
        cluster: Cluster { status: body.cluster.status, peers },
    })
}

/// Returns whether the server is ready. Status 503 means that it is not ready yet.
///
/// # Errors
/// The server cannot be reached, or answers with another status.
pub async fn ready(wire: Endpoint<'_>) -> Result<bool, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get("/-/ready") }).await?;
    match answer.status {
        _ if answer.is_success() => Ok(true),
        503 => Ok(false),
        _ => Err(answer.refused("a readiness of Alertmanager")),
    }
}

/// Returns the names of the receivers, sorted.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn receivers(wire: Endpoint<'_>) -> Result<Vec<String>, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get("/api/v2/receivers") }).await?;
    let named: Vec<Named> = read(&answer)?;
    let mut names: Vec<String> = named.into_iter().map(|receiver| receiver.name).collect();
    names.sort();
    Ok(names)
}

/// Parses a successful answer. Errors are sent as a JSON string, a JSON object or plain text.
fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    if !answer.is_success() {
        return Err(answer.refused(EXPECTED));
    }
    serde_json::from_slice(&answer.body).map_err(|error| shape(answer, &error.to_string()))
}

fn shape(answer: &Answer, why: &str) -> ClientError {
    ClientError::of_shape(answer, EXPECTED, why)
}
