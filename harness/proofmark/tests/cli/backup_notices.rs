//! What a backup has to notice, through whole runs: what was changed in the store since, and what comes back otherwise than
//! it was. Each change is made by hand to a good backup, then it is verified and drilled.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups::{
    BACKUP, DRILL, desk, dump, made_a_database, open, scratch, server, server_with, store,
};
use fixtures::Desk;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Files = BTreeMap<String, Vec<u8>>;

/// One of everything that can come back otherwise.
const APP: &str = r"
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE bookings (id serial PRIMARY KEY, owner int REFERENCES users, note text, price numeric(8, 2));
    CREATE INDEX by_owner ON bookings (owner);
    CREATE TABLE changes (at timestamptz DEFAULT now(), id int);
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO public.changes (id) VALUES (NEW.id); RETURN NEW; END $$;
    INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) i;
    INSERT INTO bookings (owner, note, price) SELECT 1 + i % 20, 'note ' || i, i FROM generate_series(1, 500) i;
    INSERT INTO changes (id) SELECT generate_series(1, 9);
    CREATE TRIGGER log AFTER INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION log();
    CREATE VIEW dear AS SELECT * FROM bookings WHERE price > 400;
    CREATE SEQUENCE tickets; SELECT setval('tickets', 4711);
    SELECT lo_from_bytea(4242, '\xdead');
";

const LOOK: &str =
    "  - { id: verify, check: { backup-verify: {} } }\n  - { id: list, check: { backup-catalogue: {} } }\n";

/// The database that other stores' backups are of.
const OTHER: &str =
    "CREATE TABLE bookings (id int PRIMARY KEY, note text); INSERT INTO bookings VALUES (1, 'other')";

/// The only file that ends like this.
fn named(files: &Files, end: &str) -> String {
    let mut names = files.keys().filter(|name| name.ends_with(end));
    let name = names.next().unwrap().clone();
    assert!(names.next().is_none(), "{files:?}");
    name
}

fn archive(files: &mut Files) -> &mut Vec<u8> {
    let name = named(files, ".dump");
    files.get_mut(&name).unwrap()
}

fn manifest(files: &mut Files, change: impl FnOnce(&mut Value)) {
    let name = named(files, ".manifest.json");
    let text = files.get_mut(&name).unwrap();
    let mut value: Value = serde_json::from_slice(text).unwrap();
    change(&mut value);
    *text = serde_json::to_vec_pretty(&value).unwrap();
}

/// Puts another archive under the manifest, which then names it: as a bug would, or someone who knows what he does.
fn under(good: &Files, bytes: Vec<u8>) -> Files {
    let mut files = good.clone();
    manifest(&mut files, |value| {
        value["archive"]["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
        value["archive"]["bytes"] = bytes.len().into();
    });
    *archive(&mut files) = bytes;
    files
}

/// A backup of `app`, as it stands in the store.
fn backed_up(desk: &Desk) -> Files {
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let files = desk.files("store");
    assert_eq!(files.len(), 2, "{:?}", files.keys());
    files
}

/// Drills, verifies and lists what is in the store.
fn looked(desk: &Desk, files: &Files, what: &str, code: i32) -> [String; 3] {
    store(desk, files);
    desk.scenario("s", "", &format!("{DRILL}{LOOK}"));
    let ended = desk.run(&["--allow", "change"]);
    assert_eq!(ended.code, Some(code), "{what}: {ended:#?}");
    desk.sound(&ended);
    ["drill", "verify", "list"].map(|step| open(desk, &format!("s/{step}")))
}

#[test]
fn bytes_that_are_not_those_that_were_written_are_noticed_before_a_database_is_made() {
    let server = server(APP);
    server.create("other");
    server.sql("other", OTHER);
    let mut desk = desk(&server);
    let good = backed_up(&desk);
    assert_eq!(looked(&desk, &good, "nothing", 0), ["", "", ""]);
    store(&desk, &Files::new());
    desk.set("DATABASE_URL", &server.url("other"));
    let mut other = backed_up(&desk);
    desk.set("DATABASE_URL", &server.url("app"));
    let changed = |change: &mut dyn FnMut(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        files
    };
    let last = archive(&mut good.clone()).len() - 1;
    let not_its_own = "the archive is the one that the manifest names is failed";
    let not_whole = "the archive decodes to its end is failed";
    let all = [
        ("cut short", changed(&mut |files| archive(files).truncate(3000)), [not_its_own, not_whole]),
        (
            "its last byte gone",
            changed(&mut |files| archive(files).truncate(last)),
            [not_its_own, not_its_own],
        ),
        ("one bit flipped", changed(&mut |files| archive(files)[5000] ^= 4), [not_its_own, not_its_own]),
        ("empty", changed(&mut |files| archive(files).clear()), [not_its_own, not_whole]),
        (
            "of another database",
            changed(&mut |files| archive(files).clone_from(archive(&mut other))),
            [not_its_own, not_its_own],
        ),
        (
            "cut short with its hash",
            under(&good, archive(&mut good.clone())[..3000].to_vec()),
            [not_whole, not_whole],
        ),
        ("empty with its hash", under(&good, vec![]), [not_whole, not_whole]),
    ];
    for (what, files, findings) in all {
        let [drill, verify, _] = looked(&desk, &files, what, 1);
        for finding in findings {
            assert!(drill.contains(finding), "{what}: {drill}");
            assert!(verify.contains(finding), "{what}: {verify}");
        }
        assert!(!made_a_database(&desk), "{what}");
    }
    // An archive with its hash in the manifest of another database has other tables.
    let [drill, ..] =
        looked(&desk, &under(&good, archive(&mut other).clone()), "of another with its hash", 1);
    assert!(drill.contains("public.users: no such table where 20 rows were"), "{drill}");
    assert_eq!(scratch(&server), "0");
}

#[test]
fn a_manifest_that_cannot_be_used_makes_no_backup() {
    let server = server(APP);
    let desk = desk(&server);
    let good = backed_up(&desk);
    let named_so = named(&good, ".manifest.json");
    let with = |bytes: Option<Vec<u8>>| {
        let mut files = good.clone();
        files.remove(&named_so);
        files.extend(bytes.map(|bytes| (named_so.clone(), bytes)));
        files
    };
    let whole = &good[&named_so];
    let newer = String::from_utf8(whole.clone()).unwrap().replacen("\"v1\"", "\"v2\"", 1).into_bytes();
    let all = [
        ("cut short", with(Some(whole[..whole.len() / 2].to_vec())), "it is no manifest of a backup"),
        ("empty", with(Some(vec![])), "it is no manifest of a backup"),
        ("of another kind", with(Some(b"{\"proofmark\": \"v1\"}".to_vec())), "it is no manifest of a backup"),
        ("newer", with(Some(newer)), "a newer Proofmark wrote it"),
    ];
    for (what, files, said) in all {
        store(&desk, &files);
        desk.scenario("s", "", &format!("{DRILL}{LOOK}"));
        let ended = desk.run(&["--allow", "change"]);
        assert!(matches!(ended.code, Some(1 | 3)) && ended.stdout.contains(said), "{what}: {ended:#?}");
        assert!(!ended.stdout.contains("drill  passed") && !made_a_database(&desk), "{what}: {ended:#?}");
        let (list, seen) = (open(&desk, "s/list"), desk.kept("s/list")["observation"].clone());
        if what == "newer" {
            assert!(list.contains("newer Proofmark") && seen.is_null(), "{what}: {list} {seen}");
        } else {
            assert!(
                list.contains("the newest manifest is one is failed") && list.contains(&named_so),
                "{list}"
            );
            assert_eq!((&seen["count"], &seen["incomplete"][0]), (&0.into(), &named_so.clone().into()));
        }
    }
    // Without it the archive is unfinished: it is named, does not count, and an older backup is the newest.
    let archive_of = named(&good, ".dump");
    let [drill, _, list] = looked(&desk, &with(None), "missing", 1);
    assert!(list.contains("how many there are is failed: 0"), "{list}");
    let named_in = &desk.kept("s/list")["observation"]["without-manifest"];
    assert_eq!(named_in[0]["archive"], *archive_of, "{named_in}");
    let unproven = desk.kept("s/drill")["observation"]["unproven"].to_string();
    assert!(drill.is_empty() && unproven.contains("there is no manifest"), "{drill} {unproven}");
    store(&desk, &with(None));
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let both = desk.files("store");
    looked(&desk, &both, "missing beside another", 0);
    let drilled = &desk.kept("s/drill")["observation"]["backup"]["archive"];
    assert_ne!(*drilled, *archive_of, "the unfinished one does not count");
    assert_eq!(desk.kept("s/list")["observation"]["count"], 1);
}

/// What was changed in the database between the manifest and the archive, the finding that notices it, and its words.
const OTHERWISE: [(&str, &str, &str); 17] = [
    (
        "DELETE FROM bookings WHERE id = 7",
        "every table has its rows",
        "public.bookings: 499 rows where 500 rows were",
    ),
    ("TRUNCATE changes", "every table has its rows", "public.changes: 0 rows where 9 rows were"),
    (
        "CREATE TABLE extra (id int)",
        "every table has its rows",
        "public.extra: 0 rows where no such table were",
    ),
    ("DROP TABLE changes", "every table has its rows", "public.changes: no such table where 9 rows were"),
    (
        "UPDATE bookings SET price = price + 0.01 WHERE id = 7",
        "every row is the same",
        "public.bookings: as many rows",
    ),
    (
        "UPDATE bookings SET note = CASE id WHEN 7 THEN 'note 8' ELSE 'note 7' END WHERE id IN (7, 8)",
        "every row is the same",
        "public.bookings: as many rows",
    ),
    (
        "UPDATE users SET name = NULL WHERE name = 'user 3'",
        "every row is the same",
        "public.users: as many rows",
    ),
    ("DROP INDEX by_owner", "every object of the schema is the same", "index public.by_owner: nothing where"),
    (
        "ALTER TABLE bookings DISABLE TRIGGER log",
        "every object of the schema is the same",
        "trigger public.bookings.log",
    ),
    (
        "ALTER TABLE changes ALTER id TYPE bigint",
        "every object of the schema is the same",
        "column public.changes.id",
    ),
    (
        "CREATE OR REPLACE VIEW dear AS SELECT * FROM bookings WHERE price > 401",
        "every object of the schema is the same",
        "view public.dear",
    ),
    (
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "every object of the schema is the same",
        "relation public.users",
    ),
    (
        "SELECT setval('tickets', 4710)",
        "every sequence stands where it stood",
        "public.tickets: 4710 given where 4711 given was",
    ),
    (
        "SELECT setval('bookings_id_seq', 3)",
        "every sequence stands where it stood",
        "public.bookings_id_seq: its next value is in use already",
    ),
    (
        "ALTER TABLE bookings DROP CONSTRAINT bookings_owner_fkey, ADD CONSTRAINT bookings_owner_fkey FOREIGN KEY (owner) REFERENCES users NOT VALID",
        "every index and constraint is valid",
        "bookings_owner_fkey",
    ),
    ("SELECT lo_unlink(4242)", "every large object is the same", "0 objects"),
    ("SELECT lo_put(4242, 0, '\\xbeef')", "every large object is the same", "1 objects, and not the same"),
];

#[test]
fn what_comes_back_otherwise_is_named() {
    let server = server(APP);
    let desk = desk(&server);
    let good = backed_up(&desk);
    for (change, finding, words) in OTHERWISE {
        server.copy(&server.name("app"), "changed");
        server.sql("changed", change);
        let bytes = dump(&server, "pg_dump", &["-d", &server.name("changed"), "-Fc", "-Z1"]);
        server.sql("postgres", &format!("DROP DATABASE {}", server.name("changed")));
        store(&desk, &under(&good, bytes));
        desk.scenario("s", "", DRILL);
        desk.runs("change", 1);
        let open = open(&desk, "s/drill");
        let line = open.lines().find(|line| line.starts_with(&format!("{finding} is failed: ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{change}: {open}");
    }
    assert_eq!(scratch(&server), "0");
}

/// Where an archive has no checksum of its own, and whoever changed it has changed the manifest too.
#[test]
fn a_changed_digit_is_noticed_where_only_the_content_tells() {
    let server = server(APP);
    let desk = desk(&server);
    let good = backed_up(&desk);
    let whole = dump(&server, "pg_dump", &["-d", &server.name("app"), "-Fc", "-Z0"]);
    assert_eq!(looked(&desk, &under(&good, whole.clone()), "uncompressed", 0), ["", "", ""]);
    let at = whole.windows(13).position(|some| some == b"\tnote 321\t321").unwrap() + 12;
    let mut bytes = whole;
    bytes[at] = b'2';
    let [drill, verify, _] = looked(&desk, &under(&good, bytes), "one digit", 1);
    assert_eq!(
        drill,
        "every row is the same is failed: [\"public.bookings: as many rows, and not the same\"]"
    );
    let unproven = desk.kept("s/verify")["observation"].to_string();
    assert!(verify.is_empty() && unproven.contains("that no value was changed"), "{verify} {unproven}");
}

/// Command lines of every process, for as long as something runs; with each, whether it ran in this folder.
fn command_lines(folder: &Path, while_it: impl FnOnce() + Send + 'static) -> BTreeSet<(bool, String)> {
    let folder = folder.canonicalize().unwrap();
    let running = std::thread::spawn(while_it);
    let mut seen = BTreeSet::new();
    while !running.is_finished() {
        let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        seen.extend(all.filter_map(|process| {
            let line = std::fs::read(process.join("cmdline")).ok()?;
            let here = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
            Some((here, String::from_utf8_lossy(&line).replace('\0', " ")))
        }));
    }
    running.join().unwrap();
    seen
}

/// The password of one server, and as it stands in a URL.
const OWN_PASSWORD: &str = "nowhere/else@word:2";
const OWN_ENCODED: &str = "nowhere%2Felse%40word%3A2";

#[test]
fn the_password_stands_in_no_command_line_log_evidence_or_report() {
    let server = server_with(
        &[("log_statement", "all"), ("log_connections", "on"), ("log_min_messages", "info")],
        APP,
    );
    // Other tests start programs with the password of theirs; this one is nowhere but here, and was not logged.
    let alter = format!("ALTER ROLE postgres PASSWORD '{OWN_PASSWORD}'");
    let altered = server.psql("postgres").args(["-c", "SET log_statement = 'none'", "-c", &alter]).status();
    assert!(altered.unwrap().success());
    let mut desk = desk(&server);
    desk.set("DATABASE_URL", &server.url_as("postgres", OWN_ENCODED, "app"));
    let place = "  - { id: place, act: { restore-drill: { into: in-place, truncate: [bookings] } } }\n";
    desk.scenario("s", "", &format!("{BACKUP}{DRILL}{place}"));
    let desk = std::sync::Arc::new(desk);
    let its = desk.clone();
    let lines = command_lines(&desk.path(""), move || {
        let ended = its.run(&["--allow", "change,destroy"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let said = ended.stdout + &ended.stderr;
        assert!(!said.contains(OWN_PASSWORD) && !said.contains(OWN_ENCODED), "{said}");
    });
    for program in ["pg_dump --snapshot", "pg_restore --no-password", "psql --no-password"] {
        assert!(
            lines.iter().any(|(here, line)| *here && line.contains(program)),
            "{program} was seen: {lines:#?}"
        );
    }
    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    assert!(log.contains("COPY public.bookings") && log.contains("TRUNCATE"), "the log tells what was done");
    let all = lines.iter().map(|(_, line)| line.as_str()).chain(log.lines());
    for secret in [OWN_PASSWORD, OWN_ENCODED] {
        let told = all.clone().find(|line| line.contains(secret));
        assert!(told.is_none(), "{told:?}");
        desk.tells_none_of(&[secret]);
    }
}
