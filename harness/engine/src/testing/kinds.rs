//! Made-up kinds: what the engine does with a kind is tested with these, so that it needs no system.

use crate::{Check, CheckKind, Cx, Kind, Registry, StepError, System};
use jiff::Timestamp;
use proofmark_model::Finding;
use proofmark_model::expect::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sees no samples, whatever it is asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SampleQuery {
    /// What is asked.
    pub query: String,
}

/// What a query selects.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SampleQueryObservation {
    /// As they were selected.
    pub samples: Vec<Value>,
    /// What is doubtful about them.
    pub warnings: Vec<String>,
}

impl Kind for SampleQuery {
    const NAME: &'static str = "sample-query";
    const EXAMPLE: &'static str = "sample-query: { query: up }";
    const JUDGES: &'static str = "At least one sample.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = SampleQueryObservation;

    fn judge(&self, seen: &SampleQueryObservation, _at: Timestamp) -> Vec<Finding> {
        vec![Count::AT_LEAST_ONE.judge("at least one sample", Some(seen.samples.len()))]
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.samples")
    }
}

impl Check for SampleQuery {
    async fn observe(&self, _cx: &Cx) -> Result<SampleQueryObservation, StepError> {
        Ok(SampleQueryObservation { samples: vec![], warnings: vec![] })
    }
}

/// A system that is not there.
pub const SYSTEM: System =
    System { name: "made-up", checks: &[CheckKind::of::<SampleQuery>()], ..System::EMPTY };

/// Its kinds.
pub fn registry() -> Registry {
    Registry::new([&SYSTEM], &[])
}
