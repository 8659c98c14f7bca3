//! A connection with its secrets resolved, and all of them together.

use proofmark_model::Exchange;
use proofmark_model::redact::{Redactor, Secret};
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One named system: where it is and how to log in. Every secret in it has been learned by the redactor.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Its name in the environment file.
    pub name: String,
    /// Base URL, without a trailing slash; `None` where the address is a [part](Self::part) of another form.
    pub url: Option<String>,
    /// Where Proofmark itself listens, `host:port`, in place of the host and port of `url`.
    pub listen: Option<String>,
    /// Basic authentication: user name and password.
    pub basic: Option<(String, Secret)>,
    /// A bearer token.
    pub bearer: Option<Secret>,
    /// Extra headers, in order of name.
    pub headers: BTreeMap<String, Secret>,
    /// TLS settings.
    pub tls: Tls,
    /// Where the server listens, without a trailing slash, where `url` does not say it.
    pub endpoint: Option<String>,
    /// The region of the server.
    pub region: Option<String>,
    /// A login by keys: access key and secret key.
    pub keys: Option<(Secret, Secret)>,
    /// What only the system itself knows; read by [`Connection::part`].
    pub parts: Parts,
}

impl Connection {
    /// What a system has put into the connection, by its type.
    pub fn part<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.parts.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Puts a part in, in the place of one of the same type.
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

/// A value that is kept by its type.
pub type Part = Arc<dyn Any + Send + Sync>;

/// Values by their types; `Debug` shows none of them.
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
    /// The programs that were run for a secret, in order. Nothing of their output is in here.
    pub programs: Vec<Exchange>,
    /// What clients keep for as long as the run lasts.
    shared: Mutex<Parts>,
}

impl Systems {
    /// What all clients of these systems share of a type, such as open connections or what others post to this program.
    /// The first call makes it; it is dropped with the systems.
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let part = shared.0.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The key is the type, so that this cannot fail.
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
