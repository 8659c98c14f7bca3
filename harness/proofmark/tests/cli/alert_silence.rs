//! `alert-silence`: through the program with a real Alertmanager, and its client on recorded answers of three versions.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::cx;
use crate::live;
use fixtures::{Answer, Desk, Server, until};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use proofmark_alerting::client::alertmanager::{Matcher, NewSilence, expire, silence, silences};
use proofmark_evidence::undo::LabPermit;
use proofmark_lab::Alertmanager;
use proofmark_model::Verdict;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");
const VERSIONS: [&str; 3] = ["alertmanager-0.25.0", "alertmanager-0.28.1", "alertmanager-0.33.1"];
const CONFIG: &str = "route: { receiver: nobody, group_wait: 1s }\nreceivers: [{ name: nobody }]\n";

async fn firing(folder: &tempfile::TempDir) -> Alertmanager {
    let real = Alertmanager::start(folder.path(), CONFIG).await.unwrap();
    let alert = |name: &str, team: &str| json!({ "labels": { "alertname": name, "team": team } });
    real.post("/api/v2/alerts", &json!([alert("Down", "a"), alert("Slow", "a"), alert("Down", "b")]))
        .await
        .unwrap();
    real
}

fn desk(url: &str, act: &str, more: &str) -> Desk {
    let desk = Desk::new(PROGRAM, &[("alertmanager", url)]);
    desk.scenario("one", "", &format!("  - {{ id: quiet, act: {{ alert-silence: {{ {act} }} }} }}\n{more}"));
    desk
}

/// The states of the silences that it knows, and who made them.
async fn states(url: &str) -> Vec<(String, String)> {
    let cx = cx(url);
    let (found, _) = silences(cx.wire("alertmanager").unwrap(), |_| true).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|it| (it.created_by, it.state)).collect();
    found.sort();
    found
}

fn in_force(states: &[(String, String)]) -> usize {
    states.iter().filter(|(_, state)| state != "expired").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_silent_until_the_end_of_the_scenario_and_not_longer() {
    let folder = tempfile::tempdir().unwrap();
    let real = firing(&folder).await;
    // Somebody else's silence is left alone, also one with the very same matchers.
    real.silence(&[("alertname".to_owned(), "Down".to_owned())].into()).await.unwrap();
    let check = |id: &str, name: &str, teams: &str, count: &str| {
        format!(
            "  - {{ id: {id}, check: {{ alertmanager-alerts: {{ name: {name}, labels: {{ team: {teams} }}, notifying: true }} }}, within: 20s{count} }}\n"
        )
    };
    let quiet = "  - { id: slow, act: { alert-silence: { matchers: ['alertname=~\"Sl.w\"', team!=b], comment: 'a drill' } }, within: 20s, expect: [ { at: '$.alerts[0].name', equals: Slow } ] }\n";
    let desk = desk(&real.url, "name: Down, labels: { team: b }, for: 10m", quiet);
    desk.scenario("two", "needs: [one]", &check("again", "Slow", "a", ""));
    let plan = desk.call(&["plan", "--env", "environment.yaml"]);
    assert!(
        plan.stdout
            .contains("on alertmanager; CHANGES something and promises to put it back; needs --allow change"),
        "{plan:?}"
    );
    desk.runs("change", 0);
    let kept = desk.kept("one/slow");
    let silence = &kept["observation"]["silence"];
    assert_eq!((&silence["state"], &silence["comment"]), (&json!("active"), &json!("a drill")));
    assert_eq!(silence["matchers"], json!(["alertname=~\"Sl.w\"", "team!=\"b\""]));
    let states = states(&real.url).await;
    assert_eq!(states.len(), 3);
    assert!(
        states.iter().all(|(by, state)| (state == "expired") == by.starts_with("proofmark 2")),
        "{states:?}"
    );
    real.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_ends_its_own_silence_only() {
    let folder = tempfile::tempdir().unwrap();
    let real = firing(&folder).await;
    let check = "  - { id: still, check: { alertmanager-alerts: { name: Down, labels: { team: a } } }, expect: [ { at: \"$.alerts[0]['silenced-by']\", count: { equals: 1 } } ], within: 20s }\n";
    let short = "  - { id: short, until: step, act: { alert-silence: { name: Down } } }\n";
    let desk = desk(&real.url, "name: Down", &format!("{short}{check}"));
    desk.runs("change", 0);
    assert_eq!(in_force(&states(&real.url).await), 0);
    real.stop().await;
}

/// Passes everything on, but keeps the answer to a POST back for ever once `hold` is set.
fn proxy(upstream: &str, hold: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&upstream).unwrap();
            let posted = Arc::new(AtomicBool::new(false));
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (seen, held) = (posted.clone(), hold.clone());
            std::thread::spawn(move || {
                pass(&mut from, &mut to, |text| {
                    if text.starts_with(b"POST ") && held.load(Ordering::SeqCst) {
                        seen.store(true, Ordering::SeqCst);
                    }
                    true
                });
            });
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || pass(&mut from, &mut to, |_| !posted.load(Ordering::SeqCst)));
        }
    });
    url
}

fn pass(from: &mut impl Read, to: &mut TcpStream, mut through: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if through(&buffer[..read]) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    to.shutdown(std::net::Shutdown::Both).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_before_the_answer_leaves_a_silence_that_recover_finds_by_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let real = firing(&folder).await;
    let hold = Arc::new(AtomicBool::new(true));
    let desk = desk(&proxy(&real.url, hold.clone()), "name: Down", "");
    let running = desk.start_run(&["--allow", "change"]);
    let runtime = tokio::runtime::Handle::current();
    let url = real.url.clone();
    let there = move || tokio::task::block_in_place(|| runtime.block_on(states(&url)));
    until("the silence is made, and nobody was told its id", || (in_force(&there()) == 1).then_some(()));
    running.signal(Signal::SIGKILL);
    running.wait();
    assert_eq!(in_force(&there()), 1);
    let recovered = desk.recover(0);
    assert_eq!(in_force(&there()), 0, "{recovered:?}");
    assert!(desk.recover(0).stdout.contains("nothing is owed"));
    assert_eq!(desk.call(&["verify"]).code, Some(0));
    let heard = json!({"alertmanager-alerts": {"name": "Down", "notifying": true}});
    let heard = live::until(&cx(&real.url), heard, Verdict::Passed).await;
    assert_eq!((&heard.seen["alerts"][0]["silenced-by"], heard.findings.len()), (&json!([]), 2));
    real.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_changes_nothing_and_one_that_went_away_is_owed() {
    let nowhere = desk("http://127.0.0.1:1", "name: Down", "");
    nowhere.runs("change", 3);
    assert!(nowhere.journal().is_empty(), "nothing was promised");

    let folder = tempfile::tempdir().unwrap();
    let real = firing(&folder).await;
    let wait = "  - { id: wait, check: { file: { path: go } }, within: 10m }\n";
    let desk = desk(&real.url, "name: Down", wait);
    let running = desk.start_run(&["--allow", "change"]);
    until("it is silent", || {
        desk.files("evidence").keys().any(|name| name.ends_with("one/quiet.json")).then_some(())
    });
    running.kill();
    real.stop().await;
    // It is back with its data, at another address.
    let real = Alertmanager::start(folder.path(), CONFIG).await.unwrap();
    assert_eq!(in_force(&states(&real.url).await), 1, "a silence outlives its server");
    desk.write(
        "environment.yaml",
        format!("proofmark: v1\nconnections:\n  alertmanager: {{ url: '{}' }}\n", real.url),
    );
    desk.recover(0);
    assert_eq!(in_force(&states(&real.url).await), 0);
    real.stop().await;
}

#[test]
fn what_would_silence_everything_is_a_mistake() {
    for (act, word) in [
        ("for: 10m", "which alerts"),
        ("matchers: ['team!=b']", "which alerts"),
        ("matchers: ['team=~\".*\"']", "also matches alerts without"),
        ("name: Down, matchers: ['team=~\"a|\"']", "also matches alerts without"),
        ("name: Down, labels: { team: '' }", "also matches alerts without"),
        ("name: ''", "also matches alerts without"),
        ("matchers: ['team']", "no sign"),
        ("matchers: ['team=~\"(\"']", "is no matcher"),
        ("name: Down, for: 0s", "no time for a drill"),
        ("name: Down, for: 25h", "at most 1d"),
    ] {
        let desk = desk("http://127.0.0.1:1", act, "");
        let ended = desk.run(&["--allow", "change"]);
        assert_eq!(ended.code, Some(2), "{act}: {ended:?}");
        assert!(ended.stderr.contains(word), "{act}: {ended:?}");
    }
}

/// What a capture makes of it is looked at before anything is changed.
#[test]
fn a_matcher_that_a_capture_empties_silences_nothing() {
    let server = Server::start()
        .on("/page", Answer::json(r#"{"team": ""}"#))
        .on("/api/v2/silences", Answer::json("[]"));
    let desk = Desk::new(PROGRAM, &[("alertmanager", &server.url()), ("api", &server.url())]);
    let first =
        "  - { id: first, via: api, check: { http: { get: /page } }, capture: { team: $.json.team } }\n";
    let act = "act: { alert-silence: { matchers: ['team=~\"{{ captures.team }}\"'] } }";
    desk.scenario("one", "", &format!("{first}  - {{ id: quiet, {act} }}\n"));
    desk.runs("change", 3);
    assert!(server.seen().iter().all(|seen| seen.method == "GET"));
}

fn recorded(version: &str, name: &str) -> Answer {
    Answer::recorded(&format!("{version}/{name}.json"))
}

/// A stand-in that was told to answer so to a new silence, and what it was asked.
async fn made(answer: Answer) -> (Result<String, String>, Value) {
    let server = Server::start().on("/api/v2/silences", answer);
    let matchers = ["alertname=\"Down\"".parse::<Matcher>().unwrap(), "team!~\"a|b\"".parse().unwrap()];
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let new = NewSilence {
        matchers: &matchers,
        starts_at: at("2026-01-01T00:00:00Z"),
        ends_at: at("2026-01-01T00:30:00Z"),
        created_by: "me",
        comment: "why",
    };
    let cx = cx(&server.url());
    let id = silence(cx.wire("alertmanager").unwrap(), &new, &LabPermit::of_the_lab()).await;
    let sent = serde_json::from_str(&server.seen()[0].body).unwrap();
    (id.map_err(|error| error.to_string()), sent)
}

#[tokio::test]
async fn silences_are_read_the_same_whatever_the_version_and_an_expired_one_is_over() {
    for version in VERSIONS {
        let server = Server::start();
        let cx = cx(&server.url());
        for (name, over) in [("silences", false), ("silences_after_delete", true)] {
            server.set("/api/v2/silences", recorded(version, name));
            let (found, _) = silences(cx.wire("alertmanager").unwrap(), |_| true).await.unwrap();
            assert_eq!(found.len(), 1, "{version}: an expired one stays listed");
            assert_eq!(found[0].is_over(), over, "{version} {name}");
            assert_eq!(found[0].matchers, ["alertname=\"VeleroBackupLocationAvailableDemo\""]);
            assert_eq!(
                (found[0].created_by.as_str(), found[0].comment.as_str()),
                ("harness", "evidence run")
            );
        }
        let (id, sent) = made(recorded(version, "silence_create")).await;
        assert!(id.unwrap().len() == 36);
        assert_eq!(
            sent["matchers"][1],
            json!({"name": "team", "value": "a|b", "isRegex": true, "isEqual": false})
        );
        for (name, status, word) in [
            ("silence_create_emptymatch", 400, "at least one matcher"),
            ("silence_create_ended", 400, "in the past"),
            ("silence_create_nocomment", 422, "602"),
        ] {
            let (id, _) = made(recorded(version, name).status(status)).await;
            let error = id.unwrap_err();
            assert!(error.contains(word) && error.contains(&status.to_string()), "{error}");
        }
    }
}

#[tokio::test]
async fn a_silence_that_is_not_known_any_more_needs_no_end() {
    let server = Server::start();
    let cx = cx(&server.url());
    for (status, ends) in [(200, true), (404, true), (500, false), (401, false)] {
        server.set("/api/v2/silence/x", Answer::new(status, "text/plain", ""));
        let end = expire(cx.wire("alertmanager").unwrap(), "x", &LabPermit::of_the_lab()).await;
        assert_eq!(end.is_ok(), ends, "{status}");
    }
    assert_eq!(server.seen()[0].method, "DELETE");
}
