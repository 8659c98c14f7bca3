//! How the code speaks: words that say less than they seem to are counted, in comments and texts of the product, against a
//! budget that only falls; and types that share a name with another likewise.

use crate::ground::house::product;
use regex::Regex;
use std::collections::BTreeMap;

/// What is counted, and how often it may still occur. A number is only ever lowered.
const BUDGET: [(&str, usize); 7] = [
    (r"\b(stands?|stood)\b", 101),
    (r"\btold\b", 153),
    (r"\b(whoever|nobody|somebody)\b", 83),
    (r"\bis no [a-z]", 156),
    (r"\bso (many|much)\b", 41),
    (r"\banew\b", 1),
    (r"\bbehind\b", 48),
];

#[test]
fn words_that_say_little_become_fewer() {
    let texts = product();
    for (pattern, most) in BUDGET {
        let pattern = Regex::new(&format!("(?i){pattern}")).unwrap();
        let count: usize = texts.iter().map(|(_, text)| pattern.find_iter(text).count()).sum();
        assert!(
            count <= most,
            "`{pattern}` occurs {count} times, at most {most} are allowed; say it plainly"
        );
    }
}

/// Types whose name another type has too. Lowered only.
const SHARED: usize = 231;

#[test]
fn types_with_the_name_of_another_become_fewer() {
    let declared =
        Regex::new(r"(?m)^\s*(?:pub(?:\([a-z: ]+\))? )?(?:struct|enum|trait|type) ([A-Z]\w*)").unwrap();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (_, text) in product() {
        // Associated types are declared inside an implementation, by a name that the trait gives.
        let free = text.lines().filter(|line| !line.starts_with("    type "));
        for line in free {
            if let Some(found) = declared.captures(line) {
                *names.entry(found[1].to_owned()).or_default() += 1;
            }
        }
    }
    assert!(names.len() > 400, "{} types were found", names.len());
    let shared: usize = names.values().filter(|count| **count > 1).sum();
    let worst: Vec<_> = names.iter().filter(|(_, count)| **count > 3).collect();
    assert!(shared <= SHARED, "{shared} types share a name, at most {SHARED} may; the most: {worst:?}");
}
