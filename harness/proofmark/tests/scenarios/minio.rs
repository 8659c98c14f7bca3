//! Stores against a real MinIO. Where it was not built, these tests are ignored and say why; nothing passes for it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups;
use crate::ground::look;
use crate::ground::minio::{LOGIN, Minio, Test, missing, shared};
use crate::ground::postgres::POSTGRES_PASSWORD;
use crate::ground::store::{self, ACCESS, SECRET, bucket, keys, objects, state};
use crate::trial;
use fixtures::Desk;
use libtest_mimic::Trial;
use proofmark_engine::Cx;
use proofmark_model::Verdict;
use serde_json::json;
use std::fs;
use tokio::runtime::Runtime;

/// Tests that share one server, each with buckets of its own.
pub fn trials() -> Vec<Trial> {
    let tests: [(&'static str, Test); 8] = [
        ("a_list_is_read_to_its_end", |minio| Box::pin(paged(minio))),
        ("odd_names_come_as_they_are", |minio| Box::pin(odd_names(minio))),
        ("a_wrong_login_is_told_from_a_missing_bucket_and_from_no_server", |minio| Box::pin(refusals(minio))),
        ("a_bucket_that_everyone_can_list_fails", |minio| Box::pin(public(minio))),
        ("an_object_that_hides_a_folder_is_named", |minio| Box::pin(hidden(minio))),
        ("versions_and_locks_are_seen_as_they_are", |minio| Box::pin(versions(minio))),
        ("the_commands_read_the_variables_of_the_plans", |minio| Box::pin(commands(minio))),
        ("a_run_looks_at_a_bucket_and_keeps_no_login", |minio| Box::pin(whole_run(minio))),
    ];
    tests
        .into_iter()
        .map(|(name, test)| {
            trial("minio", name, missing(), move || Runtime::new().unwrap().block_on(test(shared())))
        })
        .collect()
}

fn at(minio: &Minio, place: &str) -> Cx {
    store::store(bucket(&minio.url, place, LOGIN))
}

async fn paged(minio: &'static Minio) {
    minio.put("/paged", "").await;
    for number in 0..1005 {
        minio.put(&format!("/paged/many/{number:05}"), "1234").await;
    }
    minio.put("/paged/other", "1234").await;
    let cx = at(minio, "paged");
    let look = objects(&cx, json!({"prefix": "many/", "newest-within": "1h", "count": {"equals": 1005}}))
        .await
        .unwrap();
    assert_eq!(look.verdict, Verdict::Passed, "{:?}", look.findings);
    assert_eq!((&look.seen["bytes"], &look.seen["store"]), (&json!(4020), &json!("s3://paged/")));
    let taken = cx.log.take();
    assert_eq!(taken.len(), 2, "two pages");
    assert!(
        taken.iter().all(|one| one.status == Some(200) && one.bytes > 0 && one.seconds > 0.0),
        "{taken:?}"
    );
    let kept = String::from_utf8(cx.log.take_answer().unwrap().to_vec()).unwrap();
    assert_eq!(kept.matches("<Key>").count(), 1005, "`evidence:` keeps every page");
    let cx = at(minio, "paged/many");
    let look = objects(&cx, json!({"matches": "^0100[0-4]$"})).await.unwrap();
    assert_eq!(keys(&look), ["01000", "01001", "01002", "01003", "01004"]);
    // A limit beyond the first page is held too.
    for (most, verdict) in [(1004, Verdict::Failed), (1005, Verdict::Passed)] {
        let many = json!({"backup-catalogue": {"foreign": true, "at-most": most}});
        let seen = look::look(&cx, many).await.unwrap();
        assert_eq!((seen.verdict, &seen.seen["count"]), (verdict, &json!(1005)), "{:?}", seen.findings);
    }
    let typo = objects(&cx, json!({"prefix": "mny"})).await.unwrap();
    assert_eq!(typo.verdict, Verdict::Failed, "a prefix that is nowhere is 200 and empty");
}

async fn odd_names(minio: &'static Minio) {
    minio.put("/odd-names", "").await;
    // In the URL, and as it is.
    let names = [
        ("a%20b%2Bc%25d", "a b+c%d"),
        ("%C3%BC%26%3C%3E%22%27", "ü&<>\"'"),
        ("control%01here", "control\u{1}here"),
        ("%20space%20", " space "),
    ];
    for (encoded, _) in names {
        minio.put(&format!("/odd-names/f%20%2B/{encoded}"), "x").await;
    }
    let look = objects(&at(minio, "odd-names"), json!({"prefix": "f +/"})).await.unwrap();
    let mut wanted = names.map(|(_, name)| format!("f +/{name}"));
    wanted.sort();
    assert_eq!(keys(&look), wanted, "{look:?}");
    assert_eq!(keys(&objects(&at(minio, "odd-names/f +"), json!({})).await.unwrap()).len(), 4);
}

async fn refusals(minio: &'static Minio) {
    minio.put("/closed", "").await;
    minio.put("/closed/one", "1").await;
    let cases = [
        ("closed", ("not-a-key-of-it", SECRET), "InvalidAccessKeyId", Verdict::Passed),
        ("closed", (ACCESS, "not-its-secret"), "SignatureDoesNotMatch", Verdict::Unverified),
        ("not-there", LOGIN, "NoSuchBucket", Verdict::Unverified),
    ];
    for (place, login, code, revoked) in cases {
        assert!(minio.healthy().await, "its health says nothing about a login");
        let cx = store::store(bucket(&minio.url, place, login));
        let error = objects(&cx, json!({})).await.unwrap_err();
        assert!(!error.transient && error.to_string().contains(code), "{code}: {error}");
        assert_eq!(cx.log.take().len(), 1);
        let look = state(&cx, json!({})).await.unwrap();
        assert_eq!(
            (look.verdict, &look.seen["refused"]["code"]),
            (Verdict::Failed, &json!(code)),
            "{look:?}"
        );
        let look = state(&cx, json!({"refused": true})).await.unwrap();
        assert_eq!(look.verdict, revoked, "{look:?}");
    }
    let works = state(&at(minio, "closed"), json!({})).await.unwrap();
    let revoked = state(&at(minio, "closed"), json!({"refused": true})).await.unwrap();
    assert_eq!((works.verdict, revoked.verdict), (Verdict::Passed, Verdict::Failed), "{revoked:?}");
    let mut other = Minio::start().await;
    let cx = at(&other, "closed");
    other.stop().await;
    for error in [objects(&cx, json!({})).await.unwrap_err(), state(&cx, json!({})).await.unwrap_err()] {
        assert!(error.transient && error.to_string().contains("no connection"), "{error}");
    }
}

async fn public(minio: &'static Minio) {
    minio.put("/open", "").await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::open"],
    }]});
    let cx = at(minio, "open");
    assert_eq!(state(&cx, json!({})).await.unwrap().verdict, Verdict::Passed);
    minio.send("PUT", "/open?policy=", &[], &policy.to_string()).await;
    let look = state(&cx, json!({})).await.unwrap();
    assert_eq!((look.verdict, &look.seen["public"]), (Verdict::Failed, &json!(true)), "{look:?}");
    let wrong = store::store(bucket(&minio.url, "open", (ACCESS, "not-its-secret")));
    let look = state(&wrong, json!({"public": true})).await.unwrap();
    assert_eq!(look.verdict, Verdict::Failed, "a wrong login is refused where none is let in");
}

async fn hidden(minio: &'static Minio) {
    minio.put("/hidden", "").await;
    minio.put("/hidden/odd/1", "1").await;
    let cx = at(minio, "hidden");
    assert_eq!(objects(&cx, json!({"prefix": "odd/"})).await.unwrap().verdict, Verdict::Passed);
    minio.put("/hidden/odd", "1").await;
    for (place, settings) in [
        ("hidden", json!({"prefix": "odd/"})),
        ("hidden/odd", json!({})),
        ("hidden", json!({"prefix": "odd/", "count": {"equals": 0}})),
    ] {
        let look = objects(&at(minio, place), settings).await.unwrap();
        assert_eq!(look.verdict, Verdict::Unverified, "{look:?}");
        assert_eq!(look.seen["hidden-by"], "odd", "{look:?}");
    }
}

async fn versions(minio: &'static Minio) {
    minio.put("/versions", "").await;
    let cx = at(minio, "versions");
    let look = state(&cx, json!({"versioning": "never", "object-lock": false})).await.unwrap();
    assert_eq!(look.verdict, Verdict::Passed, "{look:?}");
    for status in ["Enabled", "Suspended"] {
        let text = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        minio.send("PUT", "/versions?versioning=", &[], &text).await;
        let look = state(&cx, json!({"versioning": status.to_lowercase()})).await.unwrap();
        assert_eq!(look.verdict, Verdict::Passed, "{look:?}");
        minio.put("/versions/one", "1").await;
        minio.send("DELETE", "/versions/one", &[], "").await;
        let look = objects(&cx, json!({})).await.unwrap();
        assert_eq!(look.verdict, Verdict::Failed, "what is behind a delete marker is not there: {look:?}");
    }
    minio.send("PUT", "/locked", &[("x-amz-bucket-object-lock-enabled", "true")], "").await;
    let cx = at(minio, "locked");
    let look = state(&cx, json!({"object-lock": true, "versioning": "enabled"})).await.unwrap();
    assert_eq!(look.verdict, Verdict::Passed, "{look:?}");
    let bare = state(&cx, json!({"retention-days": 1})).await.unwrap();
    assert_eq!(bare.verdict, Verdict::Failed, "enabled alone locks nothing: {bare:?}");
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>7</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    minio.send("PUT", "/locked?object-lock=", &[], rule).await;
    for (days, verdict) in [(7, Verdict::Passed), (8, Verdict::Failed)] {
        let look = state(&cx, json!({"retention-days": days})).await.unwrap();
        assert_eq!(look.verdict, verdict, "{look:?}");
    }
}

async fn whole_run(minio: &'static Minio) {
    minio.put("/run", "").await;
    minio.put("/run/nightly/app.dump", "1234").await;
    let desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[("prometheus", "http://127.0.0.1:1")]);
    desk.write("access", ACCESS);
    desk.write("secret", format!("{SECRET}\n"));
    let environment = format!(
        "proofmark: v1\nconnections:\n  store: {{ url: s3://run/nightly, endpoint: '{}', access-key: {{ file: access }}, secret-key: {{ file: secret }} }}\n",
        minio.url
    );
    desk.write("environment.yaml", environment);
    let steps = "  - { id: bucket, check: { s3-bucket: {} } }
  - { id: fresh, check: { s3-objects: { matches: 'dump$', newest-within: 25h, min-size: 4 } }, evidence: list.xml }
  - { id: none, check: { s3-objects: { prefix: other/, count: { equals: 0 } } }, control: fresh }
";
    let ended = desk.ran(steps, 0);
    let kept = desk.kept("s/fresh");
    assert_eq!(kept["observation"]["objects"][0]["key"], "app.dump", "{kept}");
    for secret in [ACCESS, SECRET] {
        assert!(!(ended.stdout.clone() + &ended.stderr).contains(secret), "{ended:?}");
    }
    desk.tells_none_of(&[ACCESS, SECRET, "AWS4-HMAC"]);
    // The same scenario against a folder.
    fs::create_dir_all(desk.path("folder")).unwrap();
    desk.write("folder/app.dump", "1234");
    let url = format!("file://{}", desk.path("folder").display());
    desk.write("environment.yaml", format!("proofmark: v1\nconnections: {{ store: {{ url: '{url}' }} }}\n"));
    desk.ran(steps.split_once('\n').unwrap().1, 0);
}

async fn commands(minio: &'static Minio) {
    minio.put("/commands", "").await;
    let server = backups::server("CREATE TABLE bookings AS SELECT n FROM generate_series(1, 1234) n");
    let (role, database) = (server.role(), server.name("app"));
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[]);
    let port = server.port.to_string();
    for (name, value) in [
        ("DATABASE_URL", ""),
        ("POSTGRES_HOST", "127.0.0.1"),
        ("POSTGRES_PORT", &port),
        ("POSTGRES_USER", &role),
        ("POSTGRES_PASSWORD", POSTGRES_PASSWORD),
        ("POSTGRES_DB", &database),
        ("MINIO_ENDPOINT", minio.url.trim_start_matches("http://")),
        ("MINIO_BUCKET", "commands"),
        ("MINIO_ACCESS_KEY", ""),
        ("MINIO_SECRET_KEY", ""),
        ("MINIO_ROOT_USER", ACCESS),
        ("MINIO_ROOT_PASSWORD", SECRET),
        ("INTO", &server.url("app")),
    ] {
        desk.set(name, value);
    }
    let called = |line: &str, code: i32| {
        let ended = desk.call(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ended.code, Some(code), "{line}: {ended:#?}");
        desk.sound(&ended);
        for secret in [ACCESS, SECRET, POSTGRES_PASSWORD, "AWS4-HMAC"] {
            assert!(!(ended.stdout.clone() + &ended.stderr).contains(secret), "{ended:?}");
        }
        ended.stdout
    };
    let made = called("backup create --allow change", 0);
    let name = made.lines().next().unwrap();
    let today = proofmark_model::clock::Clock::real()
        .now()
        .strftime(&format!("postgres/%Y/%m/%d/{database}_%Y%m%d_"))
        .to_string();
    assert!(name.starts_with(&today), "{name}");
    assert!(made.contains("1 table, 1,234 rows"), "{made}");
    assert!(called("backup list", 0).starts_with(name));
    assert!(called("backup list --prefix postgres/", 0).starts_with(name));
    called("backup list --prefix other/", 1);
    assert!(called("backup verify", 0).starts_with(name));
    for store in ["s3://commands", "s3://commands/postgres"] {
        let drilled = called(&format!("drill {store} --into env:INTO --allow change"), 0);
        assert!(drilled.starts_with("newest backup 2") && drilled.contains("1,234 rows"), "{drilled}");
    }
    // With a secure connection nobody answers there.
    desk.set("MINIO_SECURE", "true");
    let ended = desk.call(&["backup", "list"]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    desk.tells_none_of(&[ACCESS, SECRET, POSTGRES_PASSWORD, "AWS4-HMAC"]);
}
