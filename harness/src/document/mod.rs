//! YAML text → a tree that knows where everything stands, templates filled in, read into types.
//!
//! A file is read once. Every part of it is typed on its own, so that all mistakes show at once, and a template that
//! is filled in late is still reported at its place.

mod de;
mod node;
mod template;

pub use node::{Kind, Late, Node};
pub use template::{Name, Scope};

use crate::diag::{Diag, Place, Source, near_miss};
use crate::model::FORMAT;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The largest file that is read, in bytes: people write these files by hand.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// One YAML file.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its text and path.
    pub source: Arc<Source>,
    /// Its tree.
    pub root: Node,
}

/// Reads a file's text.
///
/// # Errors
/// A file that cannot be opened, is too large, or is not UTF-8.
pub fn text(path: &Path) -> Result<Arc<Source>, Diag> {
    let name = path.display().to_string();
    let at = |message: String| {
        let source = Arc::new(Source { path: name.clone(), text: String::new() });
        Diag::at(Place { source, line: 0, column: 0 }, "unreadable-file", message)
    };
    let file = std::fs::File::open(path).map_err(|error| at(format!("cannot read the file: {error}")))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| at(format!("cannot read the file: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        let help = format!("scenario and environment files may have up to {} MiB", MAX_BYTES / 1024 / 1024);
        return Err(at("the file is too large".into()).help(help));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(Source { path: name, text })),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = memchr::memchr_iter(b'\n', good).count() + 1;
            Err(at(format!("the file is not UTF-8: line {line} holds a byte that is no text"))
                .help("save it as UTF-8"))
        }
    }
}

/// Reads YAML text into a document.
///
/// # Errors
/// Text that is no YAML, holds a key twice, or holds more than a person would write (an anchor bomb).
pub fn parse(source: Arc<Source>) -> Result<Document, Diag> {
    match node::read(&source.text) {
        Ok(root) => Ok(Document { source, root }),
        Err(error) => {
            let location = error.location();
            let (line, column) = location.map_or((0, 0), |l| (l.line(), l.column()));
            let message = reason(&error);
            let code = if message.contains("duplicate") { "duplicate-key" } else { "bad-yaml" };
            Err(Diag::at(Place { source, line, column }, code, message))
        }
    }
}

/// Reads other people's YAML into plain values, one for each document of the stream. Booleans are strict here too.
///
/// # Errors
/// Text that is no YAML, holds a key twice, or an anchor bomb: line and reason, without the text itself.
pub fn values(text: &str) -> Result<Vec<Value>, String> {
    let nodes = node::read_all(text).map_err(|error| {
        let place = error.location().map(|place| format!("line {}: ", place.line())).unwrap_or_default();
        format!("{place}{}", reason(&error))
    })?;
    nodes.iter().map(|node| node.typed().map_err(|mistake: de::Mistake| mistake.to_string())).collect()
}

/// What is wrong, without the place and the text around it.
fn reason(error: &serde_saphyr::Error) -> String {
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default();
    message.split(" at line ").next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned()
}

impl Document {
    /// A diagnostic at a node.
    pub fn diag(&self, node: &Node, code: &'static str, message: impl Into<String>) -> Diag {
        let place = Place { source: self.source.clone(), line: node.line, column: node.col };
        Diag::at(place, code, message)
    }

    /// Reads a node into a type.
    ///
    /// # Errors
    /// The first mistake in the node, at its place.
    pub fn typed<T: DeserializeOwned>(&self, node: &Node) -> Result<T, Diag> {
        node.typed().map_err(|mistake| {
            let place = Place { source: self.source.clone(), line: mistake.line, column: mistake.col };
            Diag { place: Some(place), code: mistake.code, message: mistake.message, help: mistake.help }
        })
    }

    /// Is the file of a format that this program reads?
    pub fn format(&self, root: &Node) -> Option<Diag> {
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

    /// The keys of a map that nobody reads.
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
