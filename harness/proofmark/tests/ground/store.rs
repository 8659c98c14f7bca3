//! The ground that the tests of stores stand on: a connection to a bucket or a folder.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{Look, look, with};
use proofmark_engine::{Cx, StepError};
use proofmark_environment::Connection;
use proofmark_model::Duration;
use proofmark_model::redact::Redactor;
use serde_json::{Value, json};

/// The access key of every store here.
pub const ACCESS: &str = "labroot-access";

/// Its secret key: with signs that have to be encoded.
pub const SECRET: &str = "lab/root+secret=word";

/// A context in which this serves the role `store`.
pub fn store(connection: Connection) -> Cx {
    let mut cx = with(connection, Duration::secs(20));
    cx.via.insert("store".into(), "prometheus".into());
    cx
}

/// A connection to `bucket/prefix` at this endpoint, with this login.
pub fn bucket(endpoint: &str, place: &str, (access, secret): (&str, &str)) -> Connection {
    let redactor = Redactor::default();
    Connection {
        name: "store".into(),
        url: Some(format!("s3://{place}")),
        endpoint: Some(endpoint.into()),
        keys: Some((redactor.learn(access), redactor.learn(secret))),
        ..Connection::default()
    }
}

pub async fn objects(cx: &Cx, settings: Value) -> Result<Look, StepError> {
    look(cx, json!({"s3-objects": settings})).await
}

pub async fn state(cx: &Cx, settings: Value) -> Result<Look, StepError> {
    look(cx, json!({"s3-bucket": settings})).await
}

/// The keys that were seen.
pub fn keys(look: &Look) -> Vec<&str> {
    look.seen["objects"].as_array().unwrap().iter().map(|object| object["key"].as_str().unwrap()).collect()
}
