//! Holds a rule file during a drill: its original text, the drill's text, and its current state.

use super::edit::{Edit, has_mark, without};
use proofmark_engine::{Cx, StepError};
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::{ErrorCode, sha256};
use proofmark_net::files;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The largest rule file that is accepted, in bytes.
const MAX_FILE: usize = 16 << 20;

/// A rule file, with its original text and the drill's change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RuleFile {
    pub(super) path: PathBuf,
    /// The temporary file that is written before it replaces the rule file.
    pub(super) beside: PathBuf,
    pub(super) original: String,
    pub(super) sha256: String,
    armed: Edit,
    /// The file with a clone that is never true; `None` if the rule itself is changed.
    pub(super) disarmed: Option<Edit>,
}

/// The current content of a rule file.
pub(super) enum State {
    Original,
    Armed,
    Disarmed,
    /// Someone else has changed the file; holds its text.
    Foreign(String),
}

impl RuleFile {
    /// Returns the file that the path leads to, and its content.
    pub(super) fn read(path: &str) -> Result<(PathBuf, String), StepError> {
        // A symbolic link is kept: the file that it points to is replaced.
        let path = Path::new(path).canonicalize().map_err(|error| {
            let code = ErrorCode::of_io(error.kind(), ErrorCode::FileUnreadable);
            let message = format!("expected a rule file at {path}, but: {error}");
            StepError::new(code, message).help("is it on this machine?")
        })?;
        let text = text(&path)?;
        Ok((path, text))
    }

    pub(super) fn new(
        path: PathBuf,
        run: &str,
        original: String,
        armed: Edit,
        disarmed: Option<Edit>,
    ) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The name does not have a suffix that Prometheus would load as rules.
        let beside = path.with_file_name(format!(".{name}.proofmark-{run}"));
        Self { path, beside, sha256: sha256(&original), original, armed, disarmed }
    }

    /// Makes the drill's change, unless someone else changed the file first.
    pub(super) fn arm(&self, leave: &impl ChangePermit) -> Result<(), StepError> {
        if matches!(self.state()?, State::Original) {
            return self.write(&self.armed.of(&self.original), leave);
        }
        let path = self.path.display();
        let message = format!("{path} was changed by someone else just now; nothing was changed here");
        Err(StepError::new(ErrorCode::Conflict, message))
    }

    pub(super) fn write(&self, text: &str, leave: &impl ChangePermit) -> Result<(), StepError> {
        Ok(files::replace(&self.path, &self.beside, text.as_bytes(), leave)?)
    }

    pub(super) fn state(&self) -> Result<State, StepError> {
        let now = text(&self.path)?;
        let is = |edit: &Edit| edit.of(&self.original) == now;
        Ok(match () {
            () if now == self.original => State::Original,
            () if is(&self.armed) => State::Armed,
            () if self.disarmed.as_ref().is_some_and(is) => State::Disarmed,
            () => State::Foreign(now),
        })
    }

    /// Returns how long the file has been in its current state, by the clock of this machine.
    pub(super) fn age(&self, cx: &Cx) -> std::time::Duration {
        let modified = files::look(&self.path).ok().and_then(|found| found.meta).map(|meta| meta.modified);
        modified
            .map(|at| cx.clock.now().duration_since(at))
            .and_then(|age| age.try_into().ok())
            .unwrap_or_default()
    }

    /// Returns the text of a file that someone else has changed, without what the drill put into it.
    pub(super) fn rest(&self, now: &str, mark: Option<&str>) -> Result<String, StepError> {
        let pieces: Vec<&str> = [Some(&self.armed), self.disarmed.as_ref()]
            .into_iter()
            .flatten()
            .map(|it| it.text.as_str())
            .collect();
        mark.and_then(|mark| without(now, &pieces, mark)).ok_or_else(|| {
            let message = format!(
                "{} was changed by someone else while the drill was on, and what the drill put into it cannot be told from that",
                self.path.display()
            );
            StepError::new(ErrorCode::Conflict, message).help(format!(
                "take it out by hand ({}), then run `proofmark recover` again",
                mark.map_or_else(|| format!("`{}`", self.armed.text.trim()), |mark| format!("the group `proofmark-{mark}`"))
            ))
        })
    }

    /// Returns whether this text contains anything of the drill.
    pub(super) fn holds_ours(&self, now: &str, mark: Option<&str>) -> bool {
        match mark {
            Some(mark) => has_mark(now, mark),
            // Without a mark, any difference from the original counts.
            None => now != self.original,
        }
    }
}

pub(super) fn text(path: &Path) -> Result<String, StepError> {
    let content = files::read(path, MAX_FILE, &files::GivenUp::default())?;
    let wrong = |code, why: &str| StepError::new(code, format!("{}: {why}", files::shown(path)));
    if !content.whole {
        return Err(wrong(ErrorCode::TooLarge, "it is larger than a rule file may be (16 MiB)"));
    }
    String::from_utf8(content.bytes.to_vec()).map_err(|_| wrong(ErrorCode::FileUnreadable, "it is not UTF-8"))
}
