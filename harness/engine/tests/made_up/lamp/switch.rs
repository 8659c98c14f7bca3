//! Switches a lamp for the rest of the scenario.

use super::client::{is_lit, switch};
use super::role::ROLE;
use super::state::LampObservation;
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{Promises, RevertPermit, Until};
use proofmark_model::{Duration, Finding, Permission};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lights a lamp, and switches it back at the end of the scenario.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LampSwitch {
    /// The lamp.
    pub lamp: String,
}

/// What it was before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LampUndo {
    lamp: String,
    lit: bool,
}

impl Kind for LampSwitch {
    const NAME: &'static str = "lamp-switch";
    const EXAMPLE: &'static str = "lamp-switch: { lamp: hall }";
    const JUDGES: &'static str = "It is lit. When it is put back, that it is as it was.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[ROLE.name];
    type Seen = LampObservation;

    fn judge(&self, seen: &LampObservation, _at: Timestamp) -> Vec<Finding> {
        vec![Finding::judged("the lamp is lit", true, seen.lit, seen.lit)]
    }
}

impl Act for LampSwitch {
    const UNTIL: Until = Until::Scenario;
    type Done = ();
    type Undo = LampUndo;
    type Reverted = LampObservation;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change]
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, LampUndo>) -> Result<(), StepError> {
        let lamp = self.lamp.clone();
        let promise = promises.promise(&LampUndo { lit: is_lit(cx, &lamp)?, lamp })?;
        switch(cx, &self.lamp, true, &promise)
    }

    async fn observe(&self, (): &(), cx: &Cx, (): &mut ()) -> Result<LampObservation, StepError> {
        Ok(LampObservation { lit: is_lit(cx, &self.lamp)? })
    }

    fn patience(_owed: &LampUndo) -> Duration {
        Duration::secs(0)
    }

    async fn revert(owed: &LampUndo, cx: &Cx, by: &RevertPermit, (): &mut ()) -> Result<(), StepError> {
        switch(cx, &owed.lamp, owed.lit, by)
    }

    async fn observe_reverted(owed: &LampUndo, cx: &Cx, (): &mut ()) -> Result<LampObservation, StepError> {
        Ok(LampObservation { lit: is_lit(cx, &owed.lamp)? })
    }

    fn judge_reverted(owed: &LampUndo, seen: &LampObservation, _at: Timestamp) -> Vec<Finding> {
        vec![Finding::judged("the lamp is as it was", owed.lit, seen.lit, owed.lit == seen.lit)]
    }
}
