//! Made-up kinds: what the engine does with a kind is tested with these, so that it needs no system.

use crate::{Act, ActKind, Check, CheckKind, Cx, Kind, Registry, StepError, System};
use jiff::Timestamp;
use proofmark_evidence::undo::{Promises, RevertPermit};
use proofmark_model::expect::Count;
use proofmark_model::{ErrorCode, Finding, Permission};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

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

/// Writes a text into a file, and puts back what was in it before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SampleChange {
    /// The file.
    pub path: String,
    /// What is written.
    pub text: String,
    /// The moments at which it stops for ever, each once: a test kills the run there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<SampleMoment>,
}

/// A moment in the life of a [`SampleChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SampleMoment {
    /// The way back is on disk, and nothing was changed.
    Promised,
    /// It was changed, and nobody knows it yet.
    Changed,
    /// It is looked at.
    Observed,
    /// It is about to be put back.
    Reverting,
    /// It was put back, and nobody knows it yet.
    Reverted,
}

impl SampleMoment {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::Promised, Self::Changed, Self::Observed, Self::Reverting, Self::Reverted];

    /// The file that says that the change of this file has stopped here.
    pub fn mark(self, path: &str) -> String {
        format!("{path}.{}", json!(self).as_str().unwrap_or_default())
    }

    /// Stops for ever where `stops` says so and it was not stopped here before.
    async fn pass(self, path: &str, stops: &[Self]) -> Result<(), StepError> {
        let mark = self.mark(path);
        if stops.contains(&self) && !Path::new(&mark).exists() {
            write(&mark, Some(""))?;
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SampleChangeObservation {
    /// Its text; `null` if there is no such file.
    pub text: Option<String>,
    /// The number of observations so far.
    pub observations: u32,
}

/// What was in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SampleUndo {
    path: String,
    before: Option<String>,
    stops: Vec<SampleMoment>,
}

impl Kind for SampleChange {
    const NAME: &'static str = "sample-change";
    const EXAMPLE: &'static str = "sample-change: { path: switch.txt, text: 'on' }";
    const JUDGES: &'static str =
        "The file has the text. When it is put back, that it has its text of before.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = SampleChangeObservation;

    fn judge(&self, seen: &SampleChangeObservation, _at: Timestamp) -> Vec<Finding> {
        let same = seen.text.as_deref() == Some(self.text.as_str());
        vec![Finding::judged("text of the file", self.text.as_str(), json!(seen.text), same)]
    }
}

impl Act for SampleChange {
    type Done = ();
    type Undo = SampleUndo;
    type Reverted = Option<String>;
    type Memory = u32;

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change]
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, _cx: &Cx, promises: &Promises<'_, SampleUndo>) -> Result<(), StepError> {
        let Self { path, text, stops } = self;
        let before = std::fs::read_to_string(path).ok();
        promises.promise(&SampleUndo { path: path.clone(), before, stops: stops.clone() })?;
        SampleMoment::Promised.pass(path, stops).await?;
        write(path, Some(text))?;
        SampleMoment::Changed.pass(path, stops).await
    }

    async fn observe(
        &self,
        _done: &(),
        _cx: &Cx,
        observations: &mut u32,
    ) -> Result<SampleChangeObservation, StepError> {
        *observations += 1;
        SampleMoment::Observed.pass(&self.path, &self.stops).await?;
        let text = std::fs::read_to_string(&self.path).ok();
        Ok(SampleChangeObservation { text, observations: *observations })
    }

    async fn revert(owed: &SampleUndo, _cx: &Cx, _by: &RevertPermit, _: &mut u32) -> Result<(), StepError> {
        SampleMoment::Reverting.pass(&owed.path, &owed.stops).await?;
        write(&owed.path, owed.before.as_deref())?;
        SampleMoment::Reverted.pass(&owed.path, &owed.stops).await
    }

    async fn observe_reverted(owed: &SampleUndo, _: &Cx, _: &mut u32) -> Result<Option<String>, StepError> {
        Ok(std::fs::read_to_string(&owed.path).ok())
    }

    fn judge_reverted(owed: &SampleUndo, seen: &Option<String>, _at: Timestamp) -> Vec<Finding> {
        let same = *seen == owed.before;
        vec![Finding::judged("text of the file", json!(owed.before), json!(seen), same)]
    }
}

/// Writes a file; without a text, removes it.
#[expect(clippy::disallowed_methods, reason = "this file is the system that is changed")]
fn write(path: &str, text: Option<&str>) -> Result<(), StepError> {
    let done = match text {
        Some(text) => std::fs::write(path, text),
        None if Path::new(path).exists() => std::fs::remove_file(path),
        None => Ok(()),
    };
    done.map_err(|error| StepError::new(ErrorCode::Internal, format!("{path}: {error}")))
}

/// A system that is not there.
pub const SYSTEM: System = System {
    name: "made-up",
    checks: &[CheckKind::of::<SampleQuery>()],
    acts: &[ActKind::of::<SampleChange>()],
    ..System::EMPTY
};

/// Its kinds.
pub fn registry() -> Registry {
    Registry::new([&SYSTEM], &[])
}
