//! `alertmanager-status`: checks whether Alertmanager is ready, which peers it has, and which receivers it knows.

use crate::client::alertmanager::{self, Cluster};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Checks Alertmanager itself: its readiness, version, peers and receivers.
///
/// A cluster that is `disabled` is normal for a single Alertmanager. A cluster that is `settling` is undecided: it may
/// not know yet what its peers have sent. That a receiver exists does not mean that a route leads to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerStatus {}

/// What the server reports about itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertmanagerStatusObservation {
    /// Whether the server reports that it is ready.
    pub ready: bool,
    /// The version as the server writes it: `0.25.0`.
    pub version: String,
    /// When the server started. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// The peers of the server.
    pub cluster: Cluster,
    /// The names of the receivers; sorted.
    pub receivers: Vec<String>,
}

impl Kind for AlertmanagerStatus {
    const NAME: &'static str = "alertmanager-status";
    const EXAMPLE: &'static str = "alertmanager-status: {}";
    const JUDGES: &'static str = "Alertmanager is ready, and its cluster is `ready` or `disabled` (a single one). One that is `settling` is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["alertmanager"];
    type Seen = AlertmanagerStatusObservation;

    fn judge(&self, seen: &AlertmanagerStatusObservation, _at: Timestamp) -> Vec<Finding> {
        let word = if seen.ready { "ready" } else { "not ready" };
        let (what, expected) = ("the cluster has settled", "ready, or disabled for a single one");
        let status = seen.cluster.status.as_str();
        let settled = match status {
            "ready" | "disabled" => Finding::judged(what, expected, status, true),
            "settling" => Finding::undecided(what, expected, status)
                .with_help("it waits for its peers: give the step a `within`"),
            other => {
                let seen = format!("{other}: a state that this version of Proofmark does not know");
                Finding::undecided(what, expected, seen)
            }
        };
        vec![Finding::judged("Alertmanager is ready", "ready", word, seen.ready), settled]
    }
}

impl Check for AlertmanagerStatus {
    async fn observe(&self, cx: &Cx) -> Result<AlertmanagerStatusObservation, StepError> {
        let (wire, started) = (cx.wire("alertmanager")?, cx.clock.elapsed());
        let status = alertmanager::status(wire, false).await?;
        let ready = alertmanager::ready(wire.since(started)).await?;
        let receivers = alertmanager::receivers(wire.since(started)).await?;
        let (version, started_at, cluster) = (status.version, status.started_at, status.cluster);
        Ok(AlertmanagerStatusObservation { ready, version, started_at, cluster, receivers })
    }
}
