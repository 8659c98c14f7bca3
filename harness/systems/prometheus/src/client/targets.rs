//! Reads the scrape targets and whether they could be scraped.

use super::{data, moment, shape};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// An active target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// The label `job`, after relabelling.
    pub job: String,
    /// The scrape pool: the job's name in the configuration, or `serviceMonitor/<ns>/<name>/<index>` under the
    /// operator.
    pub pool: String,
    /// The label `instance`.
    pub instance: String,
    /// The URL that is scraped.
    pub url: String,
    /// `up`, `down`, or `unknown` (not scraped yet).
    pub health: String,
    /// When the target was last scraped; `null` if never. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub last_scrape: Option<Timestamp>,
    /// Why the last scrape failed; empty if it succeeded.
    pub last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets<'a> {
    #[serde(borrow)]
    active_targets: Option<Vec<Active<'a>>>,
    #[serde(borrow)]
    dropped_targets: Option<Vec<Dropped<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active<'a> {
    #[serde(borrow)]
    labels: Identity<'a>,
    #[serde(borrow, default)]
    scrape_pool: Cow<'a, str>,
    #[serde(borrow, default)]
    scrape_url: Cow<'a, str>,
    #[serde(borrow, default)]
    last_error: Cow<'a, str>,
    #[serde(borrow, default)]
    last_scrape: Cow<'a, str>,
    #[serde(borrow, default)]
    health: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dropped<'a> {
    #[serde(borrow)]
    discovered_labels: Identity<'a>,
    /// Sent from 3.3 on.
    #[serde(borrow)]
    scrape_pool: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default)]
    job: Cow<'a, str>,
    #[serde(borrow, default)]
    instance: Cow<'a, str>,
}

/// Returns the active targets of a job and a pool (all targets if neither is given), sorted by job, pool, instance and
/// URL.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn targets(
    wire: Endpoint<'_>,
    job: Option<&str>,
    pool: Option<&str>,
) -> Result<Vec<Target>, ClientError> {
    let answer = fetch(wire, &Call::get(targets_path("active", pool))).await?;
    let data: Targets<'_> = data(&answer)?;
    let active = data.active_targets.ok_or_else(|| shape(&answer, "there is no `activeTargets`"))?;
    // The list is filtered here too: an old server does not know `scrapePool` and returns everything.
    let wanted = active.iter().filter(|target| {
        job.is_none_or(|job| target.labels.job == job) && pool.is_none_or(|pool| target.scrape_pool == pool)
    });
    let mut targets =
        wanted.map(target).collect::<Result<Vec<_>, _>>().map_err(|why| shape(&answer, &why))?;
    let key = |target: &Target| {
        (target.job.clone(), target.pool.clone(), target.instance.clone(), target.url.clone())
    };
    targets.sort_by_cached_key(key);
    Ok(targets)
}

/// Returns how many dropped targets would have belonged to that job or pool, as far as the server reports it (pools
/// from 3.3 on; the job is the one before relabelling).
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn dropped(wire: Endpoint<'_>, job: Option<&str>, pool: Option<&str>) -> Result<u64, ClientError> {
    let call = Call { aside: true, ..Call::get(targets_path("dropped", pool)) };
    let answer = fetch(wire, &call).await?;
    let data: Targets<'_> = data(&answer)?;
    let of = |target: &&Dropped<'_>| {
        job.is_none_or(|job| target.discovered_labels.job == job)
            && pool.is_none_or(|pool| target.scrape_pool.as_ref().is_some_and(|known| known == pool))
    };
    Ok(data.dropped_targets.iter().flatten().filter(of).count() as u64)
}

fn targets_path(state: &str, pool: Option<&str>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("state", state);
    if let Some(pool) = pool {
        form.append_pair("scrapePool", pool);
    }
    format!("/api/v1/targets?{}", form.finish())
}

fn target(active: &Active<'_>) -> Result<Target, String> {
    Ok(Target {
        job: active.labels.job.to_string(),
        pool: active.scrape_pool.to_string(),
        instance: active.labels.instance.to_string(),
        url: active.scrape_url.to_string(),
        health: active.health.to_string(),
        last_scrape: moment("lastScrape", &active.last_scrape)?,
        last_error: active.last_error.to_string(),
    })
}
