//! Sessions that are known by their name: those of a program that was started somewhere else, and may outlive whoever
//! started it.

use super::scratch::literal;
use super::session::Session;
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;

/// How many sessions have this name, of the role that asks.
///
/// # Errors
/// When the server cannot be asked.
pub async fn sessions(wire: Endpoint<'_>, name: &str) -> Result<usize, ClientError> {
    let mut session = Session::open(wire).await?;
    Ok(session.ask(&format!("SELECT pid {}", of(name))).await?.len())
}

/// Ends them. That there is none is no error.
///
/// # Errors
/// When the server cannot be asked or refuses.
pub async fn end_sessions(
    wire: Endpoint<'_>,
    name: &str,
    _leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    let mut session = Session::open(wire).await?;
    session.ask(&format!("SELECT pg_catalog.pg_terminate_backend(pid) {}", of(name))).await.map(drop)
}

fn of(name: &str) -> String {
    format!(
        "FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() AND usename = session_user \
         AND application_name = {}",
        literal(name)
    )
}
