//! Secrets that a program prints: `{ command: [PROGRAM, …] }`.

use super::{Program, ask};
use crate::Log;
use proofmark_environment::{Resolving, SecretSource, ValueType};
use proofmark_model::Exchange;
use proofmark_model::diag::Diag;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What a program prints on standard output; needs `--allow exec`.
pub const SECRET: SecretSource = SecretSource {
    key: "command",
    example: "{ command: [PROGRAM] }",
    value: ValueType::of::<Vec<String>>(),
    exec: true,
    asks: None,
    shown: |value, _| format!("the command `{}`", words(value).join(" ")),
    resolve: |value, resolving| Box::pin(printed(words(value), resolving)),
};

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Runs the program in the environment's folder, and records it without anything of what it printed.
async fn printed(argv: Vec<String>, resolving: &Resolving<'_>) -> Result<String, Diag> {
    let shown = argv.join(" ");
    let failed = |why: String| {
        let diag = Diag::new("missing-secret", format!("the command `{shown}` gave no secret: {why}"));
        diag.help("run it by hand, in the folder of the environment file")
    };
    if argv.is_empty() {
        return Err(failed("it is empty".into()));
    }
    // An environment file named without a folder stands in this one.
    let folder = Path::new(".").join(resolving.folder);
    let log = Log::default();
    let program = Program { cwd: Some(&folder), ..Program::new(&argv, LIMIT) };
    let output = ask(program, (resolving.clock, &log)).await;
    for exchange in log.take() {
        resolving.record(Exchange { bytes: 0, sha256: None, ..exchange });
    }
    let output = output.map_err(|failure| failed(failure.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("it printed no UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_environment::{Environment, Systems, Vocabulary};
    use proofmark_model::clock::Clock;
    use proofmark_model::redact::{Redactor, Secret};
    use std::io::Write;

    const ONLY: Vocabulary = Vocabulary { roles: &[], sources: &[&SECRET], dialers: &[] };

    async fn resolved(argv: &str, exec: bool) -> Result<Systems, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let web = format!("{{ url: 'http://a', bearer: {{ command: {argv} }} }}");
        write!(file, "proofmark: v1\nconnections:\n  a: {web}\n").unwrap();
        let first = |wrong: Vec<Diag>| wrong[0].message.clone();
        let environment = Environment::load(file.path(), &ONLY).map_err(first)?;
        let uses = [("a".to_owned(), ["web".to_owned()].into())].into();
        environment.resolve(&uses, exec, &Clock::real(), Redactor::default()).await.map_err(first)
    }

    #[tokio::test]
    async fn what_a_program_prints_is_the_secret_and_its_run_is_kept() {
        let systems = resolved("[sh, -c, 'echo word; pwd >&2']", true).await.unwrap();
        let token = systems.connections["a"].bearer.as_ref().map(Secret::expose);
        assert_eq!(token, Some("word"));
        let [program] = systems.programs.as_slice() else { panic!("{:?}", systems.programs) };
        assert_eq!((program.method.as_str(), program.status, program.bytes), ("exec", Some(0), 0));
        assert_eq!(program.target, "sh -c 'echo word; pwd >&2'");
        assert_eq!((&program.sha256, &program.sent), (&None, &None));
    }

    #[tokio::test]
    async fn one_that_gives_no_secret_says_why() {
        for (argv, exec, why) in [
            ("[sh, -c, 'exit 3']", true, "gave no secret: it ended with exit status: 3"),
            ("[]", true, "gave no secret: it is empty"),
            ("['true']", true, "the command `true` is empty"),
            ("[no-such-program-here]", true, "gave no secret: No such file"),
            (
                "[echo, word]",
                false,
                "the secret comes from the command `echo word`, which needs a permission",
            ),
            ("echo", true, "expected a list"),
        ] {
            let wrong = resolved(argv, exec).await.unwrap_err();
            assert!(wrong.contains(why), "{argv}: {wrong}");
        }
    }
}
