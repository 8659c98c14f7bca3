//! Folds events into a report. Every verdict is derived again from the findings up; where the run itself recorded a
//! worse verdict, the worse one counts. Anything without an end event is `unverified`.

use super::{Counts, Report, ScenarioReport, StepReport, Tally};
use proofmark_model::{Event, Exit, FORMAT, Finding, Line, RunInfo, ScenarioInfo, Verdict};

const NOT_REACHED: &str = "not reached";
const NOT_ENDED: &str = "began and did not end";

/// Folds the events of a run. `complete` says whether the run's manifest exists; the report is complete only if the
/// events also contain the run's end and none before it is missing.
pub fn fold(info: Option<&RunInfo>, lines: &[Line], complete: bool) -> Report {
    let mut story = Story::default();
    for line in lines {
        story.take(&line.event);
    }
    let gapless = lines.iter().zip(0..).all(|(line, seq)| line.seq == seq) && !story.run.is_empty();
    let complete = complete && gapless && story.ended.is_some();
    let scenarios: Vec<_> = story.scenarios.into_iter().map(Tale::settle).collect();
    let mut verdict = Verdict::fold(scenarios.iter().map(|scenario| scenario.verdict));
    if !complete {
        verdict = Verdict::fold([verdict, Verdict::Unverified]);
    }
    if let Some(ended) = story.ended {
        verdict = worse(verdict, ended.verdict);
    }
    let steps = scenarios.iter().flat_map(|scenario| &scenario.steps).map(|step| step.verdict);
    let counts =
        Counts { scenarios: Tally::of(scenarios.iter().map(|s| s.verdict)), steps: Tally::of(steps) };
    let started = info.map(|info| info.started).or(lines.first().map(|line| line.at));
    let between = || Some(lines.last()?.at.duration_since(lines.first()?.at).as_secs_f64());
    Report {
        proofmark: FORMAT.to_owned(),
        run: info.map_or(story.run, |info| info.run.clone()),
        verdict,
        exit: exit(verdict, story.ended.filter(|_| complete)),
        complete,
        evidence: None,
        started,
        seconds: story.ended.map(|ended| ended.seconds).or_else(between).unwrap_or(0.0),
        command: info.map(|info| info.command.clone()),
        version: info.map(|info| info.version.clone()),
        operator: info.map(|info| info.operator.clone()),
        host: info.map(|info| info.host.clone()),
        commit: info.and_then(|info| info.commit.clone()),
        environment: info.and_then(|info| info.environment.as_ref()).map(|file| file.path.clone()),
        allow: info.map(|info| info.allow.clone()),
        interrupted_by: story.interrupted_by,
        counts,
        scenarios,
    }
}

/// The exit that the run recorded; but an exit that only repeats a verdict follows the verdict derived from the
/// findings.
fn exit(verdict: Verdict, ended: Option<Ended>) -> Exit {
    match ended.map(|ended| ended.exit) {
        None => Exit::Unverified,
        Some(Exit::Passed | Exit::Failed | Exit::Unverified) => Exit::of(verdict, false, false),
        Some(other) => other,
    }
}

/// Of two verdicts on the same thing, the one that claims less.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    let rank = |verdict| match verdict {
        Verdict::Passed => 0,
        Verdict::Skipped => 1,
        Verdict::Unverified => 2,
        Verdict::Failed => 3,
    };
    if rank(one) >= rank(other) { one } else { other }
}

#[derive(Clone, Copy)]
struct Ended {
    verdict: Verdict,
    exit: Exit,
    seconds: f64,
}

/// How far a step got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Nowhere,
    Started,
    Ended,
}

/// The state derived from the events so far.
#[derive(Default)]
struct Story {
    run: String,
    interrupted_by: Option<String>,
    ended: Option<Ended>,
    scenarios: Vec<Tale>,
}

/// One scenario, as far as the events describe it.
struct Tale {
    report: ScenarioReport,
    /// How far each step got, in the same order.
    came: Vec<Came>,
    /// The index of the step in the last event: the next event is usually about this step or the one after it.
    last: usize,
    /// The verdict and reason of its end event.
    end: Option<(Verdict, Option<String>)>,
}

impl Story {
    fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, scenarios } => {
                self.run.clone_from(run);
                for info in scenarios {
                    self.list(info);
                }
            }
            Event::ScenarioStarted { scenario } => {
                self.scenario(scenario).report.reason = Some(NOT_ENDED.to_owned());
            }
            Event::StepStarted { scenario, step, kind } => {
                let (report, came) = self.scenario(scenario).step(step);
                if *came == Came::Nowhere {
                    *came = Came::Started;
                    report.kind = Some(kind.clone());
                    report.reason = Some(NOT_ENDED.to_owned());
                }
            }
            Event::Attempted { scenario, step, round, why, .. } => {
                let (report, came) = self.scenario(scenario).step(step);
                if *came != Came::Ended {
                    *came = Came::Started;
                    report.rounds = *round;
                    report.reason = Some(format!("{NOT_ENDED}; the last attempt said: {why}"));
                }
            }
            Event::StepEnded { scenario, step, .. } => {
                let Some((_, ended)) = StepReport::ended(event) else { return };
                let (report, came) = self.scenario(scenario).step(step);
                let again = std::mem::replace(came, Came::Ended) == Came::Ended;
                report.end(ended, again);
            }
            Event::Reverted { scenario, step, verdict, findings, file, sha256, .. } => {
                let (report, came) = self.scenario(scenario).step(step);
                // A recovery lists steps that another run has executed.
                let known = *came == Came::Ended;
                report.put_back(*verdict, findings, (file, sha256), known);
                *came = Came::Ended;
            }
            Event::ScenarioEnded { scenario, verdict, reason, seconds } => {
                let tale = self.scenario(scenario);
                tale.report.seconds = *seconds;
                tale.report.reason.clone_from(reason);
                let said = tale.end.as_ref().map_or(*verdict, |end| worse(end.0, *verdict));
                tale.end = Some((said, reason.clone()));
            }
            Event::Interrupted { by } => self.interrupted_by = Some(by.clone()),
            Event::RunEnded { verdict, exit, seconds, .. } => {
                self.ended = Some(Ended { verdict: *verdict, exit: *exit, seconds: *seconds });
            }
        }
    }

    /// Adds a scenario as the plan lists it.
    fn list(&mut self, info: &ScenarioInfo) {
        let tale = self.scenario(&info.id);
        tale.report.title.clone_from(&info.title);
        tale.report.claim.clone_from(&info.claim);
        tale.report.does_not_prove.clone_from(&info.does_not_prove);
        tale.report.source = (!info.file.is_empty()).then(|| info.file.clone());
        for (at, (id, title)) in info.steps.iter().enumerate() {
            let step = tale.step(id).0;
            step.title.clone_from(title);
            step.line = info.lines.get(at).copied().filter(|line| *line > 0);
        }
    }

    /// Returns a scenario by its id; one that the plan did not list is added as well.
    fn scenario(&mut self, id: &str) -> &mut Tale {
        let at = self.scenarios.iter().position(|tale| tale.report.id == id).unwrap_or_else(|| {
            self.scenarios.push(Tale::unreached(id));
            self.scenarios.len() - 1
        });
        &mut self.scenarios[at]
    }
}

impl Tale {
    fn unreached(id: &str) -> Self {
        let report = ScenarioReport {
            id: id.to_owned(),
            title: id.to_owned(),
            claim: String::new(),
            does_not_prove: None,
            source: None,
            verdict: Verdict::Unverified,
            reason: Some(NOT_REACHED.to_owned()),
            seconds: 0.0,
            steps: Vec::new(),
        };
        Self { report, came: Vec::new(), last: 0, end: None }
    }

    /// Returns a step by its id, and how far it got.
    fn step(&mut self, id: &str) -> (&mut StepReport, &mut Came) {
        let steps = &mut self.report.steps;
        let is = |at: &usize| steps.get(*at).is_some_and(|step| step.id == id);
        let near = [self.last, self.last + 1].into_iter().find(is);
        let at = near.or_else(|| (0..steps.len()).find(is)).unwrap_or_else(|| {
            steps.push(StepReport::unreached(id));
            self.came.push(Came::Nowhere);
            steps.len() - 1
        });
        self.last = at;
        (&mut steps[at], &mut self.came[at])
    }

    /// Derives the scenario's verdict from its steps.
    fn settle(mut self) -> ScenarioReport {
        if let Some((Verdict::Skipped, Some(reason))) = &self.end {
            let steps = self.report.steps.iter_mut().zip(&self.came);
            for (step, _) in steps.filter(|(_, came)| **came == Came::Nowhere) {
                step.verdict = Verdict::Skipped;
                step.reason = Some(reason.clone());
            }
        }
        self.report.verdict = conclude(&self.report.steps, self.end.as_ref());
        self.report
    }
}

/// The verdict of a scenario. One that was skipped as a whole with a reason is `skipped` even without steps.
fn conclude(steps: &[StepReport], end: Option<&(Verdict, Option<String>)>) -> Verdict {
    let folded = Verdict::fold(steps.iter().map(|step| step.verdict));
    match end {
        None => Verdict::fold([folded, Verdict::Unverified]),
        Some((Verdict::Skipped, Some(_))) if steps.is_empty() => Verdict::Skipped,
        Some((said, _)) => worse(folded, *said),
    }
}

impl StepReport {
    fn unreached(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: None,
            line: None,
            kind: None,
            verdict: Verdict::Unverified,
            reason: Some(NOT_REACHED.to_owned()),
            seconds: 0.0,
            rounds: 0,
            file: None,
            sha256: None,
            findings: Vec::new(),
        }
    }

    /// Returns the content of a step's end event, with the id of its scenario; `None` for any other event.
    pub fn ended(event: &Event) -> Option<(&str, StepReport)> {
        let Event::StepEnded {
            scenario,
            step,
            kind,
            verdict,
            reason,
            seconds,
            rounds,
            file,
            sha256,
            findings,
        } = event
        else {
            return None;
        };
        let (verdict, reason) = weigh(*verdict, reason.clone(), findings);
        let report = StepReport {
            id: step.clone(),
            title: None,
            line: None,
            kind: Some(kind.clone()),
            verdict,
            reason,
            seconds: *seconds,
            rounds: *rounds,
            file: Some(file.clone()),
            sha256: Some(sha256.clone()),
            findings: findings.clone(),
        };
        Some((scenario, report))
    }

    /// Returns the content of a `reverted` event, with the id of its scenario; `None` for any other event.
    pub fn reverted(event: &Event) -> Option<(&str, StepReport)> {
        let Event::Reverted { scenario, step, verdict, findings, seconds, rounds, .. } = event else {
            return None;
        };
        let told = Self::unreached(step);
        let (verdict, reason) = weigh(*verdict, None, findings);
        let (seconds, rounds, findings) = (*seconds, *rounds, findings.clone());
        let kind = Some("put back".to_owned());
        Some((scenario, Self { kind, verdict, reason, seconds, rounds, findings, ..told }))
    }

    /// Applies a step's end event. A step cannot end twice; if the events contain two ends, the findings of both are
    /// kept.
    fn end(&mut self, ended: StepReport, again: bool) {
        let (title, line) = (self.title.take(), self.line);
        let before = std::mem::replace(self, ended);
        (self.title, self.line) = (title, line);
        if again {
            self.verdict = worse(before.verdict, self.verdict);
            self.findings.splice(0..0, before.findings);
            self.reason = before.reason.or(self.reason.take());
        }
    }
}

impl StepReport {
    /// Applies the outcome of putting a change back. If it failed, the report points to the file that records it.
    fn put_back(&mut self, said: Verdict, findings: &[Finding], place: (&str, &str), known: bool) {
        let (verdict, reason) = weigh(said, None, findings);
        if known {
            self.verdict = Verdict::fold([self.verdict, verdict]);
        } else {
            (self.verdict, self.reason) = (verdict, reason);
        }
        if !known || verdict != Verdict::Passed {
            (self.file, self.sha256) = (Some(place.0.to_owned()), Some(place.1.to_owned()));
        }
        // Putting back is tried again at the end of the run and may give the same findings.
        let new: Vec<_> =
            findings.iter().filter(|finding| !self.findings.contains(finding)).cloned().collect();
        self.findings.extend(new);
    }
}

/// The verdict of a step: the fold of its findings, or the recorded verdict if that is worse. A skipped step has no
/// findings, only its reason; without one it is undecided.
fn weigh(said: Verdict, reason: Option<String>, findings: &[Finding]) -> (Verdict, Option<String>) {
    if said == Verdict::Skipped && findings.is_empty() {
        return match reason {
            Some(reason) => (Verdict::Skipped, Some(reason)),
            None => (Verdict::Unverified, Some("skipped without a reason".to_owned())),
        };
    }
    let folded = Verdict::fold(findings.iter().map(|finding| finding.verdict));
    let verdict = worse(folded, said);
    let differs = || format!("the run said {}, its findings say {}", said.word(), folded.word());
    let reason = match (folded == said, findings.is_empty()) {
        (true, false) => reason,
        (true, true) => reason.or_else(|| Some("no findings".to_owned())),
        (false, true) => {
            reason.or_else(|| Some(format!("the run said {}, but there are no findings", said.word())))
        }
        (false, false) => Some(reason.map_or_else(differs, |reason| format!("{}; {reason}", differs()))),
    };
    (verdict, reason)
}

#[cfg(test)]
mod tests;
