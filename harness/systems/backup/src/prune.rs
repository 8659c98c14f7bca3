//! Deletes the backups that a plan lets go, for good: every version of a manifest, then every version of its archive. A
//! manifest without an archive would still look like a backup. What a lock keeps is left whole, so that it can be restored.
//!
//! Who is killed between the two leaves half of a backup. That is promised not to stay: the archive goes too.

use super::abandon::{opened, path_of};
use super::create::existing;
use super::fetch::{Chosen, catalogue, manifest_in};
use super::retention::{Kept, PrunePlan, Rules, plan};
use super::verify::{Verified, verify};
use super::{Backup, BackupError, Catalogue};
use proofmark_evidence::undo::{ChangePermit, Promises, RevertPermit};
use proofmark_model::ErrorCode;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::{self as objects, Removed, Store, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the backups of one place.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pruned {
    /// Where they are: `s3://bucket/prefix`, or a folder.
    pub store: String,
    /// What stays by the rules, and why.
    pub kept: Vec<Kept>,
    /// What the rules let go.
    pub to_delete: Vec<Backup>,
    /// What was verified before anything was deleted.
    pub verified: Vec<Verified>,
    /// The databases of those with a manifest that go or were verified.
    pub databases: Vec<String>,
    /// Why nothing was deleted, where it was not.
    pub refused: Option<String>,
    /// Those that were seen to be gone, with every version: the names of their archives.
    pub deleted: Vec<String>,
    /// Those that a lock keeps. Nothing of them was deleted, unless it says so.
    pub locked: Vec<Stays>,
    /// Those that should be gone and are not.
    pub failed: Vec<Stays>,
    /// Of those that stay by the rules, the ones that are not there any more.
    pub missing: Vec<String>,
    /// How many backups there are now; `null` where it was not looked again.
    pub remaining: Option<usize>,
    /// What an earlier deletion only hid: it is not seen in a list and still has room taken up.
    pub hidden: Vec<Hidden>,
    /// Archives without a manifest, which are left alone: unfinished, or made by another tool.
    pub without_manifest: Vec<Backup>,
    /// Manifests whose archive is gone, which are left alone.
    pub without_archive: Vec<String>,
    /// The same of the copies in the folder.
    pub local: Option<Box<Self>>,
}

/// A backup that was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stays {
    /// The archive's name.
    pub archive: String,
    /// Why it is still there.
    pub why: String,
}

/// An object behind a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hidden {
    /// Its name below the store's `url`.
    pub key: String,
    /// How many versions of it there are.
    pub versions: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The lock that keeps one of them; `null` for none.
    pub locked: Option<String>,
}

/// How it is known that half of a backup is left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Undo {
    /// The folder; `None` for the store.
    pub folder: Option<String>,
    /// What all names begin with.
    prefix: String,
    halves: Vec<Half>,
}

/// An archive whose manifest goes first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Half {
    manifest: String,
    archive: Vec<Version>,
}

/// A place that was looked at.
#[derive(Debug)]
pub struct Survey {
    /// What was seen.
    pub seen: Pruned,
    verify: Vec<Chosen>,
    doomed: Vec<Doomed>,
}

/// A backup that goes, with all versions of it, the oldest of each object first: until the end it is what it was.
#[derive(Debug)]
struct Doomed {
    archive: String,
    manifest: Option<String>,
    of_manifest: Vec<Version>,
    of_archive: Vec<Version>,
}

type Versions = BTreeMap<String, Vec<Version>>;

/// So many hidden objects are asked for their locks.
const ASKED: usize = 100;

/// Looks at a place and makes the plan. Nothing is changed.
///
/// # Errors
/// When the place cannot be looked at as a whole, or the manifest of the newest is none.
pub async fn survey(wire: Endpoint<'_>, prefix: &str, rules: &Rules) -> Result<Survey, BackupError> {
    let found = catalogue(wire, prefix).await?;
    let PrunePlan { kept, deleted, verify } = plan(&found, rules, wire.clock.now());
    let store = Store::open(wire).await?;
    let versions = by_key(store.versions(prefix).await?);
    let can_lock = store.can_lock().await?;
    let mut seen = Pruned { store: objects::name(wire)?, kept, to_delete: deleted, ..Pruned::default() };
    seen.hidden = hidden(&store, &versions, can_lock).await?;
    seen.without_archive = found.without_archive;
    if !rules.foreign {
        seen.without_manifest = found.without_manifest;
    }
    let (mut databases, mut chosen, mut doomed) = (BTreeSet::new(), vec![], vec![]);
    for backup in verify {
        let manifest = match &backup.manifest {
            Some(key) => Some(manifest_in(&store, key).await?),
            None => None,
        };
        databases.extend(manifest.iter().map(|manifest| manifest.source.database.clone()));
        chosen.push(Chosen { backup, manifest });
    }
    for backup in &seen.to_delete {
        let stays = |why: String| Stays { archive: backup.archive.clone(), why };
        if let Some(key) = &backup.manifest {
            match manifest_in(&store, key).await {
                Ok(manifest) => drop(databases.insert(manifest.source.database)),
                Err(error) => {
                    seen.failed.push(stays(format!("it is not known what it is a backup of: {error}")));
                    continue;
                }
            }
        }
        let one = Doomed::of(backup, &versions);
        match lock_of(&store, &one, can_lock).await {
            Ok(None) => doomed.push(one),
            Ok(Some(why)) => seen.locked.push(stays(why)),
            Err(error) => {
                seen.failed.push(stays(format!("it is not known whether a lock keeps it: {error}")));
            }
        }
    }
    seen.databases = databases.into_iter().collect();
    Ok(Survey { seen, verify: chosen, doomed })
}

impl Doomed {
    fn of(backup: &Backup, versions: &Versions) -> Self {
        let of = |key: &String| -> Vec<Version> {
            versions.get(key).into_iter().flatten().rev().cloned().collect()
        };
        Self {
            archive: backup.archive.clone(),
            manifest: backup.manifest.clone(),
            of_manifest: backup.manifest.iter().flat_map(of).collect(),
            of_archive: of(&backup.archive),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Version> {
        self.of_manifest.iter().chain(&self.of_archive)
    }
}

/// By name, the newest version first as the store tells them.
fn by_key(versions: Vec<Version>) -> Versions {
    let mut all = Versions::new();
    for version in versions {
        all.entry(version.key.clone()).or_default().push(version);
    }
    all
}

async fn lock_of(store: &Store<'_>, one: &Doomed, can_lock: bool) -> Result<Option<String>, BackupError> {
    for version in one.all().filter(|_| can_lock) {
        if let Some(lock) = store.lock_of(version).await? {
            return Ok(Some(format!("version {} of `{}` is locked: {lock}", version.id, version.key)));
        }
    }
    Ok(None)
}

async fn hidden(store: &Store<'_>, versions: &Versions, can_lock: bool) -> Result<Vec<Hidden>, BackupError> {
    let mut all = vec![];
    let behind = versions.iter().filter(|(_, of)| of.iter().any(|one| one.latest && one.marker));
    for (key, of) in behind {
        let of: Vec<&Version> = of.iter().filter(|one| !one.marker).collect();
        let mut locked = None;
        for version in of.iter().filter(|_| can_lock && all.len() < ASKED) {
            locked = locked.or(store.lock_of(version).await?);
        }
        let bytes = of.iter().map(|one| one.size).sum();
        all.push(Hidden { key: key.clone(), versions: of.len(), bytes, locked });
    }
    all.retain(|hidden| hidden.versions > 0);
    Ok(all)
}

impl Survey {
    /// Verifies what has to be sound before anything goes.
    ///
    /// # Errors
    /// When it cannot be read, or this machine cannot decode it.
    pub async fn verify(&mut self, wire: Endpoint<'_>, decode: bool) -> Result<(), BackupError> {
        for chosen in &self.verify {
            self.seen.verified.push(verify(wire, chosen, decode).await?);
        }
        Ok(())
    }

    /// Deletes what the plan lets go. What stood in the way is in what was seen.
    pub async fn delete(
        &mut self,
        (wire, local): (Endpoint<'_>, bool),
        prefix: &str,
        promises: &Promises<'_, Undo>,
    ) {
        if let Err(error) = self.begin((wire, local), prefix, promises).await {
            self.seen.refused = Some(error.to_string());
        }
    }

    async fn begin(
        &mut self,
        (wire, local): (Endpoint<'_>, bool),
        prefix: &str,
        promises: &Promises<'_, Undo>,
    ) -> Result<(), BackupError> {
        // It may have taken hours to verify the newest.
        let there = There::of(catalogue(wire, prefix).await?);
        if let Some(gone) =
            self.seen.kept.iter().find(|kept| !there.has(&kept.archive, kept.manifest.as_ref()))
        {
            let message = format!(
                "`{}` was to stay and went away meanwhile: does something else prune here?",
                gone.archive
            );
            return Err(BackupError::new(ErrorCode::Conflict, message));
        }
        let store = Store::open(wire).await?;
        let half =
            |one: &Doomed| Some(Half { manifest: one.manifest.clone()?, archive: one.of_archive.clone() });
        let halves: Vec<Half> = self.doomed.iter().filter_map(half).collect();
        let folder = wire.connection.filter(|_| local).and_then(|connection| connection.url.clone());
        let promised = !halves.is_empty();
        if promised {
            promises.promise(&Undo { folder, prefix: prefix.to_owned(), halves })?;
        }
        let leave = promises.declare_final();
        let mut doomed = self.doomed.iter();
        for one in doomed.by_ref() {
            let stays = |why: String| Stays { archive: one.archive.clone(), why };
            match one.delete(&store, &leave).await {
                Ok(None) => {}
                Ok(Some(why)) => self.seen.locked.push(stays(why)),
                Err(error) => {
                    self.seen.failed.push(stays(error.to_string()));
                    break;
                }
            }
        }
        let untried = doomed.map(|one| Stays {
            archive: one.archive.clone(),
            why: "it was not tried after the one before it could not be deleted".into(),
        });
        self.seen.failed.extend(untried);
        Ok(())
    }
}

impl Doomed {
    /// Deletes every version of it; a lock that came meanwhile ends that, and is told.
    async fn delete(
        &self,
        store: &Store<'_>,
        leave: &impl ChangePermit,
    ) -> Result<Option<String>, BackupError> {
        for (number, version) in self.all().enumerate() {
            let removed = store.delete_version(&version.key, &version.id, leave).await?;
            if let Removed::Locked(why) = removed {
                return Ok(Some(format!(
                    "version {} of `{}` was locked meanwhile, when {number} older versions of it or of its manifest were deleted: {why}",
                    version.id, version.key
                )));
            }
        }
        Ok(None)
    }
}

/// What a list shows by now: archives, and the manifests beside them.
struct There(BTreeMap<String, Option<String>>);

impl There {
    fn of(found: Catalogue) -> Self {
        let all = found.backups.into_iter().chain(found.without_manifest);
        Self(all.map(|backup| (backup.archive, backup.manifest)).collect())
    }

    /// Is it there, and its manifest if it had one?
    fn has(&self, archive: &str, manifest: Option<&String>) -> bool {
        self.0.get(archive).is_some_and(|now| manifest.is_none() || now.as_ref() == manifest)
    }
}

/// Looks again at what was pruned: what is gone is gone with every version, and what stays is there.
///
/// # Errors
/// When the place cannot be looked at.
pub async fn look(seen: &mut Pruned, wire: Endpoint<'_>, prefix: &str) -> Result<(), BackupError> {
    let there = There::of(catalogue(wire, prefix).await?);
    let versions = by_key(Store::open(wire).await?.versions(prefix).await?);
    let is = |kept: &&Kept| there.has(&kept.archive, kept.manifest.as_ref());
    seen.missing = seen.kept.iter().filter(|kept| !is(kept)).map(|kept| kept.archive.clone()).collect();
    let left = seen.to_delete.iter().filter(|one| there.has(&one.archive, one.manifest.as_ref())).count();
    seen.remaining = Some(seen.kept.len() - seen.missing.len() + left);
    let told: BTreeSet<_> = seen.locked.iter().chain(&seen.failed).map(|one| one.archive.clone()).collect();
    for backup in seen.to_delete.iter().filter(|backup| !told.contains(&backup.archive)) {
        let left = backup.manifest.iter().chain([&backup.archive]).find(|key| versions.contains_key(*key));
        let archive = backup.archive.clone();
        match left {
            None => seen.deleted.push(archive),
            Some(key) => {
                let why = format!("{} versions of `{key}` are still there", versions[key].len());
                seen.failed.push(Stays { archive, why });
            }
        }
    }
    Ok(())
}

/// The archives that are left without the manifest that was deleted: these very versions, and no newer ones.
async fn left(undo: &Undo, store: &Store<'_>) -> Result<Vec<Version>, BackupError> {
    let versions = by_key(store.versions(&undo.prefix).await?);
    let stands =
        |half: &&Half| !versions.get(&half.manifest).is_some_and(|of| of.iter().any(|one| !one.marker));
    let same = |one: &&Version| {
        let now = versions.get(&one.key).into_iter().flatten();
        now.into_iter().any(|now| (&now.id, now.size, now.modified) == (&one.id, one.size, one.modified))
    };
    Ok(undo.halves.iter().filter(stands).flat_map(|half| &half.archive).filter(same).cloned().collect())
}

/// Deletes what is left of backups whose manifest is gone.
///
/// # Errors
/// When the place cannot be looked at or refuses.
pub async fn finish(undo: &Undo, store: Endpoint<'_>, owed: &RevertPermit) -> Result<(), BackupError> {
    let local = undo.folder.as_deref().map(|url| existing(&path_of(url)?)).transpose()?;
    let store = opened(store, local.as_ref()).await?;
    for version in left(undo, &store).await? {
        // What a lock keeps is looked at then.
        store.delete_version(&version.key, &version.id, owed).await?;
    }
    Ok(())
}

/// What is left of backups whose manifest is gone, and no lock keeps it: the names of their archives.
///
/// # Errors
/// When the place cannot be looked at.
pub async fn unfinished(undo: &Undo, store: Endpoint<'_>) -> Result<Vec<String>, BackupError> {
    let local = undo.folder.as_deref().map(|url| existing(&path_of(url)?)).transpose()?;
    let store = opened(store, local.as_ref()).await?;
    let can_lock = store.can_lock().await?;
    let mut names = BTreeSet::new();
    for version in left(undo, &store).await? {
        if !can_lock || store.lock_of(&version).await?.is_none() {
            names.insert(version.key);
        }
    }
    Ok(names.into_iter().collect())
}
