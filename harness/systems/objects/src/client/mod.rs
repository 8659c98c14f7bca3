//! A store of objects: a bucket of an S3 server, or a folder of this machine.
//!
//! Lists are requested and parsed here and not by `object_store`, which takes any XML with status 200 for an empty
//! list, stops if a server reports that there is more but not how to continue, and rejects a whole list because of one
//! unusual name. These requests are signed by `object_store`, and sent like all others: one attempt, within the step's
//! time, logged.
//!
//! Whole objects are read and written through a [`Store`], by `object_store` over our own HTTP client, with many
//! retries. Existing objects are never overwritten, and what is read is complete or an error.

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
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Object {
    /// The name of the object below the store's `url`.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// When the object was last written. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub modified: Timestamp,
}

/// A list that was read to its end.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The objects, sorted by the bytes of their keys.
    pub objects: Vec<Object>,
    /// An object that has the name of the folder, if nothing is listed. Some servers then hide everything in the
    /// folder.
    pub hidden_by: Option<String>,
}

/// Lists all objects whose name below the store's `url` begins with `prefix`.
///
/// # Errors
/// The store cannot be reached, refuses the request, does not exist, or answers with something other than its list.
pub async fn list(wire: Endpoint<'_>, prefix: &str) -> Result<Listing, ClientError> {
    match place(wire.connection)? {
        StorePlace::Folder(folder) => folder::list(wire, &folder, prefix).await,
        StorePlace::Bucket { .. } => list::list(wire, &Bucket::of(wire)?, prefix).await,
    }
}

/// Returns the name of the store: `s3://bucket/prefix`, or the folder's path.
///
/// # Errors
/// The connection is not a store.
pub fn name(wire: Endpoint<'_>) -> Result<String, ClientError> {
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
