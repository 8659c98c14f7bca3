//! The events of an operation, each into a file of its own and into one that all share, beside plain writes of the same
//! bytes into two files.

use super::side::median;
use proofmark_backup::events::{Events, EventsTo};
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// So many are written.
const EVENTS: usize = 20_000;

/// So many secrets are looked for in each, which is more than an environment has.
const SECRETS: usize = 20;

/// All of it.
pub fn measure(folder: &Path) {
    let clock = Clock::real();
    let redactor = Redactor::default();
    for number in 0..SECRETS {
        redactor.learn(format!("a-secret-of-the-environment-{number}"));
    }
    let log = folder.join("events.jsonl");
    let to =
        EventsTo { folder: folder.join("own").display().to_string(), log: Some(log.display().to_string()) };
    let events = Events::open(Some(&to), "backup", (&clock, &redactor)).unwrap();
    let fields = [
        ("mode", json!("truncate")),
        ("size_bytes", json!(123_456_789)),
        ("mtime_unix", json!(1_771_207_200)),
        ("duration_sec", json!(12.345_678)),
        ("found_count", json!(31)),
        ("kept_count", json!(30)),
        ("deleted_count", json!(1)),
        ("backup_keep", json!(30)),
        (
            "error",
            json!("expected a result from http://minio:9000/backups, but it answered 403 with AccessDenied"),
        ),
    ];
    let ours = timed(&clock, |_| events.tell("prune_remote_completed", "info", &fields));
    let lines = fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), EVENTS, "each is one line of the shared log");
    let opened = |name: &str| -> File {
        OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap()
    };
    let mut files = [opened("plain-own.jsonl"), opened("plain-shared.jsonl")];
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    let plain = timed(&clock, |number| {
        for file in &mut files {
            file.write_all(lines[number].as_bytes()).unwrap();
        }
    });
    println!(
        "{EVENTS} events of {} bytes, each into two files, with {SECRETS} secrets looked for:",
        lines[0].len()
    );
    print("events", ours);
    print("plain", plain);
    println!("  bound: under 1 ms each");
}

/// Seconds of each of so many.
fn timed(clock: &Clock, mut each: impl FnMut(usize)) -> Vec<f64> {
    let mut one = |number: usize| {
        let begun = clock.elapsed();
        each(number);
        clock.elapsed().saturating_sub(begun).as_secs_f64()
    };
    (0..EVENTS).map(&mut one).collect()
}

fn print(name: &str, mut seconds: Vec<f64>) {
    let middle = median(seconds.clone()) * 1e3;
    seconds.sort_by(f64::total_cmp);
    let (late, last) = (seconds[EVENTS * 99 / 100] * 1e3, seconds[EVENTS - 1] * 1e3);
    println!("  {name:<8} median {middle:.4} ms   99 of 100 under {late:.4} ms   longest {last:.3} ms");
}
