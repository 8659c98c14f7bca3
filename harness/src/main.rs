//! Parse → run → exit code.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    ExitCode::from(proofmark::cli::main().await.code())
}
