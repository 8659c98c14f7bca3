//! How far something that takes its time has come: for people who watch it, and in no evidence.

/// What is under way, and how far it has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Far {
    /// In one or two words: `dumping`.
    pub what: &'static str,
    /// Bytes, and of how many where that is known.
    pub bytes: Option<(u64, Option<u64>)>,
    /// Tables, of how many.
    pub tables: Option<(usize, usize)>,
}
