//! `postgres-query`: the rows of one statement that only reads. No row is also what a wrong join or a misspelt value
//! gives, so it fails unless the step's `expect` counts the rows itself.

use crate::client::{self as postgres, Database};
use jiff::Timestamp;
use proofmark_engine::{Check, Cx, Kind, StepError};
use proofmark_model::expect::Count;
use proofmark_model::{Finding, SettingMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// More rows than this are no evidence that people read.
const MAX_ROWS: u32 = 10_000;

/// Asks a PostgreSQL database one statement that reads rows: `SELECT`, `VALUES`, `TABLE`, `SHOW`. It runs in a read-only
/// transaction that is rolled back, with the step's `timeout`.
///
/// Integers and `numeric` are numbers where nothing is lost, else text; `timestamptz` is RFC 3339 in UTC, and `timestamp`,
/// whose zone nobody knows, stays text (write `AT TIME ZONE 'UTC'`); `json` is JSON, arrays are lists, every other type is
/// the text that psql shows. Functions that act outside of a transaction are not held back: give the connection a role
/// that may only read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostgresQuery {
    /// One statement.
    pub sql: String,
    /// `true`: row-level security may leave out rows that the role may not see. Otherwise that makes the step
    /// unverified, for the answer would be a part that looks like the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub row_security: bool,
    /// More rows than this are an error; 10,000 if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u32>,
}

/// What the statement gave.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostgresQueryObservation {
    /// Names of the columns, as the statement orders them.
    pub columns: Vec<String>,
    /// Objects by column name, in the order in which they came: only `ORDER BY` promises one.
    pub rows: Vec<Map<String, Value>>,
    /// Who answered.
    pub database: Database,
}

impl Kind for PostgresQuery {
    const NAME: &'static str = "postgres-query";
    const EXAMPLE: &'static str =
        "postgres-query: { sql: \"SELECT count(*) AS open FROM bookings WHERE state = 'open'\" }";
    const JUDGES: &'static str = "The statement ran and gave at least one row.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &["postgres"];
    type Seen = PostgresQueryObservation;

    fn judge(&self, seen: &PostgresQueryObservation, _at: Timestamp) -> Vec<Finding> {
        let help = "no row is also what a misspelt value or a wrong join gives; where none is right, say so with `expect: [{ at: $.rows, count: { equals: 0 } }]` and a `control`";
        vec![Count::AT_LEAST_ONE.judge("at least one row", Some(seen.rows.len())).with_help(help)]
    }

    fn counted(&self) -> Option<&'static str> {
        Some("$.rows")
    }

    fn mistake(&self) -> Option<SettingMistake> {
        match self.max_rows {
            _ if self.sql.trim().is_empty() => {
                Some(SettingMistake::new("`sql` is empty").help("write one statement"))
            }
            Some(0) => {
                Some(SettingMistake::new("`max-rows` is zero").help("at least one row has to be read"))
            }
            _ => None,
        }
    }
}

impl Check for PostgresQuery {
    async fn observe(&self, cx: &Cx) -> Result<PostgresQueryObservation, StepError> {
        let most = usize::try_from(self.max_rows.unwrap_or(MAX_ROWS)).unwrap_or(usize::MAX);
        let seen = postgres::query(cx.wire("postgres")?, &self.sql, most, self.row_security).await?;
        Ok(PostgresQueryObservation { columns: seen.columns, rows: seen.rows, database: seen.database })
    }
}
