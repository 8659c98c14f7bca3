//! A webhook, and what it has to be told when no backup was made.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use fixtures::{Answer, Desk, Server};
use serde_json::{Value, json};

/// A backup that tells it, with a copy on this machine.
pub const TELLS: &str = "  - { id: backup, act: { backup: { webhook: true, local: copies } } }\n";

/// One that takes what it is told; the desk's environment leads to it, and to no other.
pub fn hooked(desk: &Desk) -> Server {
    let hook = Server::start().on("/hook", Answer::new(200, "text/plain", "ok"));
    let text = std::fs::read_to_string(desk.path("environment.yaml")).unwrap();
    let others: Vec<&str> = text.lines().filter(|line| !line.starts_with("  webhook:")).collect();
    let text = format!("{}\n  webhook: {{ url: '{}/hook' }}\n", others.join("\n"), hook.url());
    desk.write("environment.yaml", text);
    desk.scenario("s", "", TELLS);
    hook
}

/// It was told once, in the plan's words and in no others, why the newest run made no backup; and none of these secrets.
/// Gives back the message.
pub fn told(hook: &Server, desk: &Desk, secrets: &[&str]) -> String {
    let seen = hook.seen();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    let posted = &seen[0];
    assert_eq!((posted.method.as_str(), posted.target.as_str()), ("POST", "/hook"));
    assert_eq!(posted.headers["content-type"], "application/json");
    for secret in secrets {
        assert!(!posted.body.contains(secret), "{}", posted.body);
    }
    desk.tells_none_of(secrets);
    let kept = &desk.kept("s/backup")["observation"];
    let failed = kept["failed"].as_str().unwrap_or_else(|| panic!("{kept}"));
    let body: Value = serde_json::from_str(&posted.body).unwrap();
    assert_eq!(body, json!({ "text": format!("[BACKUP FAILURE] {failed}") }));
    assert_eq!((&kept["made"], &kept["webhook"]), (&Value::Null, &json!("told")));
    failed.to_owned()
}
