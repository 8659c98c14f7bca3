//! Cuts a stream of SQL into tokens as psql does: quotes of every kind, comments, psql's own commands, and where a
//! statement ends. It knows only what it must to never take the inside of a value for SQL, holds no more than one short
//! token, and works on whatever pieces the text comes in.

use super::copy::Rows;
use memchr::{memchr, memchr_iter, memchr2};

/// What is kept of a token. Names have at most 63 bytes; only values are longer, and no value matters.
const KEPT: usize = 4 << 10;

/// A token, its quotes taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A key word, a name without quotes, or a number.
    Word(&'a [u8]),
    /// A name in quotes.
    Name(&'a [u8]),
    /// A value in quotes, also in dollar quotes (whose text is not kept).
    Value(&'a [u8]),
    /// Any other character.
    Sign(u8),
}

/// Makes a token of what was kept.
type Kind = for<'a> fn(&'a [u8]) -> Token<'a>;

/// Who is told of the tokens.
pub(super) trait Reader {
    /// A token, with how many parentheses are open before it.
    fn token(&mut self, token: Token<'_>, depth: u32);
    /// The statement has ended in this line, counted from 1. `true`: it is a `COPY … FROM stdin`, whose data begin with the
    /// next line.
    fn end(&mut self, line: u64) -> bool;
    /// A comment to the end of a line, without `--`.
    fn comment(&mut self, text: &[u8]);
    /// A command of psql's own, without its backslash, in this line, counted from 1.
    fn command(&mut self, text: &[u8], line: u64);
    /// The data of a COPY have ended after so many rows.
    fn copied(&mut self, rows: u64);
    /// Are backslashes special in plain quotes (`standard_conforming_strings = off`)?
    fn backslashes(&self) -> bool;
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Between,
    Word,
    /// In quotes: which, is a backslash special, and was the last byte a quote or such a backslash?
    Quoted {
        quote: u8,
        escapes: bool,
        seen: Option<u8>,
    },
    Dash,
    Slash,
    Comment,
    /// How deep, and the byte before.
    Block(u32, u8),
    /// The tag of a dollar quote is being read.
    Tag,
    /// Within a dollar quote, so many bytes of its end seen.
    Dollar(usize),
    Command,
    /// The rest of the line behind `FROM stdin;`.
    CopyLine,
    Copy(Rows),
}

/// The lexer.
#[derive(Debug, Clone, Default)]
pub(super) struct Lexer {
    state: State,
    depth: u32,
    body: Body,
    /// The token, or the tag of the dollar quote that is open.
    text: Vec<u8>,
    cut: bool,
    /// Tokens of the statement so far.
    tokens: u64,
    /// Lines that have ended.
    lines: u64,
}

/// Follows `BEGIN ATOMIC … END` of a function, in which a semicolon ends no statement.
#[derive(Debug, Clone, Default)]
struct Body {
    /// First letters of the first words, as psql looks at them: `cf`, `cp`, `corf`, `corp`.
    words: Vec<u8>,
    open: u32,
}

/// Where a text ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Between two statements.
    Clean,
    /// In the data of a COPY: rows, and whether it was within a line.
    Copy(u64, bool),
    /// Somewhere else in the middle.
    Within(&'static str),
}

impl Lexer {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8], reader: &mut impl Reader) {
        let mut at = 0;
        while at < bytes.len() {
            let used = self.run(&bytes[at..], reader);
            self.lines += match used {
                1 => u64::from(bytes[at] == b'\n'),
                used => memchr_iter(b'\n', &bytes[at..at + used]).count() as u64,
            };
            at += used;
        }
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self, reader: &mut impl Reader) -> End {
        match &self.state {
            State::Copy(rows) => return End::Copy(rows.rows, rows.within_a_line()),
            State::CopyLine => return End::Copy(0, false),
            State::Quoted { seen: Some(seen), quote, .. } if seen == quote => {}
            State::Quoted { .. } => return End::Within("a text in quotes"),
            State::Dollar(_) => return End::Within("a text in dollar quotes"),
            State::Block(..) => return End::Within("a comment"),
            _ => {}
        }
        // The last token ends here.
        self.run(b"\n", reader);
        if self.tokens > 0 { End::Within("a statement") } else { End::Clean }
    }

    /// Works on the first byte or more; gives back how many were used. None: the byte is looked at again.
    fn run(&mut self, bytes: &[u8], reader: &mut impl Reader) -> usize {
        let byte = bytes[0];
        match &mut self.state {
            State::Between => self.between(byte, reader),
            State::Word => self.word(bytes, reader),
            State::Quoted { .. } => self.quoted(bytes, reader),
            State::Dash if byte == b'-' => self.go(State::Comment),
            State::Slash if byte == b'*' => self.go(State::Block(1, 0)),
            State::Dash => self.sign(b'-', reader),
            State::Slash => self.sign(b'/', reader),
            State::Comment => self.line(bytes, |text| reader.comment(text)),
            State::Command => {
                let line = self.lines + 1;
                self.line(bytes, |text| reader.command(text, line))
            }
            State::Block(depth, before) => {
                let (deeper, ends) = ((*before, byte) == (b'/', b'*'), (*before, byte) == (b'*', b'/'));
                // `/*/` opens and does not close.
                *before = if deeper || ends { 0 } else { byte };
                *depth = if deeper { depth.saturating_add(1) } else { *depth - u32::from(ends) };
                if *depth == 0 {
                    self.state = State::Between;
                }
                1
            }
            State::Tag => self.tag(byte, reader),
            State::Dollar(_) => self.dollar(bytes, reader),
            State::CopyLine => {
                let line = memchr(b'\n', bytes);
                if line.is_some() {
                    self.state = State::Copy(Rows::default());
                }
                line.map_or(bytes.len(), |end| end + 1)
            }
            State::Copy(rows) => {
                let (used, ended) = rows.feed(bytes);
                if ended {
                    reader.copied(rows.rows);
                    self.state = State::Between;
                }
                used
            }
        }
    }

    /// Outside of everything.
    fn between(&mut self, byte: u8, reader: &mut impl Reader) -> usize {
        match byte {
            b'-' => self.go(State::Dash),
            b'/' => self.go(State::Slash),
            b'\'' => self.open(byte, reader.backslashes()),
            b'"' => self.open(byte, false),
            b'$' => self.go(State::Tag),
            b'\\' => self.go(State::Command),
            b';' if self.depth == 0 && self.body.open == 0 => {
                let copy = reader.end(self.lines + 1);
                (self.tokens, self.body) = (0, Body::default());
                self.go(if copy { State::CopyLine } else { State::Between })
            }
            _ if byte.is_ascii_whitespace() || byte == 0x0b => 1,
            _ if in_word(byte) => {
                self.go(State::Word);
                0
            }
            _ => {
                self.sign(byte, reader);
                1
            }
        }
    }

    fn word(&mut self, bytes: &[u8], reader: &mut impl Reader) -> usize {
        let length = bytes.iter().take_while(|byte| in_word(**byte)).count();
        if length > 0 {
            self.keep(&bytes[..length]);
            return length;
        }
        if bytes[0] == b'\'' && self.text.eq_ignore_ascii_case(b"e") {
            return self.open(bytes[0], true);
        }
        self.body.word(&self.text, self.depth);
        self.tell(|text| Token::Word(text), reader);
        0
    }

    fn quoted(&mut self, bytes: &[u8], reader: &mut impl Reader) -> usize {
        let State::Quoted { quote, escapes, seen } = &mut self.state else { return 0 };
        let (quote, byte) = (*quote, bytes[0]);
        match seen.take() {
            Some(b'\\') => {
                self.push(byte);
                1
            }
            Some(_) if byte == quote => {
                self.push(byte);
                1
            }
            Some(_) => {
                let kind: Kind =
                    if quote == b'"' { |text| Token::Name(text) } else { |text| Token::Value(text) };
                self.tell(kind, reader);
                0
            }
            None => {
                let special = if *escapes { memchr2(quote, b'\\', bytes) } else { memchr(quote, bytes) };
                *seen = special.map(|at| bytes[at]);
                self.keep(&bytes[..special.unwrap_or(bytes.len())]);
                special.map_or(bytes.len(), |at| at + 1)
            }
        }
    }

    fn tag(&mut self, byte: u8, reader: &mut impl Reader) -> usize {
        let first = self.text.is_empty();
        if byte == b'$' && !self.cut {
            self.text.insert(0, b'$');
            self.text.push(b'$');
            self.state = State::Dollar(0);
            return 1;
        }
        if (in_word(byte) && byte != b'$') && !(first && byte.is_ascii_digit()) {
            self.push(byte);
            return 1;
        }
        // `$1`, or a dollar that quotes nothing.
        self.tell(|text| Token::Word(text), reader);
        0
    }

    fn dollar(&mut self, bytes: &[u8], reader: &mut impl Reader) -> usize {
        let State::Dollar(seen) = &mut self.state else { return 0 };
        if *seen == 0 {
            let Some(at) = memchr(b'$', bytes) else { return bytes.len() };
            *seen = 1;
            return at + 1;
        }
        if bytes[0] == self.text[*seen] {
            *seen += 1;
            if *seen == self.text.len() {
                self.text.clear();
                self.tell(|text| Token::Value(text), reader);
            }
        } else {
            // A dollar stands only at both ends of the tag.
            *seen = usize::from(bytes[0] == b'$');
        }
        1
    }

    /// Reads to the end of the line, then tells of what was kept of it.
    fn line(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8])) -> usize {
        let end = memchr(b'\n', bytes);
        self.keep(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() {
            tell(self.text.trim_ascii());
            self.reset();
        }
        end.map_or(bytes.len(), |end| end + 1)
    }

    fn open(&mut self, quote: u8, escapes: bool) -> usize {
        self.reset();
        self.go(State::Quoted { quote, escapes, seen: None })
    }

    /// A sign is a token of its own. The byte that was looked at is not used.
    fn sign(&mut self, byte: u8, reader: &mut impl Reader) -> usize {
        self.depth = self.depth.saturating_sub(u32::from(byte == b')'));
        self.tokens += 1;
        reader.token(Token::Sign(byte), self.depth);
        self.depth = self.depth.saturating_add(u32::from(byte == b'('));
        self.reset();
        0
    }

    /// Tells of the token that was kept; outside of everything again.
    fn tell(&mut self, kind: Kind, reader: &mut impl Reader) {
        self.tokens += 1;
        reader.token(kind(&self.text), self.depth);
        self.reset();
    }

    fn reset(&mut self) {
        self.text.clear();
        self.cut = false;
        self.state = State::Between;
    }

    fn go(&mut self, state: State) -> usize {
        self.state = state;
        1
    }

    fn push(&mut self, byte: u8) {
        self.keep(&[byte]);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.text.len()).min(bytes.len());
        self.text.extend_from_slice(&bytes[..room]);
        self.cut |= room < bytes.len();
    }
}

impl Body {
    fn word(&mut self, word: &[u8], depth: u32) {
        let is = |other: &str| word.eq_ignore_ascii_case(other.as_bytes());
        if self.words.len() < 4 {
            let known =
                ["create", "or", "replace", "function", "procedure"].into_iter().find(|other| is(other));
            self.words.push(known.map_or(b'-', |word| word.as_bytes()[0]));
        }
        let function =
            [&b"cf"[..], b"cp", b"corf", b"corp"].iter().any(|words| self.words.starts_with(words));
        if !function || depth > 0 {
            return;
        }
        if is("begin") || (is("case") && self.open > 0) {
            self.open += 1;
        } else if is("end") {
            self.open = self.open.saturating_sub(1);
        }
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
