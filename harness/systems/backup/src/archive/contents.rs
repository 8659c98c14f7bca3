//! What a dump holds, as far as its own text says it; and what of that says that it is not whole.

use proofmark_postgres::client::{Sequence, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a dump holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contents {
    /// Is it of pg_dumpall: roles and several databases?
    pub cluster: bool,
    /// What is held of each database, in the order of the dump. One without a name where the dump names none.
    pub databases: Vec<Held>,
    /// The version of the server that was dumped, as the dump says it.
    pub server_version: Option<String>,
    /// The version of the pg_dump that wrote it.
    pub dump_version: Option<String>,
    /// Does it use `\restrict`? A psql before 15.14, 16.10, 17.6 does not know it.
    pub restricted: Restricted,
    /// How many dumps it is: one per database of pg_dumpall; more than one else are files put together.
    pub dumps: u64,
    /// How many of these say that they are complete.
    pub complete: u64,
    /// Does it end with the end marker of what it is, and with nothing behind?
    pub end_marker: bool,
    /// The COPY in which it ends.
    pub cut: Option<Cut>,
    /// Where else it ends in the middle: `a statement`, `a text in quotes`, `a comment`.
    pub ends_within: Option<String>,
    /// Ends of COPY data that had no beginning.
    pub stray_ends: u64,
    /// The first thing in it that does more than fill the database it is restored into, with its line: a command of psql
    /// such as `\!` or `\connect`, or a statement about other databases or roles.
    pub reaches_out: Option<String>,
    /// What makes these counts less than sure, at most 16 of them.
    pub doubts: Vec<String>,
}

/// Does a dump keep its data from being taken for commands of psql?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restricted {
    /// It has no `\restrict`.
    #[default]
    No,
    /// It has, and ends it.
    Yes,
    /// It has, and does not end it.
    Open,
}

/// What is held of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Held {
    /// Its name; `null` where the dump does not connect to it by name.
    pub name: Option<String>,
    /// Does the dump create it?
    pub created: bool,
    /// Every table with data, also with those of no row; sorted by schema and name. The schema is empty where the dump
    /// does not say it.
    pub tables: Vec<Table>,
    /// What each sequence is set to, sorted by schema and name.
    pub sequences: Vec<Sequence>,
    /// Large objects that are created.
    pub large_objects: u64,
    /// Large objects whose content is written.
    pub large_objects_filled: u64,
    /// The extensions that it creates, sorted.
    pub extensions: Vec<String>,
}

/// The COPY in which a dump ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cut {
    /// The table, with the whole rows that are there.
    pub table: Table,
    /// Does it end within a row?
    pub within_a_row: bool,
}

impl Contents {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.databases.iter().flat_map(|held| &held.tables).map(|table| table.rows).sum()
    }

    /// Why this is not a whole dump; `None` where its text says nothing against it.
    pub fn broken(&self) -> Option<String> {
        if let Some(Cut { table, within_a_row }) = &self.cut {
            let Table { schema, name, rows } = table;
            let how = if *within_a_row { ", within a row" } else { "" };
            return Some(format!(
                "it ends inside the COPY of {schema}.{name}, after {rows} rows{how}; psql would restore these without an error"
            ));
        }
        if let Some(within) = &self.ends_within {
            return Some(format!("it ends within {within}"));
        }
        if self.stray_ends > 0 {
            return Some(format!(
                "the data of {} COPY end without a beginning: their first lines are damaged",
                self.stray_ends
            ));
        }
        if !self.end_marker {
            let what = if self.cluster { "database cluster dump" } else { "database dump" };
            return Some(format!(
                "its last line should be `-- PostgreSQL {what} complete`, which pg_dump writes when all is done, and is not: the dump was cut short, or something was put behind it"
            ));
        }
        if self.complete < self.dumps {
            return Some(format!(
                "{} dumps begin in it, but only {} are complete: one was cut short and others were put behind it",
                self.dumps, self.complete
            ));
        }
        let wrong =
            "it has `\\restrict` without its `\\unrestrict`: it was cut short right behind its end marker";
        (self.restricted == Restricted::Open).then(|| wrong.to_owned())
    }
}
