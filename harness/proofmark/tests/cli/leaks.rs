//! The law of secrets: however one comes in, and whatever shape a system hands it back in, it appears in nothing that
//! Proofmark writes or says.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use fixtures::{Answer, Desk, Ended, Server};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::fmt::Write as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

/// Percent-encoded, but for letters, digits and these.
fn percent(text: &str, plain: &str, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let c = char::from(byte);
        match (c.is_ascii_alphanumeric() || plain.contains(c), upper) {
            (true, _) => out.push(c),
            (false, true) => write!(out, "%{byte:02X}").unwrap(),
            (false, false) => write!(out, "%{byte:02x}").unwrap(),
        }
        out
    })
}

/// JSON text without its quotes, and with these characters and all beyond ASCII as `\u….`.
fn escaped(text: &str, also: &str, upper: bool) -> String {
    let json = serde_json::to_string(text).unwrap();
    let mut out = String::new();
    for c in json[1..json.len() - 1].chars() {
        if c.is_ascii() && !also.contains(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") }.unwrap();
        }
    }
    out
}

/// A text in every shape that systems write it in, made without the product's own code.
fn shapes(secret: &str) -> Vec<String> {
    let mut out = vec![secret.to_owned()];
    // RFC 3986, JavaScript, Python's `quote`, Go's `PathEscape`, everything; with `+` for a space in forms.
    for plain in ["-_.~", "-_.!~*'()", "-_.~/", "-_.~$&+=:@", "", "*-._"] {
        for upper in [true, false] {
            let encoded = percent(secret, plain, upper);
            out.extend([encoded.replace("%20", "+"), encoded]);
        }
    }
    // As it stands in JSON: by itself, as Go writes it, and in ASCII.
    let json = serde_json::to_string(secret).unwrap();
    out.push(json[1..json.len() - 1].to_owned());
    out.push(json[1..json.len() - 1].replace('/', "\\/"));
    out.push(json[1..json.len() - 1].replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
    out.extend([escaped(secret, "", false), escaped(secret, "", true), escaped(secret, "<>&", false)]);
    out.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|base| base.encode(secret)));
    out
}

/// What stands before a secret when both are packed with base64: each begins at another offset.
const USERS: [&str; 3] = ["bob:", "me:", "x:"];

fn packed(user: &str, secret: &str) -> String {
    STANDARD.encode(format!("{user}{secret}"))
}

/// Everything that was kept and said, by where.
fn everything(desk: &Desk, ended: &[&Ended]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = vec![];
    for folder in ["evidence", "reports"] {
        all.extend(desk.files(folder).into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)));
    }
    for ended in ended {
        all.push(("standard output".into(), ended.stdout.clone().into_bytes()));
        all.push(("standard error".into(), ended.stderr.clone().into_bytes()));
    }
    for format in ["text", "html", "junit", "json", "markdown", "github"] {
        let told = desk.call(&["report", "--format", format]);
        all.push((format!("report --format {format}"), told.stdout.into_bytes()));
    }
    all
}

/// Fails where one of these texts is in anything that was written or said.
fn absent(all: &[(String, Vec<u8>)], texts: &[String]) {
    for (place, bytes) in all {
        for text in texts {
            let found = memchr::memmem::find(bytes, text.as_bytes());
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + text.len() + 20)];
                panic!("`{text}` is in {place}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }
}

/// A server that says this in every place where a server can say something.
fn echo(said: &str, shape: &str) -> Server {
    let text = format!("it was {shape}, yes");
    let quoted = json!({"error": said, "list": [said], said: 1, "deep": {"text": format!("<{said}>")}});
    let failed = json!({"status": "error", "errorType": "bad_data", "error": format!("bad: {said}")});
    let sample = json!({"metric": {"label": said}, "value": [1, "1"]});
    let samples = json!({"status": "success", "warnings": [said], "data": {"resultType": "vector", "result": [sample]}});
    let mut server = Server::start()
        .on("/json", Answer::json(quoted.to_string()))
        .on("/ascii", Answer::json(escaped_json(said)))
        .on("/text", Answer::new(200, "text/plain", text.clone()))
        .on("/lines", Answer::new(200, "application/x-ndjson", format!("{{\"a\":\"{shape}\"}}\n{{}}\n")))
        .on("/500", Answer::new(500, "text/html", format!("<h1>{text}</h1>")))
        .on("/api/v1/query", Answer::json(failed.to_string()).status(400))
        .on("/page/api/v1/query", Answer::new(502, "text/html", text.repeat(40)))
        .on("/html/api/v1/query", Answer::new(200, "text/html", text))
        .on("/good/api/v1/query", Answer::json(samples.to_string()));
    if shape.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let header = format!("is {shape}");
        let location = format!("/to/{shape}?q={shape}");
        server = server
            .on("/header", Answer::json("{}").header("x-echo", &header).header("www-authenticate", &header))
            .on("/moved", Answer::new(302, "text/plain", "").header("location", &location))
            .on("/away", Answer::new(302, "text/plain", "").header("location", &format!("ftp://h/{shape}")));
    }
    server
}

/// As Python writes it.
fn escaped_json(said: &str) -> String {
    format!("{{\"a\": \"{}\", \"b\": [\"{}\"]}}", escaped(said, "", false), escaped(said, "<>&/", true))
}

const STEPS: &str = "
  - { id: json, check: { http: { get: /json } }, via: web, evidence: kept-json.json, expect: [{ at: $.json.error, equals: other }] }
  - { id: ascii, check: { http: { get: /ascii } }, via: web, evidence: kept-ascii.json }
  - { id: text, check: { http: { get: /text } }, via: web, evidence: kept-text.txt, expect: [{ at: $.text, matches: nothing }] }
  - { id: lines, check: { http: { get: /lines } }, via: web, evidence: kept-lines.txt }
  - { id: header, check: { http: { get: /header } }, via: web, expect: [{ at: \"$.headers['x-echo']\", equals: other }] }
  - { id: moved, check: { http: { get: /moved } }, via: web }
  - { id: away, check: { http: { get: /away } }, via: web }
  - { id: bad, check: { http: { get: /500 } }, via: web, evidence: kept-bad.html }
  - { id: refused, check: { prometheus-query: { query: up } }, via: web }
  - { id: gateway, check: { prometheus-query: { query: up } }, via: page }
  - { id: login, check: { prometheus-query: { query: up } }, via: html }
  - { id: good, check: { prometheus-query: { query: up } }, via: good, within: 20ms, every: 10ms }
";

/// A desk whose environment takes the secret in this way, for every address of the server.
fn desk(server: &Server, way: &str, secret: &str) -> Desk {
    let mut desk = Desk::new(PROGRAM, &[]);
    desk.set("THE_SECRET", secret);
    desk.write("secret", format!("{secret}\n"));
    let dsn = |path: &str| {
        let login = percent(secret, "-_.~", true);
        format!("{}{path}", server.url().replace("http://", &format!("http://bob:{login}@")))
    };
    let mut text = "proofmark: v1\nconnections:\n".to_owned();
    for (name, path) in [("web", ""), ("page", "/page"), ("html", "/html"), ("good", "/good")] {
        desk.set(&format!("DSN_{name}"), &dsn(path));
        let url = format!("url: \"{}{path}\"", server.url());
        let rest = match way {
            "basic" => format!("{url}, basic: {{ username: bob, password: {{ env: THE_SECRET }} }}"),
            "bearer" => format!("{url}, bearer: {{ file: secret }}"),
            "header" => format!("{url}, headers: {{ X-Thing: {{ env: THE_SECRET }} }}"),
            "command" => format!("{url}, bearer: {{ command: [cat, secret] }}"),
            "dsn" => format!("url: {{ env: DSN_{name} }}"),
            _ => format!("url: '{}'", dsn(path)),
        };
        writeln!(text, "  {name}: {{ {rest} }}").unwrap();
    }
    desk.write("environment.yaml", text);
    desk
}

fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!-~]{8,20}",
        "[A-Za-z0-9+/]{20,40}={0,2}",
        "[a-z]{3}[?#&/%+@: ]{2,5}[a-z]{3,8}",
        "[a-z]{2}[\"'\\\\<>&{}]{2,6}[a-z]{4,8}",
        "[a-z]{2}[äöüßé€漢😀]{3,6}[a-z]{3}",
        "[ -~]{4}[äü/+ ]{2}[!-~]{4}",
    ]
}

/// Runs the steps twice, for people and for machines, and looks for the secret in everything.
fn law(way: &str, secret: &str, which: usize) {
    // A header can neither hold what is not ASCII nor spaces at its ends: that is refused, and has a test of its own.
    let secret = secret.trim();
    let forms = shapes(secret);
    let shape = forms.get(which % (forms.len() + 3));
    let shape = shape.cloned().unwrap_or_else(|| packed(USERS[which % 3], secret));
    let server = echo(secret, &shape);
    let desk = desk(&server, way, secret);
    desk.write("echo.txt", format!("out {shape} end\n{secret}\n"));
    let script = "act: { command: { argv: [cat, echo.txt] } }, evidence: kept.txt";
    desk.scenario("a", "", STEPS);
    desk.scenario("b", "", &format!("  - {{ id: said, {script} }}\n"));
    let human = desk.run(&["--allow", "exec"]);
    let machine = desk.run(&["--allow", "exec", "--format", "jsonl"]);
    assert_eq!((human.code, machine.code), (Some(1), Some(1)), "{human:?}");
    assert_eq!(desk.call(&["verify"]).code, Some(0));
    let all = everything(&desk, &[&human, &machine]);
    let kept = desk.files(&desk.newest());
    assert!(kept.len() > 18 && String::from_utf8_lossy(&kept["a/kept-text.txt"]).contains("[masked]"));
    let mut texts = forms;
    texts.extend(USERS.map(|user| {
        // The characters that hold nothing but the secret.
        let (from, to) = (user.len() * 8, (user.len() + secret.len()) * 8);
        packed(user, secret)[from.div_ceil(6)..to / 6].to_owned()
    }));
    absent(&all, &texts);
}

#[test]
fn no_shape_of_a_secret_is_written_or_said() {
    let ways = prop::sample::select(vec!["basic", "bearer", "header", "command", "dsn", "text"]);
    // Each case is seven processes, so there are few, and new ones each time.
    let mut runner = TestRunner::new(Config {
        cases: 24,
        max_shrink_iters: 12,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (ways, secrets(), any::<usize>());
    let result = runner.run(&strategy, |(way, secret, which)| {
        law(way, &secret, which);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// A server with this page, and a desk that sends it the secret as a bearer token.
fn page(page: &str, secret: &str) -> (Server, Desk) {
    let server = Server::start().on("/page", Answer::json(page)).on("/json", Answer::json(page));
    let desk = desk(&server, "bearer", secret);
    (server, desk)
}

#[test]
fn a_masked_value_decides_nothing_and_says_how_to_except_its_key() {
    let secret = "a-long-learned-secret";
    let (_server, desk) =
        page(&json!({"next_token": "page-2", "said": secret, "list": ["a", secret]}).to_string(), secret);
    let step = |more: &str, expect: &str| {
        format!(
            "  - {{ id: a, check: {{ http: {{ get: /page }} }}, via: web, {more} expect: [{{ {expect} }}] }}\n"
        )
    };
    for expect in [
        "at: $.json.next_token, equals: page-2",
        "at: $.json.next_token, not: { equals: page-3 }",
        "at: $.json.next_token, matches: .",
        "at: $.json.next_token, type: string",
        "at: $.json.next_token, one-of: ['[masked]']",
        "at: $.json.said, equals: '[masked]'",
        "at: $.json.said, equals: a-long-learned-secret",
        "at: '$.json.list[*]', every: { matches: . }",
        "at: '$.json.list[*]', any: { equals: '[masked]' }",
    ] {
        desk.ran(&step("", expect), 3);
        let findings = desk.kept("s/a")["findings"].clone();
        let open = findings.as_array().unwrap().iter().find(|finding| finding["verdict"] == "unverified");
        let help = open.unwrap()["help"].as_str().unwrap_or_default();
        assert!(help.contains("not-secret"), "{expect}: {findings}");
    }
    desk.ran(&step("not-secret: [next_token],", "at: $.json.next_token, equals: page-2"), 0);
    desk.ran(&step("not-secret: [next_token],", "at: $.json.next_token, equals: page-3"), 1);
    // What was learned is a secret whatever a scenario says of its key.
    desk.ran(&step("not-secret: [said],", "at: $.json.said, equals: a-long-learned-secret"), 3);
    desk.ran(&step("capture: { token: $.json.next_token },", "at: $.status, equals: 200"), 3);
    let finding = desk.kept("s/a")["findings"][2].clone();
    assert!(finding["help"].as_str().unwrap().contains("not-secret"), "{finding}");
}

#[test]
fn a_short_secret_that_is_a_word_of_the_program_leaves_its_records_readable() {
    for secret in [
        "http", "1", "3", "200", "v1", "passed", "json", "status", "GET", "equals", "at", "s", "a", "web",
        "bearer", "0", "text", "s/a.json",
    ] {
        let (_server, desk) = page(r#"{"state": "ready", "n": 1}"#, secret);
        let expect = "expect: [{ at: $.json.state, equals: ready }, { at: $.json.n, equals: 1 }]";
        desk.scenario(
            "s",
            "",
            &format!("  - {{ id: a, check: {{ http: {{ get: /page }} }}, via: web, {expect} }}\n"),
        );
        let ended = desk.run(&[]);
        let decided = ended.code == Some(0);
        // Where the very value that is judged is the secret, it cannot be decided.
        let value = ["1", "200", "v1", "GET", "equals", "at"].contains(&secret);
        assert!(decided || (value && ended.code == Some(3)), "{secret}: {ended:?}");
        desk.sound(&ended);
        assert_eq!(desk.kept("s/a")["kind"], "http", "{secret}");
    }
}

#[test]
fn a_tenant_that_is_written_out_is_no_secret_and_a_login_is_one_wherever_it_stands() {
    let server = Server::start().on("/page", Answer::json(r#"{"n": 1, "tenant": "1"}"#));
    let desk = Desk::new(PROGRAM, &[]);
    let environment = format!(
        "proofmark: v1
connections:
  web: {{ url: '{}', headers: {{ X-Scope-OrgID: '1' }} }}
  other: {{ url: 'http://bob:hunter2hunter2@127.0.0.1:1/', headers: {{ X-Api-Key: written-out-key, Authorization: Bearer written-out-token }} }}
",
        server.url()
    );
    desk.write("environment.yaml", environment);
    let expect = "expect: [{ at: $.json.n, equals: 1 }, { at: $.json.tenant, equals: '1' }]";
    let ended =
        desk.ran(&format!("  - {{ id: a, check: {{ http: {{ get: /page }} }}, via: web, {expect} }}\n"), 0);
    assert_eq!(server.seen()[0].headers["x-scope-orgid"], "1");
    let texts = ["hunter2hunter2", "written-out-key", "written-out-token"].map(str::to_owned);
    absent(&everything(&desk, &[&ended]), &texts);
}

#[test]
fn composed_logins_of_short_words_are_masked_as_a_whole() {
    let packed = STANDARD.encode("admin:admin");
    let server =
        Server::start().on("/page", Answer::new(200, "text/plain", format!("you sent Basic {packed}")));
    let mut desk = Desk::new(PROGRAM, &[]);
    desk.set("WORD", "admin");
    let connection = "basic: { username: admin, password: { env: WORD } }";
    desk.write(
        "environment.yaml",
        format!("proofmark: v1\nconnections:\n  web: {{ url: '{}', {connection} }}\n", server.url()),
    );
    let ended = desk.ran("  - { id: a, check: { http: { get: /page } }, via: web, evidence: page.txt }\n", 0);
    absent(&everything(&desk, &[&ended]), &[packed]);
}

#[test]
fn output_that_is_cut_does_not_end_in_the_beginning_of_a_secret() {
    let secret = "correct-horse-battery-staple";
    let (_server, desk) = page("{}", secret);
    for left in [4, 8, 27] {
        let text = "x".repeat((1 << 20) - left) + secret + &"y".repeat(1000);
        desk.write("long.txt", text);
        let steps = "  - { id: a, act: { command: { argv: [cat, long.txt] } }, evidence: out.txt }
  - { id: b, check: { http: { get: /page } }, via: web }
";
        // The output was not kept whole, so nothing is decided on it.
        let ended = desk.ran(steps, 3);
        absent(&everything(&desk, &[&ended]), &["corr".to_owned()]);
    }
}

#[test]
fn mistakes_in_secrets_are_told_without_them() {
    let secret = "hunter2hunter2";
    let (_server, mut desk) = page("{}", secret);
    desk.scenario("s", "", "  - { id: a, check: { http: { get: /page } }, via: web }\n");
    desk.set("BAD_URL", &format!("no url at all {secret}"));
    desk.set("LINES", &format!("{secret}\nsecond"));
    for (connection, code) in [
        ("url: { env: BAD_URL }", 2),
        ("url: 'http://127.0.0.1:1', bearer: { env: LINES }", 3),
        ("url: 'http://127.0.0.1:1', headers: { X-Thing: { env: LINES } }", 3),
        ("url: 'http://127.0.0.1:1', tls: { ca: secret, key: secret, cert: secret }", 3),
        ("url: 'http://127.0.0.1:1', bearer: { command: [sh, -c, 'cat secret >&2; cat secret; exit 1'] }", 2),
    ] {
        desk.write("environment.yaml", format!("proofmark: v1\nconnections:\n  web: {{ {connection} }}\n"));
        let ended = desk.run(&["--allow", "exec"]);
        assert_eq!(ended.code, Some(code), "{connection}: {ended:?}");
        let mut all = vec![("said".to_owned(), format!("{ended:?}").into_bytes())];
        if code == 3 {
            all.extend(everything(&desk, &[&ended]));
        }
        absent(&all, &[secret.to_owned()]);
    }
}

#[test]
fn a_program_that_was_run_for_a_secret_is_kept_without_what_it_printed() {
    let secret = "hunter2hunter2";
    let server = Server::start().on("/page", Answer::new(200, "text/plain", "{}"));
    let desk = Desk::new(PROGRAM, &[]);
    desk.write("word", secret);
    let web = format!("{{ url: '{}', bearer: {{ command: [sh, -c, 'cat word'] }} }}", server.url());
    desk.write("environment.yaml", format!("proofmark: v1\nconnections:\n  web: {web}\n"));
    desk.scenario("s", "", "  - { id: a, check: { http: { get: /page } }, via: web }\n");
    let ended = desk.run(&["--allow", "exec"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(server.seen()[0].headers["authorization"], format!("Bearer {secret}"));
    let files = desk.files("evidence");
    let (_, info) = files.iter().find(|(name, _)| name.ends_with("run.json")).unwrap();
    let info: serde_json::Value = serde_json::from_slice(info).unwrap();
    let mut programs = info["programs"].clone();
    assert!(programs[0]["seconds"].take().as_f64().is_some_and(|seconds| seconds > 0.0), "{info}");
    let kept =
        json!([{ "method": "exec", "target": "sh -c 'cat word'", "status": 0, "bytes": 0, "seconds": null }]);
    // Git, which is asked for the commit, comes after it.
    let programs = programs.as_array_mut().unwrap();
    assert!(programs[1..].iter().all(|program| program["target"].as_str().unwrap().starts_with("git ")));
    assert_eq!(programs[0], kept[0]);
    absent(&everything(&desk, &[&ended]), &[secret.to_owned()]);
}
