//! Holds what was restored against what the manifest says was there. Pure.

use proofmark_postgres::client::{Picture, Sequence, Table, TablePicture};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How the two compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// Every table of either side, sorted by schema and name.
    pub tables: Vec<TablePair>,
    /// Objects of the schema that are missing, changed, or too many.
    pub schema: Vec<Difference>,
    /// How many objects of the schema were compared.
    pub objects: usize,
    /// Sequences that stand elsewhere.
    pub sequences: Vec<Difference>,
    /// Sequences whose next value is in use already, and were not at the source.
    pub sequences_behind: Vec<String>,
    /// Large objects: what was there and what came back; `null` where one side could not be read.
    pub large_objects: Option<Pair>,
    /// Indexes that came back invalid.
    pub invalid_indexes: Vec<String>,
    /// Constraints that are validated at the source and not here.
    pub unvalidated: Vec<String>,
}

/// A table on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TablePair {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows in the backup; `null`: the backup has no such table.
    pub expected: Option<u64>,
    /// Rows that came back; `null`: no such table came back.
    pub rows: Option<u64>,
    /// Is every row the same? `null` where that could not be said.
    pub same: Option<bool>,
}

/// Numbers of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Pair {
    /// In the backup.
    pub expected: u64,
    /// Here.
    pub restored: u64,
    /// Is every one the same? `null` where that could not be said.
    pub same: Option<bool>,
}

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// What it is: `index`, `constraint`, `sequence`, …
    pub class: String,
    /// Its name, as SQL writes it.
    pub name: String,
    /// What it is there, or `nothing`.
    pub expected: String,
    /// What it is here.
    pub seen: String,
}

/// How far to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Tables and their rows.
    Counts,
    /// Contents, schema and sequences too.
    Contents {
        /// Were both sides hashed by the same method?
        hashes: bool,
    },
}

impl Comparison {
    /// Was all of it compared, down to the rows, and is every part the same?
    pub fn is_same(&self) -> bool {
        let same = |pair: &TablePair| pair.expected == pair.rows && pair.same == Some(true);
        let alike =
            |pair: &Pair| pair.expected == pair.restored && (pair.same == Some(true) || pair.expected == 0);
        let differences = self.schema.len() + self.sequences.len() + self.sequences_behind.len();
        let invalid = self.invalid_indexes.len() + self.unvalidated.len();
        differences + invalid == 0
            && self.objects > 0
            && self.tables.iter().all(same)
            && self.large_objects.as_ref().is_some_and(alike)
    }
}

/// Compares. The picture of the backup has the sequences of its archive.
pub fn compare(backup: &Picture, restored: &Picture, depth: Depth) -> Comparison {
    let mut out =
        Comparison { tables: tables(&backup.tables, &restored.tables, depth), ..Comparison::default() };
    let Depth::Contents { hashes } = depth else { return out };
    (out.schema, out.objects) = schema(&backup.schema, &restored.schema);
    out.sequences = sequences(&backup.sequences, &restored.sequences);
    out.sequences_behind = beyond(&restored.sequences_behind, &backup.sequences_behind);
    out.large_objects = backup
        .large_objects
        .as_ref()
        .zip(restored.large_objects.as_ref())
        .map(|(a, b)| Pair { expected: a.rows, restored: b.rows, same: hashes.then(|| a == b) });
    // What was invalid there is not in the dump; what was not validated stays so.
    out.invalid_indexes.clone_from(&restored.invalid_indexes);
    out.unvalidated = beyond(&restored.unvalidated, &backup.unvalidated);
    out
}

fn tables(backup: &[TablePicture], restored: &[TablePicture], depth: Depth) -> Vec<TablePair> {
    let by_name = |tables: &[TablePicture]| -> BTreeMap<(String, String), TablePicture> {
        tables.iter().map(|table| ((table.schema.clone(), table.name.clone()), table.clone())).collect()
    };
    let (backup, restored) = (by_name(backup), by_name(restored));
    let names: BTreeSet<_> = backup.keys().chain(restored.keys()).cloned().collect();
    let pair = |(schema, name): (String, String)| {
        let key = (schema, name);
        let (a, b) = (backup.get(&key), restored.get(&key));
        let hashes = depth == Depth::Contents { hashes: true };
        let same = a.zip(b).filter(|_| hashes).map(|(a, b)| a == b);
        let (schema, name) = key;
        TablePair { schema, name, expected: a.map(|table| table.rows), rows: b.map(|table| table.rows), same }
    };
    names.into_iter().map(pair).collect()
}

/// Every table of either side with its rows, sorted by schema and name; the first is what is expected.
pub fn rows(expected: &[Table], seen: &[Table]) -> Vec<TablePair> {
    let pictures = |tables: &[Table]| -> Vec<TablePicture> {
        let of = |table: &Table| {
            let Table { schema, name, rows } = table.clone();
            TablePicture { schema, name, rows, hash: String::new(), extension: None }
        };
        tables.iter().map(of).collect()
    };
    tables(&pictures(expected), &pictures(seen), Depth::Counts)
}

type Objects = BTreeMap<String, BTreeMap<String, String>>;

fn schema(backup: &Objects, restored: &Objects) -> (Vec<Difference>, usize) {
    let flat = |objects: &Objects| -> BTreeMap<(String, String), String> {
        let each = |(class, names): (&String, &BTreeMap<String, String>)| {
            let class = class.clone();
            names
                .iter()
                .map(move |(name, md5)| ((class.clone(), name.clone()), md5.clone()))
                .collect::<Vec<_>>()
        };
        objects.iter().flat_map(each).collect()
    };
    let (backup, restored) = (flat(backup), flat(restored));
    let words = |md5: Option<&String>| {
        md5.map_or_else(|| "nothing".to_owned(), |md5| format!("a definition of MD5 {md5}"))
    };
    let keys: BTreeSet<_> = backup.keys().chain(restored.keys()).collect();
    let differing = keys.into_iter().filter(|key| backup.get(*key) != restored.get(*key));
    let differences = differing.map(|key| Difference {
        class: key.0.clone(),
        name: key.1.clone(),
        expected: words(backup.get(key)),
        seen: words(restored.get(key)),
    });
    (differences.collect(), backup.len())
}

fn sequences(backup: &[Sequence], restored: &[Sequence]) -> Vec<Difference> {
    let by_name = |list: &[Sequence]| -> BTreeMap<String, String> {
        let words = |one: &Sequence| {
            let called = if one.is_called { "given" } else { "not given yet" };
            (format!("{}.{}", one.schema, one.name), format!("{} {called}", one.last_value))
        };
        list.iter().map(words).collect()
    };
    let (backup, restored) = (by_name(backup), by_name(restored));
    let differing = backup.iter().filter(|(name, at)| restored.get(*name) != Some(at));
    let nothing = || "nothing".to_owned();
    differing
        .map(|(name, at)| Difference {
            class: "sequence".into(),
            name: name.clone(),
            expected: at.clone(),
            seen: restored.get(name).cloned().unwrap_or_else(nothing),
        })
        .collect()
}

fn beyond(these: &[String], those: &[String]) -> Vec<String> {
    these.iter().filter(|one| !those.contains(one)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_postgres::client::Hashed;

    fn table(name: &str, rows: u64, hash: &str) -> TablePicture {
        TablePicture { schema: "public".into(), name: name.into(), rows, hash: hash.into(), extension: None }
    }

    fn sequence(last_value: i64, is_called: bool) -> Sequence {
        Sequence { schema: "public".into(), name: "s".into(), last_value, is_called }
    }

    fn picture() -> Picture {
        let class = |name: &str, md5: &str| BTreeMap::from([(name.to_owned(), md5.to_owned())]);
        Picture {
            tables: vec![table("a", 2, "17"), table("b", 0, "0")],
            large_objects: Some(Hashed { rows: 1, hash: "5".into() }),
            sequences: vec![sequence(7, true)],
            schema: BTreeMap::from([("index".to_owned(), class("public.a_pkey", "abc"))]),
            sequences_behind: vec!["public.old".into()],
            unvalidated: vec!["public.a.old".into()],
            ..Picture::default()
        }
    }

    const FULL: Depth = Depth::Contents { hashes: true };

    /// Each change, and what then is seen of it.
    #[test]
    fn every_kind_of_difference_is_seen_and_only_it() {
        let clean = compare(&picture(), &picture(), FULL);
        let sound = |all: &Comparison| all.tables.iter().all(|table| table.same == Some(true));
        assert!(sound(&clean) && clean.schema.is_empty() && clean.sequences.is_empty(), "{clean:?}");
        assert!(clean.is_same());
        assert!(clean.sequences_behind.is_empty() && clean.unvalidated.is_empty(), "{clean:?}");

        let changed = |change: fn(&mut Picture)| {
            let mut restored = picture();
            change(&mut restored);
            let seen = compare(&picture(), &restored, FULL);
            assert!(!seen.is_same(), "{seen:?}");
            seen
        };
        let seen = changed(|it| it.tables[0] = table("a", 2, "18"));
        assert_eq!(
            (seen.tables[0].rows, seen.tables[0].same),
            (Some(2), Some(false)),
            "a row changed, none lost"
        );
        assert_eq!(changed(|it| drop(it.tables.pop())).tables[1].rows, None, "a table is missing");
        let seen = changed(|it| it.tables.push(table("z", 0, "0")));
        assert_eq!((seen.tables[2].expected, seen.tables[2].rows), (None, Some(0)), "a table too many");
        let seen = changed(|it| it.schema.clear());
        assert_eq!(
            (seen.schema[0].name.as_str(), seen.schema[0].seen.as_str()),
            ("public.a_pkey", "nothing")
        );
        let seen = changed(|it| it.sequences = vec![sequence(6, true)]);
        assert_eq!(
            (seen.sequences[0].expected.as_str(), seen.sequences[0].seen.as_str()),
            ("7 given", "6 given")
        );
        assert_eq!(changed(|it| it.sequences = vec![sequence(7, false)]).sequences.len(), 1);
        assert_eq!(changed(|it| it.sequences.clear()).sequences[0].seen, "nothing");
        assert_eq!(changed(|it| it.sequences_behind.push("public.s".into())).sequences_behind, ["public.s"]);
        assert_eq!(changed(|it| it.unvalidated.push("public.a.new".into())).unvalidated, ["public.a.new"]);
        assert_eq!(changed(|it| it.invalid_indexes.push("x".into())).invalid_indexes, ["x"]);
        let seen = changed(|it| it.large_objects = Some(Hashed { rows: 1, hash: "6".into() }));
        assert_eq!(seen.large_objects.and_then(|pair| pair.same), Some(false));
        assert_eq!(changed(|it| it.large_objects = None).large_objects, None);
    }

    #[test]
    fn what_was_not_looked_at_is_not_called_the_same() {
        let counts = compare(&picture(), &picture(), Depth::Counts);
        assert!(counts.tables.iter().all(|table| table.same.is_none()));
        assert_eq!(counts.large_objects, None);
        let other = compare(&picture(), &picture(), Depth::Contents { hashes: false });
        assert!(other.tables.iter().all(|table| table.same.is_none()));
        assert!(!counts.is_same() && !other.is_same());
        assert_eq!(other.large_objects.and_then(|pair| pair.same), None);
    }
}
