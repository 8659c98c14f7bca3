//! Paths on the command line → scenario files and their ids.

use proofmark_environment::document::unreadable;
use proofmark_model::diag::Diag;
use std::collections::{BTreeSet, VecDeque};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

/// A scenario file and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The path, as it was reached from the command line.
    pub path: PathBuf,
    /// The path below the nearest folder `scenarios`; without one, below the folder that was named, or the stem.
    pub id: String,
    /// The folder to which ids are relative.
    pub root: PathBuf,
}

/// Every scenario file that the paths name, and the paths that do not exist or cannot be read.
pub fn find(paths: &[PathBuf]) -> (Vec<Found>, Vec<Diag>) {
    let (mut found, mut wrong) = (BTreeSet::new(), vec![]);
    for path in paths {
        let missing = |error: std::io::Error| unreadable(path, &error);
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => match walk(path) {
                Ok(files) => found.extend(files.into_iter().map(|file| identify(file, Some(path)))),
                Err(error) => wrong.push(missing(error)),
            },
            Ok(_) => drop(found.insert(identify(path.clone(), None))),
            Err(error) => wrong.push(missing(error)),
        }
    }
    (found.into_iter().collect(), wrong)
}

/// The file of a scenario that another one needs, in the same root.
pub(super) fn needed(root: &Path, id: &str) -> Option<Found> {
    let file = ["yaml", "yml"]
        .iter()
        .map(|ending| root.join(format!("{id}.{ending}")))
        .find(|path| path.is_file())?;
    Some(Found { path: file, id: id.to_owned(), root: root.to_owned() })
}

/// Every scenario file below a folder. Each real folder is visited once, if possible by a path without links, because a
/// link may lead to one of its own parents.
fn walk(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut files, mut seen) = (vec![], BTreeSet::new());
    let mut links = VecDeque::from([folder.to_owned()]);
    while let Some(link) = links.pop_front() {
        let mut folders = vec![link];
        while let Some(folder) = folders.pop() {
            if !seen.insert(folder.canonicalize()?) {
                continue;
            }
            let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_cached_key(DirEntry::file_name);
            for entry in entries {
                let path = entry.path();
                if path.is_dir() && entry.file_type()?.is_symlink() {
                    links.push_back(path);
                } else if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                    files.push(path);
                }
            }
        }
    }
    Ok(files)
}

fn identify(path: PathBuf, named: Option<&Path>) -> Found {
    // The nearest folder `scenarios` may be above the working directory.
    let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let above =
        whole.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "scenarios"));
    let named = named.and_then(|folder| std::path::absolute(folder).ok());
    let parent = whole.parent().unwrap_or(Path::new("")).to_owned();
    let root = above.map(Path::to_owned).or(named).unwrap_or(parent);
    let below = whole.strip_prefix(&root).unwrap_or(&whole).with_extension("");
    let id = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    Found { path, id, root }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes the files that it looks for")]
    fn a_folder_is_looked_at_once_however_many_links_lead_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("scenarios");
        let elsewhere = folder.path().join("elsewhere");
        for (folder, file) in
            [(top.join("a"), "x.yaml"), (top.join("b"), "y.yml"), (elsewhere.clone(), "z.yaml")]
        {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(file), "").unwrap();
        }
        // Links to the folder itself, above it, to a neighbour that is visited later, to another place, and to nothing.
        for (to, link) in
            [(".", "self"), ("../..", "a/up"), ("../b", "a/b"), ("../elsewhere", "c"), ("none", "d")]
        {
            symlink(to, top.join(link)).unwrap();
        }
        let (found, wrong) = find(std::slice::from_ref(&top));
        let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
        assert_eq!((ids, wrong), (vec!["a/x", "b/y", "c/z"], vec![]));
    }
}
