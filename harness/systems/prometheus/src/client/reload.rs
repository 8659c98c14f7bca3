//! Makes the server reload its configuration and rules, which changes what it does. The answer to the reload is not
//! enough: after a failed reload the server keeps the old rules, so its status is queried as well.

use super::runtime;
use jiff::Timestamp;
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Changing, Endpoint, change};

/// The outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The server runs what its files contain, since this time by its own clock.
    Taken(Timestamp),
    /// The server keeps its old configuration and rules; holds the reason in the server's words.
    Refused(String),
}

/// Makes the server reload its configuration and rules.
///
/// # Errors
/// The server cannot be reached, does not permit reloads, or does not report the outcome.
pub async fn reload(wire: Endpoint<'_>, leave: &impl ChangePermit) -> Result<Reloaded, ClientError> {
    let started = wire.clock.elapsed();
    let before = runtime(wire).await?.server_time;
    let call = Call { aside: true, ..Call::change(Changing::POST, "/-/reload") };
    let answer = change(wire.since(started), &call, leave).await?;
    match answer.status {
        200..300 => {}
        500 => return Ok(Reloaded::Refused(answer.excerpt())),
        403 => {
            return Err(ClientError::Status {
                at: answer.url.clone(),
                expected: "a reload",
                status: 403,
                excerpt: answer.excerpt(),
                hint: "; Prometheus reloads on request only if it was started with `--web.enable-lifecycle`",
            });
        }
        _ => return Err(answer.refused("a reload")),
    }
    let after = runtime(wire.since(started)).await?;
    Ok(match after.reloaded_at {
        Some(at) if after.reload_ok && before.is_none_or(|before| at >= before) => Reloaded::Taken(at),
        at => {
            let since = at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
            Reloaded::Refused(format!("it says yes, and runs what it loaded at {since}"))
        }
    })
}
