//! `process-stop`, through the program with real processes: what is stopped is what is meant, it is started again once, and
//! whoever does not end, comes back by himself or is killed half way is told apart.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Desk, Ended, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

/// A service waits without a child: one that is about to become `sleep` has its parent's command line for a moment, and
/// then there are two.
const WAITS: &str = "while :; do read -r _ <&3; done";

/// A desk with a service of a name that no other process of this machine has. It is killed with the desk.
struct Place {
    desk: Desk,
    name: String,
    first: Option<Child>,
}

/// Text without the ends of lines that the report gave it.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in self.running() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        if let Some(child) = &mut self.first {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Place {
    /// `script` is what the service does; it writes its number to `pid` and a line to `starts` first.
    fn new(script: &str) -> Self {
        let desk = Desk::new(PROGRAM, &[]);
        let folder = desk.path("x").parent().unwrap().to_owned();
        // Its own folder is in its command line, so the pattern is of this test alone.
        let name = format!("{}/service", folder.display());
        desk.write(
            "service",
            format!(
                "cd {}\ntest -p still || mkfifo still\nexec 3<>still\necho $$ > pid.new; mv pid.new pid\necho $$ >> starts\n{script}\n",
                folder.display()
            ),
        );
        Self { desk, name, first: None }
    }

    /// A service that waits, and says nothing.
    fn quiet() -> Self {
        Self::new(WAITS)
    }

    fn start(mut self) -> Self {
        self.first = Some(Command::new("sh").arg(&self.name).stdin(Stdio::null()).spawn().unwrap());
        until("it runs", || (self.starts() == 1).then_some(()));
        self
    }

    /// The numbers of the services that run.
    fn running(&self) -> Vec<i32> {
        let own = |line: &[u8]| line == format!("sh\0{}\0", self.name).as_bytes();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let found: Vec<i32> = numbers
            .filter(|pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| own(&line)))
            .collect();
        // A child that is about to become another program has its parent's command line for a moment.
        let parent = |pid: &i32| -> Option<i32> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
        };
        found.iter().filter(|pid| parent(pid).is_some_and(|it| !found.contains(&it))).copied().collect()
    }

    /// How often it was started.
    fn starts(&self) -> usize {
        fs::read_to_string(self.desk.path("starts")).unwrap_or_default().lines().count()
    }

    fn act(&self, more: &str) -> String {
        format!("process-stop: {{ start: [sh, '{0}'], matches: '^sh {0}$'{more} }}", self.name)
    }

    fn scenario(&self, act: &str, key: &str, more: &str) {
        self.desk.scenario("one", "", &format!("  - {{ id: stop, act: {{ {act} }}{key} }}\n{more}"));
    }

    fn run(&self, code: i32) -> Ended {
        let mut ended = self.desk.runs("change,exec", code);
        ended.stdout = flowing(&ended.stdout);
        ended
    }

    /// The journal of the newest run.
    fn promised(&self) -> bool {
        let journal = fs::read_dir(self.desk.path("evidence")).into_iter().flatten().flatten();
        journal.into_iter().any(|run| {
            fs::read_to_string(run.path().join("journal.jsonl")).is_ok_and(|text| text.contains("promised"))
        })
    }

    fn kept(&self) -> Value {
        self.desk.kept("one/stop")
    }
}

#[test]
fn it_is_stopped_for_the_drill_and_runs_again_after_it() {
    let mut place = Place::quiet().start();
    let before = place.running();
    // One that has ended and was not asked how has no command line any more.
    let gone =
        "  - { id: gone, act: { command: { script: '! grep -q service /proc/$(cat pid)/cmdline' } } }\n";
    place.scenario(&place.act(""), "", gone);
    let plan = place.desk.call(&["plan", "--env", "environment.yaml"]);
    assert!(plan.stdout.contains("promises to put it back; needs --allow change,exec"), "{plan:?}");
    for allow in ["change", "exec"] {
        assert_eq!(place.desk.run(&["--allow", allow]).code, Some(2));
    }
    place.run(0);
    place.first.take().unwrap().wait().unwrap();
    let after = place.running();
    assert_eq!((before.len(), after.len(), place.starts()), (1, 1, 2));
    assert_ne!(before, after);
    // A session of its own: it does not end with us or our terminal.
    let stat = fs::read_to_string(format!("/proc/{}/stat", after[0])).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, after[0].to_string());
    assert_eq!(place.kept()["observation"]["gone"], true);
    // Nor does it hold on to what we had open.
    let open: Vec<_> = fs::read_dir(format!("/proc/{}/fd", after[0]))
        .unwrap()
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .collect();
    assert!(!open.iter().any(|path| path.to_string_lossy().contains("evidence")), "{open:?}");
}

#[test]
fn by_the_file_with_its_number_too() {
    let place = Place::quiet().start();
    let file = place.desk.path("pid");
    let act =
        format!("process-stop: {{ pid-file: '{}', start: [sh, service], signal: KILL }}", file.display());
    place.scenario(&act, ", until: step", "");
    // A stale number is no process; the number of this test's own process is not touched.
    let right = fs::read_to_string(&file).unwrap();
    let spared = format!("{}\n", std::process::id());
    for (number, word) in
        [("4194305\n", "none"), ("x\n", "none"), ("1\n", "the first of"), (&spared, "has started it")]
    {
        place.desk.write("pid", number);
        let ended = place.run(3);
        assert!(ended.stdout.contains(word), "{number}: {ended:?}");
        assert!(!place.promised());
    }
    fs::remove_file(&file).unwrap();
    place.run(3);
    place.desk.write("pid", right);
    place.run(0);
    // `start` names it by another path, which is no matter for the file.
    until("it runs again", || (place.starts() == 2).then_some(()));
    let again: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(again), Signal::SIGKILL).unwrap();
}

#[test]
fn what_is_meant_must_be_one_and_what_cannot_be_started_is_not_stopped() {
    let place = Place::quiet();
    place.scenario(&place.act(""), "", "");
    let none = place.run(3);
    assert!(none.stdout.contains("there is none; nothing was stopped"), "{none:?}");
    let place = place.start();
    let mut second = Command::new("sh").arg(&place.name).spawn().unwrap();
    until("two run", || (place.running().len() == 2).then_some(()));
    let two = place.run(3);
    assert!(two.stdout.contains(&format!("{} (sh)", second.id())), "{two:?}");
    assert_eq!(place.running().len(), 2);
    second.kill().unwrap();
    second.wait().unwrap();
    for start in ["[no-such-program-anywhere]", "[/etc/passwd]", "[./service]"] {
        let act = format!("process-stop: {{ start: {start}, matches: '^sh {}$' }}", place.name);
        place.scenario(&act, "", "");
        let ended = place.run(3);
        assert!(ended.stdout.contains("cannot be run"), "{ended:?}");
    }
    assert!(!place.promised());
    assert_eq!((place.running().len(), place.starts()), (1, 2), "the second start was ours");
    for (act, word) in [
        ("process-stop: { start: [a] }", "which process"),
        ("process-stop: { start: [], matches: a }", "names no program"),
        ("process-stop: { start: [a], matches: '.*' }", "every process"),
        ("process-stop: { matches: a }", "start"),
    ] {
        place.scenario(act, "", "");
        let ended = place.desk.run(&["--allow", "change,exec"]);
        assert_eq!(ended.code, Some(2), "{act}: {ended:?}");
        assert!(ended.stderr.contains(word), "{act}: {ended:?}");
    }
}

#[test]
fn proofmark_itself_and_what_started_it_are_never_meant() {
    let desk = Desk::new(PROGRAM, &[]);
    let mark = desk.path("mark").display().to_string();
    let act = format!("process-stop: {{ start: [sh], matches: '{mark}' }}");
    desk.scenario("one", "", &format!("  - {{ id: stop, act: {{ {act} }} }}\n"));
    // The mark is in its own command line, and in that of the shell above it.
    let line =
        format!("'{PROGRAM}' run --env environment.yaml --allow change,exec --operator {mark}; exit $?");
    let folder = desk.path("x").parent().unwrap().to_owned();
    let ended = Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap();
    let said = flowing(&String::from_utf8_lossy(&ended.stdout));
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("there is none; nothing was stopped"), "{said}");
}

#[test]
fn what_a_supervisor_starts_again_was_not_stopped() {
    let mut place = Place::quiet();
    place.desk.write(
        "supervise",
        format!(
            "cd {}\nuntil test -e enough; do sh '{}'; sleep 1; done",
            place.desk.path("").display(),
            place.name
        ),
    );
    let mut supervisor = Command::new("sh").arg(place.desk.path("supervise")).spawn().unwrap();
    until("it runs", || (place.starts() == 1).then_some(()));
    place.scenario(&place.act(""), ", within: 6s", "");
    let ended = place.run(1);
    assert!(ended.stdout.contains("a supervisor"), "{ended:?}");
    assert_eq!(place.running().len(), 1, "there is one, and none was started beside it");
    place.desk.write("enough", "");
    for pid in place.running() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    supervisor.wait().unwrap();
    place.first = None;
}

#[test]
fn what_does_not_heed_the_signal_was_never_stopped() {
    let place = Place::new(&format!("trap '' TERM; {WAITS}")).start();
    until("it does not listen", || {
        let status = fs::read_to_string(format!("/proc/{}/status", place.running()[0])).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
        (u64::from_str_radix(&ignored, 16).unwrap() & (1 << 14) != 0).then_some(())
    });
    place.scenario(&place.act(""), ", within: 1s, timeout: 1s", "");
    let ended = place.run(1);
    assert!(ended.stdout.contains("it still runs"), "{ended:?}");
    assert_eq!((place.running().len(), place.starts()), (1, 1));
}

#[test]
fn what_takes_its_time_to_end_is_started_after_its_end() {
    // Killed right after the signal: whoever recovers finds it running, and it is about to end.
    let place = Place::new(&format!("trap 'sleep 4; exit 0' TERM; touch ready; {WAITS}")).start();
    until("it listens", || place.desk.path("ready").exists().then_some(()));
    fs::remove_file(place.desk.path("ready")).unwrap();
    place.scenario(&place.act(""), ", timeout: 1m", "");
    let running = place.desk.start_run(&["--allow", "change,exec"]);
    until("it was promised", || place.promised().then_some(()));
    until("it was asked", || {
        // It sleeps its last sleep.
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", place.running()[0])).ok()?;
        let child = children.split_whitespace().next()?.to_owned();
        fs::read_to_string(format!("/proc/{child}/cmdline")).ok()?.contains("sleep\u{0}4").then_some(())
    });
    running.signal(Signal::SIGKILL);
    running.wait();
    let first = place.running();
    place.desk.recover(0);
    let second = place.running();
    assert_eq!((first.len(), second.len(), place.starts()), (1, 1, 2));
    assert_ne!(first, second, "it did not count as back before it had ended");
    assert!(place.desk.recover(0).stdout.contains("nothing is owed"));
}

#[test]
fn kill_9_while_it_is_stopped_leaves_it_to_recover_which_starts_it_once() {
    let mut place = Place::quiet().start();
    let wait = "  - { id: wait, check: { file: { path: go } }, within: 10m }\n";
    place.scenario(&place.act(""), "", wait);
    let running = place.desk.start_run(&["--allow", "change,exec"]);
    until("it is gone", || place.running().is_empty().then_some(()));
    running.signal(Signal::SIGKILL);
    running.wait();
    place.first.take().unwrap().wait().unwrap();
    let recovered = place.desk.recover(0);
    assert_eq!((place.running().len(), place.starts()), (1, 2), "{recovered:?}");
    assert!(place.desk.recover(0).stdout.contains("nothing is owed"));
    assert_eq!(place.starts(), 2);
    assert_eq!(place.desk.call(&["verify"]).code, Some(0));
}

/// As after `kill -9` between the promise and the signal. It would heed the signal, so only the journal says that it never
/// got it; who does not read that waits for longer than this test does.
#[test]
fn one_that_was_promised_and_not_asked_yet_is_left_alone_and_another_machine_starts_nothing() {
    let mut place = Place::new(&format!("trap 'exit 0' TERM; {WAITS}")).start();
    let wait = "  - { id: wait, check: { file: { path: go } }, within: 10m }\n";
    place.scenario(&place.act(""), "", wait);
    let running = place.desk.start_run(&["--allow", "change,exec"]);
    until("it is gone", || place.running().is_empty().then_some(()));
    running.kill();
    place.first.take().unwrap().wait().unwrap();
    let name = format!("{}/journal.jsonl", place.desk.newest());
    let mut journal = place.desk.journal();
    assert!(journal.len() == 2 && journal[1]["begun"]["promise"] == 1, "{journal:?}");
    let mut promised = journal.swap_remove(0);
    let way = promised.pointer_mut("/promised/undo/process").unwrap();
    let host = std::mem::replace(&mut way["host"], "elsewhere".into());
    place.desk.write(&name, format!("{promised}\n"));
    let elsewhere = place.desk.recover(4);
    assert!(flowing(&elsewhere.stdout).contains("run `proofmark recover` there"), "{elsewhere:?}");
    assert!(place.running().is_empty());

    place.first = Some(Command::new("sh").arg(&place.name).spawn().unwrap());
    until("it runs", || (place.starts() == 2).then_some(()));
    let pid = place.running()[0];
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let began: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let way = promised.pointer_mut("/promised/undo/process").unwrap();
    way["host"] = host;
    way["process"]["pid"] = pid.into();
    way["process"]["began"] = began.into();
    place.desk.write(&name, format!("{promised}\n"));
    place.desk.recover(0);
    assert_eq!((place.running(), place.starts()), (vec![pid], 2));
}

#[test]
fn what_was_started_by_a_recovery_that_was_killed_is_not_started_a_second_time() {
    let mut place = Place::quiet().start();
    // It takes a while until it is what `matches` means.
    place.desk.write(
        "slowly",
        format!(
            "cd {}\necho >> slow\nuntil test -e now; do sleep 0.05; done\nexec sh '{}'",
            place.desk.path("").display(),
            place.name
        ),
    );
    let wait = "  - { id: wait, check: { file: { path: go } }, within: 10m }\n";
    let act = format!("process-stop: {{ start: [sh, slowly], matches: '^sh {}$' }}", place.name);
    place.scenario(&act, "", wait);
    let running = place.desk.start_run(&["--allow", "change,exec"]);
    until("it is gone", || place.running().is_empty().then_some(()));
    running.kill();
    place.first.take().unwrap().wait().unwrap();
    let slow = || fs::read_to_string(place.desk.path("slow")).unwrap_or_default().lines().count();
    for _ in 0..2 {
        let recovering = place.desk.start_recover();
        until("it was started", || (slow() == 1).then_some(()));
        // It looks again and again meanwhile.
        until("it has looked again", || {
            let newest = place.desk.path(&place.desk.newest()).join("events.jsonl");
            (fs::read_to_string(newest).ok()?.matches("\"attempted\"").count() > 1).then_some(())
        });
        recovering.kill();
    }
    assert_eq!((slow(), place.starts()), (1, 1));
    place.desk.write("now", "");
    place.desk.recover(0);
    assert_eq!((slow(), place.starts(), place.running().len()), (1, 2, 1));
}

#[test]
fn somebody_who_started_it_meanwhile_is_left_alone() {
    let mut place = Place::quiet().start();
    let again = format!(
        "  - {{ id: again, act: {{ command: {{ script: 'sh {} >/dev/null 2>&1 &' }} }} }}\n",
        place.name
    );
    place.scenario(&place.act(""), "", &again);
    place.run(0);
    place.first.take().unwrap().wait().unwrap();
    assert_eq!((place.running().len(), place.starts()), (1, 2));
}

#[test]
fn what_cannot_be_started_is_owed_and_command_lines_are_not_kept() {
    let mut place = Place::quiet();
    let name = place.name.clone();
    place.first =
        Some(Command::new("sh").args([&name, "--password=hunter2-of-the-service"]).spawn().unwrap());
    until("it runs", || (place.starts() == 1).then_some(()));
    place.desk.write("broken", "exit 7");
    let act = format!("process-stop: {{ start: [sh, broken], matches: '^sh {name} --pass' }}");
    let wait = "  - { id: wait, check: { file: { path: go } }, within: 10m }\n";
    place.scenario(&act, "", wait);
    let running = place.desk.start_run(&["--allow", "change,exec"]);
    place.first.take().unwrap().wait().unwrap();
    running.kill();
    let recovering = place.desk.start_recover();
    let told = until("it was tried", || {
        let newest = place.desk.path(&place.desk.newest()).join("events.jsonl");
        fs::read_to_string(newest).ok().filter(|text| text.contains("exit status: 7"))
    });
    assert!(told.contains("ended at once"), "{told}");
    // Somebody mends it while it is tried.
    place.desk.write("broken", format!("exec sh '{name}' --password=hunter2-of-the-service"));
    assert_eq!(recovering.wait().code, Some(0));
    place.desk.tells_none_of(&["hunter2"]);
    let pid: i32 = fs::read_to_string(place.desk.path("pid")).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}
