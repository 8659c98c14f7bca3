//! A connection with its secrets resolved, and all of them together.

use super::dsn::Dsn;
use crate::redact::{Redactor, Secret};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;

/// One named system: where it is and how to log in. Every secret in it has been learned by the redactor.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Its name in the environment file.
    pub name: String,
    /// Base URL, without a trailing slash.
    pub url: Option<String>,
    /// Where Proofmark itself listens, `host:port`, in place of the host and port of `url`.
    pub listen: Option<String>,
    /// The PostgreSQL database, where the `url` says one; then there is no base URL.
    pub dsn: Option<Dsn>,
    /// Basic authentication: user name and password.
    pub basic: Option<(String, Secret)>,
    /// A bearer token.
    pub bearer: Option<Secret>,
    /// Extra headers, in order of name.
    pub headers: BTreeMap<String, Secret>,
    /// TLS settings.
    pub tls: Tls,
    /// Where the server of a store listens, without a trailing slash.
    pub endpoint: Option<String>,
    /// The region of a store.
    pub region: Option<String>,
    /// The login of a store: access key and secret key.
    pub keys: Option<(Secret, Secret)>,
}

/// TLS settings of a connection; `ca`, `cert` and `key` hold PEM text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates to trust instead of the machine's.
    pub ca: Option<String>,
    /// The client's certificate chain.
    pub cert: Option<String>,
    /// The client's key.
    pub key: Option<Secret>,
    /// The name to expect in the server's certificate.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Every connection of an environment, and the redactor that knows their secrets.
#[derive(Debug, Default)]
pub struct Systems {
    /// Connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// Knows what must not be written.
    pub redactor: Redactor,
    /// HTTP clients that are already built.
    pub http: HttpClients,
    /// What others post to this program, by the address that it listens on.
    pub inboxes: Mutex<BTreeMap<String, Inbox>>,
}

/// What was posted to one address. Nobody listens there any more once this is dropped.
#[derive(Debug)]
pub struct Inbox {
    /// In the order in which they came.
    pub posts: Arc<Mutex<Vec<Post>>>,
    /// Ends the listening.
    pub listener: AbortHandle,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// One body that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// When it was here as a whole.
    pub at: Timestamp,
    /// As it came.
    pub body: Vec<u8>,
}

/// One HTTP client for each way of talking TLS, so that connections stay open between requests. They live as long as
/// the environment, for a client's open connections belong to the runtime that opened them.
#[derive(Debug, Default)]
pub struct HttpClients {
    /// Clients by their TLS settings; `None` is plain HTTP. There are few: a list is searched fast enough.
    pub built: Mutex<Vec<(Option<Tls>, reqwest::Client)>>,
    /// `Authorization` values that the redactor has learned.
    pub learned: Mutex<BTreeSet<String>>,
}
