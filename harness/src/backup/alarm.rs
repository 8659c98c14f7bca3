//! Tells a webhook that a backup failed. That this fails too is said, and never hides the first failure.

use crate::clients::ClientError;
use crate::clients::http::{Call, Changing, Wire, change};
use crate::undo::Leave;
use serde_json::json;

/// Posts `{"text": "[BACKUP FAILURE] …"}`, as chat systems take it. The message must be clean.
///
/// # Errors
/// When it was not taken.
pub async fn post(wire: Wire<'_>, message: &str, leave: &impl Leave) -> Result<(), ClientError> {
    let body = json!({ "text": format!("[BACKUP FAILURE] {message}") });
    let answer = change(wire, &Call::change(Changing::POST, "").json(&body), leave).await?;
    if answer.is_success() { Ok(()) } else { Err(answer.refused("a webhook that takes the message")) }
}
