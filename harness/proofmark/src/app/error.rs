//! Why there is no outcome.

use proofmark_evidence::record::RecordError;
use proofmark_model::Exit;
use proofmark_model::diag::Diag;

/// A run that did not begin, or whose evidence could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Mistakes in files, names, permissions or secrets. Nothing was touched.
    #[error("{}", messages(.0))]
    Refused(Vec<Diag>),
    /// A recovery cannot put back what is owed. Nothing was touched.
    #[error("{}", messages(.0))]
    NotRecovered(Vec<Diag>),
    /// An earlier run has not put back what it changed, and this one may change something. Nothing was touched.
    #[error("a run that is dead owes a change")]
    Owed(Diag),
    /// The journal of an earlier run cannot be read, so what it owes is not known. Nothing was touched.
    #[error("a run that is dead owes a change")]
    Journal(Diag),
    /// Evidence could not be written; the run stopped there.
    #[error(transparent)]
    Evidence(#[from] RecordError),
    /// The run ended, and its evidence could not be read back.
    #[error(transparent)]
    ReadBack(#[from] OpenError),
}

impl RunError {
    /// The exit code that a program ends with because of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Usage,
            Self::NotRecovered(_) | Self::Owed(_) => Exit::Owed,
            Self::Journal(_) | Self::Evidence(_) | Self::ReadBack(_) => Exit::Evidence,
        }
    }

    /// What is wrong and how to fix it, one entry for each mistake; never empty.
    pub fn diagnostics(&self) -> Vec<Diag> {
        match self {
            Self::Refused(diags) | Self::NotRecovered(diags) => diags.clone(),
            Self::Owed(diag) | Self::Journal(diag) => vec![diag.clone()],
            Self::Evidence(error) => {
                let help = "nothing more was run; is the disk full, or the folder read-only?";
                vec![Diag::new("no-evidence", error.to_string()).help(help)]
            }
            Self::ReadBack(error) => vec![error.diagnostic.clone()],
        }
    }
}

impl From<Vec<Diag>> for RunError {
    fn from(diags: Vec<Diag>) -> Self {
        Self::Refused(diags)
    }
}

/// Evidence that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}", .diagnostic.message)]
pub struct OpenError {
    /// 2 where no run has that name or a newer program wrote it, 5 where the evidence is damaged.
    pub exit: Exit,
    /// What is wrong and how to fix it.
    pub diagnostic: Diag,
}

fn messages(diags: &[Diag]) -> String {
    diags.iter().map(|diag| diag.message.as_str()).collect::<Vec<_>>().join("; ")
}
