//! Servers that are broken in every way there is, through the whole program: `unverified` with a reason that helps,
//! within the time of the step and in bounded memory.

#![expect(clippy::disallowed_methods, reason = "a test measures real time")]

use fixtures::{Desk, Fault, Server};
use serde_json::Value;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proofmark");

fn desk(server: &Server) -> Desk {
    Desk::new(PROGRAM, &[("prometheus", &server.url())])
}

/// The reason that a step gives, as its file, the report for people, and the one for CI tell it.
fn reason(desk: &Desk, step: &str) -> String {
    let record = desk.kept(step);
    assert_eq!(record["verdict"], "unverified", "{record}");
    let findings = record["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let open = findings.iter().find(|finding| finding["verdict"] == "unverified");
    let reason = open.and_then(|finding| finding["seen"].as_str()).unwrap_or_default().to_owned();
    let words: Vec<String> = reason.split_whitespace().take(6).map(str::to_owned).collect();
    for format in ["text", "junit"] {
        let told = desk.call(&["report", "--format", format]).stdout;
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&words.join(" ")), "{format}: {words:?} in {told}");
    }
    reason
}

#[test]
fn every_fault_is_unverified_within_the_time_of_the_step() {
    let faults = [
        (Fault::Refused, "is it running", true),
        (Fault::Hang, "overloaded", true),
        (Fault::Drip, "bytes of it came", true),
        (Fault::CutOff, "has dropped the connection", true),
        (Fault::Status500, "500: something broke", false),
        (Fault::Html, "is this the right server and path", false),
        (Fault::Oversized, "is this the right server and path", false),
        (Fault::GzipBomb, "is this the right server and path", false),
        (Fault::BadCertificate, "`ca` (certificates to trust)", true),
        (Fault::RedirectLoop, "a redirect loop", true),
        (Fault::InvalidUtf8, "is this the right server and path", false),
    ];
    for (fault, word, also_http) in faults {
        let server = Server::broken(fault);
        let desk = desk(&server);
        // Large answers take longer in a test build; how long a step may take is shown by the others.
        let large = matches!(fault, Fault::Oversized | Fault::GzipBomb);
        let limit = if large { "30s" } else { "700ms" };
        let all = [
            ("query", "prometheus-query: { query: up } }"),
            ("targets", "prometheus-targets: {} }"),
            ("page", "http: { get: / } }, via: prometheus"),
        ];
        let all = &all[..if also_http { 3 } else { 2 }];
        let step = |(id, kind)| format!("  - {{ id: {id}, check: {{ {kind}, timeout: {limit} }}\n");
        let steps = all.iter().copied().map(step).collect::<Vec<_>>().concat();
        let start = Instant::now();
        desk.ran(&steps, 3);
        assert!(large || start.elapsed() < Duration::from_secs(6), "{fault:?} took {:?}", start.elapsed());
        for (step, _) in all {
            let reason = reason(&desk, &format!("s/{step}"));
            assert!(reason.contains(word), "{fault:?}: {reason}");
            assert!(reason.contains("127.0.0.1"), "{fault:?} says where: {reason}");
            let seconds = desk.kept(&format!("s/{step}"))["attempts"][0]["seconds"].as_f64();
            assert!(large || seconds.is_some_and(|seconds| seconds < 1.5), "{fault:?}: {seconds:?}");
        }
    }
}

/// What a server that is not a Prometheus says is an answer to `http`; what is expected of it still does not pass.
#[test]
fn a_broken_page_never_passes_an_expectation() {
    for fault in [Fault::Html, Fault::InvalidUtf8, Fault::Oversized, Fault::GzipBomb, Fault::Status500] {
        let server = Server::broken(fault);
        let desk = desk(&server);
        let steps = "  - id: page
    check: { http: { get: /, max-bytes: 1000000 } }
    via: prometheus
    expect: [{ at: $.json.status, equals: success }]
";
        desk.scenario("s", "", steps);
        let ended = desk.run(&[]);
        assert!(matches!(ended.code, Some(1 | 3)), "{fault:?}: {ended:?}");
        let json = desk.kept("s/page")["observation"]["json"].clone();
        assert_eq!(json, Value::Null, "{fault:?}");
    }
}

#[test]
fn a_large_answer_is_refused_in_bounded_memory() {
    let step = |bytes: u32| {
        format!(
            "  - {{ id: page, check: {{ http: {{ get: /, max-bytes: {bytes} }} }}, via: prometheus, timeout: 40s }}\n"
        )
    };
    for fault in [Fault::Oversized, Fault::GzipBomb] {
        let server = Server::broken(fault);
        let desk = desk(&server);
        let refused = desk.ran(&step(1_000_000), 3).peak;
        let reason = reason(&desk, "s/page");
        assert!(reason.contains("at most 1000000 bytes") && reason.contains("max-bytes"), "{reason}");
        // The 16 MiB that may be read whole show what is spared.
        let read = desk.ran(&step(100 << 20), 0).peak;
        assert!(
            refused > 0 && refused + (12 << 10) < read,
            "{fault:?}: {refused} KiB, read whole {read} KiB"
        );
    }
}

#[test]
fn a_timeout_says_where_and_keeps_what_was_asked_each_time() {
    let server = Server::broken(Fault::Hang);
    let desk = desk(&server);
    let step =
        |n| format!("  - {{ id: s{n}, check: {{ prometheus-query: {{ query: up }} }}, timeout: 20ms }}\n");
    desk.ran(&(0..60).map(step).collect::<Vec<_>>().concat(), 3);
    for n in 0..60 {
        let record = desk.kept(&format!("s/s{n}"));
        let seen = record["findings"][0]["seen"].as_str().unwrap_or_default();
        assert!(seen.contains("/api/v1/query within 20ms"), "{n}: {seen}");
        assert_eq!(record["attempts"][0]["requests"].as_array().map(Vec::len), Some(1), "{n}");
    }
}
