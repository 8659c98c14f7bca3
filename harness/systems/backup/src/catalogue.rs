//! Which backups a store holds, told from its list alone: an archive and the manifest beside it are a backup, and nothing
//! else is one of ours.

use super::name::{ARCHIVE, MANIFEST};
use jiff::{SignedDuration, Timestamp};
use proofmark_objects::client::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far the store's clock may be ahead of ours.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A backup that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// The archive's name below the store's `url`.
    pub archive: String,
    /// The manifest's name; `null` where another tool made the backup.
    pub manifest: Option<String>,
    /// Bytes of the archive.
    pub size: u64,
    /// When it was committed (its manifest was written), or the archive was. RFC 3339 in UTC, by the store's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Catalogue {
    /// Newest first.
    pub backups: Vec<Backup>,
    /// Archives without a manifest: unfinished, or made by another tool. Newest first.
    pub without_manifest: Vec<Backup>,
    /// Manifests whose archive is gone.
    pub without_archive: Vec<String>,
}

impl Catalogue {
    /// Reads a list.
    pub fn of(objects: &[Object]) -> Self {
        let stem = |key: &str| key.strip_suffix(MANIFEST).map(str::to_owned);
        let manifests: BTreeMap<String, &Object> =
            objects.iter().filter_map(|object| Some((stem(&object.key)?, object))).collect();
        let mut found = Self::default();
        let mut seen = 0;
        for object in objects.iter().filter(|object| stem(&object.key).is_none()) {
            let (archive, size) = (object.key.clone(), object.size);
            let manifest = archive.strip_suffix(ARCHIVE).and_then(|stem| manifests.get(stem));
            if let Some(manifest) = manifest {
                seen += 1;
                let (at, manifest) = (manifest.modified, Some(manifest.key.clone()));
                found.backups.push(Backup { archive, manifest, size, at });
            } else {
                let at = object.modified;
                found.without_manifest.push(Backup { archive, manifest: None, size, at });
            }
        }
        if seen < manifests.len() {
            let taken = |stem: &str| {
                found.backups.iter().any(|backup| backup.archive.strip_suffix(ARCHIVE) == Some(stem))
            };
            let lost =
                manifests.iter().filter(|(stem, _)| !taken(stem)).map(|(_, object)| object.key.clone());
            found.without_archive = lost.collect();
        }
        for list in [&mut found.backups, &mut found.without_manifest] {
            newest_first(list);
        }
        found
    }

    /// The backups: those with a manifest; in a store that has none at all, what another tool has put there.
    pub fn all(&self) -> &[Backup] {
        if self.backups.is_empty() && self.without_archive.is_empty() {
            &self.without_manifest
        } else {
            &self.backups
        }
    }
}

/// Of equal times the name decides, which begins with the time in all templates of ours.
pub(super) fn newest_first(list: &mut [Backup]) {
    list.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.archive.cmp(&a.archive)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, minute: u8) -> Object {
        let modified = format!("2026-02-16T02:{minute:02}:00Z").parse().unwrap();
        Object { key: key.into(), size: 7, modified }
    }

    #[test]
    fn a_backup_is_an_archive_and_its_manifest() {
        let objects = [
            object("a/one.dump", 1),
            object("a/one.manifest.json", 2),
            object("a/two.dump", 3),
            object("a/two.manifest.json", 4),
            object("b/lost.manifest.json", 5),
            object("b/old.sql.gz", 6),
            object("b/open.dump", 7),
        ];
        let found = Catalogue::of(&objects);
        let names = |list: &[Backup]| list.iter().map(|backup| backup.archive.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found.backups), ["a/two.dump", "a/one.dump"]);
        assert_eq!(found.backups[0].at, objects[3].modified, "committed with its manifest");
        assert_eq!(names(&found.without_manifest), ["b/open.dump", "b/old.sql.gz"]);
        assert_eq!(found.without_archive, ["b/lost.manifest.json"]);
        assert_eq!(found.all(), found.backups);
    }

    #[test]
    fn in_a_store_of_another_tool_every_file_is_one() {
        let found = Catalogue::of(&[object("x.sql.gz", 1), object("y.sql.gz", 2)]);
        assert_eq!(found.all().len(), 2);
        assert_eq!(found.all()[0].archive, "y.sql.gz");
        // A store of ours whose archives are gone is not one of another tool.
        let found = Catalogue::of(&[object("x.sql.gz", 1), object("y.manifest.json", 2)]);
        assert!(found.all().is_empty());
    }
}
