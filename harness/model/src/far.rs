//! The progress of a slow operation, for display only; evidence does not contain it.

/// An operation in progress, and how far it has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepProgress {
    /// The operation in one or two words: `dumping`.
    pub what: &'static str,
    /// Bytes done, and the total where it is known.
    pub bytes: Option<(u64, Option<u64>)>,
    /// Tables done, and the total.
    pub tables: Option<(usize, usize)>,
}
