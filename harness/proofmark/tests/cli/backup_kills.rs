//! `kill -9` while a backup is made and while one is drilled, into a scratch database and in place: after `recover` there is
//! no scratch database, no part of a file, no archive without its manifest, and the tables hold what they held or what the
//! backup holds. A second `recover` finds nothing to do.
//!
//! The moments are spread over the whole run. `make test` takes some of them; `make torture` takes a hundred of each.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "a test waits for a moment to kill at, and tells how far it is"
)]

use crate::ground::backups::{BACKUP, DRILL, bookings, desk, scratch, server_with};
use crate::ground::postgres::Postgres;
use fixtures::{Desk, until};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Instant;

/// So many moments in `make test`, and in `make torture`.
const SOME: u32 = 10;
const MANY: u32 = 100;

const BOTH: &str = "  - { id: backup, act: { backup: { local: copies } } }\n  - { id: drill, act: { restore-drill: { tier: T4 } } }\n";
const PLACE: &str =
    "  - { id: drill, act: { restore-drill: { into: in-place, truncate: [bookings, users] } } }\n";

/// Starts it, kills it at each of so many moments of the time that a whole run takes, recovers, and looks.
fn killed(desk: &Desk, server: &Postgres, allow: &str, moments: u32, mut look: impl FnMut(&str)) {
    let begun = Instant::now();
    desk.runs(allow, 0);
    let took = begun.elapsed();
    look("whole");
    let mut killed = 0;
    for moment in 0..moments {
        let after = took.mul_f64((f64::from(moment) + 0.5) / f64::from(moments));
        let running = desk.start_run(&["--allow", allow]);
        std::thread::sleep(after);
        killed += u32::from(running.kill().code.is_none());
        let point = format!("killed after {after:?} of {took:?}");
        let first = desk.call(&["recover", "--all", "--env", "environment.yaml"]);
        let second = desk.call(&["recover", "--all", "--env", "environment.yaml"]);
        assert_eq!(first.code, Some(0), "{point}: {first:#?}");
        assert!(second.stdout.contains("nothing is owed"), "{point}: {second:#?}");
        quiet(server);
        look(&point);
    }
    println!("killed {killed} times");
    assert!(killed >= moments / 2, "killed only {killed} times");
}

/// Waits until the server works on nothing any more that a dead program has asked for.
fn quiet(server: &Postgres) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    until("nobody is at work any more", || (server.sql("postgres", others) == "0").then_some(()));
}

/// In the folder are only archives with their manifests, each the one that its manifest names.
fn only_whole(desk: &Desk, folder: &str, point: &str) {
    let files = desk.files(folder);
    for (name, bytes) in &files {
        let Some(stem) = name.strip_suffix(".manifest.json") else {
            let whole = name.strip_suffix(".dump").map(|stem| format!("{stem}.manifest.json"));
            assert!(whole.is_some_and(|other| files.contains_key(&other)), "{point}: {folder} holds {name}");
            continue;
        };
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        let archive = files.get(&format!("{stem}.dump"));
        let sha256 = archive.map(|bytes| hex::encode(Sha256::digest(bytes)));
        assert_eq!(manifest["archive"]["sha256"].as_str(), sha256.as_deref(), "{point}: {folder}/{name}");
    }
}

fn backup_and_drill(moments: u32) {
    let server = server_with(&[], &bookings(20_000, "repeat(md5(i::text), 20)"));
    let desk = desk(&server);
    desk.scenario("s", "", BOTH);
    killed(&desk, &server, "change", moments, |point| {
        assert_eq!(scratch(&server), "0", "{point}");
        only_whole(&desk, "store", point);
        only_whole(&desk, "copies", point);
    });
}

fn in_place(moments: u32) {
    let server = server_with(&[], &bookings(20_000, "repeat(md5(i::text), 20)"));
    let desk = desk(&server);
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let held = "SELECT (SELECT md5(string_agg(b::text, ' ' ORDER BY id)) FROM bookings b), (SELECT md5(string_agg(u::text, ' ' ORDER BY id)) FROM users u)";
    let change = "DELETE FROM bookings WHERE id > 15000; UPDATE bookings SET note = 'other' WHERE id < 9";
    let backup = server.sql("app", held);
    server.sql("app", change);
    let before = server.sql("app", held);
    desk.scenario("s", "", PLACE);
    let (mut filled, mut kept) = (0, 0);
    killed(&desk, &server, "destroy", moments, |point| {
        let now = server.sql("app", held);
        assert!(now == backup || now == before, "{point}: the tables hold something else");
        *(if now == backup { &mut filled } else { &mut kept }) += 1;
        let odd = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O') + (SELECT count(*) FROM pg_constraint WHERE NOT convalidated) + (SELECT count(*) FROM changes)";
        assert_eq!(server.sql("app", odd), "0", "{point}: a trigger fired or is off");
        server.sql("app", change);
    });
    println!("held what the backup holds {filled} times, and what they held before {kept} times");
    assert!(filled > 0 && kept > 0);
}

/// A server goes on with what a program asked for that is dead by then.
#[test]
fn a_database_that_is_still_being_made_is_not_left() {
    let server = server_with(&[], &bookings(20_000, "repeat(md5(i::text), 20)"));
    let desk = desk(&server);
    desk.scenario("s", "", BACKUP);
    desk.runs("change", 0);
    let sleeps = "BEGIN; LOCK TABLE pg_catalog.pg_database IN SHARE MODE; SELECT pg_sleep(600)";
    let mut holder =
        server.psql("postgres").args(["-c", sleeps]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let at_work = |what: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{what}%' AND state = 'active' AND pid <> pg_backend_pid()"
        );
        (server.sql("postgres", &sql) == "1").then_some(())
    };
    until("the list of databases is held", || at_work("pg_sleep"));
    desk.scenario("s", "", DRILL);
    let running = desk.start_run(&["--allow", "change"]);
    until("the database is being made", || at_work("CREATE DATABASE \"proofmark"));
    running.kill();
    desk.recover(0);
    server.sql("postgres", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    holder.wait().unwrap();
    quiet(&server);
    assert_eq!(scratch(&server), "0", "it was made after the recovery");
    assert!(desk.call(&["recover", "--env", "environment.yaml"]).stdout.contains("nothing is owed"));
}

#[test]
fn kill_9_at_some_moments_of_a_backup_and_its_drill() {
    backup_and_drill(SOME);
}

#[test]
fn kill_9_at_some_moments_of_a_drill_in_place() {
    in_place(SOME);
}

#[test]
#[ignore = "takes minutes: `make torture`"]
fn kill_9_at_many_moments_of_a_backup_and_its_drill() {
    backup_and_drill(MANY);
}

#[test]
#[ignore = "takes minutes: `make torture`"]
fn kill_9_at_many_moments_of_a_drill_in_place() {
    in_place(MANY);
}
