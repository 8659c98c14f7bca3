//! Defines the kinds of steps: the settings of a step implement [`Kind`], and [`Check`] or [`Act`]. This module does
//! not know which kinds exist.

use jiff::Timestamp;
use proofmark_environment::Systems;
use proofmark_evidence::undo::{Promises, RevertPermit, Until};
use proofmark_model::clock::Clock;
use proofmark_model::{CodedError, Duration, ErrorCode, Finding, Permission, SettingMistake};
use proofmark_net::Log;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// Everything that a step may use.
#[derive(Debug, Clone)]
pub struct Cx {
    /// The current time. Steps never sleep.
    pub clock: Clock,
    /// The connections of the environment.
    pub systems: Arc<Systems>,
    /// The connection for each role, where the step names one with `via`.
    pub via: BTreeMap<String, String>,
    /// Records every exchange with a system.
    pub log: Log,
    /// The time left for this attempt.
    pub timeout: Duration,
}

impl Cx {
    /// Returns the wire to the system that serves a role: the connection that `via` names for the role, else the one
    /// named like the role.
    ///
    /// # Errors
    /// When the environment has no such connection.
    pub fn wire(&self, role: &str) -> Result<Endpoint<'_>, StepError> {
        let name = self.via.get(role).map_or(role, String::as_str);
        let connection = self.systems.connections.get(name).ok_or_else(|| {
            let known: Vec<_> = self.systems.connections.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("there is no connection `{name}` for the role `{role}` (known: {known})");
            StepError::new(ErrorCode::MissingConnection, message).help(format!(
                "write `connections: {{ {name}: {{ url: … }} }}` into the environment file, or name another with `via`"
            ))
        })?;
        Ok(Endpoint { connection: Some(connection), ..self.open_wire() })
    }

    /// Returns a wire to an absolute URL, without any login.
    pub fn open_wire(&self) -> Endpoint<'_> {
        Endpoint {
            clock: &self.clock,
            systems: &self.systems,
            log: &self.log,
            connection: None,
            timeout: self.timeout.0,
        }
    }
}

/// Why a step observed nothing or could not act.
pub type StepError = CodedError;

/// Enough for a request and its response. Kinds that move whole databases set more.
const TIMEOUT: Duration = Duration::secs(30);

/// The settings of a step, and the judgement of its observation. Judging needs no I/O.
pub trait Kind: Serialize + DeserializeOwned + JsonSchema + std::fmt::Debug + Send + Sync + 'static {
    /// The kind's name in scenario files, kebab-case.
    const NAME: &'static str;
    /// One example as it is written under `check:` or `act:`; a test parses it.
    const EXAMPLE: &'static str;
    /// The judgements that it makes by itself, in one or two sentences.
    const JUDGES: &'static str;
    /// The version of the judging rules, raised when `judge` or `judge_reverted` comes to different conclusions.
    const RULES: u32;
    /// The roles it uses.
    const ROLES: &'static [&'static str];
    /// The optional ones among these roles: used if the environment has a connection for them.
    const OPTIONAL: &'static [&'static str] = &[];
    /// Limits one observation, and each exchange of a change. A step overrides it with `timeout`.
    const TIMEOUT: Duration = TIMEOUT;
    /// The observation.
    type Seen: Serialize + DeserializeOwned + JsonSchema + Send;
    /// Judges an observation made at `at`. No I/O.
    fn judge(&self, seen: &Self::Seen, at: Timestamp) -> Vec<Finding>;
    /// The list that the kind counts by itself, as a `JSONPath`. An `expect` on it replaces the kind's own rule about
    /// zero.
    fn counted(&self) -> Option<&'static str> {
        None
    }
    /// A mistake in the settings that their types cannot express.
    fn mistake(&self) -> Option<SettingMistake> {
        None
    }
    /// A mistake in the step's `via`; `named` says whether it names a connection for this kind.
    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        let mistake =
            || SettingMistake::new(format!("`{}` uses no connection", Self::NAME)).help("leave `via` out");
        (named && Self::ROLES.is_empty()).then(mistake)
    }
}

/// A step that reads. It cannot change anything, because it cannot obtain a `Promise` or a `Final`.
pub trait Check: Kind {
    /// Makes one observation.
    fn observe(&self, cx: &Cx) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
}

/// A step that makes one change, under a promise or finally. It then observes as often as `within` requires, puts back
/// what it promised, and observes again.
pub trait Act: Kind {
    /// How long it observes. `None`: one observation is enough. A step overrides it with `within`.
    const WITHIN: Option<Duration> = None;
    /// When its promises are due. A step overrides it with `until`.
    const UNTIL: Until = Until::Step;
    /// The result of the change, for the observations that follow. It is not kept in evidence.
    type Done: Serialize + DeserializeOwned + Send + Sync;
    /// The undo data that is written down; `Nothing` for a kind that never promises.
    type Undo: Serialize + DeserializeOwned + Send + Sync;
    /// The observation after the change was put back.
    type Reverted: Serialize + DeserializeOwned + Send;
    /// State kept between observations, or between attempts to put the change back. It is not kept in evidence.
    type Memory: Default + Send + 'static;
    /// The permissions that these settings need.
    fn needs(&self) -> &'static [Permission];
    /// The roles that these settings use. Default: all.
    fn roles(&self) -> &'static [&'static str] {
        Self::ROLES
    }
    /// The role for which a setting itself names a connection, and the name of that connection.
    fn named(&self) -> Option<(&'static str, &str)> {
        None
    }
    /// The roles used to put this back. Default: all.
    fn roles_back(_owed: &Self::Undo) -> &'static [&'static str] {
        Self::ROLES
    }
    /// Returns whether these settings promise to put the change back. Otherwise it is final.
    fn promises(&self) -> bool;
    /// Makes the change. It is never cancelled and never repeated.
    fn act(
        &self,
        cx: &Cx,
        promises: &Promises<'_, Self::Undo>,
    ) -> impl Future<Output = Result<Self::Done, StepError>> + Send;
    /// Makes one observation of the result.
    fn observe(
        &self,
        done: &Self::Done,
        cx: &Cx,
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
    /// Returns whether no further observation can differ from this one. Default: `false`.
    fn settled(&self, _seen: &Self::Seen) -> bool {
        false
    }
    /// How long to try to put this back, including observations and attempts. Default: 60 s.
    fn patience(_owed: &Self::Undo) -> Duration {
        Duration::secs(60)
    }
    /// Puts the change back. It is called once per round until the change is seen to be undone, and after a crash by
    /// another process, so it must leave alone what is undone already.
    fn revert(
        owed: &Self::Undo,
        cx: &Cx,
        by: &RevertPermit,
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<(), StepError>> + Send;
    /// Observes whether the change is undone.
    fn observe_reverted(
        owed: &Self::Undo,
        cx: &Cx,
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<Self::Reverted, StepError>> + Send;
    /// Judges whether the change is undone. No I/O. `owed` is the recorded undo data, with secrets masked.
    fn judge_reverted(owed: &Self::Undo, seen: &Self::Reverted, at: Timestamp) -> Vec<Finding>;
}
