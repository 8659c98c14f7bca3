//! What the program says to input that is wrong: the message as its reader gets it, exit 2, and nothing touched.
//!
//! The program itself is run, as a user runs it, beside a stand-in server that must see no request. The snapshots are
//! the messages. A case is one line; a mistake in a file must be shown with line, column, caret and help.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use fixtures::{Answer, Server};
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

const ENVIRONMENT: &str = "proofmark: v1\nconnections:\n  prometheus: { url: { env: STAND_IN } }\n";
const HEAD: &str =
    "proofmark: v1\ntitle: A test\nclaim: It is seen.\nvars: { job: shop, status: never }\nsteps:\n";
const GOOD: &str = "  - id: good\n    check: { prometheus-query: { query: up } }\n";

/// A folder with what a user would have written, and the command line that would be typed in it.
struct Desk {
    folder: TempDir,
    args: Vec<String>,
}

fn desk() -> Desk {
    let desk = Desk { folder: tempfile::tempdir().unwrap(), args: vec![] };
    desk.file("environment.yaml", ENVIRONMENT).args("run --env environment.yaml")
}

/// A scenario that is well but for its last step.
fn step(lines: &str) -> Desk {
    let lines = lines.replace('\n', "\n    ");
    scenario(&format!("{HEAD}{GOOD}  - id: bad\n    {lines}\n"))
}

/// A scenario that is well but for the settings of its one check.
fn check(kind: &str) -> Desk {
    step(&format!("check: {{ {kind} }}"))
}

/// A scenario that is well but for an expectation.
fn expect(entry: &str) -> Desk {
    step(&format!("check: {{ prometheus-query: {{ query: up }} }}\nexpect:\n  - {entry}"))
}

fn scenario(text: &str) -> Desk {
    desk().file("scenarios/bad.yaml", text)
}

/// A scenario that is well, with more at its top.
fn top(lines: &str) -> Desk {
    scenario(&HEAD.replace("vars: { job: shop, status: never }", lines)).append("scenarios/bad.yaml", GOOD)
}

/// A scenario that is well, in an environment that has only this connection.
fn connection(lines: &str) -> Desk {
    let text = ENVIRONMENT.replace("{ url: { env: STAND_IN } }", lines);
    good().file("environment.yaml", text)
}

/// A scenario that asks a database, too, which this connection is.
fn database(lines: &str) -> Desk {
    step("check: { postgres-tables: {} }").file(
        "environment.yaml",
        format!("{}  postgres: {lines}\n", ENVIRONMENT.replace("{ env: STAND_IN }", "'http://127.0.0.1:1'")),
    )
}

/// A scenario that asks a store, too, which this connection is.
fn store(lines: &str) -> Desk {
    step("check: { s3-objects: {} }").file(
        "environment.yaml",
        format!("{}  store: {lines}\n", ENVIRONMENT.replace("{ env: STAND_IN }", "'http://127.0.0.1:1'")),
    )
}

/// A scenario that runs pg_dump in this container; the connection is that of its engine.
fn engine(container: &str, lines: &str) -> Desk {
    let environment = ENVIRONMENT.replace("{ env: STAND_IN }", "'http://127.0.0.1:1'");
    step(&format!("act: {{ backup: {{ container: {container} }} }}")).file(
        "environment.yaml",
        format!("{environment}  postgres: {{ url: 'postgresql://me@127.0.0.1/app' }}\n  store: {{ url: 'file:///backups' }}\n  docker: {lines}\n"),
    )
}

fn good() -> Desk {
    desk().file("scenarios/good.yaml", format!("{HEAD}{GOOD}"))
}

impl Desk {
    fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn append(self, path: &str, more: &str) -> Self {
        let text = fs::read_to_string(self.folder.path().join(path)).unwrap() + more;
        self.file(path, text)
    }

    fn with(self, change: impl FnOnce(&Path)) -> Self {
        change(self.folder.path());
        self
    }

    /// The words after `proofmark`.
    fn args(mut self, line: &str) -> Self {
        self.args = line.split_whitespace().map(str::to_owned).collect();
        self
    }

    fn run(&self, server: &Server) -> Output {
        assert_cmd::Command::cargo_bin("proofmark")
            .unwrap()
            .args(&self.args)
            .current_dir(&self.folder)
            .env("STAND_IN", server.url())
            .env("EMPTY", "")
            .env_remove("NOT_SET")
            .env_remove("COLUMNS")
            .timeout(std::time::Duration::from_secs(20))
            .output()
            .unwrap()
    }

    /// The message, after it was made sure that nothing was touched.
    fn message(&self) -> String {
        let server = Server::start();
        let output = self.run(&server);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(!["hunter2", "12345678"].iter().any(|secret| message.contains(secret)), "{message}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "the result is kept free of messages");
        assert_eq!(server.seen().len(), 0, "a request was sent");
        for made in ["evidence", "reports"] {
            assert!(!self.folder.path().join(made).exists(), "`{made}` was made");
        }
        format!("$ proofmark {}\n{message}", self.args.join(" "))
    }

    /// Every mistake stands in a file.
    fn refused(&self, name: &str) {
        let message = self.message();
        keep(name, &message);
        for mistake in message.split("error[").skip(1) {
            for part in ["--> ", " ^", "help: "] {
                assert!(mistake.contains(part), "no `{part}` in\n{message}");
            }
        }
    }

    /// The mistake stands on the command line, or the file cannot be shown; help is offered all the same.
    fn refused_without_place(&self, name: &str) {
        let message = self.message();
        keep(name, &message);
        assert!(["help: ", "tip: ", "--help"].iter().any(|help| message.contains(help)), "{message}");
    }
}

fn keep(name: &str, message: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "snapshots/bad_input" }, {
        insta::assert_snapshot!(name, message);
    });
}

macro_rules! cases { ($how:ident: $($name:ident = $desk:expr;)+) => { $(
    #[test]
    fn $name() {
        $desk.$how(stringify!($name));
    }
)+ } }

// What every case below stands on: without a mistake the same desk does send requests and leave evidence.
#[test]
fn a_good_file_is_run() {
    let server = Server::start().on("/api/v1/query", Answer::recorded("prometheus-3.5.3/query_vector.json"));
    let good = good();
    let output = good.run(&server);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(server.seen().len(), 0);
    assert!(good.folder.path().join("evidence").exists() && good.folder.path().join("reports").exists());
}

// `via` without a role is for every candidate, also for kinds that have no role of their own.
#[test]
fn candidates_are_read_below_the_connection_that_via_names() {
    let server = Server::start().on("/second", Answer::json("{}"));
    let first = "first-of: [{ http: { get: /first } }, { http: { get: /second } }]";
    let desk = scenario(&format!("{HEAD}  - id: page\n    check: {{ {first} }}\n    via: prometheus\n"));
    let output = desk.run(&server);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.seen().len(), 2);
}

cases! { refused:
    unknown_key_of_a_scenario = top("titel: Again");
    unknown_key_of_a_step = step("check: { prometheus-query: { query: up } }\nwihtin: 2m");
    unknown_key_of_a_kind = check("prometheus-query: { qeury: up }");
    unknown_key_in_settings_within_settings = check("prometheus-query: { query: up, range: { last: 1h, step: 1m, form: 2h } }");
    unknown_key_of_an_expectation = expect("{ at: $.samples, minn: 1 }");
    misspelt_kind = check("prometheus-qurey: { query: up }");
    kind_that_is_like_no_other = check("mongodb: { find: {} }");
    kind_without_settings = check("prometheus-query:");
    kind_as_text = step("check: prometheus-query");
    two_kinds_in_one_step = step("check:\n  prometheus-query: { query: up }\n  prometheus-targets: { job: shop }");
    check_and_act_in_one_step = step("check: { prometheus-query: { query: up } }\nact: { command: { argv: [ls] } }");
    neither_check_nor_act = step("title: Nothing");
    act_below_check = check("command: { argv: [ls] }");
    check_below_act = step("act: { prometheus-query: { query: up } }");
    act_that_polls = step("act: { command: { argv: [ls] } }\nwithin: 2m");
    every_without_within = step("check: { prometheus-query: { query: up } }\nevery: 2s");
    first_of_nothing = check("first-of: []");
    first_of_and_a_kind = check("first-of: [{ prometheus-query: { query: up } }], prometheus-targets: {}");
    first_of_acts = step("act: { first-of: [{ command: { argv: [ls] } }] }");
    first_of_with_two_mistakes = check("first-of: [{ prometheus-qurey: { query: up } }, { prometheus-query: {} }]");
    step_that_is_text = scenario(&format!("{HEAD}{GOOD}  - good\n"));
    steps_that_are_a_map = scenario(&format!("{HEAD}  good: {{}}\n"));
    no_steps = scenario(&format!("{}\n", HEAD.replace("steps:", "steps: []")));
    steps_missing = scenario(&HEAD.replace("steps:\n", ""));
    steps_empty = scenario(HEAD);
    missing_keys = scenario("proofmark: v1\nsteps:\n  - check: { prometheus-query: {} }\n");
    missing_setting = check("prometheus-query: {}");
    empty_setting = check("prometheus-query: { query: '' }");
    list_where_text_is_expected = check("prometheus-query: { query: [up] }");
    number_where_a_duration_is_expected = step("check: { prometheus-query: { query: up } }\nwithin: 5");
    text_where_a_list_is_expected = top("tags: wave1");
    text_where_expectations_are_expected = step("check: { prometheus-query: { query: up } }\nexpect: up");
    wrong_status = check("http: { get: 'http://127.0.0.1/', status: 20 }");
    yes_is_no_boolean = check("http: { get: 'https://127.0.0.1/', tls: { insecure: yes } }");
    wrong_type_after_a_template = check("http: { get: 'http://127.0.0.1/', status: '{{ vars.status }}' }");
    wrong_duration_after_a_template = check("prometheus-query: { query: up, range: { last: '{{ vars.status }}', step: 1m } }");
    wrong_time_of_a_step_after_a_template = step("check: { prometheus-query: { query: up } }\nwithin: '{{ vars.status }}'");
    capture_as_a_time_of_a_step = step("check: { prometheus-query: { query: up } }\ntimeout: '{{ captures.wait }}'");
    unknown_template_name = check("prometheus-query: { query: 'up{job=\"{{ vars.jbo }}\"}' }");
    unknown_template_root = check("prometheus-query: { query: '{{ var.job }}' }");
    template_without_a_name = check("prometheus-query: { query: 'up{{ }}' }");
    template_that_does_not_end = check("prometheus-query: { query: 'up{{ vars.job' }");
    template_in_an_expectation = expect("{ at: '$.samples[0].value', equals: '{{ vars.lots }}' }");
    capture_before_it_is_made = step("check: { prometheus-query: { query: 'up > {{ captures.one }}' } }\ncapture: { one: '$.samples[0].value' }");
    capture_that_is_misspelt = step("check: { prometheus-query: { query: up } }\ncapture: { orders: '$.samples[0].value' }")
        .append("scenarios/bad.yaml", "  - id: third\n    check: { prometheus-query: { query: '{{ captures.order }}' } }\n");
    duplicate_step_id = scenario(&format!("{HEAD}{GOOD}{GOOD}"));
    bad_step_id = scenario(&format!("{HEAD}{}", GOOD.replace("good", "'../good'")));
    path_without_a_dollar = expect("{ at: samples, count: { min: 1 } }");
    path_that_does_not_end = expect("{ at: '$.samples[', count: { min: 1 } }");
    path_of_a_capture = step("check: { prometheus-query: { query: up } }\ncapture: { one: '$..[' }");
    bad_regex = expect("{ at: '$.samples[0].labels.job', matches: '(shop' }");
    expectation_that_asks_nothing = expect("{ at: $.samples }");
    expectation_that_asks_twice = expect("{ at: '$.samples[0].value', min: 1, max: 2 }");
    expectation_without_a_path = expect("{ min: 1 }");
    bad_count = expect("{ at: $.samples, count: { least: 1 } }");
    bad_duration = step("check: { prometheus-query: { query: up } }\ntimeout: 2 minutes");
    bad_time = check("prometheus-query: { query: up, at: yesterday }");
    evidence_named_twice = step("check: { prometheus-query: { query: up } }\nevidence: good.json");
    evidence_in_another_folder = step("check: { prometheus-query: { query: up } }\nevidence: ../x.json");
    control_that_comes_later = step("check: { prometheus-query: { query: up } }\ncontrol: bad");
    control_that_is_misspelt = step("check: { prometheus-query: { query: up } }\ncontrol: god");
    unknown_connection_of_via = step("check: { prometheus-query: { query: up } }\nvia: prometheuss");
    unknown_role_of_via = step("check: { prometheus-query: { query: up } }\nvia: { promtheus: prometheus }");
    path_without_via = check("http: { get: /ready }");
    absolute_url_with_via = step("check: { http: { get: 'http://127.0.0.1/ready' } }\nvia: prometheus");
    login_in_a_url = check("http: { get: 'http://me:hunter2@127.0.0.1/' }");
    check_that_writes = check("http: { method: POST, url: 'http://127.0.0.1/' }");
    check_that_promises = check("http: { method: GET, url: 'http://127.0.0.1/', undo: { method: PUT } }");
    first_of_with_one_that_writes = check("first-of: [{ http: { method: POST, url: 'http://127.0.0.1/' } }]");
    act_that_gets = step("act: { http: { get: 'http://127.0.0.1/' } }");
    act_that_reads = step("act: { http: { method: GET, url: 'http://127.0.0.1/' } }");
    act_in_small_letters = step("act: { http: { method: post, url: 'http://127.0.0.1/' } }");
    undo_that_only_reads = step("act: { http: { method: PUT, url: 'http://127.0.0.1/', undo: { method: GET } } }");
    undo_on_another_system = step("via: prometheus\nact: { http: { method: PUT, url: /x, undo: { method: DELETE, url: 'http://127.0.0.1/' } } }");
    run_id_as_a_time_of_a_step = step("check: { prometheus-query: { query: up } }\ntimeout: '{{ run.id }}'");
    needs_what_is_missing = top("needs: [bda]").args("run scenarios --env environment.yaml");
    needs_itself = top("needs: [bad]");
    needs_in_a_circle = top("needs: [two]").file("scenarios/two.yaml", format!("{}{GOOD}", HEAD.replace("vars:", "needs: [bad]\nvars:")));
    newer_scenario_format = scenario(&format!("{}{GOOD}", HEAD.replace("v1", "v2")));
    unknown_scenario_format = scenario(&format!("{}{GOOD}", HEAD.replace("v1", "latest")));
    missing_scenario_format = scenario(&format!("{}{GOOD}", HEAD.replace("proofmark: v1\n", "")));
    newer_environment_format = good().file("environment.yaml", ENVIRONMENT.replace("v1", "v2"));
    duplicate_key = top("title: Again");
    duplicate_key_of_an_environment = good().file("environment.yaml", format!("{ENVIRONMENT}connections: {{}}\n"));
    not_yaml = scenario("proofmark: v1\ntitle: \"A test\nclaim: it\n");
    indented_with_tabs = scenario("proofmark: v1\nsteps:\n\t- id: good\n");
    not_yaml_beside_a_secret = connection("{ bearer: \"hunter2-hunter2, url: x }");
    anchor_bomb = scenario(&bomb());
    nested_too_deep = scenario(&format!("a: {}", "[".repeat(100_000)));
    two_documents = scenario(&format!("{HEAD}{GOOD}---\n{HEAD}{GOOD}"));
    scenario_that_is_a_list = scenario("- id: good\n");
    environment_in_the_place_of_a_scenario = good().args("run environment.yaml --env environment.yaml");
    environment_that_is_a_list = good().file("environment.yaml", "- prometheus\n");
    scenario_in_the_place_of_an_environment = good().args("run --env scenarios/good.yaml");
    connections_that_are_a_list = good().file("environment.yaml", "proofmark: v1\nconnections: [prometheus]\n");
    unknown_key_of_an_environment = good().file("environment.yaml", format!("{ENVIRONMENT}forbidden: [exec]\n"));
    unknown_permission_to_forbid = good().file("environment.yaml", format!("{ENVIRONMENT}forbid: [exce]\n"));
    unknown_key_of_a_connection = connection("{ url: { env: STAND_IN }, project: { env: KEY } }");
    connection_without_url = connection("{ bearer: { env: STAND_IN } }");
    connection_with_a_bad_url = connection("{ url: 'localhost 9090' }");
    url_without_a_scheme = connection("{ url: 'localhost:9090' }");
    url_of_another_protocol = connection("{ url: 'ftp://127.0.0.1:9090' }");
    url_of_a_database_for_prometheus = connection("{ url: 'postgresql://me@127.0.0.1/app' }");
    url_of_no_database = database("{ url: 'http://127.0.0.1:5432' }");
    url_of_no_database_in_a_variable = database("{ url: { env: STAND_IN } }");
    url_that_is_something_else_in_a_file = connection("{ url: { file: url } }").file("url", "hunter2:9090");
    url_that_serves_only_one_of_its_roles = step("check: { postgres-tables: {} }\nvia: prometheus").args("validate --env environment.yaml")
        .file("environment.yaml", ENVIRONMENT.replace("{ env: STAND_IN }", "'http://127.0.0.1:9090'"));
    keys_that_a_database_does_not_read = database("{ url: 'postgresql://me@127.0.0.1/app', bearer: { env: NOT_SET }, headers: { X-Scope: '1' } }");
    engine_by_its_path = engine("db", "{ url: /var/run/docker.sock }");
    engine_that_is_a_bucket = engine("db", "{ url: 's3://bucket' }");
    engine_with_keys_that_it_does_not_read = engine("db", "{ url: 'tcp://docker:2376', tls: { insecure: true } }");
    container_that_is_an_option = engine("--privileged", "{ url: 'unix:///var/run/docker.sock' }");
    store_that_is_asked_over_http = store("{ url: 'http://minio:9000/bucket' }");
    store_in_a_variable_that_is_something_else = store("{ url: { env: STAND_IN } }");
    store_in_a_variable_that_is_a_folder = store("{ url: { file: folder }, region: eu }").file("folder", "file:///backups\n");
    store_without_login_and_server = store("{ url: 's3://bucket' }");
    store_with_a_login_in_its_url = store("{ url: 's3://me:hunter2@bucket' }");
    store_whose_endpoint_is_half = store("{ url: 's3://bucket', endpoint: 'minio:9000', access-key: { env: STAND_IN }, secret-key: { env: NOT_SET } }");
    store_that_is_a_folder_with_a_login = store("{ url: 'file:///backups', tls: {}, access-key: { env: STAND_IN }, secret-key: { env: STAND_IN } }");
    secret_key_in_clear = store("{ url: 's3://bucket', region: eu, access-key: { env: STAND_IN }, secret-key: hunter2-hunter2 }");
    keys_of_a_store_on_a_prometheus = connection("{ url: { env: STAND_IN }, region: eu, secret-key: { env: STAND_IN } }");
    two_logins = connection("{ url: { env: STAND_IN }, basic: { username: me, password: { env: STAND_IN } }, bearer: { env: STAND_IN } }");
    secret_in_clear_beside_another_mistake = connection("{ ulr: { env: STAND_IN }, bearer: hunter2-hunter2 }");
    secret_in_clear_over_several_lines = connection("\n    url: { env: STAND_IN }\n    basic:\n      username: admin\n      password: |\n        hunter2-hunter2");
    secret_header_beside_a_mistake = check("http: { get: 'http://127.0.0.1/', headers: { Authorization: 'Bearer hunter2' }, staus: 200 }");
    login_of_a_connection_beside_a_mistake = connection("{ url: 'http://me:hunter2@127.0.0.1:9', baerer: { env: STAND_IN } }");
    secret_that_is_a_number = connection("{ url: { env: STAND_IN }, basic: { username: admin, password: 12345678 } }");
    secrets_that_are_all_missing = connection("{ url: { env: NOT_SET }, basic: { username: { env: NOT_SET }, password: { file: pw } }, tls: { key: key.pem } }");
    secret_in_clear = connection("{ url: { env: STAND_IN }, bearer: hunter2-hunter2 }");
    password_in_clear = connection("{ url: { env: STAND_IN }, basic: { username: admin, password: hunter2-hunter2 } }");
    secret_in_an_unset_variable = connection("{ url: { env: STAND_IN }, bearer: { env: NOT_SET } }");
    secret_in_an_empty_variable = connection("{ url: { env: STAND_IN }, bearer: { env: EMPTY } }");
    secret_in_a_missing_file = connection("{ url: { env: STAND_IN }, bearer: { file: token } }");
    secret_in_an_empty_file = connection("{ url: { env: STAND_IN }, bearer: { file: token } }").file("token", "\n");
    secret_from_two_places = connection("{ url: { env: STAND_IN }, bearer: { env: A, file: b } }");
    secret_from_an_unknown_place = connection("{ url: { env: STAND_IN }, bearer: { evn: A } }");
    secret_from_a_command_without_exec = connection("{ url: { env: STAND_IN }, bearer: { command: [cat, token] } }").file("token", "t");
    certificate_that_cannot_be_read = connection("{ url: { env: STAND_IN }, tls: { ca: ca.pem } }");
    missing_permission = step("act: { command: { argv: [ls] } }");
    forbidden_permission = step("act: { command: { argv: [ls] } }")
        .append("environment.yaml", "forbid: [exec]\n")
        .args("run --env environment.yaml --allow exec");
    no_environment = good().args("run");
    all_mistakes_of_all_files = step("check: { prometheus-qurey: { query: up } }\nwihtin: 2m\ntimeout: 5")
        .file("scenarios/a.yaml", format!("{HEAD}{GOOD}").replace("claim", "clame"))
        .file("scenarios/deep/b.yaml", "proofmark: v7\n")
        .file("environment.yaml", ENVIRONMENT.replace("url", "ulr"));
    validate_says_the_same = check("prometheus-query: { qeury: up }").args("validate");
    plan_says_the_same = check("prometheus-query: { qeury: up }").args("plan");
    list_says_the_same = check("prometheus-query: { qeury: up }").args("list");
    jsonl_says_the_same = check("prometheus-query: { qeury: up }").args("run --env environment.yaml --format jsonl");
}

cases! { refused_without_place:
    missing_paths_hide_no_mistakes = check("prometheus-query: { qeury: up }").args("run scenarios nowhere --env environment.yaml");
    nothing_there = desk();
    folder_without_scenarios = desk().file("scenarios/README.md", "# Nothing");
    path_that_is_not_there = good().args("run scenarios/god.yaml --env environment.yaml");
    environment_that_is_not_there = good().args("run --env enviroment.yaml");
    file_that_cannot_be_read = good().with(|folder| std::os::unix::fs::symlink("nowhere", folder.join("scenarios/link.yaml")).unwrap());
    empty_file = scenario("");
    not_utf8 = good().file("scenarios/latin.yaml", b"proofmark: v1\ntitle: caf\xe9\n");
    file_of_100_mb = good().with(|folder| fs::File::create(folder.join("scenarios/huge.yaml")).unwrap().set_len(100 << 20).unwrap());
    only_what_is_not_there = good().args("run --env environment.yaml --only god");
    only_a_step_that_is_not_there = good().args("run --env environment.yaml --only good#bad");
    tag_that_no_scenario_has = good().args("run --env environment.yaml --tag wave9");
    var_without_a_value = good().args("run --env environment.yaml --var job");
    var_that_no_scenario_has = good().args("run --env environment.yaml --var jbo=x");
    misspelt_flag = good().args("run --enviroment environment.yaml");
    misspelt_value_of_a_flag = good().args("run --env environment.yaml --allow exce");
    misspelt_command = good().args("valdiate");
    bad_deadline = good().args("run --env environment.yaml --deadline 5");
    no_command = good().args("");
    no_run_to_report = good().args("report");
    no_run_to_verify = good().args("verify 20260216T020000Z-x7k2q9");
}

/// Nine anchors, each nine times the one before.
fn bomb() -> String {
    let line =
        |(last, this): (char, char)| format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(","));
    let lines: String = ('a'..='h').zip('b'..='i').map(line).collect();
    format!("a: &a [x,x,x,x,x,x,x,x,x]\n{lines}")
}
