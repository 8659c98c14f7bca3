//! The house as a test: one line of layers, files and names within bounds, kinds known to `steps/` only.

#![expect(clippy::unwrap_used, reason = "a test reads the source tree")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                out.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = vec![];
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    assert!(out.len() > 40, "the sources were found");
    out
}

/// The layers in the order in which `lib.rs` lists them, lowest first.
fn layers() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn layer(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The layers that a line of code names with `crate::`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let ends = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    line.split("crate::").skip(1).map(move |rest| &rest[..ends(rest)])
}

#[test]
fn a_module_uses_only_those_above_it() {
    let layers = layers();
    let place = |name: &str| layers.iter().position(|layer| layer == name);
    assert_eq!(layers.first().map(String::as_str), Some("redact"));
    let mut wrong = vec![];
    for (path, text) in sources() {
        let Some(own) = place(&layer(&path)) else { continue };
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for other in named(line) {
                assert!(
                    !other.is_empty(),
                    "{}:{}: write one `use crate::` per module",
                    path.display(),
                    number + 1
                );
                if place(other).is_some_and(|other| other > own) {
                    wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "a module uses one below it:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_have_a_header_and_a_name() {
    for (path, text) in sources() {
        let shown = path.display();
        assert!(text.lines().count() <= 500, "{shown} has more than 500 lines");
        assert!(text.starts_with("//!"), "{shown} does not say what it is for");
        // Alertmanager is the name of a product that is talked to.
        let stem = path.file_stem().unwrap().to_string_lossy().replace("alertmanager", "");
        for name in ["util", "common", "helper", "manager", "core"] {
            assert!(!stem.contains(name), "{shown}: a name that says nothing");
        }
        assert!(!text.contains("#[allow("), "{shown}: `allow`, not `expect` with a reason");
    }
}

/// Code without its comments.
fn code_lines(code: &str) -> String {
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_file_outside_steps_names_a_kind() {
    let kinds: Vec<&str> = proofmark::kinds::registry().kinds().map(|kind| kind.name).collect();
    assert!(kinds.contains(&"prometheus-query"));
    for (path, text) in sources().into_iter().filter(|(path, _)| layer(path) != "steps") {
        let tests = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "sample");
        let code = text.split("#[cfg(test)]").next().unwrap();
        for kind in kinds.iter().filter(|_| !tests) {
            // `http` and `command` are words of the field too: a URL's scheme, a source of secrets, an event's key.
            let ordinary = !kind.contains('-');
            assert!(
                ordinary || !code_lines(code).contains(*kind),
                "{} names the kind {kind}",
                path.display()
            );
        }
    }
}

#[test]
fn only_the_lab_changes_systems_without_a_promise() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !matches!(&*layer(path), "lab" | "undo")) {
        assert!(
            !code_lines(&text).contains("Throwaway"),
            "{} changes systems as if they were its own",
            path.display()
        );
    }
}

#[test]
fn only_commands_tell_people_without_a_step() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !matches!(&*layer(path), "app" | "undo")) {
        assert!(!code_lines(&text).contains("Message::to_people"), "{} writes to people", path.display());
    }
}

#[test]
fn the_context_of_steps_has_at_most_five_fields() {
    let steps = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/steps/kind.rs")).unwrap();
    let context = steps.split("pub struct Cx {").nth(1).unwrap().split("\n}").next().unwrap();
    let fields = context.lines().filter(|line| line.trim_start().starts_with("pub ")).count();
    assert!((1..=5).contains(&fields), "{fields} fields");
}

#[test]
fn app_has_no_command_line_and_no_terminal() {
    let own: Vec<_> = sources().into_iter().filter(|(path, _)| layer(path) == "app").collect();
    assert!(own.len() > 10, "the layer was found");
    for (path, text) in own {
        let code = code_lines(&text);
        for word in [
            "clap",
            "anstream",
            "indicatif",
            "stdin",
            "stdout()",
            "stderr()",
            "println",
            "process::exit",
            "Progress",
        ] {
            assert!(!code.contains(word), "{}: {word} belongs to cli", path.display());
        }
    }
}

/// A file as a path of modules below `src`: `cli::backup`, and `app::audit` for `app/audit/mod.rs`.
fn module(path: &Path) -> Vec<String> {
    let below =
        path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().with_extension("");
    let mut parts: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts.pop_if(|last| last == "mod");
    parts
}

/// What a path in code goes on with: `a::b` of `a::b::{c, d}`, and both of `{a, b::c}`.
fn goes_on(rest: &str) -> Vec<Vec<String>> {
    let names = |path: &str| {
        let end = path.find(|c: char| !c.is_alphanumeric() && !"_:#".contains(c)).unwrap_or(path.len());
        let parts = path[..end].split("::").map(|part| part.trim_start_matches("r#").to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![names(rest)] };
    let group = group.split('}').next().unwrap_or_default();
    group.split(',').map(|path| names(path.trim())).collect()
}

/// The modules that a file of a layer uses: by `super::`, by `crate::`, and those below it by their names.
fn uses(own: &[String], code: &str, all: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let mut paths: Vec<Vec<String>> = vec![];
    for rest in code.split("crate::").skip(1) {
        paths.extend(goes_on(rest));
    }
    let (mut above, mut rest) = (own.len(), code);
    while let Some(at) = rest.find("super::") {
        let follows = at == 0 && above < own.len();
        above = if follows { above - 1 } else { own.len() - 1 };
        rest = &rest[at + "super::".len()..];
        if !rest.starts_with("super::") {
            paths.extend(goes_on(rest).into_iter().map(|path| [&own[..above], &path].concat()));
        }
    }
    let below = all.iter().filter(|module| module.len() == own.len() + 1 && module.starts_with(own));
    let named = |module: &&Vec<String>| {
        let name = format!("{}::", module.last().unwrap());
        let begins = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        code.match_indices(&name).any(|(at, _)| begins(at))
    };
    paths.extend(below.filter(named).cloned());
    let longest = |path: Vec<String>| {
        (1..=path.len()).rev().map(|end| path[..end].to_vec()).find(|it| all.contains(it))
    };
    paths.into_iter().filter_map(longest).filter(|module| module != own).collect()
}

/// The modules that are left when those that use none of the rest are taken away, again and again.
fn circle(mut graph: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Vec<String> {
    loop {
        let free: Vec<_> = graph
            .iter()
            .filter(|(_, used)| !used.iter().any(|other| graph.contains_key(other)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            return graph.keys().map(|module| module.join("::")).collect();
        }
        for module in free {
            graph.remove(&module);
        }
    }
}

fn graph(files: &[(Vec<String>, String)]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let all: BTreeSet<Vec<String>> = files.iter().map(|(module, _)| module.clone()).collect();
    files.iter().map(|(module, code)| (module.clone(), uses(module, code, &all))).collect()
}

#[test]
fn no_circle_of_files_in_app_and_cli() {
    let file = |path: &str, code: &str| (path.split("::").map(str::to_owned).collect(), code.to_owned());
    let made_up = [
        file("cli", "mod a; mod b;"),
        file("cli::a", "use super::{b, x};"),
        file("cli::b", "use crate::cli::a::{x, y};"),
        file("cli::c", "use super::a::x;"),
        file("cli::d", ""),
    ];
    assert_eq!(circle(graph(&made_up)), ["cli::a", "cli::b", "cli::c"]);
    let up_and_down = [file("app::x", "pub mod y; use y::Z;"), file("app::x::y", "use super::W;")];
    assert_eq!(circle(graph(&up_and_down)), ["app::x", "app::x::y"]);
    let beside =
        [file("app", "mod x; mod y;"), file("app::x::z", "use super::super::y::W;"), file("app::y", "")];
    assert_eq!(graph(&beside)[&beside[1].0], [beside[2].0.clone()].into());

    for name in ["app", "cli"] {
        let own = sources().into_iter().filter(|(path, _)| layer(path) == name);
        let code = |text: &str| code_lines(text.split("#[cfg(test)]").next().unwrap());
        let files: Vec<_> = own.map(|(path, text)| (module(&path), code(&text))).collect();
        let graph = graph(&files);
        assert!(graph.values().flatten().count() > 10, "the uses were found");
        assert_eq!(
            circle(graph),
            [""; 0],
            "these files of {name} use each other in a circle, or one that does"
        );
    }
}

/// A file of tests that its `main.rs` does not name is not compiled, and its tests are gone without a word. One beside the
/// folders would be a binary more, which links the whole library.
#[test]
fn the_tests_are_two_binaries_and_each_file_is_a_module_of_one() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read = |folder: &str| {
        let entries = fs::read_dir(tests.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect::<Vec<_>>()
    };
    assert_eq!(read(""), Vec::<PathBuf>::new());
    let binaries =
        ["cli", "scenarios"].map(|name| (name, fs::read_to_string(tests.join(name).join("main.rs"))));
    let binaries = binaries.map(|(name, main)| (name, main.unwrap()));
    let names = |main: &str, file: &Path| {
        let declared = format!("mod {};", file.file_stem().unwrap().to_string_lossy());
        main.lines().any(|line| line.trim_start().trim_start_matches("pub ") == declared)
    };
    for (name, main) in &binaries {
        let files = read(name).into_iter().filter(|file| !file.ends_with("main.rs"));
        let lost: Vec<PathBuf> = files.filter(|file| !names(main, file)).collect();
        assert!(lost.is_empty(), "no module of `{name}`: {lost:?}");
    }
    let lost: Vec<PathBuf> = read("ground")
        .into_iter()
        .filter(|file| !binaries.iter().any(|(_, main)| names(main, file)))
        .collect();
    assert!(lost.is_empty(), "a module of neither: {lost:?}");
}
