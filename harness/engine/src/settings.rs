//! What the settings of several kinds share.

use proofmark_model::SettingMistake;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Tells a value that is `null` from no value.
///
/// # Errors
/// What is no value.
pub fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// The mistake of an `except` in which something is listed without the reason why it `may` be as it is.
pub fn without_reason(except: &BTreeMap<String, String>, may: &str) -> Option<SettingMistake> {
    let (without, _) = except.iter().find(|(_, reason)| reason.trim().is_empty())?;
    Some(SettingMistake::new(format!("`except` needs the reason why `{without}` may {may}")))
}
