//! `prometheus-status`: reports the version, and whether the server runs the configuration it was last given. After a
//! failed reload Prometheus keeps the old configuration and rules, and every other answer appears healthy.

use crate::client as prometheus;
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::{Finding, SettingMistake, sampled};
use schemars::JsonSchema;
use semver::{Comparator, Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize};

/// Checks Prometheus itself: its version, its last reload, its storage.
///
/// After a failed reload the old rules stay loaded and healthy. If a change was made just before, also require that it
/// is in use: `expect: [{ at: $.reloaded-at, newer-than: 5m }]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusStatus {
    /// The required version: `"2.53"` (any 2.53.x), `"3.5.3"`, `">=2.44"`, `">=2.44, <4"`. Default: any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Wanted>,
}

/// A version, or bounds on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Wanted(String);

/// What the server reports about itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusStatusObservation {
    /// The version as the server writes it; packages of distributions append to it: `3.5.3+ds1`.
    pub version: String,
    /// Whether the last reload succeeded.
    pub reload_ok: bool,
    /// When the configuration in use was loaded. RFC 3339 in UTC, to the second.
    #[schemars(with = "Option<String>")]
    pub reloaded_at: Option<Timestamp>,
    /// When the server started. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// The server's storage.
    pub storage: Storage,
}

/// The server's storage.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Storage {
    /// How long samples are kept, in the server's notation: `15d`.
    pub retention: String,
    /// How many damaged segments of its write-ahead log the server has found since its start.
    pub corruptions: u64,
}

impl Wanted {
    /// A bare version matches every version that begins with the given numbers; with an operator, the operator applies.
    fn read(text: &str) -> Result<VersionReq, SettingMistake> {
        let plain = text.trim();
        let plain = plain.strip_prefix('v').unwrap_or(plain);
        let exact = plain.starts_with(|c: char| c.is_ascii_digit()) && !plain.contains(',');
        let text = if exact { format!("={plain}") } else { plain.to_owned() };
        let wrong = |error: semver::Error| {
            SettingMistake::new(format!("`{plain}` is no version ({error})"))
                .help("write \"2.53\", \"3.5.3\" or \">=2.44\"")
        };
        let bounds = VersionReq::parse(&text).map_err(wrong)?;
        if bounds.comparators.is_empty() {
            return Err(SettingMistake::new(format!("`{plain}` allows any version")));
        }
        Ok(bounds)
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = sampled(d, "$version")?;
        Self::read(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(text))
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "2.53, 3.5.3, >=2.44" })
    }
}

/// Returns the leading numbers of a version. Suffixes of distributions, builds and pre-releases are ignored.
fn numbers(version: &str) -> Option<Version> {
    let plain = version.trim_start_matches('v');
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    Version::parse(&plain[..end]).ok()
}

impl Kind for PrometheusStatus {
    const NAME: &'static str = "prometheus-status";
    const EXAMPLE: &'static str = "prometheus-status: { version: \">=2.44\" }";
    const JUDGES: &'static str = "The last reload succeeded; the version is the one that `version` says.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["prometheus"];
    type Seen = PrometheusStatusObservation;

    fn judge(&self, seen: &PrometheusStatusObservation, _at: Timestamp) -> Vec<Finding> {
        let since = seen.reloaded_at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
        let word = if seen.reload_ok { "succeeded" } else { "failed" };
        let help = format!(
            "Prometheus goes on with the configuration and rules of {since}; its log says what is wrong with the new ones (`promtool check config`)"
        );
        let mut findings =
            vec![Finding::judged("the last reload", "succeeded", word, seen.reload_ok).with_help(help)];
        findings.extend(self.version.as_ref().map(|wanted| judge_version(wanted, &seen.version)));
        findings
    }
}

impl Check for PrometheusStatus {
    async fn observe(&self, cx: &Cx) -> Result<PrometheusStatusObservation, StepError> {
        let (wire, started) = (cx.wire("prometheus")?, cx.clock.elapsed());
        let runtime = prometheus::runtime(wire).await?;
        let version = prometheus::version(wire.since(started)).await?;
        Ok(PrometheusStatusObservation {
            version,
            reload_ok: runtime.reload_ok,
            reloaded_at: runtime.reloaded_at,
            started_at: runtime.started_at,
            storage: Storage { retention: runtime.retention, corruptions: runtime.corruptions },
        })
    }
}

fn judge_version(Wanted(wanted): &Wanted, seen: &str) -> Finding {
    match (Wanted::read(wanted), numbers(seen)) {
        (Ok(bounds), Some(version)) => {
            let ok = bounds.comparators.iter().all(|one: &Comparator| one.matches(&version));
            Finding::judged("version", wanted.as_str(), seen, ok)
        }
        _ => Finding::undecided("version", wanted.as_str(), seen)
            .with_help("the server does not give three numbers, so it cannot be compared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_model::Verdict;

    #[test]
    fn versions_are_compared_by_number() {
        let verdict = |wanted: &str, seen: &str| judge_version(&Wanted(wanted.into()), seen).verdict;
        for (wanted, seen) in [
            ("2.53", "2.53.3+ds1"),
            ("2", "2.42.0+ds"),
            ("v3.5.3", "3.5.3"),
            (">=2.44", "2.53.3+ds1"),
            (">=2.44, <4", "3.10.0"),
            (">3.9", "3.10.0"),
            ("3.0.0", "v3.0.0-rc.1"),
        ] {
            assert_eq!(verdict(wanted, seen), Verdict::Passed, "{wanted} {seen}");
        }
        for (wanted, seen) in
            [("2.4", "2.42.0"), (">=2.44", "2.42.0+ds"), ("3.1", "3.10.0"), ("2.42", "2.53.0")]
        {
            assert_eq!(verdict(wanted, seen), Verdict::Failed, "{wanted} {seen}");
        }
        assert_eq!(verdict("2.42", "main-abc"), Verdict::Unverified);
        for wrong in ["", "new", ">=", "2.x.y", "2.42 or 3", "*"] {
            assert!(Wanted::read(wrong).is_err(), "{wrong}");
        }
    }
}
