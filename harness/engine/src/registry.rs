//! The kinds that a program knows: systems, each with its checks and acts. What is read, run or judged is looked up here
//! by name.

use super::erased::{ActKind, AnyAct, AnyCheck, CheckKind, KindInfo, Memory};
use super::kind::{Cx, StepError};
use jiff::Timestamp;
use proofmark_environment::document::{Document, Node};
use proofmark_environment::{Dialer, ENV, FILE, Role, SecretSource, Vocabulary};
use proofmark_evidence::undo::RevertPermit;
use proofmark_model::diag::Diag;
use proofmark_model::{Duration, ErrorCode, Finding};
use serde::de::Error as _;
use serde_json::Value;
use std::sync::Arc;

/// A system that can be checked: everything that a program knows of it.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Its name, as its feature is called.
    pub name: &'static str,
    /// What a connection may serve it as.
    pub roles: &'static [&'static Role],
    /// Where it has secrets that an environment may refer to.
    pub sources: &'static [&'static SecretSource],
    /// What may replace the `url` of a connection.
    pub dialers: &'static [&'static Dialer],
    /// Its kinds that read.
    pub checks: &'static [CheckKind],
    /// Its kinds that change the world.
    pub acts: &'static [ActKind],
}

impl System {
    /// One that brings nothing: what a system does not have is taken from here.
    pub const EMPTY: Self = Self { name: "", roles: &[], sources: &[], dialers: &[], checks: &[], acts: &[] };
}

/// What to do where a program was built without a feature.
pub fn feature_advice(feature: &str) -> String {
    format!("use a program that was built with the feature `{feature}`, or with `full`")
}

/// The systems that a program was built with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    checks: Vec<CheckKind>,
    acts: Vec<ActKind>,
    /// The names of both lists, in their order, as serde wants them: for as long as the program lives.
    names: [&'static [&'static str]; 2],
    vocabulary: Vocabulary,
    optional: Optional,
}

/// The kinds of systems that a program can be built without: the feature, and the names of its kinds.
pub type Optional = &'static [(&'static str, &'static [&'static str])];

impl Registry {
    /// Of these systems, with the names of those that may be missing. It is made once in a program: the names of the kinds
    /// are never freed.
    pub fn new<'s>(systems: impl IntoIterator<Item = &'s System>, optional: Optional) -> Self {
        let (mut checks, mut acts) = (vec![], vec![]);
        let (mut roles, mut sources, mut dialers) = (vec![], vec![&ENV, &FILE], vec![]);
        for system in systems {
            checks.extend_from_slice(system.checks);
            acts.extend_from_slice(system.acts);
            roles.extend_from_slice(system.roles);
            sources.extend_from_slice(system.sources);
            dialers.extend_from_slice(system.dialers);
        }
        checks.sort_by_key(|kind: &CheckKind| kind.info.name);
        acts.sort_by_key(|kind: &ActKind| kind.info.name);
        let names = |infos: Vec<&'static str>| -> &'static [&'static str] { infos.leak() };
        let names = [
            names(checks.iter().map(|kind| kind.info.name).collect()),
            names(acts.iter().map(|kind| kind.info.name).collect()),
        ];
        let vocabulary = Vocabulary { roles: roles.leak(), sources: sources.leak(), dialers: dialers.leak() };
        Self(Arc::new(Lists { checks, acts, names, vocabulary, optional }))
    }

    /// What an environment may name: the roles, sources of secrets and dialers of the systems.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.0.vocabulary
    }

    /// Every kind, checks first, each list in order of name. A check and an act may share a name.
    pub fn kinds(&self) -> impl Iterator<Item = &KindInfo> {
        self.list(false).chain(self.list(true))
    }

    /// The kinds of one list, in order of name: those that act, or those that read.
    pub fn list(&self, acts: bool) -> Box<dyn Iterator<Item = &KindInfo> + '_> {
        if acts {
            Box::new(self.0.acts.iter().map(|kind| &kind.info))
        } else {
            Box::new(self.0.checks.iter().map(|kind| &kind.info))
        }
    }

    /// A kind of one list.
    pub fn kind(&self, name: &str, acts: bool) -> Option<&KindInfo> {
        self.list(acts).find(|kind| kind.name == name)
    }

    /// The feature that this program was built without and that would bring a kind of this name; `None` where it has the
    /// kind, or no feature brings it.
    pub fn missing_feature(&self, name: &str) -> Option<&'static str> {
        if self.kinds().any(|kind| kind.name == name) {
            return None;
        }
        self.0.optional.iter().find(|(_, kinds)| kinds.contains(&name)).map(|(feature, _)| *feature)
    }

    /// Reads a check, written as `name: { settings }`, at its place in a file.
    ///
    /// # Errors
    /// The first mistake: an unknown name, several names, a setting that cannot be read.
    pub fn check(&self, document: &Document, node: &Node) -> Result<AnyCheck, Diag> {
        let (place, settings) = document.named(node, self.0.names[0])?;
        (self.0.checks[place].typed)(document, settings)
    }

    /// The same for an act.
    ///
    /// # Errors
    /// As for a check.
    pub fn act(&self, document: &Document, node: &Node) -> Result<AnyAct, Diag> {
        let (place, settings) = document.named(node, self.0.names[1])?;
        (self.0.acts[place].typed)(document, settings)
    }

    /// A check from its name and its settings as they were kept.
    ///
    /// # Errors
    /// A kind that this program lacks, and settings that it cannot read.
    pub fn check_of(&self, name: &str, settings: &Value) -> Result<AnyCheck, serde_json::Error> {
        let kind = self.0.checks.iter().find(|kind| kind.info.name == name);
        (kind.ok_or_else(|| unknown(name))?.of_json)(settings)
    }

    /// An act from its name and its settings as they were kept.
    ///
    /// # Errors
    /// A kind that this program lacks, and settings that it cannot read.
    pub fn act_of(&self, name: &str, settings: &Value) -> Result<AnyAct, serde_json::Error> {
        (self.by_name(name).ok_or_else(|| unknown(name))?.of_json)(settings)
    }

    /// A check from JSON: `{name: settings}`.
    ///
    /// # Errors
    /// Anything else, a kind that this program lacks, and settings that it cannot read.
    pub fn check_of_json(&self, tagged: &Value) -> Result<AnyCheck, serde_json::Error> {
        let (name, settings) = parts(tagged)?;
        self.check_of(name, settings)
    }

    /// An act from JSON: `{name: settings}`.
    ///
    /// # Errors
    /// Anything else, a kind that this program lacks, and settings that it cannot read.
    pub fn act_of_json(&self, tagged: &Value) -> Result<AnyAct, serde_json::Error> {
        let (name, settings) = parts(tagged)?;
        self.act_of(name, settings)
    }

    /// The roles that putting back a change of this kind uses; all of the kind where the way back is not known.
    pub fn roles_back(&self, kind: &str, undo: Option<&Value>) -> &'static [&'static str] {
        self.by_name(kind).map_or(&[], |kind| (kind.roles_back)(undo))
    }

    /// For how long it is tried to put a change of this kind back.
    pub fn patience(&self, kind: &str, undo: &Value) -> Duration {
        self.by_name(kind).map(|kind| (kind.patience)(undo)).unwrap_or_default()
    }

    /// Puts a change of this kind back, and looks whether the world is back, as JSON.
    ///
    /// # Errors
    /// When it could not be put back, or nothing could be seen; a kind or a way back that this program does not know.
    pub async fn revert(
        &self,
        kind: &str,
        undo: &Value,
        (cx, by): (&Cx, &RevertPermit),
        memory: &mut Memory,
    ) -> Result<Value, StepError> {
        let Some(known) = self.by_name(kind) else {
            let message = format!("this program knows no act `{kind}`");
            return Err(
                StepError::new(ErrorCode::Unsupported, message).help("the one that made the change does")
            );
        };
        (known.revert)(undo, cx, by, memory).await
    }

    /// The judgement on a saved look at a world that should be back.
    pub fn judge_reverted(&self, kind: &str, undo: &Value, seen: &Value, at: Timestamp) -> Vec<Finding> {
        match self.by_name(kind) {
            Some(known) => (known.judge_reverted)(undo, seen, at),
            None => vec![Finding::undecided("the world is back", "a kind that this program knows", kind)],
        }
    }

    fn by_name(&self, name: &str) -> Option<&ActKind> {
        self.0.acts.iter().find(|kind| kind.info.name == name)
    }
}

fn unknown(name: &str) -> serde_json::Error {
    serde_json::Error::custom(format!("this program knows no kind `{name}`"))
}

fn parts(tagged: &Value) -> Result<(&str, &Value), serde_json::Error> {
    let mut entries = tagged.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, settings)), None) => Ok((name.as_str(), settings)),
        _ => Err(serde_json::Error::custom("a kind is written as one name with its settings")),
    }
}
