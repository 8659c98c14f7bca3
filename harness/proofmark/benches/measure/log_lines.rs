//! A log of 1 GB: how fast it is read, and in how much memory.

use super::side::{self, Side};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// Bytes of the log.
const SIZE: usize = 1_000_000_000;

/// So often it is read, after once to warm up.
const ROUNDS: usize = 3;

/// All of it.
pub fn measure(folder: &Path) {
    let log = folder.join("app.jsonl");
    let lines = fill(&log);
    println!(
        "log-lines over {} MB in {lines} lines, with required events, an envelope and no-secrets:",
        SIZE / 1_000_000
    );
    read(
        folder,
        &log,
        "jsonl",
        "require: { rbac_deny: { actor: string, command: string } }, envelope: { event: string, service: string, ts: time }, ",
    );
    read(folder, &log, "text", "require: [rbac_deny], ");
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

fn read(folder: &Path, log: &Path, format: &str, settings: &str) {
    let scenario = folder.join(format!("{format}.yaml"));
    let text = format!(
        "proofmark: v1\ntitle: A large log\nclaim: It is in order.\nsteps:\n  - id: log\n    check:\n      \
         log-lines: {{ path: {}, format: {format}, {settings}no-secrets: true }}\n    timeout: 10m\n",
        log.display()
    );
    fs::write(&scenario, text).unwrap();
    let mut sides = [Side::run("log-lines", &scenario, None, 1)];
    side::measure(&mut sides, folder, ROUNDS);
    let [taken] = sides;
    let (seconds, peak) = (taken.median(), taken.peak_mib());
    #[expect(clippy::cast_precision_loss, reason = "a billion is exact")]
    let megabytes = SIZE as f64 / 1e6;
    let (speed, alone) = (megabytes / seconds, megabytes / taken.busy());
    println!(
        "  {format:<6} {seconds:>6.2} s   {speed:>5.0} MB/s ({alone:.0} by processor time)   peak {peak} MiB"
    );
}
