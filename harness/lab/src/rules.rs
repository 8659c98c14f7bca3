//! Files of rules, copied so that a twin can change one rule in them.

use super::LabError;
use super::daemon::write;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The copies.
#[derive(Debug)]
pub(super) struct Rules(Vec<PathBuf>);

impl Rules {
    /// Copies the files into a folder.
    pub(super) async fn copy(files: &[PathBuf], folder: &Path) -> Result<Self, LabError> {
        let mut copies = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let copy = folder.join(format!("rules-{number}.yml"));
            write(&copy, &read(file).await?).await?;
            copies.push(copy);
        }
        Ok(Self(copies))
    }

    /// Where they are.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.0
    }

    /// Gives every rule of this name another expression, or removes it.
    pub(super) async fn change(&self, name: &str, becomes: Option<&str>) -> Result<(), LabError> {
        let mut found = false;
        for file in &self.0 {
            let mut tree: Value = serde_saphyr::from_str(&read(file).await?)
                .map_err(|error| LabError::Wrong(format!("{}: {error}", file.display())))?;
            for rules in lists(&mut tree) {
                let named = |rule: &Value| rule["alert"] == name || rule["record"] == name;
                found |= rules.iter().any(named);
                match becomes {
                    None => rules.retain(|rule| !named(rule)),
                    Some(expression) => {
                        for rule in rules.iter_mut().filter(|rule| named(rule)) {
                            rule["expr"] = expression.into();
                        }
                    }
                }
            }
            // JSON is YAML too.
            write(file, &tree.to_string()).await?;
        }
        if found { Ok(()) } else { Err(LabError::Wrong(format!("this world has no rule {name}"))) }
    }
}

/// The list of rules of each group.
fn lists(tree: &mut Value) -> impl Iterator<Item = &mut Vec<Value>> {
    let groups = tree["groups"].as_array_mut().into_iter().flatten();
    groups.filter_map(|group| group["rules"].as_array_mut())
}

async fn read(path: &Path) -> Result<String, LabError> {
    tokio::fs::read_to_string(path).await.map_err(LabError::io(format!("reading {}", path.display())))
}
