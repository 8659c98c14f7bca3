//! `s3-bucket`: checks whether a bucket exists and can be listed with this login, and how it keeps versions. Whether it
//! can be written is not checked, because that would need a change.

use crate::client::{self as objects, Lock, Versioning};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::{Finding, SettingMistake};
use proofmark_net::ClientError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The code of a server that does not know an access key, or has disabled it.
const UNKNOWN: &str = "InvalidAccessKeyId";

/// Checks the bucket of a store: whether it exists, can be listed with this login and not without one, and whether
/// versions are kept and locked.
///
/// It does not check whether objects can be written or read: writing would be a change, and a login may be allowed to
/// list what it may not read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3Bucket {
    /// The required versioning of the bucket: `enabled`, `suspended` or `never`. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioning: Option<Versioning>,
    /// Whether it must be possible (`true`) or impossible (`false`) to lock versions. By itself a lockable version is
    /// not locked: see `retention-days`. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<bool>,
    /// The least number of days for which new objects are locked by default. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Whether the bucket may be listed without a login. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Checks instead that the server no longer knows this login. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// What was observed of the bucket.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3BucketObservation {
    /// The name of the store: `s3://bucket/prefix`.
    pub store: String,
    /// Why the bucket cannot be listed with this login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// Whether everyone can list the bucket; `null` if that is unknown.
    pub public: Option<bool>,
    /// Whether versions are kept; `null` if this login may not ask.
    pub versioning: Option<Versioning>,
    /// How versions are locked; `null` if this login may not ask.
    pub lock: Option<Lock>,
    /// What could not be observed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// A refusal by the server.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The server's error code: `NoSuchBucket`, `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `AccessDenied`.
    pub code: String,
    /// What the error means and how to fix it.
    pub why: String,
}

impl Kind for S3Bucket {
    const NAME: &'static str = "s3-bucket";
    const EXAMPLE: &'static str = "s3-bucket: { versioning: enabled }";
    const JUDGES: &'static str = "The bucket can be listed with this login, and not without one unless `public` is true; then every setting. What this login may not know is undecided. With `refused` the server does not know its access key, or has disabled it; any other refusal is undecided.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["store"];
    type Seen = S3BucketObservation;

    fn judge(&self, seen: &S3BucketObservation, _at: Timestamp) -> Vec<Finding> {
        if self.refused {
            return vec![judge_refused(seen)];
        }
        let what = "it can be listed with this login";
        if let Some(refused) = &seen.refused {
            let answer = format!("{} {}", refused.status, refused.code);
            return vec![Finding::judged(what, "a list", answer, false).with_help(refused.why.clone())];
        }
        let mut findings = vec![Finding::judged(what, "a list", "a list", true)];
        if !self.public {
            findings.push(judge_public(seen));
        }
        let unread = || seen.unread.join("; ");
        if let Some(wanted) = self.versioning {
            let what = "whether versions are kept";
            findings.push(match seen.versioning {
                None => Finding::undecided(what, json!(wanted), unread()),
                Some(is) => Finding::judged(what, json!(wanted), json!(is), is == wanted),
            });
        }
        if let Some(wanted) = self.object_lock {
            let what = "whether versions can be locked";
            findings.push(match &seen.lock {
                None => Finding::undecided(what, wanted, unread()),
                Some(lock) => Finding::judged(what, wanted, lock.enabled, lock.enabled == wanted),
            });
        }
        if let Some(wanted) = self.retention_days {
            let (what, expected) = ("new objects are locked", format!("for at least {wanted} days"));
            findings.push(match &seen.lock {
                None => Finding::undecided(what, expected, unread()),
                Some(lock) => {
                    let ok =
                        lock.enabled && lock.mode.is_some() && lock.days.is_some_and(|days| days >= wanted);
                    Finding::judged(what, expected, json!(lock), ok).with_help(
                        "a bucket with object lock and no default retention locks nothing by itself",
                    )
                }
            });
        }
        findings
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let more = self.versioning.is_some() || self.object_lock.is_some() || self.retention_days.is_some();
        if self.refused && (more || self.public) {
            return Some(
                SettingMistake::new("with `refused` nothing else can be looked at")
                    .help("ask it in another step, with a login that works"),
            );
        }
        let none = self.retention_days == Some(0);
        none.then(|| SettingMistake::new("`retention-days: 0` asks nothing").help("leave it out"))
    }
}

impl Check for S3Bucket {
    async fn observe(&self, cx: &Cx) -> Result<S3BucketObservation, StepError> {
        let wire = cx.wire("store")?;
        let started = cx.clock.elapsed();
        let mut seen = S3BucketObservation { store: objects::name(wire)?, ..S3BucketObservation::default() };
        seen.refused = match objects::probe(wire).await {
            Ok(()) => None,
            Err(error) => Some(refusal(error)?),
        };
        if seen.refused.is_none() && !self.refused {
            let public = objects::needs_no_login(wire.since(started)).await;
            seen.public = known(public, "whether everyone can list it", &mut seen.unread)?;
            let versioning = objects::versioning(wire.since(started)).await;
            seen.versioning = known(versioning, "whether versions are kept", &mut seen.unread)?;
            let lock = objects::lock(wire.since(started)).await;
            seen.lock = known(lock, "whether versions are locked", &mut seen.unread)?;
        }
        Ok(seen)
    }
}

/// Only one error code means that the login is gone. A known login that may not list may still read or write.
fn judge_refused(seen: &S3BucketObservation) -> Finding {
    let (what, expected) = ("this login is refused", format!("403 {UNKNOWN}"));
    match &seen.refused {
        None => Finding::judged(what, expected, "a list", false)
            .with_help("the login still works: remove it, or disable it, on the server"),
        Some(refused) => {
            let answer = format!("{} {}", refused.status, refused.code);
            if refused.code == UNKNOWN {
                return Finding::judged(what, expected, answer, true);
            }
            Finding::undecided(what, expected, answer)
                .with_help(format!("that does not say that the login is gone: {}", refused.why))
        }
    }
}

fn judge_public(seen: &S3BucketObservation) -> Finding {
    let (what, expected) = ("it cannot be listed without a login", "refused without a login");
    match seen.public {
        Some(false) => Finding::judged(what, expected, "refused", true),
        Some(true) => Finding::judged(what, expected, "listed without a login", false).with_help(
            "everyone may list this bucket, and that the list was given proves nothing about the login: take the policy away, or say `public: true`",
        ),
        None => Finding::undecided(what, expected, seen.unread.join("; ")),
    }
}

/// Returns the server's refusal of the login or the bucket. Temporary errors, and errors that do not come from an S3
/// server, are not refusals.
fn refusal(error: ClientError) -> Result<Refused, StepError> {
    match error {
        ClientError::Api { status, kind, message, hint, .. }
            if (400..500).contains(&status) && status != 429 =>
        {
            let code = kind;
            Ok(Refused { status, code, why: format!("{message}{hint}") })
        }
        other => Err(other.into()),
    }
}

/// Returns the answer, or records why this login may not get it.
fn known<T>(
    answer: Result<T, ClientError>,
    what: &str,
    unread: &mut Vec<String>,
) -> Result<Option<T>, StepError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        // The server does not know the query, or the login may not send it.
        Err(ClientError::Api { status, kind, .. })
            if (400..500).contains(&status) && status != 429 || status == 501 =>
        {
            unread.push(format!("{what}: the server answered {status} {kind}"));
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}
