//! Settings that several kinds share.

use proofmark_model::SettingMistake;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Distinguishes `null` from an absent value.
///
/// # Errors
/// Input that is not a valid value.
pub fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// The mistake in an `except` that lists an entry without the reason why it `may` be an exception.
pub fn without_reason(except: &BTreeMap<String, String>, may: &str) -> Option<SettingMistake> {
    let (without, _) = except.iter().find(|(_, reason)| reason.trim().is_empty())?;
    Some(SettingMistake::new(format!("`except` needs the reason why `{without}` may {may}")))
}
