//! Lists the versions of a bucket's objects, page by page to the end, and deletes single versions; it distinguishes a
//! lock from a refusal.

use super::Object;
use super::bucket::{Bucket, lock, open};
use super::page::{Head, Page};
use super::store::whole;
use jiff::Timestamp;
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Endpoint};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// The id of the only version of an object.
pub(super) const ONLY: &str = "null";

/// One version of an object, or a delete marker, which hides the versions before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Version {
    /// The name of the object below the store's `url`.
    pub key: String,
    /// The id of the version; the text `null` if the bucket does not keep versions.
    pub id: String,
    /// Whether this version is read if no id is given.
    pub latest: bool,
    /// Whether this is a delete marker.
    pub marker: bool,
    /// The size in bytes; 0 for a delete marker.
    pub size: u64,
    /// When the version was written. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub modified: Timestamp,
}

impl Version {
    /// Returns the only version of an object.
    pub(super) fn only(object: Object) -> Self {
        let Object { key, size, modified } = object;
        Self { key, id: ONLY.to_owned(), latest: true, marker: false, size, modified }
    }
}

/// The outcome of deleting a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// The version is deleted.
    Deleted,
    /// A lock protects the version; holds the server's message.
    Locked(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageXml {
    name: String,
    #[serde(default)]
    prefix: String,
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: Option<String>,
    #[serde(default)]
    next_version_id_marker: Option<String>,
    #[serde(default)]
    encoding_type: Option<String>,
    // These are declared so that only versions are left for `entries`.
    #[serde(default, rename = "KeyMarker")]
    _key_marker: Option<IgnoredAny>,
    #[serde(default, rename = "VersionIdMarker")]
    _version_id_marker: Option<IgnoredAny>,
    #[serde(default, rename = "MaxKeys")]
    _max_keys: Option<IgnoredAny>,
    #[serde(default, rename = "Delimiter")]
    _delimiter: Option<IgnoredAny>,
    #[serde(default, rename = "$value")]
    entries: Vec<EntryXml>,
}

#[derive(Deserialize)]
enum EntryXml {
    Version(VersionXml),
    DeleteMarker(VersionXml),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionXml {
    key: String,
    version_id: String,
    is_latest: bool,
    last_modified: String,
    #[serde(default)]
    size: u64,
}

/// Where a list continues.
type Next = (String, String);

/// Lists all versions below the store's own prefix whose key begins with `prefix`.
pub(super) async fn list(
    wire: Endpoint<'_>,
    bucket: &Bucket,
    prefix: &str,
) -> Result<Vec<Version>, ClientError> {
    let started = wire.clock.elapsed();
    let whole = format!("{}{prefix}", bucket.prefix);
    let (mut all, mut next) = (vec![], None::<Next>);
    loop {
        let mut query = vec![("versions", ""), ("encoding-type", "url"), ("max-keys", "1000")];
        query.push(("prefix", &whole));
        if let Some((key, version)) = &next {
            query.extend([("key-marker", key.as_str()), ("version-id-marker", version.as_str())]);
        }
        let answer = bucket.ask(wire.since(started), &query, true).await?;
        let (versions, on) = read(&answer, (bucket, &whole), next.as_ref())?;
        all.extend(versions);
        next = on;
        if next.is_none() {
            break;
        }
    }
    for version in &mut all {
        version.key.drain(..bucket.prefix.len());
    }
    // The sort is stable, so the versions of one key stay in the server's order: newest first.
    all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(all)
}

fn read(
    answer: &Answer,
    asked: (&Bucket, &str),
    from: Option<&Next>,
) -> Result<(Vec<Version>, Option<Next>), ClientError> {
    let xml: PageXml = open(answer, "ListVersionsResult")?;
    let head = Head { name: &xml.name, prefix: &xml.prefix, encoding: xml.encoding_type.as_deref() };
    let page = Page::of(answer, asked, &head)?;
    let marker = xml.next_key_marker.filter(|marker| !marker.is_empty());
    let marker = marker.and_then(|marker| page.plain(&marker));
    let marker = marker.map(|key| (key, xml.next_version_id_marker.unwrap_or_default()));
    let next = page.next(xml.is_truncated, marker, from)?;
    let mut versions = Vec::with_capacity(xml.entries.len());
    for entry in xml.entries {
        let (marker, xml) = match entry {
            EntryXml::Version(xml) => (false, xml),
            EntryXml::DeleteMarker(xml) => (true, xml),
        };
        let (key, modified) = (page.key(&xml.key)?, page.modified(&xml.last_modified)?);
        let (id, latest, size) = (xml.version_id, xml.is_latest, xml.size);
        versions.push(Version { key, id, latest, marker, size, modified });
    }
    Ok((versions, next))
}

/// Deletes an object, or hides it if versions are kept.
pub(super) async fn delete(
    (wire, bucket): (Endpoint<'_>, &Bucket),
    key: &str,
    leave: &impl ChangePermit,
) -> Result<(), ClientError> {
    match bucket.remove(wire, whole(&bucket.prefix, key)?.as_ref(), &[], leave).await {
        Err(ClientError::Api { kind, .. }) if kind == "NoSuchKey" => Ok(()),
        other => other,
    }
}

/// Deletes one version permanently.
pub(super) async fn remove(
    (wire, bucket): (Endpoint<'_>, &Bucket),
    key: &str,
    version: &str,
    leave: &impl ChangePermit,
) -> Result<Removed, ClientError> {
    let whole = whole(&bucket.prefix, key)?;
    match bucket.remove(wire, whole.as_ref(), &[("versionId", version)], leave).await {
        Ok(()) => Ok(Removed::Deleted),
        Err(ClientError::Api { kind, .. }) if kind == "NoSuchKey" || kind == "NoSuchVersion" => {
            Ok(Removed::Deleted)
        }
        Err(ClientError::Api { kind, message, .. }) if is_lock(&kind, &message) => {
            Ok(Removed::Locked(message))
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetentionXml {
    mode: String,
    retain_until_date: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HoldXml {
    #[serde(default)]
    status: String,
}

/// Returns whether versions of this bucket can be locked. A login that may not ask gets a yes; each version is then
/// checked before it is deleted.
pub(super) async fn can_lock(wire: Endpoint<'_>) -> Result<bool, ClientError> {
    match lock(wire).await {
        Ok(lock) => Ok(lock.enabled),
        Err(ClientError::Api { status: 403, .. }) => Ok(true),
        Err(error) if knows_no_locks(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns what protects a version from deletion, as text.
pub(super) async fn lock_of(
    (wire, bucket): (Endpoint<'_>, &Bucket),
    version: &Version,
) -> Result<Option<String>, ClientError> {
    let (started, key) = (wire.clock.elapsed(), whole(&bucket.prefix, &version.key)?);
    let query = |what| [(what, ""), ("versionId", version.id.as_str())];
    let answer = bucket.ask_of(wire, key.as_ref(), &query("legal-hold")).await?;
    if unless_none(open::<HoldXml>(&answer, "LegalHold"))?.is_some_and(|hold| hold.status == "ON") {
        return Ok(Some("a legal hold".to_owned()));
    }
    let answer = bucket.ask_of(wire.since(started), key.as_ref(), &query("retention")).await?;
    let retention = unless_none(open::<RetentionXml>(&answer, "Retention"))?;
    let retention = retention.filter(|retention| retention.retain_until_date > wire.clock.now());
    Ok(retention.map(|retention| format!("{} until {}", retention.mode, retention.retain_until_date)))
}

/// Turns the error for a missing lock into `None`. Every server reports it as a different error.
fn unless_none<T>(found: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match found {
        Err(ClientError::Api { kind, .. }) if kind == "NoSuchKey" || kind == "NoSuchVersion" => Ok(None),
        Err(error) if knows_no_locks(&error) => Ok(None),
        other => other.map(Some),
    }
}

fn knows_no_locks(error: &ClientError) -> bool {
    let ClientError::Api { kind, message, .. } = error else { return false };
    let missing = message.to_lowercase().replace(' ', "").contains("missingobjectlockconfiguration");
    matches!(kind.as_str(), "NoSuchObjectLockConfiguration" | "NotImplemented")
        || kind == "InvalidRequest" && missing
}

/// Returns whether a lock caused the refusal. MinIO answers `InvalidRequest` and mentions WORM; Amazon answers
/// `AccessDenied`, as for a login that may not delete, and names the lock.
fn is_lock(code: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    matches!(code, "InvalidRequest" | "AccessDenied" | "ObjectLocked")
        && (message.contains("worm") || message.contains("object lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lock_is_told_from_no_leave_to_ask() {
        let cases = [
            ("NoSuchObjectLockConfiguration", "", true),
            ("InvalidRequest", "Bucket is missing ObjectLockConfiguration", true),
            ("InvalidRequest", "Bucket is missing Object Lock Configuration", true),
            ("NotImplemented", "", true),
            ("InvalidRequest", "Object is WORM protected and cannot be overwritten", false),
            ("AccessDenied", "Access Denied.", false),
        ];
        for (kind, message, none) in cases {
            let (at, hint) = (String::new(), "");
            let error =
                ClientError::Api { at, status: 400, kind: kind.into(), message: message.into(), hint };
            assert_eq!(unless_none::<()>(Err(error)).is_ok(), none, "{kind}: {message}");
        }
    }
}
