//! Tests of what is told from bytes alone: formats, the lexer's traps, pieces of any size, packings that are cut.

use super::pieces::Pieces;
use super::unpack::Packing;
use super::*;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use proofmark_model::clock::Clock;
use proofmark_net::Log;
use proofmark_postgres::client::programs::Programs;
use proofmark_postgres::client::{Sequence, Table};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::Write as _;

/// Every trap in one dump: what looks like a COPY or its end where it is none.
const TRAPS: &str = r#"--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 16.2

SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
COMMENT ON EXTENSION "uuid-ossp" IS 'it''s
COPY public.fake (id) FROM stdin;
1
\.
-- PostgreSQL database dump complete
';
/* COPY public.fake FROM stdin; /* nested */ '; */
CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN
COPY public.fake (id) FROM stdin;
\.
INSERT INTO public.fake VALUES (1), (2); RETURN $$x;$$; -- ' $_ $_$;
CREATE OR REPLACE FUNCTION public.g() RETURNS integer LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO public.fake VALUES (1);
 SELECT CASE WHEN true THEN 1 ELSE 2 END AS "case";
END;
CREATE RULE r AS ON INSERT TO public.a DO INSTEAD (INSERT INTO public.fake VALUES (1); SELECT 2;);
SELECT E'\'; COPY public.fake FROM stdin;' || U&'\' || 'back\' || "odd;"";name" FROM public.x$y$z;
SELECT 1 --; COPY public.fake FROM stdin;
;
COPY public.a (id, "from", "stdin;") FROM stdin;
1	\\.	x
\N	COPY public.fake (id) FROM stdin;	\\.
\\.	'	$$
\.


COPY public.zero  FROM stdin;


\.
COPY "weird schema"."we""ird;tbl" ("co""l 1") FROM stdin;
\.
COPY (SELECT 1) TO stdout;
INSERT INTO public.b VALUES (1, 'x), (2;', ROW(1, 2)),
	(2, '(', (3));
INSERT INTO public.b ("values", c) OVERRIDING SYSTEM VALUE VALUES (1, 2) ON CONFLICT (id) DO NOTHING;
INSERT INTO public.zero DEFAULT VALUES;
SELECT pg_catalog.setval('public.a_id_seq', 42, true);
SELECT pg_catalog.setval('"weird schema"."s""q"', -7, false);
SELECT pg_catalog.lo_create('16726');
BEGIN;
SELECT pg_catalog.lo_open('16726', 131072);
SELECT pg_catalog.lowrite(0, '\x00');
COMMIT;
--
-- PostgreSQL database dump complete
--

\unrestrict abc

"#;

fn counted(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Contents {
    let mut counter = Counter::default();
    pieces.into_iter().for_each(|piece| counter.feed(piece.as_ref()));
    counter.finish()
}

fn of(text: &str) -> Contents {
    counted([text])
}

fn rows(contents: &Contents) -> Vec<(String, u64)> {
    let tables = contents.databases.iter().flat_map(|held| &held.tables);
    tables.map(|table| (format!("{}.{}", table.schema, table.name), table.rows)).collect()
}

fn decoded(bytes: &[u8], piece: usize) -> Decoded {
    let pieces: Vec<Result<Bytes, Infallible>> =
        bytes.chunks(piece.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let programs = Programs::only_in(vec![]);
    let (clock, log) = (Clock::real(), Log::default());
    runtime.block_on(decode(stream::iter(pieces), &programs, (&clock, &log))).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn why(decoded: &Decoded) -> String {
    match &decoded.outcome {
        Outcome::Sound => "sound".to_owned(),
        Outcome::Broken { layer, at, why } => {
            format!("broken in layer {layer} at {}: {why}", at.map_or("?".to_owned(), |at| at.to_string()))
        }
        Outcome::Undecided { why } => format!("undecided: {why}"),
    }
}

#[test]
fn what_looks_like_a_copy_is_not_always_one() {
    let contents = of(TRAPS);
    let expected = [("public.a", 3), ("public.b", 3), ("public.zero", 3), ("weird schema.we\"ird;tbl", 0)];
    assert_eq!(rows(&contents), expected.map(|(name, rows)| (name.to_owned(), rows)));
    let held = &contents.databases[0];
    let sequence = |schema: &str, name: &str, last_value, is_called| Sequence {
        schema: schema.into(),
        name: name.into(),
        last_value,
        is_called,
    };
    assert_eq!(
        held.sequences,
        [sequence("public", "a_id_seq", 42, true), sequence("weird schema", "s\"q", -7, false)]
    );
    assert_eq!((held.large_objects, held.large_objects_filled), (1, 1));
    assert_eq!(held.extensions, ["uuid-ossp"]);
    assert_eq!(contents.server_version.as_deref(), Some("15.18 (Debian 15.18-0+deb12u1)"));
    assert_eq!(contents.dump_version.as_deref(), Some("16.2"));
    assert_eq!((contents.broken(), &contents.doubts), (None, &vec![]));
    assert!(contents.restricted == Restricted::Yes && contents.end_marker && contents.dumps == 1);
}

#[test]
fn wherever_it_is_cut_it_is_broken() {
    let whole = TRAPS.trim_end().len();
    for at in 0..whole {
        let contents = of(&TRAPS[..at]);
        assert!(contents.broken().is_some(), "cut at {at}: {:?}", &TRAPS[at.saturating_sub(40)..at]);
    }
    let cut = of(&TRAPS[..TRAPS.find("\t$$").unwrap()]);
    let Some(Cut { table, within_a_row: true }) = cut.cut.clone() else { panic!("{cut:?}") };
    assert_eq!(table, Table { schema: "public".into(), name: "a".into(), rows: 2 });
    insta::assert_snapshot!(cut.broken().unwrap(), @"it ends inside the COPY of public.a, after 2 rows, within a row; psql would restore these without an error");
}

#[test]
fn what_stands_behind_the_end_is_seen() {
    let contents = of(&format!("{TRAPS}COPY public.a FROM stdin;\n5\n\\.\n"));
    assert!(!contents.end_marker && rows(&contents)[0].1 == 4);
    let first = TRAPS.split_once("COPY public.zero").unwrap().0;
    assert!(of(&format!("{first}{TRAPS}")).broken().unwrap().starts_with("2 dumps begin in it, but only 1"));
    let damaged = TRAPS.replace("COPY public.zero  FROM stdin;", "CUPY public.zero  FROM stdin;");
    assert_eq!(of(&damaged).stray_ends, 1);
    assert!(of(&TRAPS.replace("\\unrestrict abc", "")).broken().unwrap().contains("unrestrict"));
}

#[test]
fn an_old_dump_says_its_schema_beforehand() {
    let old = "-- PostgreSQL database dump\nSET standard_conforming_strings = off;\nSET search_path = sales, pg_catalog;\n\
        COMMENT ON TABLE t IS 'a\\'; COPY no FROM stdin;';\nCOPY t (a) FROM stdin;\r\n1\r\n\\.\r\n\
        SELECT pg_catalog.setval('t_seq', 3, true);\n-- PostgreSQL database dump complete\n";
    let contents = of(old);
    assert_eq!(rows(&contents), [("sales.t".to_owned(), 1)]);
    assert_eq!(contents.databases[0].sequences[0].schema, "sales");
    assert_eq!(contents.broken(), None);
}

#[test]
fn several_databases_are_kept_apart() {
    let all = "-- PostgreSQL database cluster dump\nCREATE ROLE a;\n\\connect template1\n-- PostgreSQL database dump\n\
        -- PostgreSQL database dump complete\nCREATE DATABASE app WITH TEMPLATE = template0;\n\\connect app\n\
        -- PostgreSQL database dump\nCOPY public.t (a) FROM stdin;\n1\n\\.\n-- PostgreSQL database dump complete\n\
        CREATE DATABASE \"we ird'd\\b\" WITH TEMPLATE = template0;\n\\connect -reuse-previous=on \"dbname='we ird\\'d\\\\b'\"\n\
        COPY public.t (a) FROM stdin;\n1\n2\n\\.\n-- PostgreSQL database dump complete\n";
    let unfinished = of(all);
    assert!(unfinished.broken().unwrap().contains("cluster dump complete"));
    let contents = of(&format!("{all}-- PostgreSQL database cluster dump complete\n"));
    assert_eq!(contents.broken(), None);
    let databases: Vec<_> =
        contents.databases.iter().map(|held| (held.name.as_deref(), held.created)).collect();
    assert_eq!(databases, [(Some("template1"), false), (Some("app"), true), (Some("we ird'd\\b"), true)]);
    assert_eq!(rows(&contents), [("public.t".to_owned(), 1), ("public.t".to_owned(), 2)]);
}

#[test]
fn what_cannot_be_counted_is_a_doubt() {
    let doubts = |sql: &str| of(sql).doubts.join("; ");
    assert!(doubts("COPY a FROM stdin WITH (FORMAT csv);\n\"a\nb\"\n\\.\n").contains("options"));
    assert!(doubts("INSERT INTO a SELECT 1;").contains("INSERT"));
    assert!(doubts("SET client_encoding = 'SJIS';").contains("SJIS"));
    assert!(doubts("\\i other.sql\n").contains("psql"));
    assert!(doubts("SELECT pg_catalog.setval('a', now());").contains("setval"));
}

#[test]
fn formats_are_told_by_first_bytes() {
    let tar = |name: &str| {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[257..262].copy_from_slice(b"ustar");
        block
    };
    let samples: &[(&str, &[u8])] = &[
        ("custom", b"PGDMP\x01\x10\x00\x04\x08\x01\x03\x00\x04"),
        ("custom, cut in its head", b"PGDMP\x01\x10\x00\x04\x08\x01"),
        ("directory", b"PGDMP\x01\x0e\x00\x04\x08\x03"),
        ("magic alone", b"PGDMP"),
        ("tar", &tar("toc.dat")),
        ("other tar", &tar("backup/toc.dat")),
        ("sql", b"\xef\xbb\xbf--\n-- PostgreSQL database dump\n--\n"),
        ("cluster", b"--\r\n-- PostgreSQL database cluster dump\r\n--\n\n-- PostgreSQL database dump\n"),
        ("other sql", b"\n  CREATE TABLE t (id int);\n"),
        ("mysql", b"-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n"),
        ("gzip", b"\x1f\x8b\x08\0"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("pzstd", b"\x50\x2a\x4d\x18"),
        ("bzip2", b"BZh91AY&SY"),
        ("xz", b"\xfd7zXZ\0"),
        ("lz4", b"\x04\x22\x4d\x18"),
        ("zip", b"PK\x03\x04"),
        ("age", b"age-encryption.org/v1\n"),
        ("gpg with a passphrase", b"\x8c\x0d\x04\x09\x03"),
        ("gpg with a key", b"\x85\x01\x0c\x03"),
        ("gpg in letters", b"-----BEGIN PGP MESSAGE-----\n"),
        ("html", b"\n<!DOCTYPE html><html><body>502 Bad Gateway"),
        ("xml", b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
        ("json", b"{\"error\": \"not found\"}"),
        ("message", b"pg_dump: error: connection to server failed"),
        ("zeros", &[0; 600]),
        ("powershell", b"\xff\xfe-\0-\0\n\0"),
        ("empty", b""),
        ("noise", b"\x01\x02\x03\x04\x05"),
    ];
    let told: Vec<String> =
        samples.iter().map(|(name, head)| format!("{name}: {}", Format::of(head))).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_file_that_is_no_backup_says_so() {
    let whys: Vec<String> =
        [&b""[..], &[0; 5000], b"<html>502</html>", b"BZh9", b"\x01\x02", b"CREATE TABLE a (b int);"]
            .iter()
            .chain([&&*gzip(b""), &&*gzip(b"<html>"), &&*gzip(&gzip(&gzip(&gzip(b"x"))))])
            .map(|bytes| why(&decoded(bytes, 7)))
            .collect();
    insta::assert_snapshot!(whys.join("\n"));
}

#[test]
fn gzip_is_read_to_its_end() {
    let (first, second) = TRAPS.split_at(700);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let sound = decoded(&members, 13);
    assert_eq!((why(&sound), sound.formats), ("sound".to_owned(), vec![Format::Gzip, Format::Sql]));
    assert_eq!(sound.contents.unwrap(), of(TRAPS));
    assert_eq!(sound.sha256, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&members)));
    assert_eq!(why(&decoded(&[&*members, &[0; 700]].concat(), 500)), "sound");
    let garbage = decoded(&[&*members, b"\x1fgarbage"].concat(), 500);
    let Outcome::Broken { layer: 0, at: Some(at), .. } = garbage.outcome else { panic!("{garbage:?}") };
    assert!((members.len() as u64..=members.len() as u64 + 8).contains(&at), "{at}");
    for cut in 20..members.len() {
        let cut_short = decoded(&members[..cut], 100);
        assert_ne!(cut_short.outcome, Outcome::Sound, "cut at {cut} of {}", members.len());
    }
    let late = decoded(&members[..members.len() - 3], 100);
    let at = members.len() - 3;
    assert_eq!(
        why(&late),
        format!("broken in layer 0 at {at}: the gzip data are cut short: they end where more should come")
    );
}

#[test]
fn a_flipped_bit_in_gzip_is_noticed() {
    let packed = gzip(TRAPS.as_bytes());
    // The head of ten bytes holds a time and the name of a system: nothing of the content.
    for byte in 10..packed.len() {
        let mut flipped = packed.clone();
        flipped[byte] ^= 1 << (byte % 8);
        assert_ne!(decoded(&flipped, 4096).outcome, Outcome::Sound, "byte {byte}");
    }
}

#[test]
fn zstd_is_read_to_its_end() {
    let packed =
        ruzstd::encoding::compress_to_vec(TRAPS.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &packed, &packed[..0]].concat();
    for whole in [&packed, &skipped] {
        let sound = decoded(whole, 11);
        assert_eq!((why(&sound), sound.contents.unwrap()), ("sound".to_owned(), of(TRAPS)));
    }
    for cut in 1..skipped.len() {
        assert_ne!(decoded(&skipped[..cut], 64).outcome, Outcome::Sound, "cut at {cut}");
    }
    let garbage = decoded(&[&*packed, b"garbage"].concat(), 64);
    assert_ne!(garbage.outcome, Outcome::Sound);
}

/// Decodes the beginning of an archive with a stand-in for pg_restore that does this; none: with nothing there.
fn with_stand_in(script: Option<&str>) -> Result<Decoded, DecodeError<Infallible>> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(script) = script {
        let version = "[ \"$1\" = --version ] && echo 'pg_restore (PostgreSQL) 15.18 (stand-in)' && exit";
        // Written by another process: a file that this one had open for writing could be held open by a child that another
        // test starts just then, and not be run.
        let mut write = std::process::Command::new("sh");
        write
            .args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod +x \"$0\""])
            .arg(folder.path().join("pg_restore"));
        assert!(write.arg(format!("#!/bin/sh\n{version}\n{script}\n")).status().unwrap().success());
    }
    let mut head = b"PGDMP\x01\x10\x00\x04\x08\x01\x03".to_vec();
    head.extend([[0; 5]; 7].concat());
    for text in ["app", "17.2", "17.4"] {
        head.extend([0, u8::try_from(text.len()).unwrap(), 0, 0, 0]);
        head.extend(text.as_bytes());
    }
    // More than a pipe holds.
    let pieces = [Ok(Bytes::from(head)), Ok(Bytes::from(vec![1; 300_000]))];
    let programs = Programs::only_in(vec![folder.path().to_owned()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (clock, log) = (Clock::real(), Log::default());
    runtime.block_on(decode(stream::iter(pieces), &programs, (&clock, &log)))
}

#[test]
fn without_pg_restore_there_is_no_verdict() {
    let error = with_stand_in(None).unwrap_err().to_string();
    let rest = error.split_once(", but ").unwrap().1;
    insta::assert_snapshot!(rest, @"there is none; install PostgreSQL's programs (Debian's package is `postgresql-client`)");
}

#[test]
fn how_pg_restore_ends_decides() {
    let dump = format!("cat >/dev/null; cat <<'X'\n{TRAPS}\nX\n");
    let scripts = [
        "echo 'pg_restore: error: unsupported version (1.16) in file header' >&2; exit 1",
        "echo 'pg_restore: error: could not read from input file: end of file' >&2; cat >/dev/null; exit 1",
        "kill -SEGV $$",
        "exec sleep 600",
        "cat >/dev/null; exec sleep 600",
        "cat >/dev/null",
        &*dump,
        &*format!("{dump}echo 'pg_restore: warning: archive items not in correct section order' >&2"),
        &*format!("{dump}exit 1"),
    ];
    let ends = scripts.map(|script| {
        let decoded = with_stand_in(Some(script)).unwrap();
        assert_eq!(decoded.bytes, 300_073);
        // How much a pipe holds is the system's business.
        let why = regex::Regex::new("[0-9]+ bytes| at [0-9]+")
            .unwrap()
            .replace_all(&why(&decoded), "…")
            .into_owned();
        format!("{why}\n    {:?}", decoded.unproven)
    });
    insta::assert_snapshot!(ends.join("\n"));
}

#[test]
fn bytes_that_cannot_be_had_are_no_verdict() {
    let pieces = [Ok(Bytes::from_static(TRAPS.as_bytes())), Err("the connection is gone")];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (clock, log) = (Clock::real(), Log::default());
    let error = runtime.block_on(decode(stream::iter(pieces), &Programs::of_this_machine(), (&clock, &log)));
    assert_eq!(error.unwrap_err().to_string(), "the connection is gone");
}

/// Text with much of what the lexer knows.
fn sql() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "COPY a.b (x) FROM stdin;\n",
        "\\.\n",
        "\\",
        ".",
        "\n",
        "\r\n",
        "1\t2\n",
        "'",
        "\"",
        "$$",
        "$a$",
        "$",
        "--",
        "/*",
        "*/",
        "E'",
        ";",
        "(",
        ")",
        "INSERT INTO a VALUES (1), (2);",
        "BEGIN",
        "CREATE FUNCTION ",
        "END",
        "\\connect x\n",
        "SET standard_conforming_strings = off;",
        "SELECT pg_catalog.setval('s', 1, true);",
        "é",
        "x",
        "-- PostgreSQL database dump complete\n",
    ]);
    let odd = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(prop_oneof![9 => part.prop_map(|part| part.as_bytes().to_vec()), 1 => odd], 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_of_any_size_are_the_same(text in sql(), sizes in prop::collection::vec(1_usize..9, 1..20)) {
        let whole = counted([&text]);
        prop_assert_eq!(&counted(text.chunks(1)), &whole);
        let mut pieces = vec![];
        let mut rest = &text[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(&counted(pieces), &whole);
    }

    #[test]
    fn rows_of_a_copy_are_its_lines(values in prop::collection::vec("[^\\\\\n\r\t]{0,12}", 0..50), size in 1_usize..40) {
        let data = values.iter().flat_map(|value| [value, "\n"]).collect::<String>();
        let text = format!("COPY a.b FROM stdin;\n{data}\\.\nSELECT 1;\n");
        let contents = counted(text.as_bytes().chunks(size));
        prop_assert_eq!(rows(&contents), [("a.b".to_owned(), values.len() as u64)]);
    }

    #[test]
    fn any_bytes_are_told(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0_usize..8) {
        let heads: [&[u8]; 8] = [b"", b"PGDMP", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08", b"\\", b"--", b"PGDMP\x01\x0e\x00\x04\x08\x03", b"\x50\x2a\x4d\x18"];
        let all = [heads[magic], &bytes].concat();
        counted([&all]);
        // An archive would need pg_restore, which is another test.
        if !matches!(Format::of(&all), Format::Custom(_) | Format::Tar) {
            prop_assert_ne!(decoded(&all, 50).outcome, Outcome::Sound);
        }
    }
}

/// By hand: `cargo test --release -p proofmark --lib -- --ignored --nocapture as_fast_as_a_disk`.
#[test]
#[ignore = "means something in release builds only"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn data_are_counted_as_fast_as_a_disk_reads_them() {
    let speed = |what: &str, text: &str| {
        let start = std::time::Instant::now();
        let contents = counted(text.as_bytes().chunks(64 << 10));
        let mib = f64::from(u32::try_from(text.len() >> 20).unwrap()) / start.elapsed().as_secs_f64();
        writeln!(std::io::stderr(), "{what}: {mib:.0} MiB/s, {} rows", contents.rows()).unwrap();
        mib
    };
    let usual = "12345\tsome text of a row that is not so short\t2026-02-16 02:00:00+00\t\\N\n";
    for row in ["1\n", usual, "\\N\t\\N\t\\\\x00\\\\.ff\n"] {
        let text = format!("COPY a.b FROM stdin;\n{}", row.repeat((256 << 20) / row.len()));
        assert!(speed("COPY", &text) > 400.0);
    }
    let insert = "INSERT INTO public.events VALUES (1, 'some text', '2026-02-16');\n";
    assert!(speed("INSERT", &insert.repeat(1 << 20)) > 10.0);
}

#[test]
fn a_thread_that_nobody_reads_ends() {
    let (to, from) = Pieces::way();
    let (next, nobody) = Pieces::way();
    drop(nobody);
    let thread = std::thread::spawn(move || Packing::Gzip.unpack(from, &next));
    to.blocking_send(gzip(TRAPS.as_bytes()).into()).unwrap();
    assert!(thread.join().unwrap().is_ok());
}
