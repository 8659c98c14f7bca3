//! The example of a kind, run against a server of a test: an environment with a connection for each role, and the run.

use proofmark::app::observer::Silent;
use proofmark::app::options::RunOptions;
use proofmark::app::outcome::RunOutcome;
use proofmark::app::run::{RunRequest, run};
use proofmark::kinds::{registry, vocabulary};
use proofmark_engine::KindInfo;
use proofmark_engine::scenario::Selection;
use proofmark_engine::testing::compliance::step;
use proofmark_model::Permission;
use proofmark_model::clock::Clock;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const ALL: [Permission; 3] = [Permission::Exec, Permission::Change, Permission::Destroy];

/// How one logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A user with a password, where the role reads that; else with the keys that it reads.
    Password,
    /// A token, where the role reads that; else as with a password.
    Token,
}

/// The example of a kind at a server.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub kind: &'a KindInfo,
    /// `http://127.0.0.1:port`.
    pub url: &'a str,
    pub login: Login,
}

/// The roles that the example uses: an act may need fewer than its kind.
fn used(kind: &KindInfo) -> &'static [&'static str] {
    if !kind.acts {
        return kind.roles;
    }
    let written: Value = serde_saphyr::from_str(kind.example).unwrap();
    registry().act_of_json(&written).unwrap().used().roles
}

/// Does a role of this kind keep trying where a server does not answer? That takes a minute.
fn is_patient(kind: &KindInfo) -> bool {
    kind.roles.iter().any(|role| vocabulary().role(role).keys.contains(&"endpoint"))
}

/// A folder with what a run is given, and what it writes below `run`.
pub struct Bench {
    folder: TempDir,
    connections: String,
    steps: String,
    /// May it change something? Then its clock is told, so that nothing is waited for until a change is back.
    acts: bool,
}

impl Bench {
    /// The password or token of every connection.
    pub fn new(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("scenarios")).unwrap();
        fs::write(folder.path().join("secret"), secret).unwrap();
        Self { folder, connections: String::new(), steps: String::new(), acts: false }
    }

    /// Below this is all that a run writes.
    pub fn written(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Adds a step of this id. An address in the example becomes a path of a connection, unless the kind is asked `openly`.
    pub fn add(&mut self, id: &str, asked: Asked<'_>, openly: bool, more: &str) {
        let Asked { kind, url, .. } = asked;
        self.acts |= kind.acts;
        let mut example = kind.example.to_owned();
        let mut via = vec![];
        for role in used(kind) {
            self.connect(&format!("{id}-{role}"), role, asked);
            via.push(format!("{role}: {id}-{role}"));
        }
        if kind.roles.is_empty() {
            example = with_address(&example, if openly { url } else { "" });
            if !openly {
                self.connect(&format!("{id}-page"), "page", asked);
                via.push(format!("{}: {id}-page", kind.name));
            }
        }
        let timeout = if is_patient(kind) { "3s" } else { "20s" };
        let via = if via.is_empty() { String::new() } else { format!("    via: {{ {} }}\n", via.join(", ")) };
        self.steps += &step(kind, id, &example, &format!("    timeout: {timeout}\n{via}{more}"));
    }

    /// A connection that serves this role, by what the role says of itself.
    fn connect(&mut self, name: &str, role: &str, Asked { url, login, .. }: Asked<'_>) {
        let role = vocabulary().role(role);
        let reads = |key: &str| role.keys.contains(&key);
        let secret = "{ file: secret }";
        let host = url.trim_start_matches("http://");
        let mut keys = vec![match role.form {
            Some(form) => format!("url: '{}'", with_host(form.example, host)),
            None if reads("endpoint") => format!("url: 's3://bucket/prefix', endpoint: '{url}'"),
            None => format!("url: '{url}'"),
        }];
        if reads("secret-key") {
            keys.push(format!("region: us-east-1, access-key: {secret}, secret-key: {secret}"));
        } else if reads("bearer") && login == Login::Token {
            keys.push(format!("bearer: {secret}, headers: {{ x-scope: {secret} }}"));
        } else if reads("basic") && role.form.is_none() {
            keys.push(format!("basic: {{ username: reader, password: {secret} }}"));
        } else if reads("basic") {
            keys[0] = keys[0].replace("user@", "");
            keys.push(format!("basic: {{ username: reader, password: {secret} }}"));
        }
        writeln!(self.connections, "  {name}: {{ {} }}", keys.join(", ")).unwrap();
    }

    /// Runs all steps.
    pub fn run(&self) -> Result<RunOutcome, String> {
        let path = |name: &str| self.folder.path().join(name);
        let scenario = format!("proofmark: v1\ntitle: Examples\nclaim: None.\nsteps:\n{}", self.steps);
        fs::write(path("scenarios/s.yaml"), &scenario).unwrap();
        let environment = format!("proofmark: v1\nconnections:\n{}", self.connections);
        let environment =
            if self.connections.is_empty() { "proofmark: v1\nconnections: {}\n".into() } else { environment };
        fs::write(path("environment.yaml"), &environment).unwrap();
        let request = RunRequest {
            selection: Selection { paths: vec![path("scenarios")], ..Selection::default() },
            environment: Some(path("environment.yaml")),
            options: RunOptions {
                evidence: self.written().join("evidence"),
                reports: Some(self.written().join("reports")),
                operator: Some("a test".into()),
                allow: if self.acts { ALL.into() } else { BTreeSet::new() },
                ..RunOptions::default()
            },
            ..RunRequest::default()
        };
        let clock = if self.acts { Clock::told(Clock::real().now()) } else { Clock::real() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(run(&request, &Silent, &clock))
            .map_err(|error| format!("it is not run: {error}\n{scenario}{environment}"))
    }
}

/// An address such as `scheme://user@host:1234/name`, at another host and port.
fn with_host(address: &str, host: &str) -> String {
    let start = address.find('@').or_else(|| address.find("//").map(|at| at + 1)).unwrap() + 1;
    let end = address[start..].find('/').map_or(address.len(), |at| start + at);
    [&address[..start], host, &address[end..]].concat()
}

/// Text in which the addresses `scheme://host` have become this one.
fn with_address(text: &str, address: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(at) = out[from..].find("://").map(|at| from + at) {
        let start = out[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        let ends = |c: char| matches!(c, '/' | ' ' | ',' | '}' | '\'' | '"');
        let end = out[at + 3..].find(ends).map_or(out.len(), |end| at + 3 + end);
        out.replace_range(start..end, address);
        from = start + address.len();
    }
    out
}
