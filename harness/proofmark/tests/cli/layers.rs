//! The house as a test: one line of crates, no circles within one, files and names within bounds, kinds known to their
//! systems only.

#![expect(clippy::unwrap_used, reason = "a test reads the source tree")]

use crate::ground::house::{Crate, crates, is_test};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The file below the crate's `src`.
fn below(of: &Crate, path: &Path) -> PathBuf {
    path.strip_prefix(of.folder.join("src")).unwrap().to_owned()
}

/// The module of the crate that a file belongs to: `report` for `report/html.rs`.
fn room(of: &Crate, path: &Path) -> String {
    let below = below(of, path);
    below.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every file of the product with its crate.
fn files() -> Vec<(Crate, PathBuf, String)> {
    let mut out = vec![];
    for of in crates() {
        for (path, text) in of.sources() {
            let (name, folder) = (of.name.clone(), of.folder.clone());
            out.push((Crate { name, folder }, path, text));
        }
    }
    out
}

#[test]
fn a_crate_uses_only_those_above_it() {
    let all = crates();
    assert_eq!(all.first().map(|first| first.name.as_str()), Some("proofmark-model"));
    assert_eq!(all.last().map(|last| last.name.as_str()), Some("proofmark"));
    let mut arrows = 0;
    for (place, of) in all.iter().enumerate() {
        for other in of.depends_on() {
            let above = all[..place].iter().any(|it| it.name == other);
            assert!(above, "{} depends on {other}, which does not come before it", of.name);
            arrows += 1;
        }
    }
    assert!(arrows > 40, "{arrows} dependencies were found");
}

/// A system is one folder: it uses another system only where the second exists for the first.
#[test]
fn systems_use_each_other_only_where_that_is_their_purpose() {
    let all = crates();
    let systems: Vec<&Crate> =
        all.iter().filter(|of| of.folder.to_string_lossy().contains("/systems/")).collect();
    let is_system = |name: &String| systems.iter().any(|of| of.name == *name);
    let used: BTreeMap<&str, Vec<String>> = systems
        .iter()
        .map(|of| (of.name.as_str(), of.depends_on().into_iter().filter(is_system).collect::<Vec<_>>()))
        .filter(|(_, used)| !used.is_empty())
        .collect();
    let allowed = BTreeMap::from([
        ("proofmark-alerting", vec!["proofmark-prometheus".to_owned()]),
        ("proofmark-backup", vec!["proofmark-objects".to_owned(), "proofmark-postgres".to_owned()]),
    ]);
    assert_eq!(used, allowed);
}

#[test]
fn files_are_short_and_have_a_header_and_a_name() {
    for (_, path, text) in files() {
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

/// Code without its tests and comments.
fn product(text: &str) -> String {
    code_lines(text.split("#[cfg(test)]").next().unwrap())
}

#[test]
fn only_its_own_system_and_the_list_name_a_kind() {
    let registry = proofmark::kinds::registry();
    let kinds: Vec<&str> = registry.kinds().map(|kind| kind.name).collect();
    assert!(kinds.contains(&"prometheus-query"));
    for (of, path, text) in files() {
        let system = of.folder.to_string_lossy().contains("/systems/");
        if system || is_test(&path) || path.ends_with("proofmark/src/kinds.rs") {
            continue;
        }
        let code = product(&text);
        for kind in &kinds {
            // `http` and `command` are words of the field too: a URL's scheme, a source of secrets, an event's key.
            let ordinary = !kind.contains('-');
            assert!(ordinary || !code.contains(*kind), "{} names the kind {kind}", path.display());
        }
    }
}

#[test]
fn only_the_lab_changes_systems_without_a_promise() {
    for (of, path, text) in files() {
        if of.name == "proofmark-lab" || room(&of, &path) == "undo" {
            continue;
        }
        let code = code_lines(&text);
        assert!(!code.contains("LabPermit"), "{} changes systems as if they were its own", path.display());
    }
}

#[test]
fn only_commands_tell_people_without_a_step() {
    for (of, path, text) in files() {
        if of.name == "proofmark" || room(&of, &path) == "undo" {
            continue;
        }
        assert!(
            !code_lines(&text).contains("NotificationPermit::to_people"),
            "{} writes to people",
            path.display()
        );
    }
}

#[test]
fn the_context_of_steps_has_at_most_five_fields() {
    let (_, _, steps) =
        files().into_iter().find(|(_, path, _)| path.ends_with("engine/src/kind.rs")).unwrap();
    let context = steps.split("pub struct Cx {").nth(1).unwrap().split("\n}").next().unwrap();
    let fields = context.lines().filter(|line| line.trim_start().starts_with("pub ")).count();
    assert!((1..=5).contains(&fields), "{fields} fields");
}

#[test]
fn app_has_no_command_line_and_no_terminal() {
    let app = |of: &Crate, path: &Path| of.name == "proofmark" && room(of, path) == "app";
    let own: Vec<_> = files().into_iter().filter(|(of, path, _)| app(of, path)).collect();
    assert!(own.len() > 10, "the module was found");
    for (_, path, text) in own {
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
            "Progress::",
        ] {
            assert!(!code.contains(word), "{}: {word} belongs to cli", path.display());
        }
    }
}

/// A file as a path of modules below `src`: `cli::backup`, and `app::audit` for `app/audit/mod.rs`.
fn module(of: &Crate, path: &Path) -> Vec<String> {
    let below = below(of, path).with_extension("");
    let mut parts: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts.pop_if(|last| last == "mod" || last == "lib" || last == "main");
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

    let program = crates().pop().unwrap();
    for name in ["app", "cli"] {
        let own = program.sources().into_iter().filter(|(path, _)| room(&program, path) == name);
        let files: Vec<_> = own.map(|(path, text)| (module(&program, &path), product(&text))).collect();
        let graph = graph(&files);
        assert!(graph.values().flatten().count() > 10, "the uses were found");
        assert_eq!(
            circle(graph),
            [""; 0],
            "these files of {name} use each other in a circle, or one that does"
        );
    }
}

/// The rooms of a crate and what their files use of the others: each folder is one, and so are the files beside them.
/// The file of the crate itself only joins them.
fn rooms(of: &Crate) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let sources = of.sources();
    let files: Vec<_> = sources
        .iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (module(of, path), product(text)))
        .collect();
    let folders: BTreeSet<&String> =
        files.iter().filter(|(module, _)| module.len() > 1).map(|(module, _)| &module[0]).collect();
    let room = |module: &Vec<String>| match module.first() {
        Some(first) if folders.contains(first) => Some(vec![first.clone()]),
        Some(_) => Some(vec!["the files beside".to_owned()]),
        None => None,
    };
    let mut out: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (own, used) in graph(&files) {
        let Some(own) = room(&own) else { continue };
        let others = used.iter().filter_map(room).filter(|other| *other != own);
        out.entry(own.clone()).or_default().extend(others.collect::<Vec<_>>());
    }
    out
}

#[test]
fn no_circle_of_rooms_in_a_crate() {
    let mut arrows = 0;
    for of in crates() {
        let rooms = rooms(&of);
        arrows += rooms.values().flatten().count();
        assert_eq!(circle(rooms), [""; 0], "these modules of {} use each other in a circle", of.name);
    }
    assert!(arrows > 20, "{arrows} uses were found");
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
