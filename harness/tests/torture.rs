//! `kill -9` at every point of the ledger, and at random moments: after `recover` the world is as it was before, and a
//! second `recover` finds nothing to do.
//!
//! `strace` kills the program at its n-th call of the kernel: at each write, sync, open and deletion that it makes, so at
//! every point between a promise and its end. `make test` takes some of these points; `make torture` takes all of them,
//! and random moments besides.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "a test waits and tells how far it is"
)]

use fixtures::Desk;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
const RUN: [&str; 6] = ["run", "--env", "environment.yaml", "--allow", "exec,change", "--format=jsonl"];

/// What a ledger and those who read it ask of the kernel.
const CALLS: [&str; 8] = ["openat", "write", "fdatasync", "fsync", "unlink", "mkdir", "rename", "clone3"];

/// So many points in `make test`.
const SOME: usize = 24;

/// So many random moments in `make torture`.
const MOMENTS: u64 = 100;

fn main() {
    let arguments = Arguments::from_args();
    let reason = match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("`strace` may not trace here"),
        Err(_) => Some("`strace` is not installed"),
    };
    let trial = |name: &'static str, all: bool| {
        Trial::test(name, move || if let Some(reason) = reason { Err(reason.into()) } else { torture(all) })
    };
    let ignored = reason.is_some();
    let some = trial("kill_9_at_some_points_of_the_ledger", false).with_ignored_flag(ignored);
    let all =
        trial("kill_9_at_every_point_of_the_ledger_and_at_random_moments", true).with_ignored_flag(true);
    if let Some(reason) = reason {
        println!("ignored: {reason}");
    }
    libtest_mimic::run(&arguments, vec![some, all]).exit();
}

/// Two changes, one of them with a secret in its way back, one until the end of the scenario.
fn desk() -> Desk {
    let desk = Desk::with_secret(PROGRAM, "correct-horse-battery");
    let act = |id: &str, file: &str, more: &str| {
        format!(
            "  - {{ id: {id}, act: {{ command: {{ argv: [touch, {file}], undo: [rm, -f, {file}] }} }}{more} }}\n"
        )
    };
    let steps = [
        act("long", "changed", ", until: scenario"),
        act("secret", "changed-correct-horse-battery", ""),
        // The connection is used, so its secret is learned.
        "  - { id: asked, check: { prometheus-query: { query: up } }, timeout: 1s }\n".to_owned(),
    ];
    desk.scenario("one", "", &steps.concat());
    desk
}

/// The world, as far as these changes go.
fn world(desk: &Desk) -> Vec<bool> {
    ["changed", "changed-correct-horse-battery"].map(|name| desk.path(name).exists()).to_vec()
}

/// Whoever died, this puts the world back, and leaves nothing to do and no secret behind.
fn recovered(desk: &mut Desk, point: &str) -> Result<(), Failed> {
    desk.limit("true");
    let first = desk.call(&["recover", "--all", "--env", "environment.yaml"]);
    let second = desk.call(&["recover", "--all", "--env", "environment.yaml"]);
    let wrong = |what: &str| Err(format!("killed at {point}: {what}\n{first:?}\n{second:?}").into());
    if first.code != Some(0) {
        return wrong("it was not recovered");
    }
    if world(desk).contains(&true) {
        return wrong("the world is not as it was");
    }
    if !second.stdout.contains("nothing is owed") {
        return wrong("the second recovery found something to do");
    }
    let told = desk.files("evidence");
    let leaked = told.iter().find(|(name, bytes)| {
        !name.contains("/private/") && String::from_utf8_lossy(bytes).contains("correct-horse")
    });
    match leaked {
        Some((name, _)) => wrong(&format!("{name} holds the secret")),
        None => Ok(()),
    }
}

/// How often one thread makes each of the calls.
fn calls(desk: &mut Desk) -> BTreeMap<&'static str, usize> {
    desk.limit("exec strace -f -qq -o trace \"$@\"");
    let ended = desk.call(&RUN);
    assert_eq!(ended.code, Some(3), "the query finds nobody: {ended:?}");
    desk.limit("true");
    let trace = fs::read_to_string(desk.path("trace")).unwrap();
    let mut counted = BTreeMap::<(&str, &'static str), usize>::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let called = CALLS.into_iter().find(|call| rest.trim_start().starts_with(&format!("{call}(")));
        *called.map_or(&mut 0, |call| counted.entry((thread, call)).or_default()) += 1;
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counted {
        let seen = most.entry(call).or_insert(0);
        *seen = count.max(*seen);
    }
    most
}

fn torture(all: bool) -> Result<(), Failed> {
    let mut desk = desk();
    let calls = calls(&mut desk);
    if !["fdatasync", "unlink", "write"].iter().all(|call| calls.contains_key(call)) {
        return Err(format!("a run that promises syncs, writes and deletes: {calls:?}").into());
    }
    let points: Vec<(&str, usize)> =
        calls.iter().flat_map(|(call, most)| (1..=*most).map(move |number| (*call, number))).collect();
    // The rarer a call, the more it means: syncs and deletions are always among those taken.
    let every = if all { 1 } else { points.len().div_ceil(SOME) };
    let rare = |call: &str| ["fdatasync", "unlink", "fsync"].contains(&call);
    let taken = points.iter().enumerate().filter(|(at, (call, _))| at % every == 0 || rare(call));
    let mut killed = 0;
    for (_, (call, number)) in taken {
        desk.limit(format!("exec strace -f -qq -o trace -e inject={call}:signal=KILL:when={number} \"$@\""));
        killed += usize::from(desk.call(&RUN).code.is_none_or(|code| code > 128));
        recovered(&mut desk, &format!("{call} number {number}"))?;
    }
    if all {
        for moment in 0..MOMENTS {
            let running = desk.start(&RUN);
            std::thread::sleep(Duration::from_millis(moment % 50));
            running.signal(Signal::SIGKILL);
            killed += usize::from(running.wait().code.is_none());
            recovered(&mut desk, &format!("{} ms", moment % 50))?;
        }
    }
    println!("killed {killed} times");
    if killed >= if all { 200 } else { 10 } {
        Ok(())
    } else {
        Err(format!("killed only {killed} times").into())
    }
}
