//! Servers that are broken, each in its way: a check that could not look is unverified.

use super::example::{Asked, Bench, Login};
use fixtures::{Answer, Fault, Server};
use proofmark::kinds::registry;
use proofmark_engine::KindInfo;
use proofmark_engine::testing::compliance::{Broken, Case, Exception, asks_a_system, broken};
use proofmark_model::{StepRecord, Verdict};

/// Nobody listens there, and no other test can be given that port.
const NOBODY: &str = "http://127.0.0.1:1";

const DECIDES: &str =
    "the answer of a server is what this kind looks at: its status is judged, whatever it says";

/// What a kind decides although the system is broken.
const EXCEPTIONS: &[Exception] = &[
    Exception { kind: "http", rule: "status_401_is_unverified", verdict: Verdict::Failed, reason: DECIDES },
    Exception { kind: "http", rule: "status_403_is_unverified", verdict: Verdict::Failed, reason: DECIDES },
    Exception { kind: "http", rule: "status_500_is_unverified", verdict: Verdict::Failed, reason: DECIDES },
    Exception {
        kind: "http",
        rule: "a_page_of_html_is_unverified",
        verdict: Verdict::Passed,
        reason: DECIDES,
    },
];

pub fn cases() -> Vec<Case> {
    let status = |status: u16| Server::start().always(Answer::new(status, "text/plain", "no\n"));
    let ways: [(&'static str, Option<Server>); 6] = [
        ("unreachable_is_unverified", None),
        ("status_401_is_unverified", Some(status(401))),
        ("status_403_is_unverified", Some(status(403))),
        ("status_500_is_unverified", Some(status(500))),
        ("an_answer_that_is_cut_off_is_unverified", Some(Server::broken(Fault::CutOff))),
        ("a_page_of_html_is_unverified", Some(Server::broken(Fault::Html))),
    ];
    let way = |(rule, server): (&'static str, Option<Server>)| Broken {
        rule,
        probe: Box::new(move |kind| probe(kind, server.as_ref())),
    };
    broken(registry(), ways.into_iter().map(way).collect(), EXCEPTIONS)
}

fn probe(kind: &KindInfo, server: Option<&Server>) -> Result<Option<StepRecord>, String> {
    if !asks_a_system(kind) {
        return Ok(None);
    }
    let url = server.map_or_else(|| NOBODY.to_owned(), Server::url);
    let mut bench = Bench::new("a-password-of-no-account");
    bench.add("example", Asked { kind, url: &url, login: Login::Password }, true, "");
    let outcome = bench.run()?;
    outcome.run.step("s", "example").map(Some).ok_or_else(|| "the step left no file".to_owned())
}
