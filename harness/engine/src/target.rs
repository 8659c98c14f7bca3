//! The target of a kind that reads a URL: an absolute URL, or a path on the connection that `via` names.

use super::{Cx, StepError};
use proofmark_model::SettingMistake;
use proofmark_net::http::Endpoint;

/// Returns the wire to a target.
///
/// # Errors
/// A path without a connection, or an absolute URL with one.
pub fn wire<'c>(cx: &'c Cx, kind: &str, target: &str) -> Result<Endpoint<'c>, StepError> {
    let named = cx.via.contains_key(kind);
    match via_mistake(target, named) {
        Some(mistake) => Err(mistake.into()),
        None if named => cx.wire(kind),
        None => Ok(cx.open_wire()),
    }
}

/// A mismatch between a target and `via`.
pub fn via_mistake(target: &str, named: bool) -> Option<SettingMistake> {
    match (target.starts_with('/'), named) {
        // The value of a capture is unknown before the run.
        _ if target.starts_with("{{") => None,
        (true, false) => Some(
            SettingMistake::new(format!("`{target}` is a path, but no connection says below what"))
                .help("name one with `via`, or write an absolute URL"),
        ),
        (false, true) => Some(
            SettingMistake::new(format!(
                "`via` names a connection, but `{target}` is absolute and would get its login"
            ))
            .help("write a path below the connection, or leave `via` out"),
        ),
        _ => None,
    }
}

/// The mistake of a login within a URL, which evidence would keep.
pub fn login_mistake(target: &str) -> Option<SettingMistake> {
    let url = url::Url::parse(target).ok()?;
    let login = !url.username().is_empty() || url.password().is_some();
    login.then(|| {
        SettingMistake::new("a URL must not hold a login")
            .help("put it into a connection of the environment file, and name that with `via`")
    })
}
