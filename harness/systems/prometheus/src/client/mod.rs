//! Reads the HTTP API of Prometheus 2.42 to 3.x, one file per subject, into plain data that is the same for every
//! version.
//!
//! Answers are deserialised into types that borrow from the received bytes: a targets answer of 20 MB is mostly labels
//! that are not used.

mod alerts;
mod notify;
mod query;
mod reload;
mod rules;
mod series;
mod status;
mod targets;

pub use alerts::{Alert, alerts};
pub use notify::{Outgoing, notified, outgoing};
pub use query::{Held, Histogram, Queried, Query, Sample, SampleValue, held, query};
pub use reload::{Reloaded, reload};
pub use rules::{Loaded, Rule, rules};
pub use series::{Listed, series};
pub use status::{Flags, Runtime, flags, runtime, version};
pub use targets::{Target, dropped, targets};

use jiff::{SignedDuration, Timestamp, Unit};
use proofmark_model::Duration;
use proofmark_net::ClientError;
use proofmark_net::http::Answer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// What the API is expected to answer with, for error messages.
const ENVELOPE: &str = "the JSON of the Prometheus API";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default = "Option::default")]
    data: Option<T>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// Opens the envelope: returns it on success, otherwise the error that the server names. Errors may be plain text.
fn open<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<Envelope<'a, T>, ClientError> {
    if answer.is_success()
        && let Ok(envelope) = serde_json::from_slice::<Envelope<'_, T>>(&answer.body)
        && envelope.status == "success"
    {
        return Ok(envelope);
    }
    // Parse again without `data`, because an error need not have `data` of a known shape.
    match serde_json::from_slice::<Envelope<'_, IgnoredAny>>(&answer.body) {
        Ok(envelope) if envelope.status == "error" => Err(refusal(answer, envelope)),
        _ if !answer.is_success() => Err(answer.refused(ENVELOPE)),
        _ => {
            let why = serde_json::from_slice::<Envelope<'_, T>>(&answer.body).err();
            Err(shape(
                answer,
                &why.map_or_else(|| "its `status` is not `success`".into(), |error| error.to_string()),
            ))
        }
    }
}

/// Returns the `data` of a successful answer.
fn data<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    open::<T>(answer)?.data.ok_or_else(|| shape(answer, "there is no `data`"))
}

/// Returns the server's warnings, sorted. `PromQL info:` is left out: 2.42 does not send it, 2.53 sends it here and 3.x
/// sends it elsewhere.
fn doubts(warnings: Option<Vec<String>>) -> Vec<String> {
    let mut warnings = warnings.unwrap_or_default();
    warnings.retain(|warning| !warning.starts_with("PromQL info:"));
    warnings.sort();
    warnings.dedup();
    warnings
}

fn refusal(answer: &Answer, envelope: Envelope<'_, IgnoredAny>) -> ClientError {
    let hint = match envelope.error_type.as_str() {
        "bad_data" => "; mend the query: PromQL is checked by the server",
        "execution" => "; the query can be read but not evaluated",
        "timeout" => "; the query is too heavy or the server is overloaded",
        _ => "",
    };
    let (at, status) = (answer.url.clone(), answer.status);
    ClientError::Api { at, status, kind: envelope.error_type, message: envelope.error, hint }
}

fn shape(answer: &Answer, why: &str) -> ClientError {
    ClientError::of_shape(answer, ENVELOPE, why)
}

/// Converts Unix seconds as a float, which is exact to the millisecond that Prometheus uses.
///
/// # Errors
/// A number that is not a time.
pub fn time(seconds: f64) -> Result<Timestamp, String> {
    let length = SignedDuration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let exact = Timestamp::from_duration(length).map_err(|error| error.to_string())?;
    exact.round(Unit::Millisecond).map_err(|error| error.to_string())
}

/// Parses RFC 3339; Go's zero time means never and gives `None`.
fn moment(field: &str, text: &str) -> Result<Option<Timestamp>, String> {
    match text {
        "" | "0001-01-01T00:00:00Z" => Ok(None),
        text => text.parse().map(Some).map_err(|error| format!("`{field}`: {error}")),
    }
}

/// Converts a length in seconds, as rules hold it.
fn length(field: &str, seconds: f64) -> Result<Duration, String> {
    let exact = std::time::Duration::try_from_secs_f64(seconds);
    exact.map(Duration).map_err(|error| format!("`{field}`: {error}"))
}
