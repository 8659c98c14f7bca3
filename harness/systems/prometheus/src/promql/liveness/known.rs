//! Holds what the server was asked and what it answered. Besides the rules, `can-fire` judges by nothing else.

use crate::client::{self as prometheus, Query, SampleValue};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// At most this number of queries runs at the same time.
const SIDE_BY_SIDE: usize = 4;

/// At most this number of series of an answer is kept. Most questions ask for a few series, one asks for a line per
/// alert.
const KEPT: usize = 10_000;

/// One query and its answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Answer {
    /// The `PromQL` expression.
    pub query: String,
    /// The series of the result, sorted by labels.
    pub result: Vec<Given>,
    /// Why there is no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Whether the server read the query and refused this one alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// One series of an answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Given {
    /// The labels of the series.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The value of the series.
    pub value: SampleValue,
}

/// Why something cannot be decided yet, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The query has not been asked yet.
    Pending,
    /// The query was asked, and there is no answer.
    Unseen(String),
    /// The server refuses this one query.
    Refused(String),
}

/// The answers so far, and the queries that are still needed.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    answers: BTreeMap<&'a str, &'a Answer>,
    wanted: RefCell<BTreeSet<String>>,
}

impl<'a> Known<'a> {
    pub(super) fn of(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let answers = answers.into_iter().map(|answer| (answer.query.as_str(), answer)).collect();
        Self { answers, wanted: RefCell::default() }
    }

    /// Returns what the server answered to this query.
    pub(super) fn given(&self, query: &str) -> Result<&'a [Given], Stop> {
        let Some(answer) = self.answers.get(query) else {
            self.wanted.borrow_mut().insert(query.to_owned());
            return Err(Stop::Pending);
        };
        match &answer.doubt {
            None => Ok(&answer.result),
            Some(doubt) if answer.refused => Err(Stop::Refused(doubt.clone())),
            Some(doubt) => Err(Stop::Unseen(doubt.clone())),
        }
    }

    /// Returns the single number of the answer; `None` if the answer is empty.
    pub(super) fn number(&self, query: &str) -> Result<Option<f64>, Stop> {
        // `+Inf` is sent as text.
        let read = |given: &Given| given.value.0.as_f64().or_else(|| given.value.0.as_str()?.parse().ok());
        Ok(self.given(query)?.first().and_then(read))
    }

    /// Returns how many series an expression gives.
    pub(super) fn count(&self, expression: &str) -> Result<f64, Stop> {
        Ok(self.number(&format!("count({expression})"))?.unwrap_or_default())
    }

    /// Returns the queries that are needed and have no answer yet.
    pub(super) fn wanted(self) -> BTreeSet<String> {
        self.wanted.into_inner()
    }
}

/// How queries are asked: over which connection, for which time, and until when.
pub(super) struct Asking<'a> {
    pub wire: Endpoint<'a>,
    /// The time of evaluation of every query.
    pub at: Option<Timestamp>,
    /// The deadline by the wire's clock.
    pub until: Duration,
    /// How long one query may take.
    pub each: Duration,
    /// Why no more queries are asked.
    pub closed: Option<String>,
}

impl Asking<'_> {
    /// Asks all of these queries, a few at a time. A query that fails gets an answer that says so.
    pub(super) async fn all(&mut self, queries: BTreeSet<String>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(queries.len());
        let mut queries = queries.into_iter();
        loop {
            // Queries go out in batches, so that a server that refuses all of them is not asked a thousand times.
            let some: Vec<String> = queries.by_ref().take(8 * SIDE_BY_SIDE).collect();
            if some.is_empty() {
                return answers;
            }
            let asked = stream::iter(some).map(|query| self.one(query)).buffer_unordered(SIDE_BY_SIDE);
            let asked: Vec<(Answer, bool)> = asked.collect().await;
            let closed =
                asked.iter().find(|(_, closes)| *closes).and_then(|(answer, _)| answer.doubt.clone());
            answers.extend(asked.into_iter().map(|(answer, _)| answer));
            self.closed = self.closed.take().or(closed);
        }
    }

    /// Returns one answer, and whether it shows that no other query will be answered.
    async fn one(&self, query: String) -> (Answer, bool) {
        let unseen = |query, doubt| Answer { query, result: Vec::new(), doubt: Some(doubt), refused: false };
        if let Some(why) = &self.closed {
            return (unseen(query, why.clone()), false);
        }
        let left = self.until.saturating_sub(self.wire.clock.elapsed());
        if left.is_zero() {
            return (unseen(query, "the step's time was over before this could be asked".into()), false);
        }
        let wire = Endpoint { timeout: left.min(self.each), ..self.wire };
        let asked = Query { query: &query, at: self.at, aside: true, ..Query::default() };
        match prometheus::query(wire, &asked).await {
            Ok(queried) => {
                let given = |sample: prometheus::Sample| Given { labels: sample.labels, value: sample.value };
                let result: Vec<Given> = queried.samples.into_iter().take(KEPT).map(given).collect();
                // A warning may mean that part of the data was not queried. Series that were found count nevertheless;
                // finding none proves nothing.
                let doubt =
                    (result.is_empty() && !queried.warnings.is_empty()).then(|| queried.warnings.join("; "));
                (Answer { query, result, doubt, refused: false }, false)
            }
            Err(error) => {
                let refused = matches!(&error, ClientError::Api { .. }) && !error.is_transient();
                let passing = error.is_transient() || refused;
                let doubt = Some(error.to_string());
                (Answer { query, result: Vec::new(), doubt, refused }, !passing)
            }
        }
    }
}
