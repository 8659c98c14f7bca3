//! Talks to Grafana's own alerting, 9.4 to 13: rules in its provisioning API, the state of rules, and the alerts in its
//! Alertmanager.
//!
//! Filters are never sent, because old versions ignore them and return everything. Errors are recognised by their text
//! as well as their status, because 9.4 answers 500 where later versions answer 404 and 409.

use super::alertmanager::{self, Alert};
use jiff::Timestamp;
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Call, Changing, Endpoint, change, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the API is expected to answer with, for error messages.
const EXPECTED: &str = "the JSON of Grafana's alerting API";

/// A rule as the provisioning API gives it, with every key, because what is sent back later must equal what was there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rule(pub Map<String, Value>);

/// How a rule was created, which decides how it may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// In Grafana's pages, by people. A change that does not keep this provenance locks them out permanently.
    Pages,
    /// Through this API.
    Api,
    /// From a file on the server, or by a newer mechanism: it cannot be changed here.
    Other,
}

impl Rule {
    /// Returns the id of the rule.
    pub fn uid(&self) -> &str {
        self.text("uid")
    }

    /// Returns the title of the rule, which is the `alertname` of its alerts.
    pub fn title(&self) -> &str {
        self.text("title")
    }

    /// Returns the group of the rule, which is evaluated as one.
    pub fn group(&self) -> &str {
        self.text("ruleGroup")
    }

    /// Returns the text at this key; empty if there is none.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns how the rule was created. Only the answer for a single rule reports this; the list omits it.
    pub fn provenance(&self) -> Provenance {
        match self.0.get("provenance").and_then(Value::as_str) {
            None | Some("") => Provenance::Pages,
            Some("api") => Provenance::Api,
            Some(_) => Provenance::Other,
        }
    }

    /// Returns when the rule was last written, by the server's clock.
    pub fn updated(&self) -> Option<Timestamp> {
        self.text("updated").parse().ok()
    }

    /// Returns the rule without the time at which it was last written, which carries no meaning and cannot be restored.
    #[must_use]
    pub fn timeless(mut self) -> Self {
        self.0.remove("updated");
        self
    }

    /// Returns whether both rules are the same, apart from when they were written.
    pub fn same_as(&self, other: &Rule) -> bool {
        self.clone().timeless() == other.clone().timeless()
    }
}

/// Reads one rule.
///
/// # Errors
/// The server cannot be reached or refuses the request. A missing rule is not an error.
pub async fn rule(wire: Endpoint<'_>, uid: &str) -> Result<Option<Rule>, ClientError> {
    let answer = fetch(wire, &Call::get(place(uid))).await?;
    if answer.status == 404 || said(&answer).contains("could not find alert rule") {
        return Ok(None);
    }
    read(&answer).map(Some)
}

/// Replaces the rule that has the same uid, and keeps its provenance.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn replace(wire: Endpoint<'_>, rule: &Rule, leave: &impl ChangePermit) -> Result<(), ClientError> {
    write(wire, Changing::PUT, &place(rule.uid()), rule, leave).await
}

/// Creates a new rule, whose provenance is this API.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn create(wire: Endpoint<'_>, rule: &Rule, leave: &impl ChangePermit) -> Result<(), ClientError> {
    write(wire, Changing::POST, "/api/v1/provisioning/alert-rules", rule, leave).await
}

/// Deletes a rule that this API created. A missing rule counts as deleted.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn delete(wire: Endpoint<'_>, uid: &str, leave: &impl ChangePermit) -> Result<(), ClientError> {
    let answer = change(wire, &Call::change(Changing::DELETE, place(uid)), leave).await?;
    let gone = answer.status == 404 || said(&answer).contains("could not find alert rule");
    if answer.is_success() || gone { Ok(()) } else { Err(answer.refused(EXPECTED)) }
}

async fn write(
    wire: Endpoint<'_>,
    method: Changing,
    target: &str,
    rule: &Rule,
    leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let mut call = Call::change(method, target).json(&Value::Object(rule.0.clone()));
    if rule.provenance() == Provenance::Pages {
        call.headers.insert("x-disable-provenance".to_owned(), "true".to_owned());
    }
    let answer = change(wire, &call, leave).await?;
    if answer.is_success() { Ok(()) } else { Err(answer.refused(EXPECTED)) }
}

fn place(uid: &str) -> String {
    let uid: String = url::form_urlencoded::byte_serialize(uid.as_bytes()).collect();
    format!("/api/v1/provisioning/alert-rules/{uid}")
}

/// The state of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleState {
    /// The name of the rule.
    pub name: String,
    /// The group of the rule.
    pub group: String,
    /// The title of the folder that contains the rule.
    pub folder: String,
    /// The uid of the rule, which old versions do not report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `inactive`, `pending` or `firing`; newer versions may add others.
    pub state: String,
    /// `ok`, `error` or `nodata`; newer versions may add others.
    pub health: String,
    /// Why the rule cannot be evaluated.
    pub last_error: String,
    /// When the rule was last evaluated; `null` if never. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub last_evaluation: Option<Timestamp>,
    /// The time between two evaluations of the group, in seconds.
    pub interval: f64,
    /// The instances of the rule, one for each set of labels.
    pub instances: Vec<Instance>,
}

/// One instance of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Instance {
    /// The labels of the instance.
    pub labels: BTreeMap<String, String>,
    /// `Normal`, `Pending`, `Alerting`, `NoData` or `Error`, followed by the cause in brackets if it has another cause
    /// than the condition: `Alerting (NoData)`.
    pub state: String,
    /// Since when the instance has this state; `null` for `Normal`. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub active_at: Option<Timestamp>,
}

impl Instance {
    /// Returns whether the instance fires because of the rule's condition, and not because of missing data.
    pub fn fires(&self) -> bool {
        self.state == "Alerting"
    }
}

#[derive(Deserialize)]
struct Envelope {
    data: Groups,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    file: String,
    #[serde(default)]
    interval: f64,
    #[serde(default)]
    rules: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    state: String,
    health: String,
    #[serde(default)]
    last_error: String,
    last_evaluation: Timestamp,
    #[serde(default)]
    alerts: Vec<EntryAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryAlert {
    labels: BTreeMap<String, String>,
    state: String,
    active_at: Timestamp,
}

/// The states of rules, and the time at which the server reported them.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// The rules, in the server's order.
    pub rules: Vec<RuleState>,
    /// The server's own time of the answer, to the second; `None` if the server does not report it.
    pub server_time: Option<Timestamp>,
}

/// Returns the states of the rules that are wanted. Grafana silently omits rules that the login may not see.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn states(wire: Endpoint<'_>, wanted: impl Fn(&RuleState) -> bool) -> Result<States, ClientError> {
    let answer = fetch(wire, &Call::get("/api/prometheus/grafana/api/v1/rules")).await?;
    let envelope: Envelope = read(&answer)?;
    let groups = envelope.data.groups.into_iter();
    let all = groups.flat_map(|group| {
        let (name, folder, interval) = (group.name, group.file, group.interval);
        group.rules.into_iter().map(move |entry| state(entry, (&name, &folder), interval))
    });
    Ok(States { rules: all.filter(wanted).collect(), server_time: answer.date() })
}

fn state(entry: Entry, (group, folder): (&str, &str), interval: f64) -> RuleState {
    let instance = |alert: EntryAlert| Instance {
        labels: alert.labels,
        state: alert.state,
        active_at: known(alert.active_at),
    };
    RuleState {
        name: entry.name,
        group: group.to_owned(),
        folder: folder.to_owned(),
        uid: entry.uid,
        state: entry.state,
        health: entry.health,
        last_error: entry.last_error,
        last_evaluation: known(entry.last_evaluation),
        interval,
        instances: entry.alerts.into_iter().map(instance).collect(),
    }
}

/// Go writes the year 1 for "no time".
fn known(at: Timestamp) -> Option<Timestamp> {
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

/// Returns the wanted alerts of Grafana's own Alertmanager, sorted by labels.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn alerts(wire: Endpoint<'_>, wanted: impl Fn(&Alert) -> bool) -> Result<Vec<Alert>, ClientError> {
    alertmanager::alerts_of(wire, "/api/alertmanager/grafana", wanted).await
}

/// Returns the message of an error.
fn said(answer: &Answer) -> String {
    if answer.is_success() {
        return String::new();
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["message"].as_str().unwrap_or_default().to_owned()
}

/// Parses a successful answer. For an unknown path Grafana answers 200 with an HTML page.
fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    if !answer.is_success() {
        return Err(answer.refused(EXPECTED));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| ClientError::of_shape(answer, EXPECTED, &error.to_string()))
}
