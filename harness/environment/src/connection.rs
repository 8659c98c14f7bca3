//! A connection with its secrets resolved, and the set of all connections.

use proofmark_model::Exchange;
use proofmark_model::redact::{Redactor, Secret};
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One named system: where it is and how to log in. The redactor has learned every secret in it.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Its name in the environment file.
    pub name: String,
    /// Base URL without a trailing slash; `None` if the address has another form and is kept as a [part](Self::part).
    pub url: Option<String>,
    /// The local address that Proofmark listens on, `host:port`, if it differs from the host and port of `url`.
    pub listen: Option<String>,
    /// Basic authentication: user name and password.
    pub basic: Option<(String, Secret)>,
    /// A bearer token.
    pub bearer: Option<Secret>,
    /// Extra headers, sorted by name.
    pub headers: BTreeMap<String, Secret>,
    /// TLS settings.
    pub tls: Tls,
    /// The server's address without a trailing slash, if it is not part of `url`.
    pub endpoint: Option<String>,
    /// The region of the server.
    pub region: Option<String>,
    /// Access key and secret key.
    pub keys: Option<(Secret, Secret)>,
    /// System-specific data; read by [`Connection::part`].
    pub parts: Parts,
}

impl Connection {
    /// Returns the part of this type that a system added to the connection.
    pub fn part<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.parts.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Adds a part, and replaces one of the same type.
    pub fn put<T: Any + Send + Sync>(&mut self, part: T) {
        self.put_part(Arc::new(part));
    }

    /// The same connection with this part.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, part: T) -> Self {
        self.put(part);
        self
    }

    pub(super) fn put_part(&mut self, part: Part) {
        self.parts.0.insert((*part).type_id(), part);
    }
}

/// A value that is stored by its type.
pub type Part = Arc<dyn Any + Send + Sync>;

/// Values stored by type; `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Parts(BTreeMap<TypeId, Part>);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({})", self.0.len())
    }
}

/// TLS settings of a connection; `ca`, `cert` and `key` hold PEM text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// CA certificates that replace the machine's.
    pub ca: Option<String>,
    /// The client's certificate chain.
    pub cert: Option<String>,
    /// The client's private key.
    pub key: Option<Secret>,
    /// The name to expect in the server's certificate.
    pub server_name: Option<String>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
}

/// Every connection of an environment, and the redactor that knows their secrets.
#[derive(Debug, Default)]
pub struct Systems {
    /// Connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// Knows the secrets that must not be written.
    pub redactor: Redactor,
    /// The programs that were run for a secret, in order. Their output is not recorded.
    pub programs: Vec<Exchange>,
    /// Values that clients share for the duration of the run.
    shared: Mutex<Parts>,
}

impl Systems {
    /// Returns the value of this type that all clients of these systems share, such as open connections or the requests
    /// that others post to this program. The first call creates it; it is dropped with the systems.
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let part = shared.0.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The key is the type, so this cannot fail.
        part.clone().downcast().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_type_and_go_with_clones() {
        let mut connection = Connection::default().with(7_u8).with("text".to_owned());
        connection.put(8_u8);
        let clone = connection.clone();
        assert_eq!((clone.part::<u8>(), clone.part::<String>()), (Some(&8), Some(&"text".to_owned())));
        assert_eq!(clone.part::<u16>(), None);
        connection.put(9_u8);
        assert_eq!((connection.part::<u8>(), clone.part::<u8>()), (Some(&9), Some(&8)));
        assert!(!format!("{connection:?}").contains("text"), "a part may hold a secret");
    }

    #[test]
    fn what_is_shared_is_made_once() {
        let systems = Systems::default();
        systems.shared::<Mutex<Vec<u8>>>().lock().unwrap().push(1);
        systems.shared::<Mutex<Vec<u8>>>().lock().unwrap().push(2);
        assert_eq!(*systems.shared::<Mutex<Vec<u8>>>().lock().unwrap(), [1, 2]);
        assert!(systems.shared::<Mutex<Vec<u16>>>().lock().unwrap().is_empty());
    }
}
