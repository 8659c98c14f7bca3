//! Observations in, findings out: what the kinds about backups conclude, without a system to ask.

#![expect(clippy::needless_pass_by_value, reason = "settings are written where they are judged by")]

mod backups;
mod drills;
mod prunings;

use proofmark_engine::testing::{Judge, but, lines, open};
use proofmark_model::Permission;
use serde_json::{Value, json};

fn judge() -> Judge {
    Judge::new(&crate::SYSTEM, "2026-02-16T12:00:00Z")
}

#[test]
fn the_list_that_a_kind_counts_itself_is_named() {
    for (kind, list) in [("backup-catalogue", Some("$.backups")), ("backup-verify", None)] {
        assert_eq!(judge().counted(kind), list, "{kind}");
    }
}

/// What cannot be put back is only done by whom `destroy` was given.
#[test]
fn acts_say_what_they_need_and_whom_they_talk_to() {
    let (server, store) = ("postgres", "store");
    for (kind, needs, roles) in [
        (json!({"restore-drill": {}}), Some(Permission::Change), vec![server, store]),
        (json!({"restore-drill": {"live": "p"}}), Some(Permission::Change), vec![server, store, "live"]),
        (
            json!({"restore-drill": {"into": "in-place", "truncate": ["t"]}}),
            Some(Permission::Destroy),
            vec![server, store],
        ),
        (json!({"restore-drill": {"into": "recreate"}}), Some(Permission::Destroy), vec![server, store]),
        (json!({"backup-prune": {"keep-last": 1}}), Some(Permission::Destroy), vec![store]),
        (json!({"backup-prune": {"keep-last": 1, "dry-run": true}}), None, vec![store]),
    ] {
        let act = judge().registry().act_of_json(&kind).unwrap();
        assert_eq!(act.needs().to_vec(), needs.into_iter().collect::<Vec<_>>(), "{kind}");
        assert_eq!(act.used().roles.to_vec(), roles, "{kind}");
    }
    let roles_back = |undo: Value| judge().registry().roles_back("backup-prune", Some(&undo)).to_vec();
    assert_eq!(roles_back(json!({"folder": null, "prefix": "", "halves": []})), [store]);
    assert_eq!(roles_back(json!({"folder": "/copies", "prefix": "", "halves": []})), [""; 0]);
}
