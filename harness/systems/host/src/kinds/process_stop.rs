//! `process-stop`: stops a process of this machine for the drill, and starts it again by promise. It is started once,
//! even if the revert is interrupted and repeated, because the started process carries a mark. Sending the signal
//! proves nothing by itself: a process may ignore it, take its time, or be restarted by a supervisor before it is
//! observed.
//!
//! Stopping a container could be added: its settings would go beside `pid-file` and `matches`, and its undo beside
//! [`ProcessStopUndo::Process`], without changing what is here.

use crate::processes::{Found, Signal, Wanted, find, hold, lives, marked, start, startable, stop};
use jiff::{SignedDuration, Timestamp};
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{Promises, RevertPermit, Until};
use proofmark_model::Permission;
use proofmark_model::expect::Pattern;
use proofmark_model::{Duration, ErrorCode, Finding, SettingMistake};
use proofmark_net::machine::host;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the act itself waits for the process to end. After that the observations take over.
const WAIT: Duration = Duration::secs(10);

/// The time within which a supervisor restarts a process, in seconds.
const SETTLED: f64 = 3.0;

/// A process that has run for this long after the signal is not expected to end because of it any more.
const GRACE: Duration = Duration::secs(90);

/// Stops a process of this machine (Linux) until the end of the scenario, or of the step with `until: step`, and then
/// starts it again. Needs `change` and `exec`.
///
/// The settings must select exactly one process, or nothing is done; Proofmark and its parent processes are never
/// selected. Write `start` as you would start it at a prompt: it gets Proofmark's environment and its own session, and
/// its output is discarded. A process that a supervisor (systemd, a container's restart policy) restarts by itself
/// fails; stop it with the supervisor's own command, in a `command` with `undo`.
///
/// If a selected process already runs when the change is reverted, nothing is started.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessStop {
    /// A file with the PID of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<String>,
    /// A regular expression that the command line of the process must match, with its words joined by blanks. With
    /// `pid-file`, the process in the file must match too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// The signal that asks it to end. Default: `TERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// The program that starts the process again, and its arguments, run without a shell.
    pub start: Vec<String>,
    /// The folder to start it in. Default: the folder that Proofmark runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// The process that was stopped.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stopped {
    process: Found,
    /// When the process had ended, or when the wait for it was given up.
    since: Timestamp,
}

/// The state of the process after the act.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessStopObservation {
    /// The process that was stopped.
    pub process: Found,
    /// Whether the process has ended.
    pub gone: bool,
    /// The time since the process ended, or since the wait for it was given up, in seconds.
    pub seconds: f64,
    /// Other processes that the settings select now.
    pub others: Vec<Found>,
}

/// How to undo the change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProcessStopUndo {
    /// A process of this machine.
    Process(Box<Way>),
}

/// How a process of a machine is started again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Way {
    host: String,
    process: Found,
    signal: Signal,
    /// When the restart was promised.
    at: Timestamp,
    pid_file: Option<String>,
    matches: Option<Pattern>,
    start: Vec<String>,
    cwd: String,
    mark: String,
    /// Whether the journal also records that the signal is about to be sent.
    #[serde(default)]
    told: bool,
}

/// The processes that run after the revert.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessStopReverted {
    /// The processes that the settings select.
    processes: Vec<Found>,
    /// The processes that were started here, and their descendants.
    started: Vec<Found>,
    /// Whether the signalled process may still end because of the signal; `null` if it has ended.
    ending: Option<bool>,
}

/// What the revert remembers from one attempt to the next.
#[derive(Debug, Default)]
pub struct StopMemory {
    /// Set if the restart was promised, but the process was never signalled.
    not_asked: bool,
}

impl Kind for ProcessStop {
    const NAME: &'static str = "process-stop";
    const EXAMPLE: &'static str = "process-stop: { matches: ^/usr/bin/promtail, start: [/usr/bin/promtail, -config.file=/etc/promtail.yml] }";
    const JUDGES: &'static str = "The process is gone, and 3 seconds later no other one that is meant has taken its place. When it is put back, that exactly one process that is meant runs.";
    const RULES: u32 = 1;
    const ROLES: &'static [&'static str] = &[];
    type Seen = ProcessStopObservation;

    fn judge(&self, seen: &ProcessStopObservation, _at: Timestamp) -> Vec<Finding> {
        let told = if seen.gone { "gone" } else { "it still runs" };
        let help = "give it more time with `within`, or ask it with another `signal`";
        let gone = Finding::judged("the process is gone", "gone", told, seen.gone).with_help(help);
        if !seen.gone {
            return vec![gone];
        }
        let (what, none) = ("nothing has taken its place", "no other process that is meant");
        let other = if !seen.others.is_empty() {
            let help = "something has started it again, most likely a supervisor: stop it through that, in a `command` with `undo`";
            Finding::judged(what, none, told_of(&seen.others), false).with_help(help)
        } else if seen.seconds < SETTLED {
            let told = format!("none after {:.1} seconds", seen.seconds.max(0.0));
            Finding::undecided(what, none, told)
                .with_help("a supervisor takes a moment; give the step a longer `within`")
        } else {
            Finding::judged(what, none, "none", true)
        };
        vec![gone, other]
    }

    fn mistake(&self) -> Option<SettingMistake> {
        if self.start.first().is_none_or(String::is_empty) {
            return Some(
                SettingMistake::new("`start` names no program")
                    .help("its first entry is the program: `[/usr/bin/promtail]`"),
            );
        }
        if self.matches.as_ref().is_some_and(|pattern| pattern.0.is_match("")) {
            return Some(
                SettingMistake::new("`matches` also matches nothing, and so every process")
                    .help("write what stands in the command line of the one"),
            );
        }
        (self.pid_file.is_none() && self.matches.is_none()).then(|| {
            SettingMistake::new("it is not said which process to stop")
                .help("write `pid-file: PATH` or `matches: PATTERN`")
        })
    }
}

impl Act for ProcessStop {
    const WITHIN: Option<Duration> = Some(Duration::secs(30));
    const UNTIL: Until = Until::Scenario;
    type Done = Stopped;
    type Undo = ProcessStopUndo;
    type Reverted = ProcessStopReverted;
    type Memory = StopMemory;

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change, Permission::Exec]
    }

    fn promises(&self) -> bool {
        true
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, ProcessStopUndo>) -> Result<Stopped, StepError> {
        if let Some(mistake) = self.mistake() {
            return Err(mistake.into());
        }
        let way = self.way(cx, promises.mark_of_step()).await?;
        // A process that cannot be started again is not stopped.
        startable(&way.start, &way.cwd)?;
        let held = hold(way.process.clone())?;
        let (process, signal) = (way.process.clone(), way.signal);
        let promise = promises.promise(&ProcessStopUndo::Process(Box::new(way)))?;
        promises.begins(&promise)?;
        stop(held, signal, WAIT.0.min(cx.timeout.0), &cx.log, &promise).await?;
        Ok(Stopped { process, since: cx.clock.now() })
    }

    async fn observe(
        &self,
        done: &Stopped,
        cx: &Cx,
        _memory: &mut StopMemory,
    ) -> Result<ProcessStopObservation, StepError> {
        let gone = lives(done.process.clone(), self.signal()).await?.is_none();
        let mut others = find(wanted(self.pid_file.as_ref(), self.matches.as_ref(), &done.process)).await?;
        others.retain(|other| *other != done.process);
        let seconds = cx.clock.now().duration_since(done.since).as_secs_f64();
        Ok(ProcessStopObservation { process: done.process.clone(), gone, seconds, others })
    }

    fn patience(_owed: &ProcessStopUndo) -> Duration {
        Duration(GRACE.0 + Duration::secs(60).0)
    }

    async fn revert(
        owed: &ProcessStopUndo,
        cx: &Cx,
        by: &RevertPermit,
        memory: &mut StopMemory,
    ) -> Result<(), StepError> {
        let ProcessStopUndo::Process(way) = owed;
        let here = host();
        if here != way.host {
            let message = format!("the process ran on the machine `{}`, and this is `{here}`", way.host);
            let error = StepError::new(ErrorCode::WrongTarget, message);
            return Err(error.help("run `proofmark recover` there"));
        }
        if way.told && !by.begun() {
            memory.not_asked = true;
        }
        let seen = way.look(memory).await?;
        if seen.ending.is_some() || !seen.processes.is_empty() || !seen.started.is_empty() {
            return Ok(());
        }
        // A resource that it needs may not be free yet, so a failure is retried.
        let started = start(&way.start, &way.cwd, &way.mark, &cx.log, by).await;
        started.map_err(|error| StepError::from(error).transient())
    }

    async fn observe_reverted(
        owed: &ProcessStopUndo,
        _cx: &Cx,
        memory: &mut StopMemory,
    ) -> Result<ProcessStopReverted, StepError> {
        let ProcessStopUndo::Process(way) = owed;
        way.look(memory).await
    }

    fn judge_reverted(owed: &ProcessStopUndo, seen: &ProcessStopReverted, at: Timestamp) -> Vec<Finding> {
        let ProcessStopUndo::Process(way) = owed;
        let (what, one) = ("the process runs again", "exactly one process that is meant");
        let grace = SignedDuration::try_from(GRACE.0).unwrap_or_default();
        if seen.ending == Some(true) && at.duration_since(way.at) < grace {
            let told = format!("{} may have been asked to end, and has not ended yet", way.process.pid);
            return vec![Finding::undecided(what, one, told).with_help(format!(
                "once it has ended it is started again; if it lives {GRACE} after it was asked, it counts as never stopped"
            ))];
        }
        let help = match (seen.processes.len(), seen.started.is_empty()) {
            (0, false) => {
                "it was started, and what was started is not what `pid-file` or `matches` mean (yet); it is not started a second time"
            }
            (0, true) => "what `start` started has ended",
            _ => "more than one is meant: look which of them should run",
        };
        let ok = seen.processes.len() == 1;
        vec![Finding::judged(what, one, told_of(&seen.processes), ok).with_help(help)]
    }
}

impl ProcessStop {
    fn signal(&self) -> Signal {
        self.signal.unwrap_or(Signal::Term)
    }

    /// Returns the one process that the settings select, and how it is started again.
    async fn way(&self, cx: &Cx, mark: String) -> Result<Way, StepError> {
        let all = Wanted {
            matches: self.matches.as_ref().map(|pattern| pattern.0.clone()),
            pid_file: self.pid_file.clone(),
            program: None,
        };
        let found = find(all).await?;
        let [process] = found.as_slice() else {
            let place = self.pid_file.as_ref().map(|file| format!("named by {file}"));
            let line = self
                .matches
                .as_ref()
                .map(|pattern| format!("with a command line that matches `{}`", pattern.0));
            let which: Vec<String> = place.into_iter().chain(line).collect();
            let code = if found.is_empty() { ErrorCode::NotFound } else { ErrorCode::Ambiguous };
            let message = format!(
                "expected exactly one process {}, but there is {}; nothing was stopped",
                which.join(" and "),
                told_of(&found)
            );
            return Err(StepError::new(code, message));
        };
        let absolute = |path: &str| proofmark_net::files::shown(std::path::Path::new(path));
        Ok(Way {
            host: host(),
            process: process.clone(),
            signal: self.signal(),
            at: cx.clock.now(),
            pid_file: self.pid_file.as_deref().map(absolute),
            matches: self.matches.clone(),
            start: self.start.clone(),
            cwd: absolute(self.cwd.as_deref().unwrap_or(".")),
            mark,
            told: true,
        })
    }
}

impl Way {
    async fn look(&self, memory: &StopMemory) -> Result<ProcessStopReverted, StepError> {
        let ending = lives(self.process.clone(), self.signal).await?;
        let ending = ending.map(|may_end| may_end && !memory.not_asked);
        let processes = find(wanted(self.pid_file.as_ref(), self.matches.as_ref(), &self.process)).await?;
        Ok(ProcessStopReverted { processes, started: marked(self.mark.clone()).await?, ending })
    }
}

/// Returns which processes to look for after this one was stopped.
fn wanted(pid_file: Option<&String>, matches: Option<&Pattern>, stopped: &Found) -> Wanted {
    Wanted {
        matches: matches.map(|pattern| pattern.0.clone()),
        pid_file: pid_file.cloned(),
        program: pid_file.map(|_| stopped.program.clone()),
    }
}

/// Formats processes as text.
fn told_of(found: &[Found]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> =
        found.iter().take(SHOWN).map(|one| format!("{} ({})", one.pid, one.program)).collect();
    if found.len() > SHOWN {
        words.push(format!("and {} more", found.len() - SHOWN));
    }
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
