//! The beginning of one statement of a dump, and the few questions that are asked about it.

use super::lexer::Token;
use super::name;

/// So many tokens are kept: no statement that is looked at needs more.
const KEPT: usize = 24;

/// The first tokens of a statement. Those in parentheses are only kept of a SELECT.
#[derive(Debug, Default)]
pub(super) struct Statement {
    text: Vec<u8>,
    tokens: Vec<(Kind, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Name,
    Value,
    Sign(u8),
}

impl Statement {
    pub(super) fn push(&mut self, token: Token<'_>, depth: u32) {
        if self.tokens.len() >= KEPT || (depth > 0 && !(depth == 1 && self.is("select"))) {
            return;
        }
        let (kind, text) = match token {
            Token::Word(text) => (Kind::Word, text),
            Token::Name(text) => (Kind::Name, text),
            Token::Value(text) => (Kind::Value, text),
            Token::Sign(sign) => (Kind::Sign(sign), &[][..]),
        };
        self.text.extend_from_slice(text);
        self.tokens.push((kind, self.text.len()));
    }

    /// Nothing in it, but the memory.
    pub(super) fn emptied(mut self) -> Self {
        self.text.clear();
        self.tokens.clear();
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Is this its first word?
    pub(super) fn is(&self, word: &str) -> bool {
        self.is_word(0, word)
    }

    /// Its first word in small letters.
    pub(super) fn first(&self) -> String {
        self.word(0)
    }

    /// A word in small letters; empty where there is none.
    pub(super) fn word(&self, at: usize) -> String {
        match self.token(at) {
            Some((Kind::Word, text)) => name::text(text).to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    /// A word or a value, as it is used in SET.
    pub(super) fn value(&self, at: usize) -> Option<String> {
        let (kind, text) = self.token(at)?;
        (!matches!(kind, Kind::Sign(_))).then(|| name::text(text))
    }

    /// A name, with its schema if it has one, both without quotes.
    pub(super) fn name(&self, at: usize) -> Option<(Option<String>, String)> {
        let first = self.part(at)?;
        match self.token(at + 1) {
            Some((Kind::Sign(b'.'), _)) => Some((Some(first), self.part(at + 2)?)),
            _ => Some((None, first)),
        }
    }

    /// Does it end with `FROM stdin`? `Some(true)`: and options behind.
    pub(super) fn copies_stdin(&self) -> Option<bool> {
        let at =
            (1..self.tokens.len()).find(|at| self.is_word(*at, "from") && self.is_word(at + 1, "stdin"))?;
        Some(self.tokens.len() > at + 2)
    }

    /// Does it change more than the database that it is said in?
    pub(super) fn reaches_out(&self) -> bool {
        let of_the_server = match &*self.word(1) {
            "database" | "role" | "tablespace" | "group" | "system" => true,
            "user" => self.word(2) != "mapping",
            _ => false,
        };
        of_the_server && (self.is("create") || self.is("alter") || self.is("drop"))
    }

    /// Which function a SELECT calls, of those of the server.
    pub(super) fn called(&self) -> String {
        self.word(self.function())
    }

    /// Sequence, last value and whether it was called, of `SELECT pg_catalog.setval('name', 1, true)`.
    pub(super) fn setval(&self) -> Option<((Option<String>, String), i64, bool)> {
        let at = self.function() + 1;
        let (Kind::Value, sequence) = self.token(at + 1)? else { return None };
        let negative = self.token(at + 3)?.0 == Kind::Sign(b'-');
        let at = at + 3 + usize::from(negative);
        let last: i128 = self.word(at).parse().ok()?;
        let last = i64::try_from(if negative { -last } else { last }).ok()?;
        Some((name::split(&name::text(sequence))?, last, self.word(at + 2).parse().ok()?))
    }

    fn function(&self) -> usize {
        if self.is_word(1, "pg_catalog") { 3 } else { 1 }
    }

    fn part(&self, at: usize) -> Option<String> {
        match self.token(at)? {
            (Kind::Name, text) => Some(name::text(text)),
            (Kind::Word, text) => Some(name::text(text).to_ascii_lowercase()),
            _ => None,
        }
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        self.token(at)
            .is_some_and(|(kind, text)| kind == Kind::Word && text.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn token(&self, at: usize) -> Option<(Kind, &[u8])> {
        let (kind, end) = *self.tokens.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.tokens[before].1);
        Some((kind, &self.text[start..end]))
    }
}

/// Counts the rows of an INSERT while it goes by.
#[derive(Debug, Default)]
pub(super) struct Insert {
    at: Place,
    rows: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Default,
    Values,
    Behind,
    /// The rows come from a query.
    Query,
}

impl Insert {
    pub(super) fn token(&mut self, token: Token<'_>, depth: u32) {
        if depth > 0 {
            return;
        }
        match (self.at, token) {
            (Place::Values, Token::Sign(b'(')) => self.rows += 1,
            (Place::Values, Token::Sign(_)) => {}
            (Place::Values, _) => self.at = Place::Behind,
            (Place::Before | Place::Default, Token::Word(word)) => {
                let is = |other: &str| word.eq_ignore_ascii_case(other.as_bytes());
                (self.at, self.rows) = match self.at {
                    Place::Default if is("values") => (Place::Behind, 1),
                    _ if is("values") => (Place::Values, 0),
                    _ if is("default") => (Place::Default, 0),
                    _ if is("select") || is("with") || is("table") => (Place::Query, 0),
                    _ => (Place::Before, 0),
                };
            }
            _ => {}
        }
    }

    /// `None`: that cannot be told.
    pub(super) fn rows(&self) -> Option<u64> {
        matches!(self.at, Place::Values | Place::Behind).then_some(self.rows)
    }
}
