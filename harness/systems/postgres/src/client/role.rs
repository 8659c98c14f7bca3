//! What an environment says of a database: the roles, the form of its address, and its login beside that.

use super::dsn::Dsn;
use super::variables;
use proofmark_environment::{ConnectionBuilder, Role, UrlForm};
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;
use std::sync::Arc;

/// The database that is read or written.
pub const ROLE: Role = Role {
    name: "postgres",
    keys: &["basic", "tls"],
    schemes: &[],
    form: Some(&FORM),
    wants: "is a PostgreSQL database",
    help: "write `postgresql://user@host:5432/database`, or `host=… dbname=…`",
    from_variables: Some(variables::from_variables),
    from_place: Some(variables::from_place),
    ..Role::HTTP
};

/// The database that is only counted, beside the one that is written.
pub const LIVE: Role = Role { name: "live", from_variables: None, from_place: None, ..ROLE };

/// A URL of PostgreSQL, or `key=value` text.
const FORM: UrlForm = UrlForm {
    leads_to: "a PostgreSQL database",
    example: "postgresql://user@host:5432/database",
    recognises: Dsn::is_one,
    read: |text, redactor| Ok(Arc::new(Dsn::parse(text, redactor)?)),
    from_parts: |name, get, redactor| {
        let dsn = (name == variables::WHOLE).then(|| Dsn::from_variables(|name| get.get(name), redactor));
        Some(dsn?.transpose()?.map(|dsn| Arc::new(dsn) as _))
    },
    tells_password: |text| Dsn::parse(text, &Redactor::default()).is_ok_and(|dsn| dsn.password.is_some()),
    complete,
};

/// What a connection says of a database besides its DSN: the login may stand in `basic`, files in the DSN.
fn complete(builder: &mut ConnectionBuilder<'_>) {
    let Some(mut dsn) = builder.connection.part::<Dsn>().cloned() else { return };
    if let Some((user, word)) = builder.connection.basic.take() {
        if dsn.user.is_some() || dsn.password.is_some() {
            unread(builder, "whose login stands in its `url` and in `basic`: write it in one of them");
        }
        dsn.user = Some(user);
        dsn.password = Some(word);
    }
    for (key, path) in dsn.files.iter().filter(|(_, path)| path.as_os_str() != "system") {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let diag =
                    Diag::new("unreadable-file", format!("cannot read the `{key}` of the url: {error}"));
                let help = "its path counts from where Proofmark runs; `tls` counts from this file";
                builder.report(&["url"], diag.help(help));
                continue;
            }
        };
        let redactor = builder.redactor();
        let tls = &mut builder.connection.tls;
        let twice = match *key {
            "sslrootcert" => tls.ca.replace(text).is_some(),
            "sslcert" => tls.cert.replace(text).is_some(),
            _ => tls.key.replace(redactor.learn(text)).is_some(),
        };
        if twice {
            unread(builder, &format!("which has `{key}` in its `url` and in `tls`: write it in one of them"));
        }
    }
    builder.connection.put(dsn);
}

fn unread(builder: &mut ConnectionBuilder<'_>, what: &str) {
    let message = format!("the connection `{}` is a PostgreSQL database, {what}", builder.connection.name);
    builder.report(&[], Diag::new("unread-key", message).help("a database takes `url`, `basic` and `tls`"));
}
