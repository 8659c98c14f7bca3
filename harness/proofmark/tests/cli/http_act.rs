//! `http` as an act, through the program: sent once, under a promise or finally, put back by its `undo` also after a
//! failure and after `kill -9`, with the login of a connection and without showing any. A stand-in answers, and a real
//! Pushgateway at the end.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Answer, Desk, Pushgateway, Server, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

/// A desk with one act on the stand-in, named by `via`.
fn desk(url: &str, act: &str) -> Desk {
    let desk = Desk::new(PROGRAM, &[("api", url)]);
    change(&desk, act);
    desk
}

fn change(desk: &Desk, act: &str) {
    desk.scenario("one", "", &format!("  - {{ id: change, via: api, act: {{ http: {{ {act} }} }} }}\n"));
}

/// What the stand-in was asked, as `METHOD path`.
fn asked(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}

fn ok() -> Answer {
    Answer::json("{}")
}

#[test]
fn it_needs_leave_and_says_whether_it_is_final() {
    let server = Server::start().on("/flag", ok());
    let desk = desk(&server.url(), "method: POST, url: /flag, body: 'on'");
    let plan = desk.call(&["plan", "--env", "environment.yaml"]);
    assert!(plan.stdout.contains("final: nothing is put back; needs --allow change"), "{plan:?}");
    assert_eq!(desk.run(&[]).code, Some(2));
    assert!(server.seen().is_empty());
    desk.runs("change", 0);
    assert_eq!(asked(&server), ["POST /flag"]);
    assert_eq!(server.seen()[0].body, "on");
    let kept = desk.kept("one/change");
    assert_eq!((&kept["kind"], &kept["acts"]), (&Value::from("http"), &Value::from(true)));
    change(&desk, "method: POST, url: /flag, undo: { method: DELETE }");
    let plan = desk.call(&["plan", "--env", "environment.yaml"]);
    assert!(plan.stdout.contains("promises to put it back; needs --allow change"), "{plan:?}");
}

#[test]
fn what_was_promised_is_put_back_also_after_a_refusal() {
    for (status, code) in [(200, 0), (409, 1)] {
        let server = Server::start().on("/flag", ok().status(status)).on("/back", ok());
        let undo = "undo: { method: PUT, url: /back, headers: { x-drill: '1' }, body: 'off' }";
        let desk =
            desk(&server.url(), &format!("method: POST, url: /flag, headers: {{ x-mine: '2' }}, {undo}"));
        desk.runs("change", code);
        assert_eq!(asked(&server), ["POST /flag", "PUT /back"]);
        let back = &server.seen()[1];
        assert_eq!((back.body.as_str(), back.headers.get("x-drill").map(String::as_str)), ("off", Some("1")));
        assert!(!back.headers.contains_key("x-mine"));
    }
}

#[test]
fn what_is_gone_already_was_deleted_and_what_is_refused_was_not() {
    for (status, code) in [(204, 0), (404, 0), (410, 0), (403, 4), (400, 4)] {
        let server =
            Server::start().on("/flag", ok()).on("/thing", Answer::new(status, "text/plain", "so it is"));
        let desk = desk(&server.url(), "method: PUT, url: /flag, undo: { method: DELETE, url: /thing }");
        let ended = desk.runs("change", code);
        let asked = asked(&server);
        assert_eq!(asked[..2], ["PUT /flag", "DELETE /thing"], "{status}");
        assert!(asked.len() <= if code == 4 { 4 } else { 2 }, "not again and again: {asked:?}");
        assert_eq!(ended.stdout.contains("so it is"), code == 4, "the server's words: {ended:?}");
    }
    // Only DELETE says that it is gone; and `status` is the author's word, also about that.
    for undo in ["{ method: PUT, url: /gone }", "{ method: DELETE, url: /gone, status: 200 }"] {
        let server = Server::start().on("/flag", ok()).on("/gone", ok().status(404));
        let desk = desk(&server.url(), &format!("method: PUT, url: /flag, undo: {undo}"));
        desk.runs("change", 4);
    }
}

#[test]
fn what_may_be_over_soon_is_put_back_once_it_is() {
    let server = Server::start().on("/flag", ok()).on("/back", ok().status(503));
    let desk = desk(&server.url(), "method: PUT, url: /flag, undo: { method: DELETE, url: /back }");
    let running = desk.start_run(&["--allow", "change"]);
    until("it was tried twice", || (server.seen().len() > 2).then_some(()));
    server.set("/back", ok());
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    desk.sound(&ended);
}

/// Takes requests and drops the connection without a word; the second of a connection too.
fn hanging_up() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let counted = counted.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    if text.starts_with("GET ") {
                        let body = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
                        stream.write_all(body.as_bytes()).unwrap();
                        continue;
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            });
        }
    });
    (url, count)
}

#[test]
fn it_is_sent_once_though_the_connection_breaks_off() {
    let (url, count) = hanging_up();
    let desk = Desk::new(PROGRAM, &[("api", &url)]);
    // The first one leaves a connection open, which the second one uses.
    let get = "  - { id: get, via: api, check: { http: { get: /x } } }\n";
    let post = "  - { id: change, via: api, act: { http: { method: POST, url: /x } } }\n";
    desk.scenario("one", "", &format!("{get}{post}"));
    desk.runs("change", 3);
    assert_eq!(count.load(Ordering::SeqCst), 1, "nobody knows what the first one did");
}

#[test]
fn a_redirect_makes_no_other_request_of_it() {
    let moved = |status, to: &str| Answer::new(status, "text/plain", "").header("location", to);
    for status in [301, 302, 303] {
        let server = Server::start().on("/old", moved(status, "/new")).on("/new", ok());
        let desk = desk(&server.url(), "method: POST, url: /old, body: x");
        desk.runs("change", 1);
        assert_eq!(asked(&server), ["POST /old"], "a GET would have been answered well");
        change(&desk, &format!("method: POST, url: /old, status: {status}"));
        desk.runs("change", 0);
    }
    let other = Server::start().on("/new", ok());
    for status in [307, 308] {
        let server = Server::start().on("/old", moved(status, "/new")).on("/new", ok());
        let desk = desk(&server.url(), "method: POST, url: /old, body: x");
        desk.runs("change", 0);
        assert_eq!(asked(&server), ["POST /old", "POST /new"]);
        assert_eq!(server.seen()[1].body, "x");
        server.set("/old", moved(status, &format!("{}/new", other.url())));
        change(&desk, "method: DELETE, url: /old");
        desk.runs("change", 1);
        assert!(other.seen().is_empty(), "leave was for one system");
    }
}

#[test]
fn after_kill_9_it_is_put_back_with_the_login_of_the_connection() {
    let slow = ok().after(Duration::from_secs(600));
    let server = Server::start().on("/api/flag", slow).on("/api/secret-token-of-mine", ok());
    let mut desk = Desk::new(PROGRAM, &[]);
    desk.set("WORD", "correct-horse-battery");
    desk.set("KEY", "secret-token-of-mine");
    let of = |name: &str, url: &str, more: &str| format!("  {name}: {{ url: '{url}', {more} }}\n");
    let api = format!("{}/api", server.url());
    desk.write(
        "environment.yaml",
        format!(
            "proofmark: v1\nconnections:\n{}{}",
            of("other", &api, "bearer: { env: WORD }"),
            of("prometheus", &api, "bearer: { env: KEY }")
        ),
    );
    let undo = "undo: { method: DELETE, url: /secret-token-of-mine, headers: { authorization: mine-alone } }";
    let act = format!("act: {{ http: {{ method: PUT, url: /flag, {undo} }} }}");
    let use_it = "  - { id: asked, check: { prometheus-query: { query: up } } }\n";
    desk.scenario("one", "", &format!("  - {{ id: change, via: other, timeout: 10m, {act} }}\n{use_it}"));
    let running = desk.start_run(&["--allow", "change"]);
    until("it has changed something", || (!server.seen().is_empty()).then_some(()));
    running.signal(Signal::SIGKILL);
    running.wait();
    let run = desk.newest();
    let journal = std::fs::read_to_string(desk.path(&run).join("journal.jsonl")).unwrap();
    assert!(!journal.contains("mine-alone") && !journal.contains("secret-token"), "{journal}");
    desk.recover(0);
    let back = &server.seen()[1];
    assert_eq!((back.method.as_str(), back.target.as_str()), ("DELETE", "/api/secret-token-of-mine"));
    assert_eq!(back.headers["authorization"], "mine-alone", "its own header wins");
    assert_eq!(server.seen()[0].headers["authorization"], "Bearer correct-horse-battery");
    assert!(desk.recover(0).stdout.contains("nothing is owed"));
    assert_eq!(desk.call(&["verify"]).code, Some(0));
    desk.tells_none_of(&["correct-horse", "secret-token", "mine-alone"]);
}

#[test]
fn the_undo_uses_the_login_that_is_there_when_it_is_put_back() {
    let server = Server::start().on("/flag", ok().after(Duration::from_secs(600))).on("/back", ok());
    let mut desk = desk(&server.url(), "method: PUT, url: /flag, undo: { method: DELETE, url: /back }");
    desk.set("WORD", "first-password-of-it");
    let url = server.url();
    desk.write(
        "environment.yaml",
        format!("proofmark: v1\nconnections:\n  api: {{ url: '{url}', bearer: {{ env: WORD }} }}\n"),
    );
    desk.scenario("one", "", "  - { id: change, via: api, timeout: 10m, act: { http: { method: PUT, url: /flag, undo: { method: DELETE, url: /back } } } }\n");
    let running = desk.start_run(&["--allow", "change"]);
    until("it has changed something", || (!server.seen().is_empty()).then_some(()));
    running.kill();
    desk.set("WORD", "second-password-of-it");
    assert_eq!(desk.call(&["recover"]).code, Some(4), "without the environment there is no such connection");
    desk.recover(0);
    assert_eq!(server.seen()[1].headers["authorization"], "Bearer second-password-of-it");
}

#[test]
fn evidence_of_acts_from_before_a_check_and_an_act_could_share_a_name_still_verifies() {
    let desk = Desk::new(PROGRAM, &[]);
    desk.ran("  - { id: act, act: { command: { argv: [ls] } } }\n", 0);
    let run = desk.newest();
    let name = format!("{run}/s/act.json");
    let text = std::fs::read_to_string(desk.path(&name)).unwrap();
    let old = text.replacen("  \"acts\": true,\n", "", 1);
    assert_ne!(text, old);
    let sha = |text: &str| {
        use sha2::{Digest as _, Sha256};
        hex::encode(Sha256::digest(text.as_bytes()))
    };
    desk.write(&name, &old);
    for file in ["events.jsonl", "manifest.json"] {
        let name = format!("{run}/{file}");
        let mended = std::fs::read_to_string(desk.path(&name)).unwrap().replace(&sha(&text), &sha(&old));
        desk.write(&name, &mended);
        if file == "events.jsonl" {
            let manifest = format!("{run}/manifest.json");
            let before = std::fs::read_to_string(desk.path(&manifest)).unwrap();
            let value: Value = serde_json::from_str(&before).unwrap();
            let events = value["files"]["events.jsonl"].as_str().unwrap().to_owned();
            desk.write(&manifest, before.replace(&events, &sha(&mended)));
        }
    }
    let verified = desk.call(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_real_pushgateway_has_the_group_for_the_drill_only() {
    let real = Pushgateway::start();
    let desk = Desk::new(PROGRAM, &[("api", &real.url())]);
    let group = "/metrics/job/{{ run.id }}";
    let act =
        format!("http: {{ method: PUT, url: '{group}', body: \"drill 1\\n\", undo: {{ method: DELETE }} }}");
    let seen = "metrics: { get: /metrics }";
    let drill = |id: &str, count: &str| {
        format!(
            "  - {{ id: {id}, via: api, check: {{ {seen} }}, control: before, expect: [ {{ at: \"$.families[?@.name=='drill'].samples[*]\", count: {{ equals: {count} }} }} ] }}\n"
        )
    };
    let before = format!("  - {{ id: before, via: api, check: {{ {seen} }} }}\n");
    desk.scenario(
        "one",
        "",
        &format!(
            "{before}  - {{ id: push, via: api, until: scenario, act: {{ {act} }} }}\n{}",
            drill("there", "1")
        ),
    );
    desk.scenario("two", "needs: [one]", &format!("{before}{}", drill("gone", "0")));
    desk.runs("change", 0);
}
