//! Which backups stay and which go, by rules and the list alone. A backup stays if any rule keeps it. Nothing here deletes
//! anything: the plan can be looked at first.

use super::catalogue::{AHEAD, newest_first};
use super::{Backup, Catalogue};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What keeps a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// So many of the newest.
    pub last: Option<usize>,
    /// Those no older than this.
    pub within: Option<Duration>,
    /// So many remain, however old they are. The newest one always does.
    pub at_least: usize,
    /// Archives without a manifest are backups too.
    pub foreign: bool,
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is one of the newest.
    KeepLast,
    /// It is young enough.
    KeepWithin,
    /// Fewer would remain than have to.
    KeepAtLeast,
    /// It is the newest with a manifest: the only kind that can be held against what it was made of.
    NewestWithManifest,
    /// Its time lies in the future, so how old it is cannot be said. It counts for no rule.
    InTheFuture,
}

/// A backup that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kept {
    /// The archive's name below the store's `url`.
    pub archive: String,
    /// The manifest's name; `null` where another tool made the backup.
    pub manifest: Option<String>,
    /// When it was committed. RFC 3339 in UTC, by the store's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why it stays.
    pub why: Vec<Why>,
}

/// What stays and what goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Newest first; those of the future before all others.
    pub kept: Vec<Kept>,
    /// Newest first.
    pub deleted: Vec<Backup>,
    /// What has to be sound before anything goes: the newest that stays and, if that is another, the newest of these that
    /// has a manifest.
    pub verify: Vec<Backup>,
}

/// Makes the plan.
pub fn plan(catalogue: &Catalogue, rules: &Rules, now: Timestamp) -> PrunePlan {
    let mut all = catalogue.backups.clone();
    if rules.foreign {
        all.extend(catalogue.without_manifest.iter().cloned());
    }
    newest_first(&mut all);
    let (future, all): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|backup| backup.at.duration_since(now) > AHEAD);
    let committed = all.iter().position(|backup| backup.manifest.is_some());
    let newest = all.first().or(future.first());
    let proven = committed.map(|at| &all[at]).filter(|proven| Some(*proven) != newest);
    let mut plan =
        PrunePlan { verify: newest.into_iter().chain(proven).cloned().collect(), ..PrunePlan::default() };
    let kept = |backup: &Backup, why| {
        let Backup { archive, manifest, at, .. } = backup.clone();
        Kept { archive, manifest, at, why }
    };
    plan.kept = future.iter().map(|backup| kept(backup, vec![Why::InTheFuture])).collect();
    for (rank, backup) in all.into_iter().enumerate() {
        let why = why(&backup, rank, (rules, now), committed);
        if why.is_empty() {
            plan.deleted.push(backup);
        } else {
            plan.kept.push(kept(&backup, why));
        }
    }
    plan
}

fn why(
    backup: &Backup,
    rank: usize,
    (rules, now): (&Rules, Timestamp),
    committed: Option<usize>,
) -> Vec<Why> {
    let age = now.duration_since(backup.at);
    let young = |within| age.is_negative() || age.unsigned_abs() <= within;
    let mut why = vec![];
    if rules.last.is_some_and(|last| rank < last) {
        why.push(Why::KeepLast);
    }
    if rules.within.is_some_and(young) {
        why.push(Why::KeepWithin);
    }
    if why.is_empty() && rank < rules.at_least.max(1) {
        why.push(Why::KeepAtLeast);
    }
    if why.is_empty() && committed == Some(rank) {
        why.push(Why::NewestWithManifest);
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const DAY: i64 = 86_400;

    fn now() -> Timestamp {
        "2026-02-16T02:00:00Z".parse().unwrap()
    }

    /// One of so many seconds ago.
    fn backup(name: &str, ago: i64, ours: bool) -> Backup {
        let manifest = ours.then(|| format!("{name}.manifest.json"));
        let at = now() - SignedDuration::from_secs(ago);
        Backup { archive: format!("{name}.dump"), manifest, size: 7, at }
    }

    fn catalogue(all: impl IntoIterator<Item = Backup>) -> Catalogue {
        let (backups, without_manifest) = all.into_iter().partition(|backup| backup.manifest.is_some());
        Catalogue { backups, without_manifest, without_archive: vec![] }
    }

    fn rules(last: Option<usize>, days: Option<u64>, at_least: usize) -> Rules {
        let within = days.map(|days| Duration::from_secs(days * DAY.unsigned_abs()));
        Rules { last, within, at_least, foreign: false }
    }

    fn kept(plan: &PrunePlan) -> Vec<&str> {
        plan.kept.iter().map(|kept| kept.archive.as_str()).collect()
    }

    #[test]
    fn what_any_rule_keeps_stays() {
        let all = || catalogue((0..6).map(|day| backup(&day.to_string(), day * DAY, true)));
        let seen = |last, days, least| {
            let plan = plan(&all(), &rules(last, days, least), now());
            assert_eq!(plan.kept.len() + plan.deleted.len(), 6);
            assert_eq!(plan.verify[0].archive, "0.dump");
            kept(&plan).len()
        };
        assert_eq!(seen(Some(2), None, 1), 2);
        // Five days old to the second is not older than five days.
        assert_eq!(seen(None, Some(5), 1), 6);
        assert_eq!(seen(None, Some(4), 1), 5);
        assert_eq!(seen(Some(2), Some(3), 1), 4);
        assert_eq!(seen(Some(4), Some(1), 1), 4);
        assert_eq!(seen(Some(1), None, 3), 3);
        assert_eq!(seen(Some(100), None, 1), 6);
        assert_eq!(seen(Some(0), None, 0), 1, "the newest stays whatever is asked");
    }

    #[test]
    fn when_all_are_old_the_newest_stays_and_says_why() {
        let plan = plan(
            &catalogue([backup("a", 90 * DAY, true), backup("b", 80 * DAY, true)]),
            &rules(None, Some(30), 1),
            now(),
        );
        assert_eq!(plan.kept[0].why, [Why::KeepAtLeast]);
        assert_eq!((kept(&plan), plan.deleted[0].archive.as_str()), (vec!["b.dump"], "a.dump"));
    }

    #[test]
    fn of_equal_times_the_names_decide_and_no_more_stay() {
        let plan = plan(
            &catalogue(["b", "d", "a", "c"].map(|name| backup(name, DAY, true))),
            &rules(Some(2), None, 1),
            now(),
        );
        assert_eq!(kept(&plan), ["d.dump", "c.dump"]);
    }

    #[test]
    fn a_backup_of_the_future_is_kept_and_takes_nobodys_place() {
        let all = [backup("future", -DAY, true), backup("new", -200, true), backup("old", DAY, true)];
        let plan = plan(&catalogue(all), &rules(Some(1), Some(1), 1), now() + SignedDuration::from_secs(1));
        assert_eq!(kept(&plan), ["future.dump", "new.dump"]);
        assert_eq!(plan.kept[0].why, [Why::InTheFuture]);
        assert_eq!(plan.kept[1].why, [Why::KeepLast, Why::KeepWithin], "a clock may be a little ahead");
        assert_eq!(plan.verify[0].archive, "new.dump", "not the one whose time is wrong");
        assert_eq!(plan.deleted[0].archive, "old.dump");
    }

    #[test]
    fn what_has_no_manifest_is_left_alone_unless_it_is_asked_for() {
        let all =
            || catalogue([backup("new", 0, false), backup("ours", DAY, true), backup("old", 2 * DAY, false)]);
        let asked = rules(Some(1), None, 1);
        let left = plan(&all(), &asked, now());
        assert_eq!((kept(&left), left.deleted.len()), (vec!["ours.dump"], 0));
        let taken = plan(&all(), &Rules { foreign: true, ..asked.clone() }, now());
        assert_eq!(kept(&taken), ["new.dump", "ours.dump"]);
        assert_eq!(
            taken.kept[1].why,
            [Why::NewestWithManifest],
            "what is unfinished takes no backup's place"
        );
        let verify: Vec<_> = taken.verify.iter().map(|backup| backup.archive.as_str()).collect();
        assert_eq!(verify, ["new.dump", "ours.dump"]);
        let none = plan(&catalogue([backup("x", DAY, false)]), &asked, now());
        assert_eq!(none, PrunePlan::default());
    }

    fn some() -> impl Strategy<Value = Vec<Backup>> {
        let one = (prop_oneof![-DAY..DAY, Just(0), 0..40 * DAY], prop::bool::weighted(0.8));
        prop::collection::vec(one, 0..40).prop_map(|all| {
            all.into_iter().enumerate().map(|(n, (ago, ours))| backup(&n.to_string(), ago, ours)).collect()
        })
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        let (last, days) = (prop::option::of(0..50_usize), prop::option::of(0..50_u64));
        (last, days, 0..10_usize, any::<bool>())
            .prop_map(|(last, days, least, foreign)| Rules { foreign, ..rules(last, days, least) })
    }

    proptest! {
        #[test]
        fn the_floor_and_the_newest_always_stay(all in some(), rules in any_rules()) {
            let considered = all.iter().filter(|backup| rules.foreign || backup.manifest.is_some()).count();
            let of = catalogue(all.clone());
            let plan = plan(&of, &rules, now());
            prop_assert_eq!(plan.kept.len() + plan.deleted.len(), considered, "each once");
            let trusted = plan.kept.iter().filter(|kept| kept.why != [Why::InTheFuture]).count();
            prop_assert!(trusted >= rules.at_least.max(1).min(trusted + plan.deleted.len()));
            for verify in &plan.verify {
                prop_assert!(plan.kept.iter().any(|kept| kept.archive == verify.archive));
            }
            prop_assert_eq!(plan.verify.is_empty(), considered == 0);
            // Nothing that stays for its age or rank is older than what goes.
            let oldest = plan.kept.iter().filter(|kept| kept.why != [Why::NewestWithManifest]).map(|kept| kept.at).min();
            for gone in &plan.deleted {
                prop_assert!(Some(gone.at) <= oldest);
                prop_assert!(rules.foreign || gone.manifest.is_some());
                prop_assert!(gone.at <= now() + AHEAD);
            }
        }

        #[test]
        fn keep_last_keeps_exactly_the_newest(all in some(), last in 1..50_usize) {
            let (known, of): (Vec<_>, _) = (
                all.iter().filter(|b| b.manifest.is_some() && b.at <= now() + AHEAD).cloned().collect(),
                catalogue(all.clone()),
            );
            let plan = plan(&of, &rules(Some(last), None, 1), now());
            let mut expected = known;
            expected.sort_by(|a, b| (b.at, &b.archive).cmp(&(a.at, &a.archive)));
            expected.truncate(last);
            let expected: Vec<_> = expected.iter().map(|backup| backup.archive.as_str()).collect();
            let seen: Vec<_> = plan.kept.iter().filter(|kept| kept.why != [Why::InTheFuture]).map(|kept| kept.archive.as_str()).collect();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn who_asks_to_keep_more_keeps_all_that_was_kept(all in some(), less in any_rules(), more in (0..9_usize, 0..9_u64, 0..9_usize)) {
            let of = catalogue(all);
            let wider = Rules {
                last: less.last.map(|last| last + more.0),
                within: less.within.map(|within| within + Duration::from_secs(more.1 * 86_400)),
                at_least: less.at_least + more.2,
                foreign: less.foreign,
            };
            let names = |rules| -> BTreeSet<String> { plan(&of, rules, now()).kept.into_iter().map(|kept| kept.archive).collect() };
            prop_assert!(names(&less).is_subset(&names(&wider)));
            let another = Rules { last: less.last.or(Some(3)), within: less.within.or(Some(Duration::from_secs(9))), ..less.clone() };
            prop_assert!(names(&less).is_subset(&names(&another)), "a further rule keeps, and never deletes");
        }
    }
}
