//! Drills of alerts through Grafana, against the stand-in of 9.4.0-pre: a rule is made to fire, its way is watched to the
//! receiver, and the rule is as before in the end, made by whom it was made before, whatever happens in between.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Desk, Ended, Grafana, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Where the threshold of a recorded rule stands.
const THRESHOLD: &str = "/data/2/model/conditions/0/evaluator/params/0";
const FIRE: &str = "threshold: 0, delivered: receiver";

struct Lab {
    grafana: Grafana,
    desk: Desk,
    before: Vec<(String, Value)>,
}

/// A rule but for when it was written last, which nobody can put back.
fn timeless(mut rule: Value) -> Value {
    rule.as_object_mut().unwrap().remove("updated");
    rule
}

impl Lab {
    fn start() -> Self {
        Self::holding(Duration::from_millis(1200))
    }

    /// With rules that are pending for so long.
    fn holding(hold: Duration) -> Self {
        Self::of(Duration::from_millis(300), hold)
    }

    fn of(interval: Duration, hold: Duration) -> Self {
        let grafana = Grafana::start(interval, hold);
        // As recorded it fires for good.
        grafana.edit("lab-ui-1", THRESHOLD, json!(86400));
        until("it has calmed down", || {
            let since = grafana.told().len();
            (since == 0 || grafana.told().last()?.starts_with("resolved")).then_some(())
        });
        let hook: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        grafana.post_to(hook);
        let (url, receiver) = (grafana.url(), format!("http://{hook}/"));
        let desk = Desk::new(env!("CARGO_BIN_EXE_proofmark"), &[("grafana", &url), ("receiver", &receiver)]);
        let before =
            grafana.rules().into_iter().map(|uid| (uid.clone(), timeless(grafana.rule(&uid).unwrap())));
        let before = before.collect();
        Self { grafana, desk, before }
    }

    fn write(&self, rule: (&str, &str), more: &str, within: &str) {
        let (uid, alert) = rule;
        let kind =
            format!("alert-drill: {{ alert: {alert}, {more}, through: {{ grafana: {{ rule: {uid} }} }} }}");
        self.desk.scenario("s", "", &format!("  - {{ id: fires, act: {{ {kind} }}, within: {within} }}\n"));
    }

    /// A run that has changed the rule of the pages, and waits.
    fn changing(&self, how: &str) -> Running {
        let since = self.grafana.writes().len();
        self.write(PAGES, &format!("how: {how}, threshold: 0"), "10m");
        let running = self.begin();
        until("it is changed", || (self.grafana.writes().len() > since).then_some(()));
        running
    }

    fn begin(&self) -> Running {
        self.desk.start_run(&["--allow", "change"])
    }

    fn drill(&self, rule: (&str, &str), more: &str, within: &str) -> Ended {
        self.write(rule, more, within);
        self.begin().wait()
    }

    /// Every rule is as it was, made by whom it was made, and there is no other.
    fn as_before(&self) {
        let now = self.grafana.rules().into_iter();
        let now: Vec<_> = now.map(|uid| (uid.clone(), timeless(self.grafana.rule(&uid).unwrap()))).collect();
        assert_eq!(now, self.before);
    }

    /// A drill that ends so, with one finding that did not pass; after it all is as before.
    fn told(&self, rule: (&str, &str), more: &str, within: &str, code: i32) -> String {
        let ended = self.drill(rule, more, within);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        self.desk.sound(&ended);
        self.as_before();
        let kept = self.desk.kept("s/fires");
        let findings = kept["findings"].as_array().unwrap().iter();
        let open: Vec<String> = findings
            .filter(|finding| finding["verdict"] != "passed")
            .map(|finding| {
                format!("{}: {} {}", finding["what"].as_str().unwrap(), finding["seen"], finding["help"])
            })
            .collect();
        assert_eq!(open.len(), 1, "{open:?}");
        open.concat()
    }

    fn passed(&self, rule: (&str, &str), more: &str) -> Value {
        let ended = self.drill(rule, more, "40s");
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        self.desk.sound(&ended);
        self.as_before();
        self.desk.kept("s/fires")
    }

    /// Changes that were asked for since so many.
    fn writes(&self, since: usize) -> Vec<String> {
        self.grafana.writes().split_off(since)
    }
}

const API: (&str, &str) = ("lab-api-1", "LabApi");
const PAGES: (&str, &str) = ("lab-ui-1", "LabUi");
const FILE: (&str, &str) = ("lab-file-old", "LabFileBackupOld");

#[test]
fn a_changed_threshold_fires_is_delivered_and_is_changed_back_as_who_made_it() {
    let lab = Lab::holding(Duration::from_secs(3));
    for rule in [API, PAGES] {
        let since = lab.grafana.writes().len();
        let kept = lab.passed(rule, &format!("how: change-threshold, {FIRE}"));
        assert_eq!(lab.writes(since), [format!("PUT {}", rule.0), format!("PUT {}", rule.0)]);
        let (seen, hops) = (&kept["observation"], &kept["observation"]["hops"]);
        let time = |hop: &str| hops[hop].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let times = ["changed", "loaded", "pending", "firing"].map(time);
        assert!(times.is_sorted(), "{times:?}");
        assert!(hops["in-alertmanager"].is_string() && hops["delivered"].is_string(), "{hops}");
        assert_eq!((&seen["mark"], &seen["precision"]), (&Value::Null, &json!("10s")));
        assert_eq!(seen["posts"][0]["labels"]["alertname"], rule.1);
        let words = kept["findings"].to_string();
        assert!(words.contains("fires in Grafana") && !words.contains("Prometheus"), "{words}");
        assert_eq!(lab.desk.journal().len(), 2);
    }
}

#[test]
fn a_temporary_rule_fires_is_delivered_resolves_and_only_then_goes() {
    let lab = Lab::start();
    // Nobody can change a rule from a file, and a clone of it can be drilled all the same.
    for rule in [API, PAGES, FILE] {
        let (since, heard) = (lab.grafana.writes().len(), lab.grafana.told().len());
        let kept = lab.passed(rule, &format!("how: temporary-rule, {FIRE}"));
        let seen = &kept["observation"];
        let (mark, uid) = (seen["mark"].as_str().unwrap(), seen["grafana"]["uid"].as_str().unwrap());
        assert!(
            lab.desk.newest().ends_with(mark) && uid.starts_with("proofmark-") && uid.len() <= 40,
            "{uid}"
        );
        let title = seen["grafana"]["title"].as_str().unwrap();
        assert!(title.starts_with(rule.1) && title.contains(mark), "{title}");
        assert_eq!(seen["posts"][0]["labels"]["proofmark"], mark);
        assert_eq!(lab.writes(since), ["POST", "PUT", "DELETE"].map(|word| format!("{word} {uid}")));
        let told = lab.grafana.told().split_off(heard);
        assert_eq!(told, ["firing", "resolved"].map(|word| format!("{word} {title}")));
    }
    let kept = lab.passed(API, "how: temporary-rule, threshold: 0");
    assert!(kept["findings"].to_string().contains("delivery was not looked at"), "{kept}");
}

#[test]
fn a_clone_stays_until_its_alert_is_resolved_however_long_that_takes() {
    let lab = Lab::of(Duration::from_millis(3500), Duration::from_millis(500));
    lab.passed(API, "how: temporary-rule, threshold: 0");
    let told = lab.grafana.told();
    assert!(told.last().unwrap().starts_with("resolved LabApi (proofmark"), "{told:?}");
}

#[test]
fn nothing_is_changed_where_a_drill_would_show_nothing_or_cannot_be_put_back() {
    let lab = Lab::start();
    let since = lab.grafana.writes().len();
    let file = lab.told(FILE, "how: change-threshold, threshold: 0", "4s", 3);
    assert!(file.contains("`file`") && file.contains("how: temporary-rule"), "{file}");
    let none = lab.told(("nope", "LabApi"), "how: change-threshold, threshold: 0", "4s", 1);
    assert!(none.contains("no rule `nope`"), "{none}");
    let other = lab.told(("lab-api-1", "LabUi"), "how: change-threshold, threshold: 0", "4s", 1);
    assert!(other.contains("LabApi"), "{other}");
    let labels = lab.told(API, "labels: { severity: mild }, how: temporary-rule, threshold: 0", "4s", 1);
    assert!(labels.contains("severity"), "{labels}");
    let expr = lab.told(API, "how: temporary-rule, expr: '1 > 0'", "4s", 3);
    assert!(expr.contains("`threshold`"), "{expr}");
    assert_eq!(lab.writes(since), [""; 0]);
    assert!(lab.desk.journal().is_empty());
}

#[test]
fn an_alert_that_fires_already_is_not_drilled() {
    let mut lab = Lab::start();
    lab.grafana.edit("lab-api-1", THRESHOLD, json!(5));
    lab.before = vec![];
    until("it fires", || lab.grafana.told().iter().any(|it| it == "firing LabApi").then_some(()));
    for how in ["temporary-rule", "change-threshold"] {
        let ended = lab.drill(API, &format!("how: {how}, threshold: 0"), "4s");
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stdout.contains("was not active before"), "{ended:#?}");
    }
    assert_eq!(lab.grafana.writes(), [""; 0]);
}

#[test]
fn a_wrong_login_is_tried_once() {
    let lab = Lab::start();
    lab.grafana.lock_out(true);
    let asked = lab.grafana.requests();
    let said = lab.told(API, "how: change-threshold, threshold: 0", "30s", 3);
    assert!(said.contains("401"), "{said}");
    assert_eq!(lab.grafana.requests(), asked + 1, "five wrong ones lock the user out");
}

#[test]
fn what_is_no_way_through_grafana_is_a_mistake() {
    let lab = Lab::start();
    lab.write(API, "how: temporary-rule, threshold: 0, delivered: counters", "4s");
    let ended = lab.desk.call(&["validate"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("`delivered: receiver`"), "{ended:#?}");
    lab.write(("' '", "LabApi"), "how: temporary-rule, threshold: 0", "4s");
    assert_eq!(lab.desk.call(&["validate"]).code, Some(2));
    lab.write(API, "how: temporary-rule", "4s");
    assert_eq!(lab.desk.call(&["validate"]).code, Some(2));
    // No connection `prometheus` is asked for, and none is there.
    lab.write(API, "how: temporary-rule, threshold: 0", "4s");
    assert_eq!(lab.desk.call(&["validate", "--env", "environment.yaml"]).code, Some(0));
    assert_eq!(lab.desk.run(&[]).code, Some(2), "it changes something");
}

#[test]
fn an_alert_that_only_fires_because_it_cannot_see_does_not_fire() {
    let lab = Lab::start();
    lab.grafana.go_blind();
    for how in ["temporary-rule", "change-threshold"] {
        let said = lab.told(API, &format!("how: {how}, {FIRE}"), "5s", 1);
        assert!(said.contains("Alerting (NoData)"), "{said}");
    }
}

#[test]
fn how_far_it_came_is_told() {
    let lab = Lab::start();
    let never = lab.told(API, "how: temporary-rule, threshold: 100", "4s", 1);
    assert!(never.contains("neither pending nor firing"), "{never}");
    lab.grafana.silence();
    let silenced = lab.told(API, &format!("how: change-threshold, {FIRE}"), "10s", 1);
    assert!(silenced.contains("it is not silenced"), "{silenced}");
    drop(lab);
    let lab = Lab::holding(Duration::from_secs(600));
    let pending = lab.told(API, "how: temporary-rule, threshold: 0", "4s", 1);
    assert!(pending.contains("pending only") && pending.contains("its rule waits 20s"), "{pending}");
}

#[test]
fn after_kill_9_recover_brings_back_the_rule_and_silence() {
    for (how, rule) in [("temporary-rule", FILE), ("change-threshold", PAGES), ("change-threshold", API)] {
        for reached in ["promised", "changed", "firing", "putting back"] {
            let lab = Lab::start();
            lab.grafana.swallow(reached == "promised");
            lab.write(rule, &format!("how: {how}, {FIRE}"), "10m");
            let (since, heard) = (lab.grafana.writes().len(), lab.grafana.told().len());
            let running = lab.begin();
            until(reached, || match reached {
                "promised" | "changed" => (lab.grafana.writes().len() > since).then_some(()),
                "firing" => (lab.grafana.told().len() > heard).then_some(()),
                // What is put back is begun.
                _ => (lab.grafana.writes().len() > since + 1).then_some(()),
            });
            running.kill();
            lab.grafana.swallow(false);
            let recovered = lab.desk.recover(0);
            lab.desk.sound(&recovered);
            lab.as_before();
            assert!(lab.desk.recover(0).stdout.contains("nothing is owed"));
        }
    }
}

#[test]
fn a_grafana_that_takes_no_login_is_owed_and_asked_once() {
    let lab = Lab::holding(Duration::from_secs(600));
    for how in ["temporary-rule", "change-threshold"] {
        let running = lab.changing(how);
        running.kill();
        lab.grafana.lock_out(true);
        let asked = lab.grafana.requests();
        let recovered = lab.desk.recover(4);
        assert!(recovered.stdout.contains("401"), "{recovered:#?}");
        assert_eq!(lab.grafana.requests(), asked + 1);
        lab.grafana.lock_out(false);
        lab.desk.recover(0);
        lab.as_before();
    }
}

#[test]
fn a_signal_while_it_is_pending_puts_everything_back() {
    let lab = Lab::holding(Duration::from_secs(600));
    for how in ["temporary-rule", "change-threshold"] {
        let running = lab.changing(how);
        running.signal(Signal::SIGTERM);
        let ended = running.wait();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        lab.desk.sound(&ended);
        lab.as_before();
    }
}

#[test]
fn what_someone_else_changes_meanwhile_stays_and_who_locks_it_is_told() {
    let lab = Lab::holding(Duration::from_secs(600));
    lab.write(PAGES, "how: change-threshold, threshold: 0", "10m");
    let drilled = |lab: &Lab| lab.grafana.rule("lab-ui-1").unwrap().pointer(THRESHOLD) == Some(&json!(0));
    let running = lab.begin();
    until("it is changed", || drilled(&lab).then_some(()));
    lab.grafana.edit("lab-ui-1", "/labels/severity", json!("minor"));
    running.signal(Signal::SIGTERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let now = lab.grafana.rule("lab-ui-1").unwrap();
    assert_eq!((&now["labels"]["severity"], now.pointer(THRESHOLD)), (&json!("minor"), Some(&json!(86400))));
    let back = lab.desk.files(&lab.desk.newest());
    let back = back.iter().find(|(name, _)| name.contains("~put-back-")).unwrap().1;
    assert!(String::from_utf8_lossy(back).contains("someone else has changed labels"), "{ended:#?}");

    let running = lab.begin();
    until("it is changed", || drilled(&lab).then_some(()));
    let mut locked = lab.grafana.rule("lab-ui-1").unwrap();
    locked["provenance"] = "api".into();
    lab.grafana.edit("lab-ui-1", "", locked);
    running.signal(Signal::SIGTERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.stdout.contains("provenance"), "{ended:#?}");
    assert_eq!(lab.grafana.rule("lab-ui-1").unwrap().pointer(THRESHOLD), Some(&json!(86400)));
}
