//! A run as another crate starts it: through `proofmark::app`, without the command line.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use fixtures::{Answer, Server};
use proofmark::app::error::RunError;
use proofmark::app::observer::{RunObserver, RunSinks, Silent};
use proofmark::app::options::RunOptions;
use proofmark::app::run::{RunRequest, run};
use proofmark::app::{report, verify};
use proofmark_engine::scenario::Selection;
use proofmark_environment::Systems;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::{Event, Exit, Permission, Verdict};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const PASSES: &str = "  - { id: page, check: { http: { get: /page } }, via: pages }\n";
const FAILS: &str = "  - { id: gone, check: { http: { get: /gone } }, via: pages }\n";
const CHANGES: &str = "  - { id: touch, act: { command: { argv: ['true'] } } }\n";

/// A folder with one scenario of these steps and an environment, and the request to run it.
fn request(server: &Server, steps: &str) -> (TempDir, RunRequest) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("scenarios")).unwrap();
    let text = format!("proofmark: v1\ntitle: The page\nclaim: It answers.\nsteps:\n{steps}");
    fs::write(path("scenarios/page.yaml"), text).unwrap();
    let connection = format!("proofmark: v1\nconnections: {{ pages: {{ url: '{}' }} }}\n", server.url());
    fs::write(path("environment.yaml"), connection).unwrap();
    let request = RunRequest {
        selection: Selection { paths: vec![path("scenarios")], ..Selection::default() },
        environment: Some(path("environment.yaml")),
        options: RunOptions {
            evidence: path("evidence"),
            reports: Some(path("reports")),
            operator: Some("a stranger".into()),
            ..RunOptions::default()
        },
        ..RunRequest::default()
    };
    (folder, request)
}

fn server() -> Server {
    Server::start().on("/page", Answer::json("{}")).on("/gone", Answer::json("{}").status(404))
}

/// Keeps the events that it gets, and confirms unless it has a reason not to.
#[derive(Default)]
struct Listener {
    events: Arc<Mutex<Vec<Event>>>,
    notes: Mutex<Vec<Diag>>,
    refuses: Option<&'static str>,
}

impl RunObserver for Listener {
    fn note(&self, diag: &Diag) {
        self.notes.lock().unwrap().push(diag.clone());
    }

    fn confirm(&self, systems: &Systems) -> Result<(), Diag> {
        assert!(systems.connections.contains_key("pages"), "asked when the systems are known");
        self.refuses.map_or(Ok(()), |why| Err(Diag::new("not-confirmed", why)))
    }

    fn sinks(&self) -> RunSinks {
        let events = Arc::clone(&self.events);
        let take = move |line: &proofmark_model::Line| events.lock().unwrap().push(line.event.clone());
        RunSinks { events: Box::new(take), progress: None }
    }
}

fn runs(evidence: &Path) -> usize {
    fs::read_dir(evidence).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_plan_runs_and_its_folder_exit_and_report_come_back() {
    let server = server();
    let (folder, request) = request(&server, PASSES);
    let listener = Listener::default();
    let outcome = run(&request, &listener, &Clock::real()).await.unwrap();

    assert_eq!((outcome.exit, outcome.diagnostics), (Exit::Passed, vec![]));
    assert_eq!(outcome.folder.parent(), Some(request.options.evidence.as_path()));
    assert_eq!(outcome.report.verdict, Verdict::Passed);
    assert_eq!(outcome.report.operator.as_deref(), Some("a stranger"));
    assert_eq!(outcome.report.scenarios[0].steps[0].id, "page");
    assert_eq!(outcome.reports.len(), 3);
    assert!(
        outcome.reports.iter().all(|path| path.is_file() && path.starts_with(folder.path().join("reports")))
    );
    let events = listener.events.lock().unwrap();
    assert_eq!(events.len(), outcome.run.lines.len(), "every event was heard");
    assert!(matches!(events.last(), Some(Event::RunEnded { exit: Exit::Passed, .. })));

    // The same from the evidence alone.
    let evidence = &request.options.evidence;
    assert_eq!(report::report(None, evidence).unwrap(), outcome.report);
    let verified = verify::verify(None, evidence).unwrap();
    assert_eq!((verified.folder, verified.exit, verified.verified.steps), (outcome.folder, Exit::Passed, 1));
    // What was asked for the commit is an exchange.
    let info = outcome.run.info.unwrap();
    assert_eq!((info.command.as_str(), info.commit), ("run", None));
    let programs: Vec<_> = info.programs.iter().map(|it| (it.method.as_str(), it.status)).collect();
    assert_eq!(programs, [("exec", Some(128))]);
}

#[tokio::test]
async fn a_run_that_fails_is_an_outcome_and_needs_no_report() {
    let server = server();
    let (folder, mut request) = request(&server, FAILS);
    request.options.reports = None;
    let outcome = run(&request, &Silent, &Clock::real()).await.unwrap();
    assert_eq!((outcome.exit, outcome.report.verdict), (Exit::Failed, Verdict::Failed));
    assert!(outcome.reports.is_empty() && !folder.path().join("reports").exists());
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_a_diagnostic() {
    let server = server();
    let (folder, mut request) = request(&server, PASSES);
    let taken = folder.path().join("taken");
    fs::write(&taken, "").unwrap();
    request.options.reports = Some(taken);
    let outcome = run(&request, &Silent, &Clock::real()).await.unwrap();
    let codes: Vec<_> = outcome.diagnostics.iter().map(|diag| diag.code).collect();
    assert_eq!((outcome.exit, codes), (Exit::Evidence, vec!["no-report"]));
    assert_eq!(outcome.report.exit, Exit::Passed, "the evidence is not touched by it");
}

#[tokio::test]
async fn what_may_not_be_done_is_refused_before_anything_is_touched() {
    let server = server();
    let (_folder, mut request) = request(&server, &[PASSES, CHANGES].concat());
    let refused = |ended: Result<_, RunError>| {
        let error = ended.map(drop).unwrap_err();
        let codes: Vec<_> = error.diagnostics().iter().map(|diag| diag.code).collect();
        (error.exit(), codes, error.to_string())
    };
    let (exit, codes, why) = refused(run(&request, &Silent, &Clock::real()).await);
    assert_eq!((exit, codes), (Exit::Usage, vec!["missing-permission"]), "{why}");

    request.options.allow = [Permission::Exec, Permission::Change].into();
    let unsure = Listener { refuses: Some("not today"), ..Listener::default() };
    let ended = run(&request, &unsure, &Clock::real()).await;
    assert_eq!(refused(ended), (Exit::Usage, vec!["not-confirmed"], "not today".to_owned()));
    assert_eq!((runs(&request.options.evidence), server.seen().len()), (0, 0));
    assert!(unsure.events.lock().unwrap().is_empty() && unsure.notes.lock().unwrap().is_empty());

    let sure = run(&request, &Listener::default(), &Clock::real()).await.unwrap();
    assert_eq!((sure.exit, runs(&request.options.evidence)), (Exit::Passed, 1));
}
