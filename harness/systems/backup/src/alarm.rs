//! Tells a webhook that a backup failed. That this fails too is said, and never hides the first failure.

use proofmark_environment::{ConnectionFile, Reference, Role, Variables};
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Changing, Endpoint, change};
use serde_json::json;

/// The webhook that failures are reported to.
pub const ROLE: Role = Role {
    name: "webhook",
    secret_url: true,
    from_variables: Some(|variables: Variables<'_>| {
        let set = variables.set(VARIABLE).is_some();
        Ok(set.then(|| ConnectionFile::at(Reference::env(VARIABLE))))
    }),
    ..Role::HTTP
};

/// Where a failed backup is reported.
const VARIABLE: &str = "BACKUP_WEBHOOK_URL";

/// Posts `{"text": "[BACKUP FAILURE] …"}`, as chat systems take it. The message must be clean.
///
/// # Errors
/// When it was not taken.
pub async fn post(wire: Endpoint<'_>, message: &str, leave: &impl ChangePermit) -> Result<(), ClientError> {
    let body = json!({ "text": format!("[BACKUP FAILURE] {message}") });
    let answer = change(wire, &Call::change(Changing::POST, "").json(&body), leave).await?;
    if answer.is_success() { Ok(()) } else { Err(answer.refused("a webhook that takes the message")) }
}
