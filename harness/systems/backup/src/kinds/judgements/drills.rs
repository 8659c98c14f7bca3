//! `restore-drill`.

use super::{but, judge, lines, open};
use serde_json::{Value, json};

/// All came back.
fn drilled() -> Value {
    let pair = |name: &str, rows: u64| json!({"schema": "public", "name": name, "expected": rows, "rows": rows, "same": true});
    json!({
        "backup": {"archive": "a.dump", "manifest": "a.manifest.json", "size": 90, "at": "2026-02-16T11:00:00Z"},
        "has-manifest": true, "taken-at": "2026-02-16T10:59:00Z", "began": "2026-02-16T11:59:00Z",
        "archive": {"formats": ["custom"], "bytes": 90, "sha256": "aa", "expected-sha256": "aa", "outcome": {"is": "sound"}},
        "refused": null, "server": "15.8", "restore": {"program": "pg_restore 15", "exit": "0", "said": ""},
        "comparison": {
            "tables": [pair("t", 3), pair("u", 4)], "schema": [], "objects": 5, "sequences": [], "sequences-behind": [],
            "large-objects": {"expected": 2, "restored": 2, "same": true}, "invalid-indexes": [], "unvalidated": [],
        },
        "live": null, "queries": {"q": [{"id": 1}]}, "control": {"table": "public.t", "noticed": true}, "replaced": "app",
        "unproven": [], "seconds": {"download": 1.0, "create": 2.0, "restore": 3.0, "analyze": 4.0, "verify": 100.0},
    })
}

fn drill(settings: Value, changes: &[(&str, Value)]) -> Vec<String> {
    lines(&judge().act(json!({"restore-drill": settings}), &but(&drilled(), changes)))
}

fn wrong(settings: Value, changes: &[(&str, Value)]) -> Vec<String> {
    open(&judge().act(json!({"restore-drill": settings}), &but(&drilled(), changes)))
}

/// The only line that did not pass.
fn only(settings: Value, changes: &[(&str, Value)]) -> String {
    let mut wrong = wrong(settings, changes);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.remove(0)
}

const BEGINS: [&str; 5] = [
    "passed | there is a backup to drill | a backup | a.dump",
    "passed | the archive is the one that the manifest names | aa | aa",
    "passed | the archive decodes to its end | sound | sound",
    "passed | it is restored without an error | 0 | 0",
    "passed | every table has its rows | 7 rows of 2 tables | 7 rows of 2 tables",
];
const ROWS: &str = "passed | every row is the same | 2 tables | 2 tables";
const CONTENTS: [&str; 5] = [
    ROWS,
    "passed | every object of the schema is the same | 5 objects | 5 objects",
    "passed | every sequence stands where it stood | no difference | no difference",
    "passed | every index and constraint is valid | all valid | all valid",
    "passed | every large object is the same | 2 objects | 2 objects",
];
const REPLACED: &str = "passed | the database is what came back | put in its place | put in its place";
const NOTICED: &str = "passed | a row that is taken away is noticed | noticed | noticed";

#[test]
fn each_tier_and_place_has_its_findings() {
    let of = |settings: Value| drill(settings, &[]);
    let all = |more: &[&'static str]| [&BEGINS[..], more].concat();
    assert_eq!(of(json!({"tier": "T2"})), BEGINS);
    assert_eq!(of(json!({})), all(&CONTENTS));
    assert_eq!(of(json!({"tier": "T4"})), all(&[&CONTENTS[..], &[NOTICED]].concat()));
    assert_eq!(of(json!({"into": "in-place", "truncate": ["t"]})), all(&[ROWS]));
    assert_eq!(of(json!({"into": "in-place", "truncate": ["t"], "tier": "T4"})), all(&[ROWS]));
    assert_eq!(of(json!({"into": "recreate"})), all(&[&CONTENTS[..], &[REPLACED]].concat()));
    // Without a manifest there is nothing to compare with.
    let foreign = [("/has-manifest", json!(false)), ("/archive/expected-sha256", Value::Null)];
    assert_eq!(drill(json!({}), &foreign), [BEGINS[0], BEGINS[2], BEGINS[3], BEGINS[4]]);
    let targets = json!({"tier": "T2", "rto": "10s", "rpo": "1h", "queries": {"q": "SELECT 1"}});
    assert_eq!(
        of(targets),
        all(&[
            "passed | the query `q` gives a row | at least one row | 1 rows",
            "passed | it can be used again in time | within 10s | 10.0s",
            "passed | what is in it is new enough | at most 1h old | 2026-02-16T10:59:00Z, 3600s before the drill",
        ])
    );
}

#[test]
fn what_cannot_be_restored_is_told_from_what_may_not() {
    assert_eq!(
        drill(json!({}), &[("/backup", Value::Null)]),
        ["failed | there is a backup to drill | a backup | none"]
    );
    let without = [("/comparison", Value::Null), ("/restore", Value::Null)];
    let refused = [&without[..], &[("/refused", json!("it is of PostgreSQL 99"))]].concat();
    assert_eq!(
        drill(json!({"rto": "1s", "queries": {"q": "SELECT 1"}, "tier": "T4"}), &refused)[3..],
        ["unverified | it is restored without an error | a restore | it is of PostgreSQL 99"]
    );
    let failed =
        [&without[..1], &[("/restore/exit", json!("1")), ("/restore/said", json!("no role"))]].concat();
    assert_eq!(
        drill(json!({"rto": "1s"}), &failed)[3..],
        ["failed | it is restored without an error | 0 | 1: no role"]
    );
    let broken = json!({"is": "broken", "layer": 0, "at": 5, "why": "it ends"});
    let broken = [&without[..], &[("/archive/outcome", broken)]].concat();
    assert_eq!(
        drill(json!({}), &broken)[1..],
        [BEGINS[1], "failed | the archive decodes to its end | sound | custom: it ends"]
    );
}

/// Not to have looked is no reason to pass.
#[test]
fn nothing_passes_without_a_comparison() {
    for (changes, settings) in [
        (vec![("/comparison", Value::Null)], json!({})),
        (vec![("/comparison", Value::Null), ("/restore", Value::Null)], json!({"rpo": "2h"})),
        (
            vec![("/comparison", Value::Null), ("/restore", Value::Null), ("/archive", Value::Null)],
            json!({"into": "in-place", "truncate": ["t"]}),
        ),
    ] {
        assert_eq!(
            only(settings, &changes),
            "unverified | what came back is compared | a comparison | there was none"
        );
    }
}

#[test]
fn tables_that_differ_are_named() {
    let rows = [("/comparison/tables/0/rows", json!(2)), ("/comparison/tables/0/same", json!(false))];
    assert_eq!(
        wrong(json!({"tier": "T2"}), &rows),
        [
            r#"failed | every table has its rows | 7 rows of 2 tables | ["public.t: 2 rows where 3 rows were"]"#
        ]
    );
    // That its rows are others too is no other news, though not all are the same.
    assert_eq!(wrong(json!({}), &rows)[1..], ["failed | every row is the same | 2 tables | 1 tables"]);
    assert_eq!(
        only(json!({}), &[("/comparison/tables/1/same", json!(false))]),
        r#"failed | every row is the same | 2 tables | ["public.u: as many rows, and not the same"]"#
    );
    assert_eq!(
        only(json!({}), &[("/comparison/tables/1/same", Value::Null)]),
        "failed | every row is the same | 2 tables | 1 tables"
    );
    let unhashed = [("/comparison/tables/0/same", Value::Null), ("/comparison/tables/1/same", Value::Null)];
    assert_eq!(
        only(json!({}), &unhashed),
        "unverified | every row is the same | 2 tables | no table could be compared"
    );
    // One that nobody expected is not counted among those that are the same.
    let extra = [("/comparison/tables/1/expected", Value::Null), ("/comparison/tables/1/same", Value::Null)];
    assert_eq!(
        wrong(json!({}), &extra),
        [
            r#"failed | every table has its rows | 3 rows of 2 tables | ["public.u: 4 rows where no such table were"]"#
        ]
    );
}

#[test]
fn what_else_differs_is_named() {
    let one = json!([{"class": "index", "name": "public.i", "expected": "x", "seen": "nothing"}]);
    let named = r#"["index public.i: nothing where x was"]"#;
    for (pointer, value, line) in [
        ("schema", one.clone(), format!("failed | every object of the schema is the same | 5 objects | {named}")),
        ("objects", json!(0), "unverified | every object of the schema is the same | at least one object | 0 objects".into()),
        ("sequences", one, format!("failed | every sequence stands where it stood | no difference | {named}")),
        (
            "sequences-behind",
            json!(["public.s"]),
            r#"failed | every sequence stands where it stood | no difference | ["public.s: its next value is in use already"]"#.into(),
        ),
        (
            "invalid-indexes",
            json!(["i"]),
            r#"failed | every index and constraint is valid | all valid | ["index i is invalid"]"#.into(),
        ),
        (
            "unvalidated",
            json!(["c"]),
            r#"failed | every index and constraint is valid | all valid | ["constraint c is not validated"]"#.into(),
        ),
    ] {
        assert_eq!(only(json!({}), &[(&format!("/comparison/{pointer}"), value)]), line);
    }
}

#[test]
fn large_objects_are_counted_and_compared() {
    let what = "every large object is the same |";
    let of = |expected: u64, restored: u64, same: Option<bool>| {
        let pair = json!({"expected": expected, "restored": restored, "same": same});
        drill(json!({}), &[("/comparison/large-objects", pair)]).pop().unwrap()
    };
    assert_eq!(of(2, 1, Some(false)), format!("failed | {what} 2 objects | 1 objects"));
    assert_eq!(of(2, 2, Some(false)), format!("failed | {what} 2 objects | 2 objects, and not the same"));
    assert_eq!(of(0, 0, None), format!("passed | {what} 0 objects | 0 objects"));
    for (expected, restored) in [(2, 2), (0, 1), (1, 0)] {
        let line = format!("unverified | {what} {expected} objects | {restored} objects");
        assert_eq!(of(expected, restored, None), line);
    }
    assert_eq!(
        only(json!({}), &[("/comparison/large-objects", Value::Null)]),
        format!("unverified | {what} the same | a role that may not read them")
    );
}

#[test]
fn queries_controls_and_targets_that_are_missed_are_said() {
    let ask = json!({"queries": {"q": "SELECT 1", "r": "SELECT 2"}});
    assert_eq!(only(ask.clone(), &[]), "failed | the query `r` gives a row | at least one row | 0 rows");
    assert_eq!(wrong(ask, &[("/queries", json!({"q": [], "r": [{}, {}]}))]).len(), 1);
    let control = |value: Value| only(json!({"tier": "T4"}), &[("/control", value)]);
    let what = "a row that is taken away is noticed | noticed |";
    assert_eq!(control(Value::Null), format!("unverified | {what} no table gave a row away"));
    let missed = json!({"table": "public.t", "noticed": false});
    assert_eq!(control(missed), format!("failed | {what} not noticed"));
    // Ten seconds until it can be used; what is compared after that does not count.
    assert_eq!(only(json!({"rto": "9s"}), &[]), "failed | it can be used again in time | within 9s | 10.0s");
    assert_eq!(
        only(json!({"into": "recreate"}), &[("/replaced", Value::Null)]),
        "failed | the database is what came back | put in its place | it is as it was, for not all that came back was seen to be the same"
    );
    let what = "what is in it is new enough | at most";
    assert_eq!(
        only(json!({"rpo": "3599s"}), &[]),
        format!("failed | {what} 3599s old | 2026-02-16T10:59:00Z, 3600s before the drill")
    );
    for pointer in ["/taken-at", "/began"] {
        assert_eq!(
            only(json!({"rpo": "1h"}), &[(pointer, Value::Null)]),
            format!("unverified | {what} 1h old | no time")
        );
    }
    for (taken, fine) in [("12:03:59", true), ("12:04:00", true), ("12:04:01", false)] {
        let taken = [("/taken-at", json!(format!("2026-02-16T{taken}Z")))];
        let wrong = wrong(json!({"rpo": "1s"}), &taken);
        assert_eq!(wrong.is_empty(), fine, "{taken:?}");
        assert!(wrong.iter().all(|line| line.starts_with("unverified | what is in it is new enough")));
    }
}

#[test]
fn the_live_database_is_held_against_what_came_back() {
    let pair = |live: Option<u64>, rows: Option<u64>| json!({"schema": "public", "name": "t", "expected": live, "rows": rows, "same": null});
    let with = |tolerance: Value, pairs: Vec<Value>, failed: Option<&str>| {
        let seen = [("/live", json!({"tables": pairs, "failed": failed}))];
        drill(json!({"tier": "T2", "live": "production", "tolerance": tolerance}), &seen).pop().unwrap()
    };
    let what = "every table has about as many rows as the live database |";
    let same = "the rows of 1 tables, give or take 2";
    assert_eq!(
        with(json!(2), vec![pair(Some(5), Some(7))], None),
        format!("passed | {what} {same} | {same}")
    );
    assert_eq!(
        with(json!(2), vec![pair(Some(5), Some(8))], None),
        format!("failed | {what} {same} | [\"public.t: 8 rows came back, 5 rows in the live database\"]")
    );
    assert_eq!(
        with(json!("5%"), vec![pair(None, Some(8))], None),
        format!(
            "failed | {what} the rows of 1 tables, give or take 5% | [\"public.t: 8 rows came back, no such table in the live database\"]"
        )
    );
    assert_eq!(
        with(json!("100%"), vec![pair(Some(5), None)], None),
        format!(
            "failed | {what} the rows of 1 tables, give or take 100% | [\"public.t: no such table came back, 5 rows in the live database\"]"
        )
    );
    assert_eq!(with(json!(2), vec![], None), format!("unverified | {what} at least one table | no table"));
    assert_eq!(
        with(json!(2), vec![pair(Some(5), Some(5))], Some("no route")),
        format!("unverified | {what} an answer of the live database | no route")
    );
    // None at all unless it is said.
    let near = [("/live", json!({"tables": [pair(Some(5), Some(6))], "failed": null}))];
    assert_eq!(wrong(json!({"tier": "T2", "live": "production"}), &near).len(), 1);
}

#[test]
fn what_should_be_back_is_looked_for() {
    let scratch = json!({"name": "proofmark_drill_1", "mark": "m"});
    let of = |undo: Value, seen: Value| judge().back("restore-drill", &undo, &seen).remove(0);
    let gone = "the scratch database proofmark_drill_1 is gone | gone |";
    assert_eq!(of(json!({"scratch": scratch}), json!({"scratch": null})), format!("passed | {gone} gone"));
    assert_eq!(of(json!({"scratch": scratch}), json!({"scratch": "it"})), format!("failed | {gone} it"));
    let tables = json!({"tables": {"archive": "a", "manifest": "m", "names": ["t", "u"], "before": []}});
    for (holds, verdict, words) in [
        ("backup", "passed", "what the backup holds"),
        ("before", "passed", "what they held before"),
        ("other", "failed", "something else"),
    ] {
        let line = format!(
            "{verdict} | what the tables hold: t, u | what the backup holds, or what they held before | {words}"
        );
        assert_eq!(of(tables.clone(), json!({"tables": holds})), line);
    }
    let database = |was_there: bool| json!({"database": {"database": "app", "was-there": was_there, "scratch": scratch, "aside": scratch}});
    let beside = "nothing is left beside the database app | nothing |";
    for (was_there, is_there, left, line) in [
        (true, true, json!([]), format!("passed | {beside} nothing")),
        (false, true, json!([]), format!("passed | {beside} nothing")),
        (false, false, json!([]), format!("passed | {beside} nothing")),
        (true, false, json!([]), format!("failed | {beside} nothing, and it is gone itself")),
        (true, true, json!(["x", "y"]), format!("failed | {beside} x, y")),
        (true, false, json!(["x"]), format!("failed | {beside} x")),
    ] {
        let seen = json!({"database": {"is-there": is_there, "left": left}});
        assert_eq!(of(database(was_there), seen), line);
    }
    assert_eq!(
        of(tables, json!({"scratch": null})),
        "unverified | the world is back | what was promised | something else was looked at"
    );
}

#[test]
fn settings_that_do_not_go_together_are_mistakes() {
    for (settings, words) in [
        (json!({}), ""),
        (json!({"jobs": 0}), "`jobs: 0`"),
        (json!({"jobs": 1}), ""),
        (json!({"live": "p", "into": "recreate"}), "leave `into` out"),
        (json!({"live": "p", "tolerance": 1}), ""),
        (json!({"tolerance": 1}), "is that of `live`"),
        (json!({"into": "in-place"}), "names no table"),
        (json!({"into": "in-place", "truncate": ["t"], "tier": "T2"}), ""),
        (json!({"into": "recreate", "tier": "T2"}), "always compares all"),
        (json!({"into": "recreate", "truncate": ["t"]}), "the whole database"),
        (json!({"into": "recreate"}), ""),
        (json!({"truncate": ["t"]}), "say so with `into: in-place`"),
    ] {
        let said = judge().mistake(json!({"restore-drill": settings})).unwrap_or_default();
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{settings}: {said}");
    }
}
