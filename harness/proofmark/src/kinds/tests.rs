//! What the variables say, and what is said where they say nothing.

use super::*;
use proofmark_environment::{Environment, GivenPlace, Variables};
use proofmark_model::diag::Diag;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Set<'a> = &'a [(&'a str, &'a str)];

const DATABASE_PARTS: Set<'_> = &[
    ("POSTGRES_HOST", "db"),
    ("POSTGRES_USER", "app"),
    ("POSTGRES_PASSWORD", "word"),
    ("POSTGRES_DB", "app"),
];
const STORE_PARTS: Set<'_> = &[
    ("MINIO_ENDPOINT", "minio:9000"),
    ("MINIO_BUCKET", "backups"),
    ("MINIO_ACCESS_KEY", "access"),
    ("MINIO_SECRET_KEY", "secret"),
];

fn read<T>(set: &[(&str, &str)], make: impl FnOnce(Variables<'_>) -> T) -> T {
    make(Variables(&|name| {
        set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    }))
}

fn with<'a>(parts: Set<'a>, others: Set<'a>) -> Vec<(&'a str, &'a str)> {
    // The first that has a name counts.
    others.iter().chain(parts).copied().collect()
}

fn both(set: &[(&str, &str)]) -> Result<BTreeMap<String, Value>, String> {
    let made = read(set, |get| Environment::of_variables(vocabulary(), get, &["postgres", "store"]));
    made.map(|environment| environment.written()).map_err(|wrong| told(&wrong))
}

fn told(wrong: &[Diag]) -> String {
    wrong.iter().map(|diag| diag.render(false)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_variables_of_the_plans_are_an_environment() {
    let all = with(DATABASE_PARTS, STORE_PARTS);
    let expected = json!({
        "postgres": { "url": { "env": "DATABASE_URL" } },
        "store": {
            "url": "s3://backups/", "endpoint": "http://minio:9000",
            "access-key": { "env": "MINIO_ACCESS_KEY" }, "secret-key": { "env": "MINIO_SECRET_KEY" },
        },
    });
    assert_eq!(json!(both(&all).unwrap()), expected);
    let url = with(STORE_PARTS, &[("DATABASE_URL", "postgresql+asyncpg://app:word@db:5432/app")]);
    assert_eq!(json!(both(&url).unwrap()), expected);
}

#[test]
fn a_webhook_may_be_left_out() {
    let roles = ["webhook"];
    assert!(
        read(&[], |get| Environment::of_variables(vocabulary(), get, &roles)).unwrap().written().is_empty()
    );
    let set = [("BACKUP_WEBHOOK_URL", "https://chat.example.org/hooks/word")];
    let written = read(&set, |get| Environment::of_variables(vocabulary(), get, &roles)).unwrap().written();
    assert_eq!(json!(written), json!({ "webhook": { "url": { "env": "BACKUP_WEBHOOK_URL" } } }));
}

#[test]
fn an_endpoint_has_its_own_scheme_or_the_one_that_is_said() {
    for (endpoint, secure, expected) in [
        ("minio:9000", None, "http://minio:9000"),
        ("minio:9000", Some("false"), "http://minio:9000"),
        ("minio:9000", Some("True"), "https://minio:9000"),
        ("http://minio:9000/", Some("true"), "http://minio:9000"),
        ("https://minio", Some("false"), "https://minio"),
        ("127.0.0.1:9000", Some("1"), "https://127.0.0.1:9000"),
    ] {
        let mut set = with(DATABASE_PARTS, STORE_PARTS);
        set.insert(0, ("MINIO_ENDPOINT", endpoint));
        set.extend(secure.map(|secure| ("MINIO_SECURE", secure)));
        assert_eq!(both(&set).unwrap()["store"]["endpoint"], expected, "{endpoint} {secure:?}");
    }
}

#[test]
fn the_login_of_the_root_user_is_taken_where_there_is_no_other() {
    let mut set = with(DATABASE_PARTS, &STORE_PARTS[..2]);
    set.extend([("MINIO_ROOT_USER", "root"), ("MINIO_ROOT_PASSWORD", "word"), ("MINIO_ACCESS_KEY", " ")]);
    let store = &both(&set).unwrap()["store"];
    assert_eq!(store["access-key"], json!({ "env": "MINIO_ROOT_USER" }));
    assert_eq!(store["secret-key"], json!({ "env": "MINIO_ROOT_PASSWORD" }));
}

#[test]
fn what_is_missing_or_wrong_is_named_all_at_once() {
    let none = both(&[]).unwrap_err();
    for name in [
        "DATABASE_URL",
        "POSTGRES_HOST",
        "MINIO_BUCKET",
        "MINIO_ENDPOINT",
        "MINIO_ACCESS_KEY",
        "MINIO_SECRET_KEY",
    ] {
        assert!(none.contains(name), "{none}");
    }
    for (name, _) in DATABASE_PARTS {
        let set: Vec<_> =
            with(DATABASE_PARTS, STORE_PARTS).into_iter().filter(|(other, _)| other != name).collect();
        let wrong = both(&set).unwrap_err();
        assert!(wrong.contains(&format!("{name} is not set")), "{wrong}");
    }
    for (name, value, why) in [
        ("MINIO_SECURE", "maybe", "neither true nor false"),
        ("MINIO_ENDPOINT", "http://access:topsecret@minio:9000", "holds a login"),
        ("MINIO_ENDPOINT", "ftp://minio", "http"),
        ("MINIO_BUCKET", "access:topsecret@backups", "holds a login"),
        ("MINIO_BUCKET", "a b", "no bucket can have"),
    ] {
        let wrong = both(&with(&with(DATABASE_PARTS, STORE_PARTS), &[(name, value)])).unwrap_err();
        assert!(wrong.contains(name) && wrong.contains(why) && !wrong.contains("topsecret"), "{wrong}");
    }
}

fn places(set: Set<'_>, store: (&str, Option<&str>), into: &str) -> Result<Value, String> {
    let place = |role, text, flag| GivenPlace { role, text, flag, variable: "DATABASE_URL", endpoint: None };
    let store = GivenPlace { endpoint: store.1, ..place("store", store.0, "STORE") };
    let places = [store, place("postgres", into, "--into")];
    let made = read(set, |get| Environment::of_places(vocabulary(), get, &places));
    made.map(|environment| json!(environment.written())).map_err(|wrong| told(&wrong))
}

const AWS: Set<'_> = &[
    ("AWS_ACCESS_KEY_ID", "access"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ENDPOINT_URL", "http://store:9000"),
];

#[test]
fn two_places_are_an_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let written = places(&[], (path, None), "env:NAME").unwrap();
    assert_eq!(written["store"], json!({ "url": format!("file://{path}") }));
    assert_eq!(written["postgres"], json!({ "url": { "env": "NAME" } }));

    let written = places(AWS, ("s3://b/p", None), "postgresql://app@db/app").unwrap();
    assert_eq!(
        written["store"],
        json!({
            "url": "s3://b/p", "endpoint": "http://store:9000", "region": "eu-central-1",
            "access-key": { "env": "AWS_ACCESS_KEY_ID" }, "secret-key": { "env": "AWS_SECRET_ACCESS_KEY" },
        })
    );
    let written = places(STORE_PARTS, ("s3://b", Some("https://other")), "host=db dbname=app").unwrap();
    assert_eq!(written["store"]["endpoint"], "https://other");
    assert_eq!(written["store"]["access-key"], json!({ "env": "MINIO_ACCESS_KEY" }));
}

#[test]
fn a_place_that_is_none_is_told_without_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let bucket = ("s3://b", None);
    for (set, store, into, why) in [
        (AWS, bucket, "db.topsecret", "no PostgreSQL database"),
        (AWS, bucket, "mysql://app:topsecret@db/app", "no PostgreSQL database"),
        (AWS, bucket, "postgresql://app:topsecret@db:port/app", "port"),
        (AWS, bucket, "env:", "name of an environment variable"),
        (AWS, ("s3://key:topsecret@b", None), "env:NAME", "holds a login"),
        (AWS, ("https://key:topsecret@b", None), "env:NAME", "begins with neither"),
        (AWS, ("s3://b", Some("http://key:topsecret@b")), "env:NAME", "holds a login"),
        (AWS, (path, Some("http://b")), "env:NAME", "--endpoint"),
        (AWS, ("/none/here", None), "env:NAME", "no folder that is there"),
        (AWS, ("file:///none/here", None), "env:NAME", "not there"),
        (&AWS[..2], bucket, "env:NAME", "where the bucket's server is"),
        (&AWS[2..], bucket, "env:NAME", "AWS_ACCESS_KEY_ID is not set (nor MINIO_ACCESS_KEY)"),
        (&STORE_PARTS[..3], bucket, "env:NAME", "MINIO_SECRET_KEY is not set"),
    ] {
        let wrong = places(set, store, into).unwrap_err();
        assert!(wrong.contains(why) && !wrong.contains("topsecret"), "{store:?} {into}: {wrong}");
    }
}

#[test]
fn what_a_run_has_written_down_is_an_environment_again() {
    let written = places(AWS, ("s3://b/p", None), "env:NAME").unwrap();
    let mut masked: BTreeMap<String, Value> = serde_json::from_value(written.clone()).unwrap();
    for key in ["access-key", "secret-key"] {
        masked.get_mut("store").unwrap()[key] = json!({ "env": proofmark_model::redact::MASK });
    }
    assert_eq!(json!(read(AWS, |get| Environment::of_run(vocabulary(), get, &masked)).written()), written);
    assert!(
        !read(&[], |get| Environment::of_run(vocabulary(), get, &masked)).written().contains_key("store"),
        "nobody can log in"
    );
    masked.get_mut("postgres").unwrap()["url"] = json!(proofmark_model::redact::MASK);
    assert!(
        !read(AWS, |get| Environment::of_run(vocabulary(), get, &masked)).written().contains_key("postgres")
    );
}
