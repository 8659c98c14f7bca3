//! `backup-verify`: backups are looked at where they are, to their last byte and without a database. That an archive can be
//! listed says nothing about what is in it.

use super::archive::looked_at;
use crate::fetch::{Which, choose};
use crate::verify::{Verified, verify};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::{Duration, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads a backup to its last byte and holds it against its manifest, without a database.
///
/// `T0` compares the bytes with the SHA-256 that the manifest names; `T1` also decodes the archive and counts the rows of
/// every table in it. That it can be restored is proven by `restore-drill` alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupVerify {
    /// `newest`, `oldest`, or the name of an archive or a manifest; `newest` if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Only backups whose names begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How deep it looks; `T1` if it is not said.
    #[serde(default)]
    pub tier: Tier,
}

/// How deep it looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// The bytes are those that were written.
    T0,
    /// They can be decoded, and hold every row.
    #[default]
    T1,
}

/// The backup that was looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupVerifyObservation {
    /// `null` where the store has none.
    pub verified: Option<Verified>,
}

impl Kind for BackupVerify {
    const NAME: &'static str = "backup-verify";
    const EXAMPLE: &'static str = "backup-verify: { backup: newest, tier: T1 }";
    const JUDGES: &'static str = "There is a backup, and its archive is the one that the manifest names. With T1 it decodes to its end and holds as many rows of every table as the manifest says. Where there is no manifest T0 is undecided, and T1 says only that it is whole.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["store"];
    const TIMEOUT: Duration = Duration::secs(12 * 3600);
    type Seen = BackupVerifyObservation;

    fn judge(&self, seen: &BackupVerifyObservation, _at: Timestamp) -> Vec<Finding> {
        let there = "there is a backup to verify";
        let Some(verified) = &seen.verified else {
            return vec![
                Finding::judged(there, "a backup", "none", false)
                    .with_help("is the store's `url` right, and `prefix` or the name?"),
            ];
        };
        let mut findings = vec![Finding::judged(there, "a backup", verified.backup.archive.clone(), true)];
        findings.extend(looked_at(verified, self.tier == Tier::T1));
        findings
    }
}

impl Check for BackupVerify {
    async fn observe(&self, cx: &Cx) -> Result<BackupVerifyObservation, StepError> {
        let wire = cx.wire("store")?;
        let which = Which::of(self.backup.as_deref().unwrap_or("newest"));
        let Some(chosen) = choose(wire, &which, self.prefix.as_deref().unwrap_or_default()).await? else {
            return Ok(BackupVerifyObservation { verified: None });
        };
        Ok(BackupVerifyObservation { verified: Some(verify(wire, &chosen, self.tier == Tier::T1).await?) })
    }
}
