//! Reads the loaded rules and the outcome of their last evaluation.

use super::{data, length, moment, shape};
use jiff::Timestamp;
use proofmark_model::Duration;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A loaded rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// The name of the alert, or of the metric that is recorded. Several rules may share it.
    pub name: String,
    /// The name of the rule's group. Several files may contain groups of the same name.
    pub group: String,
    /// The file that the server read the rule from.
    pub file: String,
    /// `alerting` or `recording`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The `PromQL` expression as the server formats it, which may differ from the text in the file.
    pub query: String,
    /// `ok`, `err`, or `unknown` (not evaluated yet).
    pub health: String,
    /// `inactive`, `pending` or `firing`; `unknown` before the first evaluation, even if the server reports `inactive`.
    /// `null` for a recording rule.
    pub state: Option<String>,
    /// How often the group is evaluated.
    pub interval: Duration,
    /// How long the alert is pending before it fires; `null` for a recording rule.
    #[serde(rename = "for")]
    pub pending: Option<Duration>,
    /// The labels that the rule adds. Those of an alert may be templates.
    pub labels: BTreeMap<String, String>,
    /// When the rule was last evaluated; `null` if never. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub last_evaluation: Option<Timestamp>,
    /// Why the last evaluation failed; empty if it succeeded.
    pub last_error: String,
}

/// All rules, and the time at which the server listed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Sorted by file, group, name and query.
    pub rules: Vec<Rule>,
    /// The server's own time of the answer, to the second; `None` if the server does not report it.
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
    /// Recording rules up to 3.5 omit this when it is empty.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(borrow, default)]
    last_evaluation: Cow<'a, str>,
    #[serde(borrow, default)]
    last_error: Cow<'a, str>,
}

/// Returns every loaded rule. No filter is sent, because old servers ignore filters that they do not know and return
/// everything.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn rules(wire: Endpoint<'_>) -> Result<Loaded, ClientError> {
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
        // The server reports `inactive` up to 3.7, `unknown` from 3.8 on.
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
