//! Checks what an environment gives for a store: a bucket with its server and login, or a folder.

use super::place::{StorePlace, endpoint_of};
use super::variables;
use proofmark_environment::{ConnectionBuilder, ConnectionFile, Misfit, MisfitPlace, Reference, Role};
use proofmark_model::diag::Diag;

/// The keys that only a store uses.
const OWN: [&str; 4] = ["endpoint", "region", "access-key", "secret-key"];

/// How to write an endpoint.
const ENDPOINT: &str = "write where the server listens, whole: `http://minio:9000`";

/// The role of a store of objects, such as backups.
pub const ROLE: Role = Role {
    name: "store",
    keys: &["endpoint", "region", "access-key", "secret-key", "tls"],
    described: &[
        ("endpoint", "Where the server of a store (`url: s3://bucket/prefix`) listens: `http://minio:9000`."),
        ("region", "The region of a store."),
        ("access-key", "The access key of a store."),
        ("secret-key", "The secret key of a store."),
    ],
    schemes: &["s3", "file"],
    wants: "is a bucket or a folder",
    help: "write `s3://bucket/prefix`, with the server's address as `endpoint`, or `file:///folder`",
    check: Some(check),
    complete: Some(complete),
    from_variables: Some(variables::from_variables),
    from_place: Some(variables::from_place),
    restore_login: Some(variables::restore_login),
    ..Role::HTTP
};

/// Returns what is wrong with a connection that serves as a store, once its `url` is known.
fn check(name: &str, written: &ConnectionFile, url: &str) -> Vec<Misfit> {
    match StorePlace::of(url) {
        Err(why) => {
            let message = format!("the url of the store `{name}` {why}");
            let help = "write `s3://bucket/prefix` with `endpoint`, `access-key` and `secret-key` beside it, or `file:///folder`";
            let diag = Diag::new("bad-url", message).help(help);
            vec![Misfit { at: MisfitPlace::Value("url"), diag }]
        }
        Ok(StorePlace::Folder(_)) => {
            let unread = |key| {
                let message = format!("the store `{name}` is a folder, which does not read `{key}`");
                let diag = Diag::new("unread-key", message).help("take it out: a folder takes only `url`");
                Misfit { at: MisfitPlace::Key(key), diag }
            };
            OWN.into_iter().chain(["tls"]).filter(|key| written.has(key)).map(unread).collect()
        }
        Ok(StorePlace::Bucket { .. }) => check_bucket(name, written),
    }
}

fn check_bucket(name: &str, written: &ConnectionFile) -> Vec<Misfit> {
    let lacks = |message: String, help: String| {
        let diag = Diag::new("missing-key", message).help(help);
        Misfit { at: MisfitPlace::Name, diag }
    };
    let mut out = vec![];
    // Without a login, a bucket that is open to everyone would be used, which proves nothing about the login.
    for key in ["access-key", "secret-key"].into_iter().filter(|key| !written.has(key)) {
        let message = format!("the store `{name}` is a bucket and has no `{key}`");
        out.push(lacks(message, format!("add `{key}: {{ env: NAME }}`")));
    }
    if !written.has("endpoint") && !written.has("region") {
        let message = format!("the store `{name}` says neither `endpoint` nor `region`");
        let help =
            "add `endpoint: \"http://minio:9000\"`; for Amazon's own S3 `region: eu-central-1` is enough";
        out.push(lacks(message, help.to_owned()));
    }
    if let Some(Reference::Text(endpoint)) = &written.endpoint
        && let Err(why) = endpoint_of(endpoint)
    {
        let message = format!("the `endpoint` of the store `{name}` {why}");
        let diag = Diag::new("bad-url", message).help(ENDPOINT);
        out.push(Misfit { at: MisfitPlace::Value("endpoint"), diag });
    }
    out
}

/// Brings the endpoint into the form that requests are built on.
fn complete(builder: &mut ConnectionBuilder<'_>) {
    let Some(text) = builder.connection.endpoint.take() else { return };
    match endpoint_of(&text) {
        Ok(endpoint) => builder.connection.endpoint = Some(endpoint),
        // A literal endpoint was checked before.
        Err(_) if matches!(builder.written.endpoint, Some(Reference::Text(_))) => {}
        Err(why) => {
            let message = format!("the `endpoint` of the connection `{}` {why}", builder.connection.name);
            builder.report(&["endpoint"], Diag::new("bad-url", message).help(ENDPOINT));
        }
    }
}
