//! `backup-prune`.

use super::super::backup_prune::BackupPrune;
use super::{but, judge, lines, open};
use serde_json::{Value, json};

fn kept(name: &str) -> Value {
    json!({"archive": format!("{name}.dump"), "manifest": format!("{name}.manifest.json"), "at": "2026-02-16T11:00:00Z", "why": ["keep-last"]})
}

fn backup(name: &str) -> Value {
    json!({"archive": format!("{name}.dump"), "manifest": format!("{name}.manifest.json"), "size": 9, "at": "2026-02-15T11:00:00Z"})
}

/// Of four the newest two were kept, and two are gone.
fn pruned(store: &str) -> Value {
    json!({
        "store": store, "kept": [kept("d"), kept("c")], "to-delete": [backup("b"), backup("a")],
        "verified": [{"backup": backup("d"), "unproven": [], "tables": [{"schema": "s", "name": "t", "expected": 3, "rows": 3, "same": null}],
            "archive": {"formats": ["custom"], "bytes": 9, "sha256": "aa", "expected-sha256": "aa", "outcome": {"is": "sound"}}}],
        "databases": ["app"], "refused": null, "deleted": ["b.dump", "a.dump"], "locked": [], "failed": [], "missing": [],
        "remaining": 2, "hidden": [], "without-manifest": [], "without-archive": [], "local": null,
    })
}

fn prune(settings: Value, seen: &Value) -> Vec<String> {
    lines(&judge().act(json!({"backup-prune": settings}), seen))
}

fn wrong(changes: &[(&str, Value)]) -> Vec<String> {
    open(&judge().act(json!({"backup-prune": {"keep-last": 2}}), &but(&pruned("s3://b/"), changes)))
}

fn stays(name: &str) -> Value {
    json!([{"archive": name, "why": "a lock"}])
}

#[test]
fn what_went_and_what_stays_is_seen() {
    let all = [
        "passed | there is a backup in s3://b/ | a backup | d.dump",
        r#"passed | all in s3://b/ are of one database | at most one database | ["app"]"#,
        "passed | the archive is the one that the manifest names | aa | aa",
        "passed | the archive decodes to its end | sound | sound",
        "passed | every table has its rows | 3 rows of 1 tables | 3 rows of 1 tables",
        "passed | what the rules let go in s3://b/ is gone | 2 backups | 2 backups",
        "passed | what stays in s3://b/ is there | 2 backups | 2 backups",
        "passed | enough remain in s3://b/ | at least 1 backups | 2 backups",
    ];
    assert_eq!(prune(json!({"keep-last": 2}), &pruned("s3://b/")), all);
    // With T0 nothing was decoded, and nothing is said of rows.
    let bytes = but(&pruned("s3://b/"), &[("/verified/0/archive/outcome", Value::Null)]);
    let shallow = prune(json!({"keep-last": 2, "verify": "T0"}), &bytes);
    assert_eq!(shallow.len(), all.len() - 2, "{shallow:?}");
    // The copies in a folder are judged by themselves.
    let both = but(&pruned("s3://b/"), &[("/local", pruned("/copies"))]);
    let both = prune(json!({"keep-last": 2, "local": "copies"}), &both);
    assert_eq!(both[..8], all);
    assert_eq!(both[8..], all.map(|line| line.replace("s3://b/", "/copies")));
}

#[test]
fn what_is_not_gone_or_should_not_be_is_named() {
    let gone = "what the rules let go in s3://b/ is gone |";
    assert_eq!(
        wrong(&[("/deleted", json!(["b.dump"])), ("/failed", stays("a.dump"))]),
        [format!(r#"failed | {gone} 2 backups | ["a.dump: a lock"]"#)]
    );
    assert_eq!(
        wrong(&[("/deleted", json!(["b.dump"]))]),
        [format!("failed | {gone} 2 backups | 1 backups")],
        "one is neither gone nor named"
    );
    // What a lock keeps does not have to be gone.
    let locked = [("/deleted", json!(["b.dump"])), ("/locked", stays("a.dump"))];
    assert_eq!(wrong(&locked), [""; 0]);
    let many = json!([stays("a.dump")[0], stays("b.dump")[0], stays("c.dump")[0]]);
    assert_eq!(wrong(&[("/deleted", json!([])), ("/locked", many)]), [""; 0], "a backup may be locked twice");
    assert_eq!(
        wrong(&[("/missing", json!(["c.dump"]))]),
        [r#"failed | what stays in s3://b/ is there | 2 backups | ["c.dump is not there any more"]"#]
    );
    assert_eq!(
        wrong(&[("/databases", json!(["app", "shop"]))]),
        [r#"failed | all in s3://b/ are of one database | at most one database | ["app","shop"]"#]
    );
    assert_eq!(
        wrong(&[("/verified/0/archive/sha256", json!("ab"))]),
        ["failed | the archive is the one that the manifest names | aa | ab"]
    );
}

#[test]
fn the_floor_is_no_higher_than_what_there_was() {
    let of = |floor: u64, remaining: u64| {
        let seen = but(&pruned("s3://b/"), &[("/remaining", json!(remaining))]);
        prune(json!({"keep-last": 2, "keep-at-least": floor}), &seen).pop().unwrap()
    };
    let line = |verdict: &str, floor: u64, remaining: u64| {
        format!("{verdict} | enough remain in s3://b/ | at least {floor} backups | {remaining} backups")
    };
    for (floor, remaining, told, verdict) in [
        (2, 2, 2, "passed"),
        (3, 2, 3, "failed"),
        (4, 4, 4, "passed"),
        (9, 3, 4, "failed"),
        (9, 4, 4, "passed"),
    ] {
        assert_eq!(of(floor, remaining), line(verdict, told, remaining), "{floor}");
    }
    let none = but(&pruned("s3://b/"), &[("/remaining", json!(0))]);
    assert_eq!(open(&judge().act(json!({"backup-prune": {"keep-last": 2}}), &none)), [line("failed", 1, 0)]);
    // Nobody looked again, so nothing is said of it.
    let unseen = but(&pruned("s3://b/"), &[("/remaining", Value::Null)]);
    assert_eq!(prune(json!({"keep-last": 2}), &unseen).len(), 6);
}

#[test]
fn nothing_that_was_not_done_passes() {
    let refused = [("/refused", json!("a dry run")), ("/deleted", json!([])), ("/remaining", Value::Null)];
    assert_eq!(
        wrong(&refused),
        [
            "unverified | what the rules let go in s3://b/ is gone | 2 backups | nothing was deleted: a dry run; 2 backups would be"
        ]
    );
    // A dry run verifies nothing, and says so once.
    assert_eq!(wrong(&[&refused[..], &[("/verified", json!([]))]].concat()), wrong(&refused));
    let empty = but(
        &pruned("s3://b/"),
        &[("/kept", json!([])), ("/without-manifest", json!([backup("x"), backup("y"), backup("z")]))],
    );
    let findings = judge().act(json!({"backup-prune": {"keep-last": 2}}), &empty);
    assert_eq!(lines(&findings), ["unverified | there is a backup in s3://b/ | a backup | none"]);
    assert!(findings[0].help.clone().unwrap().contains("archives without a manifest: 3"), "{findings:?}");
}

/// Why nothing may be deleted; the same is judged, should it have been.
#[test]
fn nothing_is_deleted_where_the_newest_is_not_known_to_be_sound() {
    let why = |settings: Value, changes: &[(&str, Value)]| {
        let prune: BackupPrune = serde_json::from_value(settings).unwrap();
        let seen = serde_json::from_value(but(&pruned("s3://b/"), changes)).unwrap();
        prune.refusal(&seen)
    };
    let last = json!({"keep-last": 2});
    assert_eq!(why(last.clone(), &[]), None);
    assert_eq!(why(json!({"keep-last": 2, "dry-run": true}), &[]).unwrap(), "a dry run");
    let unverified = "the newest in s3://b/ is not verified:";
    for (pointer, value, words) in [
        ("/kept", json!([]), "there is no backup in s3://b/".to_owned()),
        ("/verified", json!([]), format!("{unverified} the newest that stays is verified")),
        (
            "/verified/0/archive/sha256",
            json!("ab"),
            format!("{unverified} the archive is the one that the manifest names"),
        ),
        ("/verified/0/tables/0/rows", json!(2), format!("{unverified} every table has its rows")),
        ("/verified/0/tables", json!([]), format!("{unverified} every table has its rows")),
        (
            "/databases",
            json!(["app", "shop"]),
            "s3://b/ holds backups of several databases: app, shop".to_owned(),
        ),
    ] {
        let changes = [(pointer, value)];
        assert_eq!(why(last.clone(), &changes), Some(words), "{pointer}");
        assert_eq!(wrong(&changes).len(), 1, "{pointer}");
    }
}

#[test]
fn half_of_a_backup_may_not_stay() {
    let undo = json!({"folder": null, "prefix": "", "halves": []});
    let of = |left: Value| judge().back("backup-prune", &undo, &json!({"unfinished": left}));
    let what = "no half of a pruned backup is left | none |";
    assert_eq!(of(json!([])), [format!("passed | {what} none")]);
    assert_eq!(of(json!(["a.dump"])), [format!(r#"failed | {what} ["a.dump"]"#)]);
}

#[test]
fn rules_that_keep_nothing_are_mistakes() {
    for (settings, words) in [
        (json!({}), "nothing says which"),
        (json!({"keep-at-least": 3}), "nothing says which"),
        (json!({"keep-last": 0}), "keeps nothing"),
        (json!({"keep-within": "0s"}), "keeps nothing"),
        (json!({"keep-last": 1, "keep-at-least": 0}), "keeps nothing"),
        (json!({"keep-last": 1}), ""),
        (json!({"keep-within": "1d"}), ""),
        (json!({"keep-last": 1, "keep-within": "1d", "keep-at-least": 1}), ""),
    ] {
        let said = judge().mistake(json!({"backup-prune": settings})).unwrap_or_default();
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{settings}: {said}");
    }
}
