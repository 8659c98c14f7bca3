//! Tests the judgements of `s3-bucket` and `s3-objects`.

#![expect(clippy::needless_pass_by_value, reason = "settings are written where they are judged by")]

use proofmark_engine::testing::{Judge, lines, open};
use serde_json::{Value, json};

fn judge() -> Judge {
    Judge::new(&crate::SYSTEM, "2026-02-16T12:00:00Z")
}

#[test]
fn the_list_that_a_kind_counts_itself_is_named() {
    for (kind, list) in [("s3-objects", Some("$.objects")), ("s3-bucket", None)] {
        assert_eq!(judge().counted(kind), list, "{kind}");
    }
}

fn bucket(settings: Value, seen: Value) -> Vec<String> {
    let mut whole = json!({"store": "s3://b/", "public": false, "versioning": "enabled",
        "lock": {"enabled": true, "mode": "GOVERNANCE", "days": 30}});
    whole.as_object_mut().unwrap().extend(seen.as_object().unwrap().clone());
    lines(&judge().check(json!({"s3-bucket": settings}), &whole))
}

fn refused(code: &str) -> Value {
    json!({"public": null, "versioning": null, "lock": null, "refused": {"status": 403, "code": code, "why": "no"}})
}

const LISTED: &str = "passed | it can be listed with this login | a list | a list";

#[test]
fn a_bucket_is_listed_with_the_login_and_not_without() {
    let private = "passed | it cannot be listed without a login | refused without a login | refused";
    assert_eq!(bucket(json!({}), json!({})), [LISTED, private]);
    let public = json!({"public": true});
    assert_eq!(
        bucket(json!({}), public.clone())[1],
        "failed | it cannot be listed without a login | refused without a login | listed without a login"
    );
    assert_eq!(bucket(json!({"public": true}), public), [LISTED]);
    assert_eq!(
        bucket(json!({}), json!({"public": null, "unread": ["it: 501", "that: 403"]}))[1],
        "unverified | it cannot be listed without a login | refused without a login | it: 501; that: 403"
    );
    let no = "failed | it can be listed with this login | a list | 403 AccessDenied";
    for settings in [json!({}), json!({"public": true, "versioning": "enabled", "object-lock": true})] {
        assert_eq!(bucket(settings, refused("AccessDenied")), [no]);
    }
}

#[test]
fn only_a_login_that_the_server_does_not_know_is_refused() {
    let of = |seen| bucket(json!({"refused": true}), seen);
    let line = |verdict: &str, seen: &str| {
        [format!("{verdict} | this login is refused | 403 InvalidAccessKeyId | {seen}")]
    };
    assert_eq!(of(refused("InvalidAccessKeyId")), line("passed", "403 InvalidAccessKeyId"));
    for code in ["AccessDenied", "SignatureDoesNotMatch", "NoSuchBucket"] {
        assert_eq!(of(refused(code)), line("unverified", &format!("403 {code}")));
    }
    assert_eq!(of(json!({})), line("failed", "a list"));
    for more in ["versioning", "object-lock", "retention-days", "public"] {
        let mut settings = json!({"refused": true});
        settings[more] = match more {
            "versioning" => json!("never"),
            "retention-days" => json!(1),
            _ => json!(true),
        };
        assert!(judge().mistake(json!({"s3-bucket": settings})).unwrap().contains("nothing else"), "{more}");
    }
    assert!(judge().mistake(json!({"s3-bucket": {"retention-days": 0}})).unwrap().contains("asks nothing"));
    for sound in [json!({"retention-days": 1}), json!({"refused": true}), json!({"public": true})] {
        assert_eq!(judge().mistake(json!({"s3-bucket": sound})), None);
    }
}

#[test]
fn how_a_bucket_keeps_versions_is_held_against_what_is_asked() {
    let last = |settings: Value, seen: Value| bucket(settings, seen).pop().unwrap();
    let unread = json!({"versioning": null, "lock": null, "unread": ["x: 403"]});
    let versions = |wanted: &str, seen: Value| last(json!({"versioning": wanted}), seen);
    assert_eq!(versions("enabled", json!({})), "passed | whether versions are kept | enabled | enabled");
    assert_eq!(versions("suspended", json!({})), "failed | whether versions are kept | suspended | enabled");
    assert_eq!(versions("never", unread.clone()), "unverified | whether versions are kept | never | x: 403");
    let lock = |wanted: bool, seen: Value| last(json!({"object-lock": wanted}), seen);
    assert_eq!(lock(true, json!({})), "passed | whether versions can be locked | true | true");
    assert_eq!(lock(false, json!({})), "failed | whether versions can be locked | false | true");
    assert_eq!(lock(true, unread.clone()), "unverified | whether versions can be locked | true | x: 403");
    let days = |wanted: u32, seen: Value| {
        let line = last(json!({"retention-days": wanted}), seen);
        let (verdict, rest) = line.split_once(" | ").unwrap();
        assert!(
            rest.starts_with(&format!("new objects are locked | for at least {wanted} days | ")),
            "{rest}"
        );
        verdict.to_owned()
    };
    assert_eq!(days(30, json!({})), "passed");
    assert_eq!(days(31, json!({})), "failed");
    for lock in [
        json!({"enabled": false, "mode": "GOVERNANCE", "days": 30}),
        json!({"enabled": true, "mode": null, "days": 30}),
        json!({"enabled": true, "mode": "GOVERNANCE", "days": null}),
    ] {
        assert_eq!(days(30, json!({"lock": lock})), "failed", "{lock}");
    }
    assert_eq!(days(1, unread), "unverified");
}

fn objects(settings: Value, sizes: &[u64], more: Value) -> Vec<String> {
    let all: Vec<Value> = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| json!({"key": format!("k{n}"), "size": size, "modified": "2026-02-16T11:00:00Z"}))
        .collect();
    let time = (!sizes.is_empty()).then_some("2026-02-16T11:00:00Z");
    let mut seen = json!({"store": "s3://b/", "objects": all, "count": sizes.len(), "listed": sizes.len(),
        "newest": time, "oldest": time, "bytes": sizes.iter().sum::<u64>()});
    seen.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    lines(&judge().check(json!({"s3-objects": settings}), &seen))
}

#[test]
fn objects_are_counted_and_none_at_all_is_never_enough() {
    let of = |settings, sizes: &[u64]| objects(settings, sizes, json!({}));
    let one = r#"at least one object | {"count":{"min":1}} | {"count":1}"#;
    assert_eq!(of(json!({}), &[5]), [format!("passed | {one}")]);
    let none = of(json!({}), &[]);
    assert!(none.len() == 1 && none[0].starts_with("failed | at least one object | "), "{none:?}");
    let two = of(json!({"count": {"equals": 2}}), &[5]);
    assert!(two[0].starts_with(r#"failed | number of objects | {"count":{"equals":2}} |"#), "{two:?}");
    assert!(of(json!({"count": {"equals": 2}}), &[5, 6])[0].starts_with("passed | number of objects"));
    // What hides a folder hides its content.
    let hidden = objects(json!({}), &[], json!({"hidden_by": "a"}));
    assert!(hidden[0].contains("the observation can be read"), "the name is kebab-case: {hidden:?}");
    assert_eq!(
        objects(json!({"count": {"equals": 0}}), &[], json!({"hidden-by": "a"})),
        [r#"unverified | number of objects | {"count":{"count":{"equals":0}}} | an object `a`, and nothing below `a/`"#
            .replace(r#"{"count":{"count":{"equals":0}}}"#, r#"{"count":{"equals":0}}"#)]
    );
}

#[test]
fn the_help_says_whether_the_prefix_or_the_expression_is_wrong() {
    let of = |listed: u32| {
        let seen = json!({"store": "s3://b/", "objects": [], "count": 0, "listed": listed, "newest": null, "oldest": null, "bytes": 0});
        judge().check(json!({"s3-objects": {}}), &seen).remove(0).help.unwrap()
    };
    assert!(of(0).contains("nothing is listed there"), "{}", of(0));
    assert!(of(3).starts_with("3 are listed before `matches` chooses"), "{}", of(3));
    for (prefix, wrong) in [("a/", false), ("/a", true), ("a//b", true)] {
        assert_eq!(judge().mistake(json!({"s3-objects": {"prefix": prefix}})).is_some(), wrong, "{prefix}");
    }
}

#[test]
fn objects_have_an_age_and_a_size() {
    let newest = |settings: &str, at: Value| {
        let seen = objects(json!({"newest-within": settings}), &[1], json!({"newest": at}));
        assert_eq!(seen.len(), 2);
        seen[1].clone()
    };
    let what = "the newest was written lately | within";
    assert_eq!(
        newest("1h", json!("2026-02-16T11:00:00Z")),
        format!("passed | {what} 1h | 2026-02-16T11:00:00Z")
    );
    assert_eq!(
        newest("59m", json!("2026-02-16T11:00:00Z")),
        format!("failed | {what} 59m | 2026-02-16T11:00:00Z")
    );
    assert_eq!(newest("1h", Value::Null), format!("unverified | {what} 1h | no object"));
    // A clock may be slightly fast.
    for (time, verdict) in [("12:01:00", "passed"), ("12:01:01", "unverified")] {
        let at = format!("2026-02-16T{time}Z");
        assert_eq!(newest("1h", json!(at)), format!("{verdict} | {what} 1h | {at}"));
    }
    let size =
        |least: u64, sizes: &[u64]| objects(json!({"min-size": least}), sizes, json!({})).pop().unwrap();
    assert_eq!(size(5, &[5, 9]), "passed | none is smaller | each at least 5 bytes | at least 5 bytes");
    assert_eq!(
        size(6, &[5, 9, 0]),
        r#"failed | none is smaller | each at least 6 bytes | ["k0: 5 bytes","k2: 0 bytes"]"#
    );
    let none = objects(json!({"min-size": 1}), &[], json!({}));
    assert_eq!(none.len(), 1, "there is none to be small: {none:?}");
    let seen = json!({"store": "s", "objects": [], "count": 0, "listed": 0, "newest": null, "oldest": null, "bytes": 0});
    assert_eq!(open(&judge().check(json!({"s3-objects": {"newest-within": "1h"}}), &seen)).len(), 2);
}
