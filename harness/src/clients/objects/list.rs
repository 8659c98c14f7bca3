//! The list of a bucket's objects, page by page to its end; each page has to be about what was asked.

use super::bucket::{Bucket, EXPECTED, open};
use super::{Listing, Object};
use crate::clients::ClientError;
use crate::clients::http::{Answer, Wire};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageXml {
    name: String,
    #[serde(default)]
    prefix: String,
    is_truncated: bool,
    #[serde(default)]
    next_continuation_token: Option<String>,
    #[serde(default)]
    encoding_type: Option<String>,
    #[serde(default)]
    key_count: Option<usize>,
    #[serde(default)]
    contents: Vec<ContentXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContentXml {
    key: String,
    size: u64,
    last_modified: String,
}

/// A page whose keys are as they are in the bucket.
struct Page {
    objects: Vec<Object>,
    next: Option<String>,
}

/// All objects below the store's own prefix whose name begins with `prefix`.
pub(super) async fn list(wire: Wire<'_>, bucket: &Bucket, prefix: &str) -> Result<Listing, ClientError> {
    let started = wire.clock.elapsed();
    let whole = format!("{}{prefix}", bucket.prefix);
    let (mut objects, mut kept, mut next) = (vec![], vec![], None::<String>);
    loop {
        let token = next.take();
        let answer = ask(wire.since(started), bucket, &whole, token.as_deref(), "1000", true).await?;
        let page = read(&answer, bucket, &whole)?;
        if page.next.is_some() && page.next == token {
            return Err(shape(&answer, "it says to go on where it stands already: the list has no end"));
        }
        kept.extend_from_slice(&answer.body);
        kept.push(b'\n');
        objects.extend(page.objects);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    // What `evidence:` asks for: every page as it came.
    wire.log.keep(Arc::new(kept));
    let hidden_by =
        if objects.is_empty() { hidden_by(wire.since(started), bucket, &whole).await? } else { None };
    for object in &mut objects {
        object.key.drain(..bucket.prefix.len());
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Listing { objects, hidden_by })
}

/// The first object, if any, whose whole name begins with `prefix`.
pub(super) async fn first(
    wire: Wire<'_>,
    bucket: &Bucket,
    prefix: &str,
    signed: bool,
) -> Result<Option<String>, ClientError> {
    let answer = ask(wire, bucket, prefix, None, "1", signed).await?;
    let page = read(&answer, bucket, prefix)?;
    Ok(page.objects.into_iter().next().map(|object| object.key))
}

/// An object with the name of one of the folders of `prefix`: MinIO then lists nothing of the folder, and says so nowhere.
async fn hidden_by(wire: Wire<'_>, bucket: &Bucket, prefix: &str) -> Result<Option<String>, ClientError> {
    let started = wire.clock.elapsed();
    for (slash, _) in prefix.match_indices('/') {
        let folder = &prefix[..slash];
        let found = first(wire.since(started), bucket, folder, true).await?;
        if found.as_deref() == Some(folder) {
            return Ok(found);
        }
    }
    Ok(None)
}

async fn ask(
    wire: Wire<'_>,
    bucket: &Bucket,
    prefix: &str,
    token: Option<&str>,
    max: &str,
    signed: bool,
) -> Result<Answer, ClientError> {
    // Without the encoding a control character in one name makes the whole list unreadable.
    let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("max-keys", max), ("prefix", prefix)];
    query.extend(token.map(|token| ("continuation-token", token)));
    bucket.ask(wire, &query, signed).await
}

fn read(answer: &Answer, bucket: &Bucket, prefix: &str) -> Result<Page, ClientError> {
    let page: PageXml = open(answer, "ListBucketResult")?;
    let encoded = page.encoding_type.as_deref() == Some("url");
    let plain = |text: &str| if encoded { decoded(text) } else { Some(text.to_owned()) };
    let wrong = |why: &str| shape(answer, why);
    if page.name != bucket.name {
        return Err(wrong(&format!("it is the list of another bucket, `{}`", page.name)));
    }
    if plain(&page.prefix).as_deref() != Some(prefix) {
        return Err(wrong(&format!("it is the list of another prefix, `{}`", page.prefix)));
    }
    if page.key_count.is_some_and(|count| count != page.contents.len()) {
        return Err(wrong("it does not hold as many objects as it says (`KeyCount`)"));
    }
    let next = match (page.is_truncated, page.next_continuation_token.filter(|token| !token.is_empty())) {
        (false, _) => None,
        (true, Some(token)) => Some(token),
        (true, None) => return Err(wrong("it says that there is more and not how to go on")),
    };
    let mut objects = Vec::with_capacity(page.contents.len());
    for content in page.contents {
        let key = plain(&content.key).filter(|key| key.starts_with(prefix));
        let key = key.ok_or_else(|| wrong(&format!("the key `{}` does not belong there", content.key)))?;
        let modified: Timestamp = content
            .last_modified
            .parse()
            .map_err(|_| wrong(&format!("`{}` is no time of change", content.last_modified)))?;
        objects.push(Object { key, size: content.size, modified });
    }
    Ok(Page { objects, next })
}

/// As forms are encoded: a plus is a space.
pub(super) fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn shape(answer: &Answer, why: &str) -> ClientError {
    ClientError::of_shape(answer, EXPECTED, why)
}
