//! Counts what is in a dump from its SQL, which is pushed in pieces: rows of each COPY and INSERT, sequences, large
//! objects, extensions, databases, and how it ends.

use super::contents::{Contents, Cut, Held, Restricted};
use super::lexer::{End, Lexer, Reader, Token};
use super::name;
use super::statement::{Insert, Statement};
use proofmark_postgres::client::{Sequence, Table};
use std::collections::{BTreeMap, BTreeSet};

/// So many doubts are kept: more say no more.
const DOUBTS: usize = 16;

/// So many letters of a command are shown.
const SHOWN: usize = 80;

/// Encodings in which the second byte of a letter may look like a quote or a backslash.
const UNSAFE: [&str; 7] = ["SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"];

/// Counts what is in a dump. Feed it all bytes, in pieces of any size, then finish it.
#[derive(Debug, Default)]
pub struct Counter {
    lexer: Lexer,
    tally: Tally,
}

impl Counter {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lexer.feed(bytes, &mut self.tally);
    }

    /// That was all.
    pub fn finish(mut self) -> Contents {
        let end = self.lexer.finish(&mut self.tally);
        self.tally.finish(&end)
    }
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Tally {
    statement: Statement,
    insert: Insert,
    /// The table whose COPY runs.
    copying: (String, String),
    parts: Vec<Part>,
    part: usize,
    created: BTreeSet<String>,
    seen: Contents,
    ended: Option<Ended>,
    /// The key of the `\restrict` that is in force.
    restricted: Option<String>,
    /// The schema of names without one: `search_path` of old dumps.
    schema: String,
    backslashes: bool,
}

/// What the last comment said has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Dump,
    Cluster,
}

/// One database.
#[derive(Debug, Default)]
struct Part {
    name: Option<String>,
    tables: BTreeMap<(String, String), u64>,
    sequences: BTreeMap<(String, String), (i64, bool)>,
    created: u64,
    filled: u64,
    extensions: BTreeSet<String>,
}

impl Reader for Tally {
    fn token(&mut self, token: Token<'_>, depth: u32) {
        self.ended = None;
        self.statement.push(token, depth);
        if self.statement.is("insert") {
            self.insert.token(token, depth);
        }
    }

    fn end(&mut self, line: u64) -> bool {
        self.ended = None;
        let statement = std::mem::take(&mut self.statement);
        if statement.reaches_out() {
            let [first, second] = [0, 1].map(|at| statement.word(at).to_ascii_uppercase());
            self.reaches_out(line, &format!("{first} {second}"));
        }
        let copy = match &*statement.first() {
            "copy" => self.copy(&statement),
            "insert" => self.inserted(&statement),
            "select" => self.call(&statement),
            "create" => self.create(&statement),
            "set" => self.set(&statement),
            _ => false,
        };
        self.statement = statement.emptied();
        self.insert = Insert::default();
        copy
    }

    fn comment(&mut self, text: &[u8]) {
        if !self.statement.is_empty() {
            return;
        }
        let Ok(text) = std::str::from_utf8(text) else { return };
        match text {
            "PostgreSQL database dump" => self.seen.dumps += 1,
            "PostgreSQL database cluster dump" => self.seen.cluster = true,
            "PostgreSQL database dump complete" => {
                self.seen.complete += 1;
                self.ended = Some(Ended::Dump);
            }
            "PostgreSQL database cluster dump complete" => self.ended = Some(Ended::Cluster),
            _ => {}
        }
        let seen = &mut self.seen;
        if let Some(version) = text.strip_prefix("Dumped from database version ") {
            seen.server_version.get_or_insert_with(|| version.to_owned());
        } else if let Some(version) = text.strip_prefix("Dumped by pg_dump version ") {
            seen.dump_version.get_or_insert_with(|| version.to_owned());
        }
    }

    fn command(&mut self, text: &[u8], line: u64) {
        let text = name::text(text);
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        // Behind the key another command could stand.
        let key = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !(matches!(word, "restrict" | "unrestrict") && key) && word != "." {
            self.reaches_out(line, &format!("\\{text}"));
        }
        if word != "unrestrict" {
            self.ended = None;
        }
        match word {
            "restrict" => {
                self.seen.restricted = Restricted::Yes;
                self.restricted = Some(rest.trim().to_owned());
            }
            "unrestrict" if self.restricted.as_deref() == Some(rest.trim()) => self.restricted = None,
            "unrestrict" => {}
            "connect" | "c" => match name::of_connect(rest) {
                Some(database) => self.connect(&database),
                None => self.doubt("which database a `\\connect` of it means is not clear".to_owned()),
            },
            "." => self.seen.stray_ends += 1,
            _ => self
                .doubt("it has commands of psql that no pg_dump writes, which are not followed".to_owned()),
        }
    }

    fn copied(&mut self, rows: u64) {
        let table = std::mem::take(&mut self.copying);
        *self.part().tables.entry(table).or_default() += rows;
    }

    fn backslashes(&self) -> bool {
        self.backslashes
    }
}

impl Tally {
    fn part(&mut self) -> &mut Part {
        if self.parts.is_empty() {
            self.parts.push(Part::default());
        }
        &mut self.parts[self.part]
    }

    fn connect(&mut self, database: &str) {
        self.part();
        let known = self.parts.iter().position(|part| part.name.as_deref() == Some(database));
        self.part = known.unwrap_or(self.parts.len());
        if known.is_none() {
            self.parts.push(Part { name: Some(database.to_owned()), ..Part::default() });
        }
        (self.schema, self.backslashes) = (String::new(), false);
    }

    fn reaches_out(&mut self, line: u64, what: &str) {
        let what: String = what.chars().take(SHOWN).collect();
        self.seen.reaches_out.get_or_insert_with(|| format!("line {line}: `{what}`"));
    }

    fn doubt(&mut self, doubt: String) {
        if self.seen.doubts.len() < DOUBTS && !self.seen.doubts.contains(&doubt) {
            self.seen.doubts.push(doubt);
        }
    }

    /// A name of a statement with its schema.
    fn name(&self, statement: &Statement, from: usize) -> Option<(String, String)> {
        let (schema, name) = statement.name(from)?;
        Some((schema.unwrap_or_else(|| self.schema.clone()), name))
    }

    fn copy(&mut self, statement: &Statement) -> bool {
        let Some(options) = statement.copies_stdin() else { return false };
        let Some(table) = self.name(statement, 1) else {
            self.doubt("the table of a COPY cannot be told".to_owned());
            self.copying = (String::new(), "?".to_owned());
            return true;
        };
        if options {
            let (schema, name) = &table;
            self.doubt(format!(
                "the COPY of {schema}.{name} has options: its lines were counted, which need not be rows"
            ));
        }
        self.copying = table;
        true
    }

    fn inserted(&mut self, statement: &Statement) -> bool {
        match (self.name(statement, 2), self.insert.rows()) {
            (Some(table), Some(rows)) => *self.part().tables.entry(table).or_default() += rows,
            _ => self.doubt("it has an INSERT whose rows cannot be counted".to_owned()),
        }
        false
    }

    fn call(&mut self, statement: &Statement) -> bool {
        match &*statement.called() {
            "lo_create" => self.part().created += 1,
            "lo_open" => self.part().filled += 1,
            "setval" => match statement.setval() {
                Some((sequence, last, called)) => {
                    let (schema, name) = sequence;
                    let key = (schema.unwrap_or_else(|| self.schema.clone()), name);
                    self.part().sequences.insert(key, (last, called));
                }
                None => self.doubt("it has a `setval` that cannot be read".to_owned()),
            },
            _ => {}
        }
        false
    }

    fn create(&mut self, statement: &Statement) -> bool {
        let at = if statement.word(2) == "if" { 5 } else { 2 };
        match (&*statement.word(1), statement.name(at)) {
            ("extension", Some((None, name))) => {
                self.part().extensions.insert(name);
            }
            ("database", Some((None, name))) => {
                self.created.insert(name);
            }
            _ => {}
        }
        false
    }

    fn set(&mut self, statement: &Statement) -> bool {
        // `SET name = value`, and not `SET SESSION AUTHORIZATION`.
        match (&*statement.word(1), statement.value(3)) {
            ("standard_conforming_strings", Some(value)) => self.backslashes = value == "off",
            ("search_path", Some(value)) => self.schema = value,
            ("client_encoding", Some(value)) if UNSAFE.contains(&&*value.to_ascii_uppercase()) => {
                self.doubt(format!(
                    "it is written in {value}, in which a letter may look like a quote: dump with `-E UTF8`"
                ));
            }
            _ => {}
        }
        false
    }

    fn finish(mut self, end: &End) -> Contents {
        match end {
            End::Clean => {}
            End::Within(what) => self.seen.ends_within = Some((*what).to_owned()),
            End::Copy(rows, within_a_row) => {
                let (schema, name) = self.copying.clone();
                self.copied(*rows);
                let table = Table { schema, name, rows: *rows };
                self.seen.cut = Some(Cut { table, within_a_row: *within_a_row });
            }
        }
        let wanted = if self.seen.cluster { Ended::Cluster } else { Ended::Dump };
        let whole = self.seen.cut.is_none() && self.seen.ends_within.is_none();
        self.seen.end_marker = whole && self.ended == Some(wanted);
        if self.restricted.is_some() {
            self.seen.restricted = Restricted::Open;
        }
        let several = self.parts.len() > 1;
        let parts = self.parts.into_iter().filter(|part| !several || part.name.is_some() || part.holds());
        self.seen.databases = parts.map(|part| part.held(&self.created)).collect();
        self.seen
    }
}

impl Part {
    fn holds(&self) -> bool {
        let Self { tables, sequences, extensions, .. } = self;
        !(tables.is_empty() && sequences.is_empty() && extensions.is_empty())
            || self.created + self.filled > 0
    }

    fn held(self, created: &BTreeSet<String>) -> Held {
        let table = |((schema, name), rows)| Table { schema, name, rows };
        let sequence =
            |((schema, name), (last_value, is_called))| Sequence { schema, name, last_value, is_called };
        Held {
            created: self.name.as_ref().is_some_and(|name| created.contains(name)),
            name: self.name,
            tables: self.tables.into_iter().map(table).collect(),
            sequences: self.sequences.into_iter().map(sequence).collect(),
            large_objects: self.created,
            large_objects_filled: self.filled,
            extensions: self.extensions.into_iter().collect(),
        }
    }
}
