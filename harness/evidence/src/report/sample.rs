//! Made-up runs shared by the tests of the renderings.

use super::{Report, fold};
use proofmark_model::{Event, Exit, FORMAT, FileHash, Finding, Line, RunInfo, ScenarioInfo, Verdict};
use serde_json::json;

pub(super) fn info() -> RunInfo {
    RunInfo {
        proofmark: FORMAT.to_owned(),
        version: "0.1.0".to_owned(),
        run: "20260216T020000Z-x7k2q9".to_owned(),
        started: "2026-02-16T02:00:00Z".parse().unwrap(),
        command: "run".to_owned(),
        environment: Some(FileHash { path: "environments/homelab.yaml".to_owned(), sha256: "0".repeat(64) }),
        connections: std::collections::BTreeMap::default(),
        scenarios: Vec::new(),
        vars: std::collections::BTreeMap::default(),
        allow: Vec::new(),
        commit: Some("60f4ed0c1d2e".to_owned()),
        host: "runner-1".to_owned(),
        operator: "anna".to_owned(),
        programs: vec![],
    }
}

pub(super) fn lines(events: Vec<Event>) -> Vec<Line> {
    let start: jiff::Timestamp = "2026-02-16T02:00:00Z".parse().unwrap();
    let at = |seq: u64| start + std::time::Duration::from_millis(seq * 500);
    events.into_iter().zip(0..).map(|(event, seq)| Line { seq, at: at(seq), event }).collect()
}

pub(super) fn scenario(id: &str, title: &str, claim: &str, steps: &[(&str, &str)]) -> ScenarioInfo {
    ScenarioInfo {
        id: id.to_owned(),
        title: title.to_owned(),
        claim: claim.to_owned(),
        does_not_prove: Some("That a Velero backup can be restored.".to_owned()),
        file: format!("scenarios/{id}.yaml"),
        sha256: "1".repeat(64),
        steps: steps.iter().map(|(id, title)| ((*id).to_owned(), Some((*title).to_owned()))).collect(),
        lines: (1..).map(|number| 4 * number).take(steps.len()).collect(),
    }
}

pub(super) fn ended(
    scenario: &str,
    step: &str,
    kind: &str,
    verdict: Verdict,
    findings: Vec<Finding>,
) -> Event {
    Event::StepEnded {
        scenario: scenario.to_owned(),
        step: step.to_owned(),
        kind: kind.to_owned(),
        verdict,
        reason: (verdict == Verdict::Skipped).then(|| "step `target` did not pass".to_owned()),
        seconds: 0.02,
        rounds: if verdict == Verdict::Failed { 3 } else { 1 },
        file: format!("{scenario}/{step}.json"),
        sha256: "2".repeat(64),
        findings,
    }
}

pub(super) fn scenario_ended(scenario: &str, verdict: Verdict, reason: Option<&str>, seconds: f64) -> Event {
    Event::ScenarioEnded {
        scenario: scenario.to_owned(),
        verdict,
        reason: reason.map(str::to_owned),
        seconds,
    }
}

fn plan() -> Vec<ScenarioInfo> {
    let metrics = scenario(
        "phase5/velero-metrics",
        "Velero metrics are scraped",
        "A failed Velero backup shows in Prometheus.",
        &[
            ("target", "The Velero target is up"),
            ("attempts", "Attempts are counted"),
            ("silence", "A silence"),
        ],
    );
    let rules = scenario(
        "phase5/rules",
        "Rules are healthy",
        "Every rule can fire.",
        &[("rules", "The rules are read")],
    );
    let drill =
        scenario("phase5/drill", "The alert drill", "An alert reaches a person.", &[("drill", "Drill")]);
    vec![metrics, rules, drill]
}

/// The findings of the steps `target`, `attempts` and `rules`.
fn findings() -> [Vec<Finding>; 3] {
    let up = json!({"job": "velero", "instance": "10.0.0.7:8085", "health": "down", "last-error": "connection refused"});
    let target = vec![
        Finding::judged("at least one target", "at least 1", 1, true),
        Finding::judged("every target is up", "up", up, false)
            .with_help("Look at the target's last error: `kubectl -n velero get endpoints velero` shows where it points."),
    ];
    let attempts = vec![
        Finding::undecided("at least one sample", "at least 1", "a masked value cannot be compared")
            .with_help("Except the key `attempts` from masking."),
    ];
    let passed = vec![
        Finding::judged("at least one rule", "at least 1", 12, true),
        Finding::judged("every rule is healthy", "ok", "ok", true),
    ];
    [target, attempts, passed]
}

pub(super) fn events() -> Vec<Event> {
    let [target, attempts, passed] = findings();
    let velero = "phase5/velero-metrics";
    vec![
        Event::RunStarted { run: info().run, scenarios: plan() },
        Event::ScenarioStarted { scenario: velero.to_owned() },
        Event::StepStarted {
            scenario: velero.to_owned(),
            step: "target".into(),
            kind: "prometheus-targets".into(),
        },
        Event::Attempted {
            scenario: velero.to_owned(),
            step: "target".into(),
            round: 1,
            verdict: Verdict::Failed,
            why: "every target is up".into(),
            code: None,
        },
        ended(velero, "target", "prometheus-targets", Verdict::Failed, target),
        ended(velero, "attempts", "prometheus-query", Verdict::Unverified, attempts),
        ended(velero, "silence", "silence", Verdict::Skipped, vec![]),
        scenario_ended(velero, Verdict::Failed, None, 12.3),
        Event::ScenarioStarted { scenario: "phase5/rules".into() },
        ended("phase5/rules", "rules", "prometheus-rules", Verdict::Passed, passed),
        scenario_ended("phase5/rules", Verdict::Passed, None, 0.4),
        scenario_ended(
            "phase5/drill",
            Verdict::Skipped,
            Some("needs phase5/velero-metrics, which failed"),
            0.0,
        ),
        Event::RunEnded {
            verdict: Verdict::Failed,
            exit: Exit::Failed,
            failed: vec![format!("{velero}#target")],
            unverified: vec![format!("{velero}#attempts")],
            seconds: 12.8,
        },
    ]
}

/// One of everything: a failed, an undecided, two skipped and a passed step.
pub(super) fn failed() -> Report {
    Report {
        evidence: Some(format!("evidence/{}", info().run)),
        ..fold(Some(&info()), &lines(events()), true)
    }
}

/// The same run, killed in the middle of its first step.
pub(super) fn incomplete() -> Report {
    fold(Some(&info()), &lines(events())[..4], false)
}

/// A run in which everything passed.
pub(super) fn passed() -> Report {
    let mut events = events();
    events.drain(1..8);
    events.retain(
        |event| !matches!(event, Event::ScenarioEnded { scenario, .. } if scenario == "phase5/drill"),
    );
    if let Event::RunStarted { scenarios, .. } = &mut events[0] {
        scenarios.retain(|scenario| scenario.id == "phase5/rules");
    }
    if let Some(Event::RunEnded { verdict, exit, .. }) = events.last_mut() {
        (*verdict, *exit) = (Verdict::Passed, Exit::Passed);
    }
    fold(Some(&info()), &lines(events), true)
}

/// A run in which every text attacks the page, the terminal or the XML.
pub(super) fn hostile() -> Report {
    let attack =
        "<script>alert(1)</script>\"'&]]>{{run}}\u{1b}[2J\u{0}\u{202e}\u{ffff}\n<img src=x onerror=y>";
    let mut report = failed();
    report.run = attack.to_owned();
    for text in [&mut report.operator, &mut report.host, &mut report.environment, &mut report.interrupted_by]
    {
        *text = Some(attack.to_owned());
    }
    for scenario in &mut report.scenarios {
        scenario.id = attack.to_owned();
        scenario.title = attack.to_owned();
        scenario.claim = attack.to_owned();
        scenario.does_not_prove = Some(attack.to_owned());
        scenario.reason = Some(attack.to_owned());
        for step in &mut scenario.steps {
            step.id = attack.to_owned();
            step.title = Some(attack.to_owned());
            step.kind = Some(attack.to_owned());
            step.reason = Some(attack.to_owned());
            step.file = Some(attack.to_owned());
            for finding in &mut step.findings {
                finding.what = attack.to_owned();
                finding.expected = json!({ attack: attack });
                finding.seen = attack.into();
                finding.help = Some(attack.to_owned());
            }
        }
    }
    report
}
