//! A log of 1 GB measured: `make bench` runs the program on it and prints speed and peak memory beside their bounds.
//!
//! Nothing here fails on a slow machine: it prints, and people judge.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first thing that is not as it should be")]
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench prints what it measured and writes its own input"
)]

use proofmark::clock::Clock;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of the log.
const SIZE: usize = 1_000_000_000;

/// So often it is read, after once to warm up.
const ROUNDS: usize = 3;

fn main() {
    // `cargo test --benches` asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.jsonl");
    let lines = fill(&log);
    println!(
        "log-lines over {} MB in {lines} lines, with required events, an envelope and no-secrets:",
        SIZE / 1_000_000
    );
    measure(
        folder.path(),
        &log,
        "jsonl",
        "require: { rbac_deny: { actor: string, command: string } }, envelope: { event: string, service: string, ts: time }, ",
    );
    measure(folder.path(), &log, "text", "require: [rbac_deny], ");
    println!("  bounds: at least 150 MB/s, under 64 MiB");
}

/// Lines as a service writes them: mostly short, some with escapes and nested objects.
fn fill(path: &Path) -> usize {
    let mut out = BufWriter::new(File::create(path).unwrap());
    let (mut written, mut number, mut line) = (0, 0, String::new());
    while written < SIZE {
        line.clear();
        let (minute, second) = (number / 60 % 60, number % 60);
        let head = format!(
            "\"service\":\"bot-api\",\"ts\":\"2026-02-16T02:{minute:02}:{second:02}.{:06}Z\",\"level\":\"info\"",
            number % 1_000_000
        );
        let _ = match number % 8 {
            0 => writeln!(
                line,
                "{{\"event\":\"rbac_deny\",{head},\"actor\":\"user-{number}\",\"command\":\"/admin stats\",\"roles\":[\"client\",\"guest\"]}}"
            ),
            1 => writeln!(
                line,
                "{{\"event\":\"booking_failed\",{head},\"error\":\"first line\\n  at booking.py:{number}\\n\\tat main.py:1\",\"http\":{{\"method\":\"POST\",\"path\":\"/bookings\",\"status\":409,\"seconds\":0.0123}}}}"
            ),
            2 => writeln!(
                line,
                "{{\"event\":\"http_request\",{head},\"url\":\"https://api.example.org/v1/masters/{number}?day=2026-02-16\",\"status\":200,\"duration_ms\":12.75,\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64)\"}}"
            ),
            kind => writeln!(
                line,
                "{{\"event\":\"booking_created_{kind}\",{head},\"booking_id\":{number},\"master_id\":{},\"slot\":\"2026-02-17T10:00:00Z\",\"duration_min\":45,\"outcome\":\"ok\"}}",
                number % 97
            ),
        };
        out.write_all(line.as_bytes()).unwrap();
        written += line.len();
        number += 1;
    }
    out.flush().unwrap();
    number
}

fn measure(folder: &Path, log: &Path, format: &str, settings: &str) {
    let scenario = folder.join(format!("{format}.yaml"));
    let text = format!(
        "proofmark: v1\ntitle: A large log\nclaim: It is in order.\nsteps:\n  - id: log\n    check:\n      \
         log-lines: {{ path: {}, format: {format}, {settings}no-secrets: true }}\n    timeout: 10m\n",
        log.display()
    );
    fs::write(&scenario, text).unwrap();
    let mut taken: Vec<Taken> = (0..=ROUNDS).map(|_| once(folder, &scenario)).skip(1).collect();
    taken.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let Taken { seconds, busy, .. } = taken[taken.len() / 2];
    let peak = taken.iter().map(|taken| taken.peak_kib).max().unwrap() / 1024;
    #[expect(clippy::cast_precision_loss, reason = "a billion is exact")]
    let megabytes = SIZE as f64 / 1e6;
    let (speed, alone) = (megabytes / seconds, megabytes / busy);
    println!(
        "  {format:<6} {seconds:>6.2} s   {speed:>5.0} MB/s ({alone:.0} by processor time)   peak {peak} MiB"
    );
}

/// What one run took; `busy` is what it took of the processor, which says more where others are at work.
struct Taken {
    seconds: f64,
    busy: f64,
    peak_kib: u64,
}

/// One whole run.
fn once(folder: &Path, scenario: &Path) -> Taken {
    let kept = tempfile::tempdir_in(folder).unwrap();
    let peak = kept.path().join("peak");
    let clock = Clock::real();
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M %U %S", "-o"])
        .arg(&peak)
        .arg(env!("CARGO_BIN_EXE_proofmark"))
        .arg("run")
        .arg(scenario)
        .args(["--evidence", "evidence", "--reports", "reports"])
        .current_dir(kept.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let seconds = clock.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let told = fs::read_to_string(peak).unwrap();
    let numbers: Vec<f64> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number of KiB"
    )]
    let peak_kib = numbers[0] as u64;
    Taken { seconds, busy: numbers[1] + numbers[2], peak_kib }
}
