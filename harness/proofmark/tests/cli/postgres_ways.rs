//! Ways to a real PostgreSQL: TLS as libpq means it, DSNs and variables as plans write them, errors that help, and
//! passwords that are seen nowhere.

#![expect(clippy::disallowed_methods, reason = "a test writes its own input")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::database::{awkward, awkward_with, cx, query, reach};
use crate::ground::look::look;
use crate::ground::postgres::{POSTGRES_PASSWORD, Postgres};
use proofmark_environment::Tls;
use proofmark_model::Duration;
use proofmark_model::redact::Redactor;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration as Std, Instant};

#[tokio::test]
async fn tls_is_as_libpq_means_it() {
    let server = Postgres::start(&[]);
    let plain = Tls::default;
    let ca = || Tls { ca: Some(server.authority.clone()), ..Tls::default() };
    let other = Postgres::start(&[("ssl", "off")]).authority.clone();
    let wrong_ca = || Tls { ca: Some(other.clone()), ..Tls::default() };
    let named = |name: &str| Tls { server_name: Some(name.into()), ..ca() };
    let insecure = || Tls { insecure: true, ..Tls::default() };
    // The certificate is for `localhost` and not for 127.0.0.1.
    for (words, local, tls, wanted) in [
        ("", false, plain(), Ok(Some("TLSv1.3"))),
        ("?sslmode=disable", false, plain(), Ok(None)),
        ("?sslmode=allow", false, plain(), Ok(Some("TLSv1.3"))),
        ("?sslmode=prefer", false, plain(), Ok(Some("TLSv1.3"))),
        ("?sslmode=require", false, plain(), Ok(Some("TLSv1.3"))),
        ("?ssl=require", false, plain(), Ok(Some("TLSv1.3"))),
        ("?sslmode=require", false, ca(), Ok(Some("TLSv1.3"))),
        ("?sslmode=require", false, wrong_ca(), Err("invalid peer certificate")),
        ("?sslmode=verify-ca", false, ca(), Ok(Some("TLSv1.3"))),
        ("?sslmode=verify-ca", false, wrong_ca(), Err("invalid peer certificate")),
        ("?sslmode=verify-ca", false, plain(), Err("needs `tls.ca`")),
        ("?sslmode=verify-full", false, ca(), Err("not valid for name")),
        ("?sslmode=verify-full", true, ca(), Ok(Some("TLSv1.3"))),
        ("?sslmode=verify-full", true, plain(), Err("UnknownIssuer")),
        ("?ssl=true", true, plain(), Err("UnknownIssuer")),
        ("?sslmode=verify-full", false, named("localhost"), Ok(Some("TLSv1.3"))),
        ("", false, named("localhost"), Ok(Some("TLSv1.3"))),
        ("", false, ca(), Err("not valid for name")),
        ("", true, ca(), Ok(Some("TLSv1.3"))),
        ("", false, insecure(), Ok(Some("TLSv1.3"))),
        ("?sslmode=disable", false, ca(), Err("sslmode=disable")),
        ("?channel_binding=require&sslmode=require", false, plain(), Ok(Some("TLSv1.3"))),
        ("?channel_binding=require&sslmode=disable", false, plain(), Err("channel binding")),
    ] {
        look_over_tls(&server, &format!("postgres{words}"), local, tls, wanted).await;
    }
    let socket =
        format!("postgresql://postgres@/postgres?host={}&port={}", server.folder().display(), server.port);
    for mode in ["", "&sslmode=require"] {
        let seen = query(&cx(&format!("{socket}{mode}")), "SELECT 1 AS one").await.unwrap();
        assert_eq!(seen.seen["database"]["tls"], Value::Null, "no TLS on a socket, and it says so");
    }
    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    assert!(!log.contains(POSTGRES_PASSWORD) && !log.contains("top%2F"), "{log}");
}

/// One look at a database, with the words of its URL's query; `local` by the name in the certificate.
async fn look_over_tls(
    server: &Postgres,
    database: &str,
    local: bool,
    tls: Tls,
    wanted: Result<Option<&str>, &str>,
) {
    let url = server.url(database);
    let url = if local { url.replace("127.0.0.1", "localhost") } else { url };
    let cx = reach(&url, tls, Duration::secs(20));
    match (query(&cx, "SELECT 1 AS one").await, wanted) {
        (Ok(seen), Ok(version)) => {
            assert_eq!(seen.seen["database"]["tls"], json!(version), "{database}");
        }
        (Err(error), Err(word)) => {
            assert!(error.to_string().contains(word), "{database}: {error}");
            assert!(!error.transient, "{error}");
        }
        (seen, wanted) => panic!("{database}: {wanted:?}, but {seen:?}"),
    }
}

#[tokio::test]
async fn a_server_that_lets_in_only_some_is_reached_in_its_way() {
    let server = Postgres::start(&[]);
    for database in ["only_tls", "only_plain", "certain"] {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
    }
    let plain = Tls::default;
    let login = || {
        let key = Redactor::default().learn(server.login.1.clone());
        Tls { cert: Some(server.login.0.clone()), key: Some(key), ..Tls::default() }
    };
    for (database, words, tls, wanted) in [
        ("only_tls", "?sslmode=disable", plain(), Err("28000")),
        ("only_tls", "", plain(), Ok(Some("TLSv1.3"))),
        ("only_plain", "", plain(), Ok(None)),
        ("only_plain", "?sslmode=require", plain(), Err("28000")),
        ("certain", "?sslmode=require", login(), Ok(Some("TLSv1.3"))),
        ("certain", "?sslmode=require", plain(), Err("certificate")),
    ] {
        look_over_tls(&server, &format!("{database}{words}"), false, tls, wanted).await;
    }
}

#[tokio::test]
async fn a_server_without_tls_is_said_so() {
    let server = Postgres::start(&[("ssl", "off")]);
    let seen = query(&cx(&server.url("postgres")), "SELECT 1 AS one").await.unwrap();
    assert_eq!(seen.seen["database"]["tls"], Value::Null);
    let error =
        query(&cx(&format!("{}?sslmode=require", server.url("postgres"))), "SELECT 1").await.unwrap_err();
    assert!(error.to_string().contains("does not support TLS"), "{error}");
}

#[tokio::test]
async fn errors_say_where_and_how_to_mend_it_and_never_the_password() {
    let mut server = awkward_with(&[]);
    let port = server.port;
    let at = |login: &str, database: &str| format!("postgresql://{login}@127.0.0.1:{port}/{database}");
    for (url, sql, word, transient) in [
        (at("postgres:wrong%2Fsecret-word", "app"), "SELECT 1", "28P01", false),
        (at("postgres", "app"), "SELECT 1", "password missing", false),
        (server.url("nowhere"), "SELECT 1", "3D000", true),
        (server.url("app"), "SELECT * FROM nothing", "42P01", true),
        (server.url("app"), "SELECT 1 / 0", "22012", false),
        ("postgresql://u:long-password@127.0.0.1:1/app".into(), "SELECT 1", "is it running", true),
        (
            "postgresql://u:long-password@no.such.host.invalid/app".into(),
            "SELECT 1",
            "no.such.host.invalid",
            true,
        ),
        (at("stranger:stranger-password", "app"), "SELECT * FROM ledger", "42501", false),
    ] {
        let cx = cx(&url);
        let error = query(&cx, sql).await.unwrap_err();
        assert!(error.to_string().contains(word), "{word}: {error}");
        assert_eq!(error.transient, transient, "{error}");
        let evidence = serde_json::to_string(&cx.log.take()).unwrap();
        for text in [error.message, evidence] {
            for secret in
                ["top%2F", POSTGRES_PASSWORD, "wrong/secret", "wrong%2F", "long-password", "stranger-p"]
            {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    let cx = cx(&server.url("app"));
    query(&cx, "SELECT 1 AS one").await.unwrap();
    let taken = cx.log.take();
    let asked: Vec<&str> = taken.iter().filter_map(|exchange| exchange.sent.as_deref()).collect();
    assert!(asked[0].starts_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"), "{asked:?}");
    assert_eq!((asked[2], asked[3]), ("SELECT 1 AS one", "ROLLBACK"));
    assert!(taken.iter().all(|one| one.target == format!("postgresql://postgres@127.0.0.1:{port}/app")));
    assert_eq!(cx.log.take_answer().unwrap().as_slice(), br#"{"columns":["one"],"rows":[{"one":1}]}"#);
    server.stop();
    for kind in [json!({"postgres-query": {"sql": "SELECT 1"}}), json!({"postgres-tables": {}})] {
        let gone = look(&cx, kind).await.unwrap_err();
        assert!(gone.transient && gone.to_string().contains("is it running"), "{gone}");
    }
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_an_error() {
    let mut server = awkward_with(&[]);
    let cx = cx(&server.url("app"));
    let asked = tokio::spawn(async move { query(&cx, "SELECT pg_sleep(600)").await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while server.sql("postgres", waiting) != "1" {
        tokio::task::yield_now().await;
    }
    server.stop();
    let error = asked.await.unwrap().unwrap_err();
    assert!(error.transient, "{error}");
}

/// A server that takes the connection and is silent, or speaks something else.
#[tokio::test]
async fn a_stand_in_that_is_no_database_is_an_error_within_the_time() {
    for (fault, word) in [(fixtures::Fault::Hang, "within 1s"), (fixtures::Fault::Html, "127.0.0.1")] {
        let other = fixtures::Server::broken(fault);
        let address = other.url().replace("http://", "");
        let cx = reach(&format!("postgresql://u:p@{address}/x"), Tls::default(), Duration::secs(1));
        let start = Instant::now();
        let error = query(&cx, "SELECT 1").await.unwrap_err();
        assert!(start.elapsed() < Std::from_secs(3), "{:?}", start.elapsed());
        assert!(
            error.to_string().contains(word) || error.to_string().contains("127.0.0.1"),
            "{fault:?}: {error}"
        );
    }
}

/// Every file of a run's evidence and reports, and what it told.
fn kept(folder: &Path, told: Vec<u8>) -> Vec<(String, String)> {
    let mut all = vec![("told".to_owned(), told)];
    let mut folders = vec![folder.join("evidence"), folder.join("reports")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    all.into_iter().map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())).collect()
}

#[test]
fn a_whole_run_by_the_variables_of_the_plans_keeps_no_password() {
    let server = awkward();
    let (role, name) = (server.role(), server.name("app"));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("env.yaml", "proofmark: v1\nconnections:\n  postgres: { url: { env: DATABASE_URL } }\n");
    write(
        "claim.yaml",
        "proofmark: v1\ntitle: T\nclaim: C\nsteps:\n  - id: rows\n    check:\n      postgres-query: { sql: \"SELECT count(*) AS n FROM floats\" }\n    \
         expect:\n      - { at: '$.rows[0].n', equals: 5 }\n    evidence: answer.json\n  - id: tables\n    check:\n      postgres-tables: { tables: [public.floats] }\n    \
         expect:\n      - { at: '$.tables[0].rows', equals: 5 }\n",
    );
    let asyncpg = server.url("app").replace("postgresql:", "postgresql+asyncpg:") + "?ssl=require";
    let words = format!(
        "host=127.0.0.1 port={} user={role} dbname={name} password='{POSTGRES_PASSWORD}'",
        server.port
    );
    let port = server.port.to_string();
    for variables in [
        vec![("DATABASE_URL", asyncpg.as_str())],
        vec![("DATABASE_URL", words.as_str())],
        vec![
            ("POSTGRES_HOST", "127.0.0.1"),
            ("POSTGRES_PORT", &port),
            ("POSTGRES_USER", &role),
            ("POSTGRES_PASSWORD", POSTGRES_PASSWORD),
            ("POSTGRES_DB", &name),
        ],
    ] {
        let run = assert_cmd::Command::cargo_bin("proofmark")
            .unwrap()
            .current_dir(folder.path())
            .args(["run", "claim.yaml", "--env", "env.yaml"])
            .envs(variables)
            .assert()
            .success();
        let output = run.get_output();
        let told = [output.stdout.clone(), output.stderr.clone()].concat();
        let all = kept(folder.path(), told);
        assert!(all.iter().any(|(name, _)| name.ends_with("answer.json")));
        for (name, text) in all {
            assert!(!text.contains(POSTGRES_PASSWORD) && !text.contains("top%2Fsecret"), "{name}: {text}");
        }
        std::fs::remove_dir_all(folder.path().join("evidence")).unwrap();
    }
    let broken = assert_cmd::Command::cargo_bin("proofmark")
        .unwrap()
        .current_dir(folder.path())
        .args(["run", "claim.yaml", "--env", "env.yaml"])
        .env("DATABASE_URL", format!("postgresql://u:top/secret-raw@127.0.0.1:{port}/app"))
        .assert()
        .code(2);
    let told = String::from_utf8_lossy(&broken.get_output().stderr).into_owned();
    assert!(told.contains("percent-encoded") && !told.contains("secret-raw"), "{told}");
}
