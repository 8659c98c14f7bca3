//! The traps of `log-lines`: for each a log on which a naive check passes wrongly, grows without bound, or tells the
//! secret that it found.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod ground;

use ground::{Look, cx, look};
use proofmark::model::Verdict::{self, Failed, Passed, Unverified};
use proofmark::steps::{AnyCheck, Cx, StepError};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use tempfile::NamedTempFile;

fn log(content: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

async fn look_at(cx: &Cx, path: &Path, mut settings: Value) -> Result<Look, StepError> {
    settings["path"] = json!(path);
    look(cx, json!({ "log-lines": settings })).await
}

async fn see(content: impl AsRef<[u8]>, settings: Value) -> Look {
    look_at(&cx("http://127.0.0.1:1"), log(content).path(), settings).await.unwrap()
}

async fn verdict(content: impl AsRef<[u8]>, settings: Value) -> Verdict {
    see(content, settings).await.verdict
}

fn event<'a>(look: &'a Look, name: &str) -> &'a Value {
    look.seen["events"].as_array().unwrap().iter().find(|event| event["event"] == name).unwrap()
}

const GOOD: &str = r#"{"event":"startup","service":"bot-api","ts":"2026-02-16T02:00:00Z"}
{"event":"rbac_deny","service":"bot-api","ts":"2026-02-16T02:00:01.5+00:00","actor":"u1","command":"/admin"}
{"event":"rbac_deny","service":"bot-api","ts":"2026-02-16T01:00:00Z","actor":"u2","command":"/ban"}
"#;

fn contract() -> Value {
    json!({
        "require": {"rbac_deny": {"actor": "string", "command": "string"}, "startup": null},
        "envelope": {"event": "string", "service": "string", "ts": "time"},
        "no-secrets": true,
    })
}

#[tokio::test]
async fn a_log_that_keeps_its_contract_passes_and_says_what_it_holds() {
    let look = see(GOOD, contract()).await;
    assert_eq!(look.verdict, Passed, "{:?}", look.findings);
    assert_eq!((&look.seen["lines"], &look.seen["leaks"]), (&json!(3), &json!([])));
    let deny = event(&look, "rbac_deny");
    assert_eq!(deny["count"], json!(2));
    // By time, not by place in the file: logs of several writers are not in order.
    assert_eq!(
        (&deny["first"], &deny["last"]),
        (&json!("2026-02-16T01:00:00Z"), &json!("2026-02-16T02:00:01.5Z"))
    );
    let bare = see(GOOD, json!({})).await;
    assert_eq!(bare.seen.get("leaks"), None, "nobody looked, so there is no empty list to be content with");
}

#[tokio::test]
async fn nothing_is_a_failure() {
    for empty in ["", "\n\n \r\n", "\u{feff}"] {
        assert_eq!(verdict(empty, json!({})).await, Failed, "{empty:?}");
        assert_eq!(verdict(empty, json!({"format": "text", "no-secrets": true})).await, Failed);
        assert_eq!(verdict(empty, contract()).await, Failed);
    }
    let cx = cx("http://127.0.0.1:1");
    for path in ["/nowhere/app.jsonl", "/", "/dev/zero"] {
        assert!(look_at(&cx, Path::new(path), json!({})).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_required_event_is_one_under_the_key_and_not_a_word_somewhere() {
    let near = r#"{"event":"rbac_deny_skipped","ts":"2026-02-16T02:00:00Z"}
{"event":"note","msg":"no rbac_deny so far","last":{"event":"rbac_deny"},"rbac_deny":true}
{"event":["rbac_deny"]}
{"Event":"rbac_deny"}
"#;
    let look = see(near, json!({"require": ["rbac_deny"]})).await;
    assert_eq!(look.verdict, Failed);
    assert_eq!((&event(&look, "rbac_deny")["count"], &look.seen["without-event"]), (&json!(0), &json!(2)));
    let other = see(
        "{\"msg\":\"up\",\"at\":1771207200}\n",
        json!({"require": ["up"], "event-key": "msg", "time-key": "at"}),
    )
    .await;
    assert_eq!((other.verdict, &event(&other, "up")["first"]), (Passed, &json!("2026-02-16T02:00:00Z")));
}

#[tokio::test]
async fn a_field_must_be_there_in_every_event_and_say_something() {
    let deny = |fields: &str| {
        format!(
            "{{\"event\":\"rbac_deny\",\"actor\":\"u\",\"command\":\"c\"}}\n{{\"event\":\"rbac_deny\"{fields}}}\n"
        )
    };
    let require = json!({"require": {"rbac_deny": {"actor": "string", "command": "string"}}});
    for (fields, verdict_of) in [
        (r#","actor":"u","command":"c""#, Passed),
        (r#","actor":"u""#, Failed),
        (r#","actor":"","command":"c""#, Failed),
        (r#","actor":null,"command":"c""#, Failed),
        (r#","actor":7,"command":"c""#, Failed),
        (r#","actor":"u","command":"c","actor":"v""#, Failed),
        (r#","ctx":{"actor":"u","command":"c"}"#, Failed),
    ] {
        assert_eq!(verdict(deny(fields), require.clone()).await, verdict_of, "{fields}");
    }
    let look = see(deny(""), require).await;
    assert_eq!(
        event(&look, "rbac_deny")["problems"][0],
        json!({"of": "actor", "what": "it is missing", "count": 1, "line": 2})
    );
    let deep = json!({"require": {"rbac_deny": ["ctx.actor"]}});
    assert_eq!(verdict(deny(r#","ctx":{"actor":"u"}"#).lines().nth(1).unwrap(), deep.clone()).await, Passed);
    assert_eq!(verdict(deny(r#","ctx":{"actor":null}"#).lines().nth(1).unwrap(), deep).await, Failed);
}

#[tokio::test]
async fn types_are_what_they_say() {
    let one = async |kind: &str, value: &str| {
        verdict(format!("{{\"f\":{value}}}\n"), json!({"envelope": {"f": kind}})).await == Passed
    };
    for (kind, good, bad) in [
        (
            "time",
            vec!["\"2026-02-16T02:00:00Z\"", "\"2026-02-16T02:00:00.123456+00:00\""],
            // Local, another offset, a date alone, text, a number: none is ISO 8601 in UTC.
            vec![
                "\"2026-02-16T02:00:00\"",
                "\"2026-02-16T04:00:00+02:00\"",
                "\"2026-02-16\"",
                "\"yesterdayZ\"",
                "1771207200",
                "\"2026-02-30T00:00:00Z\"",
            ],
        ),
        ("integer", vec!["1", "1.0", "-5"], vec!["1.5", "\"1\"", "true"]),
        ("number", vec!["1", "1.5"], vec!["\"1\"", "null"]),
        ("boolean", vec!["true"], vec!["\"true\"", "0"]),
        ("array", vec!["[]"], vec!["{}", "\"[]\""]),
        ("object", vec!["{}"], vec!["[]"]),
        ("null", vec!["null"], vec!["0"]),
        ("any", vec!["0", "false", "\"x\""], vec!["null", "\"\""]),
        ("string", vec!["\"x\""], vec!["\"\"", "1"]),
    ] {
        for value in good {
            assert!(one(kind, value).await, "{kind} {value}");
        }
        for value in bad {
            assert!(!one(kind, value).await, "{kind} {value}");
        }
    }
    assert_eq!(
        verdict("{\"ts\":\"noon\"}\n", json!({"envelope": ["ts"]})).await,
        Failed,
        "`ts` is a time by its name"
    );
}

#[tokio::test]
async fn every_line_is_one_object_and_the_last_may_be_in_the_writing() {
    let good = "{\"event\":\"a\"}\n";
    for wrong in [
        "oops\n",
        "[]\n",
        "{\"event\":\"a\"}{\"event\":\"b\"}\n",
        "{\"event\":\n",
        "\0\0{}\n",
        "\"a\"\n",
        "1\n",
        "null\n",
    ] {
        assert_eq!(verdict(format!("{good}{wrong}{good}"), json!({})).await, Failed, "{wrong:?}");
    }
    let latin = [good.as_bytes(), b"{\"event\":\"\xfc\"}\n"].concat();
    let look = see(latin, json!({})).await;
    assert_eq!((look.verdict, &look.seen["problems"][0]["what"]), (Failed, &json!("it is not UTF-8")));
    for (ending, lines, unfinished) in [("{\"event\":\"a\"}", 2, false), ("{\"event\":\"a", 1, true)] {
        let look = see(format!("{good}{ending}"), json!({})).await;
        assert_eq!(
            (look.verdict, &look.seen["lines"], &look.seen["unfinished"]),
            (Passed, &json!(lines), &json!(unfinished))
        );
    }
    let windows = see(format!("\u{feff}{}", GOOD.replace('\n', "\r\n")), contract()).await;
    assert_eq!((windows.verdict, &windows.seen["lines"]), (Passed, &json!(3)));
}

#[tokio::test]
async fn a_secret_is_found_by_its_key_wherever_it_stands_and_is_never_told() {
    let secret = "hunter2hunter2";
    for (line, key, rule) in [
        (format!("{{\"refresh_token_hint\":\"{secret}\"}}"), "refresh_token_hint", "key"),
        (format!("{{\"ctx\":{{\"db\":[{{\"DB-Password\":\"{secret}\"}}]}}}}"), "ctx.db.DB-Password", "key"),
        // The key is written with an escape, which no search of the raw line finds.
        (format!("{{\"\\u0070assword\":\"{secret}\"}}"), "password", "key"),
        ("{\"pin_secret\":123456}".to_owned(), "pin_secret", "key"),
        (format!("{{\"msg\":\"login with password={secret}\"}}"), "msg", "assignment"),
        // PHP escapes every slash.
        (format!("{{\"msg\":\"postgres:\\/\\/app:{secret}@db\\/app\"}}"), "msg", "dsn-password"),
        (format!("{{\"body\":\"{{\\\"password\\\":\\\"{secret}\\\"}}\"}}"), "body", "assignment"),
        (format!("{{\"url\":\"redis://:{secret}@cache:6379\"}}"), "url", "dsn-password"),
    ] {
        let look = see(format!("{{\"event\":\"a\"}}\n{line}\n"), json!({"no-secrets": true})).await;
        assert_eq!(look.verdict, Failed, "{line}");
        assert_eq!(look.seen["leaks"], json!([{"line": 2, "key": key, "rule": rule}]), "{line}");
        let told = format!("{}{:?}", look.seen, look.findings);
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn masked_values_and_excepted_keys_are_no_leaks() {
    let masked = r#"{"token":"***","password":"[REDACTED]","api_key":null,"secret":"","password_set":true,"dsn":"postgres://a:***@b/c"}"#;
    assert_eq!(verdict(masked, json!({"no-secrets": true})).await, Passed);
    let counted = "{\"next_token\":17,\"usage\":{\"tokens\":{\"in\":5}}}\n";
    assert_eq!(verdict(counted, json!({"no-secrets": true})).await, Failed);
    let except = json!({"no-secrets": true, "except": ["next_token", "usage.tokens"]});
    assert_eq!(verdict(counted, except).await, Passed);
}

#[tokio::test]
async fn a_secret_of_this_run_is_found_in_every_shape() {
    let cx = cx("http://127.0.0.1:1");
    let secret = "correct horse/battery";
    cx.systems.redactor.learn(secret);
    for line in [
        format!("{{\"note\":\"{secret}\"}}"),
        "{\"note\":\"correct%20horse%2Fbattery\"}".to_owned(),
        format!("{{\"{secret}\":1}}"),
    ] {
        let file = log(format!("{line}\n"));
        let look = look_at(&cx, file.path(), json!({"no-secrets": true})).await.unwrap();
        assert_eq!((look.verdict, &look.seen["leaks"][0]["rule"]), (Failed, &json!("learned")), "{line}");
    }
    let text = log(format!("GET /?q={secret}\n"));
    let look = look_at(&cx, text.path(), json!({"format": "text", "no-secrets": true})).await.unwrap();
    assert_eq!(look.verdict, Failed);
}

#[tokio::test]
async fn secrets_are_found_also_in_lines_that_cannot_be_read() {
    let broken = "{\"event\":\"a\"}\n{\"password\":\"hunter2\", oops\n";
    assert_eq!(see(broken, json!({"no-secrets": true})).await.seen["leak-count"], json!(1));
    let latin = [b"caf\xe9 password=hunter2\n".as_slice(), b"ok\n"].concat();
    let look = see(latin, json!({"format": "text", "no-secrets": true})).await;
    assert_eq!((look.verdict, &look.seen["leak-count"]), (Failed, &json!(1)));
    // The last line, still in the writing, may tell one already.
    let unfinished = see("{\"event\":\"a\"}\n{\"password\":\"hunter2\"", json!({"no-secrets": true})).await;
    assert_eq!((unfinished.verdict, &unfinished.seen["unfinished"]), (Failed, &json!(true)));
}

#[tokio::test]
async fn text_is_searched_for_whole_words() {
    let text =
        "2026-02-16T02:00:00Z INFO backup_finished size=5\n2026-02-16T03:00:00Z backup_finished_late\n";
    let look = see(text, json!({"format": "text", "require": ["backup_finished"], "no-secrets": true})).await;
    assert_eq!(look.verdict, Passed, "{:?}", look.findings);
    let finished = event(&look, "backup_finished");
    assert_eq!((&finished["count"], &finished["last"]), (&json!(1), &json!("2026-02-16T02:00:00Z")));
    assert_eq!(verdict(text, json!({"format": "text", "require": ["backup"]})).await, Failed);
}

#[tokio::test]
async fn what_is_kept_is_bounded_whatever_the_log_holds() {
    let mut many = String::new();
    for number in 0..20_000 {
        write!(many, "{{\"event\":\"e{number}\",\"password\":\"p{number}\"}}\nbroken {number}\n").unwrap();
    }
    let settings = json!({"no-secrets": true, "envelope": ["event", "ts"], "require": ["e19999"]});
    let look = see(&many, settings).await;
    assert_eq!(
        (look.verdict, &look.seen["lines"], &look.seen["leak-count"]),
        (Failed, &json!(40_000), &json!(20_000))
    );
    assert!(look.seen.to_string().len() < 200_000, "{}", look.seen.to_string().len());
    assert_eq!(event(&look, "e19999")["count"], json!(1), "what is required is kept, however late it comes");
    assert_eq!(look.seen["other-events"], json!(18_999));
    assert_eq!(
        look.seen["problems"],
        json!([
            {"of": "ts", "what": "it is missing", "count": 20_000, "line": 1},
            {"of": "the line", "what": "it is no JSON object", "count": 20_000, "line": 2},
        ])
    );
}

#[tokio::test]
async fn a_line_that_is_too_long_leaves_it_open() {
    let long = format!("{{\"event\":\"a\",\"x\":\"{}\"}}\n{{\"event\":\"b\"}}\n", "y".repeat(2 << 20));
    let look = see(long, json!({"no-secrets": true, "require": ["b"]})).await;
    assert_eq!(
        (look.verdict, &look.seen["too-long"], &look.seen["lines"]),
        (Unverified, &json!(1), &json!(2))
    );
}

/// The judgement is made on settings that went through redaction, where types below a key named like a secret are masks.
#[tokio::test]
async fn settings_named_like_secrets_are_judged_all_the_same() {
    let settings = json!({"path": "x", "require": {"password_reset": {"actor": "string", "token_id": "integer"}}, "no-secrets": true});
    let redactor = proofmark::redact::Redactor::default();
    let judged = async |content: &str| {
        let mut own = settings.clone();
        let file = log(content);
        own["path"] = json!(file.path());
        let seen = look(&cx("http://127.0.0.1:1"), json!({"log-lines": own})).await.unwrap().seen;
        let clean = |value: &Value| redactor.clean(value, &[]).unwrap().into_inner();
        let check: AnyCheck = serde_json::from_value(json!({ "log-lines": clean(&settings) })).unwrap();
        let findings = check.judge(&clean(&seen), "2026-01-01T00:00:00Z".parse().unwrap());
        Verdict::fold(findings.iter().map(|finding| finding.verdict))
    };
    let line = |rest: &str| format!("{{\"event\":\"password_reset\",\"actor\":\"u\"{rest}}}\n");
    assert_eq!(judged(&line(",\"token_id\":null")).await, Failed);
    assert_eq!(judged(&line("")).await, Failed);
    assert_eq!(judged(&line(",\"token_id\":true")).await, Failed);
    assert_eq!(judged("{\"event\":\"other\"}\n").await, Failed);
}

#[test]
fn settings_that_cannot_be_meant_are_mistakes() {
    let read = |settings: Value| serde_json::from_value::<AnyCheck>(json!({ "log-lines": settings }));
    let mistake = |settings: Value| read(settings).unwrap().mistake();
    assert!(mistake(json!({"path": ""})).is_some());
    assert!(
        mistake(json!({"path": "a", "format": "text", "envelope": ["ts"]}))
            .unwrap()
            .to_string()
            .contains("jsonl")
    );
    assert!(mistake(json!({"path": "a", "format": "text", "require": {"a": ["b"]}})).is_some());
    assert!(mistake(json!({"path": "a", "envelope": {"a": "[masked]"}})).is_some());
    assert!(mistake(json!({"path": "a", "except": ["b"]})).is_some());
    for wrong in [
        json!({}),
        json!({"path": "a", "envelope": {"a": "sting"}}),
        json!({"path": "a", "require": "b"}),
        json!({"path": "a", "format": "csv"}),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}
