//! Lists the objects of a bucket, page by page to the end, and checks that each page answers the query.

use super::bucket::{Bucket, open};
use super::page::{Head, Page};
use super::{Listing, Object};
use proofmark_net::ClientError;
use proofmark_net::http::{Answer, Endpoint};
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

/// Lists all objects below the store's own prefix whose name begins with `prefix`.
pub(super) async fn list(wire: Endpoint<'_>, bucket: &Bucket, prefix: &str) -> Result<Listing, ClientError> {
    let started = wire.clock.elapsed();
    let whole = format!("{}{prefix}", bucket.prefix);
    let (mut objects, mut kept, mut next) = (vec![], vec![], None::<String>);
    loop {
        let token = next.take();
        let answer = ask(wire.since(started), bucket, &whole, token.as_deref(), "1000", true).await?;
        let (some, on) = read(&answer, (bucket, &whole), token.as_ref())?;
        kept.extend_from_slice(&answer.body);
        kept.push(b'\n');
        objects.extend(some);
        next = on;
        if next.is_none() {
            break;
        }
    }
    // Every page is kept as it was received, for `evidence:`.
    wire.log.keep(Arc::new(kept));
    let hidden_by =
        if objects.is_empty() { hidden_by(wire.since(started), bucket, &whole).await? } else { None };
    for object in &mut objects {
        object.key.drain(..bucket.prefix.len());
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Listing { objects, hidden_by })
}

/// Returns the first object, if any, whose whole name begins with `prefix`.
pub(super) async fn first(
    wire: Endpoint<'_>,
    bucket: &Bucket,
    prefix: &str,
    signed: bool,
) -> Result<Option<String>, ClientError> {
    let answer = ask(wire, bucket, prefix, None, "1", signed).await?;
    let (objects, _) = read(&answer, (bucket, prefix), None)?;
    Ok(objects.into_iter().next().map(|object| object.key))
}

/// Returns an object that has the name of one of the folders of `prefix`. MinIO then does not list the folder's
/// content, and does not report that.
async fn hidden_by(wire: Endpoint<'_>, bucket: &Bucket, prefix: &str) -> Result<Option<String>, ClientError> {
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
    wire: Endpoint<'_>,
    bucket: &Bucket,
    prefix: &str,
    token: Option<&str>,
    max: &str,
    signed: bool,
) -> Result<Answer, ClientError> {
    // Without the encoding, a control character in one name makes the whole list unreadable.
    let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("max-keys", max), ("prefix", prefix)];
    query.extend(token.map(|token| ("continuation-token", token)));
    bucket.ask(wire, &query, signed).await
}

fn read(
    answer: &Answer,
    asked: (&Bucket, &str),
    token: Option<&String>,
) -> Result<(Vec<Object>, Option<String>), ClientError> {
    let xml: PageXml = open(answer, "ListBucketResult")?;
    let head = Head { name: &xml.name, prefix: &xml.prefix, encoding: xml.encoding_type.as_deref() };
    let page = Page::of(answer, asked, &head)?;
    if xml.key_count.is_some_and(|count| count != xml.contents.len()) {
        return Err(page.wrong("it does not hold as many objects as it says (`KeyCount`)"));
    }
    let marker = xml.next_continuation_token.filter(|token| !token.is_empty());
    let next = page.next(xml.is_truncated, marker, token)?;
    let mut objects = Vec::with_capacity(xml.contents.len());
    for content in &xml.contents {
        let (key, modified) = (page.key(&content.key)?, page.modified(&content.last_modified)?);
        objects.push(Object { key, size: content.size, modified });
    }
    Ok((objects, next))
}
