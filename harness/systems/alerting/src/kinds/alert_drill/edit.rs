//! Edits the text of a rule file for a drill. The file is not reformatted: a piece is inserted or one expression is
//! replaced, and the result is parsed again to check that it contains the change and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The label that marks what a drill adds. Its value is the run's id.
pub(super) const MARK: &str = "proofmark";

/// An expression that never gives anything, so that an alert with it resolves.
pub(super) const NEVER: &str = "vector(0) > 1";

/// A range of bytes of a text, and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Edit {
    from: usize,
    to: usize,
    pub(super) text: String,
}

impl Edit {
    /// Returns the text with this edit applied.
    pub(super) fn of(&self, original: &str) -> String {
        let (before, after) = (original.get(..self.from), original.get(self.to..));
        format!("{}{}{}", before.unwrap_or_default(), self.text, after.unwrap_or_default())
    }
}

/// A rule file as a tree, and the one rule in it that the drill concerns.
#[derive(Debug)]
pub(super) struct Found {
    tree: Value,
    group: usize,
    rule: usize,
}

/// Finds the alert of this name with these labels.
pub(super) fn find(text: &str, alert: &str, labels: &BTreeMap<String, String>) -> Result<Found, String> {
    let tree = read(text)?;
    let is_it = |rule: &Value| {
        let has = |(key, value): (&String, &String)| rule["labels"][key] == **value;
        rule["alert"] == alert && labels.iter().all(has) && rule["labels"].get(MARK).is_none()
    };
    let groups = tree["groups"].as_array().ok_or("it has no list `groups`")?;
    let mut found = vec![];
    for (group, rules) in groups.iter().enumerate() {
        let rules = rules["rules"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate();
        found.extend(rules.filter(|(_, rule)| is_it(rule)).map(|(rule, _)| (group, rule)));
    }
    match found[..] {
        [(group, rule)] => Ok(Found { tree, group, rule }),
        [] => Err(format!("it has no alert `{alert}`")),
        _ => Err(format!("it has {} alerts `{alert}`; say which one with `labels`", found.len())),
    }
}

impl Found {
    /// Returns the rule's expression, as in the file.
    pub(super) fn expr(&self) -> String {
        match &self.rule()["expr"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn rule(&self) -> &Value {
        &self.tree["groups"][self.group]["rules"][self.rule]
    }

    /// Returns the file with one more group at its end, which holds a marked clone of the rule with this expression;
    /// and the same with a clone that is never true.
    pub(super) fn cloned(
        &self,
        text: &str,
        mark: &str,
        (expr, pending): (&str, Option<&str>),
    ) -> Result<(Edit, Edit), String> {
        let mut rule = self.rule().clone();
        if !rule["labels"].is_object() {
            rule["labels"] = json!({});
        }
        rule["labels"][MARK] = mark.into();
        rule["expr"] = expr.into();
        if let Some(pending) = pending {
            rule["for"] = pending.into();
        }
        let armed = self.appended(text, mark, &rule)?;
        // With it the alert would keep firing although its expression is false.
        rule.as_object_mut().map(|rule| rule.remove("keep_firing_for"));
        rule["expr"] = NEVER.into();
        Ok((armed, self.appended(text, mark, &rule)?))
    }

    fn appended(&self, text: &str, mark: &str, rule: &Value) -> Result<Edit, String> {
        let mut group = self.tree["groups"][self.group].clone();
        group["name"] = format!("{MARK}-{mark}").into();
        group["rules"] = json!([rule]);
        let mut wanted = self.tree.clone();
        wanted["groups"].as_array_mut().ok_or("it has no list `groups`")?.push(group.clone());
        let break_before = if text.ends_with('\n') { "" } else { "\n" };
        let entry = |line: &str| line.find("- ").filter(|at| line[..*at].trim().is_empty());
        let mut indents: Vec<usize> = text.lines().filter_map(entry).collect();
        indents.sort_unstable();
        indents.dedup();
        let blocks = indents.into_iter().map(|indent| {
            let line = format!("{break_before}{}- {group}\n", " ".repeat(indent));
            Edit { from: text.len(), to: text.len(), text: line }
        });
        // The groups are a list in brackets, as in JSON.
        let bracket = text.rfind(']').map(|at| Edit { from: at, to: at, text: format!(", {group}") });
        let tried = blocks.chain(bracket);
        tried.into_iter().find(|edit| read(&edit.of(text)).is_ok_and(|tree| tree == wanted)).ok_or_else(|| {
            "no group can be added at its end: its `groups` is neither a list with dashes that goes on to the end of the file nor one in brackets".into()
        })
    }

    /// Returns the file with another expression in the rule itself.
    pub(super) fn changed(&self, text: &str, expr: &str, pending: Option<&str>) -> Edit {
        let mut wanted = self.tree.clone();
        let rule = &mut wanted["groups"][self.group]["rules"][self.rule];
        rule["expr"] = expr.into();
        if let Some(pending) = pending {
            rule["for"] = pending.into();
        }
        let (old, before) = (self.expr(), self.rule()["for"].as_str().map(str::to_owned));
        let fits = |edit: &Edit| read(&edit.of(text)).is_ok_and(|tree| tree == wanted);
        let places = text.match_indices(old.trim()).map(|(at, found)| (at, at + found.len()));
        let tried = places.flat_map(|place| match (pending, &before) {
            (None, _) => vec![Edit { from: place.0, to: place.1, text: expr.into() }],
            (Some(pending), None) => added(text, place, (expr, pending)),
            (Some(pending), Some(old)) => both(text, place, (expr, pending), old),
        });
        // JSON is YAML too. The comments return when the original is restored.
        let whole = || Edit { from: 0, to: text.len(), text: format!("{wanted}\n") };
        tried.into_iter().find(fits).unwrap_or_else(whole)
    }
}

/// Replaces the expression and adds `for` after it: within braces, or on a line of its own below the key.
fn added(text: &str, (from, to): (usize, usize), (expr, pending): (&str, &str)) -> Vec<Edit> {
    let line = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let indent = text[line..from].chars().take_while(|c| matches!(c, ' ' | '-')).count();
    let lines = format!("{expr}\n{}for: {pending}", " ".repeat(indent));
    [format!("{expr}, for: {pending}"), lines].map(|text| Edit { from, to, text }).into()
}

/// Replaces the expression and `for`, which may be before or after the expression.
fn both(text: &str, (from, to): (usize, usize), (expr, pending): (&str, &str), old: &str) -> Vec<Edit> {
    let behind = text[to..].match_indices(old).map(|(at, _)| Edit {
        from,
        to: to + at + old.len(),
        text: format!("{expr}{}{pending}", &text[to..to + at]),
    });
    let ahead = text[..from].match_indices(old).map(|(at, _)| Edit {
        from: at,
        to,
        text: format!("{pending}{}{expr}", &text[at + old.len()..from]),
    });
    behind.chain(ahead).collect()
}

/// Returns a text that someone else has changed meanwhile, without the one of these pieces that it contains. `None` if
/// the piece cannot be removed without touching anything else.
pub(super) fn without(text: &str, pieces: &[&str], mark: &str) -> Option<String> {
    let tree = read(text).ok()?;
    let ours = |group: &Value| group["name"] == format!("{MARK}-{mark}");
    let mut wanted = tree.clone();
    wanted["groups"].as_array_mut()?.retain(|group| !ours(group));
    let piece = pieces
        .iter()
        .map(|piece| piece.trim_start_matches('\n'))
        .find(|piece| text.matches(piece).count() == 1)?;
    let rest = text.replacen(piece, "", 1);
    (tree != wanted && read(&rest).ok()? == wanted).then_some(rest)
}

/// Returns whether this text contains anything of the drill.
pub(super) fn has_mark(text: &str, mark: &str) -> bool {
    text.contains(mark)
}

/// Parses YAML so that `yes` and `on` are texts, as Prometheus reads them where it expects a text.
fn read(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "# ours\ngroups:\n  - name: a\n    interval: 5s\n    rules:\n      - alert: High # it is\n        expr: x > 85\n        for: 30m\n        labels: { severity: yes }\n        annotations: { summary: \"é {{ $value }}\" }\n      - alert: Low\n        expr: x > 85\n# the end";

    fn high(text: &str) -> Found {
        find(text, "High", &BTreeMap::new()).unwrap()
    }

    #[test]
    fn a_clone_stands_at_the_end_and_nothing_else_is_touched() {
        let flow =
            "{\"groups\": [{\"name\": \"a\", \"rules\": [{\"alert\": \"High\", \"expr\": \"x > 85\"}]}]}";
        let zero = "groups:\n- name: a\n  rules:\n  - alert: High\n    expr: |\n      x\n      > 85\n";
        for text in [BLOCK, flow, zero] {
            let (armed, never) = high(text).cloned(text, "run-1", ("x > 0", Some("0s"))).unwrap();
            let after = read(&armed.of(text)).unwrap();
            let (old, groups) = (read(text).unwrap(), after["groups"].as_array().unwrap());
            assert_eq!(groups.len(), 2);
            assert_eq!(groups[0], old["groups"][0]);
            let rule = &groups[1]["rules"][0];
            assert_eq!(
                (&rule["expr"], &rule["for"], &rule["labels"][MARK]),
                (&json!("x > 0"), &json!("0s"), &json!("run-1"))
            );
            assert_eq!(
                (&groups[1]["interval"], &groups[1]["name"]),
                (&old["groups"][0]["interval"], &json!("proofmark-run-1"))
            );
            assert_eq!(rule["annotations"], old["groups"][0]["rules"][0]["annotations"]);
            assert_eq!(read(&never.of(text)).unwrap()["groups"][1]["rules"][0]["expr"], NEVER);
            if text == BLOCK {
                assert!(armed.of(text).starts_with(text));
                assert_eq!(rule["labels"]["severity"], "yes");
            }
        }
    }

    #[test]
    fn the_rule_itself_is_changed_where_it_stands() {
        let edit = high(BLOCK).changed(BLOCK, "x > 0", None);
        assert_eq!(edit.of(BLOCK), BLOCK.replacen("x > 85", "x > 0", 1));
        let edit = high(BLOCK).changed(BLOCK, "x > 0", Some("1s"));
        assert_eq!(edit.of(BLOCK), BLOCK.replacen("x > 85", "x > 0", 1).replace("30m", "1s"));
        let low = find(BLOCK, "Low", &BTreeMap::new()).unwrap().changed(BLOCK, "x > 0", Some("1s"));
        assert_eq!(
            low.of(BLOCK),
            BLOCK.replace("Low\n        expr: x > 85", "Low\n        expr: x > 0\n        for: 1s")
        );
        let flow = "groups: [{ name: a, rules: [{ alert: High, expr: x > 85 }] }]";
        assert_eq!(
            high(flow).changed(flow, "x > 0", Some("1s")).of(flow),
            flow.replace("> 85", "> 0, for: 1s")
        );
        // What cannot be changed in place is rewritten as a whole.
        let odd = high(BLOCK).changed(BLOCK, "x{a=\": #\"} > 0", Some("1s")).of(BLOCK);
        let rules = &read(&odd).unwrap()["groups"][0]["rules"];
        assert_eq!((&rules[0]["expr"], &rules[0]["for"]), (&json!("x{a=\": #\"} > 0"), &json!("1s")));
        assert_eq!(rules[1]["expr"], "x > 85");
    }

    #[test]
    fn which_rule_is_meant_has_to_be_clear() {
        let two = format!(
            "{BLOCK}\n  - name: b\n    rules: [{{ alert: High, expr: y > 1, labels: {{ severity: no }} }}]\n"
        );
        assert!(find(&two, "High", &BTreeMap::new()).unwrap_err().contains("2 alerts"));
        let labels = BTreeMap::from([("severity".to_owned(), "no".to_owned())]);
        assert_eq!(find(&two, "High", &labels).unwrap().expr(), "y > 1");
        assert!(find(&two, "None", &labels).is_err() && find("groups: [", "High", &labels).is_err());
        assert!(find("[]", "High", &labels).unwrap_err().contains("groups"));
    }

    #[test]
    fn only_our_piece_is_taken_out_of_a_file_that_someone_else_changed() {
        let (armed, never) = high(BLOCK).cloned(BLOCK, "run-1", ("x > 0", None)).unwrap();
        let pieces = [armed.text.as_str(), never.text.as_str()];
        for ours in [&armed, &never] {
            let changed = ours.of(BLOCK).replace("alert: Low", "alert: Lower");
            let rest = without(&changed, &pieces, "run-1").unwrap();
            assert_eq!(rest.trim_end(), BLOCK.replace("alert: Low", "alert: Lower").trim_end());
            let broken = ours.of(BLOCK).replace("\"name\":", "\"name\" :");
            assert_eq!(without(&broken, &pieces, "run-1"), None, "it is not as we wrote it");
        }
        assert_eq!(without(BLOCK, &pieces, "run-1"), None);
    }
}
