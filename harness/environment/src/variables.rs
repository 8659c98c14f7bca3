//! An environment without a file: from environment variables, or from places on the command line, as each role reads
//! them. Like a file it contains references; nothing is resolved here.

use super::file::{ConnectionFile, Environment};
use super::secret::Reference;
use super::vocabulary::{RestoreLogin, Role, Vocabulary};
use proofmark_model::diag::Diag;
use proofmark_model::redact::is_masked;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The prefix of a reference to a variable.
const VARIABLE: &str = "env:";

/// Environment variables: those of this process, or others in a test.
#[derive(Clone, Copy)]
pub struct Variables<'a>(pub &'a (dyn Fn(&str) -> Option<String> + Sync));

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets of connections come in here and nowhere else")]
fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Variables<'_> {
    /// Those of this process.
    pub const PROCESS: Variables<'static> = Variables(&of_process);

    /// The value as it is set.
    pub fn get(self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    /// The value without surrounding white space; `None` if it is unset or blank.
    pub fn set(self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

/// The diagnostic for variables that are not set: what is missing, and how to fix it.
pub fn missing_variable(what: &str, help: &str) -> Diag {
    Diag::new("missing-variable", format!("{what}, and no environment file was given")).help(help.to_owned())
}

/// The diagnostic for a variable that is not set, and optionally an alternative to it.
pub fn unset_variable(name: &str, other: Option<&str>) -> Diag {
    let or = other.map(|other| format!(" (nor {other})")).unwrap_or_default();
    let what = format!("the environment variable {name} is not set{or}");
    missing_variable(&what, &format!("set it, e.g. `export {name}=…`, or give `--env FILE`"))
}

/// The diagnostic for a variable whose value cannot be used, with the reason.
pub fn bad_variable(name: &str, why: &str, help: &str) -> Diag {
    Diag::new("bad-variable", format!("the environment variable {name} {why}")).help(help.to_owned())
}

/// A place on the command line that one role reads.
#[derive(Debug, Clone, Copy)]
pub struct GivenPlace<'a> {
    /// The role, which is also the name of the connection.
    pub role: &'a str,
    /// The text as it was typed.
    pub text: &'a str,
    /// The flag that accepts it, for messages.
    pub flag: &'a str,
    /// The name of a variable that may hold it, for messages.
    pub variable: &'a str,
    /// The server's address, if it was given.
    pub endpoint: Option<&'a str>,
}

impl GivenPlace<'_> {
    /// The connection for a reference `env:NAME`; `None` if the text is not such a reference.
    ///
    /// # Errors
    /// A reference without a name.
    pub fn variable(&self) -> Option<Result<ConnectionFile, Diag>> {
        let name = self.text.strip_prefix(VARIABLE)?;
        Some(if name.is_empty() || name.contains('=') {
            let message = "`env:` is not followed by the name of an environment variable";
            let help = format!("write it like this: `{} {VARIABLE}{}`", self.flag, self.variable);
            Err(Diag::new("bad-place", message).help(help))
        } else {
            Ok(ConnectionFile::at(Reference::env(name)))
        })
    }

    fn connection(&self, role: &Role, variables: Variables<'_>) -> Result<ConnectionFile, Vec<Diag>> {
        match role.from_place {
            Some(read) => read(variables, self),
            None => self
                .variable()
                .unwrap_or_else(|| Ok(ConnectionFile::at(Reference::Text(self.text.to_owned()))))
                .map_err(|diag| vec![diag]),
        }
    }
}

impl Environment {
    fn with(
        vocabulary: &Vocabulary,
        connections: impl IntoIterator<Item = (String, Result<Option<ConnectionFile>, Vec<Diag>>)>,
    ) -> Result<Self, Vec<Diag>> {
        let mut out = Self { vocabulary: *vocabulary, ..Self::default() };
        let mut wrong = vec![];
        for (name, connection) in connections {
            match connection {
                Ok(connection) => out.connections.extend(connection.map(|connection| (name, connection))),
                Err(mistakes) => wrong.extend(mistakes),
            }
        }
        // Two places with the same mistake are reported once.
        wrong.dedup();
        if wrong.is_empty() { Ok(out) } else { Err(wrong) }
    }

    /// The connections that variables describe for these roles, by role name. An optional role is left out if none of
    /// its variables is set.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be read, and every role that variables cannot describe.
    pub fn of_variables(
        vocabulary: &Vocabulary,
        variables: Variables<'_>,
        roles: &[&str],
    ) -> Result<Self, Vec<Diag>> {
        let read = |name: &str| {
            let Some(read) = vocabulary.role(name).from_variables else {
                let what = format!("no environment variable says where `{name}` is");
                return Err(vec![missing_variable(&what, "give `--env FILE`")]);
            };
            read(variables)
        };
        Self::with(vocabulary, roles.iter().map(|name| ((*name).to_owned(), read(name))))
    }

    /// The connections for places on the command line, by role name.
    ///
    /// # Errors
    /// Places that cannot be read, and every variable that is missing. Places are not shown, because they may contain a
    /// login.
    pub fn of_places(
        vocabulary: &Vocabulary,
        variables: Variables<'_>,
        places: &[GivenPlace<'_>],
    ) -> Result<Self, Vec<Diag>> {
        let read = |place: &GivenPlace<'_>| {
            let connection = place.connection(vocabulary.role(place.role), variables);
            (place.role.to_owned(), connection.map(Some))
        };
        Self::with(vocabulary, places.iter().map(read))
    }

    /// The connections of a run without an environment file, from its evidence. Masked values are left out, except for
    /// a login that a role restores from variables.
    pub fn of_run(
        vocabulary: &Vocabulary,
        variables: Variables<'_>,
        written: &BTreeMap<String, Value>,
    ) -> Self {
        let mut out = Self { vocabulary: *vocabulary, ..Self::default() };
        for (name, value) in written.iter().filter(|(_, value)| !value.get("url").is_none_or(is_masked)) {
            let open = value.as_object().into_iter().flatten().filter(|(_, value)| !is_masked(value));
            let open: Value = open.map(|(key, value)| (key.clone(), value.clone())).collect();
            let Ok(mut connection) = ConnectionFile::deserialize(&open) else { continue };
            let restore = match &connection.url {
                Some(Reference::Text(url)) => vocabulary.restoring(url),
                _ => None,
            };
            if restore.is_none_or(|restore| restore(variables, &mut connection)) {
                out.connections.insert(name.clone(), connection);
            }
        }
        out
    }
}

impl Vocabulary {
    /// The function that restores the login of the system at this URL. A connection in evidence does not name its role.
    fn restoring(&self, url: &str) -> Option<RestoreLogin> {
        let scheme = url::Url::parse(url).ok()?.scheme().to_owned();
        let mut fitting = self.roles.iter().filter(|role| role.schemes.contains(&scheme.as_str()));
        fitting.find_map(|role| role.restore_login)
    }
}
