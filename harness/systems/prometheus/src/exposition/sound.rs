//! Finds contradictions within a family: the same series twice, buckets that decrease, a counter below zero.

use super::{Family, NAME, Problem, Sample};
use std::collections::BTreeMap;

pub(super) fn problems(family: &Family) -> Vec<Problem> {
    let mut out = vec![];
    let mut say = |what: String| out.push(Problem { of: family.name.clone(), what });
    for pair in family.samples.windows(2) {
        if pair[0].labels == pair[1].labels && pair[0].at == pair[1].at {
            say(format!("the series {} is there twice", series(&pair[0].labels)));
        }
    }
    if family.kind == "counter" {
        let below = family.samples.iter().find(|sample| float(sample).is_some_and(|v| v < 0.0));
        if let Some(sample) = below {
            say(format!("the counter {} is below zero", series(&sample.labels)));
        }
    }
    if family.kind == "histogram" {
        histogram(family).into_iter().for_each(say);
    }
    out
}

/// The buckets and the count of one series, and whether it has a sum.
#[derive(Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: bool,
}

fn histogram(family: &Family) -> Vec<String> {
    let mut series_of = BTreeMap::<BTreeMap<&str, &str>, Parts>::new();
    let mut wrong = vec![];
    for sample in &family.samples {
        let ending = sample.labels[NAME].strip_prefix(&family.name).unwrap_or_default();
        let own =
            sample.labels.iter().filter(|(key, _)| *key != NAME && (*key != "le" || ending != "_bucket"));
        let parts = series_of.entry(own.map(|(k, v)| (k.as_str(), v.as_str())).collect()).or_default();
        match (ending, sample.labels.get("le").and_then(|le| le.parse().ok()), float(sample)) {
            ("_bucket", Some(le), Some(value)) => parts.buckets.push((le, value)),
            ("_bucket", None, _) => {
                wrong.push(format!("the bucket {} has no bound `le`", series(&sample.labels)));
            }
            ("_count", _, value) => parts.count = value,
            ("_sum", ..) => parts.sum = true,
            _ => {}
        }
    }
    for (labels, mut parts) in series_of {
        parts.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of = format!("{labels:?}");
        let last = parts.buckets.last().copied();
        match last {
            Some((le, _)) if le == f64::INFINITY => {}
            _ => wrong.push(format!("the histogram {of} has no bucket `+Inf`")),
        }
        if parts.buckets.windows(2).any(|pair| pair[1].1 < pair[0].1) {
            wrong.push(format!("the buckets of the histogram {of} shrink as their bounds grow"));
        }
        if let (Some((_, all)), Some(count)) = (last, parts.count)
            && (all - count).abs() > 0.0
        {
            wrong.push(format!("the histogram {of} counts {count}, but its last bucket holds {all}"));
        }
        if parts.count.is_none() || !parts.sum {
            wrong.push(format!("the histogram {of} has no `_count` or no `_sum`"));
        }
    }
    wrong
}

fn float(sample: &Sample) -> Option<f64> {
    sample.value.0.as_f64()
}

/// Formats a series as in the text.
fn series(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> =
        labels.iter().filter(|(key, _)| *key != NAME).map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{}{{{}}}", labels.get(NAME).map_or("", String::as_str), pairs.join(","))
}
