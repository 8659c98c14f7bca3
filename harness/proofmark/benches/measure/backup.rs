//! Backups and drills of a database of some 450 MB in a real MinIO, beside the plain programs that do the same and look at
//! nothing; and a list of ten thousand backups.

use super::postgres::filled;
use super::side::{self, Side};
use crate::ground::minio::Minio;
use crate::ground::postgres::Postgres;
use bytes::Bytes;
use futures_util::StreamExt as _;
use proofmark_environment::{Connection, Systems};
use proofmark_evidence::undo::LabPermit;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_net::Log;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::Store;
use std::future::Future;
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Duration;

/// So often each side runs, after once to warm up.
const ROUNDS: usize = 5;

const LOGIN: (&str, &str) = ("bench-access-key", "bench-secret-key");

/// The words by which this same program is the plain side: standard input into the bucket, or an object out of it.
pub const UPLOAD: &str = "upload";
pub const DOWNLOAD: &str = "download";

/// So many backups in the list.
const LISTED: usize = 10_000;

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Does something with the bucket `plain` or another at this endpoint.
async fn with<T>(url: &str, bucket: &str, work: impl AsyncFnOnce(&Store<'_>) -> T) -> T {
    let (systems, redactor, clock, log) =
        (Systems::default(), Redactor::default(), Clock::real(), Log::default());
    let connection = Connection {
        name: "store".into(),
        url: Some(format!("s3://{bucket}")),
        endpoint: Some(url.into()),
        keys: Some((redactor.learn(LOGIN.0), redactor.learn(LOGIN.1))),
        ..Connection::default()
    };
    let timeout = Duration::from_secs(600);
    let wire =
        Endpoint { clock: &clock, systems: &systems, log: &log, connection: Some(&connection), timeout };
    work(&Store::open(wire).await.unwrap()).await
}

/// The plain sides, in processes of their own.
pub fn plain(word: &str, url: &str, file: &str) {
    wait(with(url, "plain", async |store: &Store<'_>| {
        let leave = LabPermit::of_the_lab();
        if word == UPLOAD {
            store.delete(file, &leave).await.unwrap();
            let mut upload = store.begin(file, &leave).await.unwrap();
            let mut chunk = vec![0; 256 << 10];
            loop {
                match std::io::stdin().read(&mut chunk).unwrap() {
                    0 => break,
                    read => upload.write(&chunk[..read]).await.unwrap(),
                }
            }
            upload.finish().await.unwrap();
        } else {
            let (_, mut stream) = store.read("it").await.unwrap().unwrap();
            let mut into = std::fs::File::create(file).unwrap();
            while let Some(piece) = stream.next().await {
                into.write_all(&piece.unwrap()).unwrap();
            }
        }
    }));
}

/// All of it.
pub fn measure(folder: &Path) {
    if !proofmark_lab::Minio::installed() {
        println!("MinIO is not there: run `make setup` where there is Go");
        return;
    }
    let server = filled();
    let minio = wait(async {
        let minio = Minio::with(LOGIN).await;
        for bucket in ["plain", "ours", "many"] {
            minio.send("PUT", &format!("/{bucket}"), &[], "").await;
        }
        minio
    });
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let environment = |bucket: &str| {
        let (access, secret) = ("access-key: { env: ACCESS }", "secret-key: { env: SECRET }");
        let store = format!("{{ url: 's3://{bucket}', endpoint: '{}', {access}, {secret} }}", minio.url);
        let text = format!(
            "proofmark: v1\nconnections:\n  postgres: {{ url: {{ env: DATABASE_URL }} }}\n  store: {store}\n"
        );
        write(&format!("{bucket}.yaml"), &text)
    };
    let step = |name: &str, what: &str| {
        write(name, &format!("proofmark: v1\ntitle: T\nclaim: C\nsteps:\n  - {{ id: it, {what} }}\n"))
    };
    let url = server.url("postgres");
    let ours = |name, scenario: &Path, bucket: &str| {
        Side::run(name, scenario, Some(&environment(bucket)), 1)
            .arg("--allow=change")
            .with("DATABASE_URL", url.clone())
            .with("ACCESS", LOGIN.0.into())
            .with("SECRET", LOGIN.1.into())
    };
    let shell = |name, words: String| Side::new(name, "sh", &["-ec", &words]).with("URL", url.clone());
    let own = std::env::current_exe().unwrap().display().to_string();
    println!("backup of {}, medians of {ROUNDS} rounds, all sides in turn:", size(&server));
    let mut sides = [
        ours("proofmark", &step("backup.yaml", "act: { backup: {} }"), "ours"),
        shell("plain", format!("pg_dump -Fc -Z1 -d \"$URL\" | {own} {UPLOAD} {} it", minio.url)),
        shell("pg_dump", "pg_dump -Fc -d \"$URL\" -f dump".into()),
    ];
    side::measure(&mut sides, folder, ROUNDS);
    sides.iter().for_each(Side::print);
    let read_back = sides[0].seen("seconds-read-back");
    let (whole, plain) = (sides[0].median(), sides[1].median());
    println!(
        "  without the read-back {:.2} of plain (bound 1.50), with it {:.2} (bound 1.90)",
        (whole - read_back) / plain,
        whole / plain
    );
    println!(
        "  of pg_dump's default compression {:.2} (bound 1.00); peak {} MiB (bound 96)",
        whole / sides[2].median(),
        sides[0].peak_mib()
    );
    println!("\ndrill T3 of the newest, likewise:");
    let restore = "createdb --maintenance-db=\"$URL\" plain; pg_restore -j2 -d \"${URL%/*}/plain\" file; dropdb --maintenance-db=\"$URL\" plain";
    let mut sides = [
        ours("proofmark", &step("drill.yaml", "act: { restore-drill: {} }"), "ours"),
        shell("plain", format!("{own} {DOWNLOAD} {} file; {restore}", minio.url)),
    ];
    side::measure(&mut sides, folder, ROUNDS);
    sides.iter().for_each(Side::print);
    for phase in ["download", "create", "restore", "analyze", "verify"] {
        print!("  {phase} {:.2} s", sides[0].seen(phase));
    }
    println!(
        "\n  ratio {:.2} (bound 1.90); peak {} MiB",
        sides[0].median() / sides[1].median(),
        sides[0].peak_mib()
    );
    list(folder, &minio.url, &ours("list", &step("list.yaml", "check: { backup-catalogue: {} }"), "many"));
}

/// The newest of many is a real one, for its manifest is read.
fn list(folder: &Path, at: &str, side: &Side) {
    let made = wait(with(at, "ours", async |store: &Store<'_>| {
        let listed = store.versions("").await.unwrap();
        let key =
            listed.iter().map(|one| one.key.clone()).find(|key| key.ends_with(".manifest.json")).unwrap();
        store.get(&key, 64 << 20).await.unwrap().unwrap()
    }));
    wait(with(at, "many", async |store: &Store<'_>| {
        let leave = LabPermit::of_the_lab();
        for number in 0..LISTED {
            let stem = format!("2026/{:02}/{:02}/app_{number:05}", 1 + number % 12, 1 + number % 28);
            store.create(&format!("{stem}.dump"), Bytes::from_static(b"PGDMP"), &leave).await.unwrap();
            store.create(&format!("{stem}.manifest.json"), Bytes::from(made.clone()), &leave).await.unwrap();
        }
    }));
    println!("\nthe list of {LISTED} backups:");
    let mut sides = [side.again("list")];
    side::measure(&mut sides, folder, ROUNDS);
    sides[0].print();
    println!("  bound 2000 ms");
}

fn size(server: &Postgres) -> String {
    let size = server.sql("postgres", "SELECT pg_database_size('postgres') / 1048576");
    format!("{size} MB")
}
