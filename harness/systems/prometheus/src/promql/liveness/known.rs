//! What was asked of the server and what it said: the only thing that can-fire is judged by, besides the rules.

use crate::client::{self as prometheus, Query, SampleValue};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use proofmark_net::ClientError;
use proofmark_net::http::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many queries are asked side by side.
const SIDE_BY_SIDE: usize = 4;

/// So many series of an answer are kept. The questions ask for a few, and once for a line per alert.
const KEPT: usize = 10_000;

/// One query and its answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Answer {
    /// `PromQL`.
    pub query: String,
    /// The series that it gave, sorted by labels.
    pub result: Vec<Given>,
    /// Why there is no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Did the server read the query, and refuse it alone?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// One series of an answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Given {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: SampleValue,
}

/// Why something cannot be said yet, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has to be asked first.
    Pending,
    /// It was asked, and there is no answer.
    Unseen(String),
    /// The server refuses this one query.
    Refused(String),
}

/// The answers that there are, and the questions that came up.
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

    /// What the server gave for this query.
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

    /// The one number that it gave; `None` where it gave nothing.
    pub(super) fn number(&self, query: &str) -> Result<Option<f64>, Stop> {
        // `+Inf` travels as text.
        let read = |given: &Given| given.value.0.as_f64().or_else(|| given.value.0.as_str()?.parse().ok());
        Ok(self.given(query)?.first().and_then(read))
    }

    /// How many series an expression gives.
    pub(super) fn count(&self, expression: &str) -> Result<f64, Stop> {
        Ok(self.number(&format!("count({expression})"))?.unwrap_or_default())
    }

    /// The questions that came up and have no answer.
    pub(super) fn wanted(self) -> BTreeSet<String> {
        self.wanted.into_inner()
    }
}

/// Who asks, at what time, and until when.
pub(super) struct Asking<'a> {
    pub wire: Wire<'a>,
    /// The time of every question.
    pub at: Option<Timestamp>,
    /// By the wire's clock.
    pub until: Duration,
    /// How long one question may take.
    pub each: Duration,
    /// Why nothing more is asked.
    pub closed: Option<String>,
}

impl Asking<'_> {
    /// Asks all of these, a few at a time. What cannot be had is an answer too.
    pub(super) async fn all(&mut self, queries: BTreeSet<String>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(queries.len());
        let mut queries = queries.into_iter();
        loop {
            // A server that lets nobody ask is not asked a thousand times.
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

    /// One answer, and whether it says that no other will come.
    async fn one(&self, query: String) -> (Answer, bool) {
        let unseen = |query, doubt| Answer { query, result: Vec::new(), doubt: Some(doubt), refused: false };
        if let Some(why) = &self.closed {
            return (unseen(query, why.clone()), false);
        }
        let left = self.until.saturating_sub(self.wire.clock.elapsed());
        if left.is_zero() {
            return (unseen(query, "the step's time was over before this could be asked".into()), false);
        }
        let wire = Wire { timeout: left.min(self.each), ..self.wire };
        let asked = Query { query: &query, at: self.at, aside: true, ..Query::default() };
        match prometheus::query(wire, &asked).await {
            Ok(queried) => {
                let given = |sample: prometheus::Sample| Given { labels: sample.labels, value: sample.value };
                let result: Vec<Given> = queried.samples.into_iter().take(KEPT).map(given).collect();
                // A warning may mean that a part was not asked: what was found stands, that nothing was found does not.
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
