//! What Proofmark must reach, measured: `make bench` runs all of it, `cargo bench -p proofmark -- line reading` a part.
//! It prints medians beside their bounds.
//!
//! Nothing here fails on a slow machine: it prints, and people judge.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first thing that is not as it should be")]
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench prints what it measured, writes its own input, and is told by the environment where hurl is"
)]

#[path = "../../tests/ground"]
#[expect(dead_code, reason = "the tests use more of it")]
mod ground {
    pub mod lasting;
    pub mod look;
    pub mod minio;
    pub mod postgres;
    pub mod store;
}

mod audit;
mod backup;
mod events;
mod line;
mod log_lines;
mod postgres;
mod reading;
mod side;

use std::path::Path;

/// What can be measured, by name; it is given a folder that goes away.
type Part = (&'static str, fn(&Path));

const ALL: [Part; 7] = [
    ("line", line::measure),
    ("reading", reading::measure),
    ("log_lines", log_lines::measure),
    ("postgres", postgres::measure),
    ("backup", backup::measure),
    ("events", events::measure),
    ("audit", audit::measure),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // This same program is the other side of some comparisons.
    if let [word, file] = arguments.as_slice()
        && word == reading::PARSE
    {
        return reading::parse(Path::new(file));
    }
    if let [word, url, file] = arguments.as_slice()
        && [backup::UPLOAD, backup::DOWNLOAD].contains(&word.as_str())
    {
        return backup::plain(word, url, file);
    }
    // `cargo test --benches` asks for nothing to be measured.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    for word in &words {
        assert!(ALL.iter().any(|(name, _)| name == word), "there is no `{word}` to be measured");
    }
    for (name, measure) in
        ALL.iter().filter(|(name, _)| words.is_empty() || words.iter().any(|it| it == name))
    {
        println!("\n# {name}\n");
        measure(tempfile::tempdir().unwrap().path());
    }
}
