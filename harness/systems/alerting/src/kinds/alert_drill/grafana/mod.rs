//! Drills a rule of Grafana's own alerting: the provisioning API changes the rule or creates a marked clone, and
//! Grafana's states and its own Alertmanager show the effect. The provenance of a rule is kept, because a change of
//! provenance locks people out permanently.

mod back;
mod edit;
mod fire;
mod hops;
mod judge;

pub(super) use back::{Back, judge as judge_back, look as look_back, revert};
pub(super) use fire::fire;
pub(super) use hops::look;
pub(super) use judge::{evaluated, fires, refused, taken};

use crate::client::grafana::{Rule, RuleState};
use edit::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label that identifies an alert's rule in Grafana's Alertmanager. Delivered messages do not have it.
const UID: &str = "__alert_rule_uid__";

/// The rule that is made to fire, and what is changed in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Drilled {
    uid: String,
    title: String,
    group: String,
    places: Vec<Place>,
}

/// How the rule is restored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Way {
    drilled: Drilled,
    /// The rule itself, if the drill changes it; `None` if it creates a clone.
    original: Option<Original>,
}

/// A rule as it was before the drill.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Original {
    /// The SHA-256 of the rule, in hex.
    sha256: String,
    rule: Rule,
}

/// The drilled rule, as Grafana has it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InGrafana {
    /// The uid of the rule, or of the clone.
    pub uid: String,
    /// The title, which is the `alertname` of the rule's alerts.
    pub title: String,
    /// How long an alert is pending before it fires, in Grafana's notation; `null` if the rule does not exist.
    #[serde(rename = "for")]
    pub pending: Option<String>,
    /// Whether the rule contains what the drill asks for.
    pub as_drilled: bool,
    /// The outcome of the last evaluation, and the rule's alerts; `null` if Grafana does not evaluate the rule.
    pub state: Option<RuleState>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Refused {
    /// No rule has this uid.
    NoRule(String),
    /// The rule has another title or other labels than the drill asks for; holds what it has.
    OtherRule(String),
    /// The rule cannot fire whatever its data, for this reason.
    Asleep(String),
}

impl Drilled {
    /// Returns whether the state is that of this rule. Old versions do not report the uid, so title and group must
    /// suffice.
    fn is(&self, state: &RuleState) -> bool {
        let named = || state.name == self.title && state.group == self.group;
        state.uid.as_ref().map_or_else(named, |uid| *uid == self.uid)
    }
}

/// Returns the labels without those that Grafana uses internally, which not every API shows.
fn plain(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = labels.iter().filter(|(key, _)| !key.starts_with("__"));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect()
}
