//! The way to a database for PostgreSQL's own programs, as environment variables and never as arguments: what stands in a
//! command line is seen by everyone on the machine. It means the same as our own connections do, and nothing of the
//! user's surroundings (a password file, a service) is mixed in.

use super::Address;
use super::connect::{dsn, mode};
use super::dsn::Dsn;
use proofmark_model::ErrorCode;
use proofmark_model::redact::Secret;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use proofmark_net::tls::Trust;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use tokio_postgres::config::SslMode;

/// Where a server listens for those beside it.
pub const LOOPBACK: &str = "127.0.0.1";

/// Variables of libpq, and the files that they name, which go away with this.
pub struct Libpq {
    /// Names and values. They hold the password.
    pub variables: Vec<(String, String)>,
    _files: Option<TempDir>,
}

/// The variables for the connection's database, or another one of the same server.
///
/// # Errors
/// When the connection is no database, or asks for a TLS connection that libpq does not know.
pub fn libpq(wire: Endpoint<'_>, database: Option<&str>) -> Result<Libpq, ClientError> {
    let (connection, dsn) = dsn(wire.connection)?;
    let unusable = |why: String| {
        ClientError::new(ErrorCode::BadConnection, format!("connection `{}`: {why}", connection.name))
    };
    let (ssl, trust) = mode(dsn, &connection.tls).map_err(unusable)?;
    if connection.tls.server_name.is_some() {
        return Err(unusable("pg_dump and pg_restore expect the host's own name in its certificate, so `tls.server-name` cannot be used here".into()));
    }
    let mut variables = login(dsn, dsn.user.as_deref());
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));
    let list = |of: &dyn Fn(&(String, u16)) -> String| dsn.hosts.iter().map(of).collect::<Vec<_>>().join(",");
    set("PGHOST", &list(&|(host, _)| host.clone()));
    set("PGPORT", &list(&|(_, port)| port.to_string()));
    set("PGAPPNAME", dsn.application_name.as_deref().unwrap_or("proofmark"));
    for (name, value) in [
        ("PGDATABASE", database.or(dsn.database.as_deref()).or(dsn.user.as_deref())),
        ("PGTARGETSESSIONATTRS", dsn.writable.map(|writable| if writable { "read-write" } else { "any" })),
    ] {
        if let Some(value) = value {
            set(name, value);
        }
    }
    set(
        "PGSSLMODE",
        match (ssl, trust) {
            (SslMode::Disable, _) => "disable",
            (SslMode::Prefer, _) => "prefer",
            (_, Trust::Anyone) => "require",
            (_, Trust::Authority) => "verify-ca",
            (_, Trust::Name) => "verify-full",
        },
    );
    let tls = &connection.tls;
    let files = [
        ("PGSSLROOTCERT", tls.ca.as_deref()),
        ("PGSSLCERT", tls.cert.as_deref()),
        ("PGSSLKEY", tls.key.as_ref().map(Secret::expose)),
    ];
    let mut folder = None;
    for (name, pem) in files {
        let Some(pem) = pem else { continue };
        let folder = match &mut folder {
            Some(folder) => folder,
            none => none.insert(tempfile::tempdir().map_err(|error| wrote(&std::env::temp_dir(), &error))?),
        };
        let path = folder.path().join(name);
        write_private(&path, pem).map_err(|error| wrote(&path, &error))?;
        variables.push((name.to_owned(), path.display().to_string()));
    }
    if tls.ca.is_none() && trust == Trust::Name {
        // Without it libpq looks for a file in the home folder, and not at what the machine trusts.
        variables.push(("PGSSLROOTCERT".into(), "system".into()));
    }
    Ok(Libpq { variables, _files: folder })
}

/// The variables for a program beside the server, such as in its container: the server's own 127.0.0.1, where nobody
/// listens in and no certificate has a name. The server shows the session under `session`.
///
/// # Errors
/// When the connection is no database.
pub fn libpq_inside(wire: Endpoint<'_>, address: &Address, session: &str) -> Result<Libpq, ClientError> {
    let (_, dsn) = dsn(wire.connection)?;
    let mut variables = login(dsn, Some(&address.user));
    for (name, value) in [
        ("PGHOST", LOOPBACK),
        ("PGPORT", &address.port),
        ("PGDATABASE", &address.database),
        ("PGAPPNAME", session),
        ("PGSSLMODE", "prefer"),
    ] {
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(Libpq { variables, _files: None })
}

/// Who it is, and nothing of a password file.
fn login(dsn: &Dsn, user: Option<&str>) -> Vec<(String, String)> {
    let word = dsn.password.as_ref().map(Secret::expose);
    let said = [
        ("PGPASSFILE", Some("/dev/null")),
        ("PGCONNECT_TIMEOUT", Some("10")),
        ("PGUSER", user),
        ("PGPASSWORD", word),
        ("PGOPTIONS", dsn.options.as_deref()),
    ];
    said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

/// libpq refuses a key that others may read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let file = fs::File::options().write(true).create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    std::io::Write::write_all(&mut &file, text.as_bytes())
}

fn wrote(path: &Path, error: &std::io::Error) -> ClientError {
    let message = format!("expected to write certificates to {}, but: {error}", path.display());
    ClientError::new(ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable), message)
}
