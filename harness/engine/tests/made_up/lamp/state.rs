//! Which lamps are lit.

use super::client::is_lit;
use super::role::ROLE;
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Looks at a lamp.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LampState {
    /// The lamp.
    pub lamp: String,
}

/// What was seen of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LampObservation {
    /// Is it lit?
    pub lit: bool,
}

impl Kind for LampState {
    const NAME: &'static str = "lamp-state";
    const EXAMPLE: &'static str = "lamp-state: { lamp: hall }";
    const JUDGES: &'static str = "It is lit.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[ROLE.name];
    type Seen = LampObservation;

    fn judge(&self, seen: &LampObservation, _at: Timestamp) -> Vec<Finding> {
        vec![Finding::judged("the lamp is lit", true, seen.lit, seen.lit)]
    }
}

impl Check for LampState {
    async fn observe(&self, cx: &Cx) -> Result<LampObservation, StepError> {
        Ok(LampObservation { lit: is_lit(cx, &self.lamp)? })
    }
}
