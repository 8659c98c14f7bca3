//! YAML text → a tree with the place of every node → templates filled in → types.
//!
//! A file is parsed once. Each part is deserialised separately, so that all mistakes are reported at once, and a
//! template that is filled in later is still reported at its place.

mod de;
mod node;
mod template;

pub use node::{Kind, Late, Node};
pub use template::{Name, Scope};

use de::Mistake;
use proofmark_model::FORMAT;
use proofmark_model::diag::{Diag, Place, Source, near_miss};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The largest file that is read, in bytes. These files are written by hand.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// One YAML file.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its text and path.
    pub source: Arc<Source>,
    /// Its tree.
    pub root: Node,
}

/// The diagnostic for a path that cannot be read, with a similar path that may have been meant.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Diag {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let beside: Vec<String> = beside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let others = beside.iter().map(String::as_str).filter(|other| *other != name);
    let help = match (error.kind(), near_miss(&name, others)) {
        (std::io::ErrorKind::NotFound, Some(near)) => {
            format!("did you mean `{}`?", path.with_file_name(near).display())
        }
        (std::io::ErrorKind::NotFound, None) => "is the path right, seen from this folder?".to_owned(),
        _ => "may you read it?".to_owned(),
    };
    of_file(path, format!("cannot read it: {error}")).help(help)
}

/// A diagnostic about a whole file.
fn of_file(path: &Path, message: String) -> Diag {
    let source = Arc::new(Source { path: path.display().to_string(), text: String::new() });
    Diag::at(Place { source, line: 0, column: 0 }, "unreadable-file", message)
}

/// Reads a file's text.
///
/// # Errors
/// A file that cannot be opened, is too large, or is not UTF-8.
pub fn text(path: &Path) -> Result<Arc<Source>, Diag> {
    let at = |message: String| of_file(path, message);
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        let help = format!("scenario and environment files may have up to {} MiB", MAX_BYTES / 1024 / 1024);
        return Err(at("the file is too large".into()).help(help));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(Source { path: path.display().to_string(), text })),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = memchr::memchr_iter(b'\n', good).count() + 1;
            Err(at(format!("the file is not UTF-8: line {line} holds a byte that is no text"))
                .help("save it as UTF-8"))
        }
    }
}

/// Parses YAML text into a document.
///
/// # Errors
/// Text that is not YAML, contains a key twice, or expands to more than a person would write (an anchor bomb).
pub fn parse(source: Arc<Source>) -> Result<Document, Diag> {
    match node::read(&source.text) {
        Ok(root) => Ok(Document { source, root }),
        Err(error) => {
            let location = error.location();
            let (line, column) = location.map_or((0, 0), |l| (l.line(), l.column()));
            let (code, message, help) = told(&error);
            Err(Diag::at(Place { source, line, column }, code, message).help(help))
        }
    }
}

/// Parses YAML from other sources into plain values, one for each document of the stream. Booleans are strict here too.
///
/// # Errors
/// Text that is not YAML, contains a key twice, or is an anchor bomb: line and reason, without the text itself.
pub fn values(text: &str) -> Result<Vec<Value>, String> {
    let nodes = node::read_all(text).map_err(|error| {
        let place = error.location().map(|place| format!("line {}: ", place.line())).unwrap_or_default();
        format!("{place}{}", told(&error).1)
    })?;
    nodes.iter().map(|node| node.typed().map_err(|mistake: de::Mistake| mistake.to_string())).collect()
}

/// Explains a YAML error to the author of the file: code, message and advice.
fn told(error: &serde_saphyr::Error) -> (&'static str, String, &'static str) {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::AliasError { error, .. } => told(error),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            ("duplicate-key", format!("the key `{key}` stands here twice"), "keep one of the two")
        }
        Error::MultipleDocuments { .. } => (
            "bad-yaml",
            "the file holds more than one document: `---` begins another".into(),
            "put each into a file of its own",
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "too-much",
            "the file unfolds to more than a person would write".into(),
            "are its anchors (`&a`) and aliases (`*a`) nested? write the values out",
        ),
        other => {
            let message = other.to_string();
            let message = message.lines().next().unwrap_or_default();
            let message = message.split(" at line ").next().unwrap_or_default().trim_end_matches(['.', ' ']);
            let help = if message.contains("tab") {
                "indent with spaces"
            } else if message.contains("recursion limit") {
                "its lists and maps are nested too deep: write it flatter"
            } else {
                "is a quote, a bracket or an indentation wrong here, or just above?"
            };
            ("bad-yaml", message.to_owned(), help)
        }
    }
}

/// A type of file that people write: its name, its keys, and a key that identifies another type.
#[derive(Debug)]
pub struct Form {
    /// For example `a scenario file`.
    pub name: &'static str,
    /// The keys that it may have.
    pub keys: &'static [&'static str],
    /// A key that only another form has, and what to do with such a file.
    pub other: (&'static str, &'static str),
}

impl Document {
    /// Checks that the file has this form, and returns the mistakes in its top-level keys.
    ///
    /// # Errors
    /// A mistake that makes reading the rest pointless.
    pub fn form(&self, form: &Form) -> Result<Vec<Diag>, Diag> {
        let root = &self.root;
        let (foreign, help) = form.other;
        if !matches!(root.kind, Kind::Map(_)) {
            let help = format!("begin it with `proofmark: {FORMAT}`; its keys are {}", form.keys.join(", "));
            return Err(self.diag(root, "wrong-type", format!("{} is a map", form.name)).help(help));
        }
        if let Some((key, _)) = root.entry(foreign).filter(|_| !form.keys.contains(&foreign)) {
            let message = format!("`{foreign}` does not belong into {}", form.name);
            return Err(self.diag(key, "other-file", message).help(help));
        }
        let format = self.format(root);
        if let Some(newer) = format.as_ref().filter(|diag| diag.code == "newer-format") {
            return Err(newer.clone());
        }
        Ok(format.into_iter().chain(self.unknown_keys(root, form.keys)).collect())
    }

    /// A diagnostic at a node.
    pub fn diag(&self, node: &Node, code: &'static str, message: impl Into<String>) -> Diag {
        let place = Place { source: self.source.clone(), line: node.line, column: node.col };
        Diag::at(place, code, message)
    }

    /// Deserialises a node.
    ///
    /// # Errors
    /// The first mistake in the node, at its place.
    pub fn typed<T: DeserializeOwned>(&self, node: &Node) -> Result<T, Diag> {
        node.typed().map_err(|mistake| self.mistaken(mistake))
    }

    /// Reads `name: { settings }` where the name is one of `names`: the place of the name among them, and the
    /// node of its settings.
    ///
    /// # Errors
    /// A node that is not a map of one entry, or another name, at its place.
    pub fn named<'n>(
        &self,
        node: &'n Node,
        names: &'static [&'static str],
    ) -> Result<(usize, &'n Node), Diag> {
        let place = node.name_of(names).map_err(|mistake| self.mistaken(mistake))?;
        let settings = node.entries().first().map_or(node, |(_, settings)| settings);
        Ok((place, settings))
    }

    fn mistaken(&self, mistake: Mistake) -> Diag {
        let place = Place { source: self.source.clone(), line: mistake.line, column: mistake.col };
        Diag { place: Some(place), code: mistake.code, message: mistake.message, help: mistake.help }
    }

    /// Checks that this program can read the file's format version.
    fn format(&self, root: &Node) -> Option<Diag> {
        let Some(node) = root.get("proofmark") else {
            let diag = self.diag(root, "missing-key", "the key `proofmark` is missing");
            return Some(diag.help(format!("begin the file with `proofmark: {FORMAT}`")));
        };
        match node.as_str() {
            Some(FORMAT) => None,
            seen => {
                let newer = seen
                    .and_then(|s| s.strip_prefix('v'))
                    .and_then(|n| n.parse::<u32>().ok())
                    .is_some_and(|n| n > 1);
                let message =
                    format!("this program reads the format `{FORMAT}`, not `{}`", seen.unwrap_or("?"));
                let help = if newer {
                    "the file is newer than the program: upgrade proofmark"
                } else {
                    "write `proofmark: v1`"
                };
                Some(self.diag(node, if newer { "newer-format" } else { "bad-format" }, message).help(help))
            }
        }
    }

    /// A diagnostic for each unknown key of a map.
    pub fn unknown_keys(&self, map: &Node, known: &[&str]) -> Vec<Diag> {
        let unknown = |key: &Node| {
            let word = key.as_str().unwrap_or("?");
            let near = near_miss(word, known.iter().copied());
            let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let diag = self.diag(key, "unknown-key", format!("unknown key `{word}`"));
            diag.help(format!("{near}known here: {}", known.join(", ")))
        };
        let keys = map.entries().iter().map(|(key, _)| key);
        keys.filter(|key| !key.as_str().is_some_and(|word| known.contains(&word))).map(unknown).collect()
    }
}

#[cfg(test)]
mod tests;
