//! The terminal below the live table.
//!
//! indicatif fills each row with blanks up to the last column. What the terminal then echoes (`^C`) wraps, the table
//! stands one row lower than indicatif believes, and a piece of it stays for ever. Here rows end where their text ends.

use console::Term;
use indicatif::TermLike;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Columns that stay free at the end of a row, for what the terminal echoes.
const FREE: u16 = 4;

/// Standard error as a terminal.
#[derive(Debug)]
pub(super) struct Screen {
    term: Term,
    /// Was a row filled? The next text belongs below it.
    filled: AtomicBool,
}

impl Screen {
    pub(super) fn stderr() -> Self {
        Self { term: Term::buffered_stderr(), filled: AtomicBool::new(false) }
    }

    /// The cursor goes elsewhere.
    fn moved(&self) -> &Term {
        self.filled.store(false, Ordering::Relaxed);
        &self.term
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.term.size().1.saturating_sub(FREE).max(FREE)
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved().move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.moved().write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.trim_matches(' ').is_empty() {
            self.filled.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.filled.swap(false, Ordering::Relaxed) {
            self.term.write_line("")?;
        }
        self.term.write_str(text.trim_end_matches(' '))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.moved().clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.term.flush()
    }
}
