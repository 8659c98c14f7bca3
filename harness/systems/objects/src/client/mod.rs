//! A store of objects: a bucket of an S3 server, or a folder of this machine.
//!
//! Lists are asked for and read here, not by `object_store`, which takes any XML with status 200 for an empty list,
//! stops where a server says that there is more and not how to go on, and refuses a whole list for one odd name.
//! Such requests are signed by it, and travel as all others do: one attempt, within the step's time, taken down.
//!
//! Whole objects are read and written through a [`Store`], by `object_store` over our own HTTP client, with many tries.
//! Nothing that stands there is written over, and what is read is whole or an error.

mod bucket;
mod folder;
mod list;
mod page;
mod place;
mod remote;
mod role;
mod store;
mod transport;
mod upload;
mod variables;
mod versions;
mod xml;

pub use bucket::{Lock, Versioning, lock, needs_no_login, probe, versioning};
pub use place::StorePlace;
pub use role::ROLE;
pub use store::{Created, Finished, Head, Store, Stream};
pub use upload::Upload;
pub use versions::{Removed, Version};

use bucket::Bucket;
use jiff::Timestamp;
use proofmark_environment::Connection;
use proofmark_model::ErrorCode;
use proofmark_net::ClientError;
use proofmark_net::http::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Object {
    /// Its name below the store's `url`.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written last, RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub modified: Timestamp,
}

/// A list that was read to its end.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In order of key, by its bytes.
    pub objects: Vec<Object>,
    /// Where nothing is listed: an object whose name is that of the folder. Some servers then hide all that is in it.
    pub hidden_by: Option<String>,
}

/// All objects whose name below the store's `url` begins with `prefix`.
///
/// # Errors
/// When the store cannot be reached, refuses, is not there, or answers what is no list of it.
pub async fn list(wire: Wire<'_>, prefix: &str) -> Result<Listing, ClientError> {
    match place(wire.connection)? {
        StorePlace::Folder(folder) => folder::list(wire, &folder, prefix).await,
        StorePlace::Bucket { .. } => list::list(wire, &Bucket::of(wire)?, prefix).await,
    }
}

/// The store in words: `s3://bucket/prefix`, or the folder's path.
///
/// # Errors
/// When the connection is no store.
pub fn name(wire: Wire<'_>) -> Result<String, ClientError> {
    Ok(match place(wire.connection)? {
        StorePlace::Folder(folder) => folder.display().to_string(),
        StorePlace::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
    })
}

fn place(connection: Option<&Connection>) -> Result<StorePlace, ClientError> {
    let name = connection.map_or("", |connection| &connection.name);
    let url = connection.and_then(|connection| connection.url.as_deref());
    let place = url.ok_or("is not there").and_then(StorePlace::of);
    place.map_err(|why| {
        ClientError::new(ErrorCode::BadConnection, format!("the url of the store `{name}` {why}"))
    })
}
