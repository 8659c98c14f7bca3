//! Writes to standard output and standard error.

use crate::kinds::vocabulary;
use proofmark_evidence::report::{inert, many};
use proofmark_model::Exit;
use proofmark_model::diag::Diag;
use std::io::{IsTerminal, Write};

/// Writes to standard output what has its own form; a reader that went away is no error.
pub(super) fn give(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// Writes to standard output for people. What stands in files (a title, a name) is no command to a CI runner.
pub(super) fn say(text: &str) {
    give(&inert(text));
}

/// Writes a line to standard error, likewise.
pub(super) fn tell(line: &str) {
    let _ = writeln!(anstream::stderr(), "{}", inert(line));
}

/// A password that was typed is taken, with a word about it. `flag` names the place.
pub(super) fn note_password(flag: &str, place: &str) {
    if vocabulary().tells_password(place) {
        tell(&format!(
            "note: a password on the command line is seen by everyone who can list processes; `{flag} env:NAME` names a variable that holds it\n"
        ));
    }
}

/// Shows every mistake; nothing was touched.
pub(super) fn refuse(wrong: &[Diag]) -> Exit {
    let colour = std::io::stderr().is_terminal();
    for diag in wrong {
        tell(&format!("{}\n", diag.render(colour)));
    }
    tell(&format!("{}; nothing was run", many(wrong.len(), "mistake")));
    Exit::Usage
}
