//! What a role requires of the connection that serves it: a URL by which the system can be reached, and no key that the
//! role does not read.

use super::file::{ConnectionFile, Environment, KEYS};
use super::secret::Reference;
use super::vocabulary::{Misfit, MisfitPlace, Role, UrlForm};
use proofmark_model::diag::{Diag, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The roles that each used connection serves, by the connection's name.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// What an address leads to.
pub(super) enum Leads<'a> {
    /// The kind of system that this form of address is for.
    By(&'static UrlForm),
    /// Any other system, by this URL.
    To(&'a str),
}

impl Leads<'_> {
    /// The mistake if a system at this address is to serve the role, and how to fix it. Text that is not a URL at all
    /// is reported elsewhere.
    fn wrong(&self, role: &Role) -> Option<(String, &'static str)> {
        let begins = match self {
            Self::By(form) if role.form == Some(form) => return None,
            Self::By(form) => format!("is that of {}", form.leads_to),
            Self::To(url) => {
                let scheme = url::Url::parse(url).ok()?.scheme().to_owned();
                if role.schemes.contains(&scheme.as_str()) {
                    return None;
                }
                // Text without `//` may be a login that was meant for another key, so it is not shown.
                let written = url.get(scheme.len()..).is_some_and(|rest| rest.starts_with("://"));
                if written { format!("begins with `{scheme}://`") } else { "has no `://`".to_owned() }
            }
        };
        Some((format!("{begins}, and the role {}", role.wants), role.help))
    }
}

impl Environment {
    /// The place of the value of these keys of a connection, or of the key itself; without keys, the place of its name.
    pub(super) fn place(&self, connection: &str, keys: &[&str], of_key: bool) -> Option<Place> {
        let document = self.document.as_ref()?;
        let mut entry = document.root.get("connections")?.entry(connection)?;
        for key in keys {
            let Some(below) = entry.1.entry(key) else { break };
            entry = below;
        }
        let node = if of_key || keys.is_empty() { &entry.0 } else { &entry.1 };
        Some(Place { source: document.source.clone(), line: node.line, column: node.col })
    }

    /// The used connections, and those that their secret sources and dialers ask.
    pub(super) fn with_asked(&self, uses: &Uses) -> Uses {
        let mut all = uses.clone();
        for file in uses.keys().filter_map(|name| self.connections.get(name)) {
            for role in self.asked_by(file).filter(|role| self.connections.contains_key(*role)) {
                all.entry(role.to_owned()).or_default().insert(role.to_owned());
            }
        }
        all
    }

    /// The roles that a connection's secret sources and dialer ask.
    pub(super) fn asked_by(&self, file: &ConnectionFile) -> impl Iterator<Item = &'static str> {
        let sources = file.references().into_iter().filter_map(|reference| match reference {
            Reference::Text(_) => None,
            Reference::From { source, .. } => self.vocabulary.source(source)?.asks,
        });
        let dialer = file.dialed.as_ref().and_then(|(key, _)| self.vocabulary.dialer(key)?.asks);
        sources.collect::<Vec<_>>().into_iter().chain(dialer)
    }

    /// The mistakes in the used connections that can be found before any secret is read.
    pub fn misfits(&self, uses: &Uses) -> Vec<Diag> {
        let mut wrong = vec![];
        for (name, roles) in &self.with_asked(uses) {
            let Some(file) = self.connections.get(name) else { continue };
            if let Some(Reference::Text(url)) = &file.url {
                let leads = self.vocabulary.form(url).map_or(Leads::To(url), Leads::By);
                wrong.extend(self.unreachable(name, roles, &leads, file));
            }
            for key in KEYS.into_iter().filter(|key| *key != "url" && file.has(key)) {
                let unread = |role: &&String| !self.vocabulary.role(role).keys.contains(&key);
                wrong.extend(roles.iter().find(unread).map(|role| self.unread(name, role, key)));
            }
            if file.basic.is_some() && file.bearer.is_some() {
                let message = format!("the connection `{name}` has two logins, `basic` and `bearer`");
                let diag =
                    Diag::new("unread-key", message).help("one request carries one login: take one out");
                wrong.push(Diag { place: self.place(name, &["basic"], true), ..diag });
            }
            if let (Some((key, _)), true) = (&file.dialed, file.url.is_some()) {
                let message = format!("the connection `{name}` has two addresses, `url` and `{key}`");
                let diag =
                    Diag::new("unread-key", message).help("a system is reached by one way: take one out");
                wrong.push(Diag { place: self.place(name, &[key], true), ..diag });
            }
        }
        wrong
    }

    /// A mistake for each role that the system at `url` cannot serve. If there is none, the mistakes that the roles
    /// themselves find.
    pub(super) fn unreachable(
        &self,
        name: &str,
        roles: &BTreeSet<String>,
        leads: &Leads<'_>,
        file: &ConnectionFile,
    ) -> Vec<Diag> {
        let place = self.place(name, &["url"], false);
        let misfit = |role: &String| {
            let (why, help) = leads.wrong(self.vocabulary.role(role))?;
            let message = format!("the connection `{name}` serves the role `{role}`, but its url {why}");
            Some(Diag { place: place.clone(), ..Diag::new("wrong-url", message).help(help) })
        };
        let wrong: Vec<Diag> = roles.iter().filter_map(misfit).collect();
        match leads {
            Leads::To(url) if wrong.is_empty() => {
                let checks = roles.iter().filter_map(|role| self.vocabulary.role(role).check);
                checks
                    .flat_map(|check| check(name, file, url))
                    .map(|misfit| self.placed(name, misfit))
                    .collect()
            }
            _ => wrong,
        }
    }

    fn placed(&self, name: &str, misfit: Misfit) -> Diag {
        let place = match misfit.at {
            MisfitPlace::Name => self.place(name, &[], false),
            MisfitPlace::Key(key) => self.place(name, &[key], true),
            MisfitPlace::Value(key) => self.place(name, &[key], false),
        };
        Diag { place, ..misfit.diag }
    }

    fn unread(&self, name: &str, role: &str, key: &str) -> Diag {
        let keys = self.vocabulary.role(role).keys;
        let known: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let message =
            format!("the connection `{name}` serves the role `{role}`, which does not read `{key}`");
        let diag = Diag::new("unread-key", message);
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        let diag = diag.help(format!("take it out; beside `url` this role reads {known}"));
        Diag { place: self.place(name, &[key], true), ..diag }
    }
}
