//! The data of a `COPY … FROM stdin` in text format: counts its rows and finds its end, whatever pieces it comes in.

use memchr::memchr_iter;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// A line that begins as the last one does. In data every backslash is doubled, so this is no row.
static LAST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n\\."));

/// What of the present line has been seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Nothing,
    Backslash,
    Dot,
    Return,
    Within,
}

/// The rows of one block so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    line: Line,
    /// Whole lines.
    pub(super) rows: u64,
}

impl Rows {
    /// Takes the next bytes. Gives back how many it used, and whether the block has ended with them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let next = match (self.line, byte) {
                (Line::Dot | Line::Return, b'\n') => {
                    self.line = Line::Nothing;
                    return (at + 1, true);
                }
                (Line::Nothing, b'\\') => Line::Backslash,
                (Line::Backslash, b'.') => Line::Dot,
                (Line::Dot, b'\r') => Line::Return,
                _ => {
                    at = self.lines(bytes, at);
                    continue;
                }
            };
            self.line = next;
            at += 1;
        }
        (at, false)
    }

    /// Ended it within a line? Then that line is no row.
    pub(super) fn within_a_line(&self) -> bool {
        self.line != Line::Nothing
    }

    /// Runs over whole lines at once, to a line that may be the last or to the end of these bytes.
    fn lines(&mut self, bytes: &[u8], from: usize) -> usize {
        let rest = &bytes[from..];
        let (used, line) = match LAST.find(rest) {
            Some(found) => (found + 3, Line::Dot),
            None if rest.ends_with(b"\n\\") => (rest.len(), Line::Backslash),
            None if rest.ends_with(b"\n") => (rest.len(), Line::Nothing),
            None => (rest.len(), Line::Within),
        };
        self.line = line;
        self.rows += memchr_iter(b'\n', &rest[..used]).count() as u64;
        from + used
    }
}
