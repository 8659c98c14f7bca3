//! A twin: how a world is broken on purpose, and which step and finding must fail in it, and no other.

use super::{FileSpec, LabError, Metric, MinioBreak};
use proofmark_evidence::report::text::sentence;
use proofmark_model::{Finding, Verdict};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A twin, as its file holds it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Twin {
    /// The id of the scenario that must fail.
    pub twin_of: String,
    /// What is wrong with the world, in words.
    pub title: String,
    /// Is it part of the demo's broken world?
    #[serde(default)]
    pub in_demo: bool,
    /// How the world is broken.
    pub breaks: Vec<Break>,
    /// What must fail.
    pub fails: Vec<Failure>,
}

/// One way to break a world.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Break {
    /// The application of this name is gone.
    Stop(String),
    /// A page says something else, still with status 200.
    Page {
        /// The application.
        app: String,
        /// The page.
        path: String,
        /// What it says now.
        becomes: Value,
    },
    /// A metric is another.
    Metric {
        /// The application.
        app: String,
        /// The metric.
        name: String,
        /// What it is now.
        becomes: Metric,
    },
    /// A file is another, or gone.
    File {
        /// The file, below the world's folder.
        path: String,
        /// What it is now; nothing removes it.
        becomes: Option<FileSpec>,
    },
    /// A rule of Prometheus is another, or none.
    Rule {
        /// The alert's name, or the metric that is recorded.
        name: String,
        /// Its expression now; none removes the rule.
        becomes: Option<String>,
    },
    /// Prometheus is made to reload this text, which it must refuse.
    Reload(String),
    /// Alertmanager has this configuration instead.
    Alertmanager(Value),
    /// Alerts with exactly these labels are silenced.
    Silence(BTreeMap<String, String>),
    /// This was done to the database.
    Sql(String),
    /// Something is wrong with MinIO.
    Minio(MinioBreak),
}

/// A step that must fail, and the finding in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Failure {
    /// The step's id.
    pub step: String,
    /// Part of what the finding says that it judged.
    pub finding: String,
}

impl Twin {
    /// Reads a twin's file.
    ///
    /// # Errors
    /// Where it does not fit, or names nothing that must fail.
    pub fn parse(name: &str, text: &str) -> Result<Self, LabError> {
        let wrong = |why: String| LabError::Wrong(format!("the twin {name} cannot be read: {why}"));
        let twin: Self = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if twin.fails.is_empty() || twin.breaks.is_empty() {
            return Err(wrong("it needs at least one entry in `breaks` and one in `fails`".into()));
        }
        Ok(twin)
    }

    /// The same, where the files that its breaks copy lie below this folder.
    #[must_use]
    pub fn below(mut self, folder: &Path) -> Self {
        for one in &mut self.breaks {
            if let Break::File { becomes: Some(file), .. }
            | Break::Minio(
                MinioBreak::Object { becomes: Some(file), .. } | MinioBreak::Objects { each: file, .. },
            ) = one
            {
                file.below(folder);
            }
        }
        self
    }
}

/// What a run concluded, as far as twins ask: read from the run's JSON report.
#[derive(Debug, Clone, Deserialize)]
pub struct Outcome {
    /// The run's verdict.
    pub verdict: Verdict,
    scenarios: Vec<Scenario>,
}

#[derive(Debug, Clone, Deserialize)]
struct Scenario {
    id: String,
    verdict: Verdict,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
struct Step {
    id: String,
    verdict: Verdict,
    #[serde(default)]
    findings: Vec<Finding>,
}

impl Outcome {
    /// Reads a JSON report.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        serde_json::from_str(text)
            .map_err(|error| LabError::Wrong(format!("the report cannot be read: {error}")))
    }

    /// Did every one of these scenarios run and pass, and no other thing go wrong? Says what is not so.
    pub fn not_passed(&self, scenarios: &[impl AsRef<str>]) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.verdict != Verdict::Passed {
            wrong.push(format!("the run is {}", self.verdict.word()));
        }
        for id in scenarios.iter().map(AsRef::as_ref) {
            match self.scenarios.iter().find(|scenario| scenario.id == id) {
                None => wrong.push(format!("{id} did not run")),
                Some(it) if it.verdict != Verdict::Passed => {
                    wrong.push(format!("{id} is {}", it.verdict.word()));
                }
                Some(_) => {}
            }
        }
        wrong
    }

    /// Did exactly what these twins name fail? Says what is not so.
    pub fn differences(&self, twins: &[&Twin]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut named = BTreeSet::new();
        for twin in twins {
            for failure in &twin.fails {
                named.insert((twin.twin_of.as_str(), failure.step.as_str()));
                wrong.extend(self.missed(&twin.twin_of, failure));
            }
        }
        for scenario in &self.scenarios {
            for step in &scenario.steps {
                let place = (scenario.id.as_str(), step.id.as_str());
                let bad = matches!(step.verdict, Verdict::Failed | Verdict::Unverified);
                if bad && !named.contains(&place) {
                    wrong.push(format!(
                        "{}#{} is {}, and no twin says so",
                        place.0,
                        place.1,
                        step.verdict.word()
                    ));
                }
            }
        }
        wrong
    }

    /// The findings that failed as these twins name them, one readable line each.
    pub fn failures(&self, twins: &[&Twin]) -> Vec<String> {
        let mut lines = Vec::new();
        for twin in twins {
            for failure in &twin.fails {
                let Some(step) = self.step(&twin.twin_of, &failure.step) else { continue };
                for found in step.findings.iter().filter(|found| failure.is(found)) {
                    lines.push(format!("{}#{}  {}", twin.twin_of, step.id, sentence(found)));
                }
            }
        }
        lines
    }

    fn missed(&self, scenario: &str, failure: &Failure) -> Option<String> {
        let place = format!("{scenario}#{}", failure.step);
        let Some(step) = self.step(scenario, &failure.step) else {
            return Some(format!("{place} did not run"));
        };
        if step.verdict != Verdict::Failed {
            return Some(format!("{place} is {}, and had to fail", step.verdict.word()));
        }
        if step.findings.iter().any(|found| failure.is(found)) {
            return None;
        }
        let seen: Vec<&str> =
            step.findings.iter().filter(|f| f.verdict == Verdict::Failed).map(|f| f.what.as_str()).collect();
        Some(format!("{place} failed, but not at `{}`; it failed at: {}", failure.finding, seen.join(", ")))
    }

    fn step(&self, scenario: &str, step: &str) -> Option<&Step> {
        let scenario = self.scenarios.iter().find(|it| it.id == scenario)?;
        scenario.steps.iter().find(|it| it.id == step)
    }
}

impl Failure {
    fn is(&self, found: &Finding) -> bool {
        found.verdict == Verdict::Failed && found.what.contains(&self.finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"run": "r", "verdict": "failed", "exit": 1, "scenarios": [
        {"id": "a", "verdict": "failed", "steps": [
            {"id": "one", "verdict": "failed", "findings": [
                {"what": "$.x equals", "expected": {"equals": 1}, "seen": 2, "verdict": "failed"},
                {"what": "at least one", "expected": 1, "seen": 1, "verdict": "passed"}]},
            {"id": "two", "verdict": "skipped", "findings": []}]},
        {"id": "b", "verdict": "passed", "steps": []}]}"#;

    fn twin(of: &str, step: &str, finding: &str) -> Twin {
        let text = format!(
            "twin-of: {of}\ntitle: T\nbreaks: [{{ stop: x }}]\nfails: [{{ step: {step}, finding: \"{finding}\" }}]\n"
        );
        Twin::parse("t", &text).unwrap()
    }

    #[test]
    fn exactly_what_is_named_must_fail() {
        let outcome = Outcome::parse(REPORT).unwrap();
        assert_eq!(outcome.differences(&[&twin("a", "one", "x equals")]), [] as [&str; 0]);
        // A finding that passed, a step that was skipped, one that is not there, and a failure that no twin names.
        assert_eq!(outcome.differences(&[&twin("a", "one", "at least one")]).len(), 1);
        assert_eq!(outcome.differences(&[&twin("a", "two", "x"), &twin("a", "one", "x equals")]).len(), 1);
        assert_eq!(outcome.differences(&[&twin("b", "one", "x"), &twin("a", "one", "x equals")]).len(), 1);
        assert_eq!(outcome.differences(&[]), ["a#one is failed, and no twin says so"]);
        assert_eq!(outcome.failures(&[&twin("a", "one", "x")]), ["a#one  $.x: expected 1, seen 2"]);
    }

    #[test]
    fn passing_means_every_scenario_and_the_run() {
        let outcome = Outcome::parse(REPORT).unwrap();
        assert_eq!(outcome.not_passed(&["b"]), ["the run is failed"]);
        assert_eq!(
            outcome.not_passed(&["a", "b", "c"]),
            ["the run is failed", "a is failed", "c did not run"]
        );
    }

    #[test]
    fn a_twin_that_names_nothing_is_refused() {
        assert!(Twin::parse("t", "twin-of: a\ntitle: T\nbreaks: [{ stop: x }]\nfails: []\n").is_err());
        assert!(
            Twin::parse("t", "twin-of: a\ntitle: T\nbreaks: []\nfails: [{ step: s, finding: f }]\n").is_err()
        );
    }
}
