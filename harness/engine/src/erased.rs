//! Type-erased kinds, so that scenarios of any system can be read, run and judged: settings as trait objects, and
//! function pointers for what needs no settings.

use super::kind::{Act, Check, Cx, Kind, StepError};
use futures_util::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use proofmark_environment::document::{Document, Node};
use proofmark_evidence::undo::{Ledger, PromiseContext, Promises, RevertPermit, Until};
use proofmark_model::diag::Diag;
use proofmark_model::{Duration, ErrorCode, Finding, Permission, SettingMistake};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Facts about a kind that do not depend on settings.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Name in scenario files.
    pub name: &'static str,
    /// An example as it is written under `check:` or `act:`.
    pub example: &'static str,
    /// The judgements that it makes by itself.
    pub judges: &'static str,
    /// The version of its judging rules.
    pub rules: u32,
    /// The roles it uses.
    pub roles: &'static [&'static str],
    /// The optional ones among these roles.
    pub optional: &'static [&'static str],
    /// Limits one attempt, unless the step sets its own timeout.
    pub timeout: Duration,
    /// Whether it changes a system.
    pub acts: bool,
    /// JSON Schema of its settings; the description is the purpose of the kind.
    pub settings: fn() -> Schema,
    /// The same schema as a part of a larger one.
    pub settings_part: fn(&mut SchemaGenerator) -> Schema,
    /// JSON Schema of its observation.
    pub seen: fn() -> Schema,
}

impl KindInfo {
    const fn of<K: Kind>(acts: bool) -> Self {
        Self {
            name: K::NAME,
            example: K::EXAMPLE,
            judges: K::JUDGES,
            rules: K::RULES,
            roles: K::ROLES,
            optional: K::OPTIONAL,
            timeout: K::TIMEOUT,
            acts,
            settings: schema_of::<K>,
            settings_part: SchemaGenerator::subschema_for::<K>,
            seen: schema_of::<K::Seen>,
        }
    }

    /// The names under which `via` can name a connection: the roles; for a kind without roles its own name, because it
    /// may read a path on a connection.
    pub fn takes(&self) -> Vec<&'static str> {
        if self.roles.is_empty() { vec![self.name] } else { self.roles.to_vec() }
    }
}

fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

/// The settings of a check.
pub type AnyCheck = Arc<dyn ErasedCheck>;

/// The settings of an act.
pub type AnyAct = Arc<dyn ErasedAct>;

/// The operations on the settings of any kind.
pub trait ErasedKind: Debug + Send + Sync {
    /// Facts about the kind.
    fn info(&self) -> KindInfo;
    /// The settings as evidence keeps them, without the kind's name.
    fn settings(&self) -> Value;
    /// Judges a saved observation. One that cannot be read is undecided.
    fn judge(&self, seen: &Value, at: Timestamp) -> Vec<Finding>;
    /// The list that the kind counts by itself.
    fn counted(&self) -> Option<&'static str>;
    /// A mistake in the settings that their types cannot express.
    fn mistake(&self) -> Option<SettingMistake>;
    /// A mistake in the step's `via`; `named` says whether it names a connection for this kind.
    fn via_mistake(&self, named: bool) -> Option<SettingMistake>;
}

/// A step that reads.
pub trait ErasedCheck: ErasedKind {
    /// Makes one observation, as JSON of the documented shape.
    ///
    /// # Errors
    /// When nothing could be observed.
    fn observe<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Value, StepError>>;
}

/// What an act remembers from one observation, or one attempt to put back, to the next. It is empty until the act asks.
#[derive(Default)]
pub struct Memory(Option<Box<dyn Any + Send>>);

impl Memory {
    /// The memory as the kind's own type; a new one where it is empty, or of another kind.
    fn of<M: Default + Send + 'static>(&mut self) -> &mut M {
        if !self.0.as_ref().is_some_and(|memory| memory.is::<M>()) {
            self.0 = None;
        }
        let memory = self.0.get_or_insert_with(|| Box::new(M::default()));
        #[expect(clippy::expect_used, reason = "whatever is not of this type was removed above")]
        memory.downcast_mut().expect("of this type")
    }
}

impl Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

/// A step that changes a system.
pub trait ErasedAct: ErasedKind {
    /// Facts about the kind, with the roles that these settings use.
    fn used(&self) -> KindInfo;
    /// The permissions that these settings need.
    fn needs(&self) -> &'static [Permission];
    /// Returns whether these settings promise to put the change back.
    fn promises(&self) -> bool;
    /// The role for which a setting itself names a connection, and the name of that connection.
    fn named(&self) -> Option<(&'static str, &str)>;
    /// How long it observes, unless the step sets its own `within`.
    fn within(&self) -> Option<Duration>;
    /// When its promises are due, unless the step sets its own `until`.
    fn until(&self) -> Until;
    /// Returns whether no further observation can differ from this one.
    fn settled(&self, seen: &Value) -> bool;
    /// Makes the change, once, and returns what the observations need to know about it.
    ///
    /// # Errors
    /// When the change could not be made.
    fn act<'a>(
        &'a self,
        cx: &'a Cx,
        ledger: &'a Ledger,
        by: &'a PromiseContext,
    ) -> BoxFuture<'a, Result<Value, StepError>>;
    /// Makes one observation of the result, as JSON of the documented shape.
    ///
    /// # Errors
    /// When nothing could be observed.
    fn observe<'a>(
        &'a self,
        done: &'a Value,
        cx: &'a Cx,
        memory: &'a mut Memory,
    ) -> BoxFuture<'a, Result<Value, StepError>>;
}

/// Settings of a kind. A check and an act may have the same name, so the type parameter `ACTS` distinguishes them.
struct Erased<K, const ACTS: bool>(K);

impl<K: Kind, const ACTS: bool> Debug for Erased<K, ACTS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Kind, const ACTS: bool> ErasedKind for Erased<K, ACTS> {
    fn info(&self) -> KindInfo {
        KindInfo::of::<K>(ACTS)
    }
    fn settings(&self) -> Value {
        json!(self.0)
    }
    fn judge(&self, seen: &Value, at: Timestamp) -> Vec<Finding> {
        match K::Seen::deserialize(seen) {
            Ok(seen) => self.0.judge(&seen, at),
            Err(error) => {
                let why = error.to_string();
                vec![Finding::undecided("the observation can be read", "its documented shape", why)]
            }
        }
    }
    fn counted(&self) -> Option<&'static str> {
        self.0.counted()
    }
    fn mistake(&self) -> Option<SettingMistake> {
        self.0.mistake()
    }
    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        self.0.via_mistake(named)
    }
}

impl<K: Check> ErasedCheck for Erased<K, false> {
    fn observe<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Value, StepError>> {
        async { as_json(&self.0.observe(cx).await?) }.boxed()
    }
}

impl<K: Act> ErasedAct for Erased<K, true> {
    fn used(&self) -> KindInfo {
        KindInfo { roles: self.0.roles(), ..self.info() }
    }
    fn needs(&self) -> &'static [Permission] {
        self.0.needs()
    }
    fn promises(&self) -> bool {
        self.0.promises()
    }
    fn named(&self) -> Option<(&'static str, &str)> {
        self.0.named()
    }
    fn within(&self) -> Option<Duration> {
        K::WITHIN
    }
    fn until(&self) -> Until {
        K::UNTIL
    }
    fn settled(&self, seen: &Value) -> bool {
        of_json(seen).is_ok_and(|seen| self.0.settled(&seen))
    }
    fn act<'a>(
        &'a self,
        cx: &'a Cx,
        ledger: &'a Ledger,
        by: &'a PromiseContext,
    ) -> BoxFuture<'a, Result<Value, StepError>> {
        async move { as_json(&self.0.act(cx, &Promises::new(ledger, by)).await?) }.boxed()
    }
    fn observe<'a>(
        &'a self,
        done: &'a Value,
        cx: &'a Cx,
        memory: &'a mut Memory,
    ) -> BoxFuture<'a, Result<Value, StepError>> {
        async move { as_json(&self.0.observe(&of_json(done)?, cx, memory.of::<K::Memory>()).await?) }.boxed()
    }
}

/// A check in a registry.
#[derive(Debug, Clone, Copy)]
pub struct CheckKind {
    /// Facts about it that do not depend on settings.
    pub info: KindInfo,
    pub(super) typed: fn(&Document, &Node) -> Result<AnyCheck, Diag>,
    pub(super) of_json: fn(&Value) -> Result<AnyCheck, serde_json::Error>,
}

impl CheckKind {
    /// The registry entry of a kind.
    pub const fn of<K: Check>() -> Self {
        Self {
            info: KindInfo::of::<K>(false),
            typed: |document, node| Ok(Arc::new(Erased::<K, false>(document.typed(node)?))),
            of_json: |settings| Ok(Arc::new(Erased::<K, false>(K::deserialize(settings)?))),
        }
    }
}

type Revert = for<'a> fn(
    &'a Value,
    &'a Cx,
    &'a RevertPermit,
    &'a mut Memory,
) -> BoxFuture<'a, Result<Value, StepError>>;

/// An act in a registry.
#[derive(Debug, Clone, Copy)]
pub struct ActKind {
    /// Facts about it that do not depend on settings.
    pub info: KindInfo,
    pub(super) typed: fn(&Document, &Node) -> Result<AnyAct, Diag>,
    pub(super) of_json: fn(&Value) -> Result<AnyAct, serde_json::Error>,
    pub(super) roles_back: fn(Option<&Value>) -> &'static [&'static str],
    pub(super) patience: fn(&Value) -> Duration,
    pub(super) revert: Revert,
    pub(super) judge_reverted: fn(&Value, &Value, Timestamp) -> Vec<Finding>,
}

impl ActKind {
    /// The registry entry of a kind.
    pub const fn of<K: Act>() -> Self {
        Self {
            info: KindInfo::of::<K>(true),
            typed: |document, node| Ok(Arc::new(Erased::<K, true>(document.typed(node)?))),
            of_json: |settings| Ok(Arc::new(Erased::<K, true>(K::deserialize(settings)?))),
            roles_back: |undo| match undo.and_then(|undo| of_json(undo).ok()) {
                Some(undo) => K::roles_back(&undo),
                None => K::ROLES,
            },
            patience: |undo| of_json(undo).map(|undo| K::patience(&undo)).unwrap_or_default(),
            revert: |undo, cx, by, memory| {
                async move {
                    let (undo, memory) = (of_json(undo)?, memory.of::<K::Memory>());
                    K::revert(&undo, cx, by, memory).await?;
                    as_json(&K::observe_reverted(&undo, cx, memory).await?)
                }
                .boxed()
            },
            judge_reverted: judge_reverted::<K>,
        }
    }
}

fn judge_reverted<K: Act>(undo: &Value, seen: &Value, at: Timestamp) -> Vec<Finding> {
    match (of_json(undo), of_json(seen)) {
        (Ok(undo), Ok(seen)) => K::judge_reverted(&undo, &seen, at),
        (undo, seen) => {
            let errors = [undo.err(), seen.err()].into_iter().flatten().map(|error| error.to_string());
            let why = errors.collect::<Vec<_>>().join("; ");
            vec![Finding::undecided("the way back and the observation can be read", "their shapes", why)]
        }
    }
}

fn as_json(seen: &impl Serialize) -> Result<Value, StepError> {
    serde_json::to_value(seen)
        .map_err(|error| StepError::new(ErrorCode::Internal, format!("the observation is no JSON: {error}")))
}

fn of_json<T: DeserializeOwned>(value: &Value) -> Result<T, StepError> {
    T::deserialize(value).map_err(|error| {
        StepError::new(ErrorCode::Internal, format!("it has not the shape it should have: {error}"))
    })
}
