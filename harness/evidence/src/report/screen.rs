//! The terminal under the live table.
//!
//! indicatif pads each row with blanks up to the last column. If the terminal then echoes something (`^C`), the row
//! wraps, the table is one row lower than indicatif assumes, and a piece of it is never erased. Here rows end where
//! their text ends.

use console::Term;
use indicatif::TermLike;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Columns that stay free at the end of a row for the terminal's echo.
const FREE: u16 = 4;

/// Standard error as a terminal.
#[derive(Debug)]
pub(super) struct Screen {
    term: Term,
    /// Whether a row was filled, so that the next text belongs below it.
    filled: AtomicBool,
}

impl Screen {
    pub(super) fn stderr() -> Self {
        Self { term: Term::buffered_stderr(), filled: AtomicBool::new(false) }
    }

    /// Records that the cursor has moved elsewhere.
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
