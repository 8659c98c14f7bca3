//! The polling loop: repeats observations while a step requires it, and records every attempt. Putting changes back
//! uses the same loop.

use super::step::not_tried;
use super::{Runner, Stop, rounded};
use crate::scenario::Judged;
use crate::{AnyCheck, Cx, ErasedAct, Memory, StepError};
use jiff::Timestamp;
use proofmark_evidence::record::RecordError;
use proofmark_evidence::report::text::sentence;
use proofmark_evidence::undo::{OpenPromise, PromiseContext};
use proofmark_model::{Attempt, Duration as Length, ErrorCode, Event, StepRecord, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The extra time beyond an attempt's own timeout. The client's timeout must come first: it reports where it waited and
/// how far it came, and records the exchange.
const MARGIN: Duration = Duration::from_millis(100);

/// How often to observe, and what to keep.
#[derive(Debug)]
pub(super) struct PollPolicy<'a> {
    /// How long to poll.
    pub(super) within: Option<Length>,
    /// How long the result has to stay true.
    pub(super) hold: Option<Length>,
    /// The pause between two observations.
    pub(super) every: Length,
    /// Limits one observation.
    pub(super) timeout: Length,
    /// The connection for each role.
    pub(super) via: BTreeMap<String, String>,
    /// The file name under which the response is kept unchanged.
    pub(super) evidence: Option<&'a str>,
    /// Keys that are not secrets here.
    pub(super) not_secret: &'a [String],
}

/// What an attempt does.
#[derive(Debug)]
pub(super) enum Operation<'a> {
    /// Reads with the candidates of `first-of`, or with one check.
    Check { checks: &'a [AnyCheck], first_of: bool },
    /// Makes the change in the first attempt, and observes the result in every one.
    Act { act: &'a dyn ErasedAct, by: &'a PromiseContext, done: Option<Value>, memory: Memory },
    /// Puts a change back.
    Revert { debt: &'a OpenPromise, memory: Memory },
}

/// One attempt, before it is recorded.
struct AttemptOutcome {
    attempt: Attempt,
    lasting: bool,
}

impl Runner {
    /// Observes once, or as often as `within` and `hold` require; the last observation decides.
    pub(super) async fn look(
        &self,
        pace: &PollPolicy<'_>,
        mut deed: Operation<'_>,
        record: &mut StepRecord,
    ) -> Result<Judged, RecordError> {
        let cx = self.context(pace, record);
        let began = self.world.clock.elapsed();
        let mut holding: Option<Timestamp> = None;
        loop {
            let round = record.attempts.last().map_or(0, |attempt| attempt.round) + 1;
            let looks = self.round(pace, &mut deed, &cx, round).await?;
            let lasting = looks.iter().any(|look| look.lasting);
            let mut attempts: Vec<Attempt> = looks.into_iter().map(|look| look.attempt).collect();
            let judged = self.judge_round(record, pace, &deed, &mut attempts)?;
            let span = attempts.first().zip(attempts.last()).map(|(first, last)| (first.at, last.at));
            let (first, last) = span.unwrap_or((record.started, record.started));
            keep_once(record, attempts);
            let passed = judged.verdict() == Verdict::Passed;
            holding = if passed { holding.or(Some(first)) } else { None };
            let held = holding.map(|since| last.duration_since(since).unsigned_abs());
            let pause = if passed || !lasting { self.pause(pace, began, held) } else { None };
            let Some(pause) = pause else {
                self.answer(pace, &record.scenario, &cx)?;
                return self.decide(record, pace, judged);
            };
            let told = self.event(attempted(record, round, &judged), pace.not_secret);
            if let Operation::Revert { .. } = deed {
                // Neither a signal nor a full disk stops a change from being put back.
                self.world.clock.sleep(pause).await;
                continue;
            }
            told?;
            let mut stop = self.world.stop.clone();
            tokio::select! {
                biased;
                // Another observation was due, so the last one does not decide: the state after it is unknown.
                () = stop.stopped() => {
                    let attempt = not_tried(self.world.clock.now(), &interrupted(&stop));
                    let attempt = Attempt { round: round + 1, ..attempt };
                    record.attempts.push(attempt);
                    self.answer(pace, &record.scenario, &cx)?;
                    return self.decide(record, pace, judged);
                }
                () = self.world.clock.sleep(pause) => {}
            }
        }
    }

    /// How long to wait before the next observation; `None` if this one decides.
    fn pause(&self, pace: &PollPolicy<'_>, began: Duration, held: Option<Duration>) -> Option<Duration> {
        let left = match (held, pace.hold, pace.within) {
            (Some(_), None, _) | (None, _, None) => return None,
            // Measured between observations, as the judgement does: the duration of a slow one does not count as
            // holding.
            (Some(held), Some(hold), _) => hold.0.saturating_sub(held),
            (None, _, Some(within)) => {
                within.0.saturating_sub(self.world.clock.elapsed().saturating_sub(began))
            }
        };
        // Holding needs one observation at or after its end; polling does not.
        (left > Duration::ZERO).then(|| left.min(pace.every.0).max(Duration::from_millis(1)))
    }

    /// Runs one round: one attempt, or one for each candidate until one decides.
    async fn round(
        &self,
        pace: &PollPolicy<'_>,
        deed: &mut Operation<'_>,
        cx: &Cx,
        round: u32,
    ) -> Result<Vec<AttemptOutcome>, RecordError> {
        let Operation::Check { checks, first_of } = *deed else {
            return Ok(vec![self.one(pace, deed, cx, (round, None)).await?]);
        };
        let mut looks = vec![];
        for (candidate, check) in checks.iter().enumerate() {
            let mut one = Operation::Check { checks: &checks[candidate..=candidate], first_of };
            let look = self.one(pace, &mut one, cx, (round, first_of.then_some(candidate))).await?;
            let stop = look.attempt.observation.as_ref().is_none_or(|seen| {
                let own = check.judge(seen, look.attempt.at);
                Verdict::fold(own.iter().map(|finding| finding.verdict)) != Verdict::Failed
            });
            looks.push(look);
            if stop {
                break;
            }
        }
        Ok(looks)
    }

    /// Makes one observation. An act is never cancelled: it ends by its own timeout.
    async fn seen(&self, deed: &mut Operation<'_>, cx: &Cx) -> Result<Result<Value, StepError>, RecordError> {
        Ok(match deed {
            Operation::Check { checks, .. } => match checks {
                [check] => self.watched(cx, check.observe(cx)).await,
                _ => Err(StepError::new(ErrorCode::Internal, "there is nothing to look with")),
            },
            Operation::Act { act, by, done, memory } => {
                if done.is_none() {
                    // Nothing is changed while evidence cannot be written.
                    self.recorder().settle()?;
                    match act.act(cx, &self.ledger, by).await {
                        Ok(made) => *done = Some(made),
                        // A failed act is not repeated.
                        Err(error) => return Ok(Err(error.lasting())),
                    }
                }
                self.watched(cx, act.observe(done.as_ref().unwrap_or(&Value::Null), cx, memory)).await
            }
            Operation::Revert { debt, memory } => {
                let Some(undo) = &debt.undo else { return Ok(Err(undo_missing(debt))) };
                let (kind, by) = (&debt.promised.kind, self.ledger.leave(debt));
                self.world.registry.revert(kind, undo, (cx, &by), memory).await
            }
        })
    }

    /// Makes an observation that ends at its timeout or when the run has to stop.
    async fn watched(
        &self,
        cx: &Cx,
        look: impl Future<Output = Result<Value, StepError>>,
    ) -> Result<Value, StepError> {
        let mut stop = self.world.stop.clone();
        tokio::select! {
            biased;
            seen = tokio::time::timeout(cx.timeout.0 + MARGIN, look) => seen.unwrap_or_else(|_| Err(late(cx))),
            () = stop.stopped() => {
                Err(interrupted(&stop))
            }
        }
    }

    async fn one(
        &self,
        pace: &PollPolicy<'_>,
        deed: &mut Operation<'_>,
        cx: &Cx,
        (round, candidate): (u32, Option<usize>),
    ) -> Result<AttemptOutcome, RecordError> {
        let (at, began) = (self.world.clock.now(), self.world.clock.elapsed());
        // A response to an earlier attempt is not evidence for this one.
        cx.log.take_answer();
        let seen = self.seen(deed, cx).await?;
        let (observation, error, lasting) = match seen {
            Ok(seen) => {
                let settled = matches!(deed, Operation::Act { act, .. } if act.settled(&seen));
                (Some(seen), None, settled)
            }
            Err(error) => (None, Some(error.clone()), !error.transient),
        };
        let attempt = Attempt {
            round,
            candidate,
            at,
            seconds: rounded((self.world.clock.elapsed().saturating_sub(began)).as_secs_f64()),
            requests: cx.log.take(),
            error: error.as_ref().map(StepError::to_string),
            code: error.map(|error| error.code),
            observation,
            same_as: None,
            verdict: Verdict::Unverified,
        };
        // Grafana locks a user out after five failed logins, so a request that got a 401 is not repeated, even if the
        // attempt succeeded.
        let refused = attempt.requests.iter().any(|exchange| exchange.status == Some(401));
        let lasting = lasting || refused;
        let clean = self.recorder().clean(&attempt, pace.not_secret)?;
        let mut attempt: Attempt = serde_json::from_value(clean.into_inner())?;
        if let Some(observation) = &mut attempt.observation {
            self.recorder().outline(observation)?;
        }
        Ok(AttemptOutcome { attempt, lasting })
    }

    /// Judges this round alone.
    fn judge_round(
        &self,
        record: &StepRecord,
        pace: &PollPolicy<'_>,
        deed: &Operation<'_>,
        attempts: &mut [Attempt],
    ) -> Result<Judged, RecordError> {
        let judged = self.judge(&record.with_attempts(attempts.to_vec()), pace.not_secret)?;
        let deciding = attempts.len().saturating_sub(1);
        let first_of = matches!(deed, Operation::Check { first_of: true, .. });
        for (index, attempt) in attempts.iter_mut().enumerate() {
            // The candidates before the deciding one were rejected because their own findings failed.
            attempt.verdict = if index < deciding && first_of { Verdict::Failed } else { judged.verdict() };
        }
        Ok(judged)
    }

    /// Moves the deciding observation to the top of the record, and judges the record as it will be kept.
    fn decide(
        &self,
        record: &mut StepRecord,
        pace: &PollPolicy<'_>,
        judged: Judged,
    ) -> Result<Judged, RecordError> {
        let Some(last) = record.attempts.len().checked_sub(1) else {
            return self.judge(record, pace.not_secret);
        };
        let home = match record.attempts[last].same_as {
            Some(index) => usize::try_from(index).unwrap_or(last),
            None => last,
        };
        record.observation = record.attempts[home].observation.take().unwrap_or_default();
        if record.attempts[last].error.is_none() {
            for attempt in &mut record.attempts {
                if attempt.same_as == i64::try_from(home).ok() {
                    attempt.same_as = Some(-1);
                }
            }
            record.attempts[home].same_as = Some(-1);
        }
        // A single round without `hold` was judged on the same data, which only had the observation in another place.
        if record.attempts[last].round == 1 && record.hold.is_none() {
            Ok(judged)
        } else {
            self.judge(record, pace.not_secret)
        }
    }

    /// Keeps the response unchanged, if the step requests it.
    fn answer(&self, pace: &PollPolicy<'_>, scenario: &str, cx: &Cx) -> Result<(), RecordError> {
        match (pace.evidence, cx.log.take_answer()) {
            (Some(name), Some(bytes)) => self.recorder().answer(scenario, name, &bytes, pace.not_secret),
            _ => Ok(()),
        }
    }
}

/// Adds attempts to the record, and keeps equal observations only once.
fn keep_once(record: &mut StepRecord, attempts: Vec<Attempt>) {
    for mut attempt in attempts {
        let same = record.attempts.iter().rposition(|other| {
            other.observation.is_some()
                && other.observation == attempt.observation
                && other.candidate == attempt.candidate
        });
        if let Some(index) = same {
            attempt.observation = None;
            attempt.same_as = i64::try_from(index).ok();
        }
        record.attempts.push(attempt);
    }
}

fn undo_missing(debt: &OpenPromise) -> StepError {
    let kept = debt.folder.join(debt.promised.private.as_deref().unwrap_or("private"));
    let message = format!(
        "the way back holds secrets and was kept in {}, which is gone or cannot be read",
        kept.display()
    );
    StepError::new(ErrorCode::UndoMissing, message)
}

fn late(cx: &Cx) -> StepError {
    StepError::new(ErrorCode::Timeout, format!("no answer within {}", cx.timeout))
        .help("`timeout:` gives an attempt more time")
        .transient()
}

fn interrupted(stop: &Stop) -> StepError {
    StepError::new(ErrorCode::Interrupted, format!("interrupted: {}", stop.reason().unwrap_or_default()))
}

/// The event for a round that another one follows, with the first finding that did not pass.
fn attempted(record: &StepRecord, round: u32, judged: &Judged) -> Event {
    let open = judged.findings.iter().find(|finding| finding.verdict != Verdict::Passed);
    Event::Attempted {
        scenario: record.scenario.clone(),
        step: record.step.clone(),
        round,
        verdict: judged.verdict(),
        why: open.map_or_else(|| "as expected so far".to_owned(), sentence),
        code: open.and_then(|finding| finding.code),
    }
}
