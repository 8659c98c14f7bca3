//! The receiver that alerting systems post to: it records every POST with its time and answers 200. It listens from the
//! first call until the systems of the run are dropped, so that no sender has to send twice.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use jiff::Timestamp;
use proofmark_environment::{Connection, Role};
use proofmark_model::clock::Clock;
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::Url;

/// The largest body that is accepted, in bytes.
const MAX_BODY: usize = 4 << 20;

/// How many bodies are kept; later ones are answered and discarded.
const KEPT: usize = 10_000;

/// A role that makes no requests: other systems post to it.
pub const ROLE: Role = Role {
    name: "receiver",
    keys: &["listen"],
    described: &[(
        "listen",
        "Where Proofmark listens, `host:port`, in place of the host and port of `url`. Only for the role `receiver`.",
    )],
    wants: "is posted to over HTTP",
    help: "write the whole URL that the alerting systems post to: `http://host:9999`",
    ..Role::HTTP
};

/// What other systems post to this program, by the address that it listens on.
type Inboxes = Mutex<BTreeMap<String, Inbox>>;

/// The messages posted to one address. Dropping this stops the listener.
#[derive(Debug)]
struct Inbox {
    /// The messages in order of arrival.
    posts: Arc<Mutex<Vec<Post>>>,
    /// Stops the listener.
    listener: AbortHandle,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// One body that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Post {
    /// When the whole body had arrived.
    at: Timestamp,
    /// The body as it was received.
    body: Vec<u8>,
}

/// One alert of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delivered {
    /// When the message arrived, by the clock of this machine. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The receiver in the configuration of Alertmanager or Grafana that the message was sent for.
    pub receiver: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// All labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// When the alert began to fire, according to the sender; `null` if the sender does not report it. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub starts_at: Option<Timestamp>,
}

/// The part of a message that Alertmanager (message version 4) and Grafana have in common.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    receiver: String,
    alerts: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    starts_at: Option<String>,
}

const LISTEN: &str = "is another program listening there, and is it an address of this machine? `listen: host:port` of the connection says where to listen when the `url` leads here by another way";

/// Starts to listen, unless the address is being listened on already.
///
/// # Errors
/// The address cannot be listened on.
pub async fn open(wire: Endpoint<'_>) -> Result<(), ClientError> {
    let address = address(wire.connection)?;
    let inboxes = wire.systems.shared::<Inboxes>();
    if opened(&inboxes).contains_key(&address) {
        return Ok(());
    }
    let listener = TcpListener::bind(&address).await.map_err(|error| {
        let message = format!(
            "expected to listen on {address} for what is posted to the connection `receiver`, but: {error}"
        );
        CodedError::new(ErrorCode::BadConnection, message).help(LISTEN)
    })?;
    let posts = Arc::default();
    let app = taker(Arc::clone(&posts), wire.clock.clone());
    let task = tokio::spawn(async move { axum::serve(listener, app).await });
    let inbox = Inbox { posts, listener: task.abort_handle() };
    opened(&inboxes).insert(address, inbox);
    Ok(())
}

/// Returns the wanted alerts of the messages that arrived since `open`, in order. A body that is not a known message
/// has no alerts.
///
/// # Errors
/// The receiver does not listen.
pub fn delivered(
    wire: Endpoint<'_>,
    wanted: impl Fn(&Delivered) -> bool,
) -> Result<Vec<Delivered>, ClientError> {
    let address = address(wire.connection)?;
    let posts = match opened(&wire.systems.shared::<Inboxes>()).get(&address) {
        Some(inbox) => inbox.posts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        None => return Err(ClientError::new(ErrorCode::Internal, format!("nobody listens on {address}"))),
    };
    Ok(posts.iter().flat_map(alerts).filter(wanted).collect())
}

fn opened(inboxes: &Inboxes) -> MutexGuard<'_, BTreeMap<String, Inbox>> {
    inboxes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers every POST with 200, whatever its path, and every other method too, so that health checks succeed.
fn taker(posts: Arc<Mutex<Vec<Post>>>, clock: Clock) -> Router {
    let take = async move |method: Method, body: Bytes| {
        let mut posts = posts.lock().unwrap_or_else(PoisonError::into_inner);
        if method == Method::POST && posts.len() < KEPT {
            posts.push(Post { at: clock.now(), body: body.to_vec() });
        }
    };
    Router::new().fallback(take).layer(DefaultBodyLimit::max(MAX_BODY))
}

fn alerts(post: &Post) -> Vec<Delivered> {
    let Ok(Message { receiver, alerts }) = serde_json::from_slice(&post.body) else { return vec![] };
    let one = |entry: Entry| Delivered {
        at: post.at,
        receiver: receiver.clone(),
        status: entry.status,
        labels: entry.labels,
        starts_at: entry.starts_at.and_then(|at| at.parse().ok()),
    };
    alerts.into_iter().map(one).collect()
}

/// Returns the `host:port` to listen on.
fn address(connection: Option<&Connection>) -> Result<String, ClientError> {
    let wrong = |why: &str| {
        let message = format!("the connection `receiver` {why}");
        Err(ClientError::new(ErrorCode::BadConnection, message))
    };
    let Some(connection) = connection else {
        let message = "the connection `receiver` is missing";
        return Err(ClientError::new(ErrorCode::MissingConnection, message));
    };
    if let Some(listen) = &connection.listen {
        let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        return match port {
            Some(_) => Ok(listen.clone()),
            None => wrong(&format!("listens on `{listen}`, which is no `host:port`")),
        };
    }
    let url = connection.url.as_deref().and_then(|url| Url::parse(url).ok());
    let Some((host, url)) = url.as_ref().and_then(|url| Some((url.host_str()?, url))) else {
        return wrong("has no `url` with a host");
    };
    if url.scheme() == "https" {
        return wrong(
            "is posted to over https, which Proofmark does not speak as a receiver; let something before it do that, and say with `listen: host:port` where it passes on to",
        );
    }
    Ok(format!("{host}:{}", url.port_or_known_default().unwrap_or(80)))
}
