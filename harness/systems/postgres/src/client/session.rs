//! One connection for one look: opened, asked inside read-only transactions, closed. A look that is given up is cancelled
//! on the server too.

use super::Database;
use super::connect::{Way, said_no};
use futures_util::TryStreamExt;
use proofmark_model::{ErrorCode, Exchange};
use proofmark_net::http::Endpoint;
use proofmark_net::{ClientError, Log, error};
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow, Statement};

/// How long the server may take to hear that it should cancel.
const CANCEL: Duration = Duration::from_secs(5);

/// How long is waited for a lock that someone else holds.
const LOCK: Duration = Duration::from_secs(30);

/// Values are written the same whatever the server, database or role is set to; row-level security is an error and no
/// silent filter. Each is undone by the rollback.
const PINNED: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
    SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; \
    SET LOCAL xmlbinary = 'base64'";

/// Takes the snapshot, so that nothing later in the transaction can make it one that writes; proves that it is read-only;
/// and lets the server notice within a second that nobody waits any more (14 and later, where the system can tell).
const IDENTITY: &str = "SELECT pg_catalog.current_setting('transaction_read_only'), pg_catalog.current_database(), current_user, \
    pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(), \
    (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl), \
    (SELECT pg_catalog.set_config(name, '1s', true) FROM pg_catalog.pg_settings \
      WHERE name = 'client_connection_check_interval' AND pg_catalog.version() LIKE '%linux%')";

/// An open connection.
pub(super) struct Session<'a> {
    wire: Endpoint<'a>,
    way: Way,
    client: Client,
    driver: JoinHandle<()>,
    started: Duration,
    /// Does the server still work on something?
    busy: bool,
}

impl<'a> Session<'a> {
    /// Connects.
    pub(super) async fn open(wire: Endpoint<'a>) -> Result<Self, ClientError> {
        let started = wire.clock.elapsed();
        let way = Way::new(wire)?;
        let mut taken = Exchange { method: "connect".into(), target: way.at.clone(), ..Exchange::default() };
        let opened = tokio::time::timeout(wire.timeout, way.connect()).await.unwrap_or_else(|_| {
            let stage = "the connection was not ready by then".to_owned();
            Err(ClientError::Timeout { at: way.at.clone(), after: wire.timeout, stage })
        });
        taken.seconds = wire.clock.elapsed().saturating_sub(started).as_secs_f64();
        wire.log.push(taken);
        let (client, connection) = opened?;
        let driver = tokio::spawn(async move {
            // Its end is seen by whoever waits for an answer.
            connection.await.ok();
        });
        Ok(Self { wire, way, client, driver, started, busy: false })
    }

    /// The address without the password.
    pub(super) fn at(&self) -> &str {
        &self.way.at
    }

    /// What is taken down of it.
    pub(super) fn log(&self) -> &'a Log {
        self.wire.log
    }

    /// Opens the transaction. Takes no snapshot yet, so that locks can be had first.
    pub(super) async fn begin(&mut self, more: &str) -> Result<(), ClientError> {
        // A little less than there is, so that the server's own words come first.
        let left = self.left();
        let limit = left.saturating_sub((left / 10).min(Duration::from_millis(250))).as_millis().max(1);
        let lock = LOCK.as_millis().min(limit / 2).max(1);
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit}; \
             SET LOCAL lock_timeout = {lock}; SET LOCAL idle_in_transaction_session_timeout = {limit}; {PINNED}{more}"
        );
        self.ask(&sql).await.map(drop)
    }

    /// Takes the transaction's snapshot and says which database this is.
    pub(super) async fn identity(&mut self) -> Result<Database, ClientError> {
        let rows = self.ask(IDENTITY).await?;
        let text =
            |at: usize| rows.first().and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
        if text(0) != "on" {
            let message = format!(
                "expected a read-only transaction at {}, but the server or a pooler before it did not open one (statement pooling does that); nothing was asked",
                self.at()
            );
            return Err(ClientError::new(ErrorCode::Unsupported, message));
        }
        Ok(Database {
            name: text(1).to_owned(),
            role: text(2).to_owned(),
            version: text(3).split(' ').next().unwrap_or_default().to_owned(),
            standby: text(4) == "t",
            tls: Some(text(5).to_owned()).filter(|version| !version.is_empty()),
        })
    }

    /// Ends the transaction without a trace.
    pub(super) async fn rollback(&mut self) -> Result<(), ClientError> {
        self.ask("ROLLBACK").await.map(drop)
    }

    /// Has the server read a statement without running it.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, ClientError> {
        self.busy = true;
        let prepared = tokio::time::timeout(self.left(), self.client.prepare(sql)).await;
        let prepared = prepared.map_err(|_| self.late("the statement was not even read"))?;
        self.busy = false;
        prepared.map_err(|error| self.failed(&error, 0))
    }

    /// Our own words, with few rows.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<SimpleQueryRow>, ClientError> {
        let mut rows = vec![];
        let keep = |row| {
            rows.push(row);
            Ok(())
        };
        self.read(sql, keep).await?;
        Ok(rows)
    }

    /// Runs it and hands over each row as text; taken down whatever becomes of it.
    pub(super) async fn read(
        &mut self,
        sql: &str,
        row: impl FnMut(SimpleQueryRow) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let started = self.wire.clock.elapsed();
        let mut taken = Exchange {
            method: "SQL".into(),
            target: self.way.at.clone(),
            sent: Some(sql.to_owned()),
            ..Exchange::default()
        };
        self.busy = true;
        let result = tokio::time::timeout(self.left(), self.stream(sql, &mut taken.bytes, row)).await;
        let result = result.unwrap_or_else(|_| Err(self.late("the statement was still running")));
        taken.seconds = self.wire.clock.elapsed().saturating_sub(started).as_secs_f64();
        self.wire.log.push(taken);
        // After an answer or the server's own no there is nothing left to cancel.
        self.busy = !matches!(result, Ok(()) | Err(ClientError::Sql { .. }));
        result
    }

    async fn stream(
        &self,
        sql: &str,
        bytes: &mut u64,
        mut row: impl FnMut(SimpleQueryRow) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let stream = self.client.simple_query_raw(sql).await.map_err(|error| self.failed(&error, 0))?;
        let mut stream = pin!(stream);
        loop {
            match stream.try_next().await.map_err(|error| self.failed(&error, *bytes))? {
                None => return Ok(()),
                Some(SimpleQueryMessage::Row(one)) => {
                    let text = |at: usize| one.try_get(at).ok().flatten().map_or(0, str::len);
                    *bytes += (0..one.len()).map(text).sum::<usize>() as u64;
                    row(one)?;
                }
                Some(_) => {}
            }
        }
    }

    /// Ends the look in order; dropping does it too, but nobody hears of it.
    pub(super) async fn close(mut self) -> Result<(), ClientError> {
        self.rollback().await
    }

    fn left(&self) -> Duration {
        self.wire.timeout.saturating_sub(self.wire.clock.elapsed().saturating_sub(self.started))
    }

    fn late(&self, stage: &str) -> ClientError {
        let at = self.at().to_owned();
        ClientError::Timeout { at, after: self.wire.timeout, stage: stage.to_owned() }
    }

    fn failed(&self, error: &tokio_postgres::Error, bytes: u64) -> ClientError {
        let at = self.at().to_owned();
        match error.as_db_error() {
            Some(said) => said_no(at, said),
            None => ClientError::CutOff { at, bytes, why: error::deepest(error) },
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Without a runtime the connection is closed already, and the server looks for that every second.
        let (true, Ok(runtime)) = (self.busy, tokio::runtime::Handle::try_current()) else { return };
        let (token, tls) = (self.client.cancel_token(), self.way.tls.clone());
        let driver = self.driver.abort_handle();
        runtime.spawn(async move {
            tokio::time::timeout(CANCEL, token.cancel_query(tls)).await.ok();
            driver.abort();
        });
    }
}
