//! A real Docker engine of the tests' own, and servers of PostgreSQL in its containers.
//! The image is made of the machine's own programs, so no registry is asked. The engine has its own view of processes and
//! mounts: when it is killed, whatever it started ends and nothing stays mounted.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test measures real time and writes its own input")]

use nix::unistd::Uid;
use proofmark_lab::Cluster;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of the superuser: one that has to be encoded in a URL.
pub const PASSWORD: &str = "in/side@word:1";

/// How long the engine may take to answer, or a server to take connections.
const READY: Duration = Duration::from_secs(60);

const IMAGE: &str = "proofmark-test:1";

/// Everyone over the socket; by password over the network, also from inside.
const ACCESS: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// A running engine. Ended when dropped, with all of its containers.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    folder: TempDir,
}

impl Engine {
    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self, String> {
        if !Uid::effective().is_root() {
            return Err("which only root can start".into());
        }
        // Without a bridge of its own it takes away that of another engine.
        if Path::new("/sys/class/net/docker0").exists() {
            return Err(
                "for another one seems to run (there is a docker0), and both would be in each other's way"
                    .into(),
            );
        }
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if let Some(missing) = ["dockerd", "docker", "unshare", "tar"].into_iter().find(|one| !has(one)) {
            return Err(format!("for `{missing}` is missing, see `make setup`"));
        }
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let log = File::create(place("log")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--mount-proc"]);
        command.args([
            "--kill-child=KILL",
            "dockerd",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ]);
        command.args(["--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"]);
        command.args([
            "--data-root",
            &place("data"),
            "--exec-root",
            &place("exec"),
            "--pidfile",
            &place("pid"),
        ]);
        command.args(["-H", &format!("unix://{}", place("sock"))]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut engine = Self { child: command.spawn().unwrap(), folder };
        let start = Instant::now();
        while !engine.docker(&["version"]).output().unwrap().status.success() {
            let ended = engine.child.try_wait().unwrap().is_some();
            if ended || start.elapsed() > READY {
                return Err(format!("it does not start: {}", engine.last_words()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        engine.import();
        // Where the system does not let it make containers, there is no use in it.
        let tried = ["run", "--rm", "--network", "none", "-v", "/usr:/usr:ro", IMAGE, "/usr/bin/true"];
        let tried = engine.docker(&tried).output().unwrap();
        if tried.status.success() {
            return Ok(engine);
        }
        let said = String::from_utf8_lossy(&tried.stderr);
        Err(format!("it starts no container: {}", said.trim().lines().next().unwrap_or_default()))
    }

    /// Makes the image: links to where programs are, which containers mount, and two users.
    fn import(&self) {
        let tree = self.folder.path().join("tree");
        for folder in ["usr", "etc", "tmp", "proc", "sys", "dev", "run", "var"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{link}"), tree.join(link)).unwrap();
        }
        fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
            .unwrap();
        fs::write(tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").unwrap();
        let tar = self.folder.path().join("image.tar");
        let made = Command::new("tar").arg("-C").arg(&tree).args(["-c", "-f"]).arg(&tar).arg(".").status();
        assert!(made.unwrap().success());
        self.done(&["import", tar.to_str().unwrap(), IMAGE]);
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// The program `docker`, talking to it.
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", self.url()).stdin(Stdio::null());
        command
    }

    /// What `docker` says, which must succeed.
    pub fn done(&self, args: &[&str]) -> String {
        let output = self.docker(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// All that it has said itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        self.log().lines().next_back().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // `setpriv` and `unshare` are this very process; the kernel ends its child with it, and with that all the others.
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        self.child.kill().ok();
        self.child.wait().ok();
        let start = Instant::now();
        for child in children.split_whitespace() {
            while Path::new("/proc").join(child).exists() && start.elapsed() < READY {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Which network a server in a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// That of the machine: the server listens on a port of its 127.0.0.1.
    Host,
    /// Nothing but a 127.0.0.1 of its own; from outside it is reached by its socket.
    Own,
}

/// A PostgreSQL in a container. Removed when dropped.
#[derive(Debug)]
pub struct Contained {
    engine: Arc<Engine>,
    cluster: Cluster,
    /// The container.
    pub name: String,
    network: Network,
    /// Its port, as it sees it.
    pub port: u16,
    folder: TempDir,
}

impl Contained {
    /// Starts one with an empty cluster and waits until it takes connections.
    pub fn start(engine: &Arc<Engine>, network: Network) -> Self {
        Self::start_in(engine, network, None)
    }

    /// The same where programs are looked for in this folder only.
    pub fn start_in(engine: &Arc<Engine>, network: Network, path: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let cluster = Cluster::make(folder.path(), ACCESS, PASSWORD).unwrap();
        let port = match network {
            Network::Host => TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().port(),
            Network::Own => 5432,
        };
        let name = format!(
            "server-{}",
            folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.')
        );
        let started = Self { engine: engine.clone(), cluster, name, network, port, folder };
        started.run(path);
        started.wait();
        started
    }

    fn run(&self, path: Option<&str>) {
        let server = self.cluster.server(self.port, &[]);
        let words = server.get_args().map(|word| word.to_str().unwrap());
        let words: Vec<&str> = words.skip_while(|word| !word.ends_with("bin/postgres")).collect();
        let programs = Path::new(words[0]).parent().unwrap().display().to_string();
        let (own, folder) = (self.programs(), self.folder.path().display());
        fs::create_dir_all(&own).unwrap();
        let all = format!("{}:{programs}:/usr/bin", own.display());
        let path = format!("PATH={}", path.unwrap_or(&all));
        let network = if self.network == Network::Host { "host" } else { "none" };
        let mount = format!("{folder}:{folder}");
        let mut args = vec!["run", "-d", "--name", &self.name, "--network", network, "--user", "65534:65534"];
        args.extend(["-v", "/usr:/usr:ro", "-v", &mount, "-e", &path, IMAGE]);
        args.extend(words);
        self.engine.done(&args);
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.psql("postgres").args(["-c", "SELECT 1"]).output().unwrap().status.success() {
            assert!(start.elapsed() < READY, "it is not ready: {}", self.engine.done(&["logs", &self.name]));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A folder whose programs come first in the container, and that the tests may write into.
    pub fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Where its socket is, and what both sides of the container see.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a pg_dump before the real one, which is `real` in these words of a shell. They are said in the folder.
    pub fn stand_in(&self, words: &str) {
        let text = format!(
            "#!/bin/sh\nPATH=\"${{PATH#*:}}\"\nreal() {{ exec pg_dump \"$@\"; }}\ncd '{}'\n{words}\n",
            self.folder.path().display()
        );
        fs::write(self.programs().join("pg_dump"), text).unwrap();
        fs::set_permissions(self.programs().join("pg_dump"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(self.folder.path(), Permissions::from_mode(0o777)).unwrap();
    }

    /// The URL of a database for the superuser, from outside.
    pub fn url(&self, database: &str) -> String {
        match self.network {
            Network::Host => self.cluster.url(self.port, database),
            Network::Own => {
                let at = format!("127.0.0.1:{}/{database}", self.port);
                let url = self.cluster.url(self.port, database);
                url.replace(
                    &at,
                    &format!("/{database}?host={}&port={}", self.folder.path().display(), self.port),
                )
            }
        }
    }

    /// Runs SQL with psql, as the superuser over the socket; gives back what it printed.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.cluster.sql(self.port, database, sql).unwrap()
    }

    /// A psql that stops at errors and prints bare rows.
    pub fn psql(&self, database: &str) -> Command {
        self.cluster.psql(self.port, database)
    }

    /// Ends it as `kill -9` does, with all that runs in its container.
    pub fn kill(&self) {
        self.engine.done(&["kill", &self.name]);
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.engine.docker(&["rm", "-f", &self.name]).output().ok();
    }
}
