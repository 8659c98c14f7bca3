//! One user-facing diagnostic: what is wrong, where it is, and how to fix it.

use crate::redact::is_secret_key;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use regex::{Captures, Regex};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The text of a file, shared by the places that refer to it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The path as the user gave it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Returns the lines as YAML counts them: a lone carriage return also ends a line.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
    }
}

/// A position in a file. Line and column count from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Line, from 1; 0 when only the file is known.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// Every code of a [`Diag`] with its meaning; `docs/error-codes.md` prints this table, and tests check the sources
/// against it.
pub const CODES: &[(&str, &str)] = &[
    ("bad-format", "The version of the file's format is not valid."),
    (
        "bad-id",
        "An id is empty, begins with `.`, or holds something else than letters, digits, `-`, `_` and `.`.",
    ),
    ("bad-name", "A name or a folder cannot be used as one."),
    ("bad-place", "What a flag names is not a database, store or folder that can be used there."),
    ("bad-settings", "The settings of a step do not go together."),
    ("bad-template", "A template cannot be read."),
    ("bad-url", "A URL of a connection cannot be used."),
    ("bad-value", "A value is of the right type and cannot be used."),
    ("bad-variable", "The value of an environment variable cannot be used."),
    ("bad-via", "A step's `via` and its kind do not go together."),
    ("bad-yaml", "The file is not valid YAML."),
    ("built-without", "The program was built without the system that is named."),
    ("circular-needs", "Scenarios need each other."),
    ("duplicate-id", "Two scenarios or two steps have the same id."),
    ("duplicate-key", "A key is given twice."),
    ("duplicate-name", "Two names of evidence are the same."),
    ("empty-selection", "Nothing is selected, so nothing would be checked."),
    ("lab", "A throwaway system could not be started."),
    ("lives", "The run is still in progress, so it cannot be recovered."),
    ("missing-key", "A required key is missing."),
    (
        "missing-permission",
        "A step needs a permission that was not given with `--allow`, or that the environment forbids.",
    ),
    ("missing-rule", "Nothing says which backups stay."),
    ("missing-secret", "A secret that a connection refers to cannot be read."),
    ("missing-variable", "A required environment variable is not set."),
    ("newer-format", "A newer Proofmark wrote the file."),
    ("no-evidence", "Evidence cannot be written."),
    ("no-export", "Evidence could not be copied to the folder of `--export`."),
    ("no-folder", "No temporary folder could be made."),
    ("no-journal", "The journal of a run cannot be read."),
    ("no-record", "What was seen could not be read back."),
    ("no-report", "Reports could not be written."),
    ("no-run", "There is no such run, or it cannot be read."),
    ("no-signals", "Signals cannot be listened to."),
    ("no-steps", "A scenario has no steps."),
    ("no-summary", "The summary for the CI runner could not be written."),
    ("not-confirmed", "A restore was not confirmed."),
    ("not-empty", "A file that would be written already exists."),
    ("not-written", "A file could not be written."),
    (
        "other-file",
        "The file is of another form: an environment, where a scenario is expected, or the other way round.",
    ),
    ("owed", "An earlier run has not put everything back; `proofmark recover` does."),
    ("report", "A report could not be rendered."),
    ("too-much", "The file unfolds to more than a person would write."),
    ("two-kinds", "A step names two kinds."),
    ("unknown-capture", "No earlier step captures this name."),
    ("unknown-connection", "The environment has no connection of this name."),
    ("unknown-key", "A key is not known at this place."),
    ("unknown-kind", "There is no kind of this name."),
    ("unknown-name", "A name is not among those known at this place."),
    ("unknown-role", "The step has no role of this name."),
    ("unknown-scenario", "There is no scenario of this id."),
    ("unknown-step", "There is no earlier step, or no step at all, of this id."),
    ("unknown-template-name", "A template uses a name that is not known."),
    ("unknown-var", "No scenario has this variable."),
    ("unread-key", "A key of a connection is read by none of the roles that it serves."),
    ("unreadable-file", "A file cannot be read."),
    ("wrong-list", "A check stands below `act:`, or an act below `check:`."),
    ("wrong-type", "A value is of another type than expected."),
    ("wrong-url", "The URL of a connection is not of a scheme that its role reads."),
];

/// A mistake that a person can fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diag {
    /// Where the mistake is, if it is in a file.
    pub place: Option<Place>,
    /// A stable name: `unknown-key`, `bad-jsonpath`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl Diag {
    /// A mistake that is not in a file: on the command line or in the environment of the process.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { place: None, code, message: message.into(), help: None }
    }

    /// A mistake at a place.
    pub fn at(place: Place, code: &'static str, message: impl Into<String>) -> Self {
        Self { place: Some(place), code, message: message.into(), help: None }
    }

    /// The same diagnostic with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Renders the diagnostic for people: file, line, column, the line itself with a caret, and advice.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let title = Level::ERROR.primary_title(self.message.as_str()).id(self.code);
        let mut group = match &self.place {
            Some(place) if place.line > 0 => {
                let (line, span) = place.shown();
                let number = usize::try_from(place.line).unwrap_or(usize::MAX);
                let snippet = Snippet::source(line)
                    .line_start(number)
                    .path(place.source.path.as_str())
                    .annotation(AnnotationKind::Primary.span(span));
                title.element(snippet)
            }
            Some(place) => title.element(annotate_snippets::Origin::path(place.source.path.as_str())),
            None => annotate_snippets::Group::with_title(title),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// Longest word to mark, in characters; a longer mark would fill the screen.
const LONGEST: usize = 120;

impl Place {
    /// Returns the line with possible secrets masked, and the byte range of the word at the place, which the caret
    /// marks.
    fn shown(&self) -> (String, std::ops::Range<usize>) {
        let line = usize::try_from(self.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let this = self.source.lines().nth(line).unwrap_or_default();
        let hidden = continues_secret(self.source.lines().take(line), this);
        let this = if hidden { starred(this) } else { unreadable(this) };
        let span = self.span(&this);
        (this, span)
    }

    fn span(&self, this: &str) -> std::ops::Range<usize> {
        let column = usize::try_from(self.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let offset = this.char_indices().nth(column).map_or(this.len(), |(at, _)| at);
        let word = this[offset..].find([' ', ',', ':', '}', ']']).unwrap_or(this.len() - offset);
        let quoted = this[offset..].starts_with(['"', '\'']);
        let close = this[offset..].get(1..).and_then(|rest| rest.find(['"', '\''])).map(|end| end + 2);
        let length = if quoted { close.unwrap_or(word) } else { word };
        let longest = this[offset..].char_indices().nth(LONGEST).map_or(this.len() - offset, |(at, _)| at);
        offset..offset + length.max(1).min(longest)
    }
}

#[expect(clippy::expect_used, reason = "the patterns are constants and every diagnostic reads them")]
static HIDDEN: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    let value = r#""[^"]*"?|'[^']*'?|[^\s{}\[\],|>&*'"](?:[^,}\]]*[^\s,}\]])?"#;
    let named = format!(r#"(?P<key>[\w.-]+)["']?\s*:\s+(?P<secret>{value})"#);
    let login = r"://[^/\s:@]*:(?P<secret>[^/\s@]+)@";
    [&named, login].map(|pattern| Regex::new(pattern).expect("a constant"))
});

/// Masks the values of secret keys and the passwords in URLs: a message ends up in the log of a pipeline.
fn unreadable(line: &str) -> String {
    let stars = |found: &Captures<'_>| {
        let (whole, hidden) = (&found[0], &found["secret"]);
        if found.name("key").is_some_and(|key| !is_secret(key.as_str())) {
            return whole.to_owned();
        }
        let start = found.name("secret").map_or(0, |secret| secret.start()) - found.get_match().start();
        [&whole[..start], &starred(hidden), &whole[start + hidden.len()..]].concat()
    };
    HIDDEN.iter().fold(line.to_owned(), |line, pattern| pattern.replace_all(&line, stars).into_owned())
}

fn is_secret(key: &str) -> bool {
    is_secret_key(key) || key == "bearer"
}

fn starred(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || matches!(c, '"' | '\'') { c } else { '*' }).collect()
}

/// Returns whether the line continues a value that began under a secret key on an earlier line.
fn continues_secret<'a>(above: impl Iterator<Item = &'a str>, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let deeper = indent(line);
    let parent = above.filter(|other| !other.trim().is_empty() && indent(other) < deeper).last();
    let Some((key, rest)) = parent.and_then(|parent| parent.split_once(':')) else { return false };
    let key = key.trim_start_matches([' ', '-']).trim_matches(['"', '\'', ' ']);
    let map =
        line.trim_start().starts_with(['{', '-']) || line.contains(": ") || line.trim_end().ends_with(':');
    match rest.trim() {
        "" => is_secret(key) && !map,
        rest => is_secret(key) && !rest.starts_with(['{', '[']),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source.path),
            line => write!(f, "{}:{line}:{}", self.source.path, self.column),
        }
    }
}

/// Returns the known name nearest to a misspelt one, if it is near enough.
pub fn near_miss<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|name| (strsim::damerau_levenshtein(word, name), name)).min()?;
    (near.0 <= 1 + word.len().min(near.1.len()) / 4).then_some(near.1)
}
