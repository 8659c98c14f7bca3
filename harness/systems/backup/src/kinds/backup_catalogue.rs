//! `backup-catalogue`: which backups a store holds, how old and how many. A file with a fresh date is no backup: only what has
//! its manifest counts.

use crate::catalogue::AHEAD;
use crate::fetch::{catalogue, look_into};
use crate::manifest::ManifestError;
use crate::{Backup, Catalogue};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake};
use proofmark_objects::client::{self as objects, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

/// Lists the backups of a store and looks at their age, number and size.
///
/// A backup is an archive with its manifest beside it. Archives without one are named, and count only with `foreign: true`,
/// for stores that another tool fills. The newest manifest is read, for when what is in the backup was true.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupCatalogue {
    /// Only names that begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What is in the newest was true no longer ago than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_within: Option<Duration>,
    /// None is older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_within: Option<Duration>,
    /// Between two of them there is never more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_within: Option<Duration>,
    /// There are at least so many; 1 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<usize>,
    /// There are at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<usize>,
    /// Each archive has at least so many bytes; 1 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<u64>,
    /// Archives without a manifest count too: another tool makes them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

/// The backups that are there.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupCatalogueObservation {
    /// Where they are: `s3://bucket/prefix`, or a folder.
    pub store: String,
    /// Those that count, newest first.
    pub backups: Vec<Backup>,
    /// How many these are.
    pub count: usize,
    /// Bytes of their archives.
    pub bytes: u64,
    /// When what is in the newest was true; without a manifest, when it was written. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
    /// When the oldest was committed.
    #[schemars(with = "Option<String>")]
    pub oldest: Option<Timestamp>,
    /// The longest time between two of them, in seconds.
    pub longest_gap: Option<u64>,
    /// Archives without a manifest that do not count: unfinished, or made by another tool.
    pub without_manifest: Vec<Backup>,
    /// Manifests whose archive is gone.
    pub without_archive: Vec<String>,
    /// The newest manifests, as far as they are none: cut short, or empty. What they stand for is no backup and does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

impl Kind for BackupCatalogue {
    const NAME: &'static str = "backup-catalogue";
    const EXAMPLE: &'static str = "backup-catalogue: { newest-within: 25h, at-most: 100 }";
    const JUDGES: &'static str = "At least one backup (or `at-least`), each with its archive, none of them empty (or below `min-size`); and every other setting. The newest manifest is one, and not cut short. A newest that lies in the future is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["store"];
    const TIMEOUT: Duration = Duration::secs(300);
    type Seen = BackupCatalogueObservation;

    fn judge(&self, seen: &BackupCatalogueObservation, at: Timestamp) -> Vec<Finding> {
        let least = self.at_least.unwrap_or(1);
        let count = |bound: String, ok: bool| Finding::judged("how many there are", bound, seen.count, ok);
        let mut findings = vec![count(format!("at least {least}"), seen.count >= least)];
        if seen.count == 0 && !seen.without_manifest.is_empty() {
            let named = seen.without_manifest.len();
            findings[0] = findings[0].clone().with_help(format!(
                "archives without a manifest: {named}; they are unfinished, or another tool made them; for its backups say `foreign: true`"
            ));
        }
        if let Some(most) = self.at_most {
            findings.push(count(format!("at most {most}"), seen.count <= most));
        }
        let lost = seen.without_archive.clone();
        let whole = "each has its archive";
        findings.push(if lost.is_empty() {
            Finding::judged(whole, "each", "each", true)
        } else {
            Finding::judged(whole, "each", lost, false)
        });
        if !seen.incomplete.is_empty() {
            let is = format!("cut short or empty: {}", seen.incomplete.join(", "));
            let finding = Finding::judged("the newest manifest is one", "a manifest", is, false);
            findings.push(finding.with_help(
                "such a backup is not complete and does not count: look at the store, and make another",
            ));
        }
        findings.extend(self.sizes(seen));
        findings.extend(self.newest_within.map(|age| newest(age, seen.newest, at)));
        findings.extend(self.oldest_within.map(|age| oldest(age, seen.oldest, at)));
        findings.extend(self.gap_within.map(|gap| gaps(gap, seen)));
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.backups")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let more = self.at_least.zip(self.at_most).is_some_and(|(least, most)| least > most);
        if self.at_least == Some(0) || self.min_size == Some(0) {
            return Some(
                SettingMistake::new(
                    "`at-least: 0` and `min-size: 0` ask nothing, and a store without a backup is none",
                )
                .help("leave it out"),
            );
        }
        more.then(|| SettingMistake::new("`at-least` is more than `at-most`").help("nothing can be both"))
    }
}

impl Check for BackupCatalogue {
    async fn observe(&self, cx: &Cx) -> Result<BackupCatalogueObservation, StepError> {
        let wire = cx.wire("store")?;
        let found = catalogue(wire, self.prefix.as_deref().unwrap_or_default()).await?;
        let Catalogue { mut backups, mut without_manifest, without_archive } = found;
        if self.foreign {
            backups.append(&mut without_manifest);
            backups.sort_by_key(|backup| std::cmp::Reverse(backup.at));
        }
        let (opened, mut incomplete) = (OnceCell::new(), vec![]);
        let newest = loop {
            match backups.first() {
                None => break None,
                Some(Backup { manifest: None, at, .. }) => break Some(*at),
                Some(Backup { manifest: Some(key), .. }) => {
                    let store = opened.get_or_try_init(|| Store::open(wire)).await?;
                    match look_into(store, key).await? {
                        Ok(manifest) => break Some(manifest.taken_at),
                        Err(ManifestError::Broken(_)) => {
                            incomplete.push(key.clone());
                            backups.remove(0);
                        }
                        Err(error @ ManifestError::Newer(_)) => {
                            let message = format!("`{key}`: {error}");
                            return Err(StepError::new(ErrorCode::Unsupported, message));
                        }
                    }
                }
            }
        };
        let gap = |pair: &[Backup]| pair[0].at.duration_since(pair[1].at).unsigned_abs().as_secs();
        Ok(BackupCatalogueObservation {
            store: objects::name(wire)?,
            count: backups.len(),
            bytes: backups.iter().map(|backup| backup.size).sum(),
            newest,
            oldest: backups.last().map(|backup| backup.at),
            longest_gap: backups.windows(2).map(gap).max(),
            backups,
            without_manifest,
            without_archive,
            incomplete,
        })
    }
}

impl BackupCatalogue {
    fn sizes(&self, seen: &BackupCatalogueObservation) -> Option<Finding> {
        let smallest = seen.backups.iter().min_by_key(|backup| backup.size)?;
        let least = self.min_size.unwrap_or(1);
        let shown = format!("{} bytes: {}", smallest.size, smallest.archive);
        Some(Finding::judged(
            "the smallest",
            format!("at least {least} bytes"),
            shown,
            smallest.size >= least,
        ))
    }
}

fn newest(age: Duration, newest: Option<Timestamp>, at: Timestamp) -> Finding {
    let (what, expected) = ("how old what is in the newest is", format!("at most {age}"));
    let Some(newest) = newest else { return Finding::undecided(what, expected, "no backup") };
    let old = at.duration_since(newest);
    let shown = format!("{newest}, {}s before now", old.as_secs());
    if newest > at + AHEAD {
        return Finding::undecided(what, expected, shown)
            .with_help("it lies in the future, where it would be new for too long: are the clocks right?");
    }
    Finding::judged(what, expected, shown, old.is_negative() || old.unsigned_abs() <= age.0)
}

fn oldest(age: Duration, oldest: Option<Timestamp>, at: Timestamp) -> Finding {
    let (what, expected) = ("how old the oldest is", format!("at most {age}"));
    let Some(oldest) = oldest else { return Finding::undecided(what, expected, "no backup") };
    let old = at.duration_since(oldest);
    let shown = format!("{oldest}, {}s before now", old.as_secs());
    Finding::judged(what, expected, shown, old.is_negative() || old.unsigned_abs() <= age.0)
        .with_help("what should be pruned is not: does the pruning run?")
}

fn gaps(limit: Duration, seen: &BackupCatalogueObservation) -> Finding {
    let (what, expected) = ("the longest time between two", format!("at most {limit}"));
    match seen.longest_gap {
        None => Finding::undecided(what, expected, format!("{} backups", seen.count)),
        Some(gap) => Finding::judged(what, expected, format!("{gap}s"), gap <= limit.0.as_secs()),
    }
}
