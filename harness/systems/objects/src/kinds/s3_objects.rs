//! `s3-objects`: checks which objects a store holds, their age and their size. A list does not show whether they can be
//! read: only a restore proves an archive.

use crate::client::{self as objects, Object};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::{Count, Matcher, Pattern};
use proofmark_model::{Duration, Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Lists the objects of a store: a bucket, or a folder with everything below it.
///
/// The list is read to its end, however many pages it has. Keys are relative to the store's `url`; old versions and
/// objects hidden by a delete marker are not listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3Objects {
    /// Only keys that begin with this text, such as `postgres/app_`. A folder ends with a slash. Default: all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only keys in which this regular expression matches. Default: all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// The greatest age of the newest object, such as `25h`. Default: any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_within: Option<Duration>,
    /// The least size of every object, in bytes. Default: any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<u64>,
    /// The required number of objects, such as `{ equals: 3 }` or `{ min: 1, max: 5 }`. Default: at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The objects that match the settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3ObjectsObservation {
    /// The name of the store: `s3://bucket/prefix`, or a folder.
    pub store: String,
    /// The objects, sorted by key.
    pub objects: Vec<Object>,
    /// The number of objects.
    pub count: usize,
    /// The number of objects before `matches` was applied.
    pub listed: usize,
    /// When the newest object was written. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub newest: Option<Timestamp>,
    /// When the oldest object was written. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub oldest: Option<Timestamp>,
    /// The size of all objects together, in bytes.
    pub bytes: u64,
    /// An object that has the name of a folder in which nothing is listed. Some servers hide the content of such a
    /// folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_by: Option<String>,
}

impl Kind for S3Objects {
    const NAME: &'static str = "s3-objects";
    const EXAMPLE: &'static str =
        "s3-objects: { prefix: postgres/, matches: '\\.dump$', newest-within: 25h, min-size: 1 }";
    const JUDGES: &'static str = "At least one object (or as many as `count` says); with `newest-within` the newest is that new, with `min-size` none is smaller. A newest that lies in the future is undecided, and so is an empty list where an object may hide the folder.";
    const RULES: u32 = 2;
    const ROLES: &'static [&'static str] = &["store"];
    type Seen = S3ObjectsObservation;

    fn judge(&self, seen: &S3ObjectsObservation, at: Timestamp) -> Vec<Finding> {
        let mut findings = vec![self.judge_count(seen)];
        findings.extend(self.newest_within.map(|age| judge_newest(age, seen.newest, at)));
        if let Some(least) = self.min_size.filter(|_| !seen.objects.is_empty()) {
            findings.push(judge_size(least, &seen.objects));
        }
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.objects")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let prefix = self.prefix.as_deref()?;
        let odd = prefix.starts_with('/') || prefix.contains("//");
        odd.then(|| {
            SettingMistake::new("`prefix` begins with a slash or holds two in a row, and no key does")
                .help("take them out")
        })
    }
}

impl Check for S3Objects {
    async fn observe(&self, cx: &Cx) -> Result<S3ObjectsObservation, StepError> {
        let wire = cx.wire("store")?;
        let mut found = objects::list(wire, self.prefix.as_deref().unwrap_or_default()).await?;
        let listed = found.objects.len();
        if let Some(Pattern(pattern)) = &self.matches {
            found.objects.retain(|object| pattern.is_match(&object.key));
        }
        let times = || found.objects.iter().map(|object| object.modified);
        Ok(S3ObjectsObservation {
            store: objects::name(wire)?,
            count: found.objects.len(),
            listed,
            newest: times().max(),
            oldest: times().min(),
            bytes: found.objects.iter().map(|object| object.size).sum(),
            hidden_by: found.hidden_by,
            objects: found.objects,
        })
    }
}

impl S3Objects {
    fn judge_count(&self, seen: &S3ObjectsObservation) -> Finding {
        let (what, count) = match &self.count {
            None => ("at least one object", &Count::AT_LEAST_ONE),
            Some(count) => ("number of objects", count),
        };
        let help = match (&seen.hidden_by, seen.listed) {
            (Some(key), _) => {
                let expected = serde_json::json!({ "count": count });
                return Finding::undecided(what, expected, format!("an object `{key}`, and nothing below `{key}/`"))
                    .with_help("some servers list nothing of a folder beside which an object has its name: move that object away, and look again");
            }
            (None, 0) => {
                "nothing is listed there: are `prefix` and the `url` of the store spelt as the keys are? A prefix that does not exist is no error for a store".to_owned()
            }
            (None, listed) => format!("{listed} are listed before `matches` chooses: look at the keys and the expression"),
        };
        count.judge(what, Some(seen.objects.len())).with_help(help)
    }
}

fn judge_newest(age: Duration, newest: Option<Timestamp>, at: Timestamp) -> Finding {
    let (what, expected) = ("the newest was written lately", format!("within {age}"));
    let Some(newest) = newest else {
        return Finding::undecided(what, expected, "no object");
    };
    let shown = Value::String(newest.to_string());
    Matcher::NewerThan(age).answer(&shown, at).finding(what, expected, shown)
}

fn judge_size(least: u64, objects: &[Object]) -> Finding {
    let what = "none is smaller";
    let small: Vec<String> = objects
        .iter()
        .filter(|object| object.size < least)
        .map(|object| format!("{}: {} bytes", object.key, object.size))
        .collect();
    let expected = format!("each at least {least} bytes");
    if small.is_empty() {
        let smallest = objects.iter().map(|object| object.size).min();
        return Finding::judged(
            what,
            expected,
            format!("at least {} bytes", smallest.unwrap_or_default()),
            true,
        );
    }
    Finding::judged(what, expected, small, false)
        .with_help("a writer that was given nothing leaves an object without content, and reports success")
}
