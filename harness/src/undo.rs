//! Leave to change the world. A changing client call demands one: for now only a `Final`, which says that nothing will
//! be put back; promises and their journal come with the acts that keep them.

/// Leave for a change that is declared final: `plan` prints it, and nothing is put back.
#[derive(Debug)]
pub struct Final(());

impl Final {
    /// Declares a change final.
    pub(crate) fn declare() -> Self {
        Self(())
    }
}
