//! Tests the kind `command`: programs that succeed, fail or never end, and those that write too much.

use super::*;
use proofmark_environment::Systems;
use proofmark_evidence::record::Recorder;
use proofmark_evidence::undo::{Ledger, PromiseContext, Until};
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_model::{Duration as Time, Verdict};
use proofmark_net::Log;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn cx(time: Time) -> Cx {
    let systems = Arc::new(Systems::default());
    Cx { clock: Clock::real(), systems, via: BTreeMap::new(), log: Log::default(), timeout: time }
}

fn command(settings: Value) -> Command {
    serde_json::from_value(settings).unwrap()
}

/// Acts with its own ledger.
async fn act(command: &Command, cx: &Cx) -> Result<Ended, StepError> {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(folder.path(), &cx.clock, Redactor::default(), Box::new(|_| {})).unwrap();
    let ledger = Ledger::new(Arc::new(Mutex::new(recorder)), cx.clock.clone(), vec![]);
    let by = PromiseContext {
        scenario: "s".into(),
        step: "t".into(),
        kind: Command::NAME,
        via: BTreeMap::new(),
        timeout: cx.timeout,
        until: Until::Step,
    };
    command.act(cx, &Promises::new(&ledger, &by)).await
}

async fn run(settings: Value) -> Result<(Ended, Verdict), StepError> {
    let command = command(settings);
    let seen = act(&command, &cx(Time::secs(20))).await?;
    let findings = command.judge(&seen, Clock::real().now());
    Ok((seen, Verdict::fold(findings.into_iter().map(|finding| finding.verdict))))
}

/// Waits until no process of this id is left.
async fn gone(pid: &str) {
    let clock = Clock::real();
    while Path::new("/proc").join(pid.trim()).join("cwd").read_link().is_ok() {
        assert!(clock.elapsed() < Duration::from_secs(10), "process {pid} lives on");
        clock.sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn it_runs_and_says_how_it_ended() {
    let (seen, verdict) = run(json!({"argv": ["printf", "%s|", "a b", "$HOME"]})).await.unwrap();
    assert_eq!((seen.stdout.as_str(), seen.exit, verdict), ("a b|$HOME|", Some(0), Verdict::Passed));
    let (seen, verdict) = run(json!({"script": "cat; echo oops >&2; exit 3", "stdin": "in"})).await.unwrap();
    assert_eq!((seen.stdout.as_str(), seen.stderr.as_str()), ("in", "oops\n"));
    assert_eq!((seen.exit, verdict), (Some(3), Verdict::Failed));
    let (seen, verdict) = run(json!({"script": "kill -9 $$"})).await.unwrap();
    assert_eq!((seen.exit, seen.signal, verdict), (None, Some(9), Verdict::Failed));
    let (seen, _) = run(json!({"script": "pwd", "cwd": "/usr"})).await.unwrap();
    assert_eq!(seen.stdout, "/usr\n");
    // A script stops at its first failure, and at an unset variable.
    assert_eq!(run(json!({"script": "false; echo on"})).await.unwrap().0.stdout, "");
    assert_ne!(run(json!({"script": "echo $NOT_SET_ANYWHERE"})).await.unwrap().0.exit, Some(0));
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    for (settings, word) in [
        (json!({"argv": ["no-such-program-anywhere"]}), "PATH"),
        (json!({"argv": ["/etc/passwd"]}), "executable"),
        (json!({"argv": ["true"], "cwd": "/no/such/folder"}), "no folder"),
    ] {
        let error = run(settings).await.unwrap_err();
        assert!(error.message.contains(word) && !error.transient, "{error}");
    }
    for settings in [
        json!({}),
        json!({"argv": []}),
        json!({"script": " "}),
        json!({"argv": ["a"], "script": "b"}),
        json!({"argv": ["a"], "undo": []}),
    ] {
        assert!(command(settings.clone()).mistake().is_some(), "{settings}");
    }
}

#[tokio::test]
async fn when_the_time_is_over_the_whole_group_ends() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    // The grandchild ignores SIGTERM.
    let script =
        format!("(trap '' TERM; sh -c 'echo $PPID' > {}; while :; do sleep 1; done) & wait", note.display());
    let command = command(json!({ "script": script }));
    let cx = cx(Time("1s".parse::<Time>().unwrap().0));
    let error = act(&command, &cx).await.unwrap_err();
    assert!(error.message.contains("within 1s") && !error.transient, "{error}");
    assert!(cx.clock.elapsed() < Duration::from_secs(10));
    gone(&std::fs::read_to_string(note).unwrap()).await;
    assert_eq!(cx.log.take().len(), 1, "taken down although it did not end");
}

#[tokio::test]
async fn when_the_step_is_dropped_the_group_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let command = command(json!({ "script": format!("echo $$ > {}; sleep 1000 & wait", note.display()) }));
    let cx = cx(Time::secs(100));
    let written = async {
        while std::fs::read_to_string(&note).unwrap_or_default().is_empty() {
            cx.clock.sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { _ = act(&command, &cx) => panic!("it does not end by itself"), () = written => {} }
    gone(&std::fs::read_to_string(note).unwrap()).await;
}

#[tokio::test]
async fn a_process_in_the_background_does_not_hold_the_step_up() {
    let clock = Clock::real();
    let (seen, _) = run(json!({"script": "sleep 15 & echo done"})).await.unwrap();
    assert_eq!((seen.stdout.as_str(), seen.exit), ("done\n", Some(0)));
    assert!(clock.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn output_that_was_cut_is_not_judged_as_if_it_were_whole() {
    let (seen, verdict) = run(json!({"script": "head -c 5000000 /dev/zero | tr '\\0' x"})).await.unwrap();
    assert_eq!((seen.stdout.len(), seen.stdout_bytes, verdict), (KEPT, 5_000_000, Verdict::Unverified));
}

#[tokio::test]
async fn the_exchange_is_a_line_that_a_shell_takes() {
    let cx = cx(Time::secs(20));
    act(&command(json!({"argv": ["echo", "it's", ""]})), &cx).await.unwrap();
    let taken = cx.log.take();
    assert_eq!((taken[0].method.as_str(), taken[0].target.as_str()), ("exec", r"echo 'it'\''s' ''"));
    assert_eq!((taken[0].status, taken[0].bytes), (Some(0), 6));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_is_kept_of_the_output_is_bounded(bytes in 0_usize..3 << 20, error in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let to = if error { " >&2" } else { "" };
        let (seen, _) = runtime.block_on(run(json!({"script": format!("head -c {bytes} /dev/zero{to}")}))).unwrap();
        let (kept, all) = if error { (seen.stderr, seen.stderr_bytes) } else { (seen.stdout, seen.stdout_bytes) };
        prop_assert_eq!((kept.len(), all), (bytes.min(KEPT), bytes as u64));
    }
}
