//! The command line: one file per subcommand. The result goes to standard output, progress and diagnostics to standard
//! error.

mod arguments;
#[cfg(feature = "alerting")]
mod audit;
#[cfg(feature = "backup")]
mod backup;
#[cfg(feature = "backup")]
mod backup_arguments;
#[cfg(feature = "backup")]
mod create;
#[cfg(feature = "lab")]
pub mod demo;
#[cfg(feature = "backup")]
mod drill;
#[cfg(any(feature = "alerting", feature = "backup"))]
mod embedded;
mod explain;
mod github;
mod output;
mod plan;
#[cfg(feature = "backup")]
mod prune;
mod recover;
mod report;
#[cfg(feature = "backup")]
mod restore;
mod run;
mod schema;
mod terminal;
mod r#try;
mod verify;
#[cfg(feature = "backup")]
mod wording;

use arguments::SelectionArgs;
use clap::{CommandFactory, Parser, Subcommand};
use output::{give, tell};
use proofmark_model::Exit;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use std::sync::LazyLock;

static EXITS: LazyLock<String> = LazyLock::new(|| {
    let wide = Exit::TABLE.iter().map(|(_, _, again)| again.len()).max().unwrap_or_default();
    let row =
        |(exit, means, again): &(Exit, &str, &str)| format!("  {:>3}  {again:wide$}  {means}", exit.code());
    let rows: Vec<String> = Exit::TABLE.iter().map(row).collect();
    format!("Exit codes, whether it is safe to run again, and what they mean:\n{}", rows.join("\n"))
});

const RUN: [&str; 3] = [
    "proofmark run --env environments/homelab.yaml",
    "proofmark run scenarios/demo --env lab.yaml --allow exec --only demo/shop#ready",
    "proofmark run --env lab.yaml --format jsonl | tail -1",
];

/// Runs the checks of a plan against live systems, keeps what it saw as evidence, and stamps a verdict on it
#[derive(Debug, Parser)]
#[command(version, after_help = EXITS.as_str(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, keep evidence, write reports
    #[command(after_help = format!("Examples:\n  {}\n\n{}", RUN.join("\n  "), *EXITS))]
    Run(run::RunCommandArgs),
    /// Check scenario files and the environment without touching anything
    #[command(
        after_help = "Examples:\n  proofmark validate\n  proofmark validate scenarios/phase5 --env environments/homelab.yaml\n\nExit codes: 0 all is well, 2 not so: every mistake of every file is shown."
    )]
    Validate(SelectionArgs),
    /// List scenarios with their titles
    #[command(after_help = "Examples:\n  proofmark list\n  proofmark list scenarios/phase5 --tag wave1")]
    List(SelectionArgs),
    /// Show what would run, in which order, and what it would change
    #[command(
        after_help = "Examples:\n  proofmark plan scenarios/demo --env lab.yaml\n  proofmark plan --env lab.yaml --only demo/shop --var job=shop"
    )]
    Plan(SelectionArgs),
    /// Tell a run again from its evidence
    #[command(
        after_help = "Examples:\n  proofmark report\n  proofmark report 20260216T020000Z-x7k2q9 --format junit > junit.xml\n  proofmark report --format markdown > summary.md\n\nThe exit code is that of the run; 3 for a run that never ended."
    )]
    Report(report::ReportCommandArgs),
    /// Make every hash and every judgement of a run again, offline
    #[command(
        after_help = "Examples:\n  proofmark verify\n  proofmark verify evidence/20260216T020000Z-x7k2q9\n\nExit codes: 0 the same, 3 incomplete or judged by other rules, 5 different."
    )]
    Verify(verify::VerifyCommandArgs),
    /// Put back what runs that died have changed and promised to put back
    #[command(
        after_help = "Examples:\n  proofmark recover --env environments/homelab.yaml\n  proofmark recover --all --env environments/homelab.yaml\n  proofmark recover 20260216T020000Z-x7k2q9 --env lab.yaml\n\nExit codes: 0 nothing is owed any more, 4 something is."
    )]
    Recover(recover::RecoverCommandArgs),
    #[cfg(feature = "backup")]
    /// Make, list, verify, prune and restore backups of a PostgreSQL database
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::BackupCommandArgs),
    #[cfg(feature = "alerting")]
    /// Find what a live system would not tell: alerts that can never fire, targets that are down
    #[command(subcommand, after_help = audit::EXAMPLES)]
    Audit(audit::Command),
    #[cfg(feature = "backup")]
    /// Prove a backup, anyone's: restore it into a scratch database, compare, drop it again
    #[command(override_usage = drill::USAGE, after_help = drill::EXAMPLES)]
    Drill(drill::DrillCommandArgs),
    /// Make one check without any file, and show what it saw
    #[command(after_help = r#try::EXAMPLES)]
    Try(r#try::TryCommandArgs),
    /// Explain a kind of step: its settings, what it sees, what it judges by itself
    #[command(after_help = "Examples:\n  proofmark explain\n  proofmark explain http")]
    Explain(explain::ExplainCommandArgs),
    /// Print the format of a file as JSON Schema, for editors
    #[command(
        after_help = "Example:\n  proofmark schema > .proofmark.schema.json\n  # then, as the first line of a scenario file:\n  # yaml-language-server: $schema=../.proofmark.schema.json"
    )]
    Schema(schema::SchemaCommandArgs),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  proofmark completions bash > /etc/bash_completion.d/proofmark")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  proofmark man > /usr/local/share/man/man1/proofmark.1")]
    Man,
    #[cfg(feature = "lab")]
    /// See it work: a real Prometheus where all is well, then broken on purpose
    #[command(
        after_help = "Example:\n  proofmark demo\n\nIt stops everything that it started. Exit codes: 0 the first run passed and the second failed\nas named, 1 not so, 3 the world could not be set up."
    )]
    Demo(demo::DemoCommandArgs),
}

fn written(bytes: &[u8]) -> Exit {
    give(&String::from_utf8_lossy(bytes));
    Exit::Passed
}

/// The manual page: one for the program and all of its commands.
fn manual() -> std::io::Result<Vec<u8>> {
    let mut page = vec![];
    let program = Cli::command();
    let man = clap_mangen::Man::new(program.clone());
    man.render(&mut page)?;
    sections(&program, "proofmark", &mut page)?;
    Ok(page)
}

fn sections(of: &clap::Command, name: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in of.get_subcommands() {
        let name = format!("{name} {}", command.get_name());
        let man = clap_mangen::Man::new(command.clone().display_name(name.clone()).bin_name(name.clone()));
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_options_section(page)?;
        man.render_extra_section(page)?;
        sections(command, &name, page)?;
    }
    Ok(())
}

/// Help that was asked for, or what is wrong with the command line. That repeats an argument that it does not know, which
/// may be a database with its password.
fn misread(error: &clap::Error) -> Exit {
    let text = error.render().ansi().to_string();
    if !error.use_stderr() {
        give(&text);
        return Exit::Passed;
    }
    let redactor = Redactor::default();
    for argument in std::env::args().skip(1).filter(|argument| argument.contains("://")) {
        redactor.learn(argument);
    }
    tell(redactor.clean_text(&text).get().trim_end());
    Exit::Usage
}

/// Reads the command line, does what it says, and returns how it ended.
pub async fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    let clock = Clock::real();
    match cli.command {
        Command::Run(options) => run::run(&options, &clock).await,
        Command::Validate(chosen) => plan::validate(&chosen, &clock),
        Command::List(chosen) => plan::list(&chosen, &clock),
        Command::Plan(chosen) => plan::plan(&chosen, &clock),
        Command::Report(options) => report::report(&options),
        Command::Verify(options) => verify::verify(&options),
        Command::Recover(options) => recover::recover(&options, &clock).await,
        #[cfg(feature = "backup")]
        Command::Backup(options) => backup::backup(&options, &clock).await,
        #[cfg(feature = "alerting")]
        Command::Audit(command) => audit::audit(&command, &clock).await,
        #[cfg(feature = "backup")]
        Command::Drill(options) => drill::drill(&options, &clock).await,
        Command::Try(options) => r#try::try_one(&options, &clock).await,
        Command::Explain(options) => explain::explain(&options),
        Command::Schema(options) => schema::schema(&options),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "proofmark", &mut script);
            written(&script)
        }
        Command::Man => manual().map_or(Exit::Evidence, |page| written(&page)),
        #[cfg(feature = "lab")]
        Command::Demo(options) => Box::pin(demo::conduct(&options)).await,
    }
}
