//! `backup`, `backup-catalogue` and `backup-verify`.

use super::{but, judge, lines, open};
use proofmark_model::Finding;
use serde_json::{Value, json};

fn made() -> Value {
    json!({"made": {
        "archive": "a.dump", "manifest": "a.manifest.json", "local": null, "dry-run": false, "database": "app",
        "server": "15.8", "pg-dump": "15.8", "taken-at": "2026-02-16T11:00:00Z", "bytes": 90, "sha256": "aa",
        "tables": [{"schema": "public", "name": "t", "rows": 3, "archived": 3}, {"schema": "public", "name": "u", "rows": 4, "archived": 4}],
        "rows": 7, "stored-bytes": 90, "stored-sha256": "aa",
        "seconds-snapshot": 0.1, "seconds-dump": 0.2, "seconds-read-back": 0.3,
    }})
}

fn backup(seen: &Value) -> Vec<Finding> {
    judge().act(json!({"backup": {"webhook": true}}), seen)
}

#[test]
fn a_backup_is_believed_when_rows_and_bytes_agree() {
    assert_eq!(
        lines(&backup(&made())),
        [
            "passed | a backup was made | a backup | a.dump",
            "passed | the archive holds what the database held | 7 rows of 2 tables | 7 rows of 2 tables",
            "passed | the store gives back what was sent | 90 bytes with SHA-256 aa | 90 bytes with SHA-256 aa",
        ]
    );
    let held = "failed | the archive holds what the database held | 7 rows of 2 tables |";
    let (less, more) = (("/made/tables/0/archived", json!(2)), ("/made/tables/1/archived", json!(5)));
    assert_eq!(
        open(&backup(&but(&made(), std::slice::from_ref(&less)))),
        [format!("{held} 6 rows of 2 tables")]
    );
    // As many in all, and not in each.
    assert_eq!(open(&backup(&but(&made(), &[less, more]))), [format!("{held} 7 rows of 2 tables")]);
    let sent = |bytes: u64, sha: &str| format!("{bytes} bytes with SHA-256 {sha}");
    for (bytes, sha) in [(89, "aa"), (90, "ab")] {
        let changes = [("/made/stored-bytes", json!(bytes)), ("/made/stored-sha256", json!(sha))];
        assert_eq!(
            open(&backup(&but(&made(), &changes))),
            [format!(
                "failed | the store gives back what was sent | {} | {}",
                sent(90, "aa"),
                sent(bytes, sha)
            )]
        );
    }
    let nothing = but(&made(), &[("/made/bytes", json!(0)), ("/made/stored-bytes", json!(0))]);
    let none = sent(0, "aa");
    assert_eq!(
        open(&backup(&nothing)),
        [format!("failed | the store gives back what was sent | {none} | {none}")],
        "nothing that comes back as nothing is no backup"
    );
}

#[test]
fn no_backup_a_dry_run_and_an_empty_database_do_not_pass() {
    let failed = "failed | a backup was made | a backup | ";
    assert_eq!(lines(&backup(&json!({"made": null}))), [format!("{failed}none")]);
    assert_eq!(lines(&backup(&json!({"made": null, "failed": "no room"}))), [format!("{failed}no room")]);
    for (told, verdict) in [("told", "passed"), ("502", "failed")] {
        assert_eq!(
            lines(&backup(&json!({"made": null, "failed": "no room", "webhook": told}))),
            [format!("{failed}no room"), format!("{verdict} | the webhook was told | told | {told}")]
        );
    }
    assert_eq!(
        lines(&backup(&but(&made(), &[("/made/dry-run", json!(true))]))),
        ["unverified | a backup was made | a backup | a dry run: it would be `a.dump`"]
    );
    assert_eq!(
        lines(&backup(&but(&made(), &[("/made/tables", json!([]))]))),
        ["unverified | a backup was made | at least one table | 0 rows of 0 tables"]
    );
    assert!(judge().mistake(json!({"backup": {"name": "{db}"}})).unwrap().contains("{date}"));
    assert_eq!(judge().mistake(json!({"backup": {}})), None);
    assert_eq!(judge().mistake(json!({"backup": {"name": "{db}_{date}_{time}"}})), None);
}

#[test]
fn an_archive_without_its_manifest_is_left_over() {
    let undo = json!({"folder": null, "archive": "a.dump", "manifest": "a.manifest.json", "made-by": "me", "upload": null, "whole": null});
    for (left, verdict, words) in [
        ("committed", "passed", "the backup is finished"),
        ("nothing", "passed", "nothing is left"),
        ("archive", "failed", "an archive without its manifest"),
    ] {
        let what = "nothing of an unfinished backup is left | finished, or nothing";
        assert_eq!(
            judge().back("backup", &undo, &json!({"left": left})),
            [format!("{verdict} | {what} | {words}")]
        );
    }
}

/// Two backups, of eleven and of two hours ago.
fn catalogue() -> Value {
    let one = |name: &str, at: &str, size: u64| json!({"archive": format!("{name}.dump"), "manifest": format!("{name}.manifest.json"), "size": size, "at": at});
    json!({"store": "s3://b/", "backups": [one("b", "2026-02-16T10:00:00Z", 20), one("a", "2026-02-16T01:00:00Z", 10)],
        "count": 2, "bytes": 30, "newest": "2026-02-16T10:00:00Z", "oldest": "2026-02-16T01:00:00Z",
        "longest-gap": 32400, "without-manifest": [], "without-archive": []})
}

fn listed(settings: Value, seen: &Value) -> Vec<Finding> {
    judge().check(json!({"backup-catalogue": settings}), seen)
}

#[test]
fn a_catalogue_is_counted_and_weighed() {
    assert_eq!(
        lines(&listed(json!({}), &catalogue())),
        [
            "passed | how many there are | at least 1 | 2",
            "passed | each has its archive | each | each",
            "passed | the smallest | at least 1 bytes | 10 bytes: a.dump",
        ]
    );
    let count = |settings: Value| open(&listed(settings, &catalogue()));
    assert_eq!(count(json!({"at-least": 2, "at-most": 2})), [""; 0]);
    assert_eq!(count(json!({"at-least": 3})), ["failed | how many there are | at least 3 | 2"]);
    assert_eq!(count(json!({"at-most": 1})), ["failed | how many there are | at most 1 | 2"]);
    assert_eq!(count(json!({"min-size": 10})), [""; 0]);
    assert_eq!(
        count(json!({"min-size": 11})),
        ["failed | the smallest | at least 11 bytes | 10 bytes: a.dump"]
    );
    let empty = but(&catalogue(), &[("/backups/0/size", json!(0))]);
    assert_eq!(
        open(&listed(json!({}), &empty)),
        ["failed | the smallest | at least 1 bytes | 0 bytes: b.dump"]
    );
    let lost = but(&catalogue(), &[("/without-archive", json!(["x.manifest.json"]))]);
    assert_eq!(
        open(&listed(json!({}), &lost)),
        [r#"failed | each has its archive | each | ["x.manifest.json"]"#]
    );
    let mut cut = catalogue();
    cut["incomplete"] = json!(["c.manifest.json", "d.manifest.json"]);
    assert_eq!(
        open(&listed(json!({}), &cut)),
        [
            "failed | the newest manifest is one | a manifest | cut short or empty: c.manifest.json, d.manifest.json"
        ]
    );
}

#[test]
fn nothing_passes_in_a_store_without_backups() {
    let none = but(
        &catalogue(),
        &[
            ("/backups", json!([])),
            ("/count", json!(0)),
            ("/newest", Value::Null),
            ("/oldest", Value::Null),
            ("/longest-gap", Value::Null),
        ],
    );
    let all = json!({"newest-within": "1h", "oldest-within": "1h", "gap-within": "1h"});
    let findings = listed(all, &none);
    assert_eq!(
        open(&findings),
        [
            "failed | how many there are | at least 1 | 0",
            "unverified | how old what is in the newest is | at most 1h | no backup",
            "unverified | how old the oldest is | at most 1h | no backup",
            "unverified | the longest time between two | at most 1h | 0 backups",
        ]
    );
    assert_eq!(findings[0].help, None);
    let foreign = but(&none, &[("/without-manifest", catalogue()["backups"].clone())]);
    let help = listed(json!({}), &foreign)[0].help.clone().unwrap();
    assert!(help.starts_with("archives without a manifest: 2"), "{help}");
    // Where one counts, the others are no matter.
    let beside = but(&catalogue(), &[("/without-manifest", catalogue()["backups"].clone())]);
    assert_eq!(listed(json!({"at-least": 3}), &beside)[0].help, None);
}

#[test]
fn a_catalogue_has_an_age_at_both_ends_and_gaps() {
    let of = |settings: Value, seen: &Value| lines(&listed(settings, seen)).pop().unwrap();
    let newest = |within: &str, at: &str| {
        of(json!({"newest-within": within}), &but(&catalogue(), &[("/newest", json!(at))]))
    };
    let (ten, what) = ("2026-02-16T10:00:00Z", "how old what is in the newest is | at most");
    assert_eq!(newest("2h", ten), format!("passed | {what} 2h | {ten}, 7200s before now"));
    assert_eq!(newest("7199s", ten).split(" | ").next(), Some("failed"));
    for (time, verdict) in [("12:05:00", "passed"), ("12:05:01", "unverified")] {
        assert_eq!(newest("1s", &format!("2026-02-16T{time}Z")).split(" | ").next(), Some(verdict), "{time}");
    }
    let oldest = |within: &str, at: &str| {
        of(json!({"oldest-within": within}), &but(&catalogue(), &[("/oldest", json!(at))]))
    };
    let what = "how old the oldest is | at most";
    assert_eq!(oldest("2h", ten), format!("passed | {what} 2h | {ten}, 7200s before now"));
    assert_eq!(oldest("7199s", ten), format!("failed | {what} 7199s | {ten}, 7200s before now"));
    assert_eq!(oldest("1s", "2026-02-16T13:00:00Z").split(" | ").next(), Some("passed"));
    let what = "the longest time between two | at most";
    assert_eq!(of(json!({"gap-within": "9h"}), &catalogue()), format!("passed | {what} 9h | 32400s"));
    assert_eq!(of(json!({"gap-within": "32399s"}), &catalogue()), format!("failed | {what} 32399s | 32400s"));
}

#[test]
fn settings_of_a_catalogue_that_ask_nothing_are_mistakes() {
    for (settings, wrong) in [
        (json!({"at-least": 0}), true),
        (json!({"min-size": 0}), true),
        (json!({"at-least": 2, "at-most": 1}), true),
        (json!({"at-least": 2, "at-most": 2}), false),
        (json!({"at-least": 1, "min-size": 1}), false),
        (json!({"at-most": 1}), false),
    ] {
        assert_eq!(judge().mistake(json!({"backup-catalogue": settings})).is_some(), wrong, "{settings}");
    }
}

fn verified() -> Value {
    let pair = |name: &str, rows: u64| json!({"schema": "public", "name": name, "expected": rows, "rows": rows, "same": null});
    json!({"verified": {
        "backup": {"archive": "a.dump", "manifest": "a.manifest.json", "size": 90, "at": "2026-02-16T11:00:00Z"},
        "archive": {"formats": ["gzip", "plain SQL"], "bytes": 90, "sha256": "aa", "expected-sha256": "aa", "outcome": {"is": "sound"}},
        "tables": [pair("t", 3), pair("u", 4)], "unproven": [],
    }})
}

fn verify(tier: &str, seen: &Value) -> Vec<String> {
    lines(&judge().check(json!({"backup-verify": {"tier": tier}}), seen))
}

const THERE: &str = "passed | there is a backup to verify | a backup | a.dump";
const OWN: &str = "passed | the archive is the one that the manifest names | aa | aa";
const WHOLE: &str = "passed | the archive decodes to its end | sound | sound";

#[test]
fn what_is_verified_is_its_own_whole_and_full() {
    let rows = "every table has its rows | 7 rows of 2 tables |";
    assert_eq!(
        verify("T1", &verified()),
        [THERE, OWN, WHOLE, &format!("passed | {rows} 7 rows of 2 tables")]
    );
    assert_eq!(
        verify("T1", &json!({"verified": null})),
        ["failed | there is a backup to verify | a backup | none"]
    );
    let with = |pointer: &str, value: Value| but(&verified(), &[(pointer, value)]);
    let other = verify("T1", &with("/verified/archive/sha256", json!("ab")));
    assert_eq!(other[1], "failed | the archive is the one that the manifest names | aa | ab");
    for (is, line) in [
        ("broken", "failed | the archive decodes to its end | sound | gzip, in it plain SQL: it ends"),
        ("undecided", "unverified | the archive decodes to its end | sound | gzip, in it plain SQL: it ends"),
    ] {
        let outcome = match is {
            "broken" => json!({"is": is, "layer": 0, "at": 5, "why": "it ends"}),
            _ => json!({"is": is, "why": "it ends"}),
        };
        assert_eq!(verify("T1", &with("/verified/archive/outcome", outcome))[2], line);
    }
    for (pointer, value, named) in [
        ("/verified/tables/0/rows", json!(2), "public.t: 2 rows where 3 rows were"),
        ("/verified/tables/0/rows", Value::Null, "public.t: no such table where 3 rows were"),
        ("/verified/tables/1/expected", Value::Null, "public.u: 4 rows where no such table were"),
    ] {
        let line = verify("T1", &with(pointer, value)).pop().unwrap();
        let want = if pointer.ends_with("expected") { "3 rows of 2 tables" } else { "7 rows of 2 tables" };
        assert_eq!(line, format!("failed | every table has its rows | {want} | [\"{named}\"]"));
    }
    assert_eq!(
        verify("T1", &with("/verified/tables", json!([]))).pop().unwrap(),
        "unverified | every table has its rows | at least one table | no table"
    );
}

#[test]
fn the_first_twenty_tables_that_differ_are_named() {
    let pair =
        |n: u32| json!({"schema": "s", "name": format!("t{n:02}"), "expected": 1, "rows": 0, "same": null});
    for (count, more) in [(20, None), (21, Some("and 1 more")), (25, Some("and 5 more"))] {
        let all: Vec<Value> = (0..count).map(pair).collect();
        let findings = judge()
            .check(json!({"backup-verify": {}}), &but(&verified(), &[("/verified/tables", json!(all))]));
        let named = findings.last().unwrap().seen.as_array().unwrap();
        assert_eq!(named.len(), 20 + usize::from(more.is_some()), "{count}");
        assert_eq!(named.last().unwrap().as_str().filter(|it| it.starts_with("and")), more);
    }
}

#[test]
fn without_a_manifest_or_without_decoding_less_is_said() {
    let none =
        [("/verified/archive/expected-sha256", Value::Null), ("/verified/backup/manifest", Value::Null)];
    let foreign = but(&verified(), &none);
    let held = "it holds tables | at least one table |";
    assert_eq!(verify("T1", &foreign), [THERE, WHOLE, &format!("passed | {held} 2 tables")]);
    let empty = but(&foreign, &[("/verified/tables", json!([]))]);
    assert_eq!(verify("T1", &empty), [THERE, WHOLE, &format!("unverified | {held} 0 tables")]);
    let bytes = [("/verified/archive/outcome", Value::Null), ("/verified/tables", json!([]))];
    assert_eq!(verify("T0", &but(&verified(), &bytes)), [THERE, OWN]);
    assert_eq!(
        verify("T0", &but(&foreign, &bytes)),
        [
            THERE,
            "unverified | its bytes are those that were written | a SHA-256 to compare with | no manifest"
        ]
    );
}
