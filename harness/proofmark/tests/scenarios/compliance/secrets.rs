//! A secret that is planted in every connection, and that the server sends back, reaches no file of a run.

use super::example::{Asked, Bench, Login};
use crate::trial;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use fixtures::{Answer, Server};
use libtest_mimic::{Failed, Trial};
use proofmark::kinds::registry;
use proofmark_engine::KindInfo;
use proofmark_engine::testing::compliance::{asks_a_system, label};
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The acts whose example would change this machine.
const NOT_PLANTED: &[(&str, &str)] = &[
    ("alert-drill", "it edits a file of rules below /etc"),
    ("backup", "it writes a folder beside where the tests are run"),
];

/// Two random words, and characters that encodings change between them.
struct Secret {
    words: [String; 2],
}

impl Secret {
    fn random() -> Self {
        let word = || format!("{:016x}", RandomState::new().build_hasher().finish());
        Self { words: [word(), word()] }
    }

    fn text(&self) -> String {
        let [one, other] = &self.words;
        format!("p/{one}+{other}=")
    }

    /// What no file may hold. Each word alone shows the secret raw, URL-encoded, and escaped for JSON or HTML.
    fn traces(&self) -> Vec<String> {
        let login = format!("reader:{}", self.text());
        let encoded = [self.text(), login]
            .into_iter()
            .flat_map(|text| [BASE64_STANDARD_NO_PAD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)]);
        self.words.iter().cloned().chain(encoded).collect()
    }
}

/// What a server says that knows the secret.
fn servers(secret: &str) -> Vec<Server> {
    let body = format!(r#"{{"status":"success","data":{{"note":"{secret}"}},"{secret}":["{secret}"]}}"#);
    let answer = |status: u16, content_type: &str, body: &str| {
        let answer = Answer::new(status, content_type, body).header("x-note", secret);
        Server::start().always(answer.header("www-authenticate", &format!("Bearer realm=\"{secret}\"")))
    };
    vec![
        answer(200, "application/json", &body),
        answer(200, "text/html", &format!("<!doctype html><title>{secret}</title>")),
        answer(401, "text/plain", &format!("the token {secret} is too old")),
        answer(500, "application/json", &format!(r#"{{"status":"error","error":"{secret}"}}"#)),
    ]
}

pub fn trials() -> Vec<Trial> {
    let secret = Arc::new(Secret::random());
    let servers: Arc<Vec<Server>> = Arc::new(servers(&secret.text()));
    let mut trials = vec![trial("compliance", "a_planted_secret_is_found_where_it_is", None, found)];
    let planted =
        |kind: &KindInfo| asks_a_system(kind) && !NOT_PLANTED.iter().any(|(act, _)| *act == kind.name);
    for kind in registry().kinds().copied().filter(planted) {
        let (secret, servers) = (secret.clone(), servers.clone());
        let name = format!("compliance::a_planted_secret_reaches_no_file::{}", label(registry(), &kind));
        trials.push(Trial::test(name, move || reaches_no_file(&kind, &secret, &servers)));
    }
    trials
}

fn reaches_no_file(kind: &KindInfo, secret: &Secret, servers: &[Server]) -> Result<(), Failed> {
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let mut steps = vec![];
    for (number, url) in urls.iter().enumerate() {
        for login in [Login::Password, Login::Token] {
            steps.push((format!("{login:?}-{number}").to_lowercase(), Asked { kind, url, login }));
        }
    }
    // Nothing is changed after a step that did not pass, so an act has a run for each.
    let together = if kind.acts { 1 } else { steps.len() };
    steps.chunks(together).try_for_each(|steps| runs_without_trace(steps, secret))
}

fn runs_without_trace(steps: &[(String, Asked<'_>)], secret: &Secret) -> Result<(), Failed> {
    let mut bench = Bench::new(&secret.text());
    for (id, asked) in steps {
        bench.add(id, *asked, false, &format!("    evidence: {id}.txt\n"));
    }
    let outcome = bench.run()?;
    for (id, _) in steps {
        let record = outcome.run.step("s", id).ok_or("the step left no file")?;
        let asked = record.attempts.iter().any(|it| !it.requests.is_empty() || it.error.is_some());
        if !asked {
            return Err(format!("{id}: nothing was asked").into());
        }
    }
    let leaks = leaks(&bench.written(), secret);
    if leaks.is_empty() { Ok(()) } else { Err(leaks.join("\n").into()) }
}

/// Each file below a folder that holds a trace of the secret, with what is around it.
fn leaks(folder: &Path, secret: &Secret) -> Vec<String> {
    let mut out = vec![];
    for path in files(folder) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for trace in secret.traces() {
            if let Some(at) = text.find(&trace) {
                let around: String =
                    text.chars().skip(text[..at].chars().count().saturating_sub(80)).take(200).collect();
                out.push(format!("{}: …{around}…", path.display()));
            }
        }
    }
    out
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The search finds what it is to find.
fn found() {
    let secret = Secret::random();
    let text = secret.text();
    let basic = BASE64_STANDARD_NO_PAD.encode(format!("reader:{text}"));
    let encoded = text.replace('/', "%2F").replace('+', "%2B");
    for (number, leak) in [text.clone(), basic, encoded, text.replace('/', "\\/")].iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        assert!(leaks(folder.path(), &secret).is_empty());
        fs::write(folder.path().join("below/file"), format!("before {leak} behind")).unwrap();
        assert!(!leaks(folder.path(), &secret).is_empty(), "{number}: {leak}");
    }
}
