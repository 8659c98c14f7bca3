//! The record of one step: `<scenario>/<step>.json`, readable by itself.

use super::{ErrorCode, FORMAT, Finding, SettingMistake, Verdict};
use crate::redact::{Frame, Framed};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration as Std;

/// Everything that is kept of one step. `scenario::judge` derives `findings` again from the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepRecord {
    /// Format version.
    pub proofmark: String,
    /// Scenario id.
    pub scenario: String,
    /// Step id.
    pub step: String,
    /// Step title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The kind's name, or `first-of`.
    pub kind: String,
    /// Whether this is the act of that name. A check may have the same name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acts: bool,
    /// The version of each kind's judging rules.
    pub rules: BTreeMap<String, u32>,
    /// Settings after templates and redaction; under `first-of` a list of `{kind: settings}`.
    pub settings: Value,
    /// The step's `expect` entries after templates and redaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Value>,
    /// The step's `capture` entries: name to JSONPath.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
    /// The step that proved that what is counted can be observed, and that step's verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<(String, Verdict)>,
    /// How long the result had to stay true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// When the step began.
    pub started: Timestamp,
    /// When the step ended.
    pub ended: Timestamp,
    /// The candidate of `first-of` that decided, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<usize>,
    /// The observation of the deciding attempt; `null` if no attempt observed anything.
    pub observation: Value,
    /// The conclusions.
    pub findings: Vec<Finding>,
    /// The fold of `findings`.
    pub verdict: Verdict,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The promise that this record fulfils: the observation shows the state after the change was put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<OwedChange>,
    /// Every attempt, oldest first; the deciding one is the last of its candidate.
    pub attempts: Vec<Attempt>,
}

impl StepRecord {
    /// A record of a step that begins now; everything else is still unknown.
    pub fn begun(scenario: &str, step: &str, kind: String, now: Timestamp) -> Self {
        Self {
            proofmark: FORMAT.into(),
            scenario: scenario.to_owned(),
            step: step.to_owned(),
            title: None,
            kind,
            acts: false,
            rules: BTreeMap::new(),
            settings: Value::Null,
            expect: vec![],
            capture: BTreeMap::new(),
            control: None,
            hold: None,
            started: now,
            ended: now,
            chosen: None,
            observation: Value::Null,
            findings: vec![],
            verdict: Verdict::Unverified,
            reason: None,
            owed: None,
            attempts: vec![],
        }
    }

    /// Returns the same record with only these attempts and no conclusions. The existing attempts, which may be many,
    /// are not copied.
    #[must_use]
    pub fn with_attempts(&self, attempts: Vec<Attempt>) -> Self {
        Self {
            proofmark: self.proofmark.clone(),
            title: self.title.clone(),
            acts: self.acts,
            rules: self.rules.clone(),
            settings: self.settings.clone(),
            expect: self.expect.clone(),
            capture: self.capture.clone(),
            control: self.control.clone(),
            ended: self.ended,
            owed: self.owed.clone(),
            attempts,
            ..Self::begun(&self.scenario, &self.step, self.kind.clone(), self.started)
        }
    }
}

/// A change that is put back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwedChange {
    /// The run that promised it.
    pub run: String,
    /// The promise's number in that run.
    pub promise: u32,
    /// The undo data, secrets masked.
    pub undo: Value,
}

/// One attempt to observe the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attempt {
    /// The round of polling, from 1; the candidates of `first-of` share one.
    pub round: u32,
    /// The candidate of `first-of`, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<usize>,
    /// The time of the observation, which judgements use.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The exchanges with systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Exchange>,
    /// Why nothing was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code of that error. Absent in older evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The observation, unless `same-as` refers to an equal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Value>,
    /// Where the equal observation is: the index of an attempt, or -1 for the step's own `observation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<i64>,
    /// The verdict of this attempt alone.
    pub verdict: Verdict,
}

/// One exchange with a system: enough to repeat it by hand. Secrets are masked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exchange {
    /// `GET`, `POST`, `exec`, `signal`, `start`.
    pub method: String,
    /// The full URL, or the command line.
    pub target: String,
    /// The form or body that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// HTTP status, or exit status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// `Content-Type` of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The server's own clock (`Date` header).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_date: Option<String>,
    /// Bytes received, after decompression.
    pub bytes: u64,
    /// SHA-256 of those bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Seconds from the request to the end of the response.
    pub seconds: f64,
}

pub(super) const EXCHANGE: Frame =
    Frame { own: &["method", "status", "bytes", "sha256", "seconds"], named: &[], parts: &[] };

const OWED: Frame = Frame { own: &["run", "promise"], named: &[], parts: &[] };

impl Framed for Attempt {
    const FRAME: &'static Frame = &Frame {
        own: &["round", "candidate", "at", "seconds", "code", "same-as", "verdict"],
        named: &[],
        parts: &[("requests", &EXCHANGE)],
    };
}

/// Findings are made from values that are already clean; cleaning them again could only make them differ from the
/// judgement.
impl Framed for StepRecord {
    const FRAME: &'static Frame = &Frame {
        own: &[
            "proofmark",
            "scenario",
            "step",
            "kind",
            "acts",
            "rules",
            "control",
            "hold",
            "started",
            "ended",
            "chosen",
            "findings",
            "verdict",
        ],
        named: &["capture"],
        parts: &[("attempts", Attempt::FRAME), ("owed", &OWED)],
    };
}

/// A duration as people write it: `500ms`, `1s`, `2m`, `25h`, `7d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Std);

impl Duration {
    /// A duration of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Std::from_secs(secs))
    }
}

impl std::str::FromStr for Duration {
    type Err = SettingMistake;
    fn from_str(text: &str) -> Result<Self, SettingMistake> {
        let wrong = || {
            SettingMistake::new(format!("`{text}` is no duration"))
                .help("write a whole number and a unit: 500ms, 1s, 2m, 25h, 7d")
        };
        let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..unit].parse().map_err(|_| wrong())?;
        let millis = match &text[unit..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(millis).map(|ms| Self(Std::from_millis(ms))).ok_or_else(wrong)
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            ms if ms == 0 || ms % 1_000 != 0 => write!(f, "{ms}ms"),
            ms if ms % 86_400_000 == 0 => write!(f, "{}d", ms / 86_400_000),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms => write!(f, "{}s", ms / 1_000),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        sampled(d, "$duration")?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "500ms, 1s, 2m, 25h, 7d", "pattern": r"^\d+(ms|s|m|h|d)$" })
    }
}

/// Reads text through a named newtype, so that the document layer can supply a valid sample while the text is still an
/// unfilled template.
///
/// # Errors
/// The deserializer's error when the value is not text.
pub fn sampled<'de, D: Deserializer<'de>>(d: D, name: &'static str) -> Result<String, D::Error> {
    struct Text;
    impl<'de> serde::de::Visitor<'de> for Text {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("text")
        }
        fn visit_str<E>(self, v: &str) -> Result<String, E> {
            Ok(v.to_owned())
        }
        fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<String, D::Error> {
            String::deserialize(d)
        }
    }
    d.deserialize_newtype_struct(name, Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_the_same() {
        for text in ["0ms", "500ms", "1s", "90s", "2m", "25h", "7d"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        for wrong in ["", "1", "s", "1.5s", "-1s", "1 s", "1w", "99999999999999999999d", "9999999999999999d"]
        {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }
}
