//! Which backups stay when old ones are deleted.

use proofmark_backup::variables::retention;
use proofmark_environment::Variables;
use proofmark_model::Duration;
use proofmark_model::diag::Diag;
use serde_json::{Map, Value, json};

/// The rules: what any of them keeps stays.
#[derive(Debug, Clone)]
pub struct RetentionRules {
    /// How many of the newest stay.
    pub keep: Option<usize>,
    /// How old those are that stay.
    pub keep_within: Option<Duration>,
    /// How many remain however old they are.
    pub keep_at_least: usize,
}

impl Default for RetentionRules {
    /// No rule of its own: environment variables decide, and one backup remains always.
    fn default() -> Self {
        Self { keep: None, keep_within: None, keep_at_least: 1 }
    }
}

impl RetentionRules {
    /// Whether the request has a rule of its own.
    pub(super) fn are_given(&self) -> bool {
        self.keep.is_some() || self.keep_within.is_some()
    }

    /// The `vars` of a scenario: from the request, else from environment variables. `None` where neither has a rule.
    pub(super) fn read(&self) -> Result<Option<Map<String, Value>>, Vec<Diag>> {
        let (last, within) =
            if self.are_given() { (self.keep, self.keep_within) } else { retention(Variables::PROCESS)? };
        let rules = json!({ "keep-last": last, "keep-within": within, "keep-at-least": self.keep_at_least });
        let found = last.is_some() || within.is_some();
        Ok(rules.as_object().filter(|_| found).cloned())
    }
}
