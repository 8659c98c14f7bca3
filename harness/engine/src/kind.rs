//! What a kind of step is: the settings of a step implement [`Kind`], and [`Check`] or [`Act`]. Nothing here knows which
//! kinds there are.

use jiff::Timestamp;
use proofmark_environment::Systems;
use proofmark_evidence::undo::{Owed, Promises, Until};
use proofmark_model::clock::Clock;
use proofmark_model::{CodedError, Duration, ErrorCode, Finding, Permission, SettingMistake};
use proofmark_net::Log;
use proofmark_net::http::Wire;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
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

/// The settings of a step, and how what the step saw is judged. Judging needs no I/O.
pub trait Kind: Serialize + DeserializeOwned + JsonSchema + std::fmt::Debug + Send + Sync + 'static {
    /// The kind's name in scenario files, kebab-case.
    const NAME: &'static str;
    /// One example as it is written below `check:` or `act:`; a test parses it.
    const EXAMPLE: &'static str;
    /// What it judges by itself, in one sentence or two.
    const JUDGES: &'static str;
    /// The number of the judging rules, raised when `judge` or `judge_reverted` changes its mind.
    const RULES: u32;
    /// The roles it uses.
    const ROLES: &'static [&'static str];
    /// Those of them that it can do without: used where the environment has a connection for them.
    const OPTIONAL: &'static [&'static str] = &[];
    /// Bounds one observation, and each exchange of a change, unless the step says otherwise with `timeout`.
    const TIMEOUT: Duration = TIMEOUT;
    /// What it sees.
    type Seen: Serialize + DeserializeOwned + JsonSchema + Send;
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
        let mistake =
            || SettingMistake::new(format!("`{}` uses no connection", Self::NAME)).help("leave `via` out");
        (named && Self::ROLES.is_empty()).then(mistake)
    }
}

/// Reads. Cannot change anything: it has no way to obtain a `Promise` or a `Final`.
pub trait Check: Kind {
    /// Looks at the world, once.
    fn observe(&self, cx: &Cx) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
}

/// Changes the world once: under a promise, or finally. Then looks, as often as `within` asks; then puts back what it
/// promised, and looks again.
pub trait Act: Kind {
    /// For how long it looks unless the step says otherwise with `within`; `None`: one look says everything.
    const WITHIN: Option<Duration> = None;
    /// When its promises are kept unless the step says otherwise with `until`.
    const UNTIL: Until = Until::Step;
    /// What the change itself gave, for the observations that follow. It is not kept.
    type Done: Serialize + DeserializeOwned + Send + Sync;
    /// The way back, as it is written down; `Nothing` where none is ever promised.
    type Undo: Serialize + DeserializeOwned + Send + Sync;
    /// What is seen once the change was put back.
    type Reverted: Serialize + DeserializeOwned + Send;
    /// What it remembers from one observation to the next, or from one attempt to put back to the next. It is not kept.
    type Memory: Default + Send + 'static;
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
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<Self::Seen, StepError>> + Send;
    /// Returns whether what was seen is such that no further observation can change it.
    fn settled(&self, _seen: &Self::Seen) -> bool {
        false
    }
    /// For how long it is tried to put this back, each observation and each attempt included.
    fn patience(_owed: &Self::Undo) -> Duration {
        Duration::secs(60)
    }
    /// Puts the change back. It is called once a round until the world is seen to be back, and after a crash by another
    /// process: what is back already is left as it is.
    fn revert(
        owed: &Self::Undo,
        cx: &Cx,
        by: &Owed,
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<(), StepError>> + Send;
    /// Looks whether the world is back.
    fn observe_reverted(
        owed: &Self::Undo,
        cx: &Cx,
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<Self::Reverted, StepError>> + Send;
    /// Judges whether the world is back. No I/O. `owed` is as it was kept: secrets are masked.
    fn judge_reverted(owed: &Self::Undo, seen: &Self::Reverted, at: Timestamp) -> Vec<Finding>;
}
