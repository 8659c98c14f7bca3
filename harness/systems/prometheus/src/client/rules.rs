//! Rules: what is loaded, and how its last evaluation went.

use super::{data, length, moment, shape};
use jiff::Timestamp;
use proofmark_model::Duration;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Wire, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A loaded rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// The alert's name, or the metric that is recorded. Several rules may share it.
    pub name: String,
    /// Its group. Groups of one name may stand in several files.
    pub group: String,
    /// The file that the server read it from.
    pub file: String,
    /// `alerting` or `recording`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `PromQL` as the server writes it, which is not letter by letter as the file does.
    pub query: String,
    /// `ok`, `err`, `unknown` (not evaluated yet).
    pub health: String,
    /// `inactive`, `pending`, `firing`; `unknown` before the first evaluation, also where the server says `inactive`.
    /// `null` for a recording rule.
    pub state: Option<String>,
    /// How often its group is evaluated.
    pub interval: Duration,
    /// How long an alert is pending before it fires; `null` for a recording rule.
    #[serde(rename = "for")]
    pub pending: Option<Duration>,
    /// The labels that it adds; those of an alert may be templates.
    pub labels: BTreeMap<String, String>,
    /// RFC 3339 in UTC; `null` when it was never evaluated.
    #[schemars(with = "Option<String>")]
    pub last_evaluation: Option<Timestamp>,
    /// Why the last evaluation failed; empty if it did not.
    pub last_error: String,
}

/// All rules, and when the server said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Sorted by file, group, name and query.
    pub rules: Vec<Rule>,
    /// The server's own time of the answer, to the second; `None` where it does not tell.
    pub server_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Groups<'a> {
    #[serde(borrow)]
    groups: Option<Vec<Group<'a>>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    file: Cow<'a, str>,
    #[serde(default)]
    interval: f64,
    #[serde(borrow)]
    rules: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow, default)]
    health: Cow<'a, str>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    duration: Option<f64>,
    /// Left out when empty by recording rules up to 3.5.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(borrow, default)]
    last_evaluation: Cow<'a, str>,
    #[serde(borrow, default)]
    last_error: Cow<'a, str>,
}

/// Every loaded rule. No filter is sent: old servers ignore those that they do not know, and answer with everything.
///
/// # Errors
/// When the server cannot be reached or says no.
pub async fn rules(wire: Wire<'_>) -> Result<Loaded, ClientError> {
    let answer = fetch(wire, &Call::get("/api/v1/rules")).await?;
    let data: Groups<'_> = data(&answer)?;
    let groups = data.groups.ok_or_else(|| shape(&answer, "there is no `groups`"))?;
    let mut rules = Vec::new();
    for group in &groups {
        for entry in &group.rules {
            rules.push(rule(group, entry).map_err(|why| shape(&answer, &why))?);
        }
    }
    let key = |rule: &Rule| (rule.file.clone(), rule.group.clone(), rule.name.clone(), rule.query.clone());
    rules.sort_by_cached_key(key);
    Ok(Loaded { rules, server_time: answer.date() })
}

fn rule(group: &Group<'_>, entry: &Entry<'_>) -> Result<Rule, String> {
    let last_evaluation = moment("lastEvaluation", &entry.last_evaluation)?;
    let state = match (&entry.state, last_evaluation) {
        // `inactive` up to 3.7, `unknown` from 3.8 on.
        (Some(state), None) if state == "inactive" => Some("unknown".to_owned()),
        (state, _) => state.as_ref().map(ToString::to_string),
    };
    Ok(Rule {
        name: entry.name.to_string(),
        group: group.name.to_string(),
        file: group.file.to_string(),
        kind: entry.kind.to_string(),
        query: entry.query.to_string(),
        health: entry.health.to_string(),
        state,
        interval: length("interval", group.interval)?,
        pending: entry.duration.map(|seconds| length("duration", seconds)).transpose()?,
        labels: entry.labels.clone(),
        last_evaluation,
        last_error: entry.last_error.to_string(),
    })
}
