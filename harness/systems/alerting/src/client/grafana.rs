//! Grafana's own alerting, 9.4 to 13: a rule as its provisioning API gives it, the state of rules, and the alerts that its
//! Alertmanager knows.
//!
//! Filters are never sent: old versions ignore them and answer with everything. Errors are told by their words as well as
//! by their status, for 9.4 answers 500 where newer ones answer 404 and 409.

use super::alertmanager::{self, Alert};
use jiff::Timestamp;
use proofmark_evidence::undo::Leave;
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Call, Changing, Wire, change, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the API answers with, in words.
const EXPECTED: &str = "the JSON of Grafana's alerting API";

/// A rule as the provisioning API gives it, key for key: what is sent back later has to be what was there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rule(pub Map<String, Value>);

/// Who made a rule, and so who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// People, in Grafana's own pages: a change that does not say so locks them out for ever.
    Pages,
    /// This API.
    Api,
    /// A file on the server, or something newer: nothing changes it here.
    Other,
}

impl Rule {
    /// Its id.
    pub fn uid(&self) -> &str {
        self.text("uid")
    }

    /// Its name, which is the `alertname` of its alerts.
    pub fn title(&self) -> &str {
        self.text("title")
    }

    /// Its group, which is evaluated as one.
    pub fn group(&self) -> &str {
        self.text("ruleGroup")
    }

    /// A value of it that is text; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Who made it. Only the answer about one rule says so; the list leaves it out.
    pub fn provenance(&self) -> Provenance {
        match self.0.get("provenance").and_then(Value::as_str) {
            None | Some("") => Provenance::Pages,
            Some("api") => Provenance::Api,
            Some(_) => Provenance::Other,
        }
    }

    /// When it was written last, by the server's clock.
    pub fn updated(&self) -> Option<Timestamp> {
        self.text("updated").parse().ok()
    }

    /// The rule but for when it was written last, which says nothing and cannot be put back.
    #[must_use]
    pub fn timeless(mut self) -> Self {
        self.0.remove("updated");
        self
    }

    /// The same rule, but for when it was written?
    pub fn same_as(&self, other: &Rule) -> bool {
        self.clone().timeless() == other.clone().timeless()
    }
}

/// One rule.
///
/// # Errors
/// When the server cannot be reached or says no; none is no error.
pub async fn rule(wire: Wire<'_>, uid: &str) -> Result<Option<Rule>, ClientError> {
    let answer = fetch(wire, &Call::get(place(uid))).await?;
    if answer.status == 404 || said(&answer).contains("could not find alert rule") {
        return Ok(None);
    }
    read(&answer).map(Some)
}

/// Writes a rule in the place of the one with its uid, as who made it.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn replace(wire: Wire<'_>, rule: &Rule, leave: &impl Leave) -> Result<(), ClientError> {
    write(wire, Changing::PUT, &place(rule.uid()), rule, leave).await
}

/// Makes a new rule, as made by this API.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn create(wire: Wire<'_>, rule: &Rule, leave: &impl Leave) -> Result<(), ClientError> {
    write(wire, Changing::POST, "/api/v1/provisioning/alert-rules", rule, leave).await
}

/// Deletes a rule that this API made; one that is not there is gone as well.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn delete(wire: Wire<'_>, uid: &str, leave: &impl Leave) -> Result<(), ClientError> {
    let answer = change(wire, &Call::change(Changing::DELETE, place(uid)), leave).await?;
    let gone = answer.status == 404 || said(&answer).contains("could not find alert rule");
    if answer.is_success() || gone { Ok(()) } else { Err(answer.refused(EXPECTED)) }
}

async fn write(
    wire: Wire<'_>,
    method: Changing,
    target: &str,
    rule: &Rule,
    leave: &impl Leave,
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
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Title of the folder that it stands in.
    pub folder: String,
    /// Its id, which old versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `inactive`, `pending`, `firing`, or a newer word.
    pub state: String,
    /// `ok`, `error`, `nodata`, or a newer word.
    pub health: String,
    /// Why it cannot be evaluated.
    pub last_error: String,
    /// When it was evaluated last; `null`: never.
    #[schemars(with = "Option<String>")]
    pub last_evaluation: Option<Timestamp>,
    /// Seconds between two evaluations of its group.
    pub interval: f64,
    /// Its instances, one for each set of labels.
    pub instances: Vec<Instance>,
}

/// One instance of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Instance {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `Normal`, `Pending`, `Alerting`, `NoData`, `Error`, with a reason in brackets where it is not what it seems:
    /// `Alerting (NoData)`.
    pub state: String,
    /// Since when it is so; `null` for a normal one.
    #[schemars(with = "Option<String>")]
    pub active_at: Option<Timestamp>,
}

impl Instance {
    /// Does it fire for what the rule asks, and not because nothing could be seen?
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

/// States of rules, and when the server said so.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// In the order in which the server gives them.
    pub rules: Vec<RuleState>,
    /// The server's own time of the answer, to the second; `None` where it does not tell.
    pub server_time: Option<Timestamp>,
}

/// The states of the rules that are wanted. A rule that the login may not see is left out without a word.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn states(wire: Wire<'_>, wanted: impl Fn(&RuleState) -> bool) -> Result<States, ClientError> {
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

/// The year 1 is how Go writes no time.
fn known(at: Timestamp) -> Option<Timestamp> {
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

/// The alerts that Grafana's own Alertmanager knows, of these, sorted by labels.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn alerts(wire: Wire<'_>, wanted: impl Fn(&Alert) -> bool) -> Result<Vec<Alert>, ClientError> {
    alertmanager::alerts_of(wire, "/api/alertmanager/grafana", wanted).await
}

/// The words of an error.
fn said(answer: &Answer) -> String {
    if answer.is_success() {
        return String::new();
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["message"].as_str().unwrap_or_default().to_owned()
}

/// A path that Grafana does not know answers 200 with a page for people.
fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    if !answer.is_success() {
        return Err(answer.refused(EXPECTED));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| ClientError::of_shape(answer, EXPECTED, &error.to_string()))
}
