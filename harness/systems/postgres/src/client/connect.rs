//! From a connection of the environment to an open one: hosts, login, and what TLS is asked for.

use super::dsn::{ChannelBinding, Dsn, SslMode};
use proofmark_environment::{Connection, Tls};
use proofmark_model::ErrorCode;
use proofmark_net::http::Endpoint;
use proofmark_net::tls::{self, Trust};
use proofmark_net::{ClientError, error};
use std::time::Duration;
use tokio_postgres::config::{self, Config, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting to one address may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The future that moves the bytes of a connection.
pub(super) type Driver =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How to reach a database.
#[derive(Clone)]
pub(super) struct Way {
    config: Config,
    /// For connecting, and for asking the server to cancel.
    pub(super) tls: MakeRustlsConnect,
    /// The address without the password.
    pub(super) at: String,
}

impl Way {
    /// Reads what the connection says.
    pub(super) fn new(wire: Endpoint<'_>) -> Result<Self, ClientError> {
        let (connection, dsn) = dsn(wire.connection)?;
        let at = address(dsn);
        let (mode, trust) = mode(dsn, &connection.tls).map_err(|why| {
            ClientError::new(ErrorCode::BadConnection, format!("connection `{}`: {why}", connection.name))
        })?;
        let tls = MakeRustlsConnect::new(tls::config(&connection.tls, trust)?);
        let mut config = Config::new();
        config.connect_timeout(CONNECT).ssl_mode(mode);
        config.application_name(dsn.application_name.as_deref().unwrap_or("proofmark"));
        for (host, port) in &dsn.hosts {
            config.host(host).port(*port);
        }
        if let Some(user) = &dsn.user {
            config.user(user);
        }
        if let Some(word) = &dsn.password {
            config.password(word.expose());
        }
        if let Some(database) = &dsn.database {
            config.dbname(database);
        }
        if let Some(options) = &dsn.options {
            config.options(options);
        }
        if let Some(binding) = dsn.channel_binding {
            config.channel_binding(match binding {
                ChannelBinding::Disable => config::ChannelBinding::Disable,
                ChannelBinding::Prefer => config::ChannelBinding::Prefer,
                ChannelBinding::Require => config::ChannelBinding::Require,
            });
        }
        config.target_session_attrs(match dsn.writable {
            None => TargetSessionAttrs::Any,
            Some(true) => TargetSessionAttrs::ReadWrite,
            Some(false) => TargetSessionAttrs::ReadOnly,
        });
        Ok(Self { config, tls, at })
    }

    /// Connects. As libpq does under `prefer`, a server that refuses this login over TLS is asked without.
    pub(super) async fn connect(&self) -> Result<(Client, Driver), ClientError> {
        let first = self.config.connect(self.tls.clone()).await;
        let refused = |error: &Error| error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let opened = match first {
            Err(error) if refused(&error) && self.config.get_ssl_mode() == config::SslMode::Prefer => {
                let plain = self.config.clone().ssl_mode(config::SslMode::Disable).clone();
                // Of two refusals the first is told: it is the one over TLS.
                plain.connect(self.tls.clone()).await.map_err(|_| error)
            }
            other => other,
        };
        opened.map_err(|error| self.refused(&error))
    }

    /// Why there is no connection.
    fn refused(&self, error: &Error) -> ClientError {
        let (at, why) = (self.at.clone(), error::deepest(error));
        if let Some(said) = error.as_db_error() {
            return said_no(at, said);
        }
        if let Some(tls) = error::cause::<rustls::Error>(error) {
            return ClientError::Certificate { at, why: tls.to_string() };
        }
        // The library does not tell its errors apart but by their first words.
        let words = error.to_string();
        if words.starts_with("error performing TLS") {
            return ClientError::Certificate { at, why };
        }
        if words.starts_with("authentication") || words.starts_with("invalid configuration") {
            let message = format!("the login to {at} cannot be made: {why}");
            return ClientError::new(ErrorCode::Unauthorized, message);
        }
        ClientError::Unreachable { at, code: error::no_connection(error), why }
    }
}

/// What the database said, as an error that names where and how to mend it.
pub(super) fn said_no(at: String, said: &tokio_postgres::error::DbError) -> ClientError {
    let code = said.code().code().to_owned();
    let more = [said.detail(), said.hint()].into_iter().flatten().map(|more| format!(" ({more})"));
    let message = format!("{}{}", said.message(), more.collect::<String>());
    let hint = match code.as_str() {
        "28P01" | "28000" => {
            "; is the login of the connection right, and does the server's pg_hba.conf let it in?"
        }
        "3D000" => "; is the database of the `url` right?",
        "42501" if message.contains("row-level security") => {
            "; the role would be shown only some of the rows: use a role with BYPASSRLS or the table's owner, so that the answer is whole"
        }
        "42501" => "; grant the role what it needs to read this, or ask for less",
        "25006" => "; Proofmark only reads",
        "57014" => "; is it overloaded, or is the step's `timeout` too short?",
        "55P03" => "; another session holds a lock on it, such as a migration",
        "55000" if message.contains("has not been populated") => "; it was never refreshed",
        "53300" => "; the server has no connection left for this role",
        _ => "",
    };
    ClientError::Sql { at, code, message, hint }
}

pub(super) fn dsn(connection: Option<&Connection>) -> Result<(&Connection, &Dsn), ClientError> {
    let connection =
        connection.ok_or_else(|| ClientError::new(ErrorCode::MissingConnection, "there is no connection"))?;
    let missing = || {
        let name = &connection.name;
        let message = format!(
            "connection `{name}` is no PostgreSQL database: its `url` in the environment file should be `postgresql://user@host:5432/database`"
        );
        ClientError::new(ErrorCode::BadConnection, message)
    };
    Ok((connection, connection.part::<Dsn>().ok_or_else(missing)?))
}

/// For messages and evidence: everything but the password.
fn address(dsn: &Dsn) -> String {
    let hosts: Vec<String> = dsn.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    let user = dsn.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgresql://{user}{}/{}", hosts.join(","), dsn.database.as_deref().unwrap_or_default())
}

/// What the DSN's `sslmode` and the connection's `tls` mean together. Settings that would check nothing are refused: who
/// wrote them believes that they do.
pub(super) fn mode(dsn: &Dsn, tls: &Tls) -> Result<(config::SslMode, Trust), String> {
    use config::SslMode::{Disable, Prefer, Require};
    let checks = tls.ca.is_some() || tls.server_name.is_some();
    let system = dsn.files.get("sslrootcert").is_some_and(|path| path.as_os_str() == "system");
    if tls.insecure && checks {
        return Err(
            "`tls.insecure` checks nothing, so `tls.ca` and `tls.server-name` mean nothing beside it".into(),
        );
    }
    if dsn.hosts.iter().all(|(host, _)| host.starts_with('/')) {
        if checks || tls.cert.is_some() {
            return Err("there is no TLS over a socket on this machine: take `tls` out".into());
        }
        return Ok((Disable, Trust::Anyone));
    }
    let weak = |word: &str| {
        Err(format!(
            "sslmode={word} goes on without TLS or with any certificate, so what `tls` asks for would not hold: write sslmode=verify-full, or leave it out"
        ))
    };
    match dsn.sslmode {
        None if tls.insecure => Ok((Require, Trust::Anyone)),
        None if checks || system => Ok((Require, Trust::Name)),
        None => Ok((Prefer, Trust::Anyone)),
        Some(SslMode::Disable) if checks || system || tls.insecure || tls.cert.is_some() => weak("disable"),
        Some(SslMode::Disable) => Ok((Disable, Trust::Anyone)),
        Some(SslMode::Prefer) if checks || system => weak("prefer"),
        Some(SslMode::Prefer) => Ok((Prefer, Trust::Anyone)),
        Some(SslMode::Require) if system => weak("require"),
        Some(SslMode::Require) if tls.server_name.is_some() => Ok((Require, Trust::Name)),
        Some(SslMode::Require) if tls.ca.is_some() => Ok((Require, Trust::Authority)),
        Some(SslMode::Require) => Ok((Require, Trust::Anyone)),
        Some(SslMode::VerifyCa | SslMode::VerifyFull) if tls.insecure => {
            Err("sslmode asks for a certificate that is checked, and `tls.insecure` for one that is not: leave one out".into())
        }
        Some(SslMode::VerifyCa) if tls.server_name.is_some() => Ok((Require, Trust::Name)),
        Some(SslMode::VerifyCa) if tls.ca.is_some() => Ok((Require, Trust::Authority)),
        Some(SslMode::VerifyCa) => Err("sslmode=verify-ca needs `tls.ca`: which authority is to be trusted?".into()),
        Some(SslMode::VerifyFull) => Ok((Require, Trust::Name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_model::redact::Redactor;

    #[test]
    fn modes_mean_what_libpq_means_and_settings_that_check_nothing_are_refused() {
        let ca = || Tls { ca: Some("pem".into()), ..Tls::default() };
        let named = || Tls { server_name: Some("db".into()), ..Tls::default() };
        let insecure = || Tls { insecure: true, ..Tls::default() };
        for (query, tls, meant) in [
            ("", Tls::default(), Some((config::SslMode::Prefer, Trust::Anyone))),
            ("", ca(), Some((config::SslMode::Require, Trust::Name))),
            ("", named(), Some((config::SslMode::Require, Trust::Name))),
            ("", insecure(), Some((config::SslMode::Require, Trust::Anyone))),
            ("?sslrootcert=system", Tls::default(), Some((config::SslMode::Require, Trust::Name))),
            ("?sslmode=disable", Tls::default(), Some((config::SslMode::Disable, Trust::Anyone))),
            ("?sslmode=allow", Tls::default(), Some((config::SslMode::Prefer, Trust::Anyone))),
            ("?sslmode=require", Tls::default(), Some((config::SslMode::Require, Trust::Anyone))),
            ("?sslmode=require", ca(), Some((config::SslMode::Require, Trust::Authority))),
            ("?sslmode=verify-ca", ca(), Some((config::SslMode::Require, Trust::Authority))),
            ("?sslmode=verify-full", Tls::default(), Some((config::SslMode::Require, Trust::Name))),
            ("?sslmode=verify-full", ca(), Some((config::SslMode::Require, Trust::Name))),
            ("?host=/tmp&sslmode=require", Tls::default(), Some((config::SslMode::Disable, Trust::Anyone))),
            ("?host=/tmp", ca(), None),
            ("?sslmode=disable", ca(), None),
            ("?sslmode=disable", insecure(), None),
            ("?sslmode=prefer", ca(), None),
            ("?sslmode=require&sslrootcert=system", Tls::default(), None),
            ("?sslmode=verify-ca", Tls::default(), None),
            ("?sslmode=verify-full", insecure(), None),
            ("", Tls { insecure: true, ..ca() }, None),
        ] {
            let dsn = Dsn::parse(&format!("postgres://db/x{query}"), &Redactor::default()).unwrap();
            assert_eq!(mode(&dsn, &tls).ok(), meant, "{query} {tls:?}");
        }
    }
}
