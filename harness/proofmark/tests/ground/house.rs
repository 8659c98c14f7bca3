//! The sources of the workspace: its crates in the order in which Cargo.toml lists them, lowest first.

#![expect(clippy::unwrap_used, reason = "a test reads the source tree")]

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate of the product.
pub struct Crate {
    /// As its package is called: `proofmark-model`.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

impl Crate {
    /// Each file of its sources, with its text.
    pub fn sources(&self) -> Vec<(PathBuf, String)> {
        let mut out = vec![];
        walk(&self.folder.join("src"), &mut out);
        assert!(!out.is_empty(), "{} has sources", self.name);
        out
    }

    /// The crates of the product that it depends on, tests left out.
    pub fn depends_on(&self) -> Vec<String> {
        let manifest = fs::read_to_string(self.folder.join("Cargo.toml")).unwrap();
        let list =
            manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default().split("\n[").next().unwrap();
        let names = list.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        names.filter(|name| name.starts_with("proofmark")).map(str::to_owned).collect()
    }
}

fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The crates of the product, lowest first: the members of the workspace below `harness/`.
pub fn crates() -> Vec<Crate> {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    let folders = members.split('"').filter(|part| part.starts_with("harness/")).map(|part| top().join(part));
    let name = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        manifest.split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let all: Vec<Crate> = folders.map(|folder| Crate { name: name(&folder), folder }).collect();
    assert!(all.len() >= 13, "the crates were found");
    all
}

/// Whether a file is there for tests only.
pub fn is_test(path: &Path) -> bool {
    let parts = path.strip_prefix(top()).unwrap().components();
    let mut names = parts.map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned());
    names.any(|name| matches!(&*name, "tests" | "sample" | "testing" | "judgements" | "features"))
}

/// The sources of all crates without what is there for tests, by their paths below the workspace.
pub fn product() -> Vec<(String, String)> {
    let all = crates().into_iter().flat_map(|of| of.sources()).filter(|(path, _)| !is_test(path));
    let code = |text: &str| text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    all.map(|(path, text)| (path.strip_prefix(top()).unwrap().display().to_string(), code(&text))).collect()
}
