//! Dumps of a real PostgreSQL in every format: what is counted in them is what is in the database; what is cut short or
//! damaged is noticed, and what cannot be noticed is written down here.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::backups;
use crate::ground::database::{awkward, awkward_with};
use crate::ground::postgres::Postgres;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use proofmark_backup::archive::{Decoded, Format, Outcome, decode};
use proofmark_model::clock::Clock;
use proofmark_net::Log;
use proofmark_postgres::client::programs::{self, Programs};
use proofmark_postgres::client::{Sequence, Table};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::convert::Infallible;
use std::io::Write as _;

/// What makes a counter stumble, on top of the awkward database.
const TRAPS: &str = r"SET check_function_bodies = off;
CREATE TABLE traps (id int, body text);
INSERT INTO traps VALUES (1, E'\\.'), (2, E'a\n\\.\nb'), (3, E'COPY public.traps (id) FROM stdin;\n'), (4, ''), (5, NULL), (6, E'\r\n'), (7, $$'$$);
CREATE FUNCTION trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
COPY public.traps (id, body) FROM stdin;
\.
RETURN '$_$'; END $$;
CREATE FUNCTION atomic_trap() RETURNS int BEGIN ATOMIC INSERT INTO traps VALUES (8, 'x'); SELECT CASE WHEN true THEN 1 END; END;
COMMENT ON TABLE traps IS E'it''s\nCOPY public.traps FROM stdin;\n1\n\\.\n-- PostgreSQL database dump complete\n';
CREATE TABLE many (id int PRIMARY KEY, body text, made timestamptz);
INSERT INTO many SELECT g, md5(g::text), '2026-02-16'::timestamptz + g * interval '1 minute' FROM generate_series(1, 20000) g;
SELECT setval('tickets', 4711);
CREATE SEQUENCE behind INCREMENT -1; SELECT setval('behind', -9);
SELECT lo_from_bytea(0, '\xdead'), lo_create(0), lo_from_bytea(0, convert_to(repeat('x', 100000), 'UTF8'));
";

fn server() -> Postgres {
    trapped(awkward())
}

fn trapped(server: Postgres) -> Postgres {
    server.sql("app", TRAPS);
    server
}

/// A dump of `app` in this format.
fn dump(server: &Postgres, format: &[&str]) -> Vec<u8> {
    backups::dump(server, "pg_dump", &[format, &[&server.name("app")]].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

async fn decoded(bytes: &[u8]) -> Decoded {
    let pieces = bytes.chunks(10_007).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    let pieces: Vec<_> = pieces.collect();
    let programs = Programs::of_this_machine();
    decode(stream::iter(pieces), &programs, (&Clock::real(), &Log::default())).await.unwrap()
}

/// The tables of a database with their rows, as it counts them itself.
fn counted(server: &Postgres) -> Vec<Table> {
    let list = "SELECT string_agg(format('SELECT %L, %L, count(*) FROM ONLY %I.%I', n.nspname, c.relname, n.nspname, c.relname), \
        ' UNION ALL ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let rows = server.sql("app", &server.sql("app", list));
    let table = |line: &str| {
        let [schema, name, rows] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        Table { schema: schema.into(), name: name.into(), rows: rows.parse().unwrap() }
    };
    let mut tables: Vec<Table> = rows.lines().map(table).collect();
    tables.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
    tables
}

fn sequences(server: &Postgres) -> Vec<Sequence> {
    let rows = server.sql(
        "app",
        "SELECT schemaname, sequencename, coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences \
         ORDER BY schemaname COLLATE \"C\", sequencename COLLATE \"C\"",
    );
    let sequence = |line: &str| {
        let [schema, name, last, called] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let last_value = last.parse().unwrap();
        Sequence { schema: schema.into(), name: name.into(), last_value, is_called: called == "t" }
    };
    rows.lines().map(sequence).collect()
}

fn same_contents(decoded: &Decoded, tables: &[Table], sequences: &[Sequence], what: &str) {
    assert_eq!(decoded.outcome, Outcome::Sound, "{what}");
    let contents = decoded.contents.as_ref().unwrap();
    assert_eq!(contents.databases.len(), 1, "{what}");
    let held = &contents.databases[0];
    assert_eq!(held.sequences, sequences, "{what}");
    assert_eq!((held.large_objects, held.large_objects_filled), (3, 3), "{what}");
    assert_eq!(held.extensions, ["citext", "hstore"], "{what}");
    // INSERTs say nothing of a table without rows.
    let inserts = what.contains("insert");
    let expected: Vec<_> = tables.iter().filter(|table| !inserts || table.rows > 0).cloned().collect();
    assert_eq!(held.tables, expected, "{what}");
    assert!(
        contents.doubts.is_empty() && contents.server_version.as_ref().unwrap().starts_with("15."),
        "{what}"
    );
}

#[tokio::test]
async fn every_format_holds_what_the_database_holds() {
    let server = server();
    let (tables, sequences) = (counted(&server), sequences(&server));
    assert!(tables.len() > 15 && tables.iter().any(|table| table.rows == 20_000));
    let formats: [&[&str]; 9] = [
        &["-Fc"],
        &["-Fc", "-Z0"],
        &["-Fc", "-Z1"],
        &["-Ft"],
        &["-Fp"],
        &["-Fp", "-C"],
        &["-Fp", "--inserts"],
        &["-Fc", "--column-inserts"],
        &["-Fp", "--rows-per-insert=7"],
    ];
    for format in formats {
        let bytes = dump(&server, format);
        let what = format.join(" ");
        let plain = decoded(&bytes).await;
        same_contents(&plain, &tables, &sequences, &what);
        assert_eq!(plain.bytes, bytes.len() as u64);
        let archive = matches!(plain.formats[..], [Format::Custom(_) | Format::Tar]);
        assert_eq!(archive, !what.contains("-Fp"), "{what}");
        assert_eq!(plain.restored.is_some(), archive);
        if let [Format::Custom(header)] = &plain.formats[..] {
            assert_eq!(header.database, Some(server.name("app")));
            assert!(header.dump_version.as_ref().unwrap().starts_with("15."));
        }
        let checked = plain.unproven.is_empty();
        assert_eq!(checked, archive && !what.contains("-Z0") && !what.contains("-Ft"), "{what}");
        // Packed around it: `.sql.gz` may be either, and nobody looks at a name.
        for (packed, format) in [
            (gzip(&bytes), Format::Gzip),
            (compress_to_vec(&*bytes, CompressionLevel::Fastest), Format::Zstd),
        ] {
            let packed = decoded(&packed).await;
            same_contents(&packed, &tables, &sequences, &format!("{what} in {format}"));
            assert_eq!(packed.formats, [&[format], &plain.formats[..]].concat());
            assert_eq!(packed.unproven, Vec::<String>::new(), "{what}");
        }
    }
}

#[tokio::test]
async fn several_databases_are_told_so() {
    let server = trapped(awkward_with(&[]));
    server.sql("postgres", "CREATE DATABASE \"we ird'd\\b\"");
    let tables = counted(&server);
    let all = backups::dump(&server, "pg_dumpall", &[]);
    let found = decoded(&all).await;
    assert_eq!((&found.outcome, &found.formats[..]), (&Outcome::Sound, &[Format::Cluster][..]));
    let contents = found.contents.unwrap();
    assert!(contents.cluster && contents.dumps == 4);
    let databases: Vec<_> =
        contents.databases.iter().map(|held| (held.name.as_deref().unwrap_or(""), held.created)).collect();
    assert_eq!(databases, [("template1", false), ("app", true), ("postgres", false), ("we ird'd\\b", true)]);
    assert_eq!(contents.databases[1].tables, tables);
    let cut = decoded(&all[..all.len() - 100]).await;
    assert!(matches!(cut.outcome, Outcome::Broken { .. }));
}

#[tokio::test]
async fn what_is_cut_short_is_broken() {
    let server = server();
    let custom = dump(&server, &["-Fc", "-Z1"]);
    let plain = dump(&server, &["-Fp"]);
    let tar = dump(&server, &["-Ft"]);
    let samples = [
        ("custom", custom.clone(), 1),
        ("custom in gzip", gzip(&custom), 1),
        ("uncompressed", dump(&server, &["-Fc", "-Z0"]), 1),
        // Its end is two blocks of 512 bytes.
        ("tar", tar, 1),
        // It ends with two line breaks, which say nothing.
        ("plain", plain.clone(), 3),
        ("plain in gzip", gzip(&plain), 1),
    ];
    for (what, bytes, least) in samples {
        let length = bytes.len();
        let parts = (0..12).map(|part| length * part / 12);
        let ends =
            [least, least + 1, 9, 100, 511, 512, 513, 1023, 1024, 1025, 2000].map(|less| length - less);
        for at in parts.chain(ends) {
            let cut = decoded(&bytes[..at]).await;
            assert!(
                matches!(cut.outcome, Outcome::Broken { .. }),
                "{what} cut at {at} of {length}: {:?}",
                cut.outcome
            );
            assert_eq!(cut.bytes, at as u64);
        }
    }
}

#[tokio::test]
async fn a_dump_that_ends_inside_a_copy_says_where() {
    let server = server();
    let plain = dump(&server, &["-Fp"]);
    let begin = find(&plain, b"COPY public.many (id, body, made) FROM stdin;\n");
    let at = begin + find(&plain[begin..], b"\n7000\t") + 4;
    for (bytes, what) in [(plain[..at].to_vec(), ""), (gzip(&plain[..at]), " in gzip")] {
        let cut = decoded(&bytes).await;
        let Outcome::Broken { at: byte, why, .. } = cut.outcome else { panic!("{:?}", cut.outcome) };
        assert_eq!(byte, Some(at as u64), "{what}");
        assert_eq!(
            why,
            "it ends inside the COPY of public.many, after 6999 rows, within a row; psql would restore these without an error"
        );
    }
    for (format, place) in [("-Fc", "the data of public.many, after"), ("-Ft", "after")] {
        let archive = dump(&server, &[format, "-t", "many"]);
        let cut = decoded(&archive[..archive.len() / 2]).await;
        let Outcome::Broken { why, .. } = &cut.outcome else { panic!("{:?}", cut.outcome) };
        assert!(why.contains(place), "{why}");
    }
}

/// What zlib's checksum notices, and what nothing does.
#[tokio::test]
async fn a_flipped_bit_is_noticed_where_there_is_a_checksum() {
    let server = server();
    let custom = dump(&server, &["-Fc", "-Z1", "-t", "many"]);
    let whole = decoded(&custom).await;
    // Here the zlib stream begins; before it stands the list, in clear text, which has no checksum.
    let data = find(&custom, b"\x78\x01");
    assert!(custom.len() - data > 100_000, "the data are at {data} of {}", custom.len());
    let mut noticed = 0;
    for part in 0..20 {
        let byte = data + (custom.len() - data - 1) * part / 20;
        let flipped = decoded(&flip(&custom, byte)).await;
        match flipped.outcome {
            // A bit that zlib itself has no use for.
            Outcome::Sound => assert_eq!(flipped.contents, whole.contents, "byte {byte}"),
            Outcome::Broken { .. } => noticed += 1,
            Outcome::Undecided { why } => panic!("byte {byte}: {why}"),
        }
    }
    assert!(noticed >= 19, "{noticed}");
}

/// These are the limits of a decode; only the archive's own SHA-256, or a restore and a comparison, notices them.
#[tokio::test]
async fn a_changed_digit_is_not_noticed_where_there_is_none() {
    let server = server();
    for format in [&["-Fc", "-Z0"][..], &["-Ft"], &["-Fp"]] {
        let bytes = dump(&server, format);
        let whole = decoded(&bytes).await;
        let digit = find(&bytes, b"2026-02-16 00:07:00") + 18;
        let changed = decoded(&flip(&bytes, digit)).await;
        assert_eq!(changed.outcome, Outcome::Sound, "{format:?}");
        let rows = |decoded: &Decoded| decoded.contents.as_ref().unwrap().databases.clone();
        assert_eq!(rows(&changed), rows(&whole), "{format:?}");
        assert_ne!(changed.sha256, whole.sha256);
        assert_eq!(changed.unproven, ["that no value was changed: in this format the data have no checksum"]);
        // In gzip it would have been.
        let mut packed = gzip(&bytes);
        let middle = packed.len() / 2;
        packed = flip(&packed, middle);
        assert!(matches!(decoded(&packed).await.outcome, Outcome::Broken { layer: 0, .. }));
    }
    // Nor what is behind the last data of an archive, which pg_restore does not read.
    let custom = dump(&server, &["-Fc"]);
    assert_eq!(decoded(&[&*custom, b"garbage"].concat()).await.outcome, Outcome::Sound);
    let tar = dump(&server, &["-Ft"]);
    assert!(matches!(decoded(&[&*tar, &[b'x'; 512]].concat()).await.outcome, Outcome::Broken { .. }));
}

#[tokio::test]
async fn the_programs_of_a_version_are_found() {
    let (clock, log) = (Clock::real(), Log::default());
    let with = (&clock, &log);
    let newest = programs::find("pg_restore", None, with).await.unwrap();
    assert!(newest.path.is_file() && newest.major >= 15);
    let same = programs::find("pg_dump", Some(newest.major), with).await.unwrap();
    assert_eq!((same.version, same.major), (newest.version, newest.major));
    let missing = programs::find("pg_dump", Some(999), with).await.unwrap_err().to_string();
    assert!(missing.contains("of PostgreSQL 999") && missing.contains("there is only"), "{missing}");
    assert!(missing.contains("postgresql-client-999"), "{missing}");
}

fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1;
    flipped
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}
