//! The only loop: looks again while a step says so, and keeps every look.

use super::step::not_tried;
use super::{Runner, rounded};
use crate::model::{Attempt, Event, StepRecord, Verdict};
use crate::record::RecordError;
use crate::report::text::sentence;
use crate::scenario::{Doing, Filled, Judged, Scenario, Step};
use crate::steps::{Cx, StepError};
use crate::undo::Final;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// The limit of the client comes first: it can say where it waited and how far it came, and takes the exchange down.
const MARGIN: Duration = Duration::from_millis(100);

/// One look, before it is kept.
struct Look {
    attempt: Attempt,
    lasting: bool,
}

impl Runner {
    /// Looks once, or as often as `within` and `hold` ask; the last look decides.
    pub(super) async fn look(
        &self,
        scenario: &Scenario,
        step: &Step,
        filled: &Filled,
        record: &mut StepRecord,
    ) -> Result<Judged, RecordError> {
        let mut cx = self.context(step, filled);
        let began = self.world.clock.elapsed();
        let mut holding: Option<Timestamp> = None;
        loop {
            let round = record.attempts.last().map_or(0, |attempt| attempt.round) + 1;
            let looks = self.round(step, filled, &mut cx, round).await?;
            let lasting = looks.iter().any(|look| look.lasting);
            let mut attempts: Vec<Attempt> = looks.into_iter().map(|look| look.attempt).collect();
            let judged = self.judge_round(record, step, filled, &mut attempts)?;
            let span = attempts.first().zip(attempts.last()).map(|(first, last)| (first.at, last.at));
            let (first, last) = span.unwrap_or((record.started, record.started));
            keep_once(record, attempts);
            let passed = judged.verdict() == Verdict::Passed;
            holding = if passed { holding.or(Some(first)) } else { None };
            let held = holding.map(|since| last.duration_since(since).unsigned_abs());
            let pause = if passed || !lasting { self.pause(step, began, held) } else { None };
            let Some(pause) = pause else {
                self.answer(step, &scenario.id, &cx)?;
                return self.decide(record, step, judged);
            };
            let (scenario, step_id) = (scenario.id.clone(), step.id.clone());
            let why = why(&judged);
            let verdict = judged.verdict();
            self.event(Event::Attempted { scenario, step: step_id, round, verdict, why }, &step.not_secret)?;
            let mut stop = self.world.stop.clone();
            tokio::select! {
                biased;
                // It would have been looked again, so the last look does not decide: nobody knows what came after.
                () = stop.stopped() => {
                    let why = format!("interrupted: {}", stop.reason().unwrap_or_default());
                    let attempt = Attempt { round: round + 1, ..not_tried(self.world.clock.now(), why) };
                    record.attempts.push(attempt);
                    self.answer(step, &record.scenario, &cx)?;
                    return self.decide(record, step, judged);
                }
                () = self.world.clock.sleep(pause) => {}
            }
        }
    }

    /// How long to wait before the next look; `None` when this one decides.
    fn pause(&self, step: &Step, began: Duration, held: Option<Duration>) -> Option<Duration> {
        if step.acts {
            return None;
        }
        let left = match (held, step.hold, step.within) {
            (Some(_), None, _) | (None, _, None) => return None,
            // Between the looks that were made, as the judgement counts: a slow look does not hold by itself.
            (Some(held), Some(hold), _) => hold.0.saturating_sub(held),
            (None, _, Some(within)) => {
                within.0.saturating_sub(self.world.clock.elapsed().saturating_sub(began))
            }
        };
        // Holding needs one look at or after its end; polling needs none.
        (left > Duration::ZERO).then(|| left.min(step.every.0).max(Duration::from_millis(1)))
    }

    /// One round: one look, or one at each candidate until one decides.
    async fn round(
        &self,
        step: &Step,
        filled: &Filled,
        cx: &mut Cx,
        round: u32,
    ) -> Result<Vec<Look>, RecordError> {
        let mut looks = vec![];
        let candidates = match &filled.doing {
            Doing::Act(_) => 1,
            Doing::Check(checks) => checks.len(),
        };
        for candidate in 0..candidates {
            let look = self.one(step, filled, cx, (round, candidate)).await?;
            let stop = match (&filled.doing, &look.attempt.observation) {
                (Doing::Check(checks), Some(seen)) => {
                    let own = checks[candidate].judge(seen, look.attempt.at);
                    Verdict::fold(own.iter().map(|finding| finding.verdict)) != Verdict::Failed
                }
                _ => true,
            };
            looks.push(look);
            if stop {
                break;
            }
        }
        Ok(looks)
    }

    async fn one(
        &self,
        step: &Step,
        filled: &Filled,
        cx: &mut Cx,
        (round, candidate): (u32, usize),
    ) -> Result<Look, RecordError> {
        let (at, began) = (self.world.clock.now(), self.world.clock.elapsed());
        // What an earlier look was answered is no evidence of this one.
        cx.log.take_answer();
        let seen = match &filled.doing {
            // An act is never cancelled: it ends by its own timeout. Nothing is changed while evidence cannot be written.
            Doing::Act(act) => {
                self.recorder().settle()?;
                act.act(cx, &Final::declare()).await
            }
            Doing::Check(checks) => {
                let mut stop = self.world.stop.clone();
                let limit = cx.timeout.0 + MARGIN;
                tokio::select! {
                    seen = tokio::time::timeout(limit, checks[candidate].observe(cx)) => {
                        seen.unwrap_or_else(|_| Err(late(cx)))
                    }
                    () = stop.stopped() => Err(StepError {
                        message: format!("interrupted: {}", stop.reason().unwrap_or_default()), transient: false,
                    }),
                }
            }
        };
        let (observation, error, lasting) = match seen {
            Ok(seen) => (Some(seen), None, false),
            Err(error) => (None, Some(error.message), !error.transient),
        };
        let attempt = Attempt {
            round,
            candidate: filled.first_of.then_some(candidate),
            at,
            seconds: rounded((self.world.clock.elapsed().saturating_sub(began)).as_secs_f64()),
            requests: cx.log.take(),
            error,
            observation,
            same_as: None,
            verdict: Verdict::Unverified,
        };
        // Grafana locks a user out after five wrong logins, so a 401 is not asked for twice, seen or not.
        let refused = attempt.requests.iter().any(|exchange| exchange.status == Some(401));
        let lasting = lasting || refused;
        let clean = self.recorder().clean(&attempt, &step.not_secret)?;
        let mut attempt: Attempt = serde_json::from_value(clean.into_inner())?;
        if let Some(observation) = &mut attempt.observation {
            self.recorder().outline(observation)?;
        }
        Ok(Look { attempt, lasting })
    }

    /// What this round alone would conclude.
    fn judge_round(
        &self,
        record: &StepRecord,
        step: &Step,
        filled: &Filled,
        attempts: &mut [Attempt],
    ) -> Result<Judged, RecordError> {
        let alone = StepRecord {
            attempts: attempts.to_vec(),
            hold: None,
            observation: Value::Null,
            ..record.clone()
        };
        let judged = self.judge(&alone, step)?;
        let deciding = attempts.len().saturating_sub(1);
        for (index, attempt) in attempts.iter_mut().enumerate() {
            // The candidates before the deciding one were passed over because their own findings failed.
            attempt.verdict =
                if index < deciding && filled.first_of { Verdict::Failed } else { judged.verdict() };
        }
        Ok(judged)
    }

    /// Moves the deciding observation to the top of the record, and judges what will be kept.
    fn decide(&self, record: &mut StepRecord, step: &Step, judged: Judged) -> Result<Judged, RecordError> {
        let Some(last) = record.attempts.len().checked_sub(1) else { return self.judge(record, step) };
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
        // One round without `hold` was judged on the very same bytes but for where the observation stands.
        if record.attempts[last].round == 1 && record.hold.is_none() {
            Ok(judged)
        } else {
            self.judge(record, step)
        }
    }

    /// Keeps the answer as it came, where the step asks for it.
    fn answer(&self, step: &Step, scenario: &str, cx: &Cx) -> Result<(), RecordError> {
        match (&step.evidence, cx.log.take_answer()) {
            (Some(name), Some(bytes)) => self.recorder().answer(scenario, name, &bytes, &step.not_secret),
            _ => Ok(()),
        }
    }
}

/// Equal observations are kept once.
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

fn late(cx: &Cx) -> StepError {
    StepError {
        message: format!("no answer within {}; `timeout:` gives an attempt more time", cx.timeout),
        transient: true,
    }
}

/// The first finding that did not pass, in one line.
fn why(judged: &Judged) -> String {
    let open = judged.findings.iter().find(|finding| finding.verdict != Verdict::Passed);
    open.map_or_else(|| "as expected so far".to_owned(), sentence)
}
