//! `postgres-tables` measured: exact counts of a database of some 450 MB, beside psql that counts the same tables in turn.
//! Run by hand: `cargo bench -p proofmark --bench postgres`. It prints, and people judge.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first thing that is not as it should be")]
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench prints what it measured and writes its own input"
)]

#[path = "../tests/ground/postgres.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod postgres;

use postgres::Postgres;
use proofmark::clock::Clock;
use std::path::Path;
use std::process::{Command, Stdio};

/// So often each side runs, after once to warm up.
const ROUNDS: usize = 11;

/// What the ratio should stay below.
const BOUND: f64 = 1.15;

/// Two large tables, a partitioned one, and many small ones.
const DATA: &str = "CREATE TABLE events (id bigint, ts timestamptz, user_id int, kind text, payload jsonb, amount numeric(12, 2), score float8); \
    INSERT INTO events SELECT g, '2024-01-01'::timestamptz + g * interval '7 seconds', (g * 79) % 50000, 'click', \
      jsonb_build_object('k', md5(g::text), 'n', g, 'tags', array['a', 'b', (g % 13)::text]), (g % 100000) / 100.0, sqrt(g) FROM generate_series(1, 1000000) g; \
    CREATE TABLE orders (id bigint, event_id bigint, qty int, note text); \
    INSERT INTO orders SELECT g, g, g % 10, repeat(md5(g::text), 4) FROM generate_series(1, 1100000) g; \
    CREATE TABLE part (id bigint, k int, created date, v text) PARTITION BY RANGE (created); \
    CREATE TABLE part_2024 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); \
    CREATE TABLE part_rest PARTITION OF part DEFAULT; \
    INSERT INTO part SELECT g, g % 7, '2024-01-01'::date + (g % 900), md5(g::text) FROM generate_series(1, 600000) g; \
    DO $$ BEGIN FOR n IN 1..16 LOOP EXECUTE format('CREATE TABLE small_%s AS SELECT generate_series(1, 1000) AS id', n); END LOOP; END $$;";

fn main() {
    // `cargo test --benches` asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server =
        Postgres::start(&[("shared_buffers", "128MB"), ("max_wal_size", "4GB"), ("autovacuum", "off")]);
    server.sql("postgres", DATA);
    server.sql("postgres", "VACUUM ANALYZE");
    let size = server.sql("postgres", "SELECT pg_database_size('postgres') / 1048576");
    let tables = server.sql("postgres", "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("env.yaml", "proofmark: v1\nconnections:\n  postgres: { url: { env: DATABASE_URL } }\n");
    write(
        "count.yaml",
        "proofmark: v1\ntitle: T\nclaim: C\nsteps:\n  - id: tables\n    check:\n      postgres-tables: {}\n",
    );
    // psql is told the password and reached over TLS too: the same way for both.
    let counts: Vec<String> =
        tables.lines().flat_map(|table| ["-c".into(), format!("SELECT count(*) FROM {table}")]).collect();
    let psql = || {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-d", &server.url("postgres")]).args(&counts);
        seconds(&mut command, folder.path())
    };
    let own = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proofmark"));
        command.args(["run", "count.yaml", "--env", "env.yaml"]).env("DATABASE_URL", server.url("postgres"));
        seconds(&mut command, folder.path())
    };
    let (mut sides, mut warm) = ([vec![], vec![]], true);
    for _ in 0..=ROUNDS {
        let taken = [own(), psql()];
        if !std::mem::take(&mut warm) {
            sides.iter_mut().zip(taken).for_each(|(side, taken)| side.push(taken));
        }
    }
    let [own, psql] = sides.map(|mut side| {
        side.sort_by(f64::total_cmp);
        side[side.len() / 2]
    });
    println!(
        "exact counts of {} tables, {size} MB; medians of {ROUNDS} rounds, both sides in turn:",
        tables.lines().count()
    );
    println!("  proofmark run {:>8.1} ms", own * 1_000.0);
    println!("  psql          {:>8.1} ms", psql * 1_000.0);
    println!("  ratio {:.2} (bound {BOUND:.2})", own / psql);
}

fn seconds(command: &mut Command, folder: &Path) -> f64 {
    let clock = Clock::real();
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let taken = clock.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    taken
}
