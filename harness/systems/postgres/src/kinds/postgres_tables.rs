//! `postgres-tables`: which tables there are, and exactly how many rows each has. Never an estimate, never a table twice,
//! never only the rows that the role is shown.

use crate::client::{self as postgres, Choice, Database, LeftOut, Table, identifier};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts the rows of a PostgreSQL database's tables, all in one read-only snapshot.
///
/// A partitioned table is counted as a whole, and its partitions are not listed again unless they are named. Views,
/// foreign tables, materialized views, tables of extensions and (on a standby) unlogged tables are left out and listed as
/// that; the schemas of the server never count. A table that the role may not read, or of which row-level security would
/// hide rows, makes the step unverified: grant `SELECT`, and `BYPASSRLS` where policies are in the way.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostgresTables {
    /// Only these: `name` or `schema.name`, spelt as in the catalogue (`Users` is not `users`). Materialized views,
    /// partitions and tables of extensions are counted where they are named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Vec<String>>,
    /// Only tables of this schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// What was counted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostgresTablesObservation {
    /// Sorted by schema and name.
    pub tables: Vec<Table>,
    /// What is there and was not counted. Sorted by schema and name.
    pub left_out: Vec<LeftOut>,
    /// Who answered.
    pub database: Database,
}

impl Choice for PostgresTables {
    fn schema(&self, schema: &str) -> bool {
        self.schema.as_ref().is_none_or(|wanted| wanted == schema)
    }
    fn named(&self, schema: &str, name: &str) -> Option<bool> {
        let wanted = self.tables.as_ref()?;
        Some(wanted.iter().any(|text| is_name(text, schema, name)))
    }
}

/// Does this text name that table? As it stands in the catalogue, or quoted as SQL quotes it.
fn is_name(text: &str, schema: &str, name: &str) -> bool {
    let (schemas, names) = ([schema.to_owned(), identifier(schema)], [name.to_owned(), identifier(name)]);
    names.iter().any(|name| {
        text == name
            || schemas.iter().any(|schema| text.strip_prefix(schema.as_str()) == Some(&format!(".{name}")))
    })
}

impl Kind for PostgresTables {
    const NAME: &'static str = "postgres-tables";
    const EXAMPLE: &'static str = "postgres-tables: { tables: [users, bookings], schema: public }";
    const JUDGES: &'static str = "At least one table, and each that `tables` names is there once.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["postgres"];
    type Seen = PostgresTablesObservation;

    fn judge(&self, seen: &PostgresTablesObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "is this the right database and schema? The server's own schemas, views and foreign tables do not count";
        let mut findings =
            vec![Count::AT_LEAST_ONE.judge("at least one table", Some(seen.tables.len())).with_help(help)];
        findings.extend(self.tables.iter().flatten().map(|wanted| judge_named(wanted, seen)));
        findings
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.tables")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if let Some(schema) = self.schema.as_ref().filter(|schema| is_system(schema)) {
            return Some(
                SettingMistake::new(format!(
                    "`{schema}` is a schema of the server, which holds no data of yours"
                ))
                .help("name one of your own"),
            );
        }
        let tables = self.tables.as_ref()?;
        if tables.is_empty() || tables.iter().any(|name| name.trim().is_empty()) {
            return Some(
                SettingMistake::new("`tables` names nothing").help("leave it out to count every table"),
            );
        }
        let twice = tables.iter().enumerate().find(|(index, name)| tables[..*index].contains(name));
        twice.map(|(_, name)| {
            SettingMistake::new(format!("`tables` names `{name}` twice")).help("leave one out")
        })
    }
}

impl Check for PostgresTables {
    async fn observe(&self, cx: &Cx) -> Result<PostgresTablesObservation, StepError> {
        let seen = postgres::tables(cx.wire("postgres")?, self).await?;
        Ok(PostgresTablesObservation {
            tables: seen.tables,
            left_out: seen.left_out,
            database: seen.database,
        })
    }
}

fn is_system(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema"
}

/// Is the table there that was named, and only one of that name?
fn judge_named(wanted: &str, seen: &PostgresTablesObservation) -> Finding {
    let what = format!("the table {wanted} is there");
    let found: Vec<String> = seen
        .tables
        .iter()
        .filter(|table| is_name(wanted, &table.schema, &table.name))
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect();
    let other = seen.left_out.iter().find(|other| is_name(wanted, &other.schema, &other.name));
    match (found.as_slice(), other) {
        ([one], _) => Finding::judged(what, "one table", one.clone(), true),
        ([], Some(other)) => {
            let help = match other.why.as_str() {
                "view" => "a view holds no rows of its own: name the tables, or count it in SQL",
                _ => "its rows cannot be counted here: ask the server that holds them",
            };
            Finding::undecided(what, "one table", format!("a {}, which was not counted", other.why))
                .with_help(help)
        }
        ([], None) => Finding::judged(what, "one table", "no table of that name", false)
            .with_help("names are spelt as in the catalogue: `Users` is not `users`"),
        (several, _) => Finding::undecided(what, "one table", several.to_vec())
            .with_help("several schemas have one: write `schema.name`, or give `schema`"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_taken_as_they_stand_or_quoted() {
        for text in [
            "users",
            "public.users",
            "\"users\"",
            "public.\"users\"",
            "\"public\".\"users\"",
            "\"public\".users",
        ] {
            assert!(is_name(text, "public", "users"), "{text}");
        }
        for text in ["Users", "user", "other.users", "publicusers", "users.public", "", ".users"] {
            assert!(!is_name(text, "public", "users"), "{text}");
        }
        let odd = ("weird schema", "we\"ird;tbl");
        for text in ["we\"ird;tbl", "weird schema.we\"ird;tbl", "\"weird schema\".\"we\"\"ird;tbl\""] {
            assert!(is_name(text, odd.0, odd.1), "{text}");
        }
    }
}
