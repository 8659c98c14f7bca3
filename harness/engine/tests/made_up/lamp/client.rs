//! Asks a lamp, and switches it: a change needs a promise.

use super::role::ROLE;
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::ErrorCode;
use std::path::PathBuf;

fn path(cx: &Cx, lamp: &str) -> Result<PathBuf, StepError> {
    let wire = cx.wire(ROLE.name)?;
    let url = wire.connection.and_then(|connection| connection.url.as_deref()).unwrap_or_default();
    Ok(PathBuf::from(url.trim_start_matches("lamp://")).join(lamp))
}

/// Is this lamp lit?
pub fn is_lit(cx: &Cx, lamp: &str) -> Result<bool, StepError> {
    let text = std::fs::read_to_string(path(cx, lamp)?);
    match text.as_deref().map(str::trim) {
        Ok("on") => Ok(true),
        Ok("off") => Ok(false),
        Ok(_) => Err(StepError::new(ErrorCode::Internal, format!("the lamp `{lamp}` is broken"))),
        Err(error) => Err(StepError::new(ErrorCode::NotFound, format!("no lamp `{lamp}`: {error}"))),
    }
}

/// Switches it. A folder with a file `stuck` has lamps that cannot be switched off.
#[expect(clippy::disallowed_methods, reason = "a lamp of this system is a file")]
pub fn switch(cx: &Cx, lamp: &str, lit: bool, _: &impl ChangePermit) -> Result<(), StepError> {
    if !lit && path(cx, "stuck")?.exists() {
        return Err(StepError::new(ErrorCode::Internal, format!("the switch of `{lamp}` is stuck")));
    }
    let done = std::fs::write(path(cx, lamp)?, if lit { "on" } else { "off" });
    done.map_err(|error| StepError::new(ErrorCode::Internal, format!("no lamp `{lamp}`: {error}")))
}
