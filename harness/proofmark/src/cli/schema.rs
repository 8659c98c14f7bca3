//! `schema`: the files' formats as JSON Schema, for editors and for programs that read reports.

use super::output::give;
use crate::kinds::{registry, vocabulary};
use proofmark_evidence::report::Report;
use proofmark_model::Exit;
use serde_json::Value;

/// Which file.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SchemaCommandArgs {
    /// Which file's format
    #[arg(value_enum, default_value = "scenario")]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    /// A scenario file
    Scenario,
    /// An environment file
    Environment,
    /// The JSON report
    Report,
}

/// Prints the schema.
pub(super) fn schema(options: &SchemaCommandArgs) -> Exit {
    let schema: Value = match options.of {
        Of::Scenario => proofmark_engine::scenario::schema(registry()),
        Of::Environment => proofmark_environment::schema(vocabulary()),
        Of::Report => schemars::schema_for!(Report).to_value(),
    };
    give(&format!("{schema:#}\n"));
    Exit::Passed
}
