//! `backup-prune`: deletes old backups by rules. Nothing is deleted before the newest that stays was read to its last byte;
//! what was deleted is looked for again.

use super::archive::{looked_at, named};
use super::backup::back;
use super::backup_verify::Tier;
use crate::create::existing;
use crate::events::{Events, EventsTo};
use crate::prune::{self, Pruned, Stays, Survey, Undo};
use crate::retention::Rules;
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_environment::Connection;
use proofmark_evidence::undo::{Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake, Verdict};
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

const STORE: &str = "store";

/// Deletes old backups: those that no rule keeps. It needs `keep-last`, `keep-within`, or both.
///
/// The newest that stays is verified first; where it is not sound, nothing is deleted. The store, or `prefix` in it, has to
/// hold the backups of one database. How old a backup is says the store's clock; one of the future is kept. Of a bucket
/// that keeps versions every version is deleted, for good. A backup that a lock keeps is left whole. Archives without a
/// manifest are left alone unless `foreign` says that they are backups.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupPrune {
    /// Only names that begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// So many of the newest stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<usize>,
    /// Those that are no older stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_within: Option<Duration>,
    /// So many remain however old they are; 1 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_at_least: Option<usize>,
    /// How deep the newest is looked at before anything is deleted: `T0` its bytes, `T1` also that it decodes and holds
    /// every row; `T1` if it is not said.
    #[serde(default)]
    pub verify: Tier,
    /// Archives without a manifest are backups too, whatever they are named: everything below `prefix` then goes by these
    /// rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// A folder of this machine with copies, which are deleted by the same rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// Where events go, as JSON lines: `prune_remote_started`, `prune_remote_completed`, `prune_remote_failed`, and the same
    /// with `local` for a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTo>,
    /// Only say what would be deleted. Such a step is undecided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What is seen of backups of which half was deleted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupPruneReverted {
    unfinished: Vec<String>,
}

impl Kind for BackupPrune {
    const NAME: &'static str = "backup-prune";
    const EXAMPLE: &'static str = "backup-prune: { keep-last: 30, keep-within: 30d }";
    const JUDGES: &'static str = "There is a backup (none is undecided), the newest that stays was verified as `backup-verify` does, and all are of one database; else nothing is deleted. Looked at again, all that the rules let go is gone, with every version, but for what a lock keeps; all that stays is there; and no fewer remain than `keep-at-least`.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[STORE];
    const TIMEOUT: Duration = Duration::secs(12 * 3600);
    type Seen = Pruned;

    fn judge(&self, seen: &Pruned, _at: Timestamp) -> Vec<Finding> {
        let mut findings = self.judge_place(seen);
        findings.extend(seen.local.iter().flat_map(|local| self.judge_place(local)));
        findings
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let none = self.keep_last.is_none() && self.keep_within.is_none();
        let zero = self.keep_last == Some(0)
            || self.keep_at_least == Some(0)
            || self.keep_within.is_some_and(|within| within.0.is_zero());
        if none {
            return Some(
                SettingMistake::new("nothing says which backups stay")
                    .help("add `keep-last: 30`, `keep-within: 30d`, or both"),
            );
        }
        zero.then(|| {
            SettingMistake::new("a rule that keeps nothing is none, and the newest always stays")
                .help("leave it out")
        })
    }
}

impl Act for BackupPrune {
    type Done = Pruned;
    type Undo = Undo;
    type Reverted = BackupPruneReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        if self.dry_run { &[] } else { &[Permission::Destroy] }
    }

    fn roles_back(owed: &Undo) -> &'static [&'static str] {
        if owed.folder.is_some() { &[] } else { &[STORE] }
    }

    /// What is deleted is not put back; only that no half of a backup stays is promised on the way.
    fn promises(&self) -> bool {
        false
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Undo>) -> Result<Pruned, StepError> {
        let local = self.folder()?;
        let wires = wires(cx, local.as_ref())?;
        let (prefix, rules) = (self.prefix(), self.rules());
        let (mut places, began) = (vec![], cx.clock.elapsed());
        let to = self.events.as_ref().filter(|_| !self.dry_run);
        let events = Events::open(to, "backup", (&cx.clock, &cx.systems.redactor))?;
        for (wire, _) in &wires {
            places.push(prune::survey(*wire, prefix, &rules).await?);
        }
        if !self.dry_run {
            for ((wire, _), place) in wires.iter().zip(&mut places) {
                place.verify(*wire, self.verify == Tier::T1).await?;
            }
        }
        match places.iter().find_map(|place| self.refusal(&place.seen)) {
            Some(why) => places.iter_mut().for_each(|place| place.seen.refused = Some(why.clone())),
            None => {
                for (at, place) in wires.iter().zip(&mut places) {
                    events.tell(&format!("prune_{}_started", side(&place.seen)), "info", &[]);
                    place.delete(*at, prefix, promises).await;
                }
            }
        }
        for ((wire, _), place) in wires.iter().zip(&places).filter(|_| to.is_some()) {
            self.tell(&events, place.seen.clone(), (*wire, began)).await;
        }
        let mut seen = places.into_iter().map(|Survey { seen, .. }| seen);
        let first =
            seen.next().ok_or_else(|| StepError::new(ErrorCode::Internal, "there is no place to prune"))?;
        Ok(Pruned { local: seen.next().map(Box::new), ..first })
    }

    async fn observe(&self, done: &Pruned, cx: &Cx, _memory: &mut ()) -> Result<Pruned, StepError> {
        let local = self.folder()?;
        let mut seen = done.clone();
        let mut wires = wires(cx, local.as_ref())?.into_iter().map(|(wire, _)| wire);
        let mut place = Some(&mut seen);
        while let (Some(pruned), Some(wire)) = (place, wires.next()) {
            if pruned.refused.is_none() {
                prune::look(pruned, wire, self.prefix()).await?;
            }
            place = pruned.local.as_deref_mut();
        }
        Ok(seen)
    }

    async fn revert(owed: &Undo, cx: &Cx, by: &RevertPermit, _memory: &mut ()) -> Result<(), StepError> {
        Ok(prune::finish(owed, back(owed.folder.as_ref(), cx)?, by).await?)
    }

    async fn observe_reverted(
        owed: &Undo,
        cx: &Cx,
        _memory: &mut (),
    ) -> Result<BackupPruneReverted, StepError> {
        Ok(BackupPruneReverted {
            unfinished: prune::unfinished(owed, back(owed.folder.as_ref(), cx)?).await?,
        })
    }

    fn judge_reverted(_owed: &Undo, seen: &BackupPruneReverted, _at: Timestamp) -> Vec<Finding> {
        vec![named("no half of a pruned backup is left", "none", "none", seen.unfinished.clone())]
    }
}

impl BackupPrune {
    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn rules(&self) -> Rules {
        Rules {
            last: self.keep_last,
            within: self.keep_within.map(|within| within.0),
            at_least: self.floor(),
            foreign: self.foreign,
        }
    }

    /// Tells how it ended in one place, after another look at it.
    async fn tell(
        &self,
        events: &Events<'_>,
        mut seen: Pruned,
        (wire, began): (Endpoint<'_>, std::time::Duration),
    ) {
        let mut error = seen.refused.clone();
        if error.is_none() {
            error = prune::look(&mut seen, wire, self.prefix()).await.err().map(|error| error.to_string());
        }
        let error = error.or_else(|| seen.failed.first().map(|one| format!("{}: {}", one.archive, one.why)));
        let took = wire.clock.elapsed().saturating_sub(began).as_secs_f64();
        let mut fields = vec![
            ("found_count", json!(seen.kept.len() + seen.to_delete.len())),
            ("kept_count", json!(seen.kept.len())),
            ("deleted_count", json!(seen.deleted.len())),
            ("backup_keep", json!(self.keep_last)),
            ("duration_sec", json!(took)),
        ];
        let (how, level) = if error.is_some() { ("failed", "error") } else { ("completed", "info") };
        fields.extend(error.map(|error| ("error", json!(error))));
        events.tell(&format!("prune_{}_{how}", side(&seen)), level, &fields);
    }

    fn floor(&self) -> usize {
        self.keep_at_least.unwrap_or(1)
    }

    fn folder(&self) -> Result<Option<Connection>, StepError> {
        Ok(self.local.as_deref().map(|folder| existing(Path::new(folder))).transpose()?)
    }

    /// Why nothing may be deleted, anywhere, if this is seen in one place.
    pub(super) fn refusal(&self, seen: &Pruned) -> Option<String> {
        if self.dry_run {
            return Some("a dry run".into());
        }
        if seen.kept.is_empty() {
            return Some(format!("there is no backup in {}", seen.store));
        }
        let odd = self.verified(seen).into_iter().find(|finding| finding.verdict != Verdict::Passed);
        let odd = odd.map(|odd| format!("the newest in {} is not verified: {}", seen.store, odd.what));
        odd.or_else(|| {
            let of = seen.databases.join(", ");
            (seen.databases.len() > 1)
                .then(|| format!("{} holds backups of several databases: {of}", seen.store))
        })
    }

    fn verified(&self, seen: &Pruned) -> Vec<Finding> {
        // Where it was refused, that is said elsewhere.
        if seen.verified.is_empty() && seen.refused.is_none() {
            return vec![Finding::undecided(
                "the newest that stays is verified",
                "a backup that was read",
                "none",
            )];
        }
        seen.verified.iter().flat_map(|verified| looked_at(verified, self.verify == Tier::T1)).collect()
    }

    fn judge_place(&self, seen: &Pruned) -> Vec<Finding> {
        let store = &seen.store;
        let there = format!("there is a backup in {store}");
        if seen.kept.is_empty() {
            let others = seen.without_manifest.len();
            return vec![Finding::undecided(there, "a backup", "none").with_help(format!(
                "nothing was deleted; are `url` and `prefix` right? archives without a manifest: {others}; if another tool made them say `foreign: true`"
            ))];
        }
        let several = Finding::judged(
            format!("all in {store} are of one database"),
            "at most one database",
            seen.databases.clone(),
            seen.databases.len() <= 1,
        );
        let mut findings = vec![Finding::judged(there, "a backup", seen.kept[0].archive.clone(), true)];
        findings
            .push(several.with_help("the rules would count them together; name those of one with `prefix`"));
        findings.extend(self.verified(seen));
        findings.push(gone(seen));
        findings.extend(self.remaining(seen));
        findings
    }

    /// What stays is there, and enough of it.
    fn remaining(&self, seen: &Pruned) -> Vec<Finding> {
        let Some(remaining) = seen.remaining else { return vec![] };
        let (all, stays) = (seen.kept.len() + seen.to_delete.len(), seen.kept.len());
        let floor = self.floor().min(all);
        let words = |count| format!("{count} backups");
        vec![
            named(
                &format!("what stays in {} is there", seen.store),
                words(stays),
                words(stays - seen.missing.len().min(stays)),
                seen.missing.iter().map(|archive| format!("{archive} is not there any more")).collect(),
            ),
            Finding::judged(
                format!("enough remain in {}", seen.store),
                format!("at least {floor} backups"),
                words(remaining),
                remaining >= floor,
            ),
        ]
    }
}

/// How events call the place.
fn side(seen: &Pruned) -> &'static str {
    if seen.store.starts_with("s3://") { "remote" } else { "local" }
}

/// The store, and the folder if there is one.
fn wires<'a>(cx: &'a Cx, local: Option<&'a Connection>) -> Result<Vec<(Endpoint<'a>, bool)>, StepError> {
    let store = cx.wire(STORE)?;
    let local = local.map(|connection| (Endpoint { connection: Some(connection), ..store }, true));
    Ok([(store, false)].into_iter().chain(local).collect())
}

/// What the rules let go is gone, but for what a lock keeps.
fn gone(seen: &Pruned) -> Finding {
    let what = format!("what the rules let go in {} is gone", seen.store);
    let expected = format!("{} backups", seen.to_delete.len() - seen.locked.len().min(seen.to_delete.len()));
    let words = |stays: &Stays| format!("{}: {}", stays.archive, stays.why);
    if let Some(why) = &seen.refused {
        let would = format!("nothing was deleted: {why}; {} backups would be", seen.to_delete.len());
        return Finding::undecided(what, expected, would);
    }
    let deleted = format!("{} backups", seen.deleted.len());
    named(&what, expected, deleted, seen.failed.iter().map(words).collect())
}
