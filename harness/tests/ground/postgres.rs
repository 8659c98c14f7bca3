//! A real PostgreSQL that speaks TLS and lets people in by many ways, on top of the lab's cluster. It wants a password,
//! listens on 127.0.0.1 and on a socket in its folder, and logs to `log` in there.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time and writes its own input")]

use proofmark::lab::Cluster;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to be ready, or to end.
const READY: Duration = Duration::from_secs(60);

/// Who may come in: everyone by password; to two databases only with TLS, or only without; to one with a certificate.
const ACCESS: &str = "local all all trust
hostssl certain all 127.0.0.1/32 cert
hostssl only_tls all 127.0.0.1/32 scram-sha-256
hostnossl only_plain all 127.0.0.1/32 scram-sha-256
host only_tls,only_plain,certain all 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
";

/// The password of the superuser `postgres`: one that has to be encoded in a URL.
pub const POSTGRES_PASSWORD: &str = "top/secret@word:1";

/// A running PostgreSQL. Stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
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
    /// Starts one with an empty cluster and waits until it takes connections. `settings` are of `postgresql.conf`.
    pub fn start(settings: &'static [(&'static str, &'static str)]) -> Self {
        Self::start_with(settings, None)
    }

    /// The same, knowing one extension more.
    pub fn start_with(
        settings: &'static [(&'static str, &'static str)],
        extension: Option<Extension>,
    ) -> Self {
        assert!(Cluster::installed(), "install the package `postgresql`: this test wants a real one");
        let folder = tempfile::tempdir().unwrap();
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

    /// The URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(self.port, database)
    }

    /// The folder of its socket, and of what was made for it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs SQL with psql, as the superuser over the socket; gives back what it printed, a tab between columns.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.cluster.sql(self.port, database, sql).unwrap()
    }

    /// A psql that stops at errors and prints bare rows, for `-c` or its standard input.
    pub fn psql(&self, database: &str) -> Command {
        self.cluster.psql(self.port, database)
    }

    /// Ends it at once, as a crash of the server would, and waits until it is gone.
    pub fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status().ok();
        }
        self.child.wait().ok();
    }

    /// Starts it again on the same data.
    pub fn start_again(&mut self) {
        let server = (&self.cluster, self.program.as_deref());
        self.child = run(server, self.folder.path(), self.port, self.settings);
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.psql("postgres").args(["-c", "SELECT 1"]).output().unwrap().status.success() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < READY, "postgres is not ready: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
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
    fs::copy(program, own(program)).unwrap();
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
