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

use fixtures::{Desk, copy_program, get, until};
use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proofmark_lab::{Alertmanager, has};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
const RUN: [&str; 6] = ["run", "--env", "environment.yaml", "--allow", "exec,change", "--format=jsonl"];

/// What a ledger, those who read it, and an act ask of the kernel.
const CALLS: [&str; 10] = [
    "openat",
    "write",
    "writev",
    "fdatasync",
    "fsync",
    "unlink",
    "mkdir",
    "rename",
    "clone3",
    "pidfd_send_signal",
];

/// The rarer a call, the more it means: these are always among those taken.
const RARE: [&str; 4] = ["fdatasync", "fsync", "unlink", "pidfd_send_signal"];

/// The calls of programs that it starts are not its own.
const STRACE: &str = "exec strace -f -qq -b execve -o trace";

/// So many points in `make test`.
const SOME: usize = 24;

/// So many points of one call in `make torture`: whoever looks through all processes opens thousands of files.
const MOST: usize = 200;

/// So many random moments in `make torture`, and how far they are apart.
const MOMENTS: u64 = 100;

pub fn trials() -> Vec<Trial> {
    let strace = match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("`strace` may not trace here"),
        Err(_) => Some("`strace` is not installed"),
    };
    let alertmanager =
        (!has("prometheus-alertmanager")).then_some("`prometheus-alertmanager` is not installed");
    let trial = |name: String, all: bool, missing: Option<&'static str>, place: fn() -> Place| {
        let test = Trial::test(format!("torture::{name}"), move || match missing {
            Some(missing) => Err(missing.into()),
            None => torture(place(), all),
        });
        test.with_ignored_flag(all || missing.is_some())
    };
    let trials = |what: &str, missing: Option<&'static str>, place: fn() -> Place| {
        if let Some(missing) = missing {
            println!("ignored: {missing}");
        }
        let every = format!("kill_9_at_every_point_of_the_ledger_of_{what}_and_at_random_moments");
        let some = format!("kill_9_at_some_points_of_the_ledger_of_{what}");
        vec![trial(some, false, missing, place), trial(every, true, missing, place)]
    };
    let all = [trials("programs", strace, programs), trials("systems", strace.or(alertmanager), systems)];
    all.into_iter().flatten().collect()
}

/// What of a change is left in its world.
type Left = Box<dyn Fn(&Desk) -> Vec<String>>;

/// A desk whose scenario changes a world; what of the change is left in the world; and the latest moment to kill it at.
struct Place {
    desk: Desk,
    left: Left,
    /// What its changes ask of the kernel, if they are made.
    calls: [&'static str; 3],
    latest: Duration,
}

/// Two changes, one of them with a secret in its way back, one until the end of the scenario.
fn programs() -> Place {
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
    let left = |desk: &Desk| {
        let files = ["changed", "changed-correct-horse-battery"].into_iter();
        files.filter(|name| desk.path(name).exists()).map(str::to_owned).collect()
    };
    // What is kept apart is deleted.
    let calls = ["fdatasync", "write", "unlink"];
    Place { desk, left: Box::new(left), calls, latest: Duration::from_millis(50) }
}

/// What systems are told: a silence and an alert in a real Alertmanager, and a service that is stopped.
fn systems() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
    let real = runtime.block_on(Alertmanager::start(folder.path(), config)).unwrap();
    let desk = Desk::new(PROGRAM, &[("alertmanager", &real.url)]);
    let alert = r#"{ "labels": { "alertname": "Torture" }"#;
    let post = "method: POST, url: /api/v2/alerts, headers: { content-type: application/json }, body:";
    let undo = format!("{post} '[ {alert}, \"endsAt\": \"2000-01-01T00:00:00Z\" }} ]'");
    let service = Service::start(&desk);
    let name = &service.name;
    let steps = [
        "  - { id: quiet, act: { alert-silence: { name: Torture } } }\n".to_owned(),
        format!(
            "  - {{ id: page, via: alertmanager, until: scenario, act: {{ http: {{ {post} '[ {alert} }} ]', undo: {{ {undo} }} }} }} }}\n"
        ),
        // It is not waited until nothing can have taken its place any more, so this step stays open.
        format!(
            "  - {{ id: stop, within: 1ms, act: {{ process-stop: {{ matches: '^{name} ', start: ['{name}', '100000'] }} }} }}\n"
        ),
    ];
    desk.scenario("one", "", &steps.concat());
    let systems = Systems { service, real, _runtime: runtime, _folder: folder };
    let calls = ["fdatasync", "writev", "pidfd_send_signal"];
    Place { desk, left: Box::new(move |_| systems.left()), calls, latest: Duration::from_secs(2) }
}

/// What the changes of [`systems`] are made in. The server ends before its folder goes.
struct Systems {
    service: Service,
    real: Alertmanager,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Systems {
    fn left(&self) -> Vec<String> {
        let address = self.real.url.trim_start_matches("http://");
        let silences = get(address, "/api/v2/silences").matches("\"state\":\"active\"").count();
        let alerts = get(address, "/api/v2/alerts").matches("Torture").count();
        let told =
            [("silences", silences, 0), ("alerts", alerts, 0), ("services", self.service.running().len(), 1)];
        told.into_iter()
            .filter(|(_, is, was)| is != was)
            .map(|(what, is, _)| format!("{is} {what}"))
            .collect()
    }
}

/// A program of a name that no other process of this machine has. It does not catch the signal, so that it is known at
/// once whether it was asked to end.
struct Service {
    name: String,
}

impl Service {
    fn start(desk: &Desk) -> Self {
        let service = Self { name: desk.path("service").display().to_string() };
        let sleep = ["/bin/sleep", "/usr/bin/sleep"].into_iter().find(|it| fs::metadata(it).is_ok());
        copy_program(sleep.unwrap().as_ref(), service.name.as_ref());
        // As if it had been started before anybody thought of a drill.
        let null = [Stdio::null(), Stdio::null(), Stdio::null()];
        let [stdin, stdout, stderr] = null;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "setsid \"$0\" 100000 &", &service.name])
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        assert!(shell.status().unwrap().success());
        until("it runs", || (service.running().len() == 1).then_some(()));
        service
    }

    fn running(&self) -> Vec<i32> {
        let own = format!("{}\0", self.name);
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.starts_with(own.as_bytes()))
        };
        numbers.filter(is).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in self.running() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// Whoever died, this puts the world back, and leaves nothing to do and no secret behind.
fn recovered(place: &mut Place, point: &str) -> Result<(), Failed> {
    place.desk.limit("true");
    let first = place.desk.call(&["recover", "--all", "--env", "environment.yaml"]);
    let second = place.desk.call(&["recover", "--all", "--env", "environment.yaml"]);
    let wrong = |what: &str| Err(format!("killed at {point}: {what}\n{first:#?}\n{second:#?}").into());
    if first.code != Some(0) {
        return wrong("it was not recovered");
    }
    let left = (place.left)(&place.desk);
    if !left.is_empty() {
        return wrong(&format!("the world is not as it was: {}", left.join(", ")));
    }
    if !second.stdout.contains("nothing is owed") {
        return wrong("the second recovery found something to do");
    }
    let told = place.desk.files("evidence");
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
    desk.limit(format!("{STRACE} \"$@\""));
    let ended = desk.call(&RUN);
    assert_eq!(ended.code, Some(3), "the last step stays open: {ended:#?}");
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

/// The n-th of which calls to kill it at.
fn points(calls: &BTreeMap<&'static str, usize>, all: bool) -> Vec<(&'static str, usize)> {
    let spread = |(call, most): (&&'static str, &usize)| {
        let call = *call;
        (1..=*most).step_by(most.div_ceil(MOST)).map(move |number| (call, number))
    };
    let points: Vec<_> = calls.iter().flat_map(spread).collect();
    let every = if all { 1 } else { points.len().div_ceil(SOME) };
    let taken =
        points.into_iter().enumerate().filter(|(at, (call, _))| at % every == 0 || RARE.contains(call));
    taken.map(|(_, point)| point).collect()
}

fn torture(mut place: Place, all: bool) -> Result<(), Failed> {
    let calls = calls(&mut place.desk);
    if !place.calls.iter().all(|call| calls.contains_key(call)) {
        return Err(format!("it makes each of {:?}: {calls:?}", place.calls).into());
    }
    let mut killed = 0;
    for (call, number) in points(&calls, all) {
        place.desk.limit(format!("{STRACE} -e inject={call}:signal=KILL:when={number} \"$@\""));
        killed += usize::from(place.desk.call(&RUN).code.is_none_or(|code| code > 128));
        recovered(&mut place, &format!("{call} number {number}"))?;
    }
    if all {
        for moment in 0..MOMENTS {
            let after = place.latest.mul_f64(f64::from(u32::try_from(moment)?) / 100.0);
            let running = place.desk.start(&RUN);
            std::thread::sleep(after);
            running.signal(Signal::SIGKILL);
            killed += usize::from(running.wait().code.is_none());
            recovered(&mut place, &format!("{after:?}"))?;
        }
    }
    println!("killed {killed} times");
    if killed >= if all { 200 } else { 10 } {
        Ok(())
    } else {
        Err(format!("killed only {killed} times").into())
    }
}
