//! What the documents promise is what the program does: the table of exit codes, and every example file.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its own input")]

use proofmark_lab::{Twin, embedded};
use proofmark_model::diag::CODES;
use proofmark_model::{ErrorCode, Exit};
use std::fs;
use std::path::{Path, PathBuf};

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn exit_codes_stand_in_the_documents_as_in_the_program() {
    for name in ["README.md", "docs/exit-codes.md"] {
        let text = document(name);
        let rows: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("| exit |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let table: Vec<String> = Exit::TABLE
            .iter()
            .map(|(exit, means, again)| format!("| {} | {means} | {again} |", exit.code()))
            .collect();
        assert_eq!(rows, table, "{name}");
    }
}

/// The YAML examples of a document, without the indentation that a list gives them.
fn examples(name: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None);
    for line in document(name).lines() {
        let text = line.trim_start();
        match &mut open {
            None if text == "```yaml" => open = Some((line.len() - text.len(), String::new())),
            None => {}
            Some((_, example)) if text == "```" => {
                found.push(std::mem::take(example));
                open = None;
            }
            Some((indent, example)) => {
                example.push_str(line.get(*indent..).unwrap_or_default());
                example.push('\n');
            }
        }
    }
    found
}

#[test]
fn example_scenarios_are_valid() {
    for name in ["README.md", "docs/guide.md", "docs/backups.md"] {
        let scenarios: Vec<String> = examples(name)
            .into_iter()
            .filter(|text| text.starts_with("proofmark: ") && text.contains("steps:"))
            .collect();
        assert!(!scenarios.is_empty(), "{name}");
        for (number, text) in scenarios.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("example-{number}.yaml"));
            fs::write(&path, text).unwrap();
            assert_cmd::Command::cargo_bin("proofmark")
                .unwrap()
                .arg("validate")
                .arg(&path)
                .assert()
                .success();
        }
    }
}

/// Every workflow of the guide is YAML, and what it runs is a command line that the program reads.
#[test]
fn example_workflows_run_what_there_is() {
    let workflows: Vec<String> =
        examples("docs/guide.md").into_iter().filter(|text| text.contains("\njobs:")).collect();
    assert!(!workflows.is_empty());
    for text in workflows {
        let workflow: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let jobs = workflow["jobs"].as_object().unwrap().values();
        let steps: Vec<_> = jobs.flat_map(|job| job["steps"].as_array().unwrap()).collect();
        assert!(steps.iter().all(|step| step["uses"].is_string() != step["run"].is_string()), "{text}");
        let lines = steps.iter().filter_map(|step| step["run"].as_str()).flat_map(str::lines);
        let ours: Vec<_> = lines.filter_map(|line| line.strip_prefix("proofmark ")).collect();
        assert!(!ours.is_empty(), "{text}");
        for line in ours {
            let said = in_an_empty_folder(&line.split(' ').collect::<Vec<_>>());
            assert!(said.contains("nothing was run") && !said.contains("Usage:"), "{line}: {said}");
        }
    }
}

/// What the program says where it finds no files; a command line that it cannot read it refuses otherwise.
fn in_an_empty_folder(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut program = assert_cmd::Command::cargo_bin("proofmark").unwrap();
    let output = program.args(args).current_dir(&folder).output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// The timer's service and the `CronJob` start what there is.
#[test]
fn what_runs_every_night_is_a_command_line() {
    let text = document("docs/backups.md");
    let services = text.lines().filter_map(|line| line.strip_prefix("ExecStart"));
    let mut lines: Vec<Vec<String>> =
        services.map(|line| line.split(' ').skip(1).map(str::to_owned).collect()).collect();
    let of_systemd = lines.len();
    for job in examples("docs/backups.md").iter().filter(|text| text.contains("kind: CronJob")) {
        let job: serde_json::Value = serde_saphyr::from_str(job).unwrap();
        let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        for container in
            ["initContainers", "containers"].iter().flat_map(|list| pod[list].as_array().unwrap())
        {
            let args = container["args"].as_array().unwrap();
            lines.push(args.iter().map(|arg| arg.as_str().unwrap().to_owned()).collect());
        }
    }
    assert_eq!((of_systemd, lines.len()), (2, 4));
    for line in lines {
        let said = in_an_empty_folder(&line.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!said.contains("Usage:"), "{line:?}: {said}");
    }
}

#[test]
fn every_kind_has_its_page() {
    let mut pages: Vec<String> = fs::read_dir(root().join("docs/kinds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let mut kinds: Vec<String> =
        proofmark::kinds::registry().kinds().map(|kind| format!("{}.md", kind.name)).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(pages, kinds, "`make docs` writes the pages");
    for kind in proofmark::kinds::registry().kinds() {
        let told = assert_cmd::Command::cargo_bin("proofmark")
            .unwrap()
            .args(["explain", kind.name])
            .output()
            .unwrap();
        let page = document(&format!("docs/kinds/{}.md", kind.name));
        assert_eq!(String::from_utf8(told.stdout).unwrap(), page, "`make docs` writes the pages");
    }
}

#[test]
fn error_codes_stand_in_the_documents_as_in_the_program() {
    let told = assert_cmd::Command::cargo_bin("proofmark")
        .unwrap()
        .args(["explain", "error-codes"])
        .output()
        .unwrap();
    let page = document("docs/error-codes.md");
    assert_eq!(String::from_utf8(told.stdout).unwrap(), page, "`make docs` writes the page");
    for (code, means, remedy) in ErrorCode::TABLE {
        assert!(page.contains(&format!("| `{code}` | {means} | {remedy} |")), "{code}");
    }
    for (code, means) in CODES {
        assert!(page.contains(&format!("| `{code}` | {means} |")), "{code}");
    }
}

#[test]
fn the_shortest_example_has_eight_lines() {
    let shortest = examples("README.md").into_iter().find(|text| text.contains("steps:")).unwrap();
    assert_eq!(shortest.lines().count(), 8);
}

/// The README's picture of the failing run: its blocks, each the line of a step and what stands below it.
fn picture() -> Vec<String> {
    let text = document("README.md");
    let picture = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    picture.split("\n\n").map(str::to_owned).collect()
}

#[test]
fn the_picture_shows_what_the_demo_must_fail_at_and_nothing_else() {
    let blocks = picture();
    let failed: Vec<&String> =
        blocks.iter().filter(|block| block.starts_with("✗ ") && block.contains("      seen")).collect();
    let twins = embedded::TWINS.iter().map(|(name, text)| Twin::parse(name, text).unwrap());
    let mut named = 0;
    for twin in twins.filter(|twin| twin.in_demo) {
        let file = format!("{}.yaml", twin.twin_of.trim_start_matches("demo/"));
        let (_, scenario) = embedded::SCENARIOS.iter().find(|(name, _)| *name == file).unwrap();
        for failure in &twin.fails {
            named += 1;
            let start = format!("✗ {}#{}  ", twin.twin_of, failure.step);
            let block =
                failed.iter().find(|block| block.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
            assert!(block.lines().nth(1).unwrap().contains(&failure.finding), "{block}");
            let title = block.lines().next().unwrap().strip_prefix(&start).unwrap();
            assert!(scenario.contains(&format!("  - id: {}\n    title: {title}\n", failure.step)), "{title}");
        }
    }
    assert!(named > 0);
    assert_eq!(failed.len(), named);
    let steps = embedded::SCENARIOS.iter().map(|(_, text)| text.matches("  - id: ").count()).sum::<usize>();
    let head = format!("FAILED  {named} of {steps} steps in {} scenarios failed.", embedded::SCENARIOS.len());
    assert_eq!(blocks[0].lines().next().unwrap(), head);
    let text = blocks.join("\n");
    assert!(["/tmp/", "/home/", "/root/"].iter().all(|path| !text.contains(path)), "{text}");
}
