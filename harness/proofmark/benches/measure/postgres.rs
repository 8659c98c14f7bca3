//! `postgres-tables`: exact counts of a database of some 450 MB, beside psql that counts the same tables in turn.

use super::side::{self, Side};
use crate::ground::postgres::Postgres;
use std::path::Path;

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

/// A server with all of that.
pub fn filled() -> Postgres {
    let server = Postgres::start_in(
        tempfile::tempdir().unwrap(),
        &[("shared_buffers", "128MB"), ("max_wal_size", "4GB"), ("autovacuum", "off")],
        None,
    );
    server.sql("postgres", DATA);
    server.sql("postgres", "VACUUM ANALYZE");
    server
}

/// All of it.
pub fn measure(folder: &Path) {
    let server = filled();
    let size = server.sql("postgres", "SELECT pg_database_size('postgres') / 1048576");
    let tables = server.sql("postgres", "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("env.yaml", "proofmark: v1\nconnections:\n  postgres: { url: { env: DATABASE_URL } }\n");
    write(
        "count.yaml",
        "proofmark: v1\ntitle: T\nclaim: C\nsteps:\n  - id: tables\n    check:\n      postgres-tables: {}\n",
    );
    // psql is told the password and reached over TLS too: the same way for both.
    let counts: Vec<String> =
        tables.lines().flat_map(|table| ["-c".into(), format!("SELECT count(*) FROM {table}")]).collect();
    let url = server.url("postgres");
    let args = ["-X", "-q", "-A", "-t", "-d", &url].into_iter().chain(counts.iter().map(String::as_str));
    let (scenario, environment) = (folder.join("count.yaml"), folder.join("env.yaml"));
    let mut sides = [
        Side::run("proofmark", &scenario, Some(&environment), 1).with("DATABASE_URL", url.clone()),
        Side::new("psql", "psql", &args.collect::<Vec<_>>()),
    ];
    side::measure(&mut sides, folder, ROUNDS);
    println!(
        "exact counts of {} tables, {size} MB; medians of {ROUNDS} rounds, both sides in turn:",
        tables.lines().count()
    );
    sides.iter().for_each(Side::print);
    println!("  ratio {:.2} (bound {BOUND:.2})", sides[0].median() / sides[1].median());
}
