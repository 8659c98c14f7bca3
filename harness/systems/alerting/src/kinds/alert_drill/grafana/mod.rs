//! A drill through Grafana: its own rule is changed, or a marked clone of it is made, by its provisioning API, and everything
//! is seen in its states and in its own Alertmanager. Whoever made a rule stays the one who made it: a change that says
//! otherwise locks people out for ever.

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

/// The label by which Grafana's Alertmanager knows the rule of an alert. What is delivered does not have it.
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

/// How it is put back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Way {
    drilled: Drilled,
    /// The rule itself where that is what is changed; none where a clone is made.
    original: Option<Original>,
}

/// A rule as it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Original {
    /// SHA-256 of it, in hex.
    sha256: String,
    rule: Rule,
}

/// The drilled rule, as Grafana has it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InGrafana {
    /// Its id: that of the rule, or of the clone.
    pub uid: String,
    /// Its title, which is the `alertname` of its alerts.
    pub title: String,
    /// How long it is pending before it fires, in Grafana's words; `null` where there is no such rule.
    #[serde(rename = "for")]
    pub pending: Option<String>,
    /// Does it say what the drill asks for?
    pub as_drilled: bool,
    /// How its last evaluation went, and its alerts; `null` where Grafana does not evaluate it.
    pub state: Option<RuleState>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Refused {
    /// There is no rule of this uid.
    NoRule(String),
    /// The rule is another than the one that is meant: its title and labels.
    OtherRule(String),
    /// It cannot fire whatever is seen, for this reason.
    Asleep(String),
}

impl Drilled {
    /// Is this its state? Old versions do not tell the uid, so that title and group have to do.
    fn is(&self, state: &RuleState) -> bool {
        let named = || state.name == self.title && state.group == self.group;
        state.uid.as_ref().map_or_else(named, |uid| *uid == self.uid)
    }
}

/// Labels without those that are for Grafana alone, which not every place shows.
fn plain(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = labels.iter().filter(|(key, _)| !key.starts_with("__"));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect()
}
