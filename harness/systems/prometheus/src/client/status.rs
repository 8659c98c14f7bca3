//! Reads the state of the server itself: its version, and whether it runs the configuration it was last given.

use super::{data, moment, shape};
use jiff::Timestamp;
use proofmark_model::Duration;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use serde::Deserialize;

/// What the server reports about its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Whether the last reload succeeded. After a failed reload the old configuration and rules stay in use.
    pub reload_ok: bool,
    /// When the configuration in use was loaded.
    pub reloaded_at: Option<Timestamp>,
    /// When the server started.
    pub started_at: Option<Timestamp>,
    /// How long samples are kept, in the server's notation: `15d`.
    pub retention: String,
    /// How many damaged segments of its write-ahead log the server has found.
    pub corruptions: u64,
    /// The server's own time of the answer, to the second; `None` if the server does not report it.
    pub server_time: Option<Timestamp>,
}

/// The flags that the server was started with, as far as drills need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// Whether the server can be reloaded over HTTP.
    pub lifecycle: bool,
    /// How long the server waits before it sends the same alert again.
    pub resend_delay: Duration,
    /// How far back a selector looks for a sample.
    pub lookback: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    reload_config_success: bool,
    #[serde(default)]
    last_config_time: String,
    #[serde(default)]
    start_time: String,
    #[serde(default)]
    storage_retention: String,
    #[serde(default)]
    corruption_count: u64,
}

#[derive(Deserialize)]
struct FlagsInfo {
    #[serde(default, rename = "web.enable-lifecycle")]
    lifecycle: String,
    #[serde(default, rename = "rules.alert.resend-delay")]
    resend_delay: String,
    #[serde(default, rename = "query.lookback-delta")]
    lookback: String,
}

#[derive(Deserialize)]
struct BuildInfo {
    version: String,
}

/// Returns the flags that the server was started with.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn flags(wire: Endpoint<'_>) -> Result<Flags, ClientError> {
    let answer = fetch(wire, &Call { aside: true, ..Call::get("/api/v1/status/flags") }).await?;
    let info: FlagsInfo = data(&answer)?;
    let resend_delay = info.resend_delay.parse().unwrap_or(Duration::secs(60));
    let lookback = info.lookback.parse().unwrap_or(Duration::secs(300));
    Ok(Flags { lifecycle: info.lifecycle == "true", resend_delay, lookback })
}

/// Returns what the server reports about its run.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn runtime(wire: Endpoint<'_>) -> Result<Runtime, ClientError> {
    let answer = fetch(wire, &Call::get("/api/v1/status/runtimeinfo")).await?;
    let info: RuntimeInfo = data(&answer)?;
    let wrong = |why: String| shape(&answer, &why);
    Ok(Runtime {
        reload_ok: info.reload_config_success,
        reloaded_at: moment("lastConfigTime", &info.last_config_time).map_err(wrong)?,
        started_at: moment("startTime", &info.start_time).map_err(wrong)?,
        retention: info.storage_retention,
        corruptions: info.corruption_count,
        server_time: answer.date(),
    })
}

/// Returns the server's version as it writes it: `2.53.3`, or `3.5.3+ds1` from a distribution.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn version(wire: Endpoint<'_>) -> Result<String, ClientError> {
    let call = Call { aside: true, ..Call::get("/api/v1/status/buildinfo") };
    let answer = fetch(wire, &call).await?;
    let info: BuildInfo = data(&answer)?;
    Ok(info.version)
}
