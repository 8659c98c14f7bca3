//! The kinds of steps: one file per kind, one line in a list.
//!
//! A kind is its settings: a struct that is read from the scenario and implements [`Check`] or [`Act`]. The macro below
//! makes the enum, the dispatch, the list of names and examples and the schema from one line per kind.

use crate::clients::Log;
use crate::clients::http::Wire;
use crate::clock::Clock;
use crate::environment::Systems;
use crate::model::{CodedError, Duration, ErrorCode, Finding, Permission, SettingMistake};
use crate::undo::{By, Ledger, Owed, Promises, Until};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// All that a step may touch.
#[derive(Debug, Clone)]
pub struct Cx {
    /// What time it is. Steps never sleep.
    pub clock: Clock,
    /// The connections of the environment.
    pub systems: Arc<Systems>,
    /// Which connection serves which role, where the step names one with `via`.
    pub via: BTreeMap<String, String>,
    /// Takes down every exchange with the world.
    pub log: Log,
    /// How much time is left for this attempt.
    pub timeout: Duration,
}

impl Cx {
    /// The way to the system that serves a role: the connection that `via` names for it, else the one of its own name.
    ///
    /// # Errors
    /// When the environment has no such connection.
    pub fn wire(&self, role: &str) -> Result<Wire<'_>, StepError> {
        let name = self.via.get(role).map_or(role, String::as_str);
        let connection = self.systems.connections.get(name).ok_or_else(|| {
            let known: Vec<_> = self.systems.connections.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("there is no connection `{name}` for the role `{role}` (known: {known})");
            StepError::new(ErrorCode::MissingConnection, message).help(format!(
                "write `connections: {{ {name}: {{ url: … }} }}` into the environment file, or name another with `via`"
            ))
        })?;
        Ok(Wire { connection: Some(connection), ..self.open_wire() })
    }

    /// The way to an absolute URL, without any login.
    pub fn open_wire(&self) -> Wire<'_> {
        Wire {
            clock: &self.clock,
            systems: &self.systems,
            log: &self.log,
            connection: None,
            timeout: self.timeout.0,
        }
    }
}

/// Why a step saw nothing, or could not act.
pub type StepError = CodedError;

/// Enough for a question and its answer. What moves whole databases takes more.
const TIMEOUT: Duration = Duration::secs(30);

/// Reads. Cannot change anything: it has no way to obtain a `Promise` or a `Final`.
pub trait Check: Serialize + DeserializeOwned + JsonSchema + Send + Sync {
    /// The kind's name in scenario files, kebab-case.
    const NAME: &'static str;
    /// One example as it stands below `check:`; a test parses it.
    const EXAMPLE: &'static str;
    /// What it judges by itself, in one sentence or two.
    const JUDGES: &'static str;
    /// The number of the judging rules, raised when `judge` changes its mind.
    const RULES: u32;
    /// The roles it uses.
    const ROLES: &'static [&'static str];
    /// Those of them that it can do without: used where the environment has a connection for them.
    const OPTIONAL: &'static [&'static str] = &[];
    /// Bounds one look, and each exchange of a change, unless the step says otherwise with `timeout`.
    const TIMEOUT: Duration = TIMEOUT;
    /// What it sees.
    type Seen: Serialize + DeserializeOwned + JsonSchema + Send;
    /// Looks at the world, once.
    fn observe(&self, cx: &Cx) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
    /// Judges what was seen at that time. No I/O.
    fn judge(&self, seen: &Self::Seen, at: Timestamp) -> Vec<Finding>;
    /// The setting that counts a list by itself, as a `JSONPath`: an `expect` on it is the author's word about zero.
    fn counted(&self) -> Option<&'static str> {
        None
    }
    /// A mistake in the settings that their types cannot say.
    fn mistake(&self) -> Option<SettingMistake> {
        None
    }
    /// A mistake in the step's `via`, which names a connection for this kind or does not.
    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        no_connection(Self::NAME, Self::ROLES, named)
    }
}

/// Changes the world once: under a promise, or finally. Then looks, as often as `within` asks; then puts back what it
/// promised, and looks again.
pub trait Act: Serialize + DeserializeOwned + JsonSchema + Send + Sync {
    /// The kind's name in scenario files, kebab-case.
    const NAME: &'static str;
    /// One example as it stands below `act:`; a test parses it.
    const EXAMPLE: &'static str;
    /// What it judges by itself, in one sentence or two.
    const JUDGES: &'static str;
    /// The number of the judging rules, raised when `judge` or `judge_reverted` changes its mind.
    const RULES: u32;
    /// The roles it uses.
    const ROLES: &'static [&'static str];
    /// Those of them that it can do without: used where the environment has a connection for them.
    const OPTIONAL: &'static [&'static str] = &[];
    /// Bounds one look, and each exchange of a change, unless the step says otherwise with `timeout`.
    const TIMEOUT: Duration = TIMEOUT;
    /// For how long it looks unless the step says otherwise with `within`; `None`: one look says everything.
    const WITHIN: Option<Duration> = None;
    /// When its promises are kept unless the step says otherwise with `until`.
    const UNTIL: Until = Until::Step;
    /// What the change itself gave, for the looks that follow. It is not kept.
    type Done: Serialize + DeserializeOwned + Send + Sync;
    /// What it sees.
    type Seen: Serialize + DeserializeOwned + JsonSchema + Send;
    /// The way back, as it is written down; `Nothing` where none is ever promised.
    type Undo: Serialize + DeserializeOwned + Send + Sync;
    /// What is seen once the change was put back.
    type Reverted: Serialize + DeserializeOwned + Send;
    /// The permissions that these settings need.
    fn needs(&self) -> &'static [Permission];
    /// The roles that these settings use, where that is not all of them.
    fn roles(&self) -> &'static [&'static str] {
        Self::ROLES
    }
    /// The role that a setting names a connection for by itself, and that name.
    fn named(&self) -> Option<(&'static str, &str)> {
        None
    }
    /// The roles that putting this back uses, where that is not all of them.
    fn roles_back(_owed: &Self::Undo) -> &'static [&'static str] {
        Self::ROLES
    }
    /// Do these settings promise to put the change back? Else it is final.
    fn promises(&self) -> bool;
    /// Makes the change. It is never cancelled and never tried again.
    fn act(
        &self,
        cx: &Cx,
        promises: &Promises<'_, Self::Undo>,
    ) -> impl Future<Output = Result<Self::Done, StepError>> + Send;
    /// Looks at what became of it, once.
    fn observe(
        &self,
        done: &Self::Done,
        cx: &Cx,
    ) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
    /// Judges what was seen at that time. No I/O.
    fn judge(&self, seen: &Self::Seen, at: Timestamp) -> Vec<Finding>;
    /// Is what was seen such that no further look can make it another?
    fn settled(&self, _seen: &Self::Seen) -> bool {
        false
    }
    /// For how long it is tried to put this back, each look and each try included.
    fn patience(_owed: &Self::Undo) -> Duration {
        Duration::secs(60)
    }
    /// Puts the change back. It is called once a round until the world is seen to be back, and after a crash by another
    /// process: what is back already is left as it is.
    fn revert(owed: &Self::Undo, cx: &Cx, by: &Owed) -> impl Future<Output = Result<(), StepError>> + Send;
    /// Looks whether the world is back.
    fn observe_reverted(
        owed: &Self::Undo,
        cx: &Cx,
    ) -> impl Future<Output = Result<Self::Reverted, StepError>> + Send;
    /// Judges whether the world is back. No I/O. `owed` is as it was kept: secrets are masked.
    fn judge_reverted(owed: &Self::Undo, seen: &Self::Reverted, at: Timestamp) -> Vec<Finding>;
    /// The setting that counts a list by itself, as a `JSONPath`.
    fn counted(&self) -> Option<&'static str> {
        None
    }
    /// A mistake in the settings that their types cannot say.
    fn mistake(&self) -> Option<SettingMistake> {
        None
    }
    /// A mistake in the step's `via`, which names a connection for this kind or does not.
    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        no_connection(Self::NAME, Self::ROLES, named)
    }
}

fn no_connection(kind: &str, roles: &[&str], named: bool) -> Option<SettingMistake> {
    let mistake = || SettingMistake::new(format!("`{kind}` uses no connection")).help("leave `via` out");
    (named && roles.is_empty()).then(mistake)
}

/// What is known of a kind without settings.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Name in scenario files.
    pub name: &'static str,
    /// Example as it stands below `check:` or `act:`.
    pub example: &'static str,
    /// What it judges by itself.
    pub judges: &'static str,
    /// The number of its judging rules.
    pub rules: u32,
    /// The roles it uses.
    pub roles: &'static [&'static str],
    /// Those of them that it can do without.
    pub optional: &'static [&'static str],
    /// Bounds one attempt unless the step says otherwise.
    pub timeout: Duration,
    /// Does it change the world?
    pub acts: bool,
    /// JSON Schema of its settings; the description is what the kind is for.
    pub settings: fn() -> Schema,
    /// JSON Schema of what it sees.
    pub seen: fn() -> Schema,
}

/// Every kind, checks first, each list in order of name. A check and an act may share a name.
pub fn kinds() -> impl Iterator<Item = &'static KindInfo> {
    AnyCheck::KINDS.iter().chain(AnyAct::KINDS)
}

impl KindInfo {
    /// What `via` can name a connection for: the roles; where there are none, the kind itself, which may read a path
    /// below a connection.
    pub fn takes(&self) -> Vec<&'static str> {
        if self.roles.is_empty() { vec![self.name] } else { self.roles.to_vec() }
    }
}

macro_rules! kinds {
    ($(#[$doc:meta])* $list:ident : $tr:ident, acts: $acts:literal { $($variant:ident => $spec:path),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub enum $list { $(#[doc = "See the settings."] $variant(Box<$spec>)),+ }
        impl $list {
            /// Every kind of the list.
            pub const KINDS: &'static [KindInfo] = &[$(KindInfo {
                name: <$spec as $tr>::NAME, example: <$spec as $tr>::EXAMPLE,
                judges: <$spec as $tr>::JUDGES, rules: <$spec as $tr>::RULES, roles: <$spec as $tr>::ROLES, optional: <$spec as $tr>::OPTIONAL, timeout: <$spec as $tr>::TIMEOUT, acts: $acts,
                settings: schema_of::<$spec>, seen: schema_of::<<$spec as $tr>::Seen>,
            }),+];
            /// What is known of the kind.
            pub fn info(&self) -> KindInfo {
                let name = match self { $(Self::$variant(_) => <$spec as $tr>::NAME),+ };
                Self::KINDS[Self::KINDS.iter().position(|kind| kind.name == name).unwrap_or_default()]
            }
            /// The judgement on a saved observation. One that cannot be read is undecided.
            pub fn judge(&self, seen: &Value, at: Timestamp) -> Vec<Finding> {
                match self { $(Self::$variant(kind) => match <$spec as $tr>::Seen::deserialize(seen) {
                    Ok(seen) => kind.judge(&seen, at),
                    Err(error) => vec![Finding::undecided("the observation can be read", "its documented shape", error.to_string())],
                }),+ }
            }
            /// The list that the kind counts by itself.
            pub fn counted(&self) -> Option<&'static str> { match self { $(Self::$variant(kind) => kind.counted()),+ } }
            /// A mistake in the settings that their types cannot say.
            pub fn mistake(&self) -> Option<SettingMistake> { match self { $(Self::$variant(kind) => kind.mistake()),+ } }
            /// A mistake in the step's `via`, which names a connection for this kind or does not.
            pub fn via_mistake(&self, named: bool) -> Option<SettingMistake> { match self { $(Self::$variant(kind) => kind.via_mistake(named)),+ } }
        }
    };
}

fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
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

/// Tells a value that is `null` from no value.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// The mistake of an `except` in which something stands without the reason why it `may` be as it is.
fn without_reason(except: &BTreeMap<String, String>, may: &str) -> Option<SettingMistake> {
    let (without, _) = except.iter().find(|(_, reason)| reason.trim().is_empty())?;
    Some(SettingMistake::new(format!("`except` needs the reason why `{without}` may {may}")))
}

macro_rules! checks { ($($variant:ident => $spec:path),+ $(,)?) => {
    kinds! { /// A step that reads.
        AnyCheck: Check, acts: false { $($variant => $spec),+ } }
    impl AnyCheck {
        /// One look at the world, as JSON of the documented shape.
        ///
        /// # Errors
        /// When nothing could be seen.
        pub async fn observe(&self, cx: &Cx) -> Result<Value, StepError> {
            match self { $(Self::$variant(kind) => as_json(&Box::pin(kind.observe(cx)).await?)),+ }
        }
    }
} }

macro_rules! acts { ($($variant:ident => $spec:path),+ $(,)?) => {
    kinds! { /// A step that changes the world.
        AnyAct: Act, acts: true { $($variant => $spec),+ } }
    impl AnyAct {
        /// Makes the change, once, and hands back what the looks need to know of it.
        ///
        /// # Errors
        /// When the change could not be made.
        pub async fn act(&self, cx: &Cx, ledger: &Ledger, by: &By) -> Result<Value, StepError> {
            match self { $(Self::$variant(kind) => {
                as_json(&Box::pin(kind.act(cx, &Promises::new(ledger, by))).await?)
            }),+ }
        }
        /// One look at what became of it, as JSON of the documented shape.
        ///
        /// # Errors
        /// When nothing could be seen.
        pub async fn observe(&self, done: &Value, cx: &Cx) -> Result<Value, StepError> {
            match self { $(Self::$variant(kind) => {
                as_json(&Box::pin(kind.observe(&of_json(done)?, cx)).await?)
            }),+ }
        }
        /// The permissions that these settings need.
        pub fn needs(&self) -> &'static [Permission] { match self { $(Self::$variant(kind) => kind.needs()),+ } }
        /// Do these settings promise to put the change back?
        pub fn promises(&self) -> bool { match self { $(Self::$variant(kind) => kind.promises()),+ } }
        /// The role that a setting names a connection for by itself, and that name.
        pub fn named(&self) -> Option<(&'static str, &str)> { match self { $(Self::$variant(kind) => kind.named()),+ } }
        /// What is known of the kind, with the roles that these settings use.
        pub fn used(&self) -> KindInfo {
            let roles = match self { $(Self::$variant(kind) => kind.roles()),+ };
            KindInfo { roles, ..self.info() }
        }
        /// Can no further look make what was seen another?
        pub fn settled(&self, seen: &Value) -> bool {
            match self { $(Self::$variant(kind) => of_json(seen).is_ok_and(|seen| kind.settled(&seen))),+ }
        }
        /// The roles that putting back a change of this kind uses; all of the kind where the way back is not known.
        pub fn roles_back(kind: &str, undo: Option<&Value>) -> &'static [&'static str] {
            $(if kind == <$spec as Act>::NAME {
                let undo = undo.and_then(|undo| of_json(undo).ok());
                return undo.map_or(<$spec as Act>::ROLES, |undo| <$spec as Act>::roles_back(&undo));
            })+
            &[]
        }
        /// For how long it looks unless the step says otherwise.
        pub fn within(&self) -> Option<Duration> { match self { $(Self::$variant(_) => <$spec as Act>::WITHIN),+ } }
        /// When its promises are kept unless the step says otherwise.
        pub fn until(&self) -> Until { match self { $(Self::$variant(_) => <$spec as Act>::UNTIL),+ } }

        /// For how long it is tried to put a change of this kind back.
        pub fn patience(kind: &str, undo: &Value) -> Duration {
            $(if kind == <$spec as Act>::NAME && let Ok(undo) = of_json(undo) { return <$spec as Act>::patience(&undo); })+
            Duration::default()
        }
        /// Puts a change of this kind back, and looks whether the world is back, as JSON.
        ///
        /// # Errors
        /// When it could not be put back, or nothing could be seen; a kind or a way back that this program does not know.
        pub async fn revert(kind: &str, undo: &Value, cx: &Cx, by: &Owed) -> Result<Value, StepError> {
            $(if kind == <$spec as Act>::NAME {
                let undo = of_json(undo)?;
                Box::pin(<$spec as Act>::revert(&undo, cx, by)).await?;
                return as_json(&Box::pin(<$spec as Act>::observe_reverted(&undo, cx)).await?);
            })+
            let message = format!("this program knows no act `{kind}`");
            Err(StepError::new(ErrorCode::Unsupported, message).help("the one that made the change does"))
        }
        /// The judgement on a saved look at a world that should be back.
        pub fn judge_reverted(kind: &str, undo: &Value, seen: &Value, at: Timestamp) -> Vec<Finding> {
            $(if kind == <$spec as Act>::NAME {
                return match (of_json(undo), of_json(seen)) {
                    (Ok(undo), Ok(seen)) => <$spec as Act>::judge_reverted(&undo, &seen, at),
                    (undo, seen) => {
                        let errors = [undo.err(), seen.err()].into_iter().flatten().map(|error| error.to_string());
                        let why = errors.collect::<Vec<_>>().join("; ");
                        vec![Finding::undecided("the way back and the observation can be read", "their shapes", why)]
                    }
                };
            })+
            vec![Finding::undecided("the world is back", "a kind that this program knows", kind)]
        }
    }
} }

mod alert_drill;
mod alert_silence;
mod alertmanager_alerts;
mod alertmanager_routes;
mod alertmanager_status;
mod archive;
mod backup;
mod backup_catalogue;
mod backup_prune;
mod backup_verify;
mod command;
mod file;
mod http;
#[cfg(test)]
mod judgements;
mod log_lines;
mod metrics;
mod prometheus_alerts;
mod postgres_query;
mod postgres_tables;
mod process_stop;
mod prometheus_query;
mod prometheus_rules;
mod prometheus_series;
mod prometheus_status;
mod prometheus_targets;
mod restore_drill;
mod s3_bucket;
mod s3_objects;
mod target;

checks! {
    AlertmanagerAlerts => alertmanager_alerts::AlertmanagerAlerts,
    AlertmanagerRoutes => alertmanager_routes::AlertmanagerRoutes,
    AlertmanagerStatus => alertmanager_status::AlertmanagerStatus,
    BackupCatalogue => backup_catalogue::BackupCatalogue,
    BackupVerify => backup_verify::BackupVerify,
    File => file::File,
    Http => http::Http,
    LogLines => log_lines::LogLines,
    Metrics => metrics::Metrics,
    PostgresQuery => postgres_query::PostgresQuery,
    PostgresTables => postgres_tables::PostgresTables,
    PrometheusAlerts => prometheus_alerts::PrometheusAlerts,
    PrometheusQuery => prometheus_query::PrometheusQuery,
    PrometheusRules => prometheus_rules::PrometheusRules,
    PrometheusSeries => prometheus_series::PrometheusSeries,
    PrometheusStatus => prometheus_status::PrometheusStatus,
    PrometheusTargets => prometheus_targets::PrometheusTargets,
    S3Bucket => s3_bucket::S3Bucket,
    S3Objects => s3_objects::S3Objects,
}

acts! {
    AlertDrill => alert_drill::AlertDrill,
    AlertSilence => alert_silence::AlertSilence,
    Backup => backup::Backup,
    BackupPrune => backup_prune::BackupPrune,
    Command => command::Command,
    Http => http::change::HttpChange,
    ProcessStop => process_stop::ProcessStop,
    RestoreDrill => restore_drill::RestoreDrill,
}
