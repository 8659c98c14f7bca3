//! One statement of someone else's, and its rows as JSON.
//!
//! The server first reads the statement by the extended protocol, which takes one and no more: `SELECT 1; DROP TABLE x`
//! ends there, and so does what has no columns (`COPY … TO PROGRAM`, `DO`, `COMMIT`). Only then is the same text run by
//! the simple protocol, which gives every value as text, so that a type nobody here knows can be shown too.

use super::session::Session;
use super::{Database, value};
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;
use proofmark_net::http::{Endpoint, MAX_BYTES};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryRow, Statement};

/// What a statement gave.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Names of the columns, as the statement orders them.
    pub columns: Vec<String>,
    /// Values by column name, in the order in which they came.
    pub rows: Vec<Map<String, Value>>,
    /// Who answered.
    pub database: Database,
}

/// Runs one statement and reads at most `max_rows` rows. With `filtered` row-level security may leave rows out;
/// otherwise that is an error.
///
/// # Errors
/// When there is no whole answer, or the statement is none that reads rows.
pub async fn query(
    wire: Endpoint<'_>,
    sql: &str,
    max_rows: usize,
    filtered: bool,
) -> Result<Rows, ClientError> {
    let mut session = Session::open(wire).await?;
    let security = if filtered { "on" } else { "off" };
    session.begin(&format!("; SET LOCAL row_security = {security}")).await?;
    let database = session.identity().await?;
    let statement = session.prepare(sql).await?;
    let columns = columns(&statement, session.at())?;
    let (mut rows, mut bytes, at) = (vec![], 0, session.at().to_owned());
    let keep = |row: SimpleQueryRow| {
        if rows.len() == max_rows {
            let message = format!("expected at most {max_rows} rows from {at}, but there are more");
            let help = "count or filter in SQL, or raise `max-rows`";
            return Err(CodedError::new(ErrorCode::TooLarge, message).help(help).into());
        }
        rows.push(object(&columns, &row, &at, &mut bytes)?);
        Ok(())
    };
    session.read(sql, keep).await?;
    session.close().await?;
    let columns: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    let answer = serde_json::to_vec(&json!({ "columns": columns, "rows": rows })).unwrap_or_default();
    wire.log.keep(Arc::new(answer));
    Ok(Rows { columns, rows, database })
}

/// Names and types, where every name stands for one column.
fn columns(statement: &Statement, at: &str) -> Result<Vec<(String, Type)>, ClientError> {
    let wrong = |why: &str, help: &str| {
        let message = format!("the statement was not run at {at}: {why}");
        Err(CodedError::new(ErrorCode::BadSettings, message).help(help).into())
    };
    if !statement.params().is_empty() {
        let help = "write the values, or a template";
        return wrong("it has parameters ($1), and nothing here fills them", help);
    }
    if statement.columns().is_empty() {
        return wrong("it gives no columns", "only what reads rows is run: SELECT, VALUES, TABLE, SHOW");
    }
    let mut out: Vec<(String, Type)> = vec![];
    for column in statement.columns() {
        let name = column.name();
        if out.iter().any(|(known, _)| known == name) {
            let why = format!("two of its columns are named `{name}`, and a row has room for one");
            return wrong(&why, "name each with AS");
        }
        out.push((name.to_owned(), column.type_().clone()));
    }
    Ok(out)
}

fn object(
    columns: &[(String, Type)],
    row: &SimpleQueryRow,
    at: &str,
    bytes: &mut u64,
) -> Result<Map<String, Value>, ClientError> {
    let same =
        row.columns().iter().map(tokio_postgres::SimpleColumn::name).eq(columns.iter().map(|(name, _)| name));
    if !same {
        let why = "its columns changed between two looks";
        return Err(ClientError::CutOff { at: at.to_owned(), bytes: *bytes, why: why.into() });
    }
    let mut out = Map::new();
    for (index, (name, kind)) in columns.iter().enumerate() {
        let text = row.try_get(index).map_err(|_| {
            let message = format!("column `{name}` from {at} holds text that is no UTF-8");
            CodedError::new(ErrorCode::UnexpectedAnswer, message).help("cast it to bytea")
        })?;
        *bytes += text.map_or(0, str::len) as u64;
        out.insert(name.clone(), value::read(kind, text));
    }
    if *bytes > MAX_BYTES {
        return Err(ClientError::TooLarge { at: at.to_owned(), limit: MAX_BYTES });
    }
    Ok(out)
}
