//! PostgreSQL as a throwaway cluster: made by initdb, in a folder that goes away with it, and never run as root, which
//! it refuses.

use super::process::on_a_free_port;
use super::volume::Volume;
use super::{LabError, Process};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chown};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proofmark_postgres::client::identifier;
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What has to be installed.
pub(super) const PACKAGE: &str = "postgresql";

/// Where Debian has the programs of each version: not on PATH.
const VERSIONS: &str = "/usr/lib/postgresql";

pub(super) const SUPERUSER: &str = "postgres";

const READY: &str = "database system is ready to accept connections";
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The user and group `nobody`, whom the server runs as where root starts it.
const NOBODY: u32 = 65_534;

/// Who may come in: everyone over the socket, which only its owner and root reach; by password over the network.
const ACCESS: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// A database of a world.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostgresSpec {
    /// Its name.
    pub database: String,
    /// Files of SQL that fill it, in order.
    #[serde(default)]
    pub sql: Vec<PathBuf>,
    /// The role that owns the database, fills it, and is the login of the connection: it may make databases, and no more.
    /// The superuser if it is not said.
    pub role: Option<String>,
}

/// A cluster on disk, whether it runs or not.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    password: String,
}

impl Cluster {
    /// Is there a PostgreSQL on this machine?
    pub fn installed() -> bool {
        programs().is_some()
    }

    /// Makes an empty cluster below `folder`, which must be there, where anyone may enter it. It belongs, with the files
    /// in it, to the user that the server runs as. `access` are the lines of `pg_hba.conf`, `password` is that of the
    /// superuser `postgres`.
    ///
    /// # Errors
    /// Where PostgreSQL is not installed, or cannot make a cluster there.
    pub fn make(folder: &Path, access: &str, password: &str) -> Result<Self, LabError> {
        let programs = programs().ok_or_else(|| LabError::Missing(PACKAGE.to_owned()))?;
        let made = Self { folder: folder.to_path_buf(), programs, password: password.to_owned() };
        let word = folder.join("password");
        write_private(&word, password)?;
        write_private(&folder.join("pg_hba.conf"), access)?;
        made.give_away()?;
        done("initdb", made.initdb().output())?;
        fs::remove_file(&word).map_err(LabError::io(format!("removing {}", word.display())))?;
        Ok(made)
    }

    /// Makes the data, with the superuser's password of the file `password`.
    pub(super) fn initdb(&self) -> Command {
        let mut initdb = self.unprivileged("initdb");
        initdb
            .args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync"])
            .args([OsStr::new("--pwfile"), self.folder.join("password").as_os_str()])
            .args([OsStr::new("-D"), self.data().as_os_str()]);
        initdb
    }

    /// The server, on this port of 127.0.0.1 and on a socket in the folder. `settings` are names and values of
    /// `postgresql.conf`. The kernel ends it when the thread that starts it ends; `SIGQUIT` ends it at once.
    pub fn server(&self, port: u16, settings: &[(&str, &str)]) -> Command {
        let mut command = self.unprivileged("postgres");
        let folder = self.folder.display();
        command.arg("-D").arg(self.data());
        for own in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={folder}"),
            format!("hba_file={folder}/pg_hba.conf"),
            "fsync=off".to_owned(),
            "shared_buffers=64MB".to_owned(),
        ] {
            command.args(["-c", &own]);
        }
        for (name, value) in settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        command
    }

    /// A psql as superuser over the socket, for `-c`, `-f` or its standard input; it stops at errors and prints bare rows
    /// with a tab between columns.
    pub fn psql(&self, port: u16, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        command.arg(&self.folder).args(["-p", &port.to_string(), "-d", database]);
        command
    }

    /// Runs SQL with it; gives back what it printed.
    ///
    /// # Errors
    /// Where the server does not take it.
    pub fn sql(&self, port: u16, database: &str, sql: &str) -> Result<String, LabError> {
        done("psql", self.psql(port, database).args(["-c", sql]).stdin(Stdio::null()).output())
    }

    /// The URL of a database for the superuser, with the password.
    pub fn url(&self, port: u16, database: &str) -> String {
        self.url_of(SUPERUSER, port, database)
    }

    /// The same for a role that has the superuser's password.
    fn url_of(&self, role: &str, port: u16, database: &str) -> String {
        let password = utf8_percent_encode(&self.password, NON_ALPHANUMERIC);
        format!("postgresql://{role}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Where its data are.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Of the superuser.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The folder and what lies in it become the server's.
    fn give_away(&self) -> Result<(), LabError> {
        if !Uid::effective().is_root() {
            return Ok(());
        }
        let failed = || LabError::io(format!("giving {} to the server", self.folder.display()));
        let entries = fs::read_dir(&self.folder).map_err(failed())?;
        let mut paths = vec![self.folder.clone()];
        for entry in entries {
            paths.push(entry.map_err(failed())?.path());
        }
        let (user, group) = (Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)));
        paths.iter().try_for_each(|path| chown(path, user, group)).map_err(|error| failed()(error.into()))
    }

    /// A program of PostgreSQL that is not root.
    fn unprivileged(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if Uid::effective().is_root() {
            command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
        }
        // initdb writes into the folder where it is, if it may.
        command
            .current_dir(&self.folder)
            .args(["--pdeathsig", "QUIT", "--"])
            .arg(self.programs.join(program));
        command
    }
}

/// A running PostgreSQL with one database.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    /// What took its place, if a scenario removed it.
    volume: Option<Volume>,
    cluster: Cluster,
    port: u16,
    database: String,
    /// The login of the connection.
    role: String,
}

impl Postgres {
    /// Makes a cluster below `folder` as [`Cluster::make`] does, starts it, and fills its database.
    ///
    /// # Errors
    /// Where PostgreSQL is not installed, does not start within a minute, or does not take the SQL.
    pub async fn start(folder: &Path, spec: &PostgresSpec) -> Result<Self, LabError> {
        let password = hex::encode(rand::random::<[u8; 16]>());
        let place = folder.to_path_buf();
        let made = tokio::task::spawn_blocking(move || Cluster::make(&place, ACCESS, &password)).await;
        let cluster = made.map_err(|error| LabError::Wrong(format!("initdb: {error}")))??;
        let (process, port) = on_a_free_port(async |address: String| {
            let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
            let server = cluster.server(port, &[]).into();
            let mut process = Process::start_command("postgres", server, Signal::SIGQUIT)?;
            process.says(&[READY], STARTS_WITHIN).await?;
            Ok((process, port))
        })
        .await?;
        let (database, role) = (SUPERUSER.to_owned(), SUPERUSER.to_owned());
        let mut started = Self { process, volume: None, cluster, port, database, role };
        let filled = started.filled(spec);
        for sql in &filled {
            started.psql(["-c", sql]).await?;
        }
        started.volume = Some(Volume::of(&started.cluster, port, &filled)?);
        started.database.clone_from(&spec.database);
        started.role = spec.role.clone().unwrap_or(started.role);
        let owner = identifier(&started.role);
        let becomes = format!("SET ROLE {owner}");
        for file in &spec.sql {
            let words = ["-c", &becomes, "-f"].map(OsStr::new);
            started.psql(words.into_iter().chain([file.as_os_str()])).await?;
        }
        Ok(started)
    }

    /// What makes the role and its empty database.
    fn filled(&self, spec: &PostgresSpec) -> Vec<String> {
        let owner = spec.role.as_deref().unwrap_or(SUPERUSER);
        let password = &self.cluster.password;
        let role = spec.role.as_deref().map(identifier);
        let role = role.map(|role| format!("CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{password}'"));
        let database = format!("CREATE DATABASE {} OWNER {}", identifier(&spec.database), identifier(owner));
        role.into_iter().chain([database]).collect()
    }

    /// Runs SQL in its database, as the superuser.
    ///
    /// # Errors
    /// Where the server does not take it.
    pub async fn sql(&self, text: &str) -> Result<(), LabError> {
        self.psql(["-c", text]).await
    }

    async fn psql(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(), LabError> {
        let mut psql = tokio::process::Command::from(self.cluster.psql(self.port, &self.database));
        done("psql", psql.args(args).stdin(Stdio::null()).kill_on_drop(true).output().await).map(drop)
    }

    /// The URL of its database for the role of its connection, with the password.
    pub fn url(&self) -> String {
        self.cluster.url_of(&self.role, self.port, &self.database)
    }

    /// Where its database is, without a login.
    pub fn address(&self) -> String {
        format!("postgresql://127.0.0.1:{}/{}", self.port, self.database)
    }

    /// Ends it.
    pub async fn stop(self) {
        // Asked politely it would wait until its last client leaves.
        self.process.signal(Signal::SIGQUIT);
        self.process.stop().await;
    }
}

/// Where the newest version has its programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        Some((version, path.join("bin"))).filter(|(_, programs)| programs.join("initdb").is_file())
    });
    versions.max().map(|(_, programs)| programs)
}

/// What it printed, where it succeeded.
fn done(program: &str, output: std::io::Result<Output>) -> Result<String, LabError> {
    let output = output.map_err(LabError::io(format!("running {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(LabError::Wrong(format!("{program} did not succeed: {}", String::from_utf8_lossy(&said).trim_end())))
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), LabError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(LabError::io(format!("writing {}", path.display())))
}
