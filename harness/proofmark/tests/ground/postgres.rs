//! A real PostgreSQL that speaks TLS and lets people in by many ways, on top of the lab's cluster. It wants a password,
//! listens on 127.0.0.1 and on a socket in its folder, and logs to `log` in there.
//!
//! One server is shared by the tests of a binary; what a test has for itself there are databases, and a superuser who owns
//! them. A test that stops, configures or counts a server as a whole starts one of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time and writes its own input")]

use crate::ground::lasting::{guard, lasting};
use nix::sys::statvfs::statvfs;
use proofmark_lab::Cluster;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to be ready, or to end.
const READY: Duration = Duration::from_secs(60);

/// Memory that servers of tests may take, in bytes.
const ENOUGH: u64 = 4 << 30;

/// Who may come in: everyone by password; to two databases only with TLS, or only without; to one with a certificate.
const ACCESS: &str = "local all all trust
hostssl certain all 127.0.0.1/32 cert
hostssl only_tls all 127.0.0.1/32 scram-sha-256
hostnossl only_plain all 127.0.0.1/32 scram-sha-256
host only_tls,only_plain,certain all 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
";

/// Tables of every kind and type, with roles that see some of them.
pub const AWKWARD: &str = include_str!("../../../../fixtures/sql/awkward.sql");

/// The password of the superuser `postgres`: one that has to be encoded in a URL.
pub const POSTGRES_PASSWORD: &str = "top/secret@word:1";

/// What a test has of a PostgreSQL: a server of its own, or databases of its own in the shared one. Gone when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Tenancy,
}

#[derive(Debug)]
enum Tenancy {
    Own(Box<Server>),
    /// A part of the shared server, by its number.
    Part(u32),
}

/// A running server. Stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    cluster: Cluster,
    settings: &'static [(&'static str, &'static str)],
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The certificate in PEM of the authority that signed the server's, which is for `localhost` and no address.
    pub authority: String,
    /// A certificate and key in PEM of the role `postgres`, from the same authority.
    pub login: (String, String),
    /// The server's own program, where that is not the installed one.
    program: Option<PathBuf>,
    folder: TempDir,
}

/// An extension: its name, its control file, and the SQL of its version 1.
#[derive(Debug, Clone, Copy)]
pub struct Extension(pub &'static str, pub &'static str, pub &'static str);

impl Postgres {
    /// Databases in the shared server: none yet.
    pub fn part() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let part = Self { server: Tenancy::Part(NEXT.fetch_add(1, Ordering::Relaxed)) };
        let login = format!("CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{POSTGRES_PASSWORD}'", part.role());
        shared().sql("postgres", &login);
        part
    }

    /// A server of one's own with an empty cluster. `settings` are of `postgresql.conf`.
    pub fn start(settings: &'static [(&'static str, &'static str)]) -> Self {
        Self::start_with(settings, None)
    }

    /// The same, knowing one extension more.
    pub fn start_with(
        settings: &'static [(&'static str, &'static str)],
        extension: Option<Extension>,
    ) -> Self {
        Self::start_in(room(), settings, extension)
    }

    /// The same in this folder.
    pub fn start_in(
        folder: TempDir,
        settings: &'static [(&'static str, &'static str)],
        extension: Option<Extension>,
    ) -> Self {
        Self { server: Tenancy::Own(Box::new(Server::start(folder, settings, extension))) }
    }

    /// The superuser who owns what is made here.
    pub fn role(&self) -> String {
        self.name("postgres")
    }

    /// What the server calls a database, or a role, that is meant to be this test's: `app` is `app_7` in a shared server.
    pub fn name(&self, of: &str) -> String {
        match self.server {
            Tenancy::Own(_) => of.to_owned(),
            Tenancy::Part(number) => format!("{of}_{number}"),
        }
    }

    /// The name of a database on the server. There is one that is called `postgres` on each.
    fn database(&self, of: &str) -> String {
        if of == "postgres" { of.to_owned() } else { self.name(of) }
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        self.copy("template0", database);
    }

    /// Makes a database that is like this one of the server's.
    pub fn copy(&self, like: &str, database: &str) {
        let sql = format!("CREATE DATABASE {} TEMPLATE {like} OWNER {}", self.name(database), self.role());
        self.sql("postgres", &sql);
    }

    /// The URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        let url = self.cluster.url(self.port, &self.database(database));
        url.replacen("//postgres:", &format!("//{}:", self.role()), 1)
    }

    /// The URL of a database for another role.
    pub fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{}", self.port, self.database(database))
    }

    /// Runs SQL with psql, as the superuser over the socket; gives back what it printed, a tab between columns.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database).args(["-c", sql]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A psql that stops at errors and prints bare rows, for `-c` or its standard input.
    pub fn psql(&self, database: &str) -> Command {
        let mut psql = self.cluster.psql(self.port, &self.database(database));
        psql.args(["-U", &self.role()]);
        psql
    }

    /// Ends it at once, as a crash of the server would, and waits until it is gone.
    pub fn stop(&mut self) {
        self.own().stop();
    }

    /// Starts it again on the same data.
    pub fn start_again(&mut self) {
        self.own().start_again();
    }

    fn own(&mut self) -> &mut Server {
        match &mut self.server {
            Tenancy::Own(server) => server,
            Tenancy::Part(_) => panic!("the server is not this test's alone"),
        }
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        match &self.server {
            Tenancy::Own(server) => server,
            Tenancy::Part(_) => shared(),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Tenancy::Part(_) = self.server {
            let own = format!(
                "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE datdba = '{}'::regrole \\gexec\n",
                self.role()
            );
            let psql = self.cluster.psql(self.port, "postgres").stdin(Stdio::piped()).spawn();
            // A database that stays goes with the server.
            if let Ok(mut psql) = psql {
                psql.stdin.take().map(|mut input| input.write_all(own.as_bytes()));
                psql.wait().ok();
            }
        }
    }
}

/// The name of a database of the shared server that holds what is awkward, for copies. What it needs of roles is there too.
pub fn awkward() -> &'static str {
    const NAME: &str = "awkward";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        shared().sql("postgres", &format!("CREATE DATABASE {NAME} TEMPLATE template0"));
        shared().sql(NAME, AWKWARD);
    });
    NAME
}

/// The server that is shared. It is started when the first test asks for it.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        lasting(async || {
            let server = Server::start(room(), &[], None);
            guard(server.folder());
            server
        })
    })
}

impl Server {
    /// Starts one with an empty cluster and waits until it takes connections.
    fn start(
        folder: TempDir,
        settings: &'static [(&'static str, &'static str)],
        extension: Option<Extension>,
    ) -> Self {
        assert!(Cluster::installed(), "install the package `postgresql`: this test wants a real one");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let (authority, login) = certificates(folder.path());
        let cluster = Cluster::make(folder.path(), ACCESS, POSTGRES_PASSWORD).unwrap();
        // Someone else may take the port in between; then it is not ready, and the log says so.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().port();
        let program = extension.map(|extension| moved(&cluster, folder.path(), extension));
        let child = run((&cluster, program.as_deref()), folder.path(), port, settings);
        let started = Self { child, cluster, settings, port, authority, login, program, folder };
        started.wait();
        started
    }

    /// The folder of its socket, and of what was made for it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn sql(&self, database: &str, sql: &str) {
        self.cluster.sql(self.port, database, sql).unwrap();
    }

    /// Ends it at once, as a crash of the server would, and waits until it is gone.
    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status().ok();
        }
        self.child.wait().ok();
    }

    /// Starts it again on the same data.
    fn start_again(&mut self) {
        let server = (&self.cluster, self.program.as_deref());
        self.child = run(server, self.folder.path(), self.port, self.settings);
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self
            .cluster
            .psql(self.port, "postgres")
            .args(["-c", "SELECT 1"])
            .output()
            .unwrap()
            .status
            .success()
        {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < READY, "postgres is not ready: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A folder in memory where there is enough of it: a database is some hundred files, and tests make and drop many.
fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    let free = statvfs(memory).map_or(0, |of| of.blocks_available() * of.fragment_size());
    let folder = if free < ENOUGH { tempfile::tempdir() } else { tempfile::tempdir_in(memory) };
    folder.unwrap()
}

fn run(
    (cluster, program): (&Cluster, Option<&Path>),
    folder: &Path,
    port: u16,
    settings: &[(&str, &str)],
) -> Child {
    let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key, authority) = (place("server.pem"), place("server.key"), place("ca.pem"));
    let mut all = vec![
        ("ssl", "on"),
        ("ssl_cert_file", &*certificate),
        ("ssl_key_file", &*key),
        ("ssl_ca_file", &*authority),
    ];
    all.extend_from_slice(settings);
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let installed = cluster.server(port, &all);
    let mut server = Command::new(installed.get_program());
    server.current_dir(installed.get_current_dir().unwrap());
    server.args(installed.get_args().map(|word| match program {
        Some(program) if Path::new(word).ends_with("bin/postgres") => program.as_os_str(),
        _ => word,
    }));
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// The server with its files elsewhere: it looks for them beside its own program. So it knows an extension that this
/// machine does not.
fn moved(cluster: &Cluster, folder: &Path, Extension(name, control, sql): Extension) -> PathBuf {
    let installed = cluster.server(0, &[]);
    let mut words = installed.get_args().map(Path::new);
    let program = words.find(|word| word.ends_with("bin/postgres")).unwrap();
    let version = program.parent().unwrap().parent().unwrap();
    let share = Path::new("/usr/share/postgresql").join(version.file_name().unwrap());
    let own = |path: &Path| folder.join(path.strip_prefix("/").unwrap());
    let links = |of: &Path, but: &str| {
        fs::create_dir_all(own(of)).unwrap();
        for entry in fs::read_dir(of).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != but) {
            symlink(entry.path(), own(&entry.path())).unwrap();
        }
    };
    links(version, "bin");
    links(&share, "extension");
    links(&share.join("extension"), "");
    fs::create_dir(own(&version.join("bin"))).unwrap();
    fixtures::copy_program(program, &own(program));
    fs::write(own(&share.join(format!("extension/{name}.control"))), control).unwrap();
    fs::write(own(&share.join(format!("extension/{name}--1.sql"))), sql).unwrap();
    own(program)
}

fn certificates(folder: &Path) -> (String, (String, String)) {
    let key = || KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let own_key = key();
    let authority = params.self_signed(&own_key).unwrap().pem();
    let issuer = Issuer::new(params, own_key);
    let signed = |names: Vec<String>, name: &str| {
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let server = signed(vec!["localhost".into()], "a server");
    let files = [("ca.pem", &authority), ("server.pem", &server.0), ("server.key", &server.1)];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    fs::set_permissions(folder.join("server.key"), Permissions::from_mode(0o600)).unwrap();
    (authority, signed(vec![], "postgres"))
}
