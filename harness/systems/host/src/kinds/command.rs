//! `command`: runs a program, and its `undo` program when the change is reverted.

use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError};
use proofmark_evidence::undo::{ChangePermit, Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{Duration, Finding, SettingMistake};
use proofmark_net::command::{Ended, KEPT, Program, run};
use proofmark_net::files::shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Runs a program. Needs `exec`; with `undo` also `change`. Set either `argv` or `script`.
///
/// With `undo` the change is promised to be reverted: that program runs at the end of the step, whatever happens.
/// Proofmark cannot observe what a program changed; add a check of your own after it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments, run without a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// A script for `/bin/sh -eu -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The program that reverts the change, and its arguments, run without a shell. It may run more than once. Default:
    /// the change is not reverted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Vec<String>>,
    /// The folder to run in. Default: the folder that Proofmark runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The text for standard input. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
}

/// The program that reverts the change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandUndo {
    argv: Vec<String>,
    cwd: Option<String>,
}

/// How the program that reverts the change ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandReverted {
    /// The exit status; `null` if a signal ended the program.
    exit: Option<i32>,
    /// The last lines on standard error, if the program failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

impl Kind for Command {
    const NAME: &'static str = "command";
    const EXAMPLE: &'static str = "command: { argv: [pg_dump, --version] }";
    const JUDGES: &'static str =
        "The exit status is 0. With `undo`, that the program which puts it back ended with 0 too.";
    const RULES: u32 = 2;
    const ROLES: &'static [&'static str] = &[];
    type Seen = Ended;

    fn judge(&self, seen: &Ended, _at: Timestamp) -> Vec<Finding> {
        let help = format!("the last it said on standard error: {}", seen.last());
        let mut findings =
            vec![Finding::judged("exit status", "0", seen.how(), seen.exit == Some(0)).with_help(help)];
        // An expectation that something is absent from the output would pass because of the part that was cut off.
        if seen.stdout_bytes.max(seen.stderr_bytes) > KEPT as u64 {
            let bytes = format!("{} and {} bytes", seen.stdout_bytes, seen.stderr_bytes);
            let finding =
                Finding::undecided("the whole output was kept", format!("at most {KEPT} bytes"), bytes);
            findings.push(finding.with_help("send what is not needed to a file or to /dev/null"));
        }
        findings
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let none = |undo: &Vec<String>| undo.first().is_none_or(String::is_empty);
        if self.undo.as_ref().is_some_and(none) {
            return Some(
                SettingMistake::new("`undo` names no program")
                    .help("its first entry is the program: `[rm, -f, /tmp/x]`"),
            );
        }
        self.line().err()
    }
}

impl Act for Command {
    type Done = Ended;
    type Undo = CommandUndo;
    type Reverted = CommandReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        if self.undo.is_some() { &[Permission::Exec, Permission::Change] } else { &[Permission::Exec] }
    }

    fn promises(&self) -> bool {
        self.undo.is_some()
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, CommandUndo>) -> Result<Ended, StepError> {
        let argv = self.line()?;
        // The path must be valid from whichever folder the change is reverted.
        let cwd = shown(Path::new(self.cwd.as_deref().unwrap_or(".")));
        let (own, stdin) = (self.cwd.as_deref().map(Path::new), self.stdin.as_deref());
        let program = |cwd| Program { cwd, stdin, ..Program::new(&argv, cx.timeout.0) };
        match &self.undo {
            Some(undo) => {
                let promise =
                    promises.promise(&CommandUndo { argv: undo.clone(), cwd: Some(cwd.clone()) })?;
                ended(program(Some(Path::new(&cwd))), cx, &promise).await
            }
            None => ended(program(own), cx, &promises.declare_final()).await,
        }
    }

    async fn observe(&self, done: &Ended, _cx: &Cx, _memory: &mut ()) -> Result<Ended, StepError> {
        Ok(done.clone())
    }

    fn patience(_owed: &CommandUndo) -> Duration {
        Duration::secs(10)
    }

    async fn revert(
        owed: &CommandUndo,
        cx: &Cx,
        by: &RevertPermit,
        _memory: &mut (),
    ) -> Result<(), StepError> {
        let cwd = owed.cwd.as_deref().map(Path::new);
        let program = Program { cwd, ..Program::new(&owed.argv, cx.timeout.0) };
        let ended = ended(program, cx, by).await?;
        // The reason is needed to revert the change by hand; it is empty if the program succeeded.
        let last = if ended.exit == Some(0) { "" } else { ended.last() };
        cx.log.keep(Arc::new(last.as_bytes().to_vec()));
        Ok(())
    }

    async fn observe_reverted(
        _owed: &CommandUndo,
        cx: &Cx,
        _memory: &mut (),
    ) -> Result<CommandReverted, StepError> {
        let last = cx.log.take_answer().filter(|last| !last.is_empty());
        let said = last.map(|last| String::from_utf8_lossy(&last).into_owned());
        Ok(CommandReverted { exit: cx.log.last_status(), said })
    }

    fn judge_reverted(_owed: &CommandUndo, seen: &CommandReverted, _at: Timestamp) -> Vec<Finding> {
        let what = "the command that puts it back ended with exit status 0";
        let told = seen.exit.map_or_else(|| Value::from("ended by a signal"), Value::from);
        let finding = Finding::judged(what, 0, told, seen.exit == Some(0));
        let help = seen.said.as_ref().map(|said| format!("the last it said on standard error: {said}"));
        vec![match help {
            Some(help) => finding.with_help(help),
            None => finding,
        }]
    }
}

async fn ended(program: Program<'_>, cx: &Cx, leave: &impl ChangePermit) -> Result<Ended, StepError> {
    Ok(run(program, (&cx.clock, &cx.systems.redactor, &cx.log), leave).await?)
}

impl Command {
    /// Returns the command line, or the mistake in the settings.
    fn line(&self) -> Result<Vec<String>, SettingMistake> {
        match (&self.argv, &self.script) {
            (Some(argv), None) if argv.first().is_some_and(|program| !program.is_empty()) => Ok(argv.clone()),
            (Some(_), None) => Err(SettingMistake::new("`argv` names no program")
                .help("its first entry is the program: `[ls, -l]`")),
            (None, Some(script)) if !script.trim().is_empty() => {
                Ok(vec!["/bin/sh".into(), "-eu".into(), "-c".into(), script.clone()])
            }
            (None, Some(_)) => {
                Err(SettingMistake::new("`script` is empty").help("write what the shell should run"))
            }
            _ => Err(SettingMistake::new("it is not said what to run, or said twice")
                .help("write either `argv` or `script`")),
        }
    }
}

#[cfg(test)]
mod tests;
